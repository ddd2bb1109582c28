from __future__ import annotations

import json
import sys

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.evaluation.evaluate import class_ids, evaluate
from finsa_moe.evaluation.tables import class_table, confusion_table, routing_table, runs_table, slices
from finsa_moe.face import FinSA
from finsa_moe.polarity import Polarity
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import FakeEngine, fake_finsa

# The news expert is twice as strong, so `涨` alone is bullish for both, but `告` makes the router say news.
ROWS = {
    "id": ["a", "b", "c", "d", "e", "f"],
    "text": ["公告涨", "公告跌", "公告平", "涨", "告跌跌", "平"],
    "label": ["利好", "利空", "中性", "利好", "利空", "利好"],
    "domain": ["news", "news", "news", "forum", "forum", "forum"],
}


def test_runs_of_a_mixture() -> None:
    result = evaluate(fake_finsa(), pl.DataFrame(ROWS))
    assert list(result.runs) == ["routed", "fixed:news", "fixed:forum", "oracle"]
    assert result.leading.name == "routed"
    assert result.n == 6
    assert result.leading.overall.accuracy == pytest.approx(5 / 6)  # only the last row is wrong: 平 is not 利好
    assert {name: s.accuracy for name, s in result.leading.by_domain.items()} == {
        "news": 1.0, "forum": pytest.approx(2 / 3),
    }  # fmt: skip


def test_routing_counts_by_hand() -> None:
    routing = evaluate(fake_finsa(), ROWS).routing
    assert routing is not None
    assert (routing.domains, routing.experts) == (("news", "forum"), ("news", "forum"))
    assert routing.matrix == ((3, 0), (1, 2))  # 告跌跌 of the forum goes to the news expert
    assert routing.accuracy == pytest.approx(5 / 6)
    assert routing.n == 6


def test_oracle_and_given_are_the_own_domains_expert() -> None:
    finsa = fake_finsa()
    own = finsa.predict_proba(ROWS["text"], domain=ROWS["domain"])
    by_hand = evaluate(Fixed(own), ROWS).runs["model"].overall
    assert evaluate(finsa, ROWS).runs["oracle"].overall == by_hand
    published = evaluate(finsa, ROWS, protocol="finsa")
    assert list(published.runs) == ["given"]
    assert published.routing is None
    assert published.leading.overall == by_hand


class Fixed:
    """A plain model that knows its answers."""

    def __init__(self, probs: np.ndarray) -> None:
        self.probs = probs

    def predict_proba(self, texts: object) -> np.ndarray:
        return self.probs


def test_plain_model_has_one_run_and_no_routing() -> None:
    result = evaluate(Fixed(np.eye(3)[[2, 0, 1, 2, 0, 2]]), ROWS)
    assert list(result.runs) == ["model"]
    assert result.routing is None
    assert result.leading.overall.accuracy == 1
    assert result.wrong == ()
    assert set(result.leading.by_domain) == {"news", "forum"}
    with pytest.raises(ConfigError, match="this model has none"):
        evaluate(Fixed(np.eye(3)[[0] * 6]), ROWS, protocol="finsa")


def test_rows_without_domain_are_scored_over_all() -> None:
    rows = {name: ROWS[name] for name in ("text", "label")}
    result = evaluate(fake_finsa(), rows)
    assert list(result.runs) == ["routed", "fixed:news", "fixed:forum"]
    assert result.routing is None
    assert result.leading.by_domain == {}
    with pytest.raises(ConfigError, match="--domain"):
        evaluate(fake_finsa(), rows, protocol="finsa")


def test_rows_of_a_domain_without_expert() -> None:
    rows = {**ROWS, "domain": ["news"] * 4 + ["weibo"] * 2}
    result = evaluate(fake_finsa(), rows)
    assert "oracle" not in result.runs
    assert result.routing is not None
    assert (result.routing.n, result.routing.accuracy) == (4, pytest.approx(3 / 4))
    assert result.routing.domains == ("news", "weibo")
    with pytest.raises(ConfigError, match="'weibo' have no expert"):
        evaluate(fake_finsa(), rows, protocol="finsa")


def test_one_expert_needs_no_fixed_runs() -> None:
    result = evaluate(FinSA(Predictor(FakeEngine(("news",)))), {**ROWS, "domain": ["news"] * 6})
    assert list(result.runs) == ["routed"]
    assert result.routing is not None
    assert result.routing.accuracy == 1


def test_samples_are_right_wrong_and_seeded() -> None:
    many = {name: values * 20 for name, values in ROWS.items()} | {"id": list(range(120))}
    one, same, other = (evaluate(fake_finsa(), many, samples=4, seed=s) for s in (1, 1, 2))
    assert len(one.correct) == len(one.wrong) == 4
    assert one.correct == same.correct != other.correct
    assert all(row["label"] == row["predicted"] for row in one.correct)
    assert all(row["label"] != row["predicted"] and row["text"] == "平" for row in one.wrong)
    assert set(one.wrong[0]) == {"id", "domain", "text", "expert", "label", "predicted", "confidence"}


def test_copies_do_not_narrow_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six texts, ten copies each with a mark of its own: as wide an interval as the six alone; drawn by rows, narrower."""
    many = {name: [v for v in values for _ in range(10)] for name, values in ROWS.items()}
    many["text"] = [text + "。" * (at % 10) for at, text in enumerate(many["text"])]
    whole = evaluate(fake_finsa(), many)
    alone, copied = evaluate(fake_finsa(), ROWS).leading, whole.leading
    assert "intervals draw 6 clusters of near texts" in str(runs_table(whole).title)
    assert (alone.overall.clusters, copied.overall.clusters) == (6, 6)
    assert {name: s.clusters for name, s in copied.by_domain.items()} == {"news": 3, "forum": 3}
    assert copied.overall.macro_f1_interval == alone.overall.macro_f1_interval

    monkeypatch.setitem(sys.modules, "rensa", None)
    apart = evaluate(fake_finsa(), many)
    assert apart.leading.overall.clusters is None
    assert np.ptp(apart.leading.overall.macro_f1_interval) < np.ptp(alone.overall.macro_f1_interval) / 2
    assert "intervals draw single rows, as finding near texts needs rensa" in str(runs_table(apart).title)


def test_as_dict_is_json() -> None:
    kept = json.loads(json.dumps(evaluate(fake_finsa(), pl.DataFrame(ROWS)).as_dict(), ensure_ascii=False))
    assert kept["routing"]["confusion"] == [[3, 0], [1, 2]]
    assert kept["runs"]["routed"]["domains"]["news"]["accuracy"] == 1
    assert kept["wrong"][0]["text"] == "平"


def test_tables_show_the_numbers() -> None:
    result = evaluate(fake_finsa(), ROWS)
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    routing = routing_table(result)
    assert routing is not None
    for table in (runs_table(result), class_table(result.leading), confusion_table(result.leading), routing):
        console.print(table)
    shown = console.export_text()
    for part in ("routed", "fixed:forum", "oracle", "83.33", "→ 利空", "TP", "to their own: 83.33"):
        assert part in shown


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"label": ["利好"]}, "no column 'text'; it has label"),
        ({"text": ["涨"]}, "no column 'label'"),
        ({"text": [], "label": []}, "no row"),
        ({"text": ["涨", "跌"], "label": ["利好", "?"]}, r"row 1 \(counted from 0\): label '\?'.*--labels"),
        ({"text": ["涨", "跌"], "label": ["利好", 0]}, "row 1"),
        ({"text": ["涨", " "], "label": ["利好", "利空"]}, "text 1"),
        ({"text": ["涨", "跌"], "label": ["利好"]}, "column 'label' has 1 rows and 'text' 2"),
        ({**ROWS, "domain": ["news"]}, "column 'domain' has 1 rows and 'text' 6"),
        ({**ROWS, "id": [1, 2]}, "column 'id' has 2 rows and 'text' 6"),
        ({"text": ["涨", None], "label": ["利好", "利空"]}, r"row 1 \(counted from 0\): text None is no text"),
        ({"text": ["涨", float("nan")], "label": ["利好", "利空"]}, "text nan is no text"),
        ({"text": ["涨", "跌"], "label": ["利好", None]}, "row 1"),
        ({**ROWS, "domain": [*ROWS["domain"][:5], None]}, r"row 5 \(counted from 0\): no domain \(None\), while other"),
        ({**ROWS, "domain": [float("nan"), *ROWS["domain"][1:]]}, r"row 0 .*no domain \(nan\)"),
        ({**ROWS, "domain": ["all", *ROWS["domain"][1:]]}, "domain 'all' beside forum, news: is what all domains"),
    ],
)
def test_rows_that_cannot_be_evaluated(rows: dict[str, list[object]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        evaluate(fake_finsa(), rows)


@pytest.mark.parametrize(
    ("probs", "says"),
    [
        (np.full((6, 2), 0.5), r"shape \(6, 2\) for 6 texts; needed are numbers of shape \(6, 3\)"),
        (np.eye(3)[:1], r"shape \(1, 3\) for 6 texts"),
        (np.full(6, 0.5), r"shape \(6,\)"),
        ([[0.5, 0.5], *[[0.2, 0.3, 0.5]] * 5], "rows of unequal length"),
        ([["a", "b", "c"]] * 6, r"shape \(6, 3\) of <U1"),
    ],
)
def test_answers_that_are_not_three_numbers_a_text(probs: np.ndarray, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        evaluate(Fixed(probs), ROWS)


def test_a_column_without_one_domain_is_as_none() -> None:
    found = evaluate(fake_finsa(), {**ROWS, "domain": [None] * 6})
    assert (found.leading.by_domain, found.routing) == ({}, None)


def test_one_domain_may_have_the_name_of_all() -> None:
    assert slices(evaluate(fake_finsa(), {**ROWS, "domain": ["all"] * 6}).leading)["all"].n == 6


def test_unknown_protocol() -> None:
    with pytest.raises(ConfigError, match="routed, finsa"):
        evaluate(fake_finsa(), ROWS, protocol="paper")


def test_class_ids() -> None:
    assert class_ids(["看多", "NEUTRAL", "负面", Polarity.BULLISH]).tolist() == [2, 1, 0, 2]
    assert class_ids([2, np.int64(0), "中性"], ids=True).tolist() == [2, 0, 1]
    with pytest.raises(DataError, match="label 3"):
        class_ids([3], ids=True)


def test_macro_averages_run_over_the_classes_of_the_labels() -> None:
    """One answer of a class that no row has costs its row, not a third of the score."""
    rows = {"text": ["涨涨", "涨", "跌", "跌跌", "平"], "label": ["利好", "利好", "利空", "利空", "利空"]}
    scores = evaluate(fake_finsa(), rows).leading.overall
    said = np.array(scores.confusion).sum(axis=0)
    assert said[1] == 1
    assert scores.classes == (0, 2)
    assert scores.macro_f1 == pytest.approx((2 * 2 / (2 * 2 + 1) + 1) / 2)

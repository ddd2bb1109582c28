from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.evaluation.baselines.registry import make, names
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.evaluation.comparison import runner
from finsa_moe.evaluation.comparison.cells import Answers, Cell, Cells
from finsa_moe.evaluation.comparison.comparison import MIXTURE, TestSet
from finsa_moe.evaluation.comparison.runner import TrainRows, planned, run
from finsa_moe.evaluation.comparison.scoring import compare
from finsa_moe.evaluation.comparison.tables import cost_rows
from finsa_moe.judging.contenders import TRAINED
from tests.families import made_rows

ROWS = {domain: made_rows(domain, 60, seed=1) for domain in ("news", "forum")}
TRAIN = TrainRows(
    [text for rows in ROWS.values() for text, _ in rows],
    [label for rows in ROWS.values() for _, label in rows],
    [domain for domain, rows in ROWS.items() for _ in rows],
)


def judged(name: str, domain: str, seed: int) -> TestSet:
    rows = made_rows(domain, 45, seed=seed)
    truth = np.array([label for _, label in rows])
    return TestSet(name, domain, [text for text, _ in rows], truth, np.arange(45), np.zeros(45, dtype=np.bool_))


SETS = [judged("news", "news", 2), judged("forum/late", "forum", 3)]


class Counted:
    """A registry that counts what it is asked for and what is trained, and stops when told."""

    def __init__(self, stop_at: int = 10**9) -> None:
        self.asked: list[str] = []
        self.fitted: list[tuple[int, int]] = []
        self.stop_at = stop_at

    def __call__(self, spec: Spec) -> Any:
        self.asked.append(spec.text)
        model = make(spec)
        fit, seen = model.fit, self.fitted

        def noted(texts: Any, labels: Any, **options: Any) -> Any:
            if len(seen) == self.stop_at:
                raise KeyboardInterrupt
            seen.append((len(texts), options["seed"]))
            return fit(texts, labels, **options)

        model.fit = noted  # type: ignore[method-assign]
        return model


def test_what_is_planned() -> None:
    cells = planned(["majority", "textcnn", "finsa"], [1, 2, 3], [0.1, 0.5])
    whole = [cell for cell in cells if cell.share == 1.0]
    assert whole == [Cell("majority", 1), *(Cell("textcnn", seed) for seed in (1, 2, 3)), Cell("finsa", None)]
    assert Counter((c.model, c.share) for c in cells if c.share < 1) == {
        (model, share): 3 for model in ("majority", "textcnn") for share in (0.1, 0.5)
    }
    chat = "llm:m@http://127.0.0.1:1"
    shots = [Cell(f"{chat}?shots=2", seed, share) for share in (1.0, 0.5) for seed in (1, 2)]
    for nothing in (chat, "lexicon?softmax=fixed"):
        assert planned([nothing], [1, 2], [0.5]) == [Cell(nothing, 1)]  # it learns nothing: no curve, and no other seed
    assert planned([f"{chat}?shots=2"], [1, 2], [0.5]) == shots
    with pytest.raises(ConfigError, match="given twice"):
        planned(["majority", "majority"], [1])
    with pytest.raises(ConfigError, match="above 0 and under 1"):
        planned(["majority"], [1], [1.0])


def test_what_is_known_of_models_by_their_names_is_of_models_that_there_are() -> None:
    """And the map of the rooms tells who adds one where it has to be named."""
    there = {*names(), *TRAINED, MIXTURE}
    told = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
    for known in ("DRAWN", "READY", "TWO_CLASSES"):
        assert {*getattr(runner, known)} <= there
        assert f"`{known}`" in told
    assert runner.CHAT in there


def test_a_share_holds_the_smaller_ones_and_every_class() -> None:
    small, large = (TRAIN.share(part, seed=4) for part in (0.1, 0.5))
    assert set(small.texts) <= set(large.texts)
    assert Counter(zip(large.domains, large.labels, strict=True)) == {
        (domain, label): 10 for domain in ROWS for label in range(3)
    }
    assert TRAIN.share(0.1, seed=5).texts != small.texts


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    cells = planned(["majority", "tfidf-lr", "lexicon"], [1, 2], [0.5])
    store = Cells(tmp_path, {"train": TRAIN.texts})
    first = Counted(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        run(cells, TRAIN, None, SETS, store, first)
    again = Counted()
    found = run(cells, TRAIN, None, SETS, store, again)
    assert len(first.fitted) + len(again.fitted) == len(cells) == 9
    nothing = Counted()
    assert {c: a.probs["news"].tolist() for c, a in run(cells, TRAIN, None, SETS, store, nothing).items()} == {
        c: a.probs["news"].tolist() for c, a in found.items()
    }
    assert nothing.asked == []
    assert sorted(rows for rows, _ in again.fitted + first.fitted) == [60] * 6 + [120] * 3


def test_a_model_that_cannot_be_made_is_told_before_any_is_trained(tmp_path: Path) -> None:
    registry = Counted()
    for wrong, says in (("tfidf", "unknown name"), ("lexicon?softmax=odd", "softmax 'odd' is none of")):
        with pytest.raises(ConfigError, match=says):
            run(planned(["majority", wrong], [1]), TRAIN, None, SETS, Cells(tmp_path, {}), registry)
    assert registry.fitted == []
    assert not list(tmp_path.iterdir())


def test_what_a_model_says_of_the_sets_is_heard_first(tmp_path: Path) -> None:
    class Picky:
        def check(self, sets: Any) -> None:
            raise ConfigError(f"no expert for {sets[0].name}")

    registry = Counted()
    with pytest.raises(ConfigError, match="no expert for news"):
        run(planned(["majority", "finsa"], [1]), TRAIN, None, SETS, Cells(tmp_path, {}),
            lambda spec: Picky() if spec.name == "finsa" else registry(spec))  # fmt: skip
    assert registry.fitted == []


def test_rows_that_a_model_cannot_learn_from_are_told_before_any_is_trained(tmp_path: Path) -> None:
    one_class = TRAIN.only([at for at, label in enumerate(TRAIN.labels) if at < 60 or label == 2])
    registry = Counted()
    for model, rows, says in (
        ("llm:m@http://127.0.0.1:1?shots=90", TRAIN.of("news"), "there are 60 training rows; ask for fewer shots"),
        ("llm:m@http://127.0.0.1:1?shots=61&per=domain", TRAIN, "there are 60 training rows of news; ask for fewer"),
        ("tfidf-lr?per=domain", one_class, "its training rows of forum are of one class; add rows of another"),
        ("lexicon", one_class.of("forum"), "its training rows are of one class"),
    ):
        with pytest.raises(ConfigError, match=rf"model {re.escape(model)}: {says}"):
            run(planned(["majority", model], [1]), rows, None, SETS, Cells(tmp_path, {}), registry)
    assert registry.fitted == []


def test_answers_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    def broken(spec: Spec) -> Any:
        model = make(spec)
        model.predict_proba = lambda texts: np.full((len(texts), 3), np.nan)  # type: ignore[method-assign]
        return model

    with pytest.raises(ModelError, match="model majority, seed 1: 45 of 45 answers for news are no numbers"):
        run(planned(["majority"], [1]), TRAIN, None, SETS, Cells(tmp_path, {}), broken)
    assert not list(tmp_path.glob("*.npz"))


def test_a_model_that_learns_needs_rows(tmp_path: Path) -> None:
    none = TrainRows([], [], [])
    with pytest.raises(ConfigError, match="model tfidf-lr: learns from labelled rows; add --train"):
        run(planned(["tfidf-lr"], [1]), none, None, SETS, Cells(tmp_path, {}), make)
    with pytest.raises(ConfigError, match=r"model tfidf-lr\?per=domain: no training rows of forum"):
        run(planned(["tfidf-lr?per=domain"], [1]), TRAIN.of("news"), None, SETS, Cells(tmp_path, {}), make)


def test_what_a_model_starts_from_is_part_of_its_cell(tmp_path: Path) -> None:
    counted, store = Counted(), Cells(tmp_path, {})
    for weights, fits in (("old", 1), ("old", 1), ("new", 2)):
        run(planned(["majority"], [1]), TRAIN, None, SETS, store, counted, model_of=lambda _, w=weights: w)  # type: ignore[misc]
        assert len(counted.fitted) == fits


def test_one_model_a_domain(tmp_path: Path) -> None:
    """Each answers its own domain's texts, and is what the domain's rows alone make."""
    registry = Counted()
    cells = planned(["tfidf-lr?per=domain"], [1])
    found = run(cells, TRAIN, None, SETS, Cells(tmp_path, {}), registry)[cells[0]]
    assert registry.fitted == [(60, 1), (60, 1)]
    for one in SETS:
        rows = ROWS[one.domain]
        alone = make("tfidf-lr").fit([text for text, _ in rows], [label for _, label in rows], seed=1)
        np.testing.assert_allclose(found.probs[one.name], alone.predict_proba(one.texts), atol=1e-6)
    with pytest.raises(ConfigError, match="allowed is per=domain"):
        run(planned(["majority?per=set"], [1]), TRAIN, None, SETS, Cells(tmp_path, {}), registry)


def test_rows_to_choose_by_reach_the_model(tmp_path: Path) -> None:
    """All of them, or the domain's own where there is a model for each."""
    asked: list[Any] = []

    class Model:
        def fit(self, texts: Any, labels: Any, *, seed: int, dev: Any) -> None:
            asked.append(dev)

        def predict_proba(self, texts: Any) -> Any:
            return np.full((len(texts), 3), 1 / 3)

    dev = TRAIN.only(range(0, 120, 10))
    run(planned(["x"], [1]), TRAIN, dev, SETS, Cells(tmp_path, {}), lambda _: Model())
    run(planned(["x?per=domain"], [1]), TRAIN, dev, SETS, Cells(tmp_path / "b", {}), lambda _: Model())
    assert [len(texts) for texts, _ in asked] == [12, 6, 6]
    assert asked[1][0] == list(dev.of("news").texts)


def test_scores_are_those_of_the_answers(tmp_path: Path) -> None:
    from sklearn.metrics import f1_score

    cells = planned(["majority", "tfidf-lr"], [1, 2], [0.5])
    found = run(cells, TRAIN, None, SETS, Cells(tmp_path, {}), make)
    result = compare(SETS, found, reference="majority", resamples=200)
    for one in SETS:
        entry = result.entries["tfidf-lr"][one.name]
        said = found[Cell("tfidf-lr", 1)].probs[one.name].argmax(1)
        assert entry.macro_f1.value == pytest.approx(f1_score(one.truth, said, average="macro"))
        assert entry.against is not None
        assert entry.against.value == pytest.approx(
            entry.macro_f1.value - result.entries["majority"][one.name].macro_f1.value
        )
        assert entry.against.sure
        assert entry.test is not None
        assert entry.test.exact < 0.001
        assert result.best(one.name) == "tfidf-lr"
        halves = [found[Cell("tfidf-lr", seed, 0.5)].probs[one.name].argmax(1) for seed in (1, 2)]
        mean = np.mean([f1_score(one.truth, half, average="macro") for half in halves])
        assert result.curves["tfidf-lr"][one.name] == {0.5: pytest.approx(mean), 1.0: entry.macro_f1.value}
    with pytest.raises(ConfigError, match="is none of the models compared"):
        compare(SETS, found, reference="bilstm")


def test_what_it_took_is_of_all_seeds(tmp_path: Path) -> None:
    cells = {
        Cell("bilstm", seed): Answers(
            {one.name: np.full((45, 3), 1 / 3, np.float32) for one in SETS}, {}, {"rows": 120, "seconds": seconds}
        )
        for seed, seconds in ((1, 600.4), (2, 900.3))
    }
    cells[Cell("finsa", None)] = Answers(cells[Cell("bilstm", 1)].probs, {}, {"seconds": 2.0})
    rows = cost_rows(compare(SETS, cells, reference="finsa", resamples=5))
    assert rows == [["bilstm", "2", "120", "1,501"], ["finsa", "1", "–", "2"]]


def test_rows_are_told_of_models_that_learn_from_them(tmp_path: Path) -> None:
    fixed = "lexicon?softmax=fixed"
    found = run(planned(["majority", fixed], [1]), TRAIN, None, SETS, Cells(tmp_path, {}), Counted())
    assert {cell.model: answers.facts.get("rows") for cell, answers in found.items()} == {"majority": 120, fixed: None}
    nobody = TrainRows([], [], [])
    assert len(run(planned([fixed], [1]), nobody, None, SETS, Cells(tmp_path / "b", {}), Counted())) == 1

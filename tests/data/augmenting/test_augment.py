"""New rows name their originals, none may leak, and what is refused is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
import pytest

from finsa_moe.data.augmenting.augment import MADE, REFUSED, AugmentSettings, augment
from finsa_moe.data.duplicates.clusters import CLUSTER_THRESHOLD
from finsa_moe.data.duplicates.held_out import HELD_OUT_THRESHOLD, HeldOut, jaccard, ngrams
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.llm.endpoint import Answer, Message, PassingError

TEXTS = [
    "今日财报不及预期,股价小幅下跌",
    "营收同比增长,投资者表示看好",
    "明天召开会议,研究年报事项",
    "昨天追高,今天割肉了",
    "子公司签署合同,订单饱满",
]
LABELS = ["利空", "利好", "中性", "利空", "利好"]


def rows(count: int = 5) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"a{n}" for n in range(count)], "text": [f"{TEXTS[n % 5]}{n // 5 or ''}" for n in range(count)],
         "label": [LABELS[n % 5] for n in range(count)], "domain": ["forum"] * count}
    )  # fmt: skip


class Fake:
    """Answers by a function of the text and how often it was asked; out of order, as networks are."""

    def __init__(self, answer) -> None:
        self.answer, self.asked = answer, []

    def ask_all(self, asked: Iterator[Sequence[Message]]) -> Iterator[tuple[int, object]]:
        self.asked = [said[-1]["content"] for said in asked]
        seen: dict[str, int] = {}
        found = []
        for at, text in enumerate(self.asked):
            seen[text] = seen.get(text, 0) + 1
            answer = self.answer(text, seen[text])
            found.append((at, Answer(answer, 1, 1) if isinstance(answer, str) else answer))
        yield from reversed(found)


def test_synonyms_alone() -> None:
    found = augment(rows(), AugmentSettings(synonyms=1.0))
    assert found.rows.schema == MADE
    assert found.refused.schema == REFUSED
    assert found.left == 0
    originals = {row["id"]: row for row in rows().to_dicts()}
    assert found.rows.height >= 10
    for row in found.rows.to_dicts():
        assert row["made_by"] == "synonyms"
        assert row["label"] == originals[row["source_id"]]["label"]
        assert row["text"] != originals[row["source_id"]]["text"]
        assert row["id"].startswith(row["source_id"] + "-s")
    assert found.rows["id"].n_unique() == found.rows.height
    assert found.rows.group_by("source_id").len()["len"].max() <= 3
    keys = [duplicate_key(text) for text in [*found.rows["text"], *rows()["text"]]]
    assert len(keys) == len(set(keys))
    assert augment(rows(), AugmentSettings(synonyms=1.0)).rows.equals(found.rows)
    assert not augment(rows(), AugmentSettings(synonyms=1.0, seed=14)).rows.equals(found.rows)


def test_shares_are_kept_and_without_an_endpoint_the_rest_waits() -> None:
    many = rows(400)
    found = augment(many, AugmentSettings(synonyms=0.2))
    in_synonyms = set(found.rows["source_id"]) | set(found.refused["source_id"])
    assert 0.14 < len(in_synonyms) / 400 < 0.26
    assert found.left == 400 - len(in_synonyms)


def test_rewrites_are_kept_or_refused_with_the_reason() -> None:
    def answer(text: str, turn: int) -> str | Exception:
        if text == TEXTS[0]:
            return ["<think>想</think>第一种完全不同的说法", "", text + "!"][turn - 1]
        if text == TEXTS[1]:
            return ["长" * 90, "第一种完全不同的说法", "二号改写"][turn - 1]
        return PassingError("http://a: status 500") if text == TEXTS[2] else f"{text[:2]}换{turn}次"

    asker = Fake(answer)
    found = augment(rows(), AugmentSettings(synonyms=0.0), asker=asker)
    assert asker.asked == [text for text in TEXTS for _ in range(3)]
    made = {(row["source_id"], row["text"]) for row in found.rows.to_dicts()}
    assert {("a0", "第一种完全不同的说法"), ("a1", "二号改写")} <= made
    assert len(made) == 2 + 6
    reasons = [(row["source_id"], row["reason"]) for row in found.refused.to_dicts()]
    assert reasons == [
        ("a0", "empty"),
        ("a0", "unchanged"),
        ("a1", "too long"),
        ("a1", "a duplicate"),
        *[("a2", "http://a: status 500")] * 3,
    ]
    assert found.reasons()["http://a: status 500"] == 3


def test_a_rewrite_that_was_cut_off_is_none() -> None:
    def answer(text: str, turn: int) -> str | Answer:
        return Answer(f"<think>想</think>第{turn}种说法的前半", 9, 1024, cut=turn == 1)

    found = augment(rows(1), AugmentSettings(synonyms=0.0, copies=2), asker=Fake(answer))
    assert found.rows["text"].to_list() == ["第2种说法的前半"]
    assert found.refused.select("reason", "text").rows() == [("cut off before its end", "第1种说法的前半")]


def test_the_checker_must_agree() -> None:
    def check(texts: Sequence[str]) -> list[str]:
        return ["利好" if "1" in text else "利空" for text in texts]

    found = augment(
        rows(2),
        AugmentSettings(synonyms=0.0, copies=2),
        asker=Fake(lambda text, turn: f"全新的话{turn}{text[:4]}"),
        check=check,
    )
    assert {(row["source_id"], row["text"][4]) for row in found.rows.to_dicts()} == {("a0", "2"), ("a1", "1")}
    assert found.reasons() == {
        "the checker reads 利好, the row is 利空": 1,
        "the checker reads 利空, the row is 利好": 1,
    }


def test_nothing_that_a_model_is_judged_by_is_made() -> None:
    judged = ["今天财务报告逊于预期,股票价格小幅走低", "无关的另一条测试文本内容"]
    assert HeldOut(judged).match(TEXTS[0]) is None
    found = augment(rows(1), AugmentSettings(synonyms=1.0, words=1.0), judged_by=judged)
    assert found.reasons() == {"near to a held-out text": 1}
    found = augment(rows(1), AugmentSettings(synonyms=1.0, words=0.5), judged_by=judged)
    assert found.rows.height == 3
    found = augment(
        rows(1), AugmentSettings(synonyms=0.0), judged_by=judged, asker=Fake(lambda text, turn: f"{judged[1]}{turn}")
    )
    assert found.reasons() == {"near to a held-out text": 3}


def test_what_is_no_training_split_is_turned_away() -> None:
    with pytest.raises(DataError, match="2 of 5 rows equal texts of valid or test, the first is 'a1': augment a"):
        augment(rows(), AugmentSettings(), judged_by=[TEXTS[1] + "!", TEXTS[3]])


def test_of_a_row_near_to_what_a_model_is_judged_by_nothing_is_made() -> None:
    """`prepare` parts texts of a similarity of 0.7 and more; what is held out is compared at 0.6."""
    judged = TEXTS[1] + ",后市可期待"
    assert HELD_OUT_THRESHOLD < jaccard(ngrams(TEXTS[1]), ngrams(judged)) < CLUSTER_THRESHOLD
    for settings, way in ((AugmentSettings(synonyms=1.0), "synonyms"), (AugmentSettings(synonyms=0.0), "rewrite")):
        asker = Fake(lambda text, turn: f"全新的话{turn}{text[:4]}")
        found = augment(rows(), settings, judged_by=[judged], asker=asker)
        assert set(found.rows["source_id"]) == {"a0", "a2", "a3", "a4"}
        assert found.refused.filter(pl.col("source_id") == "a1").rows() == [
            ("a1", way, "its original is near to a held-out text (Jaccard 0.6 or more)", "")
        ]
        assert TEXTS[1] not in asker.asked
    assert augment(rows(), AugmentSettings(synonyms=0.0), judged_by=[judged]).left == 4


@pytest.mark.parametrize("values", [{"synonyms": -0.1}, {"synonyms": 1.1}, {"words": 2}, {"copies": 0}, {"copies": 21}])
def test_settings_that_mean_nothing(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="allowed"):
        AugmentSettings(**values)  # type: ignore[arg-type]


def test_an_id_that_is_taken_is_not_given_twice() -> None:
    taken = rows(1).vstack(rows(1).with_columns(id=pl.lit("a0-s1"), text=pl.lit("另外一条")))
    found = augment(taken, AugmentSettings(synonyms=1.0))
    assert "a0-s1" not in found.rows["id"].to_list()
    assert found.rows["id"].n_unique() == found.rows.height

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import pytest

from finsa_moe.polarity import Polarity
from finsa_moe.runtime.prediction import Prediction, answer_columns, free_names

ANSWER = Prediction(
    text="回购计划获批",
    sentiment="利好",
    confidence=0.8,
    scores={"bearish": 0.05, "neutral": 0.15, "bullish": 0.8},
    expert="news",
    expert_weights={"news": 0.9, "forum": 0.1},
    seconds=0.01,
)


def test_row_has_the_columns_of_the_format_in_order() -> None:
    row = ANSWER.answers()
    assert list(row) == [
        "sentiment", "confidence", "bearish", "neutral", "bullish", "expert", "expert_weight",
        "weight_news", "weight_forum", "novelty", "truncated", "uncertain",
    ]  # fmt: skip
    assert (row["expert_weight"], row["neutral"], row["truncated"]) == (0.9, 0.15, False)


def test_answer_columns_name_and_type_the_row() -> None:
    types = answer_columns(["news", "forum"])
    answers = ANSWER.answers()
    assert list(types) == list(answers)
    assert answers.pop("novelty") is None
    assert all(isinstance(value, types[name]) for name, value in answers.items())


@pytest.mark.parametrize(
    ("sentiment", "polarity", "label"),
    [
        ("利空", Polarity.BEARISH, "bearish"),
        ("中性", Polarity.NEUTRAL, "neutral"),
        ("利好", Polarity.BULLISH, "bullish"),
    ],
)
def test_the_class_is_a_number_and_an_english_word_too(sentiment: str, polarity: Polarity, label: str) -> None:
    scores = {name: 0.8 if name == label else 0.1 for name in ANSWER.scores}
    answer = replace(ANSWER, sentiment=sentiment, scores=scores)
    assert answer.polarity is polarity
    assert answer.label == label
    for again in (pickle.loads(pickle.dumps(answer)), copy.deepcopy(answer)):
        assert again == answer
        assert again.polarity is polarity
    assert {"polarity", "label"}.isdisjoint(answer.as_dict())


def test_the_label_is_the_one_that_the_service_sends() -> None:
    pytest.importorskip("pydantic", reason="the extra serve is not installed")
    from finsa_moe.service.shapes import wire

    assert wire(ANSWER, scores=False)["label"] == ANSWER.label == "bullish"
    tied = replace(ANSWER, scores={"bearish": 0.4, "neutral": 0.2, "bullish": 0.4})
    assert wire(tied, scores=False)["label"] == tied.label == "bullish"


def test_json_holds_every_field() -> None:
    kept = json.loads(json.dumps(ANSWER.as_dict(), ensure_ascii=False))
    assert kept == {
        "text": "回购计划获批", "sentiment": "利好", "confidence": 0.8,
        "scores": {"bearish": 0.05, "neutral": 0.15, "bullish": 0.8},
        "expert": "news", "expert_weights": {"news": 0.9, "forum": 0.1},
        "novelty": None, "truncated": False, "uncertain": False, "seconds": 0.01,
    }  # fmt: skip


def test_taken_names_are_kept_for_their_owner() -> None:
    names = free_names(["sentiment", "expert"], ["text", "sentiment", "predicted_sentiment"])
    assert names == {"sentiment": "predicted_predicted_sentiment", "expert": "expert"}

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from finsa_moe.errors import ConfigError, DataError, MissingExtra, ModelError
from finsa_moe.explain import explain as room
from finsa_moe.explain.explain import ExplainSettings, explain
from finsa_moe.explain.explanation import Explanation
from finsa_moe.explain.game import HIDDEN
from finsa_moe.explain.judges import Mixture
from finsa_moe.polarity import ENGLISH, Polarity
from tests.explain.test_shapley import by_enumeration
from tests.fakes import fake_finsa, probabilities

pytest.importorskip("shap", reason="the extra explain is not installed")
pytest.importorskip("rjieba", reason="the extra explain is not installed")
TOLERANCE = 1e-6  # the fake engine answers in float32


class Rising:
    """A plain model: the more 涨 the more bullish."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(len(texts))
        up = np.array([min(text.count("涨"), 8) / 10 for text in texts])
        return np.stack([0.1 - up / 10, 0.9 - up * 0.9, up], axis=1)


def test_values_are_those_of_the_expert_that_spoke() -> None:
    """Without 公告 the router would choose the other expert: the first one is held while words are hidden."""
    text = "公告 大涨 跌了"
    (found,) = explain(fake_finsa(), [text])
    names = [word.word for word in found.words]
    worth = {}
    for mask in np.ndindex(*[2] * len(names)):
        shown = "".join(
            text[word.start : word.end] if seen else "\0" for seen, word in zip(mask, found.words, strict=True)
        )
        while "\0\0" in shown:
            shown = shown.replace("\0\0", "\0")
        worth[tuple(map(bool, mask))] = np.array(probabilities(shown.replace("\0", "..."), 0))
    assert (found.expert, found.routed, found.exact) == ("news", True, True)
    np.testing.assert_allclose(found.values, by_enumeration(len(names), worth), atol=TOLERANCE)
    forum = explain(fake_finsa(), [text], domain="forum")[0]
    assert (forum.expert, forum.routed) == ("forum", False)
    assert np.abs(forum.values - found.values).max() > 0.05
    assert {name: list(scores) for name, scores in found.experts.items()} == {
        "news": list(ENGLISH),
        "forum": list(ENGLISH),
    }
    for at, name in enumerate(("news", "forum")):
        np.testing.assert_allclose(list(found.experts[name].values()), probabilities(text, at), atol=TOLERANCE)
    assert found.expert_weights == pytest.approx({"news": 0.7, "forum": 0.3})


@pytest.mark.parametrize("evaluations", [10, 60, 2000])
@pytest.mark.parametrize(
    "text", ["涨", "😀", "。。。", "It's up, 3%!", "這隻股票漲停了", "公告 涨 跌 升 空 平 好 坏 大 小 上 下", "我" * 40]
)
def test_values_add_up(text: str, evaluations: int) -> None:
    finsa = fake_finsa()
    (found,) = explain(finsa, [text], settings=ExplainSettings(evaluations=evaluations))
    answer = finsa.predict(text)
    whole = finsa.predict_proba([text], domain=answer.expert)[0]
    nothing = finsa.predict_proba([HIDDEN], domain=answer.expert)[0]
    np.testing.assert_allclose(found.values.sum(axis=0), whole - nothing, atol=TOLERANCE)
    np.testing.assert_allclose(list(found.scores.values()), whole, atol=1e-7)
    np.testing.assert_allclose(list(found.base.values()), nothing, atol=1e-7)
    assert found.gap < TOLERANCE
    assert found.sentiment == answer.sentiment
    assert found.evaluations <= max(evaluations, 2)


def test_many_texts_are_one_stream_and_as_if_alone() -> None:
    model, texts = Rising(), ["涨 停 了", "大 涨 涨", "跌", "平 盘 整 理"]
    found = explain(model, texts, settings=ExplainSettings(evaluations=100))
    assert len(model.calls) == 1
    assert model.calls[0] == sum(entry.evaluations for entry in found)
    for text, entry in zip(texts, found, strict=True):
        (alone,) = explain(Rising(), [text], settings=ExplainSettings(evaluations=100))
        np.testing.assert_array_equal(entry.values, alone.values)
        assert entry.text == text


def test_portions_do_not_change_a_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{'涨' * (at % 4)} 公告 {'跌' * (at % 3)} 了 {at}" for at in range(7)]
    whole = explain(fake_finsa(), texts, settings=ExplainSettings(evaluations=40))
    monkeypatch.setattr(room, "STREAM", 80)
    for one, other in zip(explain(fake_finsa(), texts, settings=ExplainSettings(evaluations=40)), whole, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


def test_a_text_over_the_limit_is_explained_as_far_as_it_is_read() -> None:
    """The fake engine reads 62 characters: 42 of the head, 20 of the tail; hidden words must not bring the middle back."""
    text = "平高" * 15 + "涨," + "跌落" * 50 + "升" + "平低" * 9
    finsa = fake_finsa()
    (found,) = explain(finsa, [text], settings=ExplainSettings(evaluations=400))
    assert found.truncated
    unread = [word for word in found.words if not word.read]
    assert unread
    assert all(42 - 10 <= word.start < word.end <= len(text) - 20 + 10 for word in unread)
    assert set("".join(word.word for word in unread)) == {"跌", "落"}
    at = [word.read for word in found.words]
    assert not found.values[np.logical_not(at)].any()
    np.testing.assert_allclose(
        found.values.sum(axis=0), finsa.predict_proba([text])[0] - finsa.predict_proba([HIDDEN])[0], atol=TOLERANCE
    )
    best = max(zip(found.words, found.value(Polarity.BULLISH), strict=True), key=lambda pair: pair[1])[0]
    assert set(best.word) & {"涨", "升"}
    endless = explain(finsa, ["x" * 500])[0]
    assert (len(endless.words), endless.truncated, endless.exact) == (1, True, True)


def test_the_model_says_what_stands_for_hidden_words() -> None:
    assert Mixture(fake_finsa().predictor).hidden == HIDDEN  # [MASK] is six tokens to it
    (found,) = explain(fake_finsa(), ["公告 大涨"], settings=ExplainSettings(hidden="涨"))
    np.testing.assert_allclose(list(found.base.values()), probabilities("涨", 0), atol=TOLERANCE)


def test_what_cannot_be_explained() -> None:
    with pytest.raises(DataError, match=r"text 1 .* is empty"):
        explain(fake_finsa(), ["涨", ""])
    with pytest.raises(DataError, match=r"text 5 \(counted from 0\) is empty"):  # two texts are asked at a time
        explain(fake_finsa(), ["涨"] * 5 + [""])
    with pytest.raises(DataError, match=r"text 0 .* holds nothing"):
        explain(Rising(), [" \n"])
    with pytest.raises(DataError, match="domain 'new' is not in this mixture"):
        explain(fake_finsa(), ["涨"], domain="new")
    with pytest.raises(ConfigError, match="this model has none"):
        explain(Rising(), ["涨"], domain="news")
    with pytest.raises(ConfigError, match="evaluations is 2"):
        explain(Rising(), ["涨"], settings=ExplainSettings(evaluations=2))
    with pytest.raises(ConfigError, match="object has no predict_proba"):
        explain(object(), ["涨"])
    assert explain(Rising(), []) == []


@pytest.mark.parametrize("probs", [np.zeros((2, 2)), np.full((2, 3), np.nan), np.zeros(2)])
def test_a_model_that_gives_no_probabilities(probs: np.ndarray) -> None:
    class Bad:
        def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
            return probs

    with pytest.raises(ModelError, match=r"Bad.predict_proba gave .* for 2 texts.*\(n, 3\)"):
        explain(Bad(), ["涨"])


def test_the_face_explains_one_or_many() -> None:
    finsa = fake_finsa()
    one = finsa.explain("公告 大涨", evaluations=50, seed=1)
    assert isinstance(one, Explanation)
    assert [e.text for e in finsa.explain(["涨", "跌"], domain="news")] == ["涨", "跌"]
    assert one.top(1)[0][0].word in ("涨", "大涨")
    assert one.top(9, Polarity.BEARISH) == sorted(one.top(9, Polarity.BEARISH), key=lambda pair: -abs(pair[1]))


def test_an_explanation_survives_json() -> None:
    found = explain(fake_finsa(), ["公告 大涨," + "跌" * 100], settings=ExplainSettings(evaluations=99))[0].rounded()
    again = Explanation.from_dict(json.loads(json.dumps(found.as_dict())))
    assert again.as_dict() == found.as_dict()
    np.testing.assert_array_equal(again.values, found.values)
    assert again.words == found.words


@pytest.mark.parametrize("module", ["shap", "rjieba"])
def test_without_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from finsa_moe.explain import words

    monkeypatch.setitem(sys.modules, module, None)
    words._cutter.cache_clear()
    with pytest.raises(MissingExtra, match=rf"needs {module}.*pip install '\.\[explain\]'"):
        fake_finsa().explain("涨 停")

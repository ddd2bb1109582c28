from __future__ import annotations

import math
import tomllib
from collections import Counter

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from finsa_moe.errors import DataError
from finsa_moe.evaluation.baselines.lexicon import LexiconBaseline
from finsa_moe.evaluation.baselines.word_scores import FILE, Lexicon, Modifier

SMALL = Lexicon(
    strengths={"涨": 2.0, "涨停": 3.0, "跌": -2.0, "亏损": -2.0, "涨跌": 0.0, "回落": -1.0},
    leading={"不": Modifier(-0.5, 2), "大": Modifier(2.0, 1), "终止": Modifier(-1.0, 3)},
    fading={"收窄": Modifier(-1.0, 1), "回落": Modifier(-1.0, 1)},
    reversal=frozenset({"但"}),
    before=0.5,
    after=1.5,
)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("今天涨了", [2]),
        ("涨停", [3]),  # the longest word wins
        ("涨跌不一", []),  # and may undo a shorter one
        ("不涨", [-1]),
        ("不会涨", [-1]),
        ("不知道会涨", [2]),  # out of reach
        ("不,涨", [2]),  # another clause
        ("不涨不跌", [-1, 1]),
        ("不涨反跌", [-1, -2]),  # a negation is spent on the first word
        ("大涨", [4]),
        ("不大涨", [-2]),  # 2 · 2 · -0.5
        ("终止亏损", [2]),
        ("亏损收窄", [2]),
        ("亏损回落", [2]),  # it fades what stands right before it
        ("股价回落", [-1]),  # and is a word of its own elsewhere
        ("涨,但跌", [1, -3]),
        ("涨。但跌", [2, -3]),  # reversal stays in its sentence
        ("跌", [-2]),
        ("漲", [2]),  # normalised first
        ("", []),
    ],
)
def test_weights_by_hand(text: str, weights: list[float]) -> None:
    assert [hit.weight for hit in SMALL.hits(text)] == pytest.approx(weights)


def test_a_hit_says_where() -> None:
    (hit,) = SMALL.hits("  今天 涨停了")
    assert (hit.word, hit.start, hit.end) == ("涨停", 3, 5)


def test_the_packaged_lexicon() -> None:
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    words = [word for group in table["group"] for word in group["words"].split()]
    assert not [word for word, count in Counter(words).items() if count > 1]
    polar = [w for g in table["group"] if g["polarity"] != "none" for w in g["words"].split()]
    assert len(polar) >= 600
    assert {g["strength"] for g in table["group"]} <= {1, 2, 3}
    assert {g["polarity"] for g in table["group"]} == {"bullish", "bearish", "none"}
    for part in (table["negation"], table["turning"], table["fading"], table["reversal"], *table["degree"]):
        listed = part["words"].split()
        assert len(listed) == len(set(listed))
    # a leading word that is polar, too, would never lead
    leading = set(Lexicon.read().leading)
    assert not leading & set(polar)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("公司净利润同比下降六成", -1),
        ("并非利好", -1),
        ("没有下跌", 1),
        ("难以上涨", -1),
        ("跌幅收窄", 1),
        ("终止重组", -1),
        ("成功扭亏为盈", 1),
        ("化解了流动性危机", 1),
        ("涨势不错,但是明天要跌停", -1),
        ("主力又在砸盘,真想割肉走人", -1),
        ("利好出尽", -1),
        ("拿稳了,主升浪刚开始", 1),
        ("未来三天召开股东会", 0),
    ],
)
def test_the_packaged_lexicon_reads(text: str, sign: int) -> None:
    total = sum(hit.weight for hit in Lexicon.read().hits(text))
    assert np.sign(total) == sign, Lexicon.read().hits(text)


def test_the_fixed_softmax_by_hand() -> None:
    model = LexiconBaseline("fixed")
    assert model.fit(["x"], [0]) is model  # it learns nothing, and needs no rows
    model.lexicon = SMALL
    up = math.exp(2 * math.log(1 + 2))
    total = 1 + math.exp(1.5) + up
    np.testing.assert_allclose(model.predict_proba(["涨"]), [[1 / total, math.exp(1.5) / total, up / total]], rtol=1e-5)
    assert model.predict_proba(["好的"]).argmax() == 1
    assert model.predict_proba([]).shape == (0, 3)


def test_the_fitted_softmax_is_scikit_learns() -> None:
    texts = ["涨停", "涨", "大涨", "跌", "大跌", "亏损", "开会", "公告", "涨跌", "涨,但跌"]
    labels = [2, 2, 2, 0, 0, 0, 1, 1, 1, 1]
    model = LexiconBaseline()
    model.lexicon = SMALL
    sums = [[0, 3], [0, 2], [0, 4], [2, 0], [4, 0], [2, 0], [0, 0], [0, 0], [0, 0], [3, 1]]
    theirs = LogisticRegression(C=100.0, class_weight="balanced", max_iter=1000).fit(np.log1p(sums), labels)
    np.testing.assert_allclose(
        model.fit(texts, labels).predict_proba(texts), theirs.predict_proba(np.log1p(sums)), atol=1e-5
    )
    with pytest.raises(DataError, match="call fit"):
        LexiconBaseline().predict_proba(["涨"])

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline

WORDS = {"利好": "涨升增盈喜", "利空": "跌亏减损忧", "中性": "平公告会议"}


def rows(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts of eight characters, two thirds drawn from their class's five, the rest from all."""
    rng = random.Random(seed)
    every = "".join(WORDS.values())
    labels = [rng.choice(list(WORDS)) for _ in range(count)]
    return ["".join(rng.choice(WORDS[y] if rng.random() < 0.5 else every) for _ in range(8)) for y in labels], labels


def test_equals_the_pipeline_of_scikit_learn() -> None:
    texts, labels = rows(200, 1)
    others, _ = rows(50, 2)
    texts, others = ([normalise(text) for text in some] for some in (texts, others))  # random ones hold long runs
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True, dtype=np.float32)
    theirs = make_pipeline(vectorizer, LogisticRegression(C=4.0, max_iter=1000))
    ids = [["利空", "中性", "利好"].index(y) for y in labels]
    ours = TfidfBaseline(grid=(4.0,)).fit(texts, labels)
    np.testing.assert_allclose(ours.predict_proba(others), theirs.fit(texts, ids).predict_proba(others), atol=1e-5)
    assert ours.predict_proba([]).shape == (0, 3)


def test_the_support_vector_machine_predicts_as_the_pipeline_of_scikit_learn() -> None:
    texts, labels = rows(200, 1)
    others, wanted = rows(60, 2)
    texts, others = [normalise(text) for text in texts], [normalise(text) for text in others]
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True, dtype=np.float32)
    theirs = make_pipeline(vectorizer, LinearSVC(C=0.3, class_weight="balanced", random_state=13))
    ids = [["利空", "中性", "利好"].index(y) for y in labels]
    theirs.fit(texts, ids)
    ours = TfidfBaseline("svm", grid=(0.3,)).fit(texts, labels, dev=(others, wanted))
    probs = ours.predict_proba(others)
    np.testing.assert_array_equal(probs.argmax(axis=1), theirs.predict(others))
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-6)
    # one number scales all margins: the logs' differences are proportional to the margins' own
    margins = theirs.decision_function(others)
    ratio = (np.log(probs[:, 0]) - np.log(probs[:, 2])) / (margins[:, 0] - margins[:, 2])
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    truth = [["利空", "中性", "利好"].index(y) for y in wanted]
    best = minimize_scalar(
        lambda scale: -log_softmax(scale * margins, axis=1)[np.arange(len(truth)), truth].mean(), bounds=(0.2, 20)
    )
    assert ratio[0] == pytest.approx(best.x, rel=0.07)  # the grid's step
    unscaled = TfidfBaseline("svm", grid=(0.3,)).fit(texts, labels).predict_proba(others)
    np.testing.assert_allclose(unscaled, softmax(margins, axis=1), atol=1e-4)


def test_two_classes_are_enough_for_the_support_vector_machine() -> None:
    texts = ["涨涨", "涨升", "跌跌", "跌亏"]
    probs = TfidfBaseline("svm").fit(texts, ["利好", "利好", "利空", "利空"]).predict_proba(["涨涨", "跌跌"])
    assert probs[:, 1].tolist() == [0, 0]
    assert probs.argmax(axis=1).tolist() == [2, 0]


def test_learns_and_chooses_c_on_the_rows_given() -> None:
    texts, labels = rows(300, 3)
    valid = rows(100, 4)
    baseline = TfidfBaseline().fit(texts, labels, dev=valid)
    assert baseline.c in (1.0, 4.0, 16.0)
    reached = {}
    for c in (1.0, 4.0, 16.0):
        alone = TfidfBaseline(grid=(c,)).fit(texts, labels)
        said = alone.predict_proba(valid[0]).argmax(axis=1)
        reached[c] = float(np.mean([["利空", "中性", "利好"][p] == y for p, y in zip(said, valid[1], strict=True)]))
    # macro-F1 and accuracy agree on these balanced classes to within a hair: the choice is never a poor one
    assert reached[baseline.c] >= max(reached.values()) - 0.02
    assert max(reached.values()) > 0.8
    assert TfidfBaseline().fit(texts, labels).c == 4.0


def test_a_class_never_seen_has_no_probability() -> None:
    texts = ["涨涨", "涨升", "跌跌", "跌亏"]
    probs = TfidfBaseline().fit(texts, ["利好", "利好", "利空", "利空"]).predict_proba(["涨涨", "跌跌"])
    assert probs[:, 1].tolist() == [0, 0]
    assert probs.argmax(axis=1).tolist() == [2, 0]


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match=r"1 class"):
        TfidfBaseline().fit(["涨", "升"], ["利好", "利好"])
    with pytest.raises(DataError, match="row 1"):
        TfidfBaseline().fit(["涨", "升"], ["利好", "1?"])
    with pytest.raises(DataError, match="call fit"):
        TfidfBaseline().predict_proba(["涨"])


def test_many_texts_are_answered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = ["涨停了", "大涨", "跌停了", "大跌"], ["利好", "利好", "利空", "利空"]
    model = TfidfBaseline("lr").fit(texts, labels)
    whole = model.predict_proba(texts * 3)
    monkeypatch.setattr("finsa_moe.evaluation.baselines.tfidf.AT_ONCE", 5)
    np.testing.assert_array_equal(model.predict_proba(texts * 3), whole)

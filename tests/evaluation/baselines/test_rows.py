from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from finsa_moe.errors import DataError
from finsa_moe.evaluation.baselines.majority import Majority
from finsa_moe.evaluation.baselines.rows import checked, macro_f1, with_dev


def test_rows_set_aside_are_every_twentieth_of_a_class_and_never_learnt_from() -> None:
    texts, truth = [f"t{i}" for i in range(300)], np.repeat([0, 1, 2], [200, 60, 40])
    own, labels, (others, wanted) = with_dev(texts, truth, None, seed=3)
    assert sorted(own + others) == sorted(texts)
    assert np.bincount(wanted).tolist() == [10, 3, 2]
    place = dict(zip(texts, truth, strict=True))
    assert [place[t] for t in own] == labels.tolist()
    assert [place[t] for t in others] == wanted.tolist()
    assert others != with_dev(texts, truth, None, seed=4)[2][0]
    assert others == with_dev(texts, truth, None, seed=3)[2][0]


def test_rows_given_to_choose_by_leave_all_others_to_learn() -> None:
    own, labels, (others, wanted) = with_dev(["a", "b"], np.array([0, 2]), (["c"], ["中性"]), seed=1)
    assert (own, labels.tolist(), others, wanted.tolist()) == (["a", "b"], [0, 2], ["c"], [1])


def test_a_class_of_one_row_stays_to_be_learnt() -> None:
    own, labels, _ = with_dev(["a", "b", "c"], np.array([0, 0, 2]), None, seed=1)
    assert 2 in labels
    assert "c" in own


def test_labels_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="2 texts and 1 labels"):
        checked(["a", "b"], [0])
    with pytest.raises(DataError, match=r"1 class\(es\); it needs 2"):
        checked(["a", "b"], [0, 0])
    with pytest.raises(DataError, match="row 1"):
        checked(["a", "b"], [0, 3])
    assert checked(["a", "b"], ["利好", "bearish"])[1].tolist() == [2, 0]


def test_macro_f1_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, probs = rng.integers(0, 3, 200), rng.random((200, 3))
    assert macro_f1(truth, probs) == pytest.approx(f1_score(truth, probs.argmax(1), average="macro"))


def test_majority_answers_the_shares() -> None:
    model = Majority().fit(["a", "b", "c", "d"], np.array([2, 0, 2, 2]))
    np.testing.assert_allclose(model.predict_proba(["x", "y"]), [[0.25, 0, 0.75]] * 2)
    assert model.predict_proba([]).shape == (0, 3)
    with pytest.raises(DataError, match="call fit"):
        Majority().predict_proba(["x"])
    with pytest.raises(DataError):
        Majority().fit([], [])

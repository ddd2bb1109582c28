"""What an added expert is worth, beside those that were there and TF-IDF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from finsa_moe.cli.grown import show_worth
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.face import load
from finsa_moe.judging import worth
from finsa_moe.judging.grown import Checked
from finsa_moe.polarity import NAMES
from finsa_moe.training.batches import Rows
from tests.conftest import Trained
from tests.families import made_rows

pytestmark = pytest.mark.usefixtures("one_thread")
LEARNT = Rows(Path("train.csv"), *map(list, zip(*made_rows("forum", 40, seed=1), strict=True)))
JUDGED = [row for row in made_rows("forum", 60, seed=2) if row[1] != 1]  # of two classes


def test_each_answers_the_same_rows(trained: Callable[[str], Trained], monkeypatch: pytest.MonkeyPatch) -> None:
    """Old experts are as they answer, the best of them is named; macro-F1 is over the rows' own classes."""
    folder = trained("modernbert").joint
    judged = Checked([text for text, _ in JUDGED], [NAMES[label] for _, label in JUDGED])
    found = worth.beside(folder, "forum", judged, LEARNT, "cpu")
    assert (found.rows, found.of) == (40, 40)
    baseline = TfidfBaseline("svm").fit(LEARNT.texts, LEARNT.labels)
    said = [load(folder, device="cpu").predict_proba(judged.texts, domain=name) for name in ("forum", "news")]
    truth = [label for _, label in JUDGED]
    for (who, macro_f1), probs in zip(found.by.items(), [*said, baseline.predict_proba(judged.texts)], strict=True):
        wanted = f1_score(truth, probs.argmax(1), average="macro", labels=[0, 2], zero_division=0)
        assert macro_f1 == pytest.approx(100 * wanted), who
    assert list(found.by)[:2] == ["the new expert, forum", "the best old expert, news"]
    monkeypatch.setattr(worth, "MOST", 7)
    assert (worth.beside(folder, "forum", judged, LEARNT, "cpu").rows, found.of) == (7, 40)


def test_the_table_says_which_rows(capsys: pytest.CaptureFixture[str]) -> None:
    show_worth(Path("d/test.csv"), worth.Beside({"the new expert, [b]": 91.25}, 500, 1200))
    assert "on 500 of 1,200 rows of test.csv" in (said := capsys.readouterr().out)
    assert "the new expert, [b]" in said
    show_worth(Path("d/valid.csv"), worth.Beside({}, 60, 60))
    assert "on 60 rows of valid.csv, by which a checkpoint may have been chosen" in capsys.readouterr().out

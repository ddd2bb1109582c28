"""The cross-domain matrix and routing of a comparison, against numbers put in by hand and scikit-learn's."""

from __future__ import annotations

import html
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.comparison.cells import Answers, Cell
from finsa_moe.evaluation.comparison.comparison import POOLED, Comparison, TestSet
from finsa_moe.evaluation.comparison.experts import matrices, with_forms
from finsa_moe.evaluation.comparison.page import page
from finsa_moe.evaluation.comparison.scoring import compare
from finsa_moe.evaluation.comparison.tables import markdown, unranked_lines

RNG = np.random.default_rng(4)
SETS = [
    TestSet(name, name.partition("/")[0], [f"{name} {at}" for at in range(60)], RNG.integers(0, 3, 60), np.arange(60),
            np.zeros(60, dtype=np.bool_))
    for name in ("news", "forum/late")
]  # fmt: skip
SENT = {"news": ["news"] * 55 + ["forum"] * 5, "forum/late": ["news"] * 12 + ["forum"] * 48}


def answers(right: float, *, routed: bool = False) -> Answers:
    probs = {}
    for one in SETS:
        said = np.where(RNG.random(60) < right, one.truth, RNG.integers(0, 3, 60))
        probs[one.name] = np.eye(3, dtype=np.float32)[said] * 0.7 + 0.1
    return Answers(probs, SENT if routed else {})


FORMS = ("finsa:m", "finsa:m?run=news", "finsa:m?run=forum", "finsa:m?run=oracle", "finsa:m?gate=soft", "majority")
FOUND = {Cell(form, None): answers(0.9 - 0.1 * at, routed=form == "finsa:m") for at, form in enumerate(FORMS)}


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(SETS, FOUND, reference="finsa:m", resamples=50)


def test_rows_are_experts_then_router_then_oracle(found: Comparison) -> None:
    (matrix,) = matrices(found)
    assert matrix.mixture == "finsa:m"
    assert dict(matrix.forms) == {"news": FORMS[1], "forum": FORMS[2], "routed": FORMS[0], "oracle": FORMS[3]}
    assert list(matrix.forms) == ["news", "forum", "routed", "oracle"]
    for row, of in matrix.values(found).items():
        for one in SETS:
            said = FOUND[Cell(matrix.forms[row], None)].probs[one.name].argmax(1)
            assert of[one.name] == pytest.approx(f1_score(one.truth, said, average="macro"))


def test_no_matrix_of_one_form() -> None:
    alone = compare(SETS, {Cell(FORMS[1], None): FOUND[Cell(FORMS[1], None)]}, reference=FORMS[1], resamples=5)
    assert matrices(alone) == ()


def test_what_is_added_to_a_comparison() -> None:
    def experts(_: object) -> list[str]:
        return ["news", "forum"]

    asked = ["tfidf-lr", "finsa?run=news"]
    assert with_forms(asked, experts, ["news", "forum"]) == [*asked, "finsa", "finsa?run=forum", "finsa?run=oracle"]
    assert with_forms(["finsa:m"], experts, ["news", "sports"]) == ["finsa:m", "finsa:m?run=news", "finsa:m?run=forum"]
    assert with_forms(list(FORMS), experts, ["news"]) == list(FORMS)
    with pytest.raises(ConfigError, match=r"--matrix: no mixture among the models \(majority\); add --model finsa:DIR"):
        with_forms(["majority"], experts, ["news"])


def test_where_texts_were_sent(found: Comparison) -> None:
    assert found.sent("finsa:m") == {"news": {"news": 55, "forum": 5}, "forum/late": {"news": 12, "forum": 48}}
    assert found.sent("majority") == {}
    assert found.entries["finsa:m"]["forum/late"].routing == pytest.approx(48 / 60)


def test_the_best_was_asked_for_and_not_told_the_domain() -> None:
    """The oracle and a form of the matrix would be ahead, and their differences from the reference sure."""
    rights = {"finsa:m": 0.7, "finsa:m?run=oracle": 1.0, "majority": 0.1, "finsa:m?run=news": 0.95}
    cells = {Cell(form, None): answers(right) for form, right in rights.items()}
    beside = compare(SETS, cells, reference="majority", added=["finsa:m?run=news"], resamples=50)
    assert beside.ranked == ("finsa:m", "majority")
    assert {beside.leader, beside.best("news"), beside.best(POOLED)} == {"finsa:m"}
    assert beside.as_dict()["ranked"] == ["finsa:m", "majority"]
    shown, table = page(beside), markdown(beside)
    told = "Not ranked, since added for the matrix or told each text's domain: finsa:m?run=oracle, finsa:m?run=news."
    assert told in table
    assert html.escape(told) in shown
    for fact in ("<b>finsa:m</b><span>reached by", "<b>2 of 2</b><span>differences from majority that are sure"):
        assert fact in shown
    assert table.count("**") == 2 * len(beside.slices)
    rows = shown.partition("<h2>Differences</h2>")[0].split("</tr>")
    assert {">finsa:m<" in row for row in rows if 'class="num best"' in row} == {True}
    alone = compare(SETS, {Cell("finsa:m?run=oracle", None): answers(0.9)}, reference="finsa:m?run=oracle", resamples=5)
    assert alone.leader == "finsa:m?run=oracle"


def test_a_baseline_of_one_model_a_domain_is_told_the_domain_too() -> None:
    rights = {"tfidf-svm": 0.7, "tfidf-svm?per=domain": 1.0, "majority": 0.1}
    found = compare(SETS, {Cell(m, None): answers(r) for m, r in rights.items()}, reference="tfidf-svm", resamples=5)
    assert found.ranked == ("tfidf-svm", "majority")
    assert {found.leader, *map(found.best, found.slices)} == {"tfidf-svm"}
    (told,) = unranked_lines(found)
    assert told.endswith("told each text's domain: tfidf-svm?per=domain.")


def test_who_is_not_ranked_is_not_shown_as_the_best_where_it_ties() -> None:
    own = answers(0.7)
    cells = {Cell(form, None): own for form in ("finsa:m", "finsa:m?run=oracle")}
    tied = compare(SETS, {**cells, Cell("majority", None): answers(0.1)}, reference="finsa:m", resamples=5)
    rows = page(tied).partition("<h2>Differences</h2>")[0].split("</tr>")
    best = [row for row in rows if 'class="num best"' in row]
    assert {">finsa:m<" in row for row in best} == {True}
    assert len(best) == len(tied.slices), "of the method's metrics on each set"


def test_an_expert_without_texts_stands_in_every_row() -> None:
    sent = {"news": ["risk"] * 60, "forum/late": ["forum"] * 60}
    one = compare(SETS, {Cell("finsa", None): Answers(answers(0.5).probs, sent)}, reference="finsa", resamples=5)
    assert one.sent("finsa") == {"news": {"forum": 0, "risk": 60}, "forum/late": {"forum": 60, "risk": 0}}


def test_the_report_shows_them(found: Comparison) -> None:
    shown = page(found)
    assert "<h2>Experts across domains: finsa:m</h2>" in shown
    values = matrices(found)[0].values(found)
    assert f">{100 * values['oracle']['news']:.1f}<" in shown
    assert "news 67 · forum 53" not in shown  # use is told in shares
    assert f"news {100 * 67 / 120:.1f} % · forum {100 * 53 / 120:.1f} %" in shown
    table = markdown(found)
    assert "| forum/late | 12 | 48 |" in table
    assert f"| routed | {100 * values['routed']['news']:.1f} | {100 * values['routed']['forum/late']:.1f} |" in table


def test_forms_bear_the_name_of_their_mixture(found: Comparison) -> None:
    named = replace(found, names={"finsa:m": "ours"})
    assert [named.called(form) for form in FORMS[:3]] == ["ours", "ours?run=news", "ours?run=forum"]
    assert "<h2>Experts across domains: ours</h2>" in page(named)
    assert "Macro-F1 of `ours` by who answers:" in markdown(named)

"""The behavioural cases, and what a predictor makes of them.

`cases.csv` in, checked cases out; cases and a predictor in, a `Result` with pass rates and failures out. It knows
nothing of models: a predictor is any function from texts to the names 利空, 中性 and 利好.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from finsa_moe.errors import DataError
from finsa_moe.polarity import NAMES

CASES = Path(__file__).with_name("cases.csv")
COLUMNS = ("skill", "kind", "domain", "text", "other", "expect", "note")
SKILLS = (
    "negation", "comparison", "numbers", "irony", "slang",
    "hedging", "conditional", "two_sided", "entity_swap", "noise",
)  # fmt: skip
DOMAINS = ("news", "forum")
# What `expect` may say for each kind; a flip goes from one pole to the other.
EXPECT = {"polarity": NAMES, "invariance": ("",), "flip": ("利好>利空", "利空>利好")}

Predict = Callable[[list[str]], Sequence[str]]


@dataclass(frozen=True)
class Case:
    """One row of the suite; `line` is where it ends in the file."""

    skill: str
    kind: str
    domain: str
    text: str
    other: str
    expect: str
    note: str
    line: int

    @property
    def texts(self) -> tuple[str, ...]:
        """What a predictor is asked: one text, or the two of an invariance or a flip."""
        return (self.text, self.other) if self.other else (self.text,)

    @property
    def expected(self) -> tuple[str, ...]:
        """The polarity of each text, in the order of `texts`; empty for an invariance, which names none."""
        return tuple(self.expect.split(">")) if self.expect else ()

    def passes(self, answers: Sequence[str]) -> bool:
        """Whether the answers to `texts` are what the case asks for."""
        return answers[0] == answers[1] if self.kind == "invariance" else tuple(answers) == self.expected


@dataclass(frozen=True)
class Outcome:
    """A case and the polarities that a predictor gave its texts."""

    case: Case
    answers: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the case passed."""
        return self.case.passes(self.answers)


@dataclass(frozen=True)
class Result:
    """Every outcome of one predictor, in the order of the cases."""

    outcomes: tuple[Outcome, ...]

    def rate(self, **where: str) -> float:
        """The share of cases that passed, 0 to 1.

        Args:
            where: Fields a case must have, as in ``rate(skill="irony", kind="flip")``; none takes all cases.

        Raises:
            ValueError: If no case is like that.
        """
        chosen = list(self._like(where))
        if not chosen:
            raise ValueError(f"no case has {where or 'been scored'}")
        return sum(outcome.passed for outcome in chosen) / len(chosen)

    def by_skill(self) -> dict[str, float]:
        """The pass rate of each skill that was scored."""
        found = {outcome.case.skill for outcome in self.outcomes}
        return {skill: self.rate(skill=skill) for skill in SKILLS if skill in found}

    def failures(self, **where: str) -> tuple[Outcome, ...]:
        """The cases that failed, chosen as in `rate`."""
        return tuple(outcome for outcome in self._like(where) if not outcome.passed)

    def table(self) -> str:
        """Skills, cases passed, cases and rates as a Markdown table; the last line is all of them."""
        rows = ["| skill | passed | cases | rate |", "|---|---:|---:|---:|"]
        for name, where in [*((skill, {"skill": skill}) for skill in self.by_skill()), ("all", {})]:
            cases = len(list(self._like(where)))
            rows.append(f"| {name} | {cases - len(self.failures(**where))} | {cases} | {self.rate(**where):.1%} |")
        return "\n".join(rows)

    def _like(self, where: dict[str, str]) -> Iterator[Outcome]:
        return (o for o in self.outcomes if all(getattr(o.case, name) == value for name, value in where.items()))


def read_cases(path: Path = CASES) -> list[Case]:
    """Read and check a file of cases.

    Raises:
        DataError: If a column, a skill, a kind, a domain, a text or an expectation is not as the README says.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise DataError(f"{path.name}: columns are {rows.fieldnames}; the header must be {','.join(COLUMNS)}")
        return [_checked(row, f"{path.name}, line {rows.line_num}", rows.line_num) for row in rows]


def _checked(row: dict[str, str], place: str, line: int) -> Case:
    if set(row) != set(COLUMNS) or None in row.values():
        raise DataError(f"{place}: not {len(COLUMNS)} cells; quote a cell that holds a comma")
    for name, allowed in (("skill", SKILLS), ("kind", tuple(EXPECT)), ("domain", DOMAINS)):
        if row[name] not in allowed:
            raise DataError(f"{place}: {name} is {row[name]!r}; write one of {', '.join(allowed)}")
    if row["expect"] not in EXPECT[row["kind"]]:
        raise DataError(f"{place}: a case of kind {row['kind']} cannot expect {row['expect']!r}")
    if not row["text"].strip() or bool(row["other"].strip()) == (row["kind"] == "polarity"):
        raise DataError(f"{place}: a polarity case has a text alone, an invariance and a flip have text and other")
    return Case(**row, line=line)


def score(cases: Sequence[Case], predict: Predict) -> Result:
    """Ask a predictor every text of the cases once, in one call, and compare.

    Raises:
        ValueError: If it does not answer each text with 利空, 中性 or 利好.
    """
    texts = list(dict.fromkeys(text for case in cases for text in case.texts))
    answers = list(predict(texts))
    if len(answers) != len(texts) or not set(answers) <= set(NAMES):
        raise ValueError(f"{len(texts)} texts got {len(answers)} answers of {sorted(map(str, set(answers)))[:5]}")
    given = dict(zip(texts, answers, strict=True))
    return Result(tuple(Outcome(case, tuple(given[text] for text in case.texts)) for case in cases))

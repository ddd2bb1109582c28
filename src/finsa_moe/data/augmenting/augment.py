"""New rows made of a training split's: in synonyms, or put in other words by a language model; each names its original.

Rows go in, new rows and refused ones come out. What would leak is never made: a split that shares texts with those a
model is judged by is turned away, nothing is made of a row near to one of them, and no new row is near to one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from finsa_moe.data.augmenting.rewriting import bare, messages, unusable
from finsa_moe.data.augmenting.synonyms import replaced
from finsa_moe.data.duplicates.held_out import HELD_OUT_THRESHOLD, HeldOut
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError, DataError, EndpointError
from finsa_moe.llm.endpoint import Answer, Message

MADE = pl.Schema(
    {"id": pl.String, "text": pl.String, "label": pl.String, "domain": pl.String, "source_id": pl.String,
     "made_by": pl.String}
)  # fmt: skip
REFUSED = pl.Schema({"source_id": pl.String, "made_by": pl.String, "reason": pl.String, "text": pl.String})
NEAR = f"its original is near to a held-out text (Jaccard {HELD_OUT_THRESHOLD} or more)"
CUT = "cut off before its end"
_DRAWS = 4  # times as many draws as new rows are wanted
Check = Callable[[Sequence[str]], list[str]]


class Asker(Protocol):
    """What asks a language model (`llm.client.Client`)."""

    def ask_all(self, asked: Iterator[Sequence[Message]]) -> Iterator[tuple[int, Answer | EndpointError]]:
        """Answers by number, as they come."""
        ...


@dataclass(frozen=True)
class AugmentSettings:
    """How rows are made.

    Attributes:
        synonyms: Share of the rows that are put in synonyms; the others are rewritten (the paper: 0.2).
        copies: Most new rows of each row (the paper: 3).
        words: Share of a text's replaceable words that is replaced.
        seed: Another seed, other words.
    """

    synonyms: float = 0.2
    copies: int = 3
    words: float = 0.3
    seed: int = 13

    def __post_init__(self) -> None:
        for name in ("synonyms", "words"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} {getattr(self, name):g}: allowed is a share from 0 to 1")
        if not 1 <= self.copies <= 20:
            raise ConfigError(f"copies {self.copies}: allowed are 1 to 20")


@dataclass
class Augmented:
    """What was made.

    Attributes:
        rows: New rows (`MADE`): ``made_by`` is ``synonyms`` or ``rewrite``.
        refused: What was made and not kept, or not made at all (`REFUSED`).
        left: Rows that were to be rewritten, when there was no endpoint to ask.
    """

    rows: pl.DataFrame
    refused: pl.DataFrame
    left: int

    def reasons(self) -> dict[str, int]:
        """How many were refused by reason, the most frequent first."""
        return dict(Counter(self.refused["reason"].to_list()).most_common())


@dataclass
class _Work:
    """Keeps what may be kept, in the order it is offered."""

    known: set[str]
    ids: set[str]
    judged_by: HeldOut | None
    made: list[tuple[str, ...]] = field(default_factory=list)
    refused: list[tuple[str, str, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def why_not(self, text: str) -> str | None:
        """Why a text may not be kept, None when it may."""
        if duplicate_key(text) in self.known:
            return "a duplicate"
        if self.judged_by is not None and self.judged_by.match(text) is not None:
            return "near to a held-out text"
        return None

    def keep(self, row: dict[str, str], text: str, made_by: str) -> None:
        """Keep a new row under an id of its own."""
        self.known.add(duplicate_key(text))
        name = row["id"]
        while name in self.ids:
            self.counts[row["id"]] += 1
            name = f"{row['id']}-{made_by[0]}{self.counts[row['id']]}"
        self.ids.add(name)
        self.made.append((name, text, row["label"], row["domain"], row["id"], made_by))


def augment(
    rows: pl.DataFrame,
    settings: AugmentSettings,
    *,
    judged_by: Sequence[str] = (),
    asker: Asker | None = None,
    check: Check | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Augmented:
    """Make new rows of a training split.

    Args:
        rows: ``id`` (unique), ``text``, ``label`` and ``domain``.
        settings: How.
        judged_by: Texts a model is going to be judged by: the set's valid and test.
        asker: Asks the language model; None makes no rewrites.
        check: Gives the polarity (利空, 中性 or 利好) of texts; a rewrite that it reads otherwise than its label is
            refused.
        progress: Called with the step, what is done and what there is in all.

    Raises:
        DataError: If rows equal a text of `judged_by`: this is no training split of that set.
        EndpointError: If the endpoint refuses for good.
    """
    _refuse_judged(rows, judged_by)
    held = HeldOut(judged_by) if judged_by else None
    work = _Work({duplicate_key(text) for text in rows["text"]}, set(rows["id"]), held)
    in_synonyms: list[dict[str, str]] = []
    to_rewrite: list[dict[str, str]] = []
    for row in rows.select("id", "text", "label", "domain").to_dicts():
        chosen = random.Random(f"{settings.seed} {row['id']}").random() < settings.synonyms
        if held is not None and held.match(row["text"]) is not None:
            # A split may hold it, since prepare cuts at a higher similarity; reworded it would give that text away.
            work.refused.append((row["id"], "synonyms" if chosen else "rewrite", NEAR, ""))
            continue
        (in_synonyms if chosen else to_rewrite).append(row)
    for done, row in enumerate(in_synonyms, 1):
        _put_in_synonyms(row, settings, work)
        if progress is not None:
            progress("synonyms", done, len(in_synonyms))
    if asker is not None:
        _rewrite(to_rewrite, settings, work, asker, check, progress)
    return Augmented(
        pl.DataFrame(work.made, schema=MADE, orient="row"),
        pl.DataFrame(work.refused, schema=REFUSED, orient="row"),
        len(to_rewrite) if asker is None else 0,
    )


def _refuse_judged(rows: pl.DataFrame, judged_by: Sequence[str]) -> None:
    judged = set(map(duplicate_key, judged_by))
    shared = [name for name, text in rows.select("id", "text").iter_rows() if duplicate_key(text) in judged]
    if shared:
        raise DataError(
            f"{len(shared)} of {rows.height} rows equal texts of valid or test, the first is {shared[0]!r}: augment a "
            "training split alone; finsa prepare makes one"
        )


def _put_in_synonyms(row: dict[str, str], settings: AugmentSettings, work: _Work) -> None:
    """Up to `copies` new wordings; a draw that repeats another is drawn again a few times."""
    reason: str | None = None
    made = 0
    for draw in range(settings.copies * _DRAWS):
        text = replaced(row["text"], random.Random(f"{settings.seed} {row['id']} {draw}"), settings.words)
        if text is None:
            work.refused.append((row["id"], "synonyms", "no word with a synonym", ""))
            return
        reason = work.why_not(text)
        if reason is None:
            work.keep(row, text, "synonyms")
            made += 1
        if made == settings.copies:
            return
    if not made:
        work.refused.append((row["id"], "synonyms", reason or "", ""))


def _fault(found: Answer | EndpointError) -> str | None:
    if isinstance(found, EndpointError):
        return str(found)
    return CUT if found.cut else None


def _rewrite(
    rows: list[dict[str, str]],
    settings: AugmentSettings,
    work: _Work,
    asker: Asker,
    check: Check | None,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    wanted = [row for row in rows for _ in range(settings.copies)]
    answers: dict[int, Answer | EndpointError] = {}
    for at, answer in asker.ask_all(messages(row["text"], row["domain"] or "") for row in wanted):
        answers[at] = answer
        if progress is not None:
            progress("rewrites", len(answers), len(wanted))
    texts = [bare(found.text) if isinstance(found := answers[at], Answer) else "" for at in range(len(wanted))]
    read = check([text or "-" for text in texts]) if check is not None and wanted else None
    # In the order of the rows, not of the answers: of equal rewrites the first row's stands, run for run.
    for at, (row, text) in enumerate(zip(wanted, texts, strict=True)):
        found = answers[at]
        reason = _fault(found) or unusable(row["text"], text)
        if reason is None and read is not None and read[at] != row["label"]:
            reason = f"the checker reads {read[at]}, the row is {row['label']}"
        reason = reason or work.why_not(text)
        if reason is None:
            work.keep(row, text, "rewrite")
        else:
            work.refused.append((row["id"], "rewrite", reason, text))

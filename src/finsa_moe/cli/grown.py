"""What one expert more did to every domain: routed macro-F1 before and after, who gets its texts, tables and warnings.

Two mixtures' folders and labelled files go in, a table and lines for the user come out. It trains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finsa_moe.cli.screen import screen

if TYPE_CHECKING:
    from finsa_moe.model.reading import Reading

MOST = 0.3
"""Points of routed macro-F1 by which an old domain may move before the user is warned."""
HALF = 0.5
"""Share of its own held-out texts sent to the new expert under which the user is warned."""


@dataclass(frozen=True)
class Checked:
    """Labelled rows of one domain: texts, and the class of each by name."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Moved:
    """Routed macro-F1 of one domain in percent, by the old mixture and by the new, on so many rows.

    `own` is the share of these rows that the new mixture sends to the domain's own expert.
    """

    rows: int
    before: float
    after: float
    own: float


def read_checks(files: Mapping[str, Path], old: Sequence[str], new: str, reading: Reading) -> dict[str, Checked]:
    """The rows named by ``--check``, read before anything is trained.

    Raises:
        ConfigError: If one is of a domain that neither mixture has.
        DataError: If a file cannot be read, or has a row that cannot be used.
    """
    from finsa_moe.data.reading.read import read_rows
    from finsa_moe.errors import ConfigError

    found = {}
    for name, path in files.items():
        if name not in (*old, new):
            raise ConfigError(f"--check {name}={path}: there is no domain {name}; allowed are {', '.join((*old, new))}")
        table = read_rows([path], reading.columns, reading.labels, None)
        table.check()
        found[name] = Checked(table.frame["text"].to_list(), table.frame["label"].to_list())
    return found


def own_rows(data: Path) -> Path | None:
    """The prepared file of held-out rows that the new domain is judged by: its test split, else its valid split."""
    from finsa_moe.data.reading.read import read_frame

    paths = [data / f"{split}.csv" for split in ("test", "valid")]
    return next((path for path in paths if path.is_file() and read_frame(path).height), None)


def scores(old: Path, new: Path, checks: Mapping[str, Checked], device: str | None) -> dict[str, Moved]:
    """Routed macro-F1 by the two mixtures and where the new one sends the rows, by domain."""
    import numpy as np

    from finsa_moe.evaluation.metrics import score
    from finsa_moe.face import load
    from finsa_moe.polarity import NAMES

    found: dict[str, list[float]] = {name: [] for name in checks}
    own: dict[str, float] = {}
    truth = {name: np.array([NAMES.index(label) for label in rows.labels]) for name, rows in checks.items()}
    for folder in (old, new) if checks else ():
        model = load(folder, device=device)
        for name, rows in checks.items():
            classes = np.unique(truth[name]).tolist()  # a domain may lack one
            answers = model.predict(rows.texts)
            probs = [list(one.scores.values()) for one in answers]
            found[name].append(100 * score(truth[name], probs, classes=classes, resamples=1).macro_f1)
            own[name] = float(np.mean([one.expert == name for one in answers]))
    return {name: Moved(len(truth[name]), before, after, own[name]) for name, (before, after) in found.items()}


def warnings(old: Sequence[str], moved: Mapping[str, Moved]) -> list[str]:
    """Lines about old domains: one for each that moved by more than `MOST`, one for all whose score cannot be told."""
    lines = [
        f"warning: routed macro-F1 of {name} moved by {change:+.2f} points, from {moved[name].before:.2f} to "
        f"{moved[name].after:.2f} on {moved[name].rows:,} rows, more than {MOST}; a lower --set taken=SHARE leaves old "
        "domains more of their texts"
        for name in old
        if name in moved and abs(change := moved[name].after - moved[name].before) > MOST + 1e-9
    ]
    if unknown := [name for name in old if name not in moved]:
        options = " ".join(f"--check {name}=FILE" for name in unknown)
        lines.append(
            f"macro-F1 of {', '.join(unknown)} cannot be told without labelled rows; for it, the same command with "
            f"--resume --no-export {options}, which trains nothing anew"
        )
    return lines


def astray(new: str, moved: Mapping[str, Moved], taken: float) -> list[str]:
    """A line where the new expert gets few of its own held-out texts; `taken` is the setting that limits it."""
    one = moved.get(new)
    if one is None or one.own >= HALF:
        return []
    return [
        f"warning: {100 * one.own:.0f} % of {one.rows:,} held-out texts of {new} go to its own expert, the others to "
        f"old ones; where you know what a text is, say --domain {new}, and it answers; a larger --set taken=SHARE (it "
        f"is {taken:g}) in a run anew sends it more, of the old domains' texts too"
    ]


def show(sent: Mapping[str, Mapping[str, float | None]], moved: Mapping[str, Moved]) -> None:
    """Print every domain's share of states and of rows sent to its own expert, and its macro-F1, before and after.

    States are those the router was taught with, without its table of n-grams; rows are held out, and routed with it.
    """
    from rich.table import Table

    table = Table("domain", "states to its own expert", "", "rows", "to its own expert", "routed macro-F1", "")
    table.add_row("", "before", "after", "", "after", "before", "after")
    for name in {**sent, **moved}:
        own = sent.get(name, {})
        shares = [f"{100 * x:.1f} %" if (x := own.get(when)) is not None else "-" for when in ("before", "after")]
        one = moved.get(name)
        told = (
            [f"{one.rows:,}", f"{100 * one.own:.1f} %", f"{one.before:.1f}", f"{one.after:.1f}"] if one else ["-"] * 4
        )
        table.add_row(name, *shares, *told)
    screen().print(table)

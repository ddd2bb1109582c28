"""What one expert more did to every domain: routed macro-F1 before and after, as a table and as warnings.

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


@dataclass(frozen=True)
class Checked:
    """Labelled rows of one domain: texts, and the class of each by name."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Moved:
    """Routed macro-F1 of one domain in percent, by the old mixture and by the new, on so many rows."""

    rows: int
    before: float
    after: float


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
    """Routed macro-F1 by the two mixtures, by domain."""
    import numpy as np

    from finsa_moe.evaluation.metrics import score
    from finsa_moe.face import load
    from finsa_moe.polarity import NAMES

    found: dict[str, list[float]] = {name: [] for name in checks}
    truth = {name: np.array([NAMES.index(label) for label in rows.labels]) for name, rows in checks.items()}
    for folder in (old, new) if checks else ():
        model = load(folder, device=device)
        for name, rows in checks.items():
            classes = np.unique(truth[name]).tolist()  # a domain may lack one
            probs = model.predict_proba(rows.texts)
            found[name].append(100 * score(truth[name], probs, classes=classes, resamples=1).macro_f1)
    return {name: Moved(len(truth[name]), *both) for name, both in found.items()}


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


def show(sent: Mapping[str, Mapping[str, float | None]], moved: Mapping[str, Moved]) -> None:
    """Print every domain's share of states sent to its own expert, and its macro-F1, before and after."""
    from rich.table import Table

    table = Table("domain", "states to its own expert", "", "rows", "routed macro-F1", "")
    table.add_row("", "before", "after", "", "before", "after")
    for name in {**sent, **moved}:
        own = sent.get(name, {})
        shares = [f"{100 * x:.1f} %" if (x := own.get(when)) is not None else "-" for when in ("before", "after")]
        one = moved.get(name)
        table.add_row(
            name, *shares, *([f"{one.rows:,}", f"{one.before:.1f}", f"{one.after:.1f}"] if one else ["-"] * 3)
        )
    screen().print(table)

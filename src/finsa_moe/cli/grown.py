"""What `finsa add-domain` prints of every domain: its score before and after, who gets its texts, and warnings.

Scores go in, tables and lines for the user come out: the judging room computes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finsa_moe.cli.screen import screen

if TYPE_CHECKING:
    from finsa_moe.judging.grown import Moved
    from finsa_moe.judging.worth import Beside

MOST = 0.3
"""Points of routed macro-F1 by which an old domain may move before the user is warned."""
HALF = 0.5
"""Share of its own held-out texts sent to the new expert under which the user is warned."""


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


def show_worth(file: Path, found: Beside) -> None:
    """Print who reads the new domain how well; `file` holds the rows."""
    from rich.table import Table

    some = f"{found.rows:,} of {found.of:,}" if found.rows < found.of else f"{found.rows:,}"
    chosen = ", by which a checkpoint may have been chosen" if file.stem == "valid" else ""
    table = Table(f"on {some} rows of {file.name}{chosen}", "macro-F1")
    for who, score in found.by.items():
        table.add_row(who, f"{score:.1f}")
    screen(markup=False).print(table)

"""What a single cell means that names tickers or a day, whatever its type: for tables of daily sentiment.

Cells in, names or a day out; polars is not needed, which an installation that only serves has not.
"""

from __future__ import annotations

import json
from datetime import date, datetime

from finsa_moe.data.reading.days import day
from finsa_moe.data.reading.rows import words


def tickers_of(cell: object) -> list[str]:
    """The tickers that a cell names, each once, blanks round them left out: one, or those of a list.

    A string may be a list of strings and whole numbers written as JSON; any other is one name, such as ``[ST]``.
    """
    if isinstance(cell, str):
        names = _written(cell) if cell.startswith("[") else [cell]
    else:
        names = list(map(words, cell if isinstance(cell, list) else [cell]))
    return list(dict.fromkeys(name for name in map(str.strip, names) if name))


def day_of(cell: object) -> date | None:
    """The day that a cell names: that of a date or time, else of what is written, as `days.day` reads it."""
    if isinstance(cell, datetime):
        return cell.date()
    return cell if isinstance(cell, date) else day(words(cell))


def _written(cell: str) -> list[str]:
    try:
        names = json.loads(cell)
        json.dumps(names, ensure_ascii=False).encode()  # half an emoji, which no table holds, can be spelt
    except (ValueError, RecursionError):
        return [cell]
    if not isinstance(names, list) or any(type(name) not in (str, int, type(None)) for name in names):
        return [cell]
    return [str(name) for name in names if name is not None]

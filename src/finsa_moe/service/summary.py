"""The sentiment of a file's rows by day and by ticker, counted while they are answered.

Rows' cells and labels in, small tables out. It finds the columns by their usual names and keeps counts only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from finsa_moe.data.reading.cells import day_of, tickers_of
from finsa_moe.data.reading.columns import find_column
from finsa_moe.polarity import ENGLISH

TICKERS = (
    "ticker", "symbol", "stock", "stock_code", "code", "ts_code", "secucode", "股票代码", "证券代码", "股票", "代码",
    "标的", "股票名称", "证券简称",
)  # fmt: skip
MOST_DAYS, MOST_TICKERS = 4000, 40


class Summary:
    """Counts of one file.

    Args:
        names: Its columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        folded = [name.strip().casefold() for name in names]
        self._date = find_column(names, "date", None, "")
        self._ticker = next((folded.index(name) for name in TICKERS if name in folded), None)
        self._all: Counter[str] = Counter()
        self._days: Counter[tuple[date, str]] = Counter()
        self._tickers: Counter[tuple[str, str]] = Counter()

    def add(self, row: Sequence[object], label: str) -> None:
        """Count one answered row, for each of its tickers; `label` is English."""
        self._all[label] += 1
        if self._date is not None and self._date < len(row) and (when := day_of(row[self._date])):
            self._days[when, label] += 1
        if self._ticker is not None and self._ticker < len(row):
            self._tickers.update((name[:40], label) for name in tickers_of(row[self._ticker]))

    def table(self) -> dict[str, object]:
        """Counts by class: of all rows, by day in order, by ticker with the most frequent first."""
        days = sorted({when for when, _ in self._days})[-MOST_DAYS:]
        often: Counter[str] = Counter()
        for (name, _), count in self._tickers.items():
            often[name] += count
        return {
            "all": {label: self._all[label] for label in ENGLISH},
            "days": [{"day": one.isoformat(), **{label: self._days[one, label] for label in ENGLISH}} for one in days],
            "tickers": [
                {"ticker": name, **{label: self._tickers[name, label] for label in ENGLISH}}
                for name, _ in often.most_common(MOST_TICKERS)
            ],
        }

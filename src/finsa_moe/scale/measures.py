"""Daily measures of sentiment, each with its formula and where it comes from.

Sums by day (`daily.SUMS`) go in, expressions or columns come out. Of a day, N⁺ and N⁻ are the texts called 利好 and
利空, s_i is a text's score P(bullish) − P(bearish) and c_i its confidence. It reads no files.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def mean_score() -> pl.Expr:
    """(Σ s_i) / n, in [−1, 1]; plain, and what the z-score is of."""
    return pl.col("score_sum") / pl.col("texts")


def weighted_score() -> pl.Expr:
    """(Σ c_i s_i) / (Σ c_i): texts that the model is sure of count more; in [−1, 1]."""
    return pl.col("weighted_sum") / pl.col("confidence_sum")


def bullishness() -> pl.Expr:
    """ln((1 + N⁺) / (1 + N⁻)): 0 at a tie, growing with the number of texts as well as with their lean.

    Antweiler and Frank (2004), "Is All That Talk Just Noise? The Information Content of Internet Stock Message Boards",
    Journal of Finance 59(3), equation (2).
    """
    return ((1 + pl.col("bull")) / (1 + pl.col("bear"))).log()


def agreement() -> pl.Expr:
    """1 − √(1 − ((N⁺ − N⁻) / (N⁺ + N⁻))²), in [0, 1]; null where no text takes a side.

    1 when all that take a side take the same, 0 at a tie. Antweiler and Frank (2004), equation (3).
    """
    sides = pl.col("bull").cast(pl.Float64) + pl.col("bear")
    lean = (pl.col("bull").cast(pl.Float64) - pl.col("bear")) / sides
    return pl.when(sides > 0).then(1 - (1 - lean**2).sqrt())


def recent(ticker: NDArray[np.int64], day: NDArray[np.int64], score: Reals, texts: Reals, half_life: float) -> Reals:
    """Mean score of all texts up to each day, older ones counting less: Σ_d 2^{−(t−d)/h} S_d / Σ_d 2^{−(t−d)/h} n_d.

    S_d is the sum of the scores of day d and n_d its texts: an exponential window over calendar days, in which a text
    of h days ago counts half. A day sees itself and the past only.

    Args:
        ticker: Number of each row's ticker, (n,), from 0.
        day: Day number of each row, (n,); ascending.
        score: S_d, (n,).
        texts: n_d, (n,).
        half_life: h, in days.

    Returns:
        (n,), in the order of the rows.
    """
    out = np.empty(len(day))
    count = int(ticker.max(initial=-1)) + 1
    above, below = np.zeros(count), np.zeros(count)
    last = np.full(count, float(day[0]) if len(day) else 0.0)  # a day before 1970 is negative: 0 would be after it
    # one turn a day over all tickers at once: the state is a sum that fades, so no window has to be held
    edges = np.flatnonzero(np.diff(day, prepend=np.nan)) if len(day) else np.zeros(0, dtype=np.int64)
    for start, stop in zip(edges, [*edges[1:], len(day)], strict=True):
        rows = slice(int(start), int(stop))
        who, now = ticker[rows], float(day[rows.start])
        fade = np.exp2(-(now - last[who]) / half_life)
        above[who] = above[who] * fade + score[rows]
        below[who] = below[who] * fade + texts[rows]
        last[who] = now
        out[rows] = above[who] / below[who]
    return out


def z_score(column: str, window: int) -> pl.Expr:
    """(x_t − mean) / sd over the `window` values before t of the same ticker; null until half of them are there.

    Today is left out of its own yardstick, so that a jump is not measured against itself; days without a value are
    passed over. The sd is that of a sample (n − 1); null where it is 0.
    """
    least = max(2, -(-window // 2))
    before = pl.col(column).shift(1).over("ticker", order_by="day")
    mean = before.rolling_mean(window, min_samples=least).over("ticker", order_by="day")
    spread = before.rolling_std(window, min_samples=least).over("ticker", order_by="day")
    return pl.when(spread > 1e-12).then((pl.col(column) - mean) / spread)

"""Rows for the tests of this room, numbered so that each can be found again, and what the runtime itself answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe import load

WORDS = (
    "净利润同比增长",
    "被立案调查",
    "主力跑了,割肉",
    "放量突破前高",
    "召开股东大会",
    "套牢半年",
    "中标大单",
    "下调评级",
)


def texts(count: int, first: int = 0) -> list[str]:
    """Texts of several lengths, all different."""
    return [
        f"{at}号公司" + ",".join(WORDS[(at * step + step) % len(WORDS)] for step in range(1, 2 + at % 5))
        for at in range(first, first + count)
    ]


def frame(count: int, first: int = 0) -> pl.DataFrame:
    """Rows with a key, a text, a number and a date."""
    keys = list(range(first, first + count))
    days = [f"2026-07-{1 + key % 28:02d}" for key in keys]
    return pl.DataFrame({"key": keys, "text": texts(count, first), "price": [key / 7 for key in keys], "date": days})


def answers(out: Path) -> pl.DataFrame:
    """All shards of a folder."""
    return pl.concat(
        [pl.read_parquet(file) for file in sorted((out / "scores").glob("*.parquet"))], how="diagonal_relaxed"
    )


def probabilities(some: Sequence[str]) -> NDArray[np.float32]:
    """What the runtime answers: the same engine, not through this room."""
    return load(engine="onnxruntime", threads=1).predict_proba(some)


def stored(path: Path) -> str:
    """A URL by which fsspec reads a local path as it reads a store."""
    return f"local://{path}"


def left_behind(out: Path) -> list[str]:
    """Files that no finished run has: temporary ones, and shards that the manifest does not know."""
    manifest = (out / "manifest.jsonl").read_text(encoding="utf-8")
    found = [str(path) for path in out.rglob("*") if "partial" in path.name or path.name.endswith(".part")]
    return found + [path.name for path in (out / "scores").iterdir() if f'"{path.name}"' not in manifest]

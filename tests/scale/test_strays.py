"""Files that lie among answers and are none: left out and named, and where they came from no word on a model's training."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.errors import DataError
from finsa_moe.scale.index import MARKET, Rules, make_index
from finsa_moe.scale.lookahead import learnt_until
from tests.scale.test_index import saved, scored

RULES = Rules(1)


def shard(out: Path, until: str | None = None) -> Path:
    """A folder as `finsa score` leaves it, with one answer."""
    (out / "scores").mkdir(parents=True)
    noted = "" if until is None else f', "trained_until": "{until}"'
    (out / "manifest.jsonl").write_text(f'{{"kind": "run"{noted}}}\n')
    return saved([scored()], out / "scores" / "a.parquet")


@pytest.mark.parametrize(
    ("name", "content"),
    [("x/empty.csv", b""), ("bad.jsonl", b'{"text": "a"}\n{"text": \n'), ("x/y/broken.parquet", b"PAR1 no"),
     ("x/manifest.jsonl", b'{"tool": "another"}\n')],
)  # fmt: skip
def test_a_stray_in_a_folder_is_left_out_and_named(name: str, content: bytes, tmp_path: Path) -> None:
    stray = tmp_path / name
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(content)
    saved([scored()] * 3, stray.parent / "good.parquet")
    index = make_index([tmp_path], "ticker", "date", RULES)
    assert index.market["texts"].to_list() == [3]
    assert list(index.daily.skipped) == [str(stray)]
    assert index.daily.skipped[str(stray)].startswith(("cannot be read (", "no column 'sentiment'"))
    with pytest.raises(DataError, match=rf"{stray.name}: (cannot be read .*; score it again|no column)"):
        make_index([stray], "ticker", "date", RULES)


def test_a_shard_that_is_broken_is_an_error(tmp_path: Path) -> None:
    shard(tmp_path / "out")
    (tmp_path / "out" / "scores" / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"b\.parquet: cannot be read \(.*\); score it again"):
        make_index([tmp_path], "ticker", "date", RULES)


@pytest.mark.parametrize(
    ("days", "wanted"),
    [(("2026-01-31", "2026-03-01"), date(2026, 3, 1)), (("2026-01-31", None), None)],
)  # fmt: skip
def test_manifests_below_the_named_folder_tell_what_their_models_learnt(
    days: tuple[str | None, ...], wanted: date | None, tmp_path: Path
) -> None:
    for at, day in enumerate(days):
        shard(tmp_path / "all" / str(at), day)
    files = make_index([tmp_path / "all"], "ticker", "date", RULES).daily.files
    assert len(files) == 2
    assert learnt_until(files) == wanted
    saved([scored()], tmp_path / "all" / "predicted.parquet")
    assert learnt_until(make_index([tmp_path / "all"], "ticker", "date", RULES).daily.files) is None


def test_a_whole_number_written_with_a_point_is_the_same_ticker(tmp_path: Path) -> None:
    """As pandas writes numbers beside an empty cell to CSV, which `finsa predict` keeps as they are."""
    pl.DataFrame([scored(ticker="600519.0")]).write_csv(tmp_path / "a.csv")
    saved([scored(ticker="600519"), scored(ticker="600519.SH"), scored(ticker="0.5")], tmp_path / "b.parquet")
    index = make_index([tmp_path], "ticker", "date", RULES)
    assert dict(index.frame.select("ticker", "texts").rows()) == {"600519": 2, "600519.SH": 1, "0.5": 1, MARKET: 4}

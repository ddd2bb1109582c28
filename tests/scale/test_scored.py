"""What counts as scored: which files of a folder, which rows of a file, and on which day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime.bulk import REJECT_COLUMNS
from finsa_moe.scale.index import MARKET, Index, Rules, make_index
from tests.scale.test_index import saved, scored

REFUSED = dict.fromkeys(("sentiment", "confidence", "bearish", "neutral", "bullish", "expert"))


def index_of(*sources: Path, **settings: Any) -> Index:
    return make_index(sources, "ticker", "date", Rules(1, close=settings.pop("close", None)), **settings)


def lines(rows: list[dict[str, Any]], path: Path) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def counts(index: Index) -> dict[str, int]:
    return dict(index.frame.group_by("ticker").agg(pl.col("texts").sum()).rows())


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl"])
def test_rows_without_an_answer_count_nowhere(name: str, tmp_path: Path) -> None:
    """As a refused row stands in a file of answers: its columns with none of ours filled."""
    rows = [scored(), {**scored(), **REFUSED}, {**scored(date="2026-03-03"), **REFUSED}]
    frame, path = pl.DataFrame(rows), tmp_path / name
    if name.endswith(".parquet"):
        frame.write_parquet(path)
    elif name.endswith(".csv"):
        frame.write_csv(path)
        path.write_text(path.read_text(encoding="utf-8") + 'a,2026-03-02,"","","","","",""\n', encoding="utf-8")
    else:
        lines(rows, path)
    index = index_of(path)
    shown = index.tickers.select("day", "texts", "bull", "score", "score_recent").rows()
    assert shown == [(date(2026, 3, 2), 1, 1, pytest.approx(0.85), pytest.approx(0.85))]
    assert (index.daily.rows, index.daily.unanswered) == (1, 3 if name.endswith(".csv") else 2)


@pytest.mark.parametrize("column", ["bearish", "bullish", "confidence"])
def test_a_number_that_is_none_is_no_answer(column: str, tmp_path: Path) -> None:
    index = index_of(saved([scored(), scored(**{column: float("nan")})], tmp_path / "a.parquet"))
    assert (index.daily.rows, index.daily.unanswered) == (1, 1)
    assert index.market["score"].to_list() == pytest.approx([0.85])


def test_no_answer_at_all_is_told(tmp_path: Path) -> None:
    path = lines([{**scored(), **REFUSED}] * 2, tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="none of its 2 rows has an answer"):
        index_of(path)


def test_what_is_no_answer_in_a_folder_is_left_out(tmp_path: Path) -> None:
    """The rejects of `finsa predict`, and an index that was written beside its source."""
    saved([scored()] * 3, tmp_path / "a.parquet")
    pl.DataFrame([scored()] * 2).write_csv(tmp_path / "b.csv")
    pl.DataFrame([dict.fromkeys(REJECT_COLUMNS, "x")]).write_csv(tmp_path / "b.csv.rejects.csv")
    first = index_of(tmp_path)
    for name in ("i.csv", "i.parquet"):
        first.save(tmp_path / name)
    again = index_of(tmp_path)
    assert again.frame.equals(first.frame)
    assert counts(again) == {"a": 5, MARKET: 5}
    assert {Path(name).name: why for name, why in again.daily.skipped.items()} == dict.fromkeys(
        ("b.csv.rejects.csv", "i.csv", "i.parquet"), "no column 'sentiment', so it is not scored"
    )
    with pytest.raises(DataError, match=r"i\.csv: no column 'sentiment', so it is not scored; run"):
        index_of(tmp_path / "a.parquet", tmp_path / "i.csv")
    (tmp_path / "alone").mkdir()
    first.save(tmp_path / "alone" / "i.csv")
    with pytest.raises(DataError, match="alone: no scored file in it"):
        index_of(tmp_path / "alone")


def test_a_file_named_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = tmp_path / "out" / "scores"
    shards.mkdir(parents=True)
    (tmp_path / "out" / "manifest.jsonl").touch()
    path = saved([scored()] * 3, shards / "a.parquet")
    (tmp_path / "link.parquet").symlink_to(path)
    monkeypatch.chdir(shards)
    named = index_of(tmp_path / "out", shards, path, path, tmp_path / "link.parquet", Path("a.parquet"))
    assert counts(named) == {"a": 3, MARKET: 3}


@pytest.mark.parametrize(
    "first",
    [{"ticker": None}, {"confidence": 1, "bullish": 1, "bearish": 0}, "absent"],
    ids=["null", "integers", "no key"],
)
def test_lines_are_read_by_all_their_rows(first: Any, tmp_path: Path) -> None:
    """The first rows do not say what the others hold; a scan of polars looks at a hundred."""
    plain = scored()
    early = {key: plain[key] for key in plain if key != "ticker"} if first == "absent" else {**plain, **first}
    index = index_of(lines([early] * 150 + [plain], tmp_path / "a.jsonl"))
    nameless = 0 if first == {"confidence": 1, "bullish": 1, "bearish": 0} else 150
    assert counts(index) == {"a": 151 - nameless, MARKET: 151}
    assert index.daily.nameless == nameless
    score = (150 * (1.0 if not nameless else 0.85) + 0.85) / 151
    assert index.market["score"].to_list() == pytest.approx([score])


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_file_without_tickers_counts_for_the_market(ending: str, tmp_path: Path) -> None:
    for name, rows in (("a", [scored()]), ("b", [{k: v for k, v in scored().items() if k != "ticker"}] * 2)):
        path = tmp_path / f"{name}.{ending}"
        frame = pl.DataFrame(rows)
        {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[ending](path)
    for settings in ({}, {"split": ","}):
        index = index_of(tmp_path, **settings)
        assert counts(index) == {"a": 1, MARKET: 3}
        assert index.daily.nameless == 2
    with pytest.raises(DataError, match=r"no column 'tickr'.*did you mean 'ticker'"):
        make_index([tmp_path], "tickr", "date")


def test_lists_of_tickers_beside_strings(tmp_path: Path) -> None:
    rows = [scored(ticker=["a", "b"]), scored(ticker=[]), scored(ticker=None)]
    saved(rows, tmp_path / "a.parquet")
    saved([scored(ticker=" a "), scored(ticker=""), scored(ticker=None)], tmp_path / "b.parquet")
    lines([scored(ticker="b")], tmp_path / "c.jsonl")
    index = index_of(tmp_path)
    assert counts(index) == {"a": 2, "b": 2, MARKET: 7}
    assert index.daily.nameless == 4


@pytest.mark.parametrize("beside", ["alone", "lists", "split"])
@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_lists_that_are_written_as_json_are_lists(ending: str, beside: str, tmp_path: Path) -> None:
    """As `finsa predict` writes them to a table, and `finsa score` those of JSON lines."""
    cells = [
        '["600519", "000001"]',
        '["600519", " 600519 ", "", null]',
        "[]",
        "[600519]",
        "600519",
        "[ST]",
        '[{"a": 1}]',
        r'["\ud83d"]',
    ]
    frame, path = pl.DataFrame([scored(ticker=cell) for cell in [*cells, None]]), tmp_path / f"a.{ending}"
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[ending](path)
    sources, settings, more = [path], {}, 0
    if beside == "lists":
        sources.append(saved([scored(ticker=["600519"])], tmp_path / "b.parquet"))
        more = 1
    elif beside == "split":
        settings = {"split": ";"}
    index = index_of(*sources, **settings)
    expected = {"600519": 4 + more, "000001": 1, "[ST]": 1, '[{"a": 1}]': 1, r'["\ud83d"]': 1}
    assert counts(index) == expected | {MARKET: 9 + more}
    assert index.daily.nameless == 2


@pytest.mark.parametrize("lists", [False, True])
def test_numbers_with_a_point_are_tickers_without_one(lists: bool, tmp_path: Path) -> None:
    """As pandas writes numbers beside an empty cell."""
    cells = [600519.0, 600519.0, 1.5, float("nan"), None]
    rows = [scored(ticker=[cell] if lists else cell) for cell in cells]
    index = index_of(saved(rows, tmp_path / "a.parquet"))
    assert counts(index) == {"600519": 2, "1.5": 1, MARKET: 5}
    assert index.daily.nameless == 2


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_name_is_no_pattern(ending: str, tmp_path: Path) -> None:
    for name, count in (("a[1]", 2), ("a1", 3)):
        frame = pl.DataFrame([scored(ticker=name)] * count)
        path = tmp_path / f"{name}.{ending}"
        {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[ending](path)
    assert counts(index_of(tmp_path / f"a[1].{ending}")) == {"a[1]": 2, MARKET: 2}


CLOCK = (9, 30), (14, 59), (15, 0), (23, 10)
"""Hours and minutes of texts of one day; with a close of 15:00 the last two count on the next."""


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y-%m-%dT%H:%M+08:00", "%Y年%m月%d日%H:%M", "%Y 年 %m 月 %d 日 %H时%M分",
     "datetime", "zoned"],
)  # fmt: skip
def test_what_comes_from_the_close_on_counts_on_the_next_day(form: str, tmp_path: Path) -> None:
    days: list[Any] = [datetime(2026, 3, 31, *clock) for clock in CLOCK]
    if form == "zoned":
        days = [day.replace(tzinfo=timezone(timedelta(hours=8))) for day in days]
    elif form != "datetime":
        days = [day.strftime(form) for day in days]
    frame = pl.DataFrame([scored(date=day) for day in days])
    if form == "zoned":
        frame = frame.with_columns(pl.col("date").dt.convert_time_zone("Asia/Shanghai"))
    frame.write_parquet(tmp_path / "a.parquet")
    index = index_of(tmp_path / "a.parquet", close=time(15))
    assert index.tickers.select("day", "texts").rows() == [(date(2026, 3, 31), 2), (date(2026, 4, 1), 2)]
    assert index.daily.untimed == 0
    plain = index_of(tmp_path / "a.parquet")
    assert plain.tickers.select("day", "texts").rows() == [(date(2026, 3, 31), 4)]


@pytest.mark.parametrize(
    "when", ["2026-03-31", "20260331", "2026-03-31 00:00:00", "2026-03-31 8:30 PM", "2026-03-31 下午 8:30", "2026-03-31 １５：３０",
             date(2026, 3, 31), datetime(2026, 3, 31)],
)  # fmt: skip
def test_a_text_without_a_time_stays_and_is_counted(when: Any, tmp_path: Path) -> None:
    index = index_of(saved([scored(date=when)] * 2, tmp_path / "a.parquet"), close=time(15))
    assert index.tickers.select("day", "texts").rows() == [(date(2026, 3, 31), 2)]
    assert index.daily.untimed == 2


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user's, which root may read."""
    (tmp_path / "in" / "theirs").mkdir(parents=True)
    saved([scored()], tmp_path / "in" / "a.parquet")
    plain = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder.name == "theirs":
            raise PermissionError(13, "Permission denied", str(folder))
        return plain(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(DataError, match=r"theirs: cannot be read \(Permission denied\); make it readable, or"):
        index_of(tmp_path / "in")

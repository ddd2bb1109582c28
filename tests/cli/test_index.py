from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finsa_moe.cli import main
from tests.scale.test_event_study import world
from tests.scale.test_index import made, saved, scored


def test_an_index_with_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = saved(made(200), tmp_path / "a.parquet"), tmp_path / "i.csv"
    pictures = [tmp_path / "l.png", tmp_path / "h.png"]
    words = ["index", str(source), "--by", "ticker", "--date", "date", "--out", str(out), "--show", "600519"]
    assert main([*words, "--plot", str(pictures[0]), "--heatmap", str(pictures[1])]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{out}: 200 texts, 3 tickers, 2026-03-02 to 2026-04-10, ")
    assert "their measures are empty (--min-count)" in shown.err
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "h.png", "i.csv", "l.png"]


def test_an_event_study_is_printed_with_its_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels", reason="the extra scale is not installed")
    _, returns = world(tickers=6, weeks=8)
    returns.rename({"day": "date"}).write_csv(tmp_path / "r.csv")
    days = returns["day"].unique().sort()
    rows = [
        row | {"date": days[at % len(days)], "ticker": f"{at // len(days) % 6:06d}"}
        for at, row in enumerate(made(3000))
    ]
    words = ["index", str(saved(rows, tmp_path / "a.parquet")), "--by", "ticker", "--date", "date"]
    assert main([*words, "--out", str(tmp_path / "i.parquet"), "--returns", str(tmp_path / "r.csv")]) == 0
    shown = capsys.readouterr()
    assert "Newey–West" in shown.out
    assert "days 1 to 5" in shown.out
    assert "TOO SMALL" in shown.err
    assert "LOOKS AHEAD?" in shown.err
    assert pl.read_parquet(tmp_path / "i.parquet").height > 0


def test_what_does_not_count_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--by", "ticker", "--date", "date", "--out", str(tmp_path / "i.csv"), "--min-count", "1"]
    (tmp_path / "in").mkdir()
    rows = [scored(date="2026-03-06T20:00Z"), scored(), {**scored(), "sentiment": None}]
    saved(rows, tmp_path / "in" / "a.parquet")
    (tmp_path / "in" / "b.csv.rejects.csv").write_text("file,line,reason,id,text\n")
    assert main(["index", str(tmp_path / "in"), *words, "--close", "15:00"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{tmp_path / 'i.csv'}: 2 texts, 1 tickers, 2026-03-02 to 2026-03-07, ")
    assert shown.err.splitlines() == [
        f"left out: {tmp_path / 'in' / 'b.csv.rejects.csv'}: no column 'sentiment', so it is not scored",
        "1 rows have no answer, and count nowhere",
        "1 texts have no time that can be read, and count on the day written",
        "LOOKS AHEAD? Say --trained-until DAY: a model trained on texts of these days, or on labels made with later "
        "prices, knows how they ended",
    ]


def test_copies_that_are_left_out_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = saved([scored(text="同花顺快讯")] * 3 + [scored(text="另一条")], tmp_path / "a.parquet")
    words = ["index", str(source), "--by", "ticker", "--date", "date", "--out", str(tmp_path / "i.csv")]
    words += ["--min-count", "1", "--trained-until", "2020-01-01"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{tmp_path / 'i.csv'}: 4 texts, ")
    assert shown.err == ""
    assert main([*words, "--text", "text"]) == 2
    assert capsys.readouterr().err.startswith("finsa: --text belongs to --once, which alone reads the texts")
    assert main([*words, "--once"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{tmp_path / 'i.csv'}: 2 texts, ")
    assert shown.err == "2 rows repeat a text of their ticker, day and source, and are left out\n"


def test_a_calendar_moves_texts_to_trading_days_and_says_what_it_does_not_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of returns is one; a column is named behind a colon, which a file's own name may hold."""
    monkeypatch.chdir(tmp_path)
    days = ("2026-02-27", "2026-03-06 16:00", "2026-03-07 09:00", "2026-03-09 16:00")
    saved([scored(date=day) for day in days], Path("a.parquet"))
    rows = "ticker,trade_date,listed,return\na,20260309,20200102,0\na,2026-03-06,20200102,0.01\n"
    words = ["index", "a.parquet", "--by", "ticker", "--date", "date", "--min-count", "1", "--close", "15:00"]
    words += ["--trained-until", "2026-01-01", "--out", "i.csv", "--calendar"]
    for name, asked in (("r.csv", "r.csv"), ("r.csv", "r.csv:trade_date"), ("r:1.csv", "r:1.csv")):
        Path(name).write_text(rows, encoding="utf-8")
        assert main([*words, asked]) == 0
        shown = capsys.readouterr()
        assert shown.out == "i.csv: 2 of 4 texts, 1 tickers, 2026-03-09 to 2026-03-09, 2 rows\n"
        assert shown.err == (
            "texts whose trading day the calendar does not tell, which are in no row: 1 before its first day "
            "(2026-03-06), 1 after its last (2026-03-09)\n"
        )
        assert pl.read_csv("i.csv")["texts"].to_list() == [2, 2]
    assert main([*words, "r.csv:listed"]) == 2
    assert "the trading day of none of its texts: 4 after its last (2020-01-02)" in capsys.readouterr().err
    assert main([*words, "i.csv"]) == 2
    assert "--out i.csv: is a file that is read here" in capsys.readouterr().err


def test_days_that_the_model_has_learnt_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the manifest of the answers tells, or the option; a file beside the folder makes it unknown."""
    folder = tmp_path / "scored"
    (folder / "scores").mkdir(parents=True)
    saved([scored(date="2026-03-02"), scored(date="2026-03-03")], folder / "scores" / "a.parquet")
    other = saved([scored(date="2026-03-02")], tmp_path / "other.parquet")
    words = ["--by", "ticker", "--date", "date", "--out", str(tmp_path / "i.csv"), "--min-count", "1"]

    def told(until: str | None, *more: str) -> str:
        noted = {} if until is None else {"trained_until": until}
        lines = [{"kind": "run", "format": 3, **noted}, {"kind": "end", "unfinished": []}]
        (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert main(["index", str(folder), *words, *more]) == 0
        return capsys.readouterr().err

    assert told("2026-03-02").startswith("LOOKS AHEAD: 1 of 2 days are within the model's training (until 2026-03-02)")
    assert told("2026-03-01") == ""
    assert told(None).startswith("LOOKS AHEAD? Say --trained-until DAY")
    assert told("2026-03-01", str(other)).startswith("LOOKS AHEAD?")
    assert told("2026-03-02", "--trained-until", "2026-03-01") == ""
    assert told(None, "--trained-until", "2026-03-09").startswith("LOOKS AHEAD: 2 of 2 days")


def test_an_event_study_of_few_days_gives_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels", reason="the extra scale is not installed")
    days = [f"2026-03-{day:02d}" for day in range(2, 7)]
    (tmp_path / "r.csv").write_text(
        "ticker,date,return\n" + "".join(f"{ticker},{day},{(ord(ticker) * at) % 7 / 100}\n" for ticker in "abcdef"
        for at, day in enumerate(days, 1))
    )  # fmt: skip
    rng = np.random.default_rng(1)
    rows = [scored(ticker=t, date=d, bullish=float(rng.random() / 2)) for t in "abcdef" for d in days]
    words = ["index", str(saved(rows, tmp_path / "a.parquet")), "--by", "ticker", "--date", "date", "--min-count", "1"]
    assert main([*words, "--out", str(tmp_path / "i.csv"), "--returns", str(tmp_path / "r.csv")]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("too few") == 3  # the day before, the day, day 1; of five days there is none
    assert "could be chance" not in shown.err
    assert shown.err.count("LOOKS AHEAD? Say --trained-until") == 1


def test_a_ticker_with_its_zeros_and_without_is_told_and_made_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shards of integers beside shards of text; an empty cell that pandas made text of is no name."""
    saved([scored(ticker=number) for number in (1, 600519)], tmp_path / "a.parquet")
    names = ["000001", " 000001", "1.0", "1A", "nan", "NaN", "None", "<NA>", ""]
    saved([scored(ticker=name) for name in names], tmp_path / "b.parquet")
    words = ["index", str(tmp_path), "--by", "ticker", "--date", "date", "--out", str(tmp_path / "i.csv")]
    words += ["--min-count", "1", "--trained-until", "2020-01-01"]
    nameless = "5 texts name no ticker, and count for the market alone\n"

    def counts() -> dict[str, int]:
        return dict(
            pl.read_csv(tmp_path / "i.csv", infer_schema=False).select("ticker", pl.col("texts").cast(int)).rows()
        )

    assert main(words) == 0
    said = "1 tickers are written with leading zeros and without, and count as two (first: 000001 and 1): --zfill 6 "
    skipped, told = capsys.readouterr().err, f"{nameless}{said}makes them one\n"
    assert skipped == told
    assert counts() == {"000001": 2, "1": 2, "1A": 1, "600519": 1, "market": 11}
    (tmp_path / "i.csv").unlink()
    assert main([*words, "--zfill", "6"]) == 0
    assert capsys.readouterr().err == nameless
    assert counts() == {"000001": 4, "1A": 1, "600519": 1, "market": 11}
    saved([scored(ticker=["1", "000001", "nan"]), scored(ticker=["<NA>"])], tmp_path / "c.parquet")
    assert main([*words, "--zfill", "6"]) == 0
    assert counts() == {"000001": 5, "1A": 1, "600519": 1, "market": 13}


def test_a_file_of_the_folder_that_is_read_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved([scored()], tmp_path / "a.parquet")
    before = source.read_bytes()
    assert main(["index", str(tmp_path), "--by", "ticker", "--date", "date", "--out", str(source)]) == 2
    assert "is a file that is read here" in capsys.readouterr().err
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "i.xlsx"], "unknown ending '.xlsx'"),
        (["--out", "absent/i.csv"], "there is no folder absent"),
        (["--out", "i.csv", "--plot", "p.pdf"], "the picture is a PNG"),
        (["--out", "i.csv", "--show", "1"], "no text has this ticker"),
        (["--out", "i.csv", "--trained-until", "soon"], "allowed is a day such as"),
        (["--out", "i.csv", "--calendar", "days.csv:day"], "days.csv:day: no such file or folder"),
        (["--out", "i.csv", "--calendar", "a.parquet:day"], "no column 'day'"),
        (
            ["--out", "i.csv", "--zone", "Peking"],
            "zone 'Peking': allowed is the name of a time zone such as Asia/Shanghai",
        ),
        (["--out", "i.csv", "--close", "3 pm"], "--close '3 pm': allowed is a time of the day such as 15:00"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = saved(made(20), tmp_path / "a.parquet")
    assert main(["index", str(source), "--by", "ticker", "--date", "date", *words]) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]

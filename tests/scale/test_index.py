"""The daily index against sums, logarithms and roots taken one text at a time in plain Python."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import polars as pl
import pytest

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime.prediction import free_names
from finsa_moe.scale.index import MARKET, Index, Rules, make_index

START = date(2026, 3, 2)


def made(count: int = 600, seed: int = 1) -> list[dict[str, Any]]:
    """Scored texts of three tickers over forty days."""
    rng, rows = random.Random(seed), []
    for _ in range(count):
        cuts = sorted((rng.random(), rng.random()))
        probs = [cuts[0], cuts[1] - cuts[0], 1 - cuts[1]]
        rows.append(
            {
                "ticker": rng.choice(["000001", "600519", "贵州茅台"]), "date": START + timedelta(rng.randrange(40)),
                "sentiment": ("利空", "中性", "利好")[probs.index(max(probs))], "confidence": max(probs),
                "bearish": probs[0], "neutral": probs[1], "bullish": probs[2], "expert": rng.choice(["news", "forum"]),
            }
        )  # fmt: skip
    return rows


def saved(rows: list[dict[str, Any]], path: Path) -> Path:
    pl.DataFrame(rows).write_parquet(path)
    return path


def naive(rows: list[dict[str, Any]], rules: Rules) -> dict[tuple[str, date], dict[str, Any]]:
    """Every measure by its definition."""
    days: dict[str, dict[date, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        days[row["ticker"]][row["date"]].append(row)
        days[MARKET][row["date"]].append(row)
    out: dict[tuple[str, date], dict[str, Any]] = {}
    for ticker, by_day in days.items():
        past: list[float] = []
        for day in sorted(by_day):
            texts = by_day[day]
            scores = [t["bullish"] - t["bearish"] for t in texts]
            bull, bear = (sum(t["sentiment"] == word for t in texts) for word in ("利好", "利空"))
            found: dict[str, Any] = {"texts": len(texts), "bull": bull, "bear": bear, "z": None}
            if len(texts) >= rules.min_count:
                weights = [t["confidence"] for t in texts]
                before = [(t, 2 ** (-(day - d).days / rules.half_life)) for d in by_day if d <= day for t in by_day[d]]
                lean = (bull - bear) / (bull + bear) if bull + bear else None
                found |= {
                    "score": mean(scores),
                    "score_weighted": sum(w * s for w, s in zip(weights, scores, strict=True)) / sum(weights),
                    "bullishness": math.log((1 + bull) / (1 + bear)),
                    "agreement": None if lean is None else 1 - math.sqrt(1 - lean**2),
                    "score_recent": sum(w * (t["bullish"] - t["bearish"]) for t, w in before)
                    / sum(w for _, w in before),
                }
                last = past[-rules.window :]
                if len(last) >= -(-rules.window // 2):
                    found["z"] = (mean(scores) - mean(last)) / stdev(last)
                past.append(mean(scores))
            out[ticker, day] = found
    return out


@pytest.mark.parametrize("rules", [Rules(1, 5.0, 10), Rules(6, 2.5, 4)])
def test_every_measure_is_its_definition(rules: Rules, tmp_path: Path) -> None:
    rows = made()
    index = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date", rules)
    expected = naive(rows, rules)
    assert index.frame.height == len(expected)
    for row in index.frame.iter_rows(named=True):
        known = expected[row["ticker"], row["day"]]
        for name in (
            "texts",
            "bull",
            "bear",
            "score",
            "score_weighted",
            "bullishness",
            "agreement",
            "score_recent",
            "z",
        ):
            want = known.get(name)
            assert row[name] == (want if want is None else pytest.approx(want, abs=1e-9)), (name, row)
    assert index.thin == sum(
        known["texts"] < rules.min_count for (ticker, _), known in expected.items() if ticker != MARKET
    )


def test_counts_may_be_subtracted(tmp_path: Path) -> None:
    """In pandas an unsigned difference below nought goes round to 4294967294."""
    pytest.importorskip("pandas")
    bears = [scored(sentiment="利空", expert=name) for name in ("news", "forum")]
    index = make_index([saved(bears, tmp_path / "a.parquet")], "ticker", "date", Rules(1))
    index.save(tmp_path / "i.parquet")
    schema = pl.read_parquet_schema(tmp_path / "i.parquet")
    counts = ("texts", "bull", "neutral", "bear", "texts_news", "texts_forum")
    assert {schema[name] for name in counts} == {pl.Int64}
    table = pl.read_parquet(tmp_path / "i.parquet").to_pandas()
    assert (table["bull"] - table["bear"]).to_list() == [-2, -2]


def test_sources_stand_side_by_side(tmp_path: Path) -> None:
    rows = made()
    index = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date", Rules(min_count=2))
    for row in index.tickers.iter_rows(named=True):
        score = {}
        for source in ("news", "forum"):
            own = [
                r["bullish"] - r["bearish"]
                for r in rows
                if (r["ticker"], r["date"], r["expert"]) == (row["ticker"], row["day"], source)
            ]
            assert row[f"texts_{source}"] == len(own)
            score[source] = mean(own) if len(own) >= 2 else None
            assert row[f"score_{source}"] == (score[source] and pytest.approx(score[source]))
        if None not in score.values():
            assert row["news_minus_forum"] == pytest.approx(score["news"] - score["forum"])


def test_no_measure_sees_tomorrow(tmp_path: Path) -> None:
    rows, cut = made(), START + timedelta(25)
    whole = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date").frame
    early = make_index([saved([r for r in rows if r["date"] <= cut], tmp_path / "b.parquet")], "ticker", "date").frame
    same = whole.filter(pl.col("day") <= cut)
    assert same["ticker"].to_list() == early["ticker"].to_list()
    for name in ("score", "score_recent", "z"):
        for a, b in zip(same[name].to_list(), early[name].to_list(), strict=True):
            assert a == (b if b is None else pytest.approx(b, abs=1e-12))


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y/%m/%d %H:%M", "%Y%m%d", "%Y年%m月%d日 %H:%M", "%Y-%m-%dT%H:%M:%S", "datetime", "int"]
)
def test_dates_as_files_have_them(form: str, tmp_path: Path) -> None:
    rows = made(60)
    expected = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date").frame
    for row in rows:
        at = datetime.combine(row["date"], datetime.min.time()).replace(hour=14, minute=7)
        row["date"] = at if form == "datetime" else int(at.strftime("%Y%m%d")) if form == "int" else at.strftime(form)
    assert make_index([saved(rows, tmp_path / "b.parquet")], "ticker", "date").frame.equals(expected)


def test_csv_and_lines_answer_alike_and_tickers_keep_their_zeros(tmp_path: Path) -> None:
    rows = [row | {"date": str(row["date"])} for row in made(60) if row["ticker"] == "000001"]
    expected = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date").frame
    pl.DataFrame(rows).write_csv(tmp_path / "b.csv")
    pl.DataFrame(rows).write_ndjson(tmp_path / "c.jsonl")
    for name in ("b.csv", "c.jsonl"):
        found = make_index([tmp_path / name], "ticker", "date").frame
        assert set(found["ticker"]) == {"000001", MARKET}
        assert found.drop("score_weighted").columns == expected.drop("score_weighted").columns
        assert found["bull"].to_list() == expected["bull"].to_list()


def test_several_tickers_count_for_each_and_once_for_the_market(tmp_path: Path) -> None:
    rows = made(40)
    both = ["000001", "600519"]
    lists = [row | {"ticker": both} for row in rows]
    joined = [row | {"ticker": "000001, 600519"} for row in rows]
    index = make_index([saved(lists, tmp_path / "a.parquet")], "ticker", "date")
    assert index.market["texts"].sum() == 40
    assert index.tickers["texts"].sum() == 80
    assert make_index([saved(joined, tmp_path / "b.parquet")], "ticker", "date", split=",").frame.equals(index.frame)


def test_rows_without_a_date_or_a_ticker_are_counted(tmp_path: Path) -> None:
    rows = [row | {"date": str(row["date"])} for row in made(40)]
    for row in rows[:3]:
        row["date"] = "yesterday"
    for row in rows[5:7]:
        row["ticker"] = None
    daily = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date").daily
    assert (daily.rows, daily.undated, daily.nameless) == (40, 3, 2)
    assert daily.market["texts"].sum() == 37
    assert daily.by_ticker["texts"].sum() == 35


@pytest.mark.parametrize(
    "theirs", [["sentiment"], ["predicted_sentiment"], ["sentiment", "predicted_expert"], "answers"]
)
def test_the_answers_own_columns_are_taken(theirs: Any, tmp_path: Path) -> None:
    """Rows that had a column `sentiment` keep it, and ours is `predicted_sentiment`, which may be theirs as well."""
    rows = made(40)
    expected = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date").frame
    answers = list(rows[0])[2:]
    own = answers if theirs == "answers" else theirs
    called = free_names(answers, own)
    labelled = [
        {"ticker": row["ticker"], "date": row["date"], **dict.fromkeys(own, "0"), **{called[name]: row[name] for name in answers},
         "more": 1}
        for row in rows
    ]  # fmt: skip
    assert make_index([saved(labelled, tmp_path / "b.parquet")], "ticker", "date").frame.equals(expected)
    shuffled = pl.DataFrame(rows).select(sorted(rows[0]))
    shuffled.write_parquet(tmp_path / "c.parquet")
    assert make_index([tmp_path / "c.parquet"], "ticker", "date").frame.equals(expected)


def test_shards_of_several_schemas(tmp_path: Path) -> None:
    rows = made(60)
    (tmp_path / "in").mkdir()
    saved(rows[:30], tmp_path / "in" / "a.parquet")
    saved([row | {"date": str(row["date"]), "more": 1} for row in rows[30:]], tmp_path / "in" / "b.parquet")
    expected = make_index([saved(rows, tmp_path / "c.parquet")], "ticker", "date").frame
    found = make_index([tmp_path / "in"], "ticker", "date").frame
    assert found.select("ticker", "day", "texts").equals(expected.select("ticker", "day", "texts"))


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    path = saved(made(20), tmp_path / "a.parquet")
    for by, day, told in (("tickr", "date", "did you mean 'ticker'"), ("ticker", "when", "name it by --date COL")):
        with pytest.raises(DataError, match=told):
            make_index([path], by, day)
    with pytest.raises(DataError, match="none of its 20 rows has a date"):
        make_index([path], "ticker", "expert")
    pl.DataFrame({"ticker": ["a"], "date": ["2026-01-01"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="is not scored; run `finsa score`"):
        make_index([tmp_path / "b.parquet"], "ticker", "date")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"c\.parquet: cannot be read"):
        make_index([tmp_path / "c.parquet"], "ticker", "date")
    with pytest.raises(ConfigError, match="half_life is 0"):
        make_index([path], "ticker", "date", Rules(half_life=0))


def test_saving_is_whole_or_nothing(tmp_path: Path) -> None:
    index: Index = make_index([saved(made(50), tmp_path / "a.parquet")], "ticker", "date")
    index.save(tmp_path / "i.parquet")
    assert pl.read_parquet(tmp_path / "i.parquet").equals(index.frame)
    index.save(tmp_path / "i.csv")
    assert pl.read_csv(tmp_path / "i.csv").height == index.frame.height
    with pytest.raises(DataError, match="cannot be written"):
        index.save(tmp_path / "absent" / "i.csv")


def scored(**more: Any) -> dict[str, Any]:
    """One bullish text."""
    return {"ticker": "a", "date": "2026-03-02", "sentiment": "利好", "confidence": 0.9, "bearish": 0.05, "neutral": 0.05,
            "bullish": 0.9, "expert": "news", **more}  # fmt: skip


def test_a_ticker_named_twice_counts_a_text_once(tmp_path: Path) -> None:
    rows = [scored(ticker="a, a,b"), scored(ticker="a,"), scored(ticker=","), scored(ticker="")]
    index = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date", Rules(1), split=",")
    counts = dict(index.frame.select("ticker", "texts").rows())
    assert counts == {"a": 2, "b": 1, MARKET: 4}
    assert index.daily.nameless == 2
    lists = [{**row, "ticker": [name for name in row["ticker"].split(",") if name]} for row in rows]
    again = make_index([saved(lists, tmp_path / "b.parquet")], "ticker", "date", Rules(1))
    assert again.daily.nameless == 2


def test_a_day_long_ago_does_not_spoil_the_recent_score(tmp_path: Path) -> None:
    rows = [scored(date=day) for day in ("1900-01-01", "2026-03-02", "2026-03-03")]
    index = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date", Rules(1))
    assert index.frame["score_recent"].to_list() == pytest.approx([0.85] * 6)


def test_blanks_within_a_day_do_not_cut_it(tmp_path: Path) -> None:
    rows = [scored(date="2026 年 12 月 3 日 09:30"), scored(date="2026-12"), scored(date="2026/12/3 10:00")]
    index = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date", Rules(1))
    assert index.tickers["day"].to_list() == [date(2026, 12, 3)]
    assert index.daily.undated == 1


def test_a_source_named_like_a_measure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a source is called 'recent'"):
        make_index([saved([scored(site="recent")], tmp_path / "a.parquet")], "ticker", "date", Rules(1), source="site")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_an_empty_file_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=f"{name}: "):
        make_index([tmp_path / name], "ticker", "date")

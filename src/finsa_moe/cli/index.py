"""``finsa index``: scored texts into a daily sentiment index by ticker and for the market, with pictures and a check.

It asks the scale room, prints and saves; every number comes from there.
"""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.screen import remark_on_fonts, screen
from finsa_moe.cli.targets import check_picture, check_targets, refuse_inputs
from finsa_moe.errors import ConfigError, DataError, require
from finsa_moe.files import write

if TYPE_CHECKING:
    from finsa_moe.scale.event_study import Study
    from finsa_moe.scale.index import Index


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("index")(index)


def index(
    scored: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCORED...", help="Folders of finsa score, or files of finsa predict.", show_default=False
        ),
    ],
    by: Annotated[str, typer.Option(metavar="COL", help="Column of the ticker, or of a list of tickers.")],
    date: Annotated[str, typer.Option(metavar="COL", help="Column of the date or time.")],
    out: Annotated[Path, typer.Option(metavar="F", help="File for the table: .parquet or .csv.")],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="COL", help="Column that tells news from forum posts; left out: the expert that answered."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="SEP", help="What separates several tickers, e.g. ','.")] = None,
    zfill: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Digits of a ticker: shorter ones of digits get leading zeros, in --returns too."
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Count copies of a text, of one ticker, day and source, as one.")
    ] = False,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="COL", help="Column of the text, for --once; left out: that of finsa score, or by its usual names."
        ),
    ] = None,
    min_count: Annotated[
        int, typer.Option(min=1, help="How many texts a day needs at least for its measures to be given.")
    ] = 5,
    close: Annotated[
        str | None,
        typer.Option(
            metavar="HH:MM",
            help="Texts from this time on count on the next day; left out: on the day written, whatever the hour.",
        ),
    ] = None,
    calendar: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:COL]",
            help="Trading days, or returns: texts of other days count on the next of these; left out: on their own.",
        ),
    ] = None,
    zone: Annotated[
        str,
        typer.Option(
            metavar="ZONE", help="Time zone of days and --close: times with a zone or an offset are brought to it."
        ),
    ] = "Asia/Shanghai",
    half_life: Annotated[float, typer.Option(help="Days after which a text counts half in score_recent.")] = 5.0,
    window: Annotated[int, typer.Option(min=2, help="How many earlier values the z-score compares a day with.")] = 20,
    plot: Annotated[
        Path | None, typer.Option(metavar="F.png", help="Save a picture of scores and numbers of texts over time.")
    ] = None,
    heatmap: Annotated[
        Path | None, typer.Option(metavar="F.png", help="Save a heat map of scores by ticker and day.")
    ] = None,
    show: Annotated[list[str] | None, typer.Option(metavar="TICKER", help="Ticker to draw; repeatable.")] = None,
    returns: Annotated[
        Path | None, typer.Option(metavar="F", help="Daily returns (ticker, date, return): an event study is printed.")
    ] = None,
    measure: Annotated[str, typer.Option(help="The measure that --returns is compared with.")] = "score",
    trained_until: Annotated[
        str | None,
        typer.Option(
            metavar="DAY",
            help="Last day of the texts that the model was trained on; left out: as finsa score noted it, if it could.",
        ),
    ] = None,
) -> None:
    """Daily sentiment by ticker and for the market, from scored texts.

    A text's score is P(bullish) − P(bearish). Columns: counts by class; score (mean), score_weighted (by confidence),
    score_recent (older texts fade), bullishness and agreement (Antweiler and Frank 2004), z (of score, against the days
    before), and texts and score by source. Rows of ticker `market` are all texts together.
    """
    require("polars", "data", "finsa index")
    from finsa_moe.data.reading.days import parse_day
    from finsa_moe.scale.calendar import read_calendar
    from finsa_moe.scale.index import ENDINGS, Rules, make_index
    from finsa_moe.scale.lookahead import learnt_until, looks_ahead

    if out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--out {out}: unknown ending {out.suffix!r}; name a file ending in {' or '.join(ENDINGS)}")
    if text is not None and not once:
        raise ConfigError("--text belongs to --once, which alone reads the texts; name both, or neither")
    check_targets(out, plot, heatmap)
    check_picture(plot, "--plot")
    check_picture(heatmap, "--heatmap")
    trading = None if calendar is None else _file_and_column(calendar)
    others = [*([returns] if returns else []), *([trading[0]] if trading else [])]
    refuse_inputs({"--out": out, "--plot": plot, "--heatmap": heatmap}, [*scored, *others])
    given = None if trained_until is None else parse_day(trained_until, "--trained-until")
    prices = None
    if returns is not None:
        require("statsmodels", "scale", "--returns")
        from finsa_moe.scale.event_study import event_study
        from finsa_moe.scale.returns import read_returns

        prices = read_returns(returns, by, zfill)
    trading_days = None if trading is None else read_calendar(*trading)
    rules = Rules(min_count, half_life, window, None if close is None else _minute(close), trading_days, zone)
    made = make_index(scored, by, date, rules, source=source, split=split, zfill=zfill, once=once, text=text)
    refuse_inputs({"--out": out, "--plot": plot, "--heatmap": heatmap}, made.daily.files)
    if unknown := sorted(set(show or ()) - set(made.frame["ticker"])):
        raise DataError(f"--show {unknown[0]}: no text has this ticker")
    made.save(out)
    until = given or learnt_until(made.daily.files)
    _tell(made, out)
    _draw(made, plot, heatmap, show)
    if prices is None:
        if (ahead := looks_ahead(made.market["day"], until, made.daily.written)) is not None:
            typer.echo(ahead, err=True)
    else:
        study = event_study(made, prices.frame, measure=measure, trained_until=until)
        _show(study, measure, [*prices.warnings, *study.warnings])


def _minute(value: str) -> time:
    try:
        return datetime.strptime(value, "%H:%M").time()
    except ValueError:
        raise ConfigError(f"--close {value!r}: allowed is a time of the day such as 15:00") from None


def _file_and_column(value: str) -> tuple[Path, str | None]:
    """A file and, where it is written behind a colon, the column of it that is meant."""
    from finsa_moe.data.reading.names import named

    file, colon, column = value.rpartition(":")
    if colon and not named(Path(value)).file.exists() and named(Path(file)).file.is_file():
        return Path(file), column
    return Path(value), None


def _tell(made: Index, out: Path) -> None:
    from finsa_moe.scale.gaps import gaps
    from finsa_moe.scale.tickers import twins

    daily = made.daily
    for path, reason in daily.skipped.items():
        typer.echo(f"left out: {path}: {reason}", err=True)
    for line in gaps(daily.files):
        typer.echo(line, err=True)
    tickers = made.tickers
    span = made.market["day"].sort().to_list()
    counted = int(made.market["texts"].sum())
    texts = f"{daily.rows:,}" if counted == daily.rows else f"{counted:,} of {daily.rows:,}"
    typer.echo(
        f"{out}: {texts} texts, {tickers['ticker'].n_unique():,} tickers, {span[0]} to {span[-1]}, "
        f"{made.frame.height:,} rows"
    )
    if made.thin:
        typer.echo(
            f"{made.thin:,} of {tickers.height:,} days of tickers have under {made.rules.min_count} texts: "
            "their measures are empty (--min-count)",
            err=True,
        )
    if daily.unanswered:
        typer.echo(f"{daily.unanswered:,} rows have no answer, and count nowhere", err=True)
    if daily.untimed:
        typer.echo(f"{daily.untimed:,} texts have no time that can be read, and count on the day written", err=True)
    if daily.copies:
        typer.echo(f"{daily.copies:,} rows repeat a text of their ticker, day and source, and are left out", err=True)
    if daily.undated:
        typer.echo(f"{daily.undated:,} texts have no date that can be read, and are in no row", err=True)
    if daily.outside:
        where = ", ".join(f"{texts:,} {place}" for place, texts in daily.outside.items())
        typer.echo(f"texts whose trading day the calendar does not tell, which are in no row: {where}", err=True)
    if daily.nameless:
        typer.echo(f"{daily.nameless:,} texts name no ticker, and count for the market alone", err=True)
    names = set(tickers["ticker"])
    if pairs := twins(names, names):
        (one, other), width = pairs[0], max(map(len, pairs[0]))
        typer.echo(
            f"{len(pairs):,} tickers are written with leading zeros and without, and count as two (first: {one} and "
            f"{other}): --zfill {width} makes them one",
            err=True,
        )


def _draw(made: Index, plot: Path | None, heatmap: Path | None, show: list[str] | None) -> None:
    from finsa_moe.scale import pictures

    for target, draw in ((plot, pictures.lines), (heatmap, pictures.heat_map)):
        if target is None:
            continue
        write(target, draw(made, show or None))
        typer.echo(f"written: {target}", err=True)
    if (plot or heatmap) and any(not name.isascii() for name in made.frame["ticker"].unique()):
        remark_on_fonts()


def _show(study: Study, measure: str, warnings: list[str]) -> None:
    from rich.table import Table

    from finsa_moe.scale.event_study import FEWEST_BLOCKS

    how = "Spearman across tickers, mean over days" if study.across else "Pearson over days"
    table = Table(title=f"information coefficient of {measure}: {how}; Newey–West errors", title_justify="left")
    for name in ("return over", "days", "IC", "s.e.", "95 %", "t", "lags", "IC > 0"):
        table.add_column(name, justify="right")
    called = {-1: "the day before", 0: "the same day"}
    for c in study.coefficients:
        low, high = c.interval
        told = [f"{c.error:.4f}", f"{low:+.4f} to {high:+.4f}", f"{c.t:+.2f}"]
        if c.blocks < FEWEST_BLOCKS:
            told = ["–", "too few", "–"]
        over = called.get(c.horizon, "day 1" if c.horizon == 1 else f"days 1 to {c.horizon}")
        table.add_row(over, f"{c.days:,}", f"{c.mean:+.4f}", *told, str(c.lags), f"{100 * c.positive:.0f} %")
    console = screen()
    console.print(table)
    for line in warnings:
        typer.echo(line, err=True)

"""One self-contained HTML page: the frame, and the few pieces that sections are made of.

Headings, tables and pictures in, one string out; it needs no network, no script and no other file. Every text is
escaped here. It does not know what an evaluation is: `sections` does.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from finsa_moe import __version__

TALL = 800
"""Pixels of height above which a picture is shown as wide as it may be, since nobody could read it pressed flat."""


@dataclass(frozen=True)
class Section:
    """A heading, its body as HTML from the pieces below, and a plain-text line of explanation under the heading."""

    heading: str
    body: str
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A table cell with a look: `mark` is ``best``, ``muted`` or a class name; `bar` in [0, 1] fills it so far."""

    text: object
    mark: str = ""
    bar: float | None = None


def html_page(title: str, sections: Sequence[Section], subtitle: str = "", css: str = "") -> str:
    """The whole page as a string; dark or light as the reader's system is set.

    Args:
        title: Plain text.
        sections: In reading order.
        subtitle: Plain text under the title.
        css: Rules beside the page's own.
    """
    named = [(f"s{at}", section) for at, section in enumerate(sections)]
    links = "".join(f'<a href="#{anchor}">{escape(s.heading)}</a>' for anchor, s in named)
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(s.heading)}</h2>'
        + (f'<p class="note">{escape(s.note)}</p>' if s.note else "")
        + f"{s.body}</section>"
        for anchor, s in named
    )
    under = f'<p class="sub">{escape(subtitle)}</p>' if subtitle else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{CSS}{css}</style></head>\n"
        f"<body><header><h1>{escape(title)}</h1>{under}<nav>{links}</nav></header>\n"
        f"<main>{body}</main>\n<footer>made by finsa-moe {escape(__version__)}</footer></body></html>\n"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> str:
    """A table; the first `left` columns are words and stand on the left, the others numbers on the right."""

    def cell(at: int, value: object) -> str:
        c = value if isinstance(value, Cell) else Cell(value)
        names = " ".join(filter(None, ("" if at < left else "num", c.mark)))
        fill = "" if c.bar is None else f' style="--bar:{100 * min(1.0, max(0.0, c.bar)):.1f}%"'
        names += " bar" if c.bar is not None else ""
        return f'<td class="{escape(names)}"{fill}>{escape(str(c.text))}</td>'

    head = "".join(f'<th class="{"" if at < left else "num"}">{escape(name)}</th>' for at, name in enumerate(heads))
    body = "".join("<tr>" + "".join(cell(at, v) for at, v in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture(png: bytes | Path, alt: str, caption: str = "") -> str:
    """A PNG, inlined as base64.

    Args:
        png: Its bytes or its file.
        alt: What it shows, for those who cannot see it.
        caption: Plain text under it.
    """
    raw = png.read_bytes() if isinstance(png, Path) else png
    tall = ' class="tall"' if int.from_bytes(raw[20:24]) > TALL else ""  # its header has the height there
    data = base64.b64encode(raw).decode("ascii")
    under = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img{tall} alt="{escape(alt)}" src="data:image/png;base64,{data}">{under}</figure>'


def pictures(figures: Iterable[str], *, large: bool = False) -> str:
    """Figures side by side where the page is wide enough; `large` ones two at most."""
    return f'<div class="grid{" large" if large else ""}">{"".join(figures)}</div>'


def facts(entries: Iterable[tuple[str, object]]) -> str:
    """Large numbers with a word under each: the summary at the top."""
    cards = "".join(f"<div><b>{escape(str(value))}</b><span>{escape(name)}</span></div>" for name, value in entries)
    return f'<div class="facts">{cards}</div>'


def text(words: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(words)}</p>"


def code(words: str) -> str:
    """Plain text as it would be typed."""
    return f"<pre>{escape(words)}</pre>"


# Red is up and green is down, as every Chinese quote board has it.
CSS = """
:root{--bg:#fbfbfa;--card:#fff;--ink:#1d2126;--soft:#697180;--line:#e4e6ea;--accent:#2b5fb3;--tint:#2b5fb31f;
--bullish:#c22f2f;--bearish:#1b7f4b;--neutral:#6b7280}
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1c2026;--ink:#e6e8eb;--soft:#98a1ae;--line:#2d333b;
--accent:#7aa7f0;--tint:#7aa7f02e;--bullish:#ff7b72;--bearish:#4cc38a;--neutral:#9aa4b2}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:2.5rem 1.25rem 4rem;background:var(--bg);color:var(--ink);
font:16px/1.6 system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
h1{margin:0;font-size:2rem;line-height:1.2;letter-spacing:-.02em}h2{margin:0 0 .3rem;font-size:1.25rem}
.sub,.note,footer,figcaption{color:var(--soft)}.sub{margin:.4rem 0 0}.note{margin:0 0 .8rem;font-size:.92rem}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin-top:1rem;padding-bottom:1rem;
border-bottom:1px solid var(--line)}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
section{margin-top:2.4rem}.wide{overflow-x:auto;border:1px solid var(--line);border-radius:10px;background:var(--card)}
table{width:100%;border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .8rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}th{color:var(--soft);font-weight:600;white-space:nowrap}
.num{text-align:right;white-space:nowrap}.best{font-weight:700}.muted{color:var(--soft)}
.bar{background:linear-gradient(to right,var(--tint) var(--bar),transparent var(--bar))}
.bullish{color:var(--bullish);font-weight:600}.bearish{color:var(--bearish);font-weight:600}
.neutral{color:var(--neutral);font-weight:600}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:.8rem}
.facts div{padding:.8rem 1rem;border:1px solid var(--line);border-radius:10px;background:var(--card)}
.facts b{display:block;font-size:1.45rem;line-height:1.3;font-variant-numeric:tabular-nums}
.facts span{color:var(--soft);font-size:.85rem}
.facts+figure,.wide+.grid,.grid+.wide,p+.wide,.wide+.wide{margin-top:.8rem}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:1rem;align-items:start}
figure{margin:0;padding:.8rem;border:1px solid var(--line);border-radius:10px;background:#fff}
.grid>*,.facts>*{min-width:0}h1,h2,nav,p,.facts,figcaption{overflow-wrap:anywhere}
.grid.large{grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
figure img{display:block;max-width:100%;max-height:26rem;margin:0 auto}
figure img.tall{max-height:none}
figcaption{margin-top:.5rem;color:#697180;font-size:.85rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.8rem 1rem;border:1px solid var(--line);border-radius:10px;
background:var(--card);font-size:.85rem}
footer{margin-top:3rem;font-size:.85rem}
@media print{body{max-width:none;padding:0}nav{display:none}section{break-inside:avoid}}
"""

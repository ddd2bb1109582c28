"""The smallest Excel workbook: sheets of cells, written by hand, as no library that writes them is installed."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
Day = tuple[float]
"""A date as Excel has it: days since 1899-12-30, in a tuple to tell it from a number."""


def write_workbook(
    path: Path,
    sheets: Mapping[str, Sequence[Sequence[str | float | Day | None]]],
    merged: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write sheets of up to 26 columns; None is a cell that is not there. `merged` has ranges by sheet, as A1:B2."""
    number = {name: at for at, name in enumerate(sheets, 1)}
    entries = "".join(f'<sheet name="{name}" sheetId="{at}" r:id="r{at}"/>' for name, at in number.items())
    targets = {f"r{at}": ("worksheet", f"worksheets/sheet{at}.xml") for at in number.values()}
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": relations({"b": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{entries}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations({**targets, "s": ("styles", "styles.xml")}),
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    for name, rows in sheets.items():
        body = "".join(
            f'<row r="{y}">{"".join(cell(value, f"{chr(64 + x)}{y}") for x, value in enumerate(row, 1) if value is not None)}</row>'
            for y, row in enumerate(rows, 1)
        )
        parts[f"xl/worksheets/sheet{number[name]}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData>{merging((merged or {}).get(name, ()))}</worksheet>'
        )
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    inner = "".join(
        f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{to}"/>' for key, (kind, to) in targets.items()
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{inner}</Relationships>'


def merging(ranges: Sequence[str]) -> str:
    cells = "".join(f'<mergeCell ref="{place}"/>' for place in ranges)
    return f'<mergeCells count="{len(ranges)}">{cells}</mergeCells>' if ranges else ""


def cell(value: str | float | Day, place: str) -> str:
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    if isinstance(value, tuple):
        return f'<c r="{place}" s="1"><v>{value[0]}</v></c>'
    return (
        f'<c r="{place}" t="b"><v>{value:d}</v></c>'
        if isinstance(value, bool)
        else f'<c r="{place}"><v>{value}</v></c>'
    )

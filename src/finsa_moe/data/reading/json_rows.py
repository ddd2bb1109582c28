"""JSON in, batches of raw rows out: one object a line, or one list of objects or of text-and-label pairs.

A line that is no JSON is a broken row of its own. Rows come as values, or as text, in which cells that are no strings
are written as JSON. It does not know which key holds what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from finsa_moe.data.reading.encoding import open_text
from finsa_moe.data.reading.names import named
from finsa_moe.data.reading.rows import BATCH_ROWS, Batch, Broken, Row, as_text, unique_names
from finsa_moe.errors import DataError

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(path: Path) -> Iterator[Batch]:
    """Yield the rows of a file as text.

    Raises:
        DataError: As `json_values`.
    """
    for part in json_portions(json_values(path), BATCH_ROWS):
        names = unique_names(_clean(name) for name in part.names)
        rows: list[Row] = [[_cell(value) for value in row] for row in part.rows]
        broken = [Broken(one.line, one.reason, _clean(one.text)) for one in part.broken]
        yield Batch(names, rows, part.lines, broken, part.more)


def json_portions(
    entries: Iterator[tuple[int, object]], size: int, watch: Callable[[int, int], None] | None = None
) -> Iterator[Batch]:
    """Yield rows of values, each an object or a list of text and label, `size` at a time; once at least.

    Args:
        entries: What `json_values` gives.
        size: How many rows make a portion.
        watch: Called at each row, before it is kept, with the number of keys met so far and its line.
    """
    names: dict[str, int] = {}
    part = Batch([], more=True)
    for line, entry in entries:
        if isinstance(entry, list) and len(entry) == 2:
            entry = {"text": entry[0], "label": entry[1]}
        if isinstance(entry, dict):
            for key in entry:
                names.setdefault(key, len(names))
            if watch is not None:
                watch(len(names), line)
            part.rows.append([entry.get(name) for name in names])
            part.lines.append(line)
        elif isinstance(entry, Broken):
            part.broken.append(entry)
        else:
            reason = f"a JSON {type(entry).__name__}; allowed: an object, or a list of text and label"
            part.broken.append(Broken(line, reason, json.dumps(entry, ensure_ascii=False)))
        if len(part.rows) + len(part.broken) >= size:
            yield _filled(part, list(names))
            part = Batch([], more=True)
    part.more = False
    yield _filled(part, list(names))


def _filled(part: Batch, names: list[str]) -> Batch:
    """With the columns met so far; every row as long as these."""
    part.names, width = names, len(names)
    part.rows = [row if len(row) == width else [*row, *[None] * (width - len(row))] for row in part.rows]
    return part


def json_values(path: Path) -> Iterator[tuple[int, object]]:
    """Yield the JSON value of each row as it is, and the line on which it starts; a line that is no JSON is `Broken`.

    A row is a line; under the ending ``.json`` it may be an entry of one list as well. Entries that share a line are
    counted on from it, so that no two rows have one number.

    Raises:
        DataError: If no encoding decodes the whole file; if the list is damaged, as then no row behind the damage can
            be trusted.
    """
    with open_text(path) as file:
        listed = named(path).ending == ".json" and file.read(1 << 12).lstrip().startswith("[")
        file.seek(0)
        yield from _list_values(file.read(), path) if listed else _line_values(file)


def _line_values(file: TextIO) -> Iterator[tuple[int, object]]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            yield line, json.loads(text)
        except (ValueError, RecursionError) as error:
            yield line, Broken(line, f"not JSON: {error}", text.strip())


def _list_values(text: str, path: Path) -> Iterator[tuple[int, object]]:
    decoder, blank = json.JSONDecoder(), re.compile(r"[\s\ufeff]*")
    position, line, counted, number = _past(blank, text, 0) + 1, 1, 0, 0
    while True:
        position = _past(blank, text, position)
        if text[position : position + 1] == "]":
            if _past(blank, text, position + 1) < len(text):
                raise DataError(f"{path}: something follows the JSON list; keep one list, or name JSON lines .jsonl")
            return
        line += text.count("\n", counted, position)
        counted = position
        try:
            entry, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not a JSON list at line {line}: {error}; mend it") from error
        number = max(line, number + 1)
        yield number, entry
        position = _past(blank, text, position)
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "]":
            raise DataError(f"{path}: the JSON list breaks off after the entry at line {line}; ',' or ']' is missing")


def _past(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _cell(value: object) -> str | None:
    found = as_text(value)  # None of NaN too, as pandas writes what is missing
    return None if found is None else _clean(found)


def _clean(text: str) -> str:
    """The text, of its own type, without lone surrogates: JSON can spell them, UTF-8 cannot hold them."""
    return text if text.isascii() else type(text)(_SURROGATE.sub("", text))

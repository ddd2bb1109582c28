"""JSON in, batches of raw rows out: one object a line, or one list of objects or of text-and-label pairs.

A line that is no JSON is a broken row of its own; cells that are no strings are written as JSON. It does not know which
key holds what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from finsa_moe.data.encoding import open_text
from finsa_moe.data.names import named
from finsa_moe.data.rows import Batch, Broken, Nested, unique_names
from finsa_moe.errors import DataError

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(path: Path) -> Iterator[Batch]:
    """Yield the rows of `json_values`; each is an object, or a list of text and label.

    Raises:
        DataError: As `json_values`.
    """
    yield from _batched(json_values(path))


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


def _batched(entries: Iterator[tuple[int, object]]) -> Iterator[Batch]:
    """Rows from JSON values; the columns are the keys in the order they first appear."""
    names: dict[str, int] = {}
    batch = Batch([])
    for line, entry in entries:
        if isinstance(entry, list) and len(entry) == 2:
            entry = {"text": entry[0], "label": entry[1]}
        if isinstance(entry, dict):
            batch.rows.append([_cell(entry.get(name)) for name in names])
            batch.lines.append(line)
            for key in entry:
                if key not in names:
                    names[key] = len(names)
                    batch.rows[-1] = [*batch.rows[-1], _cell(entry[key])]
        elif isinstance(entry, Broken):
            batch.broken.append(Broken(entry.line, entry.reason, _clean(entry.text)))
        else:
            reason = f"a JSON {type(entry).__name__}; allowed: an object, or a list of text and label"
            batch.broken.append(Broken(line, reason, _clean(json.dumps(entry, ensure_ascii=False))))
        if batch.full:
            batch.more = True
            yield _finished(batch, names)
            batch = Batch([])
    yield _finished(batch, names)


def _finished(batch: Batch, names: dict[str, int]) -> Batch:
    batch.names = unique_names(_clean(name) for name in names)
    width = len(names)
    batch.rows = [row if len(row) == width else [*row, *[None] * (width - len(row))] for row in batch.rows]
    return batch


def _cell(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value and _clean(value)
    written = _clean(json.dumps(value, ensure_ascii=False))
    return Nested(written) if isinstance(value, list | dict) else written


def _clean(text: str) -> str:
    """The text without lone surrogates: JSON can spell them, UTF-8 cannot hold them."""
    return text if text.isascii() else _SURROGATE.sub("", text)

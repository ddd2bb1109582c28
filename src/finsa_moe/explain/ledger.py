"""The explanations of a file as they come, so that a run that was stopped goes on where it was.

A hidden file beside the output holds one JSON line a row, under a first line that says what was asked of which file by
which model; only a run that asks the same goes on with it, and one at a time. It knows nothing of words or values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import append, locked, whole_file

ERROR = "error"


class Ledger:
    """The rows done so far, held by one run until it is closed or its process ends.

    Args:
        output: Where the explanations shall stand in the end, ``.jsonl``.
        asked: What the rows hang on; a ledger of another question is started anew.
        portion: Rows are kept in whole portions of this many, so that what follows is asked together as it would have
            been.

    Raises:
        ConfigError: If the output is no ``.jsonl``, or another run is making it.
        DataError: If the folder is not there or cannot be written.
    """

    def __init__(self, output: Path, asked: Mapping[str, Any], portion: int) -> None:
        if output.suffix.lower() not in (".jsonl", ".ndjson"):
            raise ConfigError(f"{output}: explanations are nested; name a file ending in .jsonl")
        if not output.parent.is_dir():
            raise DataError(f"{output}: there is no folder {output.parent}; make it first or name another")
        self.output = output
        self.path = output.with_name(f".{output.name}.partial")
        taken = ConfigError(f"{output}: another run is writing it; wait for its end, or name another --output")
        head = json.dumps(asked, ensure_ascii=True, sort_keys=True).encode()
        try:
            self._file = locked(self.path, taken)
            self.done = self._kept(head, portion)
        except OSError as error:
            raise self._unwritable(error) from error

    def _kept(self, head: bytes, portion: int) -> int:
        """Cut a ledger of the same question to whole portions, any other to its first line; how many rows it has."""
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        whole = 0
        if lines[0] == head:
            for line in lines[1:-1]:  # what follows the last line feed was cut short
                if not line.startswith(b"{") or not line.endswith(b"}"):
                    break
                whole += 1
        kept = whole - whole % portion
        self._file.truncate(sum(len(line) + 1 for line in lines[: kept + 1]) if kept else 0)
        if not kept:
            append(self._file, head + b"\n")
        return kept

    def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a portion, on disk.

        Raises:
            DataError: If they cannot be written; those of earlier portions stay.
        """
        try:
            append(self._file, "".join(json_line(entry) for entry in entries).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"{self.output} cannot be written: {error.strerror or error}; name another --output")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows kept, in order."""
        with self.path.open(encoding="utf-8", newline="\n") as lines:
            next(lines)
            for line in lines:
                yield json.loads(line)

    def finish(self) -> None:
        """Put the explained rows into place as the output; the ledger goes."""
        with whole_file(self.output) as out:
            for entry in self:
                if ERROR not in entry:
                    out.write(json_line(entry).encode())
        if os.name == "nt":  # where no open file can be taken away, and none is held
            self.close()
        self.path.unlink()
        self.close()

    def close(self) -> None:
        """Leave what is done for another run."""
        self._file.close()


def json_line(entry: Mapping[str, Any]) -> str:
    """An object as one line; a text with lone surrogates is escaped, for offsets count them."""
    line = json.dumps(entry, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(entry)
    return line + "\n"

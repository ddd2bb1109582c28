"""The explanations of a file as they come, so that a run that was stopped goes on where it was.

A hidden file beside the output holds one JSON line a row, under a first line that says what was asked of which file by
which model; only a run that asks the same goes on with it. It knows nothing of words or values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, DataError

ERROR = "error"


class Ledger:
    """The rows done so far.

    Args:
        output: Where the explanations shall stand in the end, ``.jsonl``.
        asked: What the rows hang on; a ledger of another question is started anew.
        portion: Rows are kept in whole portions of this many, so that what follows is asked together as it would have
            been.

    Raises:
        ConfigError: If the output is no ``.jsonl``.
        DataError: If the folder is not there or cannot be written.
    """

    def __init__(self, output: Path, asked: Mapping[str, Any], portion: int) -> None:
        if output.suffix.lower() not in (".jsonl", ".ndjson"):
            raise ConfigError(f"{output}: explanations are nested; name a file ending in .jsonl")
        if not output.parent.is_dir():
            raise DataError(f"{output}: there is no folder {output.parent}; make it first or name another")
        self.output = output
        self.path = output.with_name(f".{output.name}.partial")
        self._head = json.dumps(asked, ensure_ascii=True, sort_keys=True)
        self.done = self._kept(portion)
        try:
            if self.done == 0:
                self.path.write_text(self._head + "\n", encoding="utf-8")
            self._file = self.path.open("a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise DataError(f"{output} cannot be written: {error.strerror or error}; name another --output") from error

    def _kept(self, portion: int) -> int:
        """Cut a ledger of the same question to whole portions; how many rows it then has."""
        if not self.path.is_file():
            return 0
        lines = self.path.read_text(encoding="utf-8", errors="ignore").split("\n")
        if lines[0] != self._head:
            return 0
        whole = 0
        for line in lines[1:-1]:  # what follows the last line feed was cut short
            if not line.startswith("{") or not line.endswith("}"):
                break
            whole += 1
        kept = whole - whole % portion
        part = self.path.with_name(f"{self.path.name}.new")
        part.write_text("\n".join(lines[: kept + 1]) + "\n", encoding="utf-8")
        part.replace(self.path)
        return kept

    def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a portion."""
        self._file.write("".join(json_line(entry) for entry in entries))
        self._file.flush()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows kept, in order."""
        with self.path.open(encoding="utf-8", newline="\n") as lines:
            next(lines)
            for line in lines:
                yield json.loads(line)

    def finish(self) -> None:
        """Put the explained rows into place as the output; the ledger goes."""
        self._file.close()
        part = self.output.with_name(f".{self.output.name}.part")
        with part.open("w", encoding="utf-8", newline="\n") as out:
            for entry in self:
                if ERROR not in entry:
                    out.write(json_line(entry))
        part.replace(self.output)
        self.path.unlink()

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

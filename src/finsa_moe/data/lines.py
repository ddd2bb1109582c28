"""Lines of raw text files, normalised: what pre-training reads, and what a novelty score is told apart from.

Paths go in, texts come out one at a time; nothing is held. It does not know what the lines are for.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError

_OPENERS: dict[str, Callable[..., IO[bytes]]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}  # type: ignore[dict-item]


def normalised_lines(sources: Sequence[Path]) -> Iterator[str]:
    """Normalised, non-empty lines of text files (one text a line; ``.xz``, ``.gz`` and ``.bz2`` are unpacked).

    Raises:
        DataError: If a file is missing or is not UTF-8.
    """
    for source in sources:
        if not source.is_file():
            raise DataError(f"{source}: no such file; give text files with one text a line, plain, .xz, .gz or .bz2")
        opener = _OPENERS.get(source.suffix)
        binary: IO[bytes] = opener(source, "rb") if opener else source.open("rb")
        with io.TextIOWrapper(binary, encoding="utf-8-sig") as lines:
            number = 0
            try:
                for number, line in enumerate(lines, 1):  # noqa: B007 - named in the error below
                    text = normalise(line)
                    if text:
                        yield text
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{source}: after line {number}: not UTF-8 ({error.reason}); convert it first"
                ) from None
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise DataError(
                    f"{source}: after line {number}: cannot be unpacked ({error}); fetch it again"
                ) from None

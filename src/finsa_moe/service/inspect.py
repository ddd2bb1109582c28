"""A look through an uploaded file before any of it is answered: can it be read, how many rows, which columns.

So that what is wrong with a file is told before an answer begins. A Parquet file, whose few bytes may stand for any
number, is first opened in a process that may not take more than so much memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from finsa_moe.data.reading.columns import MissingColumn, listed
from finsa_moe.errors import DataError, install
from finsa_moe.runtime.bulk import Layout
from finsa_moe.runtime.rows import read, too_wide
from finsa_moe.service.problems import Problem
from finsa_moe.service.settings import TOKEN

MEMORY = 2 << 30
SECONDS = 60
_OPEN = """
import os, sys
os.environ["POLARS_MAX_THREADS"] = "1"
try:
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:  # on Windows a process has no such limits; what it unpacks to is counted all the same
    pass
import polars
try:
    scan = polars.scan_parquet(sys.argv[1], glob=False)
    columns = len(scan.collect_schema())
    if columns > int(sys.argv[5]):
        print(columns)
        sys.exit(6)
    rows = scan.select(polars.len()).collect().item()
    if rows > int(sys.argv[3]):
        sys.exit(4)
    frame = polars.read_parquet(sys.argv[1], glob=False)
    size = frame.estimated_size()
    for column in frame:
        if column.dtype == polars.String:
            size += column.str.len_bytes().sum() or 0
        elif column.dtype in (polars.Categorical, polars.Enum):  # one string may stand for all rows
            size += column.cat.len_bytes().sum() or 0
        elif column.dtype == polars.Binary:
            size += column.bin.size().sum() or 0
        elif column.dtype.is_nested():
            for value in column:  # no sum of its parts is at hand
                size += len(str(value))
                if size > int(sys.argv[4]):
                    break
except Exception as error:
    sys.exit(5 if isinstance(error, MemoryError) else 3)
sys.exit(5 if size > int(sys.argv[4]) else 0)
"""


@dataclass(frozen=True)
class Found:
    """What a file holds: how its answer is laid out, and how many rows there are, unreadable ones counted."""

    layout: Layout
    rows: int


def inspect(
    path: Path,
    called: str,
    domains: tuple[str, ...],
    most: int,
    most_columns: int,
    *,
    text: str | None,
    id: str | None,  # noqa: A002
) -> Found:
    """Read a file to its end.

    Args:
        path: Where it lies.
        called: What its owner calls it, for errors.
        domains: Experts of the model that will answer.
        most: Most rows.
        most_columns: Most columns.
        text: The text column, or several as ``"title+body"``; None finds it by its usual names.
        id: The id column; None finds it by its usual names.

    Raises:
        Problem: 422 for a file that cannot be read, has no such column or too many, 413 for one of too many rows.
    """
    many = Problem(413, "rows", f"{called}: over {most:,} rows; send it in parts")
    if path.suffix == ".parquet":
        if find_spec("polars") is None:
            said = f"this service cannot read Parquet; on its machine: {install('data')}"
            raise Problem(422, "no-parquet", f"{called}: {said}", [("/file", said)])
        _open_apart(path, called, most, most_columns, many)
    rows = 0
    types = {}
    try:
        for batch in read(path, most_columns):
            rows += len(batch.rows) + len(batch.broken)
            if rows > most:
                raise many
            types = {name: batch.types.get(name) for name in batch.names}
        layout = Layout.of(types, domains, path, text=text, id=id)
    except DataError as error:
        said = re.sub(r"--(\w+) COL", r"?\1=COL", str(error).replace(str(path), called))
        if isinstance(error, MissingColumn):
            raise Problem(422, "column", said, [("/file", said), ("/file/columns", listed(error.names))]) from None
        raise Problem(422, "file", said, [("/file", said)]) from None
    if not rows:
        raise Problem(422, "file", f"{called}: no rows", [("/file", "no rows")])
    return Found(layout, rows)


def _open_apart(path: Path, called: str, most: int, most_columns: int, many: Problem) -> None:
    limits = [str(path), *map(str, (MEMORY, most, MEMORY // 8, most_columns))]
    columns = 0
    env = {name: value for name, value in os.environ.items() if name != TOKEN}  # which a file must not get at
    command = [sys.executable, "-c", _OPEN, *limits]
    try:
        done = subprocess.run(command, timeout=SECONDS, check=False, capture_output=True, env=env)
        status = done.returncode
        columns = int(done.stdout) if status == 6 else 0
    except subprocess.TimeoutExpired:
        status = 5
    if status == 4:
        raise many
    if status:
        said = "is not a readable Parquet file" if status == 3 else "unpacks to more than is taken"
        if status == 6:
            said = too_wide(columns, most_columns)
        raise Problem(422, "file", f"{called}: {said}", [("/file", said)])

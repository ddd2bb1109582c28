"""Files on their way through the service, in a folder of its own: under random names, for a while.

What a client calls a file never becomes part of a path: a finished answer is found by comparing what was asked for with
the names in the folder. All workers share it. A file is written while others are served, on a thread of its own, whole
or not at all. Nothing here knows requests.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from finsa_moe.runtime.writers import Types, Writer

ENDINGS = {
    ".csv": "text/csv; charset=utf-8",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}
"""The formats taken, each answered in itself, and their media types."""
ANSWERS = ".answers"
"""What stands before the ending of an answer's name."""
Write = Callable[[Sequence[Sequence[object]]], Awaitable[None]]
_NAME = re.compile(r"[^\w.\-]+")


@dataclass(frozen=True)
class Kept:
    """A finished answer: its file, and what it is called where it is saved."""

    id: str
    ending: str
    name: str


class Spool:
    """The folder.

    Args:
        folder: Where it lies; None makes one.
        keep: Seconds for which a finished answer stays.
    """

    def __init__(self, folder: str | None, keep: float) -> None:
        self.keep = keep
        self._own = None if folder else tempfile.TemporaryDirectory(prefix="finsa-serve-")
        self.folder = Path(folder) if folder else Path(self._own.name)  # type: ignore[union-attr]

    def new(self, ending: str) -> Path:
        """A path that nothing has yet, for bytes under way."""
        return self.folder / f"{secrets.token_hex(16)}.part{ending}"

    def finish(self, part: Path, ending: str, name: str) -> Kept:
        """Keep a finished answer, to be fetched by its id.

        Raises:
            OSError: If the disk takes no more; nothing of the answer stays.
        """
        kept = Kept(secrets.token_hex(16), ending, name)
        answer, fact = self.folder / f"{kept.id}{ending}", self.folder / f"{kept.id}.json.part"
        try:
            part.replace(answer)
            fact.write_text(json.dumps(asdict(kept)), encoding="utf-8")
            fact.replace(self.folder / f"{kept.id}.json")
        except OSError:
            for left in (part, answer, fact):
                left.unlink(missing_ok=True)
            raise
        return kept

    def find(self, asked: str) -> tuple[Kept, Path] | None:
        """The answer with an id, if it is there."""
        for fact in self.folder.glob("*.json"):
            if secrets.compare_digest(fact.stem.encode(), asked.encode("utf-8", "replace")):
                with suppress(OSError, ValueError):
                    kept = Kept(**json.loads(fact.read_text(encoding="utf-8")))
                    return kept, self.folder / f"{kept.id}{kept.ending}"
        return None

    def sweep(self) -> None:
        """Remove what has been kept long enough, and what a killed worker left half done."""
        for path in self.folder.iterdir():
            limit = self.keep + (3600 if ".part" in path.name else 0)
            with suppress(OSError):
                if path.is_file() and time.time() - path.stat().st_mtime > limit:
                    path.unlink()

    def close(self) -> None:
        """Remove the folder if it was made here."""
        if self._own is not None:
            self._own.cleanup()


def ending_of(name: str) -> str | None:
    """The format that a file's name ends in; None for one that is not taken."""
    ending = "." + name.rpartition(".")[2].lower() if "." in name else ""
    return ending if ending in ENDINGS else None


def saved_as(name: str, ending: str) -> str:
    """What the answer to a file is called: the last part of its name, harmless in a header and in a folder."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return (_NAME.sub("_", stem).strip("._")[:80] or "texts") + ANSWERS + ending


def shown_as(name: str) -> dict[str, str]:
    """The header that has a client save an answer as `name`, and, of one that knows no `filename*`, in ASCII."""
    stem, _, ending = name.rpartition(ANSWERS)
    plain = (stem.encode("ascii", "ignore").decode().strip("._-") or "texts") + ANSWERS + ending
    more = "" if name.isascii() else f"; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Disposition": f'attachment; filename="{plain}"{more}'}


@asynccontextmanager
async def written(path: Path, names: Sequence[str], types: Types, *, bom: bool = False) -> AsyncIterator[Write]:
    """Give what writes rows; when the block ends without an error, the file stands.

    Cancelled at whatever step, a step that is under way ends first, and what was written is removed after it: nobody
    waits for that, as a wait could be cancelled again.

    Args:
        path: Where the rows go.
        names: The columns.
        types: As for `Writer`.
        bom: As for `Writer`.

    Raises:
        DataError: If the disk takes no more.
    """
    out = Writer(path, names, types, bom=bom)
    thread = ThreadPoolExecutor(1, thread_name_prefix="written")
    try:
        yield lambda rows: asyncio.wrap_future(thread.submit(out.write, rows))
        out.commit()
    finally:
        end = thread.submit(out.__exit__, None, None, None)  # without a commit all is removed
        thread.shutdown(wait=False)
    try:
        await asyncio.shield(asyncio.wrap_future(end))  # Parquet is written here
    except asyncio.CancelledError:
        end.add_done_callback(lambda _: path.unlink(missing_ok=True))
        raise

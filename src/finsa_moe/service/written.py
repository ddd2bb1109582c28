"""A file written while others are served: on a thread of its own, one step after another.

Rows go in, a file comes out whole or not at all, also where whoever writes it is cancelled. It knows no uploads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from finsa_moe.runtime.writers import Types, Writer

Write = Callable[[Sequence[Sequence[object]]], Awaitable[None]]


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

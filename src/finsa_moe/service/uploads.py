"""Files on their way in: a request's body onto the disk, and how many of them there may be.

A file counts as one being answered only once it is here; until then it is one of the few on their way, so that whoever
sends slowly keeps nobody from an answer. It does not know what a file holds.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from fastapi import Request

from finsa_moe.service.bodies import chunks
from finsa_moe.service.problems import Problem
from finsa_moe.service.state import State

log = logging.getLogger("finsa.serve")
UPLOADS = 4
"""Files on their way in for each that may be answered at once: so many more the disk has to hold."""


async def received(request: Request, ending: str, state: State) -> Path:
    """The body of a request as a file of the spool, counted in ``state.files``; the caller gives both back.

    Raises:
        Problem: 503 where as many files as may be are being answered or sent, 422 for an empty body, 507 where the disk
            takes no more; else as `chunks`.
        ClientDisconnect: If the client left.
    """
    _check_room(state)  # told before the whole of it is sent
    if state.uploads >= UPLOADS * state.settings.files_at_once:
        raise Problem(503, "files", "as many files as may be are being sent", retry_after=5)
    path = state.spool.new(ending)
    state.uploads += 1
    try:
        with path.open("wb") as file:
            async for chunk in chunks(request, state.settings.max_file, state.settings.body_seconds):
                file.write(chunk)
        if not path.stat().st_size:
            raise Problem(422, "file", "the body is empty; send the file as the body", [("/file", "is empty")])
        _check_room(state)
    except BaseException as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise no_storage(error) from error
        raise
    finally:
        state.uploads -= 1
    state.files += 1
    return path


def no_storage(error: Exception) -> Problem:
    """The problem of a file that the disk does not take; whoever runs the service reads why in its log."""
    log.error("a file on its way was given up: %s", error)
    return Problem(507, "storage", "the service's disk takes no more; send the file again later, or in parts")


def _check_room(state: State) -> None:
    if state.files >= state.settings.files_at_once:
        raise Problem(503, "files", "as many files as may be are being answered", retry_after=5)

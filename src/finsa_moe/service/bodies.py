"""Bodies of requests, read under limits: so many bytes, not too slowly, no pause longer than allowed, no compression.

Chunks come out, or a `Problem` that says which limit was met. It does not know what the bytes mean.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from finsa_moe.service.problems import Problem

RATE = 16 << 10
"""Bytes a second that a client sends or takes at least, as a mean."""


def media_type(request: Request) -> str:
    """The content type, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_head(request: Request, most: int, allowed: tuple[str, ...], hint: str = "") -> None:
    """Refuse what the head of a request tells already.

    Args:
        request: Whose head it is.
        most: Most bytes of the body.
        allowed: The types that are taken.
        hint: Said to who sends another type, on how to send one that is taken.

    Raises:
        Problem: 415 for a type or a compression that is not taken, 413 for a length over the limit.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Problem(415, "compressed", "Content-Encoding is not taken; send the body as it is")
    if media_type(request) not in allowed:
        raise Problem(415, "media-type", f"Content-Type must be {' or '.join(allowed)}{hint}")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > most:
        raise _too_large(most)


async def chunks(request: Request, most: int, pause: float) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises:
        Problem: 413 past `most` bytes, 408 after `pause` seconds without a byte, or where the whole comes more than
            `pause` seconds later than it would at `RATE`.
        ClientDisconnect: If the client left.
    """
    met, began = 0, time.monotonic()
    while True:
        late = time.monotonic() - began - met / RATE
        try:
            message = await asyncio.wait_for(request.receive(), pause - max(0.0, late))
        except TimeoutError:
            said = f"the body came with a pause of {pause:g} seconds, or at under {RATE:,} bytes a second"
            raise Problem(408, "slow", f"{said}; send the whole of it at once") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body: bytes = message.get("body", b"")
        met += len(body)
        if met > most:
            raise _too_large(most)
        if body:
            yield body
        if not message.get("more_body", False):
            return


async def whole(request: Request, most: int, pause: float) -> bytes:
    """The body in one piece; errors as `chunks`."""
    return b"".join([chunk async for chunk in chunks(request, most, pause)])


async def left(request: Request) -> None:
    """Come back when the client has gone; only for a request whose body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> Problem:
    return Problem(413, "too-large", f"the body is over the limit of {most:,} bytes; send it in parts")

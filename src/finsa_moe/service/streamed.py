"""A response that is sent as it is made, and gives back what it holds when it has ended, however it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send


class Streamed(StreamingResponse):
    """A stream that gives back what it holds, also where the client left before it began.

    Args:
        content: The pieces.
        release: Called in the end.
        made_first: Whether the first piece is made once all that may fail is done: the head is sent with it, so that
            what fails before is told as of any other request. Else the head is sent at once.
        more: As for `StreamingResponse`.
    """

    def __init__(
        self, content: AsyncIterator[bytes], release: Callable[[], None], *, made_first: bool = False, **more: Any
    ) -> None:
        super().__init__(content, **more)
        self._release, self._made_first = release, made_first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, and give back."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()

    async def stream_response(self, send: Send) -> None:
        """Send the head and the pieces."""
        if not self._made_first:
            await super().stream_response(send)
            return
        held: list[Message] = []

        async def later(message: Message) -> None:
            held.append(message)
            if message["type"] == "http.response.body":
                for one in held:
                    await send(one)
                held.clear()

        await super().stream_response(later)

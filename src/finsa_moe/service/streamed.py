"""A response that is sent as it is made, and gives back what it holds when it has ended, however it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send


class Streamed(StreamingResponse):
    """A stream that gives back what it holds, also where the client left before it began.

    Its head is sent with its first piece, so that what fails before that is told as of any other request.
    """

    def __init__(self, content: AsyncIterator[bytes], release: Callable[[], None], **more: Any) -> None:
        super().__init__(content, **more)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, and give back."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()

    async def stream_response(self, send: Send) -> None:
        """Send the pieces, with the first of them the head."""
        held: list[Message] = []

        async def later(message: Message) -> None:
            held.append(message)
            if message["type"] == "http.response.body":
                for one in held:
                    await send(one)
                held.clear()

        await super().stream_response(later)

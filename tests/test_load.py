"""The load that benchmarks send: each request is timed from when it was due, however late it could be sent."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.load import BROKEN, REFUSED, Client, opened, run


def test_a_request_that_is_sent_late_has_waited_since_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(self: Client, raw: bytes, due: float | None = None) -> tuple[int, float]:
        time.sleep(0.02)  # the loop is busy: requests wait to be sent
        return 200, time.perf_counter() - (due or time.perf_counter())

    monkeypatch.setattr(Client, "send", answered)
    found = asyncio.run(opened(Client(0, None), [b""], rate=200, seconds=0.2))
    assert found["times"]["200"]["p100"] > 0.1


def test_seconds_count_from_the_moment_given() -> None:
    status, seconds = asyncio.run(Client(1, None).send(b"", time.perf_counter() - 5))  # nobody listens there
    assert status == REFUSED
    assert 5 <= seconds < 10


@pytest.mark.parametrize(("dies", "status"), [(b"", 200), (b"HTTP/1.1 200 OK\r\nContent-", BROKEN)])
def test_a_kept_connection_that_ends_before_any_byte_is_tried_once_more(dies: bytes, status: int) -> None:
    async def main() -> int:
        connections = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            first = connections == 1
            await reader.readexactly(4)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            if first:
                await reader.readexactly(4)
                writer.write(dies)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            client = Client(server.sockets[0].getsockname()[1], None)
            assert (await client.send(b"asks"))[0] == 200
            return (await client.send(b"asks"))[0]

    assert asyncio.run(main()) == status


def test_turns_send_at_moments_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    due: list[float] = []

    async def answered(self: Client, raw: bytes, due_at: float | None = None) -> tuple[int, float]:
        due.append(due_at or 0.0)
        return 200, 0.0

    monkeypatch.setattr(Client, "send", answered)
    gaps = []
    for seed in (1, 1, 2):
        due.clear()
        asked = {"port": 0, "texts": ["a"], "size": 1, "rate": 500, "seconds": 0.05, "seed": seed}
        asyncio.run(run(asked))
        gaps.append(round(due[1] - due[0], 6))
    assert gaps[0] == gaps[1] != gaps[2]

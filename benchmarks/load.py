"""A load for an HTTP service: requests in a closed loop of so many clients, or sent at a rate whatever comes back.

Run in a process of its own (`python -m benchmarks.load`), sharing no interpreter with what it measures; a line
of JSON on stdin says what to send, one on stdout what came back. Connections are kept.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

REFUSED, BROKEN = 0, 1
"""In the place of a status: no connection was had; one broke before the whole answer was there."""


class Client:
    """Connections to one address, kept while they live."""

    def __init__(self, port: int, token: str | None) -> None:
        self.port, self.free = port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        self.bearer = f"Authorization: Bearer {token}\r\n" if token else ""

    def request(self, texts: Sequence[str]) -> bytes:
        """The bytes of one request."""
        body = json.dumps({"texts": list(texts)}, ensure_ascii=False).encode()
        head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{self.bearer}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def send(self, raw: bytes, due: float | None = None) -> tuple[int, float]:
        """Status and seconds, from when it was due if that is said; `REFUSED` or `BROKEN` in the place of a status.

        A kept connection that ends before a byte of the answer was ended by the service for its age, as any client has
        to expect: the request goes once more, on a fresh one.
        """
        began = time.perf_counter() if due is None else due
        status = None
        if self.free:
            status = await self._ask(*self.free.pop(), raw)
        if status is None:
            try:
                fresh = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return REFUSED, time.perf_counter() - began
            status = await self._ask(*fresh, raw)
        return BROKEN if status is None else status, time.perf_counter() - began

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> int | None:
        """The status of the answer, and the connection kept; None where it ended before any byte."""
        head = b""
        try:
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, IndexError) as error:
            writer.close()
            return BROKEN if head or getattr(error, "partial", b"") else None
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self.free.append((reader, writer))
        return int(head[9:12])


async def closed(client: Client, requests: list[bytes], clients: int) -> dict[str, Any]:
    """All requests by so many clients, each sending its next when it has its answer."""
    waiting, met = list(reversed(requests)), list[tuple[int, float]]()

    async def one() -> None:
        while waiting:
            met.append(await client.send(waiting.pop()))

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return told(met, time.perf_counter() - began)


async def opened(client: Client, requests: list[bytes], rate: float, seconds: float, seed: int = 7) -> dict[str, Any]:
    """Requests at random moments, `rate` a second, for so long; none waits for another.

    Each is timed from the moment it was due: one that is sent late, as this process was busy, has waited meanwhile.
    """
    rng, met, tasks = random.Random(seed), list[tuple[int, float]](), set[asyncio.Task[None]]()

    async def one(raw: bytes, due: float) -> None:
        met.append(await client.send(raw, due))

    began = at = time.perf_counter()
    count = 0
    while at < began + seconds:
        at += rng.expovariate(rate)
        if (pause := at - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(requests[count % len(requests)], at))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        count += 1
    sending = time.perf_counter() - began
    await asyncio.gather(*tasks)
    return {**told(met, time.perf_counter() - began), "sent_a_second": count / sending}


def told(met: list[tuple[int, float]], seconds: float) -> dict[str, Any]:
    """Counts by status, and the quantiles of the time by status."""

    def quantiles(times: list[float]) -> dict[str, float]:
        times.sort()
        return {f"p{q:g}": times[min(len(times) - 1, int(q / 100 * len(times)))] for q in (50, 99, 100)}

    by = Counter(status for status, _ in met)
    times = {str(status): quantiles([s for other, s in met if other == status]) for status in by}
    return {"seconds": seconds, "requests": len(met), "status": {str(k): v for k, v in by.items()}, "times": times}


async def run(asked: dict[str, Any]) -> dict[str, Any]:
    """What the line on stdin asks for."""
    client = Client(asked["port"], asked.get("token"))
    texts, size = asked["texts"], asked["size"]
    requests = [client.request(texts[at : at + size]) for at in range(0, len(texts), size)]
    if "rate" in asked:
        return await opened(client, requests, asked["rate"], asked["seconds"], asked.get("seed", 7))
    return await closed(client, requests, asked["clients"])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.stdin.readline())))))

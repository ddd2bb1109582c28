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
        """Status and seconds, from when it was due if that is said; status 0 for a connection that broke."""
        began = time.perf_counter() if due is None else due
        try:
            if self.free:
                reader, writer = self.free.pop()
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, IndexError):
            return 0, time.perf_counter() - began
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self.free.append((reader, writer))
        return int(head[9:12]), time.perf_counter() - began


async def closed(client: Client, requests: list[bytes], clients: int) -> dict[str, Any]:
    """All requests by so many clients, each sending its next when it has its answer."""
    waiting, met = list(reversed(requests)), list[tuple[int, float]]()

    async def one() -> None:
        while waiting:
            met.append(await client.send(waiting.pop()))

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return told(met, time.perf_counter() - began)


async def opened(client: Client, requests: list[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """Requests at random moments, `rate` a second, for so long; none waits for another.

    Each is timed from the moment it was due: one that is sent late, as this process was busy, has waited meanwhile.
    """
    rng, met, tasks = random.Random(7), list[tuple[int, float]](), set[asyncio.Task[None]]()

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
        return await opened(client, requests, asked["rate"], asked["seconds"])
    return await closed(client, requests, asked["clients"])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.stdin.readline())))))

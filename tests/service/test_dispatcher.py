"""Requests beside a file: its rows take turns with them, and do not make the queue full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from finsa_moe.face import FinSA
from finsa_moe.runtime.predictor import Predictor
from tests.service.served import SlowEngine

from finsa_moe.service.dispatcher import BULK, FIRST_RATE, Dispatcher, Full  # isort: skip
from finsa_moe.service.meters import Meters  # isort: skip
from finsa_moe.service.served import Served  # isort: skip

LONG = "".join(chr(0x4E00 + at) for at in range(62))  # 64 tokens
FILE = [LONG] * 512


@asynccontextmanager
async def beside_a_file(deadline: float) -> AsyncIterator[tuple[Dispatcher, Served, asyncio.Task[None], SlowEngine]]:
    """A dispatcher of one thread, which is held within the first batch of a file's portion until the gate opens."""
    engine = SlowEngine()
    served = Served(FinSA(Predictor(engine), {}), "a fake")
    dispatcher = Dispatcher(1, deadline, Meters())
    engine.gate.clear()
    file = asyncio.ensure_future(dispatcher.submit(served, FILE, None, bounded=False, many=True))
    try:
        while not engine.held:
            await asyncio.sleep(0.001)
        yield dispatcher, served, file, engine  # type: ignore[misc]
    finally:
        engine.gate.set()
        await file
        dispatcher.close()


@pytest.mark.parametrize("texts", [["跌"], ["跌"] * 40], ids=["few", "many"])
def test_a_file_keeps_no_request_from_its_answer(texts: list[str]) -> None:
    async def main() -> None:
        async with beside_a_file(2.0) as (dispatcher, served, file, engine):
            assert dispatcher.waiting * 64 / FIRST_RATE > 2.0
            assert dispatcher.wait() <= BULK / FIRST_RATE
            asked = asyncio.ensure_future(dispatcher.submit(served, texts, None))
            await asyncio.sleep(0)
            engine.gate.set()
            assert len(await asked) == len(texts)
            assert not file.done()

    asyncio.run(main())


def test_requests_beside_it_still_make_the_queue_full() -> None:
    """Two batches of requests, and as many of the file, which has its turn between them: more than either alone."""

    async def main() -> None:
        requests = 31 * 64
        async with beside_a_file(4 * requests / FIRST_RATE) as (dispatcher, served, file, engine):
            asked = asyncio.ensure_future(dispatcher.submit(served, [LONG] * 31, None))
            await asyncio.sleep(0)
            with pytest.raises(Full):
                await dispatcher.submit(served, ["跌"], None)
            engine.gate.set()
            assert len(await asked) == 31
            await file
            assert dispatcher.wait() == 0

    asyncio.run(main())


def test_a_request_of_many_texts_refuses_others_of_many_alone() -> None:
    async def main() -> None:
        engine = SlowEngine()
        served = Served(FinSA(Predictor(engine), {}), "a fake")
        dispatcher = Dispatcher(1, 2.0, Meters())
        engine.gate.clear()
        large = asyncio.ensure_future(dispatcher.submit(served, FILE, None))
        try:
            while not engine.held:
                await asyncio.sleep(0.001)
            with pytest.raises(Full):
                await dispatcher.submit(served, ["跌"] * 40, None)
            small = asyncio.ensure_future(dispatcher.submit(served, ["跌"], None))
            await asyncio.sleep(0)
            engine.gate.set()
            assert len(await small) == 1
            assert not large.done()
        finally:
            engine.gate.set()
            assert len(await large) == len(FILE)
            dispatcher.close()

    asyncio.run(main())

"""How long explanations may take, the deadline for each text, as they are made one after another; and who may wait."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from tests.service.served import Settings, serving

from finsa_moe.service.dispatcher import Dispatcher, Full  # isort: skip
from finsa_moe.service.jobs import Jobs  # isort: skip
from finsa_moe.service.meters import Meters  # isort: skip


class Told:
    """An explanation of no words."""

    def rounded(self, digits: int) -> Told:
        return self

    def as_dict(self) -> dict[str, Any]:
        return {"words": [], "base": {}, "experts": {}, "exact": True}


@pytest.fixture(autouse=True)
def explains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the extra is there or not."""
    monkeypatch.setattr("finsa_moe.service.app.find_spec", lambda name: object())
    monkeypatch.setattr("finsa_moe.service.app._warm", lambda explains: None)


@pytest.mark.slow
def test_each_explained_text_has_a_deadline_of_its_own() -> None:
    with serving(Settings(deadline=2.0)) as service:

        def explain(text: str, domain: str | None, evaluations: int) -> Told:
            time.sleep(1.0)
            return Told()

        service.shelf.served.explain = explain  # type: ignore[assignment, method-assign]
        reply = service.predict(["涨"] * 6, explain=True)  # six seconds of work
        assert reply.status == 200, reply.body
        assert [one["explanation"]["exact"] for one in reply.json()["predictions"]] == [True] * 6


def test_a_request_whose_first_text_was_taken_is_answered_though_others_have_filled_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as service:

        def explain(text: str, domain: str | None, evaluations: int) -> Told:
            monkeypatch.setattr(Jobs, "full", True)
            return Told()

        service.shelf.served.explain = explain  # type: ignore[assignment, method-assign]
        assert service.predict(["涨"] * 3, explain=True).status == 200
        reply = service.predict("跌", explain=True)
        assert (reply.status, reply.json()["type"]) == (503, "urn:finsa:full")


def test_who_finds_no_room_is_told_how_long_the_others_take() -> None:
    async def main() -> None:
        dispatcher, gate = Dispatcher(1, 5.0, Meters()), threading.Event()
        try:
            for _ in range(20):
                await dispatcher.job(lambda: time.sleep(0.001))
            running = [asyncio.ensure_future(dispatcher.job(gate.wait, then=4))]
            while dispatcher._jobs.running == 0:
                await asyncio.sleep(0.001)
            running += [asyncio.ensure_future(dispatcher.job(gate.wait)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Full) as full:
                await dispatcher.job(gate.wait)
            assert full.value.seconds == 7 * dispatcher._jobs.seconds != 7  # as measured
            again = asyncio.ensure_future(dispatcher.job(gate.wait, bounded=False))
            running.pop().cancel()  # whose client has left, and who takes no room any more
            running.pop().cancel()
            await asyncio.sleep(0)
            running.append(asyncio.ensure_future(dispatcher.job(gate.wait)))
            await asyncio.sleep(0)
            gate.set()
            assert await asyncio.gather(again, *running) == [True] * 3
            assert dispatcher._jobs.rest == 0
        finally:
            gate.set()
            dispatcher.close()

    asyncio.run(main())

"""Answers written on a thread: what is cancelled leaves nothing, and ends no file under a write."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from finsa_moe.runtime.writers import Writer
from finsa_moe.service.spool import written
from tests.service.served import until


def test_rows_come_in_order_and_the_file_is_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with written(tmp_path / "a.csv", ["n"], {}) as write:
            for at in range(5):
                await write([[at]])

    asyncio.run(main())
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "n\n0\n1\n2\n3\n4\n"


@pytest.mark.parametrize("step", ["write", "__exit__"])
@pytest.mark.parametrize("times", [1, 3])
def test_what_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, times: int
) -> None:
    """While a write is under way, or the end; the end waits for the write, and nobody for either."""
    begun, go, ended, order = threading.Event(), threading.Event(), threading.Event(), []
    for name in ("write", "__exit__"):
        plain = getattr(Writer, name)

        def slowly(self: Writer, *given: object, name: str = name, plain: object = plain) -> None:
            order.append(name)
            if name == step:
                begun.set()
                assert go.wait(60)
            plain(self, *given)  # type: ignore[operator]
            order.append(f"{name} done")
            if name == "__exit__":
                ended.set()

        monkeypatch.setattr(Writer, name, slowly)

    async def work() -> None:
        async with written(tmp_path / "a.csv", ["n"], {}) as write:
            await write([[1]])

    async def main() -> None:
        task = asyncio.ensure_future(work())
        await asyncio.to_thread(begun.wait, 60)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ended.is_set()
        go.set()
        await asyncio.to_thread(ended.wait, 60)

    asyncio.run(main())
    assert order == ["write", "write done", "__exit__", "__exit__ done"]
    until(lambda: not list(tmp_path.iterdir()))

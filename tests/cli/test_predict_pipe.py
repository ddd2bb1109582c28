"""A pipe is one call, however many reads bring it: one engine, and no text worked out twice."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from finsa_moe import face
from finsa_moe.cli import main
from finsa_moe.face import FinSA
from finsa_moe.runtime import pipe
from finsa_moe.runtime.predictor import BULK, Predictor
from tests.cli.test_predict import Piped
from tests.fakes import FakeEngine


class Reads(io.BytesIO):
    """Gives one portion a read."""

    def __init__(self, portions: list[list[str]]) -> None:
        super().__init__()
        self.portions = ["".join(f"{line}\n" for line in lines).encode() for lines in portions]

    def read1(self, size: int = -1) -> bytes:
        return self.portions.pop(0) if self.portions else b""


@pytest.mark.parametrize("first", [BULK, BULK - 1])
def test_one_engine_answers_a_whole_pipe(
    first: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few, bulk = FakeEngine(), FakeEngine()
    predictor = Predictor(few, bulk=lambda: bulk)
    few.shapes.clear()
    monkeypatch.setattr(face, "load", lambda *_, **__: FinSA(predictor))
    some = [f"涨{n}" for n in range(first)]
    stdin = Piped(b"")
    monkeypatch.setattr(sys, "stdin", stdin)
    reads = Reads([some, ["跌", "涨0"], [f"跌{n}" for n in range(BULK)], ["跌", ""]])
    monkeypatch.setattr(pipe, "arriving", lambda _, real=pipe.arriving: real(reads))
    assert main(["predict"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == first + 2 + BULK + 2
    used, other = (bulk, few) if first >= BULK else (few, bulk)
    assert not other.shapes
    assert sum(rows for rows, _ in used.shapes) == first + 1 + BULK
    assert lines[first][:3] == lines[-2][:3]
    assert lines[0] == lines[first + 1]


def whole_block(lines: int) -> list[str]:
    """Lines of Chinese, all but the last of like length, that are one block of a pipe with their ends."""
    size = pipe.BLOCK // lines - 1
    texts = [f"{at:03}" + "涨" * ((size - 3) // 3) for at in range(lines)]
    return [*texts[:-1], texts[-1] + "a" * (pipe.BLOCK - sum(len(f"{text}\n".encode()) for text in texts))]


def test_a_first_read_that_fills_its_block_is_of_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However few its lines are: 220 news fill one."""
    few, bulk = FakeEngine(), FakeEngine()
    predictor = Predictor(few, bulk=lambda: bulk)
    few.shapes.clear()
    monkeypatch.setattr(face, "load", lambda *_, **__: FinSA(predictor))
    monkeypatch.setattr(sys, "stdin", Piped(b""))
    reads = Reads([whole_block(220), ["跌"]])
    assert len(reads.portions[0]) == pipe.BLOCK
    monkeypatch.setattr(pipe, "arriving", lambda _, real=pipe.arriving: real(reads))
    assert main(["predict"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 221
    assert not few.shapes
    assert sum(rows for rows, _ in bulk.shapes) == 221


def test_utf_16_from_windows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    face_of = FinSA(Predictor(FakeEngine()))
    monkeypatch.setattr(face, "load", lambda *_, **__: face_of)
    monkeypatch.setattr(sys, "stdin", Piped("涨停\r\n跌停\r\n公告涨\r\n".encode("utf-16")))
    assert main(["predict", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["text"], one["sentiment"]) for one in found] == [
        ("涨停", "利好"),
        ("跌停", "利空"),
        ("公告涨", "利好"),
    ]

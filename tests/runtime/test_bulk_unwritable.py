"""A disk that is full at the very end: answers and rejects of before stay, both."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime import writers
from finsa_moe.runtime.bulk import predict_file
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import FakeEngine


@pytest.mark.parametrize(("ending", "sink"), [(".jsonl", "_Lines"), (".parquet", "_Parquet")])
def test_rejects_are_not_put_beside_answers_of_before(
    ending: str, sink: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "in.csv", tmp_path / f"out{ending}"
    source.write_text("id,text\n1,涨\n2,\n", encoding="utf-8")
    predictor = Predictor(FakeEngine())
    assert predict_file(predictor, source, target).refused == 1
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path != source}
    source.write_text("id,text\n1,涨\n2,\n3,\n", encoding="utf-8")

    def full(self: object, *, whole: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(getattr(writers, sink), "close", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        predict_file(predictor, source, target)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path != source} == before

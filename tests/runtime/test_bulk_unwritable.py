"""A disk that is full, at the very end too: answers and rejects of before stay, both."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime import writers
from finsa_moe.runtime.bulk import predict_file
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import FakeEngine

FULL = """
import resource, signal, sys
from pathlib import Path
from finsa_moe.errors import DataError
from finsa_moe.runtime.writers import Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
target = Path(sys.argv[1])
try:
    with Writer(target, ["text"]) as writer:
        writer.write([[f"净利增长{n * n}%"] for n in range(2_000)])
        writer.commit()
except DataError as error:
    print(error, [path.name for path in target.parent.iterdir()])
"""


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


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit on a file's size")
@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_disk_that_takes_no_more_is_one_line(ending: str, tmp_path: Path) -> None:
    target = tmp_path / f"out{ending}"
    done = subprocess.run([sys.executable, "-c", FULL, str(target)], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith(f"{target} cannot be written: "), done.stderr
    assert "File too large" in done.stdout
    assert done.stdout.endswith(" []\n")
    assert done.stdout.count("\n") == 1

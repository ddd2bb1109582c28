"""Files of a folder that cannot be read: they stop a run, or are left out by name where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finsa_moe import shipped
from finsa_moe.errors import DataError
from finsa_moe.scale import score as score_of
from finsa_moe.scale.job import Job
from finsa_moe.scale.manifest import Manifest
from finsa_moe.scale.score import RunReport
from finsa_moe.scale.stores import find_sources
from finsa_moe.scale.worker import Outcome
from tests.scale.test_score import score, scored
from tests.scale.texts import answers, frame, left_behind, stored

pytestmark = pytest.mark.usefixtures("here")
BROKEN = "text\n净利润同比增长三成,公司发布公告\n".encode() + b"\xff\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One good file; one with a broken byte, one without the column, one damaged, one without rows, one empty."""
    made = tmp_path / "in"
    made.mkdir()
    frame(5).write_csv(made / "good.csv")
    (made / "broken.csv").write_bytes(BROKEN)
    frame(5).rename({"text": "words"}).write_csv(made / "lacking.csv")
    (made / "damaged.parquet").write_bytes(b"PAR1 and no more")
    (made / "header.csv").write_text("key,text\n")
    (made / "empty.csv").touch()
    return made


def manifest(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def test_bad_files_are_left_out_by_name_where_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"broken\.csv: UTF-8 with a broken byte"):
        score(folder, out=out)
    assert not out.exists()
    report = score(folder, out=out, skip_bad_files=True)
    assert sorted(answers(out)["key"]) == [str(at) for at in range(5)]
    for name, reason in (
        ("broken.csv", "UTF-8 with a broken byte at byte 52"), ("damaged.parquet", "not a readable Parquet file"),
        ("lacking.csv", "no text column; columns found: key, words"),
    ):  # fmt: skip
        assert report.bad[str(folder / name)].startswith(reason)
    assert len(report.bad) == 3
    assert {Path(name).name: reason for name, reason in report.skipped.items()} == {
        "header.csv": "no row in it", "empty.csv": "the file is empty",
    }  # fmt: skip
    noted = {line["source"]: line["reason"] for line in manifest(out) if line["kind"] == "bad"}
    assert noted == report.bad
    assert left_behind(out) == []


def test_a_bad_file_is_tried_again_and_answered_when_it_is_mended(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    score(folder, out=out, skip_bad_files=True)
    frame(3, 100).write_csv(folder / "broken.csv")
    report = score(folder, out=out, skip_bad_files=True)
    assert report.new_rows == 3
    assert sorted(Path(name).name for name in report.bad) == ["damaged.parquet", "lacking.csv"]
    assert sum(line["kind"] == "bad" for line in manifest(out)) == 2
    assert [Path(name).name for name in report.skipped] == ["empty.csv", "header.csv"]  # also of an earlier run


def test_a_file_of_a_store_that_turns_out_bad_is_left_out(folder: Path, tmp_path: Path) -> None:
    """Known only when it is fetched."""
    for name in ("damaged.parquet", "header.csv", "empty.csv"):
        (folder / name).unlink()
    report = scored([stored(folder)], tmp_path / "out", engine="onnxruntime", skip_bad_files=True)
    assert [name.rpartition("/")[2] for name in report.bad] == ["broken.csv", "lacking.csv"]
    assert report.answered == 5
    with pytest.raises(DataError, match=r"^local:///\S+/in/broken\.csv: UTF-8 with a broken byte"):
        scored([stored(folder)], tmp_path / "again", engine="onnxruntime")


def test_nothing_but_bad_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(BROKEN)
    with pytest.raises(DataError, match=r"a\.csv: UTF-8 with a broken byte .*none of the 1 files can be scored"):
        score(tmp_path, out=tmp_path / "out", skip_bad_files=True)


def test_the_manifest_tells_until_when_the_default_model_has_learnt(tmp_path: Path) -> None:
    frame(3).write_csv(tmp_path / "a.csv")
    score(tmp_path / "a.csv", out=tmp_path / "out")
    assert manifest(tmp_path / "out")[0]["trained_until"] == shipped.TRAINED_UNTIL
    file = tmp_path / "out" / "manifest.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace(f', "trained_until": "{shipped.TRAINED_UNTIL}"', ""))
    assert "trained_until" not in manifest(tmp_path / "out")[0]
    score(tmp_path / "a.csv", out=tmp_path / "out")  # an older folder goes on, and gets it
    assert manifest(tmp_path / "out")[0]["trained_until"] == shipped.TRAINED_UNTIL


def test_the_time_of_answering_leaves_the_start_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pieces, of 3 and 4 seconds, after a start of 50: 7 seconds are counted."""
    clock = [0.0]
    (source,), _ = find_sources([str(_written(tmp_path))], tmp_path / "out")
    monkeypatch.setattr(score_of.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(score_of, "_keep", lambda *_: None)

    def outcomes(*_: object) -> Any:
        for number, (at, seconds) in enumerate(((53.0, 3.0), (57.0, 4.0))):
            clock[0] = at
            yield Outcome(score_of.Piece(source, number, 0, 10), {"rows": 10, "seconds": seconds}, tmp_path / "x")

    monkeypatch.setattr(score_of, "_outcomes", outcomes)
    report = RunReport()
    job = Job(tmp_path / "out", tmp_path, "", "onnxruntime", "int8")
    score_of._run(iter(()), job, Manifest(tmp_path / "m", {}, {}, {}), report, "pool", 1, None, lambda: None)
    assert (report.new_rows, report.answering) == (20, 7.0)


def _written(folder: Path) -> Path:
    frame(20).write_csv(folder / "a.csv")
    return folder / "a.csv"

"""Folders of answers that may not be whole: an index of them is made, and says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.cli import main
from finsa_moe.scale.gaps import gaps
from tests.scale.test_bad_files import BROKEN
from tests.scale.test_ends import stopped
from tests.scale.test_index import saved
from tests.scale.test_index import scored as answer
from tests.scale.test_score import score
from tests.scale.texts import frame


@pytest.mark.usefixtures("here")
def test_an_index_of_a_run_that_was_stopped_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    frame(60).write_csv(source / "a.csv")
    stopped(source, out=out)
    words = ["index", str(out), "--by", "key", "--date", "date", "--out", str(tmp_path / "i.csv")]

    def told() -> list[str]:
        assert main([*words, "--trained-until", "2020-01-01"]) == 0
        return [line for line in capsys.readouterr().err.splitlines() if "--min-count" not in line]

    assert told() == [
        f"{out}: finsa score has not come to its end there, and 1 files may lack answers (first: {source / 'a.csv'}): "
        f"finish it: finsa score … --out {out}"
    ]
    (source / "b.csv").write_bytes(BROKEN)
    score(source, out=out, skip_bad_files=True)
    (line,) = told()
    assert line.startswith(f"{out}: 1 files were left out as bad (first: {source / 'b.csv'}: UTF-8 with a broken byte")
    (source / "b.csv").unlink()
    score(source, out=out)
    assert told() == []


@pytest.mark.parametrize(
    "header", [{"kind": "run", "format": 2}, {"tool": "another"}], ids=["an earlier version", "damaged"]
)
def test_a_manifest_that_does_not_tell_is_said_to(header: dict[str, Any], tmp_path: Path) -> None:
    """Once a folder, however many of its files are read; a file of no folder has no manifest."""
    (tmp_path / "out" / "scores").mkdir(parents=True)
    files = [saved([answer()], tmp_path / "out" / "scores" / f"{name}.parquet") for name in "ab"]
    (tmp_path / "out" / "manifest.jsonl").write_text(json.dumps(header) + "\n")
    (line,) = gaps([*files, saved([answer()], tmp_path / "c.parquet")])
    assert line.startswith(f"{tmp_path / 'out'}: its manifest does not tell whether finsa score has come to its end")

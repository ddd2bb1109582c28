from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finsa_moe.cli import main

pytest.importorskip("pyarrow", reason="the extra scale is not installed")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the verb asks of the room."""
    from finsa_moe.scale import score

    found: dict[str, Any] = {}

    def run(sources: list[str], out: Path, **settings: Any) -> score.RunReport:
        found.update(sources=sources, out=out, **settings)
        settings["progress"](5, 10, 0)
        return score.RunReport(
            rows=13,
            answered=8,
            refused=5,
            unplaced=3,
            strange=1,
            shards=3,
            kept=2,
            new_rows=4,
            answering=2.0,
            gone=["/p/a.csv"],
            unfinished=["/p/c.csv"],
            cut_before={"/p/b.csv": 1024},
            fewer_parts={"/p/run=3/d.csv": ["run"]},
        )

    monkeypatch.setattr(score, "score", run)
    return found


def test_options_reach_the_room(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["score", "a.csv", "s3://bucket/b", "--out", "o", "--text", "t+b", "--domain", "news", "--workers", "3"]
    assert main(words) == 0
    assert asked["sources"] == ["a.csv", "s3://bucket/b"]
    assert (asked["text"], asked["domain"], asked["workers"], asked["backend"]) == ("t+b", "news", 3, "pool")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "1 files scored before are no longer there (first: /p/a.csv): their answers stay; if they were copied elsewhere "
        "and scored there, their rows count twice: name another --out",
        "1 files of an earlier run that did not come to its end may lack answers (first: /p/c.csv): name them again",
        "3 rows refused by earlier runs stand no longer in o/rejects: name their files again to have them written anew",
        "1 files keep the shards that they were begun with (first: /p/b.csv, of 1,024 rows): --shard-rows is for new files; "
        "name another --out to cut them anew",
        "1 files keep the columns of their folders that they were begun with (first: /p/run=3/d.csv, without run): name "
        "another --out to have all",
        "2 shards were there already",
        "o: 8 of 13 rows answered in 3 shards; this run 4 rows, 2 a second",
        "1 text is unlike the texts that the model learnt from (column `novelty` 0.99 or more); look at it yourself",
        "2 rows refused, with place and reason, in o/rejects",
    ]


def test_a_run_of_a_moment_has_no_rate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from finsa_moe.scale import score

    report = score.RunReport(rows=60, answered=60, shards=1, new_rows=60, answering=0.1, seconds=15.0)
    monkeypatch.setattr(score, "score", lambda *_, **__: report)
    assert main(["score", "a.csv", "--out", "o"]) == 0
    assert capsys.readouterr().err == "o: 60 of 60 rows answered in 1 shards; this run 60 rows\n"


def test_bad_files_are_named_and_the_status_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from finsa_moe.scale import score

    asked: dict[str, Any] = {}
    report = score.RunReport(
        rows=5, answered=5, shards=1, skipped={"in/e.csv": "the file is empty"}, bad={"in/b.csv": "no text column"}
    )
    monkeypatch.setattr(score, "score", lambda *_, **settings: asked.update(settings) or report)
    assert main(["score", "in", "--out", "o", "--skip-bad-files"]) == 2
    assert asked["skip_bad_files"] is True
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["left out: in/e.csv: the file is empty", "left out: in/b.csv: no text column"]
    assert told[-1].startswith("finsa: 1 files are bad and were left out (named above and in o/manifest.jsonl)")


def test_the_room_counts_the_cores_where_no_number_is_named(asked: dict[str, Any]) -> None:
    """Those of a cluster are known only to whoever connects to it."""
    assert main(["score", "a.csv", "--out", "o"]) == 0
    assert asked["workers"] is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--backend", "dask"], "choose pool or ray"),
        (["--backend", "pool", "--ray-address", "auto"], "--ray-address belongs to --backend ray"),
    ],
)
def test_backends_that_do_not_go_together(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "a.csv", "--out", "o", *words]) == 2
    assert told in capsys.readouterr().err


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(tmp_path / "absent.csv"), "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err == f"finsa: {tmp_path / 'absent.csv'}: no such file or folder\n"
    assert not (tmp_path / "o").exists()

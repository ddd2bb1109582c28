"""``finsa augment`` among splits: which it refuses, keeps away from and leaves as they are; a folder to train on."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from finsa_moe.cli import main
from finsa_moe.data.reading.read import read_texts
from finsa_moe.data.samples import path as sample
from tests.llm.server import Handler, says, serving
from tests.llm.server import status as answers

ROWS = [(row["text"], row["label"]) for row in csv.DictReader(sample("forum").open(encoding="utf-8"))][:60]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def augment(source: Path, out: Path, *more: str) -> int:
    return main(["augment", str(source), "--synonyms", "1", "--out", str(out), *more])


def test_new_rows_alone_want_originals_with_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else `finsa prepare` would name the originals otherwise, and let the two stand in different splits."""
    raw, new = write(tmp_path / "raw.csv", ROWS), tmp_path / "new.csv"
    assert augment(raw, new, "--only-new", "--domain", "forum") == 2
    assert "raw.csv: 60 of 60 rows have no id of their own" in (told := capsys.readouterr().err)
    assert "--id, or leave out --only-new" in told
    assert not new.exists()
    assert augment(raw, new) == 0
    prepare = ["prepare", str(raw), str(new), "--domain", "forum", "--ratios", "60/20/20", "--out"]
    assert main([*prepare, str(tmp_path / "p")]) == 0
    assert main(["audit", str(tmp_path / "p"), "--no-scores", "--fail-on-leak"]) == 0


@pytest.mark.parametrize("name", ["test.csv", "dev.jsonl", "Eval.tsv", "val-00000-of-00002.csv"])
def test_a_split_that_judges_is_refused_whoever_made_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "set" / name, ROWS)
    write(tmp_path / "set" / "train.csv", ROWS)
    (tmp_path / "innocent.csv").symlink_to(source)
    for given in (source, tmp_path / "innocent.csv"):
        assert augment(given, tmp_path / "x.csv") == 2
        assert "called as a split that models are judged by; augment " in capsys.readouterr().err
    assert augment(source.parent, tmp_path / "x.csv") == 2
    assert f"a folder of splits, {name} among them; augment" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("name", ["dev.csv", "eval.jsonl", "validation-00000-of-00001.csv", "TEST.csv"])
def test_splits_beside_are_kept_away_from(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, beside = write(tmp_path / "train.csv", ROWS), write(tmp_path / name, ROWS[:5])
    if name.endswith("l"):
        lines = [f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in ROWS[:5]]
        beside.write_text("".join(lines), encoding="utf-8")
    assert augment(train, tmp_path / "x.csv") == 2
    assert "5 of 60 rows equal texts of valid or test" in capsys.readouterr().err


def test_a_split_beside_that_cannot_be_read_says_why_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, metrics = write(tmp_path / "train.csv", ROWS), tmp_path / "eval.json"
    metrics.write_text('{"accuracy": 0.9}', encoding="utf-8")
    assert augment(train, tmp_path / "x.csv") == 2
    error = capsys.readouterr().err
    assert "eval.json: no text column" in error
    assert "read because its name says that models are judged by it: move or rename it if they are not" in error
    assert error.count("\n") == 1
    metrics.unlink()
    (tmp_path / "test.csv").symlink_to(tmp_path / "gone.csv")
    assert augment(train, tmp_path / "x.csv") == 2
    assert "test.csv: called as a split that models are judged by, and links to nothing" in capsys.readouterr().err


def test_a_training_split_is_advised_only_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "test.csv", ROWS)
    for given in (source, tmp_path):
        assert augment(given, tmp_path / "x.csv") == 2
        assert "; augment a training split" in capsys.readouterr().err


def test_no_split_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, other = write(tmp_path / "d" / "train.csv", ROWS[:50]), write(tmp_path / "e" / "rows.csv", ROWS[:50])
    test = write(tmp_path / "d" / "test.csv", ROWS[50:])
    before = [path.read_bytes() for path in (train, test)]
    for source, out, told in (
        (train, test, "called as a split that models are judged by"),
        (train, tmp_path / "dev.csv", "called as a split that models are judged by"),
        (train, train, "a split that is there already"),
        (other, train, "a split that is there already"),
        (train, tmp_path / "d", "lies in it, which is read here"),
        (other, tmp_path / "d", "not empty and not made by finsa augment"),
    ):
        assert augment(source, out) == 2
        assert told in capsys.readouterr().err
    prepare = ["prepare", str(other), "--domain", "forum", "--hold-out", str(test), "--out", str(tmp_path / "d")]
    assert main([*prepare, "--force"]) == 2
    assert f"--out's test.csv {test}: is a file that is read here" in capsys.readouterr().err
    assert main(["stats", str(tmp_path / "d"), "--csv", str(train)]) == 2
    assert f"--csv {train}: is a file that is read here" in capsys.readouterr().err
    assert [path.read_bytes() for path in (train, test)] == before
    assert not (tmp_path / "dev.csv").exists()


def test_a_folder_holds_the_grown_split_and_the_others_as_they_were(tmp_path: Path) -> None:
    raw, out = write(tmp_path / "raw.csv", ROWS), tmp_path / "more"
    assert main(["prepare", str(raw), "--domain", "forum", "--out", str(tmp_path / "p")]) == 0
    for _ in range(2):  # made by itself, it may be made anew
        assert augment(tmp_path / "p" / "train.csv", out) == 0
        assert sorted(path.name for path in out.iterdir()) == ["report.json", "test.csv", "train.csv", "valid.csv"]
    for name in ("valid.csv", "test.csv"):
        assert (out / name).read_bytes() == (tmp_path / "p" / name).read_bytes()
    before, after = (read_texts([folder / "train.csv"]) for folder in (tmp_path / "p", out))
    assert after[: len(before)] == before
    assert len(after) > len(before)
    assert main(["audit", str(out), "--no-scores", "--fail-on-leak"]) == 0
    assert augment(tmp_path / "p" / "train.csv", tmp_path / "again", "--only-new") == 2


def test_a_folder_made_anew_keeps_no_split_of_another_set(tmp_path: Path) -> None:
    out = tmp_path / "grown"
    for folder, names in (("a", ("valid", "test")), ("b", ("valid",))):
        for at, name in enumerate(names):
            write(tmp_path / folder / f"{name}.csv", ROWS[50 + at : 51 + at])
        assert augment(write(tmp_path / folder / "train.csv", ROWS[:50]), out) == 0
        (out / "notes.txt").write_text("mine", encoding="utf-8")
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "report.json", "train.csv", "valid.csv"]


def test_a_folder_that_could_not_be_trained_on_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Training reads train.csv and valid.csv by the same names of columns."""
    train, out = write(tmp_path / "s" / "train.csv", ROWS[:50]), tmp_path / "grown"
    dev = write(tmp_path / "s" / "dev.csv", ROWS[50:])
    assert augment(train, out) == 2
    told = "training needs a valid.csv, and none stands beside"
    assert told in (error := capsys.readouterr().err)
    assert error.count("\n") == 1
    dev.rename(dev.with_name("valid.csv"))
    for name in ("train.csv", "valid.csv"):
        file = dev.with_name(name)
        file.write_text(file.read_text(encoding="utf-8").replace("text,label", "帖文,走势", 1), encoding="utf-8")
    assert augment(train, out, "--text", "帖文", "--label", "走势") == 2
    assert "augment the train.csv that finsa prepare makes, or name a file" in capsys.readouterr().err
    assert not out.exists()
    assert augment(train, tmp_path / "x.csv", "--text", "帖文", "--label", "走势") == 0


@pytest.mark.parametrize("name", ["here", "set.v1.0"])
def test_the_folder_that_one_stands_in_may_be_meant(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `.` or by its name, with or without dots."""
    train = write(tmp_path / "s" / "train.csv", ROWS[:50])
    write(train.with_name("valid.csv"), ROWS[50:])
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    for out in (Path(), tmp_path / name):
        assert augment(train, out) == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["s", name, f"{name}.rejects.csv"])
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["report.json", "train.csv", "valid.csv"]


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="no mount point is known here")
def test_a_mount_point_is_no_folder_to_make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path / "train.csv", ROWS[:50])
    for out in ("/", "/proc"):
        assert augment(train, Path(out)) == 2
        assert f"--out {out}: a mount point, which no folder can replace" in capsys.readouterr().err


def test_models_that_think_are_asked_in_their_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `max_tokens`, which they refuse, nor a temperature, and with room for thoughts."""
    bodies = []

    def behave(handler: Handler, body: dict[str, object]) -> None:
        bodies.append(body)
        refused = answers(400, b"max_tokens is not supported; use max_completion_tokens")
        (refused if {"max_tokens", "temperature"} & {*body} else says(lambda text: f"换个说法{text[::-1]}"))(
            handler, body
        )

    source = write(tmp_path / "rows.csv", ROWS[:3])
    words = ["--synonyms", "0", "--copies", "1", "--endpoint"]
    with serving(behave) as server:
        for model, more in (("gpt-5-mini", []), ("openai/o4-mini", ["--max-tokens", "900"])):
            assert (
                augment(source, tmp_path / f"{len(bodies)}.csv", *words, server.url, "--model-name", model, *more) == 0
            )
            assert "new: 3 by rewrite" in capsys.readouterr().out
    assert [body["max_completion_tokens"] for body in bodies] == [4096] * 3 + [900] * 3


def test_answers_that_were_cut_say_what_gives_them_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = b'{"choices": [{"message": {"content": "\\u6362"}, "finish_reason": "length"}]}'
    source = write(tmp_path / "rows.csv", ROWS[:1])
    with serving(answers(200, cut)) as server:
        words = ["--synonyms", "0", "--copies", "1", "--endpoint", server.url, "--model-name", "m"]
        assert augment(source, tmp_path / "x.csv", *words) == 0
    assert "1 × cut off before its end: --max-tokens N leaves room for more" in capsys.readouterr().out

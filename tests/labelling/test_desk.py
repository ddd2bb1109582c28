"""The desk: which row comes next, and labels on disk after every key that `finsa prepare` takes as they are."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.read import read_rows
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import hold
from finsa_moe.labelling.desk import Desk
from finsa_moe.labelling.sheet import read_sheet
from finsa_moe.polarity import LabelMap

TEXTS = ["涨停了", "跌停了", '含"引号",与\n换行', "横盘"]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "batch.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "guess", "why"])
        writer.writerows([f"r{at}", text, "利好", "利好 0.4 or 利空 0.3"] for at, text in enumerate(TEXTS))
    return path


def opened(sheet: Path, annotator: str | None = None) -> Desk:
    return Desk(sheet, read_sheet(sheet), annotator)


def labels(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def test_there_is_a_file_of_labels_only_when_there_is_a_label(sheet: Path) -> None:
    """And what is kept is said as it is: nothing, the journal, or the labels; also when the last label was undone."""
    out, journal = sheet.with_name("batch.labels.csv"), sheet.with_name("batch.labels.journal")
    with opened(sheet) as desk:
        assert desk.kept == "no label was given; nothing was written"
    assert not journal.exists()
    with opened(sheet) as desk:
        desk.act("skip", "r0")
        desk.act("note", "r1", note="?")
        assert desk.kept.startswith(f"no label stands; 1 skipped rows and 1 notes are kept in {journal}")
    assert not out.exists()
    with opened(sheet) as desk:
        assert not out.exists()
        assert desk.skipped == 1
        desk.act("label", "r1", "利好")
        assert labels(out) == {"r1": "利好"}
        assert desk.kept == f"labels in {out}: 1"
        desk.act("undo")
        assert labels(out) == {}
        assert desk.kept.startswith("no label stands; 1 skipped rows")


def test_skipped_rows_are_gone_through_once_more(sheet: Path) -> None:
    with opened(sheet) as desk:
        for at in (0, 1, 3):
            desk.act("skip", f"r{at}")
        assert desk.act("label", "r2", "利好")["done"]
        assert desk.act("again")["row"] == "r0"
        assert desk.act("label", "r0", "利空")["row"] == "r1"
        assert desk.act("skip", "r1")["row"] == "r3"  # once: not round the end
        assert desk.act("skip", "r3")["done"]
        assert desk.act("undo")["row"] == "r3"
        assert desk.act("skip", "r3")["done"]
        assert desk.act("again")["row"] == "r1"
        assert desk.act("show")["done"]  # a page that is opened anew begins with what is left


def test_it_goes_on_to_what_is_left_and_saves_at_every_key(sheet: Path) -> None:
    out = sheet.with_name("batch.labels.csv")
    with opened(sheet) as desk:
        shown = desk.act("show")
        assert (shown["row"], shown["text"], shown["place"], shown["told"]["guess"]) == ("r0", TEXTS[0], 1, "利好")  # type: ignore[index]
        assert desk.act("label", "r0", "利好")["row"] == "r1"
        assert labels(out) == {"r0": "利好"}
        assert desk.act("skip", "r1")["row"] == "r2"
        assert desk.act("label", "r3", "中性")["row"] == "r2"  # round the end, to the one row left
        done = desk.act("label", "r2", "利空")
        assert (done["done"], done["labelled"], done["skipped"], done["total"]) == (True, 3, 1, 4)
        assert labels(out) == {"r0": "利好", "r2": "利空", "r3": "中性"}
        back = desk.act("undo")
        assert (back["row"], back["label"]) == ("r2", "")
        assert labels(out) == {"r0": "利好", "r3": "中性"}
        assert desk.act("undo")["row"] == "r3"
        assert desk.act("undo")["row"] == "r1"
        assert desk.act("undo")["row"] == "r0"
        assert desk.act("undo")["row"] == "r0"
        assert labels(out) == {}


def test_a_label_can_be_changed_and_the_change_undone(sheet: Path) -> None:
    with opened(sheet) as desk:
        desk.act("label", "r0", "利好")
        desk.act("label", "r0", "利空")
        shown = desk.act("undo")
        assert (shown["row"], shown["label"]) == ("r0", "利好")


def test_what_comes_out_goes_into_prepare(sheet: Path) -> None:
    with opened(sheet, "li") as desk:
        for at, label in enumerate(("利好", "利空", "中性")):
            desk.act("label", f"r{at}", label)
        desk.act("note", "r1", note="  两行\n 备注 ")
    table = read_rows([sheet.with_name("batch.labels.li.csv")], Columns(), LabelMap(), "forum")
    assert table.rejects.height == 0
    assert table.frame.select("id", "text", "label").rows() == [
        ("r0", TEXTS[0], "利好"), ("r1", TEXTS[1], "利空"), ("r2", TEXTS[2], "中性"),
    ]  # fmt: skip
    with sheet.with_name("batch.labels.li.csv").open(encoding="utf-8", newline="") as file:
        row = list(csv.DictReader(file))[1]
    assert (row["note"], row["annotator"]) == ("两行 备注", "li")


def test_it_goes_on_after_a_crash_between_journal_and_labels(sheet: Path) -> None:
    with opened(sheet) as desk:
        desk.act("label", "r0", "利好")
        desk.act("label", "r1", "利空")
    out = sheet.with_name("batch.labels.csv")
    out.unlink()
    with opened(sheet) as desk:
        assert labels(out) == {"r0": "利好", "r1": "利空"}
        assert desk.act("show")["row"] == "r2"
        assert desk.act("undo")["row"] == "r1"


def test_a_label_never_moves_to_another_text(sheet: Path) -> None:
    with opened(sheet) as desk:
        desk.act("label", "r0", "利好")
    kept = sheet.with_name("batch.labels.csv").read_bytes()
    lines = sheet.read_text(encoding="utf-8").replace("涨停了", "破产了")
    sheet.write_text(lines, encoding="utf-8")
    with pytest.raises(DataError, match="row 'r0' had another text; the file to be labelled has changed"):
        opened(sheet)
    assert sheet.with_name("batch.labels.csv").read_bytes() == kept
    sheet.write_text(lines.replace("破产了", "涨停了"), encoding="utf-8")
    with opened(sheet) as desk:  # the refused one holds the journal no longer
        assert desk.labelled == 1


def test_labels_without_their_journal_are_not_replaced(sheet: Path) -> None:
    theirs = sheet.with_name("batch.labels.csv")
    theirs.write_text("id,text,label\nr0,涨停了,利好\n", encoding="utf-8")
    for journal in (b"", b'{"do": "label", "id": "r0"'):  # none, and one of which a crash left a torn line
        if journal:
            theirs.with_suffix(".journal").write_bytes(journal)
        with pytest.raises(DataError, match="labels stand there without the journal they were made with") as caught:
            opened(sheet)
        assert caught.traceback[-1].frame.f_locals["self"]._held.closed
        assert sorted(path.name for path in sheet.parent.iterdir()) == ["batch.csv", "batch.labels.csv"]
    assert "利好" in theirs.read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="files are not locked here")
def test_an_empty_journal_goes_before_it_is_let_go(sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let go first, another desk could take it, and would write into a file that is gone."""
    journal, unlink, held = sheet.with_name("batch.labels.journal"), Path.unlink, []

    def seen(self: Path, missing_ok: bool = False) -> None:
        if self == journal:
            with journal.open("ab") as other:
                held.append(not hold(other))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", seen)
    with opened(sheet):
        pass
    assert held == [True]
    assert not journal.exists()


def test_everything_undone_is_no_stranger(sheet: Path) -> None:
    with opened(sheet) as desk:
        desk.act("label", "r0", "利好")
        desk.act("undo")
    with opened(sheet) as desk:
        assert desk.labelled == 0


def test_two_people_do_not_meet(sheet: Path) -> None:
    with opened(sheet, "li") as one, opened(sheet, "wang") as other:
        one.act("label", "r0", "利好")
        other.act("label", "r0", "利空")
    assert labels(sheet.with_name("batch.labels.li.csv")) == {"r0": "利好"}
    assert labels(sheet.with_name("batch.labels.wang.csv")) == {"r0": "利空"}


def test_nobody_takes_over_the_labels_of_another(sheet: Path) -> None:
    out = sheet.with_name("o.csv")
    with Desk(sheet, read_sheet(sheet), "li", out) as desk:
        desk.act("label", "r0", "利好")
    kept = out.read_bytes()
    for other, advice in (("wang", "name another --out"), (None, "name another --out, or --annotator li")):
        with pytest.raises(DataError, match=rf"o\.journal, line 1: these are li's labels; {advice}") as told:
            Desk(sheet, read_sheet(sheet), other, out)
        assert "\n" not in str(told.value)
    assert out.read_bytes() == kept
    with Desk(sheet, read_sheet(sheet), "li", out) as desk:
        assert desk.labelled == 1


def test_a_journal_that_names_nobody_opens(sheet: Path) -> None:
    """As those of earlier versions, and of a desk without --annotator."""
    out = sheet.with_name("o.csv")
    with Desk(sheet, read_sheet(sheet), None, out) as desk:
        desk.act("label", "r0", "利好")
    assert "annotator" not in out.with_suffix(".journal").read_text(encoding="utf-8")
    with Desk(sheet, read_sheet(sheet), "wang", out) as desk:
        desk.act("label", "r1", "利空")
    with pytest.raises(DataError, match=r"line 2: these are wang's labels"):
        Desk(sheet, read_sheet(sheet), "li", out)


@pytest.mark.skipif(os.name != "posix", reason="files are not locked here")
def test_a_second_desk_on_one_journal_is_refused_while_the_first_lives(sheet: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from finsa_moe.labelling.desk import Desk; from finsa_moe.labelling.sheet import read_sheet\n"
        f"path = Path({str(sheet)!r}); desk = Desk(path, read_sheet(path)); desk.act('label', 'r0', '利好')\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(DataError, match="another `finsa label` is at work on it"):
            opened(sheet)
        other.send_signal(signal.SIGKILL)
        other.wait()
    with opened(sheet) as desk:
        assert desk.labelled == 1


def test_a_desk_without_a_label_leaves_nothing(sheet: Path) -> None:
    with opened(sheet) as desk:
        desk.act("show")
    assert [path.name for path in sheet.parent.iterdir()] == ["batch.csv"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("label", "r9", "利好"), "no row 'r9' in batch.csv"),
        (("label", "r0", "涨"), "'涨' is no label; allowed are 利空, 中性, 利好"),
        (("note", "r0", "", "长" * 2001), "a note of 2,001 characters"),
        (("drop", "r0"), "'drop' is nothing to do"),
    ],
)
def test_what_cannot_be_asked(sheet: Path, asked: tuple[str, ...], says: str) -> None:
    with opened(sheet) as desk, pytest.raises(DataError, match=says):
        desk.act(*asked)


def test_names_that_cannot_be_files(sheet: Path) -> None:
    with pytest.raises(ConfigError, match=r"--annotator '\.\./li'"):
        opened(sheet, "../li")
    with pytest.raises(ConfigError, match="is the file to be labelled itself"):
        Desk(sheet, read_sheet(sheet), out=sheet)

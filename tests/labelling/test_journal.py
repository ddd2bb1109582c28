"""The journal: what was done survives a crash at any byte, and undo takes back exactly one thing at a time."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsa_moe.errors import DataError
from finsa_moe.labelling.journal import Journal
from finsa_moe.polarity import NAMES

IDS = {"a": "甲", "b": "乙", "c": "丙"}


@given(
    st.lists(
        st.tuples(st.sampled_from(["label", "skip", "undo"]), st.sampled_from(list(IDS)), st.sampled_from(NAMES)),
        max_size=30,
    )
)
def test_it_is_a_stack_and_a_second_reading_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[str, str, str]]
) -> None:
    """Against the plain way: keep the whole state after every key, and go back to the one before."""
    path = tmp_path_factory.mktemp("journal") / "j"
    journal, states = Journal(path, IDS), [{}]
    for do, row, label in keys:
        if do == "undo":
            undone = journal.add("undo")
            assert (undone is None) == (len(states) == 1)
            states = states[:-1] or [{}]
        else:
            journal.add(do, row, label=label if do == "label" else "")  # type: ignore[arg-type]
            states.append({**states[-1], row: label if do == "label" else ""})
        assert {row: mark.label for row, mark in journal.marks.items()} == states[-1]
    again = Journal(path, IDS)
    assert again.marks == journal.marks
    while again.add("undo"):
        assert {row: mark.label for row, mark in again.marks.items()} == states[-2]
        states.pop()


def test_cut_anywhere_it_loses_at_most_the_last_key(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, IDS)
    sizes = [0]
    for row, label in zip(IDS, NAMES, strict=True):
        journal.add("label", row, label=label)
        sizes.append(path.stat().st_size)
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = sum(size <= cut for size in sizes) - 1
        assert [mark.label for mark in Journal(path, IDS).marks.values()] == list(NAMES[:kept])
        assert path.stat().st_size == sizes[kept]


def test_notes_stand_apart_from_labels(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", IDS)
    journal.add("label", "a", label="利好")
    journal.add("note", "a", note="反讽")
    assert journal.add("undo") is not None
    assert (journal.marks, journal.notes) == ({}, {"a": "反讽"})
    journal.add("note", "a", note="")
    assert Journal(tmp_path / "j", IDS).notes == {}


def test_a_key_that_cannot_be_saved_does_not_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gone" / "j", IDS)
    with pytest.raises(DataError, match="this key was not saved"):
        journal.add("label", "a", label="利好")
    assert journal.marks == {}


def test_a_new_journals_folder_is_on_disk_with_its_first_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made empty by who holds the desk, it is new all the same."""
    told: list[Path] = []
    monkeypatch.setattr("finsa_moe.files.growing._sync", told.append)
    (tmp_path / "j").touch()
    journal = Journal(tmp_path / "j", IDS)
    for label in NAMES:
        journal.add("label", "a", label=label)
    assert told == [tmp_path]


def test_a_disk_that_takes_half_a_line_takes_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", IDS)
    journal.add("label", "a", label=NAMES[0])
    size = (tmp_path / "j").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
    try:
        with pytest.raises(DataError, match="this key was not saved"):
            journal.add("label", "b", label=NAMES[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "j").stat().st_size == size
    journal.add("label", "c", label=NAMES[2])
    assert {row: mark.label for row, mark in Journal(tmp_path / "j", IDS).marks.items()} == {
        "a": NAMES[0],
        "c": NAMES[2],
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"do": "label", "id": "z", "label": "利好"}\n', "line 1: no row 'z' in the file to be labelled"),
        ('{"do": "label", "id": "a", "label": "涨"}\n', "line 1: label '涨' is no action"),
        ("id,text\n", "line 1: not a line of a labelling journal"),
        ('{"do": "skip", "id": "a"}\n{"what": 1}\n', "line 2: not a line of a labelling journal"),
        ('{"do": "undo", "id": "a"}\n', "line 1: nothing to undo"),
    ],
)
def test_a_journal_of_something_else(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "j").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        Journal(tmp_path / "j", IDS)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("2026-01-01 opening balance 500", 1),
        ("2026-01-01 opening balance\n    assets 500\n2026-01-02 * rent", 1),
        ('{"do": "skip", "id": "a"}\n2026-01-02 * rent', 2),
    ],
)
def test_another_programs_file_is_left_as_it_is(tmp_path: Path, content: str, line: int) -> None:
    """Also one that ends without a line feed: only a line of ours is cut off."""
    (tmp_path / "j.journal").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"j\.journal, line {line}: not a line of a labelling journal"):
        Journal(tmp_path / "j.journal", IDS)
    assert (tmp_path / "j.journal").read_text(encoding="utf-8") == content

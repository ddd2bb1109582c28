"""A stage is skipped where its output would be the same, and the run ends where it would not."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "runs"))
from made_of import made_of  # noqa: E402


@pytest.fixture
def student(tmp_path: Path) -> Path:
    folder = tmp_path / "student"
    (folder / "experts").mkdir(parents=True)
    (folder / "experts" / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapt.json").write_text("{}")
    return folder


def test_the_same_again_passes_wherever_it_lies(student: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "last"
    made_of(out, student, "SHARE=0.3", "")
    made_of(out, "another", "SHARE=0.5")  # not made yet: what is asked for now will be made
    made_of(out, student, "SHARE=0.3", "")
    out.mkdir()
    made_of(out, student.rename(tmp_path / "moved").rename(student), "SHARE=0.3", "")
    (student / "adapt.json").write_text("facts")  # no weights
    made_of(out, student, "SHARE=0.3", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SHARE=0.5"], "was made of SHARE=0.3, and is asked for of SHARE=0.5"),
        ([], "of SHARE=0.3, and is asked for of f"),
    ],
)
def test_a_changed_setting_ends_the_run(words: list[str], said: str, student: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    made_of(out, student, "SHARE=0.3")
    out.mkdir()
    with pytest.raises(SystemExit, match=f"{out}: .*{said}"):
        made_of(out, student, *words)


def test_other_content_of_the_same_name_ends_the_run(student: Path, tmp_path: Path) -> None:
    out = tmp_path / "experts"
    made_of(out, student)
    out.mkdir()
    (student / "experts" / "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(SystemExit, match=r"was made of student [0-9a-f]{12}, and is asked for of student"):
        made_of(out, student)


def test_what_nothing_is_kept_of_passes(tmp_path: Path) -> None:
    made_of(tmp_path, "SHARE=0.3")
    assert not tmp_path.with_name(f"{tmp_path.name}.made_of").exists()


def ended(script: str, *words: str, **settings: str) -> str:
    """What a script says that ends early, as its folder says that it was made by other settings."""
    done = subprocess.run(
        ["bash", f"runs/{script}.sh", *words], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "BIN": str(Path(sys.executable).parent), **settings},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def test_trials_of_another_backbone_or_length_are_not_those_kept(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "news").mkdir(parents=True)
    out.mkdir()
    made_of(out / "vocabulary.txt", "BACKBONE=b", "b", "MINUTES=5")
    (out / "vocabulary.txt").write_text("6000 13 news/dev=80.0\n")
    again = ["vocabulary", str(out), str(data)]
    assert "made of MINUTES=5, and is asked for of MINUTES=9" in ended("trials", *again, BACKBONE="b", MINUTES="9")
    assert "asked for of BACKBONE=c" in ended("trials", *again, BACKBONE="c", MINUTES="5")


def test_cells_of_another_mixture_or_size_are_not_those_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, words in (("cells", [tmp_path / "a"]), ("joined", [tmp_path / "a", "--rows 1000", tmp_path / "posts"])):
        made_of(tmp_path / f"{name}.jsonl", *words)
        (tmp_path / f"{name}.jsonl").write_text("")
    for script, words, said in (
        ("new_domain", ["b", "OUT", "DATA"], f"{tmp_path / 'a'}, and is asked for of b"),
        ("joined_rows", [str(tmp_path / "a"), "OUT", f"forum={tmp_path / 'posts'}", "--rows", "300"], "of --rows 300"),
    ):
        monkeypatch.setattr(sys, "argv", [script, *(str(tmp_path) if word == "OUT" else word for word in words)])
        with pytest.raises(SystemExit, match=re.escape(said)):
            importlib.import_module(script).main()

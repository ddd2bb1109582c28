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
    (tmp_path / "elsewhere").mkdir()
    moved = student.rename(tmp_path / "elsewhere" / "student")
    made_of(out, moved, "SHARE=0.3", "")
    (moved / "adapt.json").write_text("facts")  # no weights
    made_of(out, moved, "SHARE=0.3", "")


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


def test_a_folder_with_a_task_is_known_by_its_content_too(student: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    made_of(out, f"{student}:news")
    out.write_text("")
    made_of(out, f"{student}:news")
    with pytest.raises(SystemExit, match=r"asked for of student [0-9a-f]{12}:boards"):
        made_of(out, f"{student}:boards")
    (student / "experts" / "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(SystemExit, match=r"asked for of student [0-9a-f]{12}:news"):
        made_of(out, f"{student}:news")


def test_of_settings_those_of_the_stage_count(tmp_path: Path) -> None:
    out, config = tmp_path / "backbone", tmp_path / "sizes.yaml"
    config.write_text("pretrain: {layers: 2, learning_rate: 0.001}\njoint: {max_steps: 300}\n")
    made_of(out, f"{config}:pretrain")
    out.mkdir()
    config.write_text(
        "# another joint training\npretrain: {learning_rate: 1e-3, layers: 2, seed: 13}\njoint: {max_steps: 9}\n"
    )
    made_of(out, f"{config}:pretrain")
    config.write_text("pretrain: {learning_rate: 1e-3, layers: 4}\n")
    with pytest.raises(
        SystemExit, match=r"was made of pretrain.layers=2, and is asked for of pretrain.layers=4; remove"
    ):
        made_of(out, f"{config}:pretrain")


def test_what_nothing_is_kept_of_passes(tmp_path: Path) -> None:
    made_of(tmp_path, "SHARE=0.3")
    assert not tmp_path.with_name(f"{tmp_path.name}.made_of").exists()


def asked(script: str, *words: str, status: int = 1, **settings: str) -> str:
    """What a script says that ends with this status: early, where its folder says that it was made of something else."""
    done = subprocess.run(
        ["bash", f"runs/{script}.sh", *words], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "BIN": str(Path(sys.executable).parent), **settings},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def write(file: Path, content: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def test_a_trial_is_known_by_what_it_reads(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for name in ("news", "forum", "other"):
        write(data / name / "dev.csv", name)
    for trial, arms in (("vocabulary", "6000 12000 24000"), ("prompts", "none neutral")):
        again, kept = [trial, str(out), str(data)], {"BACKBONE": "b", "MINUTES": "5", "SEEDS": "13"}
        asked("trials", *again, status=0, **kept, ARMS=" ")  # no arm: nothing is trained
        write(out / f"{trial}.txt", "".join(f"{arm} 13 news/dev=80.0\n" for arm in arms.split()))
        other_backbone, other_minutes = kept | {"BACKBONE": "c"}, kept | {"MINUTES": "9"}
        if trial == "vocabulary":
            assert "13 news/dev" in asked("trials", *again, status=0, **other_backbone)
            assert "made of MINUTES=5, and is asked for of MINUTES=9" in asked("trials", *again, **other_minutes)
        else:
            assert "13 news/dev" in asked("trials", *again, status=0, **other_minutes)
            assert "made of b, and is asked for of c" in asked("trials", *again, **other_backbone)


@pytest.mark.parametrize(
    ("script", "words", "kept"),
    [
        ("real", ["DATA", "OUT"], "data/news"), ("real", ["DATA", "OUT"], "backbone"),
        ("new_domain", ["DATA", "OUT"], "readings"), ("new_domain", ["DATA", "OUT"], "rows/news"),
        ("trials", ["prompts", "OUT", "DATA"], "rows/news"), ("trials", ["consensus", "OUT", "DATA"], "finfe_sure.csv"),
        ("trials", ["vocabulary", "OUT", "DATA"], "finance.txt"),
    ],
)  # fmt: skip
def test_rows_and_texts_of_other_files_end_the_run(script: str, words: list[str], kept: str, tmp_path: Path) -> None:
    places = {"DATA": tmp_path / "data", "OUT": tmp_path / "out"}
    places["DATA"].mkdir()
    for name in ("data/news/report.json", "data/forum/report.json", "readings/news.csv"):  # what is done before
        write(places["OUT"] / name, "")
    made_of(tmp_path / "before" / kept, "another file")
    (places["OUT"] / kept).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "before" / f"{kept}.made_of").rename(places["OUT"] / f"{kept}.made_of")
    (places["OUT"] / kept).mkdir(exist_ok=True)
    said = asked(script, *(str(places.get(word, word)) for word in words))
    assert said.startswith(f"{places['OUT'] / kept}: was made of another file, and is asked for of ")
    assert said.count("\n") == 1


def test_rows_to_draw_from_are_of_the_file_that_is_there(tmp_path: Path) -> None:
    script = importlib.import_module("new_domain")
    source = write(tmp_path / "data" / script.SETS["investors"], "id,text,label\n")
    made_of(tmp_path / "data" / "investors", source)
    (tmp_path / "data" / "investors").mkdir()
    source.write_text("id,text,label\n1,涨,利好\n")
    with pytest.raises(SystemExit, match=r"data/investors: was made of train_investors.csv "):
        script.judged(tmp_path, tmp_path / "data", "investors")


def test_cells_of_another_mixture_or_size_are_not_those_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [tmp_path / "a", "--rows 1000", tmp_path / "posts"]
    for name, words in (("cells", [tmp_path / "a"]), ("joined.forum", posts)):
        made_of(tmp_path / f"{name}.jsonl", *words)
        (tmp_path / f"{name}.jsonl").write_text("")
    for script, words, said in (
        ("new_domain", ["b", "OUT", "DATA"], f"{tmp_path / 'a'}, and is asked for of b, DATA/news/dev.csv"),
        ("joined_rows", [str(tmp_path / "a"), "OUT", f"forum={tmp_path / 'posts'}", "--rows", "300"], "of --rows 300"),
    ):
        monkeypatch.setattr(sys, "argv", [script, *(str(tmp_path) if word == "OUT" else word for word in words)])
        with pytest.raises(SystemExit, match=re.escape(said)):
            importlib.import_module(script).main()


def test_an_old_domain_more_leaves_the_cells_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("joined_rows")
    ran: list[str] = []

    def run(old: str, *_: object) -> dict[str, object]:
        ran.append(old)
        return {"scores": {old: 80.0}}

    rows = script.Rows(tmp_path / "rows.csv", ["涨", "跌"], [2, 0])
    monkeypatch.setattr(script, "run", run)
    monkeypatch.setattr(script, "read_split", lambda *_: rows)
    monkeypatch.setattr(script, "judged", lambda *_: (rows, rows))
    monkeypatch.setattr(script, "drawn", lambda *_: (["平"], ["中性"]))
    for olds, cells in ((["forum=a"], 3), (["forum=a", "news=b"], 6)):
        monkeypatch.setattr(sys, "argv", ["joined_rows", "mixture", str(tmp_path), *olds, "--seeds", "13"])
        script.main()
        assert len(ran) == cells
    assert ran == ["forum"] * 3 + ["news"] * 3


@pytest.mark.parametrize("stage", ["phrases", "figures"])
def test_lines_of_our_own_are_made_of_the_scripts_that_write_them(stage: str, tmp_path: Path) -> None:
    """A script that has changed writes others."""
    made = f'made_of() {{ printf \'%s\\n\' "$@"; }}; python() {{ touch "$2"; }}; {stage} {tmp_path / "out.csv"}'
    told = subprocess.run(["bash", "-c", f"source runs/stages.sh; {made}"], cwd=ROOT, capture_output=True, text=True)
    scripts = {word for word in told.stdout.split() if word.endswith(".py")}
    assert scripts == {f"runs/{stage}.py"} | ({"runs/skills.py"} if stage == "figures" else set())

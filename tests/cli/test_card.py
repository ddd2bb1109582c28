from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from finsa_moe.cli import main
from finsa_moe.evaluation.card import MARK, NOTES
from finsa_moe.evaluation.fingerprints import of_weights
from tests.conftest import Trained
from tests.documented import blocks
from tests.evaluation.test_card import CONFIG, EXPERT, JOINT, comparison


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m/experts/news").mkdir(parents=True)
    files = {"m/config.json": CONFIG, "m/experts/news/expert.json": EXPERT, "m/metrics.json": JOINT}
    for name, facts in files.items():
        Path(name).write_text(json.dumps(facts), encoding="utf-8")
    Path("r.json").write_text(json.dumps(comparison("finsa:m", of_weights(Path("m")))), encoding="utf-8")


def test_the_card_lands_in_the_models_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", "m", "--results", "r.json"]) == 0
    assert "saved m/README.md: 1 test sets, 2 models beside" in capsys.readouterr().out
    page = Path("m/README.md").read_text(encoding="utf-8")
    assert "# m\n" in page
    assert "| news | 1,200 |" in page
    assert sorted(path.name for path in Path("m").iterdir()) == ["README.md", "config.json", "experts", "metrics.json"]


def test_of_a_mixture_as_it_is_trained_and_compared(
    trained: Callable[[str], Trained],
    prepared: Mapping[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its own folder, and the JSON that ``finsa compare`` and ``finsa evaluate`` really write."""
    folder = tmp_path / "moe"
    shutil.copytree(trained("bert").joint, folder)
    sets = [word for name, data in prepared.items() for word in ("--test", f"{name}={data / 'test.csv'}")]
    words = ["--model", f"finsa:{folder}", "--model", "majority", *sets, "--out", "c", "--examples", "0"]
    rows = [word for name, data in prepared.items() for word in ("--train", f"{name}={data / 'train.csv'}")]
    assert main(["compare", *words, *rows]) == 0
    assert main(["card", str(folder), "--results", "c/comparison.json"]) == 0
    page = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("Joint training (moe_joint)", "`majority`", "### Routing", "finsa compare --model"):
        assert part in page
    for body in blocks(folder / "README.md", "python"):
        exec(compile(body, "README.md", "exec"), {})
    assert "sentiment=" in capsys.readouterr().out
    files = [str(data / "test.csv") for data in prepared.values()]
    assert main(["evaluate", str(folder), *files, "--json", "e.json", "--domain", next(iter(prepared))]) == 0
    assert main(["card", str(folder), "--results", "e.json", "--out", "e.md"]) == 0
    assert "## Scores" in Path("e.md").read_text(encoding="utf-8")
    with (folder / "model.safetensors").open("ab") as weights:
        weights.write(b"trained on")
    for results in ("c/comparison.json", "e.json"):
        assert main(["card", str(folder), "--results", results, "--out", "e.md"]) == 2
        assert f"{results}: {folder} held other weights when it was measured" in capsys.readouterr().err


def test_made_anew_it_keeps_what_a_person_wrote() -> None:
    assert main(["card", "m", "--results", "r.json"]) == 0
    path = Path("m/README.md")
    path.write_text(path.read_text(encoding="utf-8") + "\nchecked by Li\n", encoding="utf-8")
    assert main(["card", "m", "--results", "r.json", "--name", "M 2"]) == 0
    page = path.read_text(encoding="utf-8")
    assert "# M 2\n" in page
    assert page.rstrip().endswith("checked by Li")


def test_a_page_of_someone_else_is_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    Path("m/README.md").write_text("by hand", encoding="utf-8")
    assert main(["card", "m", "--results", "r.json"]) == 2
    assert "m/README.md: stands already and was not made by finsa card" in capsys.readouterr().err
    assert Path("m/README.md").read_text(encoding="utf-8") == "by hand"
    assert main(["card", "m", "--results", "r.json", "--out", "other.md"]) == 0
    assert main(["card", "m", "--results", "r.json", "--force"]) == 0
    assert "# m" in Path("m/README.md").read_text(encoding="utf-8")


def test_notes_that_cannot_be_found_are_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("m/README.md")
    words = ["card", "m", "--results", "r.json"]
    without = f"{MARK}\n\n# m\n\n## 备注\n\n手写\n"
    for content, says in (
        (without.encode(), f"m/README.md: where its notes begin cannot be found; put the line {NOTES} above them"),
        (without.encode("gb18030"), "m/README.md: not UTF-8, so its notes cannot be read"),
    ):
        path.write_bytes(content)
        assert main(words) == 2
        assert says in capsys.readouterr().err
        assert path.read_bytes() == content
    path.write_text(without.replace("## 备注", f"{NOTES}\n## 备注"), encoding="utf-8", newline="\r\n")
    assert main(words) == 0
    assert path.read_text(encoding="utf-8").endswith(f"{NOTES}\n\n## 备注\n\n手写\n")
    path.write_text(without, encoding="utf-8")
    assert main([*words, "--force"]) == 0
    assert "手写" not in path.read_text(encoding="utf-8")


def test_a_strange_metrics_file_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("m/metrics.json").write_text('{"accuracy": 0.9}', encoding="utf-8")
    assert main(["card", "m", "--results", "r.json"]) == 2
    assert "metrics.json of m: a part is missing or odd (KeyError('stage'))" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing", "--results", "r.json"], "nothing: holds no model (no config.json)"),
        (["m", "--results", "none.json"], "none.json: missing; name what finsa compare or finsa evaluate --json wrote"),
        (["m", "--results", "m/experts/news/expert.json"], "is no result of finsa compare"),
        (["plain", "--results", "r.json"], "plain: config.json names no domains"),
        (["m", "--results", "r.json", "--out", "a/b.md"], "a/b.md: there is no folder a"),
        (["m", "--results", "list.json"], "list.json: damaged, no JSON object but a list"),
        (["m", "--results", "none.json", "--out", "plain"], "plain: is a folder; name a file in it"),
    ],
)
def test_one_line_for_what_cannot_be(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plain").mkdir()
    Path("plain/config.json").write_text("{}", encoding="utf-8")
    Path("list.json").write_text("[]", encoding="utf-8")
    assert main(["card", *words]) == 2
    assert says in capsys.readouterr().err
    assert not Path("m/README.md").exists()

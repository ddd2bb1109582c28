"""Where a mixture may be saved: nobody's own files give way to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from finsa_moe.errors import ModelError
from finsa_moe.model.backbone import load_tokenizer
from finsa_moe.model.checkpoint import OF_ONE_MODEL, load_mixture
from finsa_moe.model.moe import FinSAMoE
from tests.families import make_backbone, make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def mixture(backbone_of: Callable[[str], Path]) -> FinSAMoE:
    return make_mixture(backbone_of("bert"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", sorted(OF_ONE_MODEL))
def test_somebody_s_own_files_do_not_give_way(name: str, mixture: FinSAMoE, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    file = folder / name if "." in name else folder / name / "notes.md"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    (folder / "keep.txt").write_text("mine")
    before = content(tmp_path)
    with pytest.raises(ModelError) as caught:
        mixture.save_pretrained(folder)
    assert str(caught.value) == (
        f"{folder}: holds {name}, which a mixture would take the place of, and is no mixture's folder itself; "
        "name another folder"
    )
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_a_folder_of_another_model_does_not_give_way(mixture: FinSAMoE, tmp_path: Path) -> None:
    folder = make_backbone("bert", tmp_path / "bert")
    before = content(folder)
    with pytest.raises(ModelError, match=r"holds config.json, which a mixture would take the place of"):
        mixture.save_pretrained(folder)
    assert content(folder) == before


def test_empty_folders_and_foreign_names_are_no_hindrance(
    mixture: FinSAMoE, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    mixture.save_pretrained(tmp_path / "empty")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.md").write_text("mine")
    load_tokenizer(backbone_of("bert")).save_pretrained(tmp_path / "foreign")
    for _ in range(2):  # and a mixture's own folder is none
        mixture.save_pretrained(tmp_path / "foreign")
        assert (tmp_path / "foreign" / "notes.md").read_text() == "mine"
        assert (tmp_path / "foreign" / "tokenizer.json").is_file()
        load_mixture(tmp_path / "foreign", device="cpu")


def test_the_working_folder(mixture: FinSAMoE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "notes.md").write_text("mine")
    monkeypatch.chdir(tmp_path / "here")
    for _ in range(2):
        mixture.save_pretrained(".")
        assert Path.cwd() == tmp_path / "here"
        assert Path("notes.md").read_text() == "mine"
        assert torch.equal(load_mixture(Path(), device="cpu").heads.weight, mixture.heads.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]

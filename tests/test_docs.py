"""Every command of the documents exists as written (here), and runs (tests/test_end_to_end.py, slow)."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
import typer

from finsa_moe import paper
from finsa_moe.cli import app
from tests.documented import DOCUMENTS, ROOT, blocks, commands

ALL = [(document, words) for document in DOCUMENTS for words in commands(document)]


@pytest.mark.parametrize(("document", "words"), ALL, ids=[" ".join(words)[:60] for _, words in ALL])
def test_a_documented_command_exists(
    document: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program, rest = words[0], words[1:]
    if program == "finsa":
        taken(rest)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert rest[0] in targets
    elif program == "python":  # the paper's commands, which hand on to a verb; what they find is what the demo left
        handed: list[list[str]] = []
        monkeypatch.setattr(paper, "finsa", lambda words: handed.append(words) or 0)
        monkeypatch.setattr(sys, "argv", rest)
        monkeypatch.chdir(tmp_path)
        for left in ("data/news", "data/forum", "backbone"):
            (tmp_path / "demo" / left).mkdir(parents=True)
        with pytest.raises(SystemExit) as ended:  # of argparse, where an option is unknown
            runpy.run_path(str(ROOT / rest[0]), run_name="__main__")
        assert not ended.value.code
        assert handed
        for verb in handed:
            taken(verb)
    else:
        raise AssertionError(f"{document.name}: nothing checks {program!r}")


def taken(words: list[str]) -> None:
    """A verb that exists, with options and arguments that it has: others raise."""
    verb = typer.main.get_command(app).get_command(None, words[0])  # type: ignore[attr-defined, arg-type]
    assert verb is not None, f"no verb {words[0]}"
    verb.make_context(words[0], list(words[1:]))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_documented_python_compiles(document: Path) -> None:
    for body in blocks(document, "python"):
        compile(body, document.name, "exec")


TRANSLATED = [("README.md", "README_CN.md"), ("docs/guide.md", "docs/guide_cn.md")]


@pytest.mark.parametrize(("english", "chinese"), TRANSLATED)
def test_both_tongues_give_the_same_commands_and_lead_to_each_other(english: str, chinese: str) -> None:
    assert commands(ROOT / chinese) == commands(ROOT / english)
    for page, other in ((english, chinese), (chinese, english)):
        assert f"]({Path(other).name})" in (ROOT / page).read_text(encoding="utf-8")


def test_the_readmes_begin_with_the_two_commands() -> None:
    for page in ("README.md", "README_CN.md"):
        words = commands(ROOT / page)
        assert words[1:3] == [["make", "demo"], ["make", "test"]]


def test_shipped_configurations_load() -> None:
    from finsa_moe.config import STAGES

    for file in [*(ROOT / "configs").glob("*.yaml"), *(ROOT / "runs").glob("*.yaml")]:
        for stage in STAGES.values():
            stage.load(file)


def test_the_papers_values_are_the_defaults() -> None:
    from finsa_moe.config import ExpertConfig, JointConfig, MergeConfig

    for stage in (ExpertConfig, MergeConfig, JointConfig):
        assert stage.load(Path("paper")) == stage()


def test_relative_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            page = document.parent / target if target else document
            assert page.exists(), f"{document.name}: {target}"
            assert not anchor or anchor in _anchors(page), f"{document.name}: {target}#{anchor}"


def test_the_index_of_the_experiments_names_each_once() -> None:
    page = ROOT / "EXPERIMENTS.md"
    index, *entries = re.split(r"^## (?=\d)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    asked = [entry.partition("\n")[0].partition(" · ")[2] for entry in entries]
    listed = re.findall(r"^- \[(.*)\]\(#([^)]*)\): \S", index, re.MULTILINE)
    assert sorted(title for title, _ in listed) == sorted(asked)
    assert {anchor for _, anchor in listed} == {anchor_of(entry.partition("\n")[0]) for entry in entries}


def anchor_of(heading: str) -> str:
    """As GitHub makes it: lower case, marks dropped, spaces to hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    """Of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return set(map(anchor_of, headings))

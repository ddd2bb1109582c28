"""The arrows of docs/architecture.md: who may import whom, and which rooms live without torch."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "finsa_moe"
MAP = Path(__file__).parents[1] / "docs" / "architecture.md"
BASE = {"polarity", "errors", "config", "files", "_version"}
TOP = {"data", "model", "training", "evaluation", "runtime", "explain", "labelling", "drift", "llm", "scale", "service"}
TOP |= {"shipped", "hub", "settings", "figures"}
ALLOWED = {
    "polarity": {"errors"},
    "errors": set(),
    "files": {"errors"},
    "config": {"errors", "files"},
    "llm": {"errors", "files"},
    "data": BASE | {"llm"},
    "figures": BASE | {"data"},
    "hub": {"errors"},
    "model": BASE | {"data", "hub", "runtime"},
    "training": BASE | {"data", "model", "hub"},
    "evaluation": BASE | {"data", "runtime", "explain", "llm", "hub", "figures"},
    "runtime": BASE | {"data"},
    "explain": BASE | {"data", "runtime"},
    "labelling": BASE | {"data", "runtime"},
    "drift": BASE | {"data", "runtime", "explain", "figures"},
    "judging": BASE | {"data", "evaluation", "explain", "face", "model", "runtime", "shipped", "training"},
    "export": BASE | {"data", "model", "runtime", "evaluation"},
    "service": BASE | {"data", "runtime", "face"},
    "shipped": {"errors"},
    "settings": {"config"},
    "scale": BASE | {"data", "runtime", "shipped", "figures"},
    "face": BASE | {"shipped", "data", "runtime", "model", "explain"},
    "cli": BASE | TOP | {"export", "face", "judging"},
    "paper": {"cli"},
}
SHARED = {
    "text",
    "amounts",
    "keys",
    "hashing",
    "shares",
    "domains",
    "encode",
    "lines",
    "ngrams",
    "samples",
    "fonts",
    "marks",
}
WITHIN_DATA = {
    "reading": SHARED,
    "duplicates": SHARED,
    "preparing": SHARED | {"reading", "duplicates"},
    "augmenting": SHARED | {"duplicates"},
} | dict.fromkeys(SHARED, SHARED)
TORCH_FREE = ("data", "llm", "figures", "runtime", "explain", "labelling", "drift", "scale", "service")
HEAVY = {"torch", "transformers", "peft", "accelerate"}


def imports(file: Path) -> set[str]:
    """What a file imports anywhere, by its whole dotted name; what is for type checking is left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(source: Path = SOURCE) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for file in source.rglob("*.py"):
        files.setdefault(file.relative_to(source).parts[0].removesuffix(".py"), []).append(file)
    return files


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    for file in rooms()[room]:
        for module in imports(file):
            if module.startswith("finsa_moe."):
                target = module.split(".")[1]
                if target != "__version__":
                    assert target in ALLOWED[room] | {room}, f"{file.name} imports {module}"


def test_every_room_has_its_arrows() -> None:
    assert set(rooms()) - {"__init__", "__main__", "_version", "assets"} == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(WITHIN_DATA))
def test_within_data_too_arrows_point_one_way(room: str) -> None:
    for file in rooms(SOURCE / "data")[room]:
        for module in imports(file):
            if module.startswith("finsa_moe.data."):
                assert module.split(".")[2] in WITHIN_DATA[room] | {room}, f"{file.name} imports {module}"


def test_every_file_of_data_has_its_room() -> None:
    assert set(rooms(SOURCE / "data")) - {"__init__"} == set(WITHIN_DATA)


def rows_under(header: str, lines: list[str]) -> list[list[set[str]]]:
    """The names in each cell of a table of the docs."""
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[lines.index(header) + 2 :])
    return [[set(re.findall(r"`(\w+)`", cell)) for cell in row.strip("|").split("|")] for row in rows]


def test_the_map_of_the_docs_is_this_one() -> None:
    lines = MAP.read_text(encoding="utf-8").splitlines()
    written = {}
    for names, below in rows_under("| room | may import |", lines):
        written |= dict.fromkeys(names, below)
    bare = ("errors", "files", "polarity", "config", "llm", "hub", "shipped", "paper", "settings")
    assert written == {
        room: below if room in bare else (below - BASE if room != "cli" else set()) for room, below in ALLOWED.items()
    }
    described = rows_under("| room | knows | does not know |", lines)
    assert set().union(*(names for names, *_ in described)) == set(ALLOWED)
    within = {room: below for (room,), _, below in rows_under("| within `data` | holds | may import |", lines)}
    assert within == {room: below - SHARED for room, below in WITHIN_DATA.items() if room not in SHARED}


@pytest.mark.parametrize("room", TORCH_FREE)
def test_torch_free_rooms_never_name_torch(room: str) -> None:
    for file in rooms()[room]:
        assert not {module.split(".")[0] for module in imports(file)} & HEAVY, file.name


def test_torch_free_rooms_load_no_torch() -> None:
    """Importing every module of the rooms, the face and the command line leaves torch and its users unloaded."""
    modules = [
        "finsa_moe." + ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        for room in TORCH_FREE
        for file in rooms()[room]
        if file.name != "__init__.py"
    ] + ["finsa_moe", "finsa_moe.cli", "finsa_moe.face"]
    script = (
        "import sys, importlib\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["train-expert", "news", "data", "--out", "o", "--backbone", "b"], "peft"),
        (["merge", "--expert", "news=e", "--out", "o"], "torch"),
        (["pretrain", "t.txt", "--out", "o"], "torch"),
        (["prepare", "t.csv", "--domain", "news", "--out", "o"], "polars"),
    ],
)
def test_a_verb_without_its_extra_says_which(words: list[str], module: str) -> None:
    """As on a base install: the extra's modules cannot be found."""
    script = f"import sys\nsys.modules[{module!r}] = None\nfrom finsa_moe.cli import main\nsys.exit(main({words!r}))\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert module in done.stderr
    assert "pip install '.[" in done.stderr


def test_no_file_is_two_ideas_long() -> None:
    long = {str(file): n for file in SOURCE.rglob("*.py") if (n := len(file.read_text().splitlines())) > 300}
    assert not long

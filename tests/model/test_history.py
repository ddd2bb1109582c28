"""What a mixture says of its making, through domains added and taken out in any order."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from finsa_moe.errors import ModelError
from finsa_moe.model import history

TRAINED = {"stage": "moe_joint", "steps": 9, "data": {"news": "d/news", "forum": "d/forum"}, "domains": {"news": 5, "forum": 7}}  # fmt: skip

CARD = "---\r\nlanguage: zh\r\n---\r\n# 模型\r\n\r\nGood.\r\n".encode("gb18030")  # whatever a person's editor wrote


def says(folder: Path, facts: dict[str, object], settings: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")  # not our own way of writing it
    (folder / "config.yaml").write_text(settings, encoding="utf-8")
    return folder


def added(source: Path, domain: str, out: Path) -> Path:
    """As `add_domain` has it: what was said goes into the history, and what is new is said."""
    out.mkdir()
    history.keep(source, out, domain)
    data = json.loads((source / "metrics.json").read_text(encoding="utf-8"))["data"] | {domain: f"d/{domain}"}
    sent = {name: {"after": 0.9} for name in data}
    return says(out, {"domain": domain, "data": data, "sent_to_own": sent}, f"start: {domain}\n")


def removed(source: Path, domain: str, grown: list[str], out: Path) -> Path:
    out.mkdir()
    history.bring_back(source, out, domain, grown)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def said(folder: Path) -> dict[str, object]:
    """Every record, the metrics as values: those of a domain's neighbours are written anew."""
    return {name: json.loads(c) if name.endswith("json") else c for name, c in files(folder).items()}


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """A trained mixture, and it with a, with a and b, with a, b and c."""
    made = [says(tmp_path / "trained", TRAINED, "gate: hard\n")]
    (made[0] / "README.md").write_bytes(CARD)
    for domain in "abc":
        made.append(added(made[-1], domain, tmp_path / f"with_{domain}"))
    return made


def test_the_last_added_taken_out_leaves_every_byte_as_it_was(three: list[Path], tmp_path: Path) -> None:
    at, grown = three[3], list("abc")
    for earlier in reversed(three[:3]):
        at = removed(at, grown[-1], grown, tmp_path / f"back_to_{earlier.name}")
        grown.pop()
        assert files(at) == files(earlier)


@pytest.mark.parametrize("order", permutations("abc"))
def test_in_any_order_what_is_left_is_what_the_others_alone_would_say(
    order: tuple[str, ...], three: list[Path], tmp_path: Path
) -> None:
    at, grown = three[3], list("abc")
    for domain in order:
        at = removed(at, domain, grown, tmp_path / f"without_{domain}")
        grown.remove(domain)
        expected = three[0]
        for name in grown:
            expected = added(expected, name, tmp_path / f"{domain}_{expected.name}_{name}")
        assert said(at) == said(expected)
    assert files(at) == files(three[0])


def test_a_trained_domain_goes_from_every_record(three: list[Path], tmp_path: Path) -> None:
    records = said(removed(three[2], "news", ["a", "b"], tmp_path / "o"))
    assert len(records) == 9
    for name, record in records.items():
        assert not name.endswith("json") or "news" not in json.dumps(record), name
    assert records["history/a/metrics.json"] == TRAINED | {"data": {"forum": "d/forum"}, "domains": {"forum": 7}}


def test_a_card_stays_and_says_who_came_and_went(three: list[Path], tmp_path: Path) -> None:
    """What it says was found out before, so it says so; the licence in it is the grown mixture's too."""
    head, tail = CARD.split(b"\n\r\n")
    card = (three[2] / "README.md").read_bytes()
    assert card.startswith(head + b"\n\n> The expert `b` came later")
    assert card.count(b"> The expert `a` came later") == 1
    assert card.endswith(tail)
    left = (removed(three[2], "news", ["a", "b"], tmp_path / "o") / "README.md").read_bytes()
    assert b"> The expert `news` was taken out" in left
    back = removed(removed(tmp_path / "o", "b", ["a", "b"], tmp_path / "p"), "a", ["a"], tmp_path / "q")
    assert (back / "README.md").read_bytes().count(b"> The expert") == 1


@pytest.mark.parametrize("title", [b"# M\n\nGood.\n", b"Good, without a title.\n"])
def test_what_a_hub_reads_of_a_card_stays_whole(title: bytes) -> None:
    front = b"---\n# For reference on model card metadata\nlicense: mit\n---\n"
    noted = history._noted(front + title, history._WENT, "x")
    assert noted.startswith(front)
    assert noted.count(b"> The expert `x` was taken out") == 1
    assert history._noted(b"# M\n", history._WENT, "x").startswith(b"# M\n\n> ")


def test_what_says_nothing_of_its_making(tmp_path: Path) -> None:
    """A bare mixture stays bare; one that grew before histories were kept is told nothing about."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "grown").mkdir()
    history.keep(tmp_path / "bare", tmp_path / "grown", "a")
    assert files(removed(says(tmp_path / "grown", {"data": {}}, ""), "a", ["a"], tmp_path / "o")) == {}


def test_a_damaged_record_is_named(three: list[Path], tmp_path: Path) -> None:
    (three[1] / "history" / "a" / "metrics.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="damaged, no JSON object"):
        removed(three[1], "a", ["a"], tmp_path / "o")

"""A chat model in a comparison, over a server on loopback: what it was asked, what was lost, what it cost, by seed."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from finsa_moe.cli import main
from finsa_moe.polarity import NAMES
from tests.llm.server import Server, says, serving, status

TRAIN, TEST = range(100, 130), range(500, 540)


def post(number: int) -> str:
    """A text near to no other."""
    return f"第{number}号：" + "".join(chr(0x4E00 + (number * 131 + at * 977) % 5000) for at in range(12))


def answer(question: str) -> str:
    """A class by the number of the text, and no class word for every fourth."""
    number = int(re.findall(r"第(\d+)号", question)[-1])
    return "看不懂" if number % 4 == 0 else NAMES[number % 3]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    for name, numbers in (("train", TRAIN), ("test", TEST)):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = [(post(number), NAMES[number % 3]) for number in numbers]
            csv.writer(file).writerows([("text", "label"), *rows])
    return [
        "compare", "--train", f"news={tmp_path / 'train.csv'}", "--test", f"news={tmp_path / 'test.csv'}",
        "--out", str(tmp_path / "out"), "--seeds", "1,2", "--examples", "0", "--model", "majority",
    ]  # fmt: skip


def spec(server: Server, tmp_path: Path, more: str) -> str:
    return f"llm:qwen@{server.url}?cache={tmp_path / 'kept.jsonl'}&price_in=1000&price_out=10000{more}"


def columns(markdown: str, model: str) -> dict[str, str]:
    """The account's row of a model in the Markdown report."""
    lines = markdown.splitlines()
    at = next(at for at, line in enumerate(lines) if "unusable answers" in line)
    row = next(line for line in lines[at:] if line.startswith(f"| `{model}`"))
    return dict(zip(lines[at].strip("| ").split(" | "), row.strip("| ").split(" | "), strict=True))


def test_the_account_stands_in_columns_of_its_own(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two seeds of two-shot asking: 80 questions of 7 tokens read and 3 written; of 40 texts every fourth is lost."""
    out = tmp_path / "out"
    with serving(says(answer)) as server:
        model = spec(server, tmp_path, "&shots=2")
        assert main([*command, "--model", model]) == 0
        assert len(server.requests) == 80
        shown = {body["messages"][1]["content"] for _, body, _ in server.requests}
        assert len(shown) == 2, "each seed draws its own examples"
        told = {
            "model": f"`{model}`", "texts asked about": "80", "unusable answers": "20 (25.0 %)", "asked now": "80",
            "kept before": "0", "tokens read": "560", "tokens written": "240", "cost": "2.9600",
        }  # fmt: skip
        assert columns((out / "comparison.md").read_text(encoding="utf-8"), model) == told
        page = (out / "comparison.html").read_text(encoding="utf-8")
        table = next(part for part in page.split("<table>") if "unusable answers" in part)
        assert re.findall(r"<th[^>]*>([^<]*)</th>", table) == list(told)
        row = re.findall(r"<td[^>]*>([^<]*)</td>", table.split("</table>")[0])
        assert row[1:] == list(told.values())[1:], "one row: majority asks nobody"
        kept = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
        account = kept["facts"][model]["account"]
        assert account["unusable_by_reason"] == {"no single class word": 20}
        assert kept["facts"][model]["seeds"] == 2
        assert len(kept["entries"][model]["news"]["by_seed"]) == 2
        usable = kept["entries"][model]["news"]["scores"]["accuracy"]
        assert usable == pytest.approx(sum(n % 4 != 0 or n % 3 == 1 for n in TEST) / 40)  # what is lost counts as 中性

        shutil.rmtree(out / "cells")
        for _ in range(2):  # from the file of answers, then from the cells
            assert main([*command, "--model", model]) == 0
            assert len(server.requests) == 80
            again = columns((out / "comparison.md").read_text(encoding="utf-8"), model)
            assert again == {**told, "asked now": "0", "kept before": "80"}, "what was paid before stays paid"
    told_aloud = f"{model}: 10 of 40 answers are unusable and count as 中性 (no single class word: 10)"
    assert told_aloud in capsys.readouterr().err


def test_a_model_that_refuses_every_text_is_no_score(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "test.csv"
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[:5]), encoding="utf-8")
    with serving(status(400, b"max_tokens is not supported")) as server:
        model = spec(server, tmp_path, "")
        assert main([*command, "--model", model]) == 2
    assert "none of 4 answers can be used (refused by the endpoint: 4); the first is http" in capsys.readouterr().err
    assert not [cell for cell in (tmp_path / "out" / "cells").iterdir() if cell.name.startswith("llm")]


def test_without_examples_nothing_is_drawn(command: list[str], tmp_path: Path) -> None:
    with serving(says(answer)) as server:
        model = spec(server, tmp_path, "")
        assert main([*command, "--model", model, "--curves"]) == 0
        assert len(server.requests) == 40
    found = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert found["facts"][model]["seeds"] == 1
    assert list(found["curves"]) == ["majority"]


def test_a_report_without_chat_models_has_no_such_columns(command: list[str], tmp_path: Path) -> None:
    assert main(command) == 0
    for ending in ("md", "html"):
        assert "unusable" not in (tmp_path / "out" / f"comparison.{ending}").read_text(encoding="utf-8")

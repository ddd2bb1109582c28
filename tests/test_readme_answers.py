"""The first answers that a reader sees are those the model gives."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import finsa_moe
from tests.documented import ROOT, blocks

BLOCK = re.compile(r"^```sh\n(finsa predict .*)\n```\n```\n((?:.*\n)+?)```", re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "README_CN.md"])
def test_the_first_answers_of_the_page(page: str) -> None:
    found = BLOCK.search(Path(ROOT / page).read_text(encoding="utf-8"))
    assert found is not None
    texts = shlex.split(found[1])[2:]
    answers = finsa_moe.load().predict(texts)
    for line, text, answer in zip(found[2].splitlines(), texts, answers, strict=True):
        label, score, expert, shown = line.split(None, 3)
        assert (label, expert, shown) == (answer.sentiment, answer.expert, text)
        assert float(score) == pytest.approx(answer.confidence, abs=2e-3)  # processors round 8-bit sums unlike


@pytest.mark.parametrize("page", ["guide.md", "guide_cn.md"])
def test_the_answers_of_a_frame_on_the_page(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    (body,) = (body for body in blocks(ROOT / "docs" / page, "python") if 'errors="null"' in body)
    exec(compile(body, page, "exec"), {})
    assert capsys.readouterr().out.strip() == body.rpartition("  # ")[2].strip()

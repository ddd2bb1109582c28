"""The table over the dev files: copies of a post are one observation, and the table says how many there are."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from tests.fakes import fake_finsa

SCRIPT = Path(__file__).parents[1] / "runs" / "dev.py"
POSTS = [("公告涨", "利好"), ("公告跌", "利空"), ("平", "中性"), ("涨", "利空"), ("跌跌", "利空")]


def test_every_file_is_scored_over_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("dev", SCRIPT)
    assert spec
    assert spec.loader
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    monkeypatch.setattr(dev, "load", lambda _: fake_finsa())
    for name in dev.FILES:
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *POSTS * 4])
    monkeypatch.setattr(sys, "argv", ["dev.py", "model", str(tmp_path), "--json", str(tmp_path / "dev.json")])
    dev.main()
    found = json.loads((tmp_path / "dev.json").read_text(encoding="utf-8"))
    assert list(found) == list(dev.FILES)
    labels = [label for _, label in POSTS]
    value = f1_score(labels, ["利好", "利空", "中性", "利好", "利空"], average="macro")
    for entry in found.values():
        for form in ("routed", "own"):
            assert (entry[form]["n"], entry[form]["clusters"]) == (20, 5)
        assert entry["routed"]["macro_f1"] == pytest.approx(value)
    heads, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heads[:3] == ["file", "rows", "clusters"]
    assert [line[:3] for line in lines] == [[name, "20", "5"] for name in dev.FILES]

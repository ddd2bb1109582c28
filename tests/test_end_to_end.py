"""The demo, then everything the pages tell a reader to type, in a copy of the project; slow."""

from __future__ import annotations

import csv
import http.client
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.wheel import copy_tracked
from finsa_moe.data.samples import path as sample
from tests.documented import DOCUMENTS, REPORTS, ROOT, blocks, commands

pytestmark = pytest.mark.slow


def run(words: list[str], folder: Path, *, stdin: str = "", programs: Path = Path(sys.executable).parent) -> str:
    """Run a command as a user in `folder` would, with this interpreter's programs, or others, first on the path."""
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        words, cwd=folder, input=stdin, capture_output=True, text=True, encoding="utf-8", env=environment, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def serve(words: list[str], folder: Path) -> None:
    """A documented `finsa serve`, and the Python that docs/deploy.md shows for it, at a port that is free."""
    with subprocess.Popen(
        [sys.executable, "-m", "finsa_moe", *words[1:], "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stderr is not None
            address = service.stderr.readline().split()[0]
            (body,) = blocks(ROOT / "docs" / "deploy.md", "python")
            assert "http://127.0.0.1:8000" in body
            told = run([sys.executable, "-c", body.replace("http://127.0.0.1:8000", address)], folder)
            assert [line.split()[0] for line in told.splitlines()] == ["利好", "利空"]
        finally:
            service.terminate()
        assert service.wait(300) == 0


def label(words: list[str], folder: Path) -> None:
    """Label every row of a documented `finsa label F --annotator NAME` as guessed."""
    with subprocess.Popen(
        [str(Path(sys.executable).parent / words[0]), *words[1:], "--no-open"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        host, _, path = server.stdout.readline().strip().removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(host, timeout=120)
        headers = {"Origin": f"http://{host}", "Content-Type": "application/json"}
        asked = {"do": "show", "row": ""}
        while True:
            connection.request("POST", f"/{path}act", json.dumps(asked), headers)
            shown = json.loads(connection.getresponse().read())
            if shown["done"]:
                break
            asked = {"do": "label", "row": shown["row"], "label": shown["told"]["guess"]}
        connection.close()
        server.terminate()
        assert server.wait(120) == 0


def shortest(rows: list[dict[str, str]], share: int) -> list[dict[str, str]]:
    """One in so many rows of each label, those of the shortest texts, in their order: training reads them soonest."""
    kept: set[int] = set()
    for label in {row["label"] for row in rows}:
        own = [at for at, row in enumerate(rows) if row["label"] == label]
        kept |= set(sorted(own, key=lambda at: len(rows[at]["text"]))[: len(own) // share])
    return [row for at, row in enumerate(rows) if at in kept]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is tracked, with the demo run in it and a user's own files beside: small ones, the demo has more."""
    folder = tmp_path_factory.mktemp("project")
    copy_tracked(folder)
    run([sys.executable, "runs/demo.py"], folder)
    for domain in ("news", "forum"):  # for the paper's commands
        processed = folder / "data" / "processed" / domain
        processed.mkdir(parents=True)
        for split, share in (("train", 7), ("valid", 6)):
            with (folder / "demo" / "data" / domain / f"{split}.csv").open(encoding="utf-8", newline="") as file:
                lines = list(csv.DictReader(file))
            with (processed / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(lines[0]))
                writer.writeheader()
                writer.writerows(shortest(lines, share))
    (folder / "my_news").mkdir()
    with sample("news").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for part in range(3):
        with (folder / "my_news" / f"{part}.csv").open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ["id", "text", "label"])
            writer.writeheader()
            writer.writerows(shortest(rows, 4)[part::3])
    numbers = {"利空": 0, "中性": 1, "利好": 2}
    with (
        sample("forum").open(encoding="utf-8") as file,
        (folder / "my_posts.csv").open("w", encoding="gb18030", newline="") as out,
    ):
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["content", "sentiment"])
        writer.writerows([row["text"], numbers[row["label"]]] for row in shortest(list(csv.DictReader(file)), 4))
    with (
        sample("forum").open(encoding="utf-8") as file,
        (folder / "my_research.csv").open("w", encoding="utf-8", newline="") as out,
    ):
        lines = csv.reader(file)
        csv.writer(out).writerows([row for at, row in enumerate(lines) if at % 2 == 0])
    (folder / "posts").mkdir()
    days = [f"2026-{month:02d}-{day:02d}" for month in (6, 7) for day in range(1, 29)]
    with (
        sample("forum").open(encoding="utf-8") as file,
        (folder / "posts" / "2026.csv").open("w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out)
        writer.writerow(["ticker", "date", "text"])
        writer.writerows([f"60000{at % 2}", days[at % 20], row["text"]] for at, row in enumerate(csv.DictReader(file)))
    returns = [f"60000{ticker},{day},{(at * 7 + ticker) % 5 / 100}" for ticker in (0, 1) for at, day in enumerate(days)]
    (folder / "returns.csv").write_text("\n".join(["ticker,date,return", *returns]) + "\n", encoding="utf-8")
    for week, part in (("last", rows[::2]), ("this", rows[1::2])):
        with (folder / f"{week}_week.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([row["text"]] for row in part)])
    (folder / "words.txt").write_text("涨停\n跌停\n割肉\n利好\n", encoding="utf-8")
    published = ROOT.parent / "shared" / "data" / "audit"
    (folder / "finfe").mkdir()
    for split in ("train", "eval"):
        file = folder / "finfe" / f"{split}.json"
        if published.is_dir():
            shutil.copy(published / f"finfe_v2_{split}.json", file)
        else:  # the same form: a list of text and number
            pairs = [[row["text"], numbers[row["label"]]] for row in rows[:: 1 if split == "train" else 5]]
            file.write_text(json.dumps(pairs, ensure_ascii=False), encoding="utf-8")
    return folder


def test_the_demo_learns_and_shows_it(project: Path) -> None:
    numbers = json.loads((project / "demo" / "result.json").read_text(encoding="utf-8"))
    routed = numbers["mixture"]["runs"]["routed"]["all"]
    majority = numbers["baselines"]["majority"]["all"]
    assert routed["macro_f1_interval"][0] > majority["macro_f1_interval"][1]
    for name in ("index.html", "training.png", "polarity.png", "model/moe_joint/config.json"):
        assert (project / "demo" / name).stat().st_size > 0
    stages = list((project / "demo").rglob("statistics.jsonl"))
    assert len(stages) >= 4  # two experts, the router's warm-up, joint training
    for stage in stages:
        losses = [row["loss"] for line in stage.read_text().splitlines() if "loss" in (row := json.loads(line))]
        assert losses[-1] < losses[0], stage


def test_what_the_pages_say_runs(project: Path, warm: Path) -> None:
    ran = 0
    done: list[list[str]] = []
    for document in DOCUMENTS:
        for words in commands(document) if document not in REPORTS else ():
            if words[0] == "make" or words in done or words[:3] == ["python", "-m", "benchmarks.train_step"]:
                continue
            done.append(words)
            if words[:2] == ["finsa", "label"] and "--agreement" not in words:
                label(words, project)
                continue
            if words[:2] == ["finsa", "serve"]:
                serve(words, project)
                continue
            output = run(words, project, stdin="放量突破前高,拿稳了\n", programs=warm)
            if "--input" in words:
                assert (project / words[words.index("--output") + 1]).stat().st_size > 0, words
            elif words[:2] == ["finsa", "predict"] or "inference" in " ".join(words):
                assert any(name in output for name in ("利好", "利空", "中性")), words
            if words[:2] == ["finsa", "audit"] and (ROOT.parent / "shared" / "data" / "audit").is_dir():
                told = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
                for number in ("1,097", "773", "69.2"):  # counts, and a score that nothing is trained for
                    assert number in output, number
                    assert number in told, number
                for row, number in (("all rows", "77.0"), ("leaked rows", "80.3"), ("clean rows, like", "61.7")):
                    line = next(line for line in output.splitlines() if line.startswith(f"TF-IDF, {row}"))
                    assert float(line.split()[-2]) == pytest.approx(float(number), abs=0.5), line  # solvers round apart
                    assert number in told, number
            ran += 1
    assert ran >= 14
    for document in (ROOT / "README.md", ROOT / "docs" / "guide.md"):
        for body in blocks(document, "python"):
            run([sys.executable, "-c", body], project)

"""``finsa sample`` and ``finsa label`` as typed."""

from __future__ import annotations

import csv
import http.client
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe import face
from finsa_moe.cli import main
from finsa_moe.labelling.desk import Desk
from finsa_moe.labelling.sheet import read_sheet
from finsa_moe.polarity import NAMES
from tests.fakes import StateEngine, fake_finsa

TEXTS = ["涨停了明天继续", "跌停板上割肉走人", "公告称下周开会", "公告业绩升", "横盘好久没意思", "看不懂这走势"]


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "load", lambda path=None, **settings: fake_finsa(StateEngine()))


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    return write(tmp_path / "posts.csv", [["no", "content"], *([str(at), text] for at, text in enumerate(TEXTS))])


def write(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_sample_leaves_out_what_is_labelled(posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, known = posts.with_name("s.csv"), write(posts.with_name("known.csv"), [["text"], [TEXTS[0] + "!"], [TEXTS[2]]])
    arguments = ["sample", str(posts), "--n", "9", "--out", str(out), "--id", "no", "--without", str(known), "--bom"]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert "4 of 6 distinct texts in 6 rows" in told
    assert "9 were asked for" in told
    assert {row["id"] for row in rows(out)} == {"1", "3", "4", "5"}
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    assert list(rows(out)[0]) == [
        "id", "text", "guess", "confidence", "bearish", "neutral", "bullish", "expert", "novelty", "why",
    ]  # fmt: skip


def test_labelled_texts_under_the_name_given_or_the_usual_one(posts: Path) -> None:
    out, sheet = posts.with_name("s.csv"), write(posts.with_name("p.csv"), [["headline"], *([text] for text in TEXTS)])
    known = [write(posts.with_name("k.csv"), [["headline", "content"], [TEXTS[0], "x"]]),
             write(posts.with_name("l.csv"), [["text"], [TEXTS[2]]])]  # fmt: skip
    without = [word for file in known for word in ("--without", str(file))]
    assert main(["sample", str(sheet), "--n", "9", "--out", str(out), "--text", "headline", *without]) == 0
    assert {row["text"] for row in rows(out)} == {TEXTS[1], *TEXTS[3:]}


def test_a_sample_of_nothing_takes_no_file_away(posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = write(posts.with_name("s.csv"), [["id", "text"], ["1", "kept"]])
    before = out.read_bytes()
    assert main(["sample", str(posts), "--out", str(out), "--without", str(posts)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"finsa: {posts}: nothing to choose: all of its 6 distinct texts are equal or near")
    assert told.count("\n") == 1
    assert out.read_bytes() == before


def test_a_sample_is_of_a_hundred_where_nobody_says(posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(posts), "--out", str(posts.with_name("s.csv"))]) == 0
    assert "100 were asked for" in capsys.readouterr().err


def test_a_random_sample_says_so(posts: Path) -> None:
    out = posts.with_name("s.jsonl")
    assert main(["sample", str(posts), "--n", "2", "--out", str(out), "--at-random"]) == 0
    assert [json.loads(line)["why"] for line in out.read_text(encoding="utf-8").splitlines()] == ["at random"] * 2


def test_a_mixture_on_torch_draws_at_random_alone(posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Told before any text is read: else a pool of thousands is answered in vain."""
    folder, out = posts.with_name("moe"), posts.with_name("s.csv")
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "finsa_moe"}', encoding="utf-8")
    asked = ["--model", str(folder), "--n", "2", "--out", str(out)]
    assert main(["sample", "none.csv", "--without", "none.csv", *asked]) == 2
    told = capsys.readouterr().err
    assert f"--model {folder}: is no exported model" in told
    assert f"finsa export {folder} --out DIR" in told
    assert told.count("\n") == 1
    assert not out.exists()
    assert main(["sample", str(posts), *asked, "--at-random"]) == 0
    assert len(rows(out)) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sample", "none.csv", "--n", "3", "--out", "s.csv"], "none.csv: no such file"),
        (["sample", "{posts}", "--n", "3", "--out", "s.xls"], "unknown ending '.xls'"),
        (["sample", "{posts}", "--n", "3", "--out", "nowhere/s.csv"], "there is no folder nowhere"),
        (["sample", "{posts}", "--n", "3", "--out", "{posts}"], "is a file that is read here"),
        (["sample", "{posts}", "--n", "3", "--out", "{dir}/s.csv", "--breadth", "0.5"], "must be 1 or more"),
        (["sample", "{posts}", "--n", "3", "--out", "{dir}/s.csv", "--text", "wort"], "no column 'wort'"),
        (["sample", "{posts}", "--n", "3", "--out", "{dir}/s.csv", "--domain", "newz"], "domain 'newz'"),
        (["label"], "name one file of rows to label, or --agreement"),
        (["label", "{posts}", "--agreement", "a.csv", "b.csv"], "name one file"),
        (["label", "{posts}", "--json"], "--json: only for --agreement A.csv B.csv"),
        (
            ["label", "--agreement", "a.csv", "b.csv", "--no-open", "--out", "x.csv"],
            "--out, --open/--no-open: only for the page",
        ),
        (["label", "none.csv"], "none.csv: no such file"),
        (["label", "{posts}", "--annotator", "a/b"], "--annotator 'a/b'"),
        (["label", "{posts}", "--out", "x.xls"], "unknown ending"),
        (["label", "--agreement", "{posts}", "{posts}"], "no label column"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, posts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.replace("{posts}", str(posts)).replace("{dir}", str(posts.parent)) for word in arguments]
    assert main(filled) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
    assert [path.name for path in posts.parent.iterdir()] == ["posts.csv"]


def test_labels_that_excel_opens(posts: Path) -> None:
    """With a mark, and the file goes on as it began whatever is asked for then."""
    for bom in (True, False):
        with Desk(posts, read_sheet(posts, "content", "no"), bom=bom) as desk:
            desk.act("label", str(int(not bom)), "利好")
        assert desk.out.read_bytes().startswith(b"\xef\xbb\xbf") is bom
    assert [row["id"] for row in rows(desk.out)] == ["0", "1"]


def test_two_peoples_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [["利好", "利好"], ["利空", "利空"], ["中性", "利好"], ["利好", "利好"]]
    files = [
        write(tmp_path / f"{name}.csv", [["id", "text", "label"], *([str(n), f"文[b]{n}", pair[at]] for n, pair in enumerate(labels))])
        for at, name in enumerate("ab")
    ]  # fmt: skip
    assert main(["label", "--agreement", *map(str, files)]) == 0
    shown = capsys.readouterr().out
    assert "4 rows labelled by both, 75.0 % alike, kappa 0.556" in shown  # (0.75 - 0.4375) / (1 - 0.4375)
    assert next(line for line in shown.splitlines() if "文[b]2" in line).split() == ["2", "中性", "利好", "文[b]2"]
    assert main(["label", "--agreement", *map(str, files), "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["kappa"] == pytest.approx(5 / 9)
    assert entry["counts"] == [[1, 0, 0], [0, 0, 1], [0, 0, 2]]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_served_until_a_signal_comes(posts: Path, kind: signal.Signals) -> None:
    command = [sys.executable, "-m", "finsa_moe", "label", str(posts), "--id", "no", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        host, _, path = url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(host, timeout=120)
        headers = {"Origin": f"http://{host}", "Content-Type": "application/json"}
        body = json.dumps({"do": "label", "row": "0", "label": "利好"})
        connection.request("POST", f"/{path}act", body, headers)
        assert json.loads(connection.getresponse().read())["row"] == "1"
        connection.close()
        server.send_signal(kind)
        _, told = server.communicate(timeout=120)
        assert server.returncode == 0, told
    assert "posts.labels.csv: 1\n" in told
    out = posts.with_name("posts.labels.csv")
    assert [(row["id"], row["text"], row["label"]) for row in rows(out)] == [("0", TEXTS[0], "利好")]


def test_labelled_rows_go_straight_into_prepare(tmp_path: Path) -> None:
    """Sixty texts labelled at the desk, one skipped and one undone: the split rows are those with a label, to the word."""
    drawn = random.Random(5)
    texts = [
        "".join(drawn.sample("锂电券商地产半导体白酒航运光伏银行煤炭钢铁医药游戏传媒军工农业", 24)) for _ in range(62)
    ]
    sheet = write(tmp_path / "posts.csv", [["no", "content"], *([f"p{at}", text] for at, text in enumerate(texts))])
    with Desk(sheet, read_sheet(sheet, "content", "no")) as desk:
        for at in range(61):
            desk.act("label", f"p{at}", label=NAMES[at % 3])
        desk.act("undo")
        desk.act("skip", "p60")
        assert (desk.labelled, desk.skipped) == (60, 1)
    words = ["prepare", str(desk.out), "--domain", "forum", "--out", str(tmp_path / "set"), "--ratios", "80/10/10"]
    assert main(words) == 0
    found = [row for split in ("train", "valid", "test") for row in rows(tmp_path / "set" / f"{split}.csv")]
    assert {(row["id"], row["text"], row["label"]) for row in found} == {
        (f"p{at}", texts[at], NAMES[at % 3]) for at in range(60)
    }
    assert len(found) == 60

"""``finsa audit`` as typed: names of splits, status, files written, mistakes."""

from __future__ import annotations

import csv
import html
import json
import shlex
from pathlib import Path

import pytest

from finsa_moe.cli import main

ROWS = [
    ("一季度净利润同比增长三成", "利好"),
    ("公司被立案调查", "利空"),
    ("下周召开股东大会", "中性"),
    ("今天又跌停了", "利空"),
]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    train = write(tmp_path / "a.csv", ROWS)
    test = write(tmp_path / "b.csv", [ROWS[0], ("全新的一条公告内容", "利好"), ("另一条没见过的消息", "利空")])
    return [f"train={train}", f"test={test}"]


def test_it_prints_and_writes(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [tmp_path / name for name in ("a.json", "a.html", "a.png")]
    assert main(["audit", *files, "--json", str(out[0]), "--html", str(out[1]), "--plot", str(out[2])]) == 0
    shown = capsys.readouterr().out
    assert "1 (33.3 %)" in shown
    assert "look-up, leaked rows" in shown
    content = json.loads(out[0].read_text(encoding="utf-8"))
    assert [entry["rows"] for entry in content["shared"]] == [1, 1, 1]
    assert content["scores"][0]["lookup_leaked"]["accuracy"] == 1.0
    assert "一季度净利润" in out[1].read_text(encoding="utf-8")
    assert out[2].read_bytes().startswith(b"\x89PNG")


def test_splits_that_no_font_writes_are_remarked_on(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("finsa_moe.data.fonts.chinese_font", lambda: None)
    named = [file.replace("test=", "测试=") for file in files]
    for splits, told in ((files, False), (named, True)):
        assert main(["audit", *splits, "--no-scores", "--plot", str(tmp_path / "a.png")]) == 0
        assert ("no font here writes Chinese" in capsys.readouterr().err) is told


@pytest.mark.parametrize(
    ("more", "status"), [([], 0), (["--fail-on-leak"], 1), (["--fail-on-leak", "--allowed", "0.4"], 0)]
)
def test_the_status_is_for_schedulers(
    files: list[str], more: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *files, "--no-scores", *more]) == status
    told = "test leaks from train: 1 word for word, 1 but for marks, 1 equal or near, of 3 rows (33.3 %)\n"
    assert capsys.readouterr().err == (told if status else "")


def test_a_prepared_folder_is_its_splits_and_does_not_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"第{n}条各不相同的内容{n * 7919}", ("利好", "利空", "中性")[n % 3]) for n in range(60)]
    raw = write(tmp_path / "raw.csv", [*rows, *((text + "!", label) for text, label in rows)])
    assert main(["prepare", str(raw), "--domain", "forum", "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["audit", str(tmp_path / "out"), "--no-scores", "--fail-on-leak"]) == 0
    assert "valid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["train.csv", "heldout.csv"], "heldout.csv: read with train.csv as one split"),
        (["train.csv", "valid.csv", "test_2024.csv"], "test_2024.csv: not read, as a folder's splits are called train"),
        (["train.csv"], "one split alone, so nothing is compared; name two or more, as in train=FILE test=FILE"),
        (["a_2024.csv", "b_2024.csv"], "one split alone, so nothing is compared"),
    ],
)
def test_what_is_not_compared_does_not_pass(
    names: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at, name in enumerate(names):
        write(tmp_path / "set" / name, [(f"第{at}份里的{at * 7919}号消息", "利好"), *(ROWS if at in (0, 2) else [])])
    words = ["audit", str(tmp_path / "set"), "--no-scores"]
    assert main([*words, "--fail-on-leak"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("finsa: --fail-on-leak: ")
    assert says in line
    assert main(words) == 0
    assert (says in capsys.readouterr().err) == ("one split alone" not in says)


@pytest.mark.parametrize("names", [["train.csv", "test.csv", "heldout.csv"], ["train.csv", "heldout.csv"]])
def test_the_command_that_is_advised_compares(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three files of texts apart, then one that stands in two of them."""
    apart = {name: [(f"第{at}份里的{at * 7919}号消息", "利好")] for at, name in enumerate(names)}
    for name, rows in apart.items():
        write(tmp_path / "set" / name, rows)
    words = ["audit", str(tmp_path / "set"), "--no-scores", "--fail-on-leak"]
    assert main(words) == 2
    advised = capsys.readouterr().err.strip().rpartition("as in ")[2]
    assert main([*words, advised]) == 0
    write(tmp_path / "set" / "heldout.csv", apart["train.csv"])
    assert main([*words, advised]) == 1


def test_the_remedy_for_a_second_form_of_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train.csv", "train.tsv", "test.csv"):
        write(tmp_path / "set" / name, [(f"{name}里的{len(name) * ord(name[-3])}号消息", "利好")])
    words = ["audit", str(tmp_path / "set"), "--no-scores", "--fail-on-leak"]
    assert main(words) == 2
    assert "train.tsv: not read, a second form of a split that is there, as train.csv is; move" in (
        capsys.readouterr().err
    )
    (tmp_path / "set" / "train.tsv").rename(tmp_path / "train.tsv")
    assert main(words) == 0


@pytest.mark.parametrize("names", [["Train.csv", "Test.csv"], ["train-00000-of-00001.csv", "test-00000-of-00001.csv"]])
def test_splits_in_capitals_and_shards_are_compared(names: list[str], tmp_path: Path) -> None:
    for name in names:
        write(tmp_path / "set" / name, ROWS)
    assert main(["audit", str(tmp_path / "set"), "--no-scores", "--fail-on-leak"]) == 1


def test_the_page_tells_how_to_make_it_again(files: list[str], tmp_path: Path) -> None:
    page = tmp_path / "a page.html"
    assert main(["audit", *files, "--labels", "finsa", "--no-scores", "--n", "3", "--html", str(page)]) == 0
    again = html.unescape(page.read_text(encoding="utf-8").split("<pre>")[1].split("</pre>")[0])
    first = page.read_bytes()
    page.unlink()
    assert main(shlex.split(again)[1:]) == 0
    assert page.read_bytes() == first


def test_files_in_the_order_of_a_shell(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", files[1], files[0]]) == 0
    captured = capsys.readouterr()
    assert "from train to test" in captured.out
    assert captured.err == "without TF-IDF: it takes 50 labelled training rows\n"


def test_wide_tables_are_whole_in_a_pipe(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    name = "a_rather_long_name_for_a_split_of_a_published_data_set"
    assert main(["audit", files[0], f"{name}={files[1].partition('=')[2]}", "--no-scores"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(name) and "train" in line)
    assert line.split() == [name, "train", *(["1", "(33.3", "%)"] * 3)]


def test_names_in_brackets_are_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train[bold].csv", "t[final].csv"):
        write(tmp_path / name, [*ROWS, (name, "利好")])
    assert main(["audit", *(str(tmp_path / name) for name in ("train[bold].csv", "t[final].csv"))]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in ("t[final] train[bold] 4 (80.0 %)", "from train[bold] to t[final]"):
        assert part in shown


def test_one_file_and_files_without_labels(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", files[0]]) == 0
    plain = tmp_path / "plain.txt"
    plain.write_text("涨了\n涨了!\n跌了\n", encoding="utf-8")
    assert main(["audit", str(plain), f"other={plain}", "--fail-on-leak"]) == 1
    captured = capsys.readouterr()
    assert (
        "3 of 3 rows bear no label that is known; name its column by --label, or spell it by --labels" in captured.err
    )
    assert "3 (100.0 %)" in captured.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{a}", "{a}"], "two splits are called 'a'; name them, as in train="),
        (["{a}", "none.csv"], "none.csv: no such file"),
        (["{a}", "--html", "nowhere/a.html"], "there is no folder nowhere"),
        (["{a}", "--threshold", "0"], "threshold 0: allowed is a similarity above 0"),
        (["{a}", "--text", "inhalt"], "no column 'inhalt'"),
        (["none.csv", "--plot", "a.svg"], "--plot a.svg: the picture is a PNG; call it a.png"),
        (["none.csv", "--html", "{dir}"], "is a folder; name a file in it"),
        (["{a}", "{dir}/bare.csv", "--fail-on-leak", "--no-scores"], "bare: no row that can be compared"),
        (["{a}", "--json", "{a}"], "--json {a}: is a file that is read here, and would be lost"),
        (["none.csv", "--html", "{dir}/x", "--json", "{dir}/x"], "need a file each"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.csv", ROWS)
    write(tmp_path / "bare.csv", [])
    assert main(["audit", *(word.replace("{a}", str(path)).replace("{dir}", str(tmp_path)) for word in arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert says.replace("{a}", str(path)) in error
    assert "\n" not in error


def test_a_split_that_was_not_asked_for_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--ratios 80/0/20`` leaves a header in valid.csv; rows that were refused are another thing."""
    rows = [(f"第{n}条各不相同的内容{n * 7919}", ("利好", "利空", "中性")[n % 3]) for n in range(60)]
    raw, out = write(tmp_path / "raw.csv", rows), tmp_path / "out"
    assert main(["prepare", str(raw), "--domain", "forum", "--ratios", "80/0/20", "--out", str(out)]) == 0
    capsys.readouterr()
    words = ["audit", str(out), "--no-scores", "--fail-on-leak"]
    assert main(words) == 0
    assert capsys.readouterr().err == "valid: a header and no row; passed over\n"
    write(out / "valid.csv", [(" ", "利好")])
    assert main(words) == 2
    assert "valid: no row that can be compared" in capsys.readouterr().err
    write(out / "valid.csv", [])
    write(out / "train.csv", [])
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("finsa: train: no row that can be compared")


def test_rows_made_of_another_split_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both files count from 1, as if apart; one row of the test names one of training as its original."""
    header = "id,text,label,source_id\n"
    train = [f"{n},第{n}条公告的内容{n * 7919},利好," for n in range(1, 9)] + ["a,改写后的第一条,利好,1"]
    test = [f"{n},另一天的{n}号帖子{n * 104729},利空," for n in range(5, 9)] + [
        "b,又一种说法,利空,5",
        "c,不相干,利空,zz",
    ]
    for name, rows in (("train", train), ("test", test)):
        (tmp_path / f"{name}.csv").write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    words = ["audit", str(tmp_path), "--no-scores", "--fail-on-leak"]
    assert main(words) == 0
    assert "1 rows name by source_id an original that is in none of the splits" in capsys.readouterr().out
    with (tmp_path / "test.csv").open("a", encoding="utf-8") as file:
        file.write("d,第一条换个说法,利空,1\ne,出自训练集,利空,a\n")
    page = tmp_path / "a.html"
    assert main([*words, "--html", str(page)]) == 1
    told = "test leaks from train: 0 word for word, 0 but for marks, 0 equal or near, 2 made of its rows, of 8 rows"
    assert told in capsys.readouterr().err
    assert "made of its rows" in page.read_text(encoding="utf-8")
    assert main([*words, "--allowed", "0.25"]) == 0


def test_a_row_is_named_by_the_id_that_it_came_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two training rows share an id, so both get another one."""
    rows = "1,央行宣布降准,利好\n1,某公司业绩预亏,利空\n2,两市缩量震荡,中性\n"
    (tmp_path / "train.csv").write_text("id,text,label\n" + rows, encoding="utf-8")
    (tmp_path / "test.csv").write_text(
        "id,text,label,source_id\na,存准率下调,利好,1\nb,不相干,利空,\n", encoding="utf-8"
    )
    assert main(["audit", str(tmp_path), "--no-scores", "--fail-on-leak"]) == 1
    told = capsys.readouterr()
    assert "1 made of its rows, of 2 rows" in told.err
    assert "in none of the splits" not in told.out

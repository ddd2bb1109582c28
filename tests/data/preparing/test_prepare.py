"""A prepared folder: whole, counted, the same for a seed, and never in the place of what a user put there."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.duplicates.held_out import jaccard, ngrams
from finsa_moe.data.preparing import prepare as room
from finsa_moe.data.preparing.prepare import FILES, PRESETS, made_here, prepare
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.polarity import NAMES, LabelMap

LABELS = ["利空", "中性", "利好"]


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "raw" / "a.csv", [(n, f"第{n}条", LABELS[n % 3]) for n in range(60)])


def write(path, rows, header=("id", "text", "label")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return path


def load(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_a_prepared_folder_holds(tmp_path):
    rows = [(n, f"第{n}条,\n“{n}”", LABELS[n % 3], "2026-01-02") for n in range(30)]
    rows += [(99, "", "利好", ""), (98, "x", "涨停", ""), (97, "平", "中性", ""), (96, "平!", "利空", "")]
    raw = write(tmp_path / "raw.csv", rows, ("id", "text", "label", "date"))
    out = tmp_path / "out"
    report = prepare([raw], domain="forum", out=out)
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert made_here(out)
    parts = {name: load(out / f"{name}.csv") for name in ("train", "valid", "test")}
    assert [len(part) for part in parts.values()] == [18, 6, 6]
    assert list(parts["train"][0]) == ["id", "text", "label", "domain", "date"]
    by_id = {row["id"]: row for part in parts.values() for row in part}
    for n, text, label, day in rows[:30]:
        assert by_id[str(n)] == {"id": str(n), "text": text, "label": label, "domain": "forum", "date": day}
    rejects = load(out / "rejects.csv")
    assert [row["id"] for row in rejects] == ["99", "98", "97", "96"]
    assert {row["file"] for row in rejects} == {str(raw)}
    assert [row["line"] for row in rejects] == ["62", "63", "64", "65"]  # the first thirty rows take two lines each
    saved = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert saved["rows"] == report.rows == {"in": 34, "kept": 30, "refused": 4}
    assert sum(saved["refused"].values()) == 4
    assert saved["splits"]["valid"] == {"rows": 6, "利空": 2, "中性": 2, "利好": 2}
    assert saved["conflicts"] == {"rule": "majority", "clusters": 1, "rows": 2}
    assert (saved["by"], saved["test_after"], saved["near"]) == ("near", None, {"clusters": 0, "rows": 0, "largest": 2})
    assert saved["sources"] == [
        {
            "file": str(raw),
            "sha256": hashlib.sha256(raw.read_bytes()).hexdigest(),
            "rows": 34,
            "columns": {"text": "text", "label": "label", "id": "id", "date": "date"},
        }
    ]
    assert (saved["seed"], saved["ratios"], saved["warnings"]) == (13, [0.6, 0.2, 0.2], [])


@pytest.mark.parametrize(("domain", "sizes"), [("news", (98, 1, 1)), ("forum", (60, 20, 20)), ("weibo", (80, 10, 10))])
def test_presets(tmp_path, domain, sizes):
    raw = write(tmp_path / "raw.csv", [(n, f"第{n}条", "利好") for n in range(100)])
    report = prepare([raw], domain=domain, out=tmp_path / "out")
    assert tuple(part["rows"] for part in report.splits.values()) == sizes
    assert PRESETS.get(domain, (80, 10, 10)) == sizes
    assert len(report.warnings) == 2 + (domain == "news")  # no row is 利空, none 中性; a test of one row


@given(
    st.lists(
        st.tuples(st.sampled_from(["涨", "涨!", "跌，\n了", "a\x00", "", " ", '"', "😀"]), st.sampled_from([*LABELS, "1", ""])),
        min_size=1, max_size=25,
    ),
    st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_rows_in_are_rows_on_disk(tmp_path_factory, cells, files):
    folder = tmp_path_factory.mktemp("prepare")
    rows = [(n, text, label) for n, (text, label) in enumerate(cells)]
    for number in range(files):
        write(folder / "raw" / f"{number}.csv", rows[number::files])
    out = folder / "out"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(room, "plot_polarity", lambda table, path: path.touch())
            report = prepare([folder / "raw"], domain="news", out=out, ratios=(60, 20, 20))
    except DataError as error:
        if f"none of {len(rows)} rows" not in str(error) or out.exists():
            raise
        return
    parts = {name: load(out / f"{name}.csv") for name in ("train", "valid", "test")}
    kept = {row["id"] for part in parts.values() for row in part}
    refused = {row["id"] for row in load(out / "rejects.csv")}
    assert kept | refused == {str(n) for n, _, _ in rows}
    assert not kept & refused
    assert report.rows["in"] == len(rows) == len(kept) + len(refused)
    sides = {name: {duplicate_key(row["text"]) for row in part} for name, part in parts.items()}
    assert not sides["train"] & sides["test"]
    assert not sides["train"] & sides["valid"]
    assert not sides["valid"] & sides["test"]


def test_the_order_of_files_and_rows_leaves_no_trace(tmp_path):
    rows = [(n, f"第{n % 50}条", LABELS[n % 50 % 3]) for n in range(80)]
    one = write(tmp_path / "one.csv", rows[:40])
    two = write(tmp_path / "two.csv", rows[40:])
    back = write(tmp_path / "back" / "one.csv", rows[39::-1])
    outs = [tmp_path / name for name in ("x", "y", "z")]
    prepare([one, two], domain="forum", out=outs[0], seed=5)
    prepare([two, one], domain="forum", out=outs[1], seed=5)
    prepare([two, back], domain="forum", out=outs[2], seed=5)
    for name in ("train.csv", "valid.csv", "test.csv"):
        contents = {(out / name).read_bytes() for out in outs}
        assert len(contents) == 1


def test_rows_near_to_held_out_texts_are_refused_with_the_reason(tmp_path):
    near = "公司发布公告称净利润同比增长三成"
    rows = [(n, f"第{n}条消息没有什么关系", LABELS[n % 3]) for n in range(30)] + [
        (77, near + "。", "利好"),
        (78, near[:-1], "利好"),
    ]
    report = prepare([write(tmp_path / "raw.csv", rows)], domain="forum", out=tmp_path / "out", held_out=[near])
    rejects = load(tmp_path / "out" / "rejects.csv")
    assert [(row["id"], row["line"]) for row in rejects] == [("77", "32"), ("78", "33")]
    assert rejects[0]["reason"] == "near to a held-out text (Jaccard 1.00)"
    assert rejects[1]["reason"] == "near to a held-out text (Jaccard 0.92)"  # 12 of 13 n-grams
    kept = [row["text"] for name in ("train", "valid", "test") for row in load(tmp_path / "out" / f"{name}.csv")]
    assert len(kept) == 30
    assert report.rows["in"] == 32


def test_a_prepared_folder_may_be_made_again(tmp_path, source):
    out = tmp_path / "out"
    prepare([source], domain="forum", out=out)
    (out / "notes.md").write_text("mine", encoding="utf-8")
    prepare([source], domain="news", out=out)
    assert load(out / "train.csv")[0]["domain"] == "news"
    assert (out / "notes.md").read_text(encoding="utf-8") == "mine"


def test_a_foreign_folder_only_by_force_and_its_other_files_stay(tmp_path, source):
    out = tmp_path / "out"
    out.mkdir()
    (out / "train.csv").write_text("precious", encoding="utf-8")
    (out / "thesis.doc").write_text("more so", encoding="utf-8")
    with pytest.raises(DataError, match=r"not empty and not made by finsa prepare; choose another, or --force"):
        prepare([source], domain="forum", out=out)
    assert (out / "train.csv").read_text(encoding="utf-8") == "precious"
    prepare([source], domain="forum", out=out, force=True)
    assert (out / "thesis.doc").read_text(encoding="utf-8") == "more so"


def test_sources_are_never_written_over(tmp_path, source):
    for out in (source.parent, source.parent / "out", tmp_path):
        with pytest.raises(DataError, match="it holds source"):
            prepare([source.parent], domain="forum", out=out, force=True)
    with pytest.raises(DataError, match="is a file"):
        prepare([source], domain="forum", out=write(tmp_path / "file.csv", []))


def test_a_prepared_folder_as_source_does_not_bring_its_rejects_back(tmp_path):
    raw = write(tmp_path / "raw.csv", [(n, f"第{n}条", LABELS[n % 3]) for n in range(20)] + [(99, "涨", "?")])
    prepare([raw], domain="forum", out=tmp_path / "one")
    report = prepare([tmp_path / "one"], domain="forum", out=tmp_path / "two")
    assert report.rows == {"in": 20, "kept": 20, "refused": 0}
    assert len(report.skipped) == 3


def test_killed_while_writing_the_old_output_stands(tmp_path, source):
    out = tmp_path / "out"
    prepare([source], domain="forum", out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code = (  # not a fork: the threads of polars do not survive one
        "import os\nfrom pathlib import Path\nfrom finsa_moe.data.preparing import prepare\n"
        "prepare.plot_polarity = lambda table, path: os._exit(9)\n"
        f"prepare.prepare([Path({str(source)!r})], domain='forum', out=Path({str(out)!r}), seed=99)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(list(tmp_path.glob(".out.tmp*"))) == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    prepare([source], domain="forum", out=out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]
    assert (out / "train.csv").read_bytes() == before["train.csv"]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"domain": "a/b"}, ConfigError, "letters, digits"),
        ({"domain": ""}, ConfigError, "letters, digits"),
        ({"domain": "闻" * 65}, ConfigError, "1 to 64 letters, digits"),
        ({"ratios": (0, 50, 50)}, ConfigError, "train above 0"),
        ({"by": "colour"}, DataError, "no column 'colour'; columns found: id, text, label; name it by --by COL"),
        ({"conflicts": "guess"}, ConfigError, "conflicts 'guess': allowed are majority, drop, keep"),
        ({"threshold": 0}, ConfigError, "threshold 0: allowed is a similarity above 0"),
        ({"n": 0}, ConfigError, "n 0: allowed are n-grams of 1 to 16"),
        ({"test_after": date(2026, 1, 1)}, DataError, "no row has a date, which --test-after needs; name the column by --date"),
        ({"columns": Columns(label="id")}, DataError, r"none of 60 rows can be used; 1 of them: unknown label '\d+'; allowed .* --labels"),
        ({"columns": Columns(text="nope")}, DataError, "no column 'nope'"),
    ],
)  # fmt: skip
def test_one_line_errors_that_leave_nothing_behind(tmp_path, source, options, error, says):
    with pytest.raises(error, match=says) as caught:
        prepare([source], **{"domain": "forum", "out": tmp_path / "out", **options})
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_thousands_of_reasons_are_summed_up(tmp_path):
    raw = write(tmp_path / "raw.csv", [(n, f"第{n}条", "利好" if n < 9 else f"码{n}") for n in range(200)])
    report = prepare([raw], domain="forum", out=tmp_path / "out", labels=LabelMap.parse("码9=中性,码10=利空"))
    assert sum(report.refused.values()) == 189
    assert report.refused["other reasons, see rejects.csv"] == 139
    assert any("too few rows labelled 中性" in warning for warning in report.warnings)


FORMS = [
    "{}股份今日公告,大股东拟在未来六个月内减持不超过百分之{}的股份,减持价格按市场价格确定",
    "主力{}天天砸盘,散户{}全套在山顶上,这票真的没救了,大家散了吧",
    "{}银行上半年净利润同比增长百分之{},不良率较年初下降,拨备覆盖率保持稳定",
]


def sides(out):
    """Where each row stands, by id."""
    return {row["id"]: name for name in ("train", "valid", "test") for row in load(out / f"{name}.csv")}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from(["", "!", " "]), st.sampled_from(LABELS)), min_size=4, max_size=40),
       st.integers(0, 99), st.sampled_from(["majority", "drop", "keep"]), st.randoms())  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_no_cluster_stands_in_two_splits(tmp_path_factory, cells, seed, rule, chance):
    """Near by a comparison of every pair; each row kept once or refused once; the same whatever the order of files."""
    folder = tmp_path_factory.mktemp("prepare")
    texts = [FORMS[kind % 3].format(kind, number) + mark for kind, number, mark, _ in cells]
    rows = [(f"r{at}", text, cell[3]) for at, (text, cell) in enumerate(zip(texts, cells, strict=True))]
    parts = [rows[::2], rows[1::2]]
    for name, files in (("a", parts), ("b", parts[::-1])):
        for at, part in enumerate(files):  # a second time under other names and in another order
            write(folder / name / f"{at}.csv", part if name == "a" else chance.sample(part, len(part)))
    options = {"domain": "news", "ratios": (60, 20, 20), "seed": seed, "conflicts": rule, "threshold": 0.6}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "plot_polarity", lambda table, path: path.touch())
        try:
            report = prepare([folder / "a"], out=folder / "one", **options)
        except DataError:  # every text in conflict
            return
        prepare([folder / "b"], out=folder / "two", **options)
    where = sides(folder / "one")
    assert report.rows["in"] == len(rows) == len(where) + len(load(folder / "one" / "rejects.csv"))
    for name in ("train", "valid", "test"):
        assert (folder / "one" / f"{name}.csv").read_bytes() == (folder / "two" / f"{name}.csv").read_bytes()
    grams = {key: ngrams(text) for key, text, _ in rows}
    for a in where:
        for b in where:
            if jaccard(grams[a], grams[b]) >= 0.6:
                assert where[a] == where[b], (a, b)
    labels = defaultdict(set)
    for key, text, label in rows:
        if key in where or rule == "drop":
            labels[duplicate_key(text)].add(label)
    if rule != "keep":
        kept = {duplicate_key(text) for key, text, _ in rows if key in where}
        assert all(len(labels[key]) == 1 for key in kept)
    else:
        assert len(where) == len(rows)


def test_exact_lets_near_texts_part(tmp_path):
    rows = [(n, FORMS[0].format("甲", n), LABELS[n % 3]) for n in range(90)]
    raw = write(tmp_path / "raw.csv", rows)
    near = prepare([raw], domain="forum", out=tmp_path / "near")
    exact = prepare([raw], domain="forum", out=tmp_path / "exact", by="exact")
    assert near.near == {"clusters": 1, "rows": 90, "largest": 90}
    assert set(sides(tmp_path / "near").values()) == {"train"}
    assert exact.near == {"clusters": 0, "rows": 0, "largest": 1}
    assert [part["rows"] for part in exact.splits.values()] == [54, 18, 18]


def test_a_test_of_a_few_rows_is_told_of(tmp_path):
    rows = [(f"{at}号公司的第{at * 7}条消息", at % 3) for at in range(300)]
    source = tmp_path / "a.csv"
    source.write_text("text,label\n" + "".join(f"{text},{NAMES[label]}\n" for text, label in rows), encoding="utf-8")
    told = {}
    for shares in ((98, 1, 1), (60, 20, 20)):
        told[shares] = prepare([source], domain="news", out=tmp_path / "out", ratios=shares, by="exact", force=True)
    assert any("test has 3 rows (shares 98/1/1)" in line for line in told[98, 1, 1].warnings)
    assert not any("test has" in line for line in told[60, 20, 20].warnings)


def test_a_large_cluster_is_told_of(tmp_path):
    rows = [
        (n, FORMS[0].format("甲", n) if n < 60 else f"第{n}条各不相同的内容{n * 7919}", LABELS[n % 3])
        for n in range(600)
    ]
    report = prepare([write(tmp_path / "raw.csv", rows)], domain="forum", out=tmp_path / "out")
    assert report.near["largest"] == 60
    assert any("60 rows hang together" in warning for warning in report.warnings)


def test_a_column_keeps_its_rows_together_and_is_written(tmp_path):
    rows = [
        (n, f"第{n}条各不相同的内容{n * 7919}", LABELS[n % 3], f"事件{n // 5}" if n < 100 else "") for n in range(120)
    ]
    raw = write(tmp_path / "raw.csv", rows, ("id", "text", "label", "event"))
    prepare([raw], domain="forum", out=tmp_path / "out", by="event")
    where = sides(tmp_path / "out")
    assert all(len({where[str(n)] for n in range(start, start + 5)}) == 1 for start in range(0, 100, 5))
    assert len({where[str(n)] for n in range(100)}) == 3
    assert len({where[str(n)] for n in range(100, 120)}) > 1  # without an event each is on its own
    assert {row["id"]: row["event"] for row in load(tmp_path / "out" / "train.csv")}.items() <= {
        str(r[0]): r[3] for r in rows
    }.items()


@pytest.mark.parametrize("by", ["near", "exact"])
def test_a_row_made_from_another_stays_with_it(tmp_path, by):
    rows = [(f"a{n}", f"第{n}条各不相同的内容{n * 7919}", LABELS[n % 3], "") for n in range(40)]
    rows += [
        (f"a{n}-{k}", f"换了说法{n * 31 + k}的{n * 104729 + k}", LABELS[n % 3], f"a{n}")
        for n in range(40)
        for k in range(2)
    ]
    raw = write(tmp_path / "raw.csv", rows, ("id", "text", "label", "source_id"))
    plain = write(tmp_path / "plain.csv", [(f"a{n}", f"另一份文件{n * 7727}", LABELS[n % 3]) for n in range(40)])
    prepare([raw, plain], domain="forum", out=tmp_path / "out", by=by)
    where = {row["text"]: name for name in ("train", "valid", "test") for row in load(tmp_path / "out" / f"{name}.csv")}
    for n in range(40):
        assert len({where[row[1]] for row in rows if row[0] == f"a{n}" or row[3] == f"a{n}"}) == 1
    assert any(
        where[f"另一份文件{n * 7727}"] != where[rows[n][1]] for n in range(40)
    )  # equal ids of two files mean nothing
    assert {row["source_id"] for row in load(tmp_path / "out" / "train.csv")} >= {""}


def test_several_processes_make_what_one_makes(tmp_path, monkeypatch):
    from finsa_moe.data.preparing import staging

    chance = random.Random(3)
    for number in range(6):
        rows = [
            (n, FORMS[chance.randrange(3)].format(chance.randrange(50), n * number), chance.choice([*LABELS, "?"]))
            for n in range(300)
        ]
        write(tmp_path / "raw" / f"{number}.csv", rows)
    monkeypatch.setattr(staging, "PART_ROWS", 100)
    one = prepare([tmp_path / "raw"], domain="forum", out=tmp_path / "one")
    monkeypatch.setattr(staging, "_ALONE", 0)
    two = prepare([tmp_path / "raw"], domain="forum", out=tmp_path / "two", processes=2)
    assert one == two
    for name in ("train.csv", "valid.csv", "test.csv", "rejects.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_killed_at_any_moment_the_old_output_stands_or_the_new_one(tmp_path):
    chance = random.Random(4)
    rows = [
        (n, "".join(chance.choice("涨跌买卖甲乙丙丁股份公告业绩") for _ in range(40)), LABELS[n % 3])
        for n in range(30_000)
    ]
    raw, out = write(tmp_path / "raw.csv", rows), tmp_path / "out"
    command = [sys.executable, "-m", "finsa_moe", "prepare", str(raw), "--domain", "forum", "--out", str(out), "--seed"]
    start = time.perf_counter()
    subprocess.run([*command, "1"], check=True, capture_output=True)
    took = time.perf_counter() - start
    states = {"1": {path.name: path.read_bytes() for path in out.iterdir()}}
    for at in range(8):
        process = subprocess.Popen(
            [*command, str(at + 2)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(took * (0.3 + 0.1 * at))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        found = {path.name: path.read_bytes() for path in out.iterdir()} if out.exists() else None
        report = json.loads(found["report.json"]) if found else {"rows": {"in": 30_000}}
        assert report["rows"]["in"] == 30_000
        if report.get("seed") == 1:
            assert found == states["1"]
        elif found:
            assert sorted(found) == sorted(FILES)
    subprocess.run([*command, "1"], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == states["1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw.csv"]

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.rows import NESTED
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.explain import explain as room
from finsa_moe.explain.explain import ExplainSettings
from finsa_moe.explain.explanation import Explanation
from finsa_moe.explain.file import Tally, explain_file
from finsa_moe.polarity import LabelMap, Polarity
from tests.data.reading.workbook import write_workbook
from tests.fakes import fake_finsa

pytest.importorskip("shap", reason="the extra explain is not installed")
pytest.importorskip("rjieba", reason="the extra explain is not installed")

SETTINGS = ExplainSettings(evaluations=20)
ROWS = [
    ("a", "公告 涨 了", "2"), ("b", "跌 了", "0"), ("c", "", "0"), ("d", "平 盘", "1"), ("e", "公告 跌 停", "0"),
    ("f", "涨 升 涨", "2"), ("g", "空 跌 跌 空 了 呢", "0"),
]  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "posts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label"), *ROWS])
    return path


@pytest.fixture(autouse=True)
def _portions_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STREAM", 40)


class Run:
    """One call, with what it handed on."""

    def __init__(self, source: Path, **how: object) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.tally = explain_file(
            how.pop("model", None) or fake_finsa(), source, self.use, settings=how.pop("settings", SETTINGS), **how  # type: ignore[arg-type]
        )  # fmt: skip

    def use(self, explanation: Explanation, domain: str | None) -> None:
        self.seen.append((explanation.text, domain))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_is_explained_or_refused(source: Path, tmp_path: Path) -> None:
    run = Run(source, output=tmp_path / "why.jsonl")
    good = [row for row in ROWS if row[1]]
    assert [text for text, _ in run.seen] == [text for _, text, _ in good]
    kept = lines(tmp_path / "why.jsonl")
    assert [(e["id"], e["text"], e["label"]) for e in kept] == list(good)
    alone = fake_finsa().explain(good[0][1], evaluations=20).rounded().as_dict()
    assert {key: kept[0][key] for key in alone} == json.loads(json.dumps(alone))
    tally = run.tally
    assert (tally.rows, tally.explained, tally.refused, tally.left_out) == (7, 6, 1, 0)
    assert tally.rejects == tmp_path / "why.jsonl.rejects.csv"
    with tally.rejects.open(encoding="utf-8", newline="") as file:
        assert [(row["line"], row["reason"], row["id"]) for row in csv.DictReader(file)] == [("4", "empty text", "c")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["posts.csv", "why.jsonl", "why.jsonl.rejects.csv"]


def test_the_rows_of_one_sheet_are_explained(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine", reason="the extra excel is not installed")
    head = ("id", "text", "label")
    write_workbook(tmp_path / "posts.xlsx", {"one": [head, ROWS[0]], "two": [head, ROWS[1]]})
    for sheet, row in (("one", ROWS[0]), ("two", ROWS[1])):
        run = Run(tmp_path / f"posts.xlsx#{sheet}", output=tmp_path / "why.jsonl")
        assert [text for text, _ in run.seen] == [row[1]]
        assert [line["id"] for line in lines(tmp_path / "why.jsonl")] == [row[0]]


def test_a_list_is_no_text(tmp_path: Path) -> None:
    source = tmp_path / "posts.jsonl"
    source.write_text('{"text": ["涨停", "加仓"]}\n{"text": "公告 涨"}\n{"text": {"a": 1}}\n', encoding="utf-8")
    run = Run(source, output=tmp_path / "why.jsonl")
    assert run.seen == [("公告 涨", None)]
    with (run.tally.rejects or source).open(encoding="utf-8", newline="") as file:
        assert [(row["line"], row["reason"]) for row in csv.DictReader(file)] == [("1", NESTED), ("3", NESTED)]


def test_a_label_that_comes_late_in_the_file_is_found_and_a_number_that_is_none_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finsa_moe.runtime.rows.BATCH_ROWS", 2)
    rows = [{"text": "涨"}, {"text": "跌"}, {"text": "平"}, {"text": "升", "label": "利好", "id": float("nan")}]
    path = tmp_path / "late.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    run = Run(path, only=Polarity.BULLISH, output=tmp_path / "why.jsonl")
    assert run.seen == [("升", None)]
    assert [row["id"] for row in lines(tmp_path / "why.jsonl")] == ["late-4"]


def test_rejects_are_not_lost_by_being_explained(source: Path, tmp_path: Path) -> None:
    Run(source, output=tmp_path / "why.jsonl")
    mended = tmp_path / "why.jsonl.rejects.csv"
    mended.write_text("id,text\nc,涨\n", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"rejects\.csv: is where rows refused for --output .* go, and would be lost"):
        Run(mended, output=tmp_path / "why.jsonl")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_only_rows_of_one_true_label(source: Path) -> None:
    run = Run(source, only=Polarity.BULLISH, labels=LabelMap.parse("finsa"))
    assert [text for text, _ in run.seen] == ["公告 涨 了", "涨 升 涨"]
    assert (run.tally.left_out, run.tally.refused, run.tally.rows) == (5, 0, 7)
    unknown = Run(source, only=Polarity.BULLISH, labels=LabelMap.parse("2=利好,1=中性"))
    assert (unknown.tally.left_out, unknown.tally.refused) == (1, 4)
    assert unknown.tally.first == "line 3: unknown label '0' (see --labels)"
    with pytest.raises(DataError, match=r"none of its 7 rows can be explained .*line 2: unknown label '2'"):
        Run(source, only=Polarity.BULLISH)


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_stopped_run_goes_on_to_the_same_bytes(source: Path, tmp_path: Path, stop_after: int) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    Run(source, output=whole)
    calls = 0

    def stop(_rows: int) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(source, output=out, progress=stop)
    assert not out.exists()
    ledger = tmp_path / ".out.jsonl.partial"
    with ledger.open("a", encoding="utf-8") as file:
        file.write('{"id": "cut sho')  # killed while it wrote
    run = Run(source, output=out)
    assert run.tally.resumed == 2 * stop_after
    assert out.read_bytes() == whole.read_bytes()
    assert [text for text, _ in run.seen] == [text for _, text, _ in ROWS if text]
    assert not ledger.exists()


def test_a_portion_that_was_cut_is_asked_again_as_a_whole(source: Path, tmp_path: Path) -> None:
    """Which engine answers hangs on how many texts are asked together: half a portion would not be the same call."""

    def stop(rows: int) -> None:
        if rows >= 4:
            raise KeyboardInterrupt

    out, ledger = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.partial"
    with pytest.raises(KeyboardInterrupt):
        Run(source, output=out, progress=stop)
    kept = ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    ledger.write_text("".join(kept[:-1]), encoding="utf-8")
    assert len(kept) == 1 + 4
    assert Run(source, output=out).tally.resumed == 2


def test_another_question_starts_anew(source: Path, tmp_path: Path) -> None:
    def stop(_rows: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out.jsonl"
    for change in (
        {"settings": replace(SETTINGS, seed=2)}, {"domain": "news"}, {"named": {"folder": "other"}},
        {"columns": Columns(text="text", label="id")},
    ):  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            Run(source, output=out, progress=stop)
        assert Run(source, output=out, **change).tally.resumed == 0
        out.unlink()
    with pytest.raises(KeyboardInterrupt):
        Run(source, output=out, progress=stop)
    source.write_text(source.read_text() + "h,涨,2\n")
    assert Run(source, output=out).tally.resumed == 0


@pytest.mark.parametrize(
    "slip", [{"columns": Columns(text="nosuch")}, {"domain": "nosuch"}, {"settings": ExplainSettings(evaluations=3)}]
)
def test_a_slip_leaves_nothing_and_takes_nothing_away(source: Path, tmp_path: Path, slip: dict[str, object]) -> None:
    def stop(_rows: int) -> None:
        raise KeyboardInterrupt

    out, ledger = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.partial"
    with pytest.raises((DataError, ConfigError)):
        Run(source, output=out, **slip)
    assert not ledger.exists()
    with pytest.raises(KeyboardInterrupt):
        Run(source, output=out, progress=stop)
    with pytest.raises((DataError, ConfigError)):
        Run(source, output=out, **slip)
    assert Run(source, output=out).tally.resumed == 2


def test_two_runs_do_not_write_one_file(source: Path, tmp_path: Path) -> None:
    """The second is refused, the first ends as if it had been alone, and a third may begin."""
    pytest.importorskip("fcntl")
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    Run(source, output=whole)

    def meanwhile(_rows: int) -> None:
        with pytest.raises(ConfigError, match=r"out\.jsonl: another run is writing it; wait for its end"):
            Run(source, output=out, domain="news")

    Run(source, output=out, progress=meanwhile)
    assert out.read_bytes() == whole.read_bytes()
    assert Run(source, output=out).tally.resumed == 0


def test_a_file_taken_away_while_it_was_opened_is_not_written_to(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the run that held it ends between the opening and the lock."""
    from finsa_moe.files import held

    def late(file: BinaryIO) -> bool:
        (tmp_path / ".out.jsonl.partial").unlink()
        return True

    monkeypatch.setattr(held, "hold", late)
    with pytest.raises(ConfigError, match="another run is writing it"):
        Run(source, output=tmp_path / "out.jsonl")


def test_rows_of_a_file_keep_their_domain(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"content": "涨", "domain": "blogs"}\n{"content": "跌\\ud800", "domain": null}\n', encoding="utf-8"
    )
    run = Run(path, output=tmp_path / "o.jsonl")
    assert run.seen[0] == ("涨", "blogs")
    assert run.seen[1][1] is None
    for entry in lines(tmp_path / "o.jsonl"):
        for word in entry["words"]:
            assert entry["text"][word["at"] :].startswith(word["word"])


def test_what_cannot_be_done(source: Path, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.csv"
    labelled.write_text("text,label\n" + "涨,利好\n" * 5, encoding="utf-8")
    for how, error, says in (
        ({"output": tmp_path / "why.csv"}, ConfigError, "name a file ending in"),
        ({"output": tmp_path / "no" / "why.jsonl"}, DataError, "there is no folder"),
        ({"columns": Columns(text="txt")}, DataError, "no column 'txt'"),
        ({"domain": "new"}, DataError, "domain 'new'"),
        ({"settings": ExplainSettings(evaluations=3)}, ConfigError, "evaluations is 3"),
    ):
        with pytest.raises(error, match=says):
            Run(source, **how)
    (tmp_path / "header.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"header\.csv: has no rows"):
        Run(tmp_path / "header.csv", only=Polarity.NEUTRAL)
    with pytest.raises(DataError, match="no such file"):
        Run(tmp_path / "none.csv", output=tmp_path / "o.jsonl")
    with pytest.raises(DataError, match=r"none of its 5 rows can be explained \(none has that label\)"):
        Run(labelled, only=Polarity.NEUTRAL)
    assert Tally().rejects is None

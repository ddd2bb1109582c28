from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finsa_moe.data.text import normalise
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime import rows
from finsa_moe.runtime.bulk import Tally, predict_file, predict_stream
from finsa_moe.runtime.predictor import BULK, Predictor
from tests.data.reading.workbook import write_workbook
from tests.fakes import FakeEngine

ANSWERS = [
    "sentiment", "confidence", "bearish", "neutral", "bullish", "expert", "expert_weight", "weight_news",
    "weight_forum", "novelty", "truncated", "uncertain",
]  # fmt: skip


def answer(source: Path, target: Path, **options: object) -> Tally:
    return predict_file(Predictor(FakeEngine()), source, target, **options)  # type: ignore[arg-type]


def write_csv(path: Path, table: list[list[str]], encoding: str = "utf-8", **style: str) -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, **style).writerows(table)  # type: ignore[arg-type]
    return path


def read_csv(path: Path, encoding: str = "utf-8", delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_csv_keeps_all_columns_and_adds_answers(tmp_path: Path) -> None:
    table = [["编号", "内容", "sentiment"], ["7", "公告涨，超预期", "old"], ["8", '他说"跌"\n了', ""]]
    source = write_csv(tmp_path / "in.csv", table, encoding="gb18030")
    tally = answer(source, tmp_path / "out.csv")
    assert (tally.rows, tally.answered, tally.refused, tally.rejects) == (2, 2, 0, None)
    back = read_csv(tmp_path / "out.csv")
    assert list(back[0]) == ["编号", "内容", "sentiment", "predicted_sentiment", *ANSWERS[1:]]
    assert [[row[name] for name in table[0]] for row in back] == table[1:]
    assert [row["predicted_sentiment"] for row in back] == ["利好", "利空"]
    assert [row["expert"] for row in back] == ["news", "forum"]
    assert (back[0]["truncated"], back[0]["weight_news"]) == ("false", "0.7")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_rows_without_id_get_one(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "posts.csv", [["text"], ["涨"], ["跌"]])
    answer(source, tmp_path / "out.csv")
    assert [row["id"] for row in read_csv(tmp_path / "out.csv")] == ["posts-2", "posts-3"]


def test_refused_rows_are_on_disk_with_line_and_reason(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('id,text\n1,涨\n2,\n3,"a\nb"\n4,跌,多\n5,\u3000\n', encoding="utf-8")
    tally = answer(source, tmp_path / "out.csv")
    assert (tally.rows, tally.answered, tally.refused) == (5, 2, 3)
    assert [row["id"] for row in read_csv(tmp_path / "out.csv")] == ["1", "3"]
    assert tally.rejects == tmp_path / "out.csv.rejects.csv"
    refused = read_csv(tally.rejects)
    assert [(r["file"], r["line"], r["id"]) for r in refused] == [
        (str(source), "3", "2"), (str(source), "6", ""), (str(source), "7", "5"),
    ]  # fmt: skip
    assert [r["reason"] for r in refused][::2] == ["empty text", "empty text"]
    assert "3 cells where the header has 2" in refused[1]["reason"]
    answer(write_csv(tmp_path / "good.csv", [["text"], ["涨"]]), tmp_path / "out.csv")
    assert not tally.rejects.exists()  # yesterday's rejects would speak of another file


def test_a_refused_row_without_an_id_gets_one(tmp_path: Path) -> None:
    source = tmp_path / "posts.jsonl"
    source.write_text('{"id": null, "text": ""}\n{"id": 0, "text": ""}\n{"id": 2, "text": "涨"}\n', encoding="utf-8")
    tally = answer(source, tmp_path / "out.csv")
    assert tally.rejects is not None
    assert [row["id"] for row in read_csv(tally.rejects)] == ["posts-1", "0"]


cells = st.text(alphabet='涨跌公告 ,;\t\n\r"\x00\u3000a1🚀', max_size=12)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=12), st.sampled_from([",", "\t", ";"]))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_rows_in_are_rows_out_plus_refused(tmp_path: Path, table: list[tuple[str, str]], delimiter: str) -> None:
    source = write_csv(tmp_path / "in.csv", [["note", "text"], *map(list, table)], delimiter=delimiter)
    good = [row for row in table if normalise(row[1])]
    target = tmp_path / "out.csv"
    target.unlink(missing_ok=True)
    if not good:
        with pytest.raises(DataError, match="can be answered"):
            answer(source, target)
        assert not target.exists()
        return
    tally = answer(source, target)
    assert tally.rows == tally.answered + tally.refused == len(table)
    back = read_csv(target)
    assert [(row["note"], row["text"]) for row in back] == good
    assert len(read_csv(tally.rejects)) == tally.refused if tally.rejects else tally.refused == 0


def test_json_lines_keep_their_types_and_late_keys(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    entries = [{"text": "涨", "n": 3, "meta": {"a": [1, None]}}, {"text": "跌", "late": True}, {"text": None, "n": 1}]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    source.write_text("\n".join([*lines[:2], "{broken", "", lines[2], "[]", '"bare"']), encoding="utf-8")
    tally = answer(source, tmp_path / "out.jsonl")
    assert (tally.rows, tally.answered, tally.refused) == (6, 2, 4)
    back = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert back[0] | entries[0] == back[0]
    assert back[1]["late"] is True
    assert back[0]["uncertain"] is False
    assert [row["line"] for row in read_csv(tally.rejects or tmp_path)] == ["3", "5", "6", "7"]
    answer(source, tmp_path / "out.csv")
    assert read_csv(tmp_path / "out.csv")[0]["meta"] == '{"a": [1, null]}'
    assert read_csv(tmp_path / "out.csv")[1]["late"] == "true"


TINY = {"text": "涨", "p": 1.2e-7, "q": 1e-9, "at": 1785456000.1234567, "n": 3, "z": 0.1 + 0.2, "deep": {"a": [1e-9]}}


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".json", ".parquet"])
def test_the_users_own_numbers_are_not_touched(tmp_path: Path, ending: str) -> None:
    """And those of the answer have six digits where they are written as text."""
    source, flat = tmp_path / f"in{ending}", [name for name in TINY if name not in ("text", "deep")]
    if ending == ".parquet":
        pl.DataFrame([TINY]).write_parquet(source)
    else:
        written = json.dumps([TINY] if ending == ".json" else TINY, ensure_ascii=False)
        source.write_text(written, encoding="utf-8")
    for target in ("out.jsonl", "out.csv", "out.tsv", "out.parquet"):
        answer(source, tmp_path / target)
    back = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert {name: back[name] for name in TINY} == TINY
    for delimited in (read_csv(tmp_path / "out.csv")[0], read_csv(tmp_path / "out.tsv", delimiter="\t")[0]):
        assert [delimited[name] for name in flat] == [repr(TINY[name]) for name in flat]
        assert json.loads(delimited["deep"]) == TINY["deep"]
        assert delimited["bullish"] == str(back["bullish"])
    table = pl.read_parquet(tmp_path / "out.parquet")
    for name in flat:
        assert table[name].item() == (TINY[name] if ending == ".parquet" else repr(TINY[name]))
    exact = Predictor(FakeEngine()).predict(["涨"])[0].scores["bullish"]
    assert back["bullish"] == round(exact, 6) != exact
    assert table["bullish"].item() == exact


@pytest.mark.parametrize("lines", [True, False])
def test_json_keeps_its_types_as_json_lines_do(tmp_path: Path, lines: bool) -> None:
    entries: list[object] = [
        {"id": 7, "text": "涨", "n": 3, "ok": True, "none": None, "meta": {"a": [1, "x"]}}, {"text": "跌", "late": 0.5},
        ["涨", 2], 5,
    ]  # fmt: skip
    written = [json.dumps(entry, ensure_ascii=False) for entry in (entries[:2] if lines else entries)]
    source = tmp_path / "in.json"
    source.write_text("\n".join(written) if lines else "[\n" + ",\n".join(written) + "\n]", encoding="utf-8")
    tally = answer(source, tmp_path / "out.jsonl")
    back = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert back[0] | entries[0] == back[0]  # type: ignore[operator]
    assert isinstance(back[0]["ok"], bool)
    assert back[1]["late"] == 0.5
    assert (tally.rows, tally.refused) == ((2, 0) if lines else (4, 1))
    if not lines:
        assert (back[2]["text"], back[2]["label"]) == ("涨", 2)
        assert [(row["line"], row["text"]) for row in read_csv(tally.rejects or tmp_path)] == [("5", "5")]


def test_a_json_file_that_the_disk_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Path) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "in.json").write_text("[]")
    monkeypatch.setattr(rows, "json_values", failing)
    with pytest.raises(DataError, match=r"in.json: cannot be read: Input/output error"):
        answer(tmp_path / "in.json", tmp_path / "out.csv")


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": [1, 2], "text": ["涨", "跌"], "when": ["2024-01-02", None]}).with_columns(
        pl.col("when").str.to_date()
    )
    frame.write_parquet(tmp_path / "in.parquet")
    answer(tmp_path / "in.parquet", tmp_path / "out.parquet")
    back = pl.read_parquet(tmp_path / "out.parquet")
    assert back.select(frame.columns).equals(frame)
    assert back["sentiment"].to_list() == ["利好", "利空"]
    assert back.schema["confidence"] == pl.Float64
    assert back.schema["uncertain"] == pl.Boolean
    answer(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    first = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")[0])
    assert (first["id"], first["when"]) == (1, "2024-01-02")
    answer(write_csv(tmp_path / "in.csv", [["text", "n"], ["涨", "1"]]), tmp_path / "text.parquet")
    assert pl.read_parquet(tmp_path / "text.parquet")["n"].to_list() == ["1"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_odd_characters_survive(tmp_path: Path, ending: str) -> None:
    texts = ["🚀涨", "跌\x00停", "长短" * 50_000, "a\tb,c;d"]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(json.dumps({"text": t}) for t in [*texts, "涨\ud800停"]), encoding="utf-8")
    tally = answer(source, tmp_path / f"out{ending}")
    assert (tally.answered, tally.truncated) == (5, 1)
    back = [row for batch in rows.read(tmp_path / f"out{ending}") for row in batch.rows]
    at = 1  # after the id
    assert [row[at] for row in back] == [*texts, "涨停"]


def test_bom_for_excel(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", [["text"], ["涨"]])
    answer(source, tmp_path / "plain.csv")
    answer(source, tmp_path / "excel.csv", bom=True)
    assert (tmp_path / "excel.csv").read_bytes() == b"\xef\xbb\xbf" + (tmp_path / "plain.csv").read_bytes()


def test_joined_columns_and_a_fixed_domain(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", [["title", "body"], ["涨", ""], ["", "跌"], ["涨", "跌跌"]])
    answer(source, tmp_path / "out.jsonl", text="title+body", domain="news")
    back = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["sentiment"] for row in back] == ["利好", "利空", "利空"]
    assert {row["expert"] for row in back} == {"news"}


def test_several_batches_keep_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH_ROWS", 10)
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(json.dumps({"text": f"涨{n}", f"k{n}": n}) for n in range(35)), encoding="utf-8")
    seen: list[int] = []
    answer(source, tmp_path / "out.csv", progress=seen.append)
    back = read_csv(tmp_path / "out.csv")
    assert [row["text"] for row in back] == [f"涨{n}" for n in range(35)]
    assert back[34]["k34"] == "34"
    assert seen == [10, 20, 30, 35]


@pytest.mark.parametrize(("broken", "engine"), [(BULK - 2, "bulk"), (BULK - 3, "fake")])
def test_one_engine_answers_a_whole_file(
    tmp_path: Path, broken: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that cannot be read count: the others of a long file's first batch may be few."""
    monkeypatch.setattr(rows, "BATCH_ROWS", BULK)
    few, bulk = FakeEngine(), FakeEngine()
    bulk.name = "bulk"
    predictor = Predictor(few, bulk=lambda: bulk)
    good = range(2 if engine == "fake" else 2 + BULK + 1)
    many = [*["{broken"] * broken, *(json.dumps({"text": f"涨{n}"}) for n in good)]
    (tmp_path / "in.jsonl").write_text("\n".join(many), encoding="utf-8")
    few.shapes.clear()
    tally = predict_file(predictor, tmp_path / "in.jsonl", tmp_path / "out.csv")
    assert tally.engine == engine
    assert sum(count for count, _ in (few if engine == "fake" else bulk).shapes) == tally.answered
    assert not (bulk if engine == "fake" else few).shapes


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_csv(tmp_path / "in.csv", [["text"], ["涨"], [" "]])
    (tmp_path / "out.csv").write_text("yesterday", encoding="utf-8")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    for ending in (".csv", ".jsonl", ".parquet"):
        with pytest.raises(KeyboardInterrupt):
            answer(source, tmp_path / f"out{ending}", progress=fail)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "yesterday"


def test_what_cannot_be_answered_at_all(tmp_path: Path) -> None:
    good = write_csv(tmp_path / "good.csv", [["text"], ["涨"]])
    (tmp_path / "empty.csv").touch()
    (tmp_path / "bad.csv").write_bytes(b"text\n\xff\xff\xff\n")
    (tmp_path / "broken.jsonl").write_text("{no\n", encoding="utf-8")
    blank = write_csv(tmp_path / "blank.csv", [["text", "x"], ["", "1"], [" ", "2"]])
    unnamed = write_csv(tmp_path / "unnamed.csv", [["a", "b"], ["涨", "1"]])
    refused = write_csv(tmp_path / "out.csv.rejects.csv", [["text"], ["涨"]])
    out = tmp_path / "out.csv"
    for source, target, options, error, says in (
        (tmp_path / "none.csv", out, {}, DataError, "no such file"),
        (tmp_path, out, {}, DataError, "a folder"),
        (tmp_path / "empty.csv", out, {}, DataError, "empty"),
        (tmp_path / "bad.csv", out, {}, DataError, "GB18030"),
        (tmp_path / "broken.jsonl", out, {}, DataError, "line 1|no text column"),
        (blank, out, {}, DataError, r"none of its 2 rows.*line 2: empty text.*nothing was written"),
        (unnamed, out, {}, DataError, "no text column.*a, b"),
        (good, out, {"text": "txt"}, DataError, "no column 'txt'"),
        (good, out, {"id": "uid"}, DataError, "no column 'uid'"),
        (good, out, {"domain": "weibo"}, DataError, "'weibo' is not in this mixture"),
        (good, good, {}, ConfigError, "the --input file itself"),
        (refused, out, {}, ConfigError, "is where rows refused for --output .*out.csv go"),
        (good, tmp_path / "out.xlsx", {}, ConfigError, r"'.xlsx'.*\.csv"),
        (good, tmp_path / "no" / "out.csv", {}, DataError, "no folder"),
    ):
        before = sorted(p.name for p in tmp_path.iterdir())
        with pytest.raises(error, match=says) as caught:
            answer(source, target, **options)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_only_a_header_is_no_row_and_no_error(tmp_path: Path) -> None:
    tally = answer(write_csv(tmp_path / "in.csv", [["text"]]), tmp_path / "out.csv")
    assert (tally.rows, tally.refused) == (0, 0)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == ",".join(["id", "text", *ANSWERS]) + "\n"


@pytest.mark.parametrize("domain", [None, "news"])
def test_copies_are_answered_once_and_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domain: str | None
) -> None:
    """Also those in a later batch; what each row has beside its text stays its own."""
    monkeypatch.setattr(rows, "BATCH_ROWS", 10)
    texts = [("涨", "跌停", "公告平", " ", "涨跌" * 50)[n * 7 // 3 % 5] for n in range(35)]
    entries = [json.dumps({"text": text, "n": n}) for n, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("\n".join(entries), encoding="utf-8")
    engine = FakeEngine()
    predictor = Predictor(engine)
    engine.shapes.clear()
    tally = predict_file(predictor, tmp_path / "in.jsonl", tmp_path / "out.jsonl", domain=domain)
    kept = [(n, text) for n, text in enumerate(texts) if text.strip()]
    assert sum(count for count, _ in engine.shapes) == len({text for _, text in kept})
    assert (tally.answered, tally.refused) == (len(kept), len(texts) - len(kept))
    back = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["n"], row["text"]) for row in back] == kept
    for row in back:
        (alone,) = Predictor(FakeEngine()).predict([row["text"]], domain)
        assert row["bullish"] == pytest.approx(alone.scores["bullish"], abs=1e-6)
        assert (row["sentiment"], row["expert"], row["truncated"]) == (alone.sentiment, alone.expert, alone.truncated)
    assert len(read_csv(tally.rejects or tmp_path)) == tally.refused


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_stream_gets_what_a_file_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(rows, "BATCH_ROWS", 2)
    source = tmp_path / "in.jsonl"
    source.write_text(
        "\n".join(json.dumps({"text": text}) for text in ("涨", "", "跌", "a\rb", "\ud800涨")), encoding="utf-8"
    )
    stream = io.BytesIO()
    tally = predict_stream(Predictor(FakeEngine()), source, stream, ending, bom=True)
    filed = answer(source, tmp_path / f"out{ending}", bom=True)
    assert stream.getvalue() == (tmp_path / f"out{ending}").read_bytes()
    assert (tally.rows, tally.answered, tally.refused, tally.first) == (5, 4, 1, "line 2: empty text")
    assert (tally.rejects, filed.first) == (None, tally.first)


def test_a_stream_gets_nothing_where_nothing_can_be_answered(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with pytest.raises(DataError, match="none of its 1 rows"):
        predict_stream(Predictor(FakeEngine()), write_csv(tmp_path / "in.csv", [["text"], [" "]]), stream)
    assert stream.getvalue() == b""
    predict_stream(Predictor(FakeEngine()), write_csv(tmp_path / "in.csv", [["text"]]), stream)
    assert stream.getvalue().decode() == ",".join(["id", "text", *ANSWERS]) + "\n"


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
def test_a_text_that_is_a_list_is_refused_and_a_number_is_answered(tmp_path: Path, ending: str) -> None:
    source = tmp_path / f"in{ending}"
    if ending == ".parquet":
        pl.DataFrame({"text": [["涨"], []], "title": ["跌", "涨"]}).write_parquet(source)
        with pytest.raises(DataError, match=r"none of its 2 rows .*the text is a list or an object"):
            answer(source, tmp_path / "out.csv")
        answer(source, tmp_path / "out.csv", text="title")
        return
    texts = ["涨", ["a"], 5, {"b": 1}, True]
    entries = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    source.write_text("[" + ",\n".join(entries) + "]" if ending == ".json" else "\n".join(entries), encoding="utf-8")
    tally = answer(source, tmp_path / "out.csv")
    assert [row["text"] for row in read_csv(tmp_path / "out.csv")] == ["涨", "5", "true"]
    assert [(r["line"], r["reason"], r["text"]) for r in read_csv(tally.rejects or tmp_path)] == [
        (line, "the text is a list or an object; allowed: a string or a number", text)
        for line, text in (("2", '["a"]'), ("4", '{"b": 1}'))
    ]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_packed_file_is_answered(tmp_path: Path, ending: str) -> None:
    plain = "text\n涨\n跌\n" if ending == ".csv" else '{"text": "涨"}\n{"text": "跌"}\n'
    (tmp_path / f"in{ending}.gz").write_bytes(gzip.compress(plain.encode("gbk")))
    tally = answer(tmp_path / f"in{ending}.gz", tmp_path / "out.csv")
    assert [row["sentiment"] for row in read_csv(tmp_path / "out.csv")] == ["利好", "利空"]
    assert tally.encoding == "gb18030"


def test_a_workbook_is_answered(tmp_path: Path) -> None:
    write_workbook(tmp_path / "in.xlsx", {"a": [["code", "内容"], ["000001", "涨停"]], "b": [["内容"], ["跌"]]})
    answer(tmp_path / "in.xlsx", tmp_path / "out.csv")
    assert [(row["code"], row["sentiment"]) for row in read_csv(tmp_path / "out.csv")] == [("000001", "利好")]
    answer(Path(f"{tmp_path}/in.xlsx#b"), tmp_path / "out.csv")
    assert [(row["id"], row["sentiment"]) for row in read_csv(tmp_path / "out.csv")] == [("in-2", "利空")]

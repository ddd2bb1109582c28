"""Files through the service: every row back, in its order and format; what is wrong told before an answer begins."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finsa_moe.data.reading.cells import day_of
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.service.spool import Spool, ending_of, saved_as
from finsa_moe.service.summary import Summary
from tests.fakes import FakeEngine
from tests.service.served import Reply, Service, Settings, SlowEngine, serving, until

CSV = {"Content-Type": "text/csv"}
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(max_rows=5000, max_file=2_000_000)) as found:
        yield found


def events(reply: Reply) -> list[tuple[str, Any]]:
    found = []
    for block in reply.body.decode().strip().split("\n\n"):
        if block.startswith(":"):  # a remark, of a service that is slow
            continue
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields["event"], json.loads(fields["data"])))
    return found


def rows(reply: Reply) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(reply.body.decode("utf-8-sig"))))


def test_a_csv_comes_back_with_answers(service: Service) -> None:
    texts = [("涨停", "跌停", "公告:升", "", "横盘")[at % 5] for at in range(1203)]
    body = "编号,content,sentiment\n" + "".join(f"{at},{text},真\n" for at, text in enumerate(texts))
    reply = service.ask("POST", "/v1/predict/file?name=posts.csv", body.encode(), CSV)
    assert reply.status == 200
    assert reply.headers["content-disposition"] == 'attachment; filename="posts.answers.csv"'
    found = rows(reply)
    assert [row["编号"] for row in found] == [str(at) for at in range(1203)]
    predictor = Predictor(FakeEngine())
    for row, text in zip(found, texts, strict=True):
        assert row["content"] == text
        assert row["sentiment"] == "真"  # the file's own column stays
        if text:
            wanted = predictor.predict([text])[0]
            assert row["predicted_sentiment"] == wanted.sentiment
            assert row["expert"] == wanted.expert
            assert row["refused"] == ""
        else:
            assert row["predicted_sentiment"] == ""
            assert row["refused"] == "empty text"


def test_json_lines_keep_types_and_broken_lines(service: Service) -> None:
    body = '{"text": "涨停", "n": 3}\nnot json\n{"text": "跌", "more": [1, 2]}\n'
    reply = service.ask("POST", "/v1/predict/file", body.encode(), {"Content-Type": "application/x-ndjson"})
    found = [json.loads(line) for line in reply.body.decode().splitlines()]
    assert [row["sentiment"] for row in found] == ["利好", None, "利空"]
    assert found[0]["n"] == 3
    assert found[2]["more"] == [1, 2]
    assert found[1]["text"] == "not json"
    assert "not JSON" in found[1]["refused"]


def test_a_files_own_numbers_are_not_touched(service: Service) -> None:
    body = '{"text": "涨停", "p": 1e-9, "at": 1785456000.1234567}\n'
    reply = service.ask("POST", "/v1/predict/file", body.encode(), {"Content-Type": "application/x-ndjson"})
    found = json.loads(reply.body)
    assert (found["p"], found["at"]) == (1e-9, 1785456000.1234567)
    assert found["bullish"] == round(Predictor(FakeEngine()).predict(["涨停"])[0].scores["bullish"], 6)


@pytest.mark.parametrize("more", [{}, EVENTS])
def test_a_text_over_the_limit_is_refused_in_place_as_alone(service: Service, more: dict[str, str]) -> None:
    """Never cut: what a file's row gets is what the same text gets by itself."""
    longest = "".join(chr(0x4E00 + at) for at in range(9_999)) + "涨"
    texts = ["涨", longest, "涨" + longest, "跌"]
    body = "id,text\n" + "".join(f"{at},{text}\n" for at, text in enumerate(texts))
    reply = service.ask("POST", "/v1/predict/file", body.encode(), {**CSV, **more})
    if more:
        done = events(reply)[-1][1]
        assert (done["rows"], done["answered"], done["refused"]) == (4, 3, 1)
        reply = service.ask("GET", done["file"])
    found = rows(reply)
    assert [row["text"] for row in found] == texts
    alone = service.predict(texts[2])
    assert alone.status == 422
    assert found[2]["refused"] == alone.json()["errors"][0]["detail"]
    assert "over 10,000 characters" in found[2]["refused"]
    assert found[2]["sentiment"] == ""
    assert [row["refused"] for row in found[:2] + found[3:]] == [""] * 3
    assert found[1]["truncated"] == "true"
    assert found[1]["bullish"] == str(service.predict(longest).json()["predictions"][0]["scores"]["bullish"])


def test_parquet_keeps_its_types(service: Service, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"text": ["涨停", "跌停", None], "day": [date(2026, 7, at) for at in (1, 2, 3)], "n": [1, 2, 3]}
    )
    frame.write_parquet(tmp_path / "a.parquet")
    kind = {"Content-Type": "application/vnd.apache.parquet"}
    reply = service.ask("POST", "/v1/predict/file", (tmp_path / "a.parquet").read_bytes(), kind)
    assert reply.status == 200, reply.body
    found = pl.read_parquet(io.BytesIO(reply.body))
    assert found.schema["day"] == pl.Date
    assert found["n"].to_list() == [1, 2, 3]
    assert found["sentiment"].to_list() == ["利好", "利空", None]
    assert found["refused"].to_list() == [None, None, "empty text"]


def test_progress_is_told_and_the_answer_kept(service: Service) -> None:
    body = "date,股票代码,text\n" + "".join(
        f"2026-07-{1 + at % 3:02d},60000{at % 2},{'涨' if at % 3 else '跌'}\n" for at in range(2000)
    )
    reply = service.ask(
        "POST", "/v1/predict/file?name=..%2F..%2Fetc%2F%E5%B8%96%E5%AD%90%20x.csv", body.encode(), {**CSV, **EVENTS}
    )
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = events(reply)
    assert [kind for kind, _ in told[:-1]] == ["progress"] * (len(told) - 1)
    steps = [data["rows"] for _, data in told[:-1]]
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert steps[-1] == 2000
    kind, done = told[-1]
    assert kind == "done"
    assert (done["rows"], done["answered"], done["refused"]) == (2000, 2000, 0)
    assert done["all"] == {"bearish": 667, "neutral": 0, "bullish": 1333}
    assert done["days"][0] == {"day": "2026-07-01", "bearish": 667, "neutral": 0, "bullish": 0}
    assert [row["ticker"] for row in done["tickers"]] == ["600000", "600001"]
    assert "/" not in done["name"]
    fetched = service.ask("GET", done["file"])
    assert fetched.status == 200
    assert len(rows(fetched)) == 2000
    assert service.ask("GET", done["file"][:-1] + ("0" if done["file"][-1] != "0" else "1")).status == 404
    for path in (
        "/v1/files/..%2F..%2Fetc%2Fpasswd",
        "/v1/files/%2e%2e",
        "/v1/files/*",
        "/page/..%2Fapp.py",
        "/page/%2e%2e",
    ):
        assert service.ask("GET", path).status == 404, path


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "said"),
    [
        ("?text=nope", b"a,b\n1,2\n", "text/csv", 422, "no column 'nope'; columns found: a, b; name it by ?text=COL"),
        ("?id=nope", b"text\na\n", "text/csv", 422, "name it by ?id=COL"),
        ("", b"a,b\n1,2\n", "text/csv", 422, "no text column"),
        ("", "周报\n编号,内容\n1,涨\n".encode(), "text/csv", 422, "line 2 seems to be the header"),
        ("", b"", "text/csv", 422, "empty"),
        ("", b"text\n", "text/csv", 422, "no rows"),
        ("?domain=nope", b"text\na\n", "text/csv", 422, "no such expert"),
        ("", b"PAR1 not really", "application/vnd.apache.parquet", 422, "Parquet"),
        ("", b"text\na\n", "image/png", 415, "Content-Type"),
        ("", b"--x\r\n", "multipart/form-data; boundary=x", 415, "--data-binary @F -H 'Content-Type: text/csv'"),
        ("", b"text\na\n", "application/octet-stream", 415, "name ending"),
        ("", b"text\n" + b"a\n" * 5001, "text/csv", 413, "5,000 rows"),
        ("", b"text\n" + b"a" * 2_000_000, "text/csv", 413, "limit"),
        ("?bom=perhaps", b"text\na\n", "text/csv", 422, "/query/bom"),
    ],
)
def test_what_is_wrong_is_told_first(
    service: Service, path: str, body: bytes, kind: str, status: int, said: str
) -> None:
    reply = service.ask("POST", f"/v1/predict/file{path}", body, {"Content-Type": kind})
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert said in reply.json()["detail"]
    assert "/tmp" not in reply.body.decode()


def test_a_column_that_is_missing_has_a_kind_of_its_own_with_the_columns_found(service: Service) -> None:
    found = service.ask("POST", "/v1/predict/file", b"a,b\n1,2\n", {"Content-Type": "text/csv"}).json()
    assert found["type"] == "urn:finsa:column"
    assert found["errors"][1] == {"pointer": "/file/columns", "detail": "a, b"}
    assert service.ask("POST", "/v1/predict/file", b"", {"Content-Type": "text/csv"}).json()["type"] == "urn:finsa:file"


def test_parquet_without_what_reads_it_says_what_to_install(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsa_moe.service.inspect.find_spec", lambda _: None)
    reply = service.ask("POST", "/v1/predict/file", b"PAR1 or not", {"Content-Type": "application/vnd.apache.parquet"})
    assert reply.status == 422
    assert reply.json()["type"] == "urn:finsa:no-parquet"
    assert "pip install '.[data]'" in reply.json()["detail"]


@pytest.mark.parametrize("shared", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_parquet_file_that_unpacks_to_too_much(service: Service, tmp_path: Path, shared: bool) -> None:
    """A text of a million letters in every row, or, in a dictionary, one that stands for every row."""
    text = pa.array(["a" * 1_000_000] * 300)
    if shared:
        text = pa.DictionaryArray.from_arrays(pa.array([0] * 2900, pa.int32()), text[:1])
    pq.write_table(pa.table({"text": text}), tmp_path / "bomb.parquet", compression="zstd", use_dictionary=shared)
    body = (tmp_path / "bomb.parquet").read_bytes()
    assert len(body) < 2_000_000
    reply = service.ask("POST", "/v1/predict/file", body, {"Content-Type": "application/vnd.apache.parquet"})
    assert reply.status == 422
    assert "unpacks" in reply.json()["detail"]


def test_nothing_is_left_behind_and_slots_come_back() -> None:
    import socket

    engine = SlowEngine()
    with serving(Settings(files_at_once=1), engine) as service:
        folder = service.shelf  # the model's; the spool is told apart below
        assert folder is not None
        engine.gate.clear()
        body = b"text\n" + "涨\n".encode() * 3000
        head = f"POST /v1/predict/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", service.port)) as left:
            left.sendall(head.encode() + body)
            until(lambda: engine.held)
            busy = service.ask("POST", "/v1/predict/file", b"text\na\n", CSV)
            assert busy.status == 503
            assert "retry-after" in busy.headers
        engine.gate.set()
        replies: list[Reply] = []

        def taken() -> bool:
            replies.append(service.ask("POST", "/v1/predict/file", b"text\na\n", CSV))
            return replies[-1].status != 503

        until(taken)
        assert len(rows(replies[-1])) == 1


def test_kept_answers_go_after_a_while(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), keep=0.0)
    part = spool.new(".csv")
    part.write_text("x")
    kept = spool.finish(part, ".csv", "a.csv")
    assert spool.find(kept.id) is not None
    assert spool.find("*") is spool.find("../" + kept.id) is None
    spool.sweep()
    assert list(tmp_path.iterdir()) == []


def test_names_of_files_become_harmless() -> None:
    assert saved_as("../../etc/passwd.csv", ".csv") == "passwd.answers.csv"
    assert saved_as("C:\\a\\帖子 一.CSV", ".csv") == "帖子_一.answers.csv"
    assert saved_as('a"\r\nSet-Cookie: x.csv', ".csv") == "a_Set-Cookie_x.answers.csv"
    assert saved_as("", ".csv") == "texts.answers.csv"
    assert ending_of("a.b.PARQUET") == ".parquet"
    assert ending_of("a.exe") is None
    assert ending_of("csv") is None


def test_days_are_read_as_files_write_them() -> None:
    """Against the data room's own reader, which works on frames."""
    from finsa_moe.data.reading.days import days

    written = [
        "2026-07-31",
        "2026/7/31 09:30",
        "20260731",
        "2026.7.3",
        "2026年7月31日",
        "31.7.2026",
        "1.5",
        "",
        "2026-13-01",
        "600001",
        "2026-12",
        "202612",
        "2026年12月",
        "2026123",
    ]
    wanted = pl.DataFrame({"date": written}).select(days())["date"].to_list()
    assert [day_of(each) for each in written] == wanted
    assert wanted[-4:] == [None] * 4
    typed = date(2026, 7, 31), datetime(2026, 7, 31, 9), 20260731
    assert [day_of(each) for each in typed] == [date(2026, 7, 31)] * 3
    assert [day_of(each) for each in (None, True, 3, ["2026-07-31"])] == [None] * 4
    summary = Summary(["Date", "text", "Ticker"])
    summary.add(["2026-07-31", "a", "600001"], "bullish")
    summary.add(["?", "a", None], "bearish")
    assert summary.table() == {
        "all": {"bearish": 1, "neutral": 0, "bullish": 1},
        "days": [{"day": "2026-07-31", "bearish": 0, "neutral": 0, "bullish": 1}],
        "tickers": [{"ticker": "600001", "bearish": 0, "neutral": 0, "bullish": 1}],
    }


def test_a_row_of_several_tickers_counts_for_each() -> None:
    """As `finsa index` counts it; lists of CSV are written as JSON."""
    summary = Summary(["text", "ticker", "date"])
    for cell in (["600519", " 000001 ", "600519", None, ""], '["600519", "000001"]', "[ST]", 600519, [], None):
        summary.add(["a", cell, 20260731], "bullish")
    table = summary.table()
    assert {row["ticker"]: row["bullish"] for row in table["tickers"]} == {"600519": 3, "000001": 2, "[ST]": 1}
    assert table["days"] == [{"day": "2026-07-31", "bearish": 0, "neutral": 0, "bullish": 6}]

"""Scoring files within this process: what comes out, what is refused, and what a second run does."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finsa_moe import shipped
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.scale import manifest as manifest_of
from finsa_moe.scale import shard as shards_room
from finsa_moe.scale.manifest import alone_in
from finsa_moe.scale.score import RunReport
from finsa_moe.scale.score import score as scored
from finsa_moe.scale.stores import Source, find_sources
from finsa_moe.scale.worker import Worker
from tests.data.reading.workbook import write_workbook
from tests.scale.texts import answers, frame, left_behind, probabilities, stored, texts

pytestmark = pytest.mark.usefixtures("here")


def score(*sources: Path | str, out: Path, **settings: Any) -> RunReport:
    return scored(list(sources), out, engine="onnxruntime", **{"shard_rows": 20, **settings})


def test_the_answers_are_the_runtimes_and_columns_stay(tmp_path: Path) -> None:
    rows = frame(70)
    rows.write_parquet(tmp_path / "a.parquet", row_group_size=25)
    report = score(tmp_path / "a.parquet", out=tmp_path / "out")
    assert (report.rows, report.answered, report.refused) == (70, 70, 0)
    found = answers(tmp_path / "out").sort("key")
    key = find_sources([str(tmp_path / "a.parquet")], tmp_path / "out")[0][0].key
    assert found.select(rows.columns).equals(rows)
    assert found["id"].to_list() == [f"{key}-{line}" for line in range(1, 71)]
    numbers = found.select("bearish", "neutral", "bullish").to_numpy()
    assert np.allclose(numbers, probabilities(rows["text"].to_list()), atol=1e-5)  # other batch mates, other rounding
    best = numbers.argmax(axis=1)
    assert found["sentiment"].to_list() == [("利空", "中性", "利好")[at] for at in best]
    assert left_behind(tmp_path / "out") == []


def test_a_text_that_comes_again_in_a_shard_is_answered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    plain = Predictor._work

    def counting(self: Predictor, engine: Any, some: list[str], experts: Any) -> Any:
        asked.extend(some)
        return plain(self, engine, some, experts)

    monkeypatch.setattr(Predictor, "_work", counting)
    monkeypatch.setattr(shards_room, "WINDOW", 10)
    pl.concat([frame(10)] * 6).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out", shard_rows=30)
    assert {text: asked.count(text) for text in frame(10)["text"]} == dict.fromkeys(frame(10)["text"], 2)
    assert answers(tmp_path / "out").height == 60


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_text_of_two_columns_is_what_predict_asks(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part without the blanks round it."""
    asked: list[str] = []
    plain = Predictor.attempt

    def noted(self: Predictor, some: list[str], *given: Any, **more: Any) -> Any:
        asked.extend(some)
        return plain(self, some, *given, **more)

    monkeypatch.setattr(Predictor, "attempt", noted)
    rows = pl.DataFrame({"title": [" 涨停 ", "跌停", None], "body": ["\n拿稳了 ", None, " 平"]})
    (rows.write_csv if ending == "csv" else rows.write_parquet)(tmp_path / f"a.{ending}")
    score(tmp_path / f"a.{ending}", out=tmp_path / "out", text="title+body")
    assert asked[-3:] == ["涨停 拿稳了", "跌停", "平"]


def test_formats_answer_alike(tmp_path: Path) -> None:
    rows = frame(30)
    rows.write_parquet(tmp_path / "a.parquet")
    rows.write_csv(tmp_path / "b.csv")
    rows.write_ndjson(tmp_path / "c.jsonl")
    rows.write_ipc(tmp_path / "d.arrow")
    score(tmp_path, out=tmp_path / "out")
    found = answers(tmp_path / "out")
    assert found.height == 120
    for key, part in found.group_by(pl.col("key").cast(pl.Int64)):
        assert part.select("bearish", "neutral", "bullish", "sentiment", "expert").unique().height == 1, key


def test_a_sheet_is_scored(tmp_path: Path) -> None:
    book = tmp_path / "a.xlsx"
    write_workbook(book, {"first": [["text"], ["涨"]], "b 2": [["text"], *([text] for text in texts(4))]})
    for _ in range(2):  # the second finds that nothing is missing
        report = score(f"{book}#b 2", out=tmp_path / "out")
        assert (report.rows, report.answered) == (4, 4)
    assert report.new_rows == 0
    assert answers(tmp_path / "out")["text"].to_list() == texts(4)


def test_the_manifest_says_what_each_shard_is(tmp_path: Path) -> None:
    frame(70).write_parquet(tmp_path / "a.parquet", row_group_size=10)
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    model = hashlib.sha256((shipped.model() / "config.json").read_bytes()).hexdigest()
    assert lines[0]["model"] == model
    shards = [line for line in lines if line["kind"] == "shard"]
    assert [(s["row_groups"], s["first_row"], s["rows"]) for s in shards] == [
        ([0, 2], 1, 20), ([2, 4], 21, 20), ([4, 6], 41, 20), ([6, 7], 61, 10),
    ]  # fmt: skip
    for shard in shards:
        content = (tmp_path / "out" / "scores" / shard["shard"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert shard["source"] == str(tmp_path / "a.parquet")
        assert shard["model"] == model


def test_other_settings_need_another_folder(tmp_path: Path) -> None:
    frame(5).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    with pytest.raises(ConfigError, match="was begun with domain None, now it is 'news'"):
        score(tmp_path / "a.parquet", out=tmp_path / "out", domain="news")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.docx").touch()
    with pytest.raises(ConfigError, match=r"holds thesis\.docx and no manifest"):
        score(tmp_path / "a.parquet", out=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir() if path.name[0] != "."] == ["thesis.docx"]


def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    frame(5).write_parquet(tmp_path / "a.parquet")
    with alone_in(tmp_path / "out"), pytest.raises(ConfigError, match=r"another run .* is writing there"):
        score(tmp_path / "a.parquet", out=tmp_path / "out")
    score(tmp_path / "a.parquet", out=tmp_path / "out")


def test_a_damaged_page_costs_its_piece_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame(100).write_parquet(path, row_group_size=20, compression="uncompressed")
    content = bytearray(path.read_bytes())
    at = content.find("45号公司".encode())
    content[at - 400 : at + 100] = bytes(500)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet, rows 41 to 60: cannot be read") as told:
        score(path, out=tmp_path / "out")
    assert "\n" not in str(told.value)
    assert "other 80 rows are answered" in str(told.value)
    assert sorted(answers(tmp_path / "out")["key"]) == [*range(40), *range(60, 100)]
    assert left_behind(tmp_path / "out") == []


def write_bytes(path: Path, **columns: list[Any]) -> None:
    """A Parquet file whose columns of bytes are called text, as old writers do."""
    table = pa.table({name: pa.array(cells) for name, cells in columns.items()})
    strings = [
        pa.array(column.combine_chunks()).view(pa.string()) if pa.types.is_binary(column.type) else column
        for column in table.columns
    ]
    pq.write_table(pa.table(strings, names=table.column_names), path)


def test_a_store_that_breaks_off_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is no full disk."""
    frame(5).write_csv(tmp_path / "a.csv")

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(Source, "open", lambda self: Broken())
    url = stored(tmp_path / "a.csv")
    with pytest.raises(DataError, match="Connection reset by peer") as told:
        scored([url], tmp_path / "out", engine="onnxruntime")
    assert str(told.value).startswith(f"{url}: cannot be read")
    assert "\n" not in str(told.value)


def test_a_missing_column_is_told_before_anything_is_made(tmp_path: Path) -> None:
    frame(5).write_parquet(tmp_path / "a.parquet")
    frame(5).rename({"text": "words"}).write_csv(tmp_path / "b.csv")
    with pytest.raises(DataError, match=r"b\.csv: no text column; columns found: key, words"):
        score(tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


def test_no_text_at_all(tmp_path: Path) -> None:
    pl.DataFrame({"text": [None, ""]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="none of the 2 rows can be answered"):
        score(tmp_path / "a.parquet", out=tmp_path / "out")


@contextmanager
def no_file_over(size: int) -> Iterator[Callable[[], None]]:
    """A disk that takes no file over `size` bytes from the call of what is yielded on, for this block only.

    It holds for the whole process: while a test's result is printed, the log of the tests itself may be longer.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill_the_disk(folder: Path) -> None:
    frame(10).write_parquet(folder / "a.parquet")
    frame(200, 10).write_parquet(folder / "b.parquet")
    with no_file_over(6_000) as from_now:
        from_now()
        with pytest.raises(DataError, match=r"out: cannot be written .*make room") as told:
            score(folder, out=folder / "out", shard_rows=200)
    assert "\n" not in str(told.value)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    fill_the_disk(tmp_path)
    assert sorted(answers(tmp_path / "out")["key"]) == list(range(10))
    assert left_behind(tmp_path / "out") == []


def test_after_room_is_made_the_run_goes_on(tmp_path: Path) -> None:
    fill_the_disk(tmp_path)
    assert score(tmp_path, out=tmp_path / "out").kept == 1
    assert sorted(answers(tmp_path / "out")["key"]) == list(range(210))


def test_a_manifest_that_cannot_grow_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame(60).write_parquet(tmp_path / "a.parquet")
    with no_file_over(1_000) as from_now:

        def torn(entry: dict[str, Any]) -> str:
            if entry.get("piece") == 1:
                from_now()
            return json.dumps(entry) + "\n"

        monkeypatch.setattr(manifest_of, "_line", torn)
        with pytest.raises(DataError, match="cannot be written"):
            score(tmp_path / "a.parquet", out=tmp_path / "out")
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "out" / "manifest.jsonl").open()]
    assert kinds == ["run", "begin", "shard"]


def test_a_model_replaced_on_the_way_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    shutil.copytree(shipped.model(), model)
    frame(60).write_parquet(tmp_path / "a.parquet")
    plain, calls = Worker.score, []

    def replacing(self: Worker, piece: Any) -> Any:
        calls.append(piece)
        if len(calls) == 2:
            config = json.loads((model / "config.json").read_text())
            (model / "config.json").write_text(json.dumps({**config, "temperatures": [1.0, 1.0]}))
        return plain(self, piece)

    monkeypatch.setattr(Worker, "score", replacing)
    with pytest.raises(ModelError, match="the model was replaced while the run was under way"):
        score(tmp_path / "a.parquet", out=tmp_path / "out", model=model)
    assert sorted(answers(tmp_path / "out")["key"]) == list(range(20))
    assert left_behind(tmp_path / "out") == []
    with pytest.raises(ConfigError, match="was begun with model"):
        score(tmp_path / "a.parquet", out=tmp_path / "out", model=model)


def test_a_torch_mixture_is_sent_to_export(tmp_path: Path) -> None:
    frame(5).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "finsa_moe"}')
    with pytest.raises(ModelError, match="finsa export"):
        score(tmp_path / "a.parquet", out=tmp_path / "out", model=tmp_path / "model")


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    frame(50).write_parquet(tmp_path / "a.parquet")
    told: list[tuple[int, int, int]] = []
    score(tmp_path / "a.parquet", out=tmp_path / "out", progress=lambda *numbers: told.append(numbers))
    assert told == [(0, 50, 0), (20, 50, 0), (40, 50, 0), (50, 50, 0)]

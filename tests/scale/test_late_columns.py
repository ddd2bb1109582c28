"""JSON lines whose rows bring new keys late: the text and the id are the same columns in every shard of a file.

And what their cells become.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime.bulk import predict_file
from finsa_moe.scale.job import make_job
from finsa_moe.scale.stores import find_sources
from finsa_moe.scale.worker import Worker
from tests.scale.test_score import score
from tests.scale.texts import answers, stored, texts

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def posts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Headlines alone in 45 rows, then 15 with a body, of which every second is null; read ten rows at a time."""
    for place in ("finsa_moe.data.reading.json_rows.BATCH_ROWS", "finsa_moe.runtime.rows.BATCH_ROWS"):
        monkeypatch.setattr(place, 10)
    rows: list[dict[str, Any]] = [{"title": f"{text},公告", "date": "2026-08-03"} for text in texts(60)]
    for at, (row, body) in enumerate(zip(rows[45:], texts(15, 100), strict=True)):
        row |= {"content": body if at % 2 else None, "post_id": f"p{at}"}
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [None, "content", "title", "title+content"])
def test_a_text_column_that_comes_late_is_the_text_of_every_shard(
    posts: Path, text: str | None, tmp_path: Path
) -> None:
    """The same rows get the same answers as from `predict_file`."""
    out, target = tmp_path / "out", tmp_path / "answers.parquet"
    report = score(posts, out=out, text=text)
    tally = predict_file(Worker(make_job(out, engine="onnxruntime")).predictor, posts, target, text=text)
    assert (report.answered, report.refused) == (tally.answered, tally.refused)
    assert report.answered == (60 if text in ("title", "title+content") else 7)
    shown = ["title", "content", "sentiment", "post_id"]
    assert answers(out).select(shown).sort("title").equals(pl.read_parquet(target).select(shown).sort("title"))
    names = [tuple(pl.read_parquet_schema(shard)) for shard in (out / "scores").glob("*.parquet")]
    assert len(names) == 3
    assert len(set(names)) == 1


def test_an_id_that_comes_late_is_accepted(posts: Path, tmp_path: Path) -> None:
    score(posts, out=tmp_path / "out", text="title", id="post_id")
    found = answers(tmp_path / "out")
    assert "id" not in found.columns
    assert found["post_id"].drop_nulls().len() == 15


def test_of_a_store_too_and_what_is_in_no_row_is_told(posts: Path, tmp_path: Path) -> None:
    score(stored(posts), out=tmp_path / "out", text="content")
    assert answers(tmp_path / "out").height == 7
    with pytest.raises(DataError, match=r"no column 'body'.*columns found: title, date, content, post_id"):
        score(posts, out=tmp_path / "again", text="body")
    assert not (tmp_path / "again").exists()


def test_a_file_that_grows_new_columns_meanwhile_is_told(posts: Path, tmp_path: Path) -> None:
    from finsa_moe.scale import pieces

    (source,), _ = find_sources([str(posts)], tmp_path / "out")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "_all_names", lambda local: ["title", "date"])
        with pytest.raises(DataError, match=r"posts\.jsonl: has other columns than a moment ago .*being written to"):
            list(pieces.staged_pieces(source, posts, 20, tmp_path, lambda name: False))


def test_cells_of_json_are_strings_and_those_of_parquet_keep_their_types(tmp_path: Path) -> None:
    """As docs/scale.md says."""
    row = {"text": "涨", "price": 7.5, "tickers": ["600519"], "ok": True}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    pl.DataFrame([row]).write_parquet(tmp_path / "b.parquet")
    for name, wanted in (("a.jsonl", ("7.5", '["600519"]', "true")), ("b.parquet", (7.5, ["600519"], True))):
        score(tmp_path / name, out=tmp_path / name[0])
        assert answers(tmp_path / name[0]).select("price", "tickers", "ok").row(0) == wanted

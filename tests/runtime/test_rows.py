"""What is read of files that change, are not to be read, or hold numbers that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime import bulk, rows
from finsa_moe.runtime.bulk import predict_file
from finsa_moe.runtime.distinct import read_pool
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import FakeEngine


def predictor() -> Predictor:
    return Predictor(FakeEngine())


def test_numbers_that_are_none_are_no_text(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": NaN}\n{"text": 1e999}\n{"text": -1e999}\n{"text": 5.5}\n{"text": true}\n')
    tally = predict_file(predictor(), source, tmp_path / "out.jsonl")
    back = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in back] == [5.5, True]
    assert (tally.refused, tally.first) == (3, "line 1: empty text")
    found = read_pool(predictor(), source)
    assert (found.texts, found.refused) == (["5.5", "true"], 3)


@pytest.mark.parametrize("late", ['{"text": "跌", "new": 1}', '{"new": 1, "text": "跌"}', '{"note": 1}'])
def test_a_file_that_grows_columns_while_it_is_read(tmp_path: Path, late: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text('{"text": "涨"}\n', encoding="utf-8")

    def grown(path: Path) -> dict[str, object]:
        found = rows.columns(path)
        source.write_text(f"{late}\n", encoding="utf-8")
        return found

    monkeypatch.setattr(bulk, "columns", grown)
    with pytest.raises(DataError, match=r"in\.jsonl: has other columns than a moment ago .*it is being written to"):
        predict_file(predictor(), source, target)
    assert not target.exists()


@pytest.mark.parametrize("name", ["find_files", "load_frame", "json_values", "read_batches"])
def test_what_the_system_does_not_let_be_read_is_one_line(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = {"load_frame": ".arrow", "json_values": ".jsonl"}.get(name, ".csv")
    (tmp_path / f"in{ending}").write_text("text\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rows, name, refuse)
    for ask in (lambda path: list(rows.read(path)), rows.columns):
        with pytest.raises(DataError, match=rf"in{ending}: cannot be read: Permission denied$"):
            ask(tmp_path / f"in{ending}")


def test_a_pool_reads_one_column_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which columns there are is known before the first row: a name met late changes nothing in mid-file."""
    monkeypatch.setattr(rows, "BATCH_ROWS", 2)
    source = tmp_path / "in.jsonl"
    entries = [{"title": "涨一"}, {"title": "涨二"}, {"text": "跌", "title": "涨三", "id": "a", "date": "周一"}]
    source.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
    found = read_pool(predictor(), source)
    assert (found.texts, found.ids, found.dates) == (["跌"], ["a"], ["周一"])
    assert (found.rows, found.refused) == (3, 2)
    titles = read_pool(predictor(), source, text="title")
    assert (titles.texts, titles.dates) == (["涨一", "涨二", "涨三"], ["", "", "周一"])

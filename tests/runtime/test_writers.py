from __future__ import annotations

import math
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime.writers import ENDINGS, Writer


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_go_to_the_file_that_a_link_leads_to(ending: str, tmp_path: Path) -> None:
    """The link stays one, and nothing is left beside either."""
    store = tmp_path / "store"
    store.mkdir()
    (store / f"real{ending}").write_text("of before")
    link = tmp_path / f"out{ending}"
    link.symlink_to(store / f"real{ending}")
    with Writer(link, ["text"]) as writer:
        writer.write([["净利翻倍"]])
        assert (store / f"real{ending}").read_text() == "of before"
        writer.commit()
    assert link.is_symlink()
    assert "净利翻倍".encode() in (store / f"real{ending}").read_bytes()
    assert [path.name for path in store.iterdir()] == [f"real{ending}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [link.name, "store"]


def test_numbers_that_json_does_not_know_are_null(tmp_path: Path) -> None:
    rows = [[math.nan, {"a": [math.inf, 1.5]}, "涨"], [2.0, None, "跌"]]
    with Writer(tmp_path / "a.jsonl", ["pe", "more", "text"]) as writer:
        writer.write(rows)
        writer.commit()
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == [
        '{"pe": null, "more": {"a": [null, 1.5]}, "text": "涨"}',
        '{"pe": 2.0, "more": null, "text": "跌"}',
    ]


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    link = tmp_path / "out.csv"
    link.symlink_to(tmp_path / "gone" / "real.csv")
    with pytest.raises(DataError, match=r"out\.csv cannot be written: No such file"):
        Writer(link, ["text"])
    link.unlink()
    link.symlink_to(tmp_path / "new.csv")
    with Writer(link, ["text"]) as writer:
        writer.commit()
    assert (tmp_path / "new.csv").read_text() == "text\n"

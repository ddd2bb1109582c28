"""A file as distinct answered texts: rows are accounted for, equal texts meet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime.distinct import read_pool
from tests.fakes import StateEngine, fake_finsa, probabilities


def pool_of(path: Path, **how: str):
    return read_pool(fake_finsa(StateEngine()).predictor, path, **how)


def test_equal_texts_are_answered_once_and_rows_are_accounted_for(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(
        "id,text,time\na,涨停!,周一\nb,公告 跌,\n,涨停,周三\nd, ,周四\ne,\u200b,周五\nf,abc,\n", encoding="utf-8"
    )
    pool = pool_of(path)
    assert pool.ids == ["a", "b", "f"]
    assert pool.texts == ["涨停!", "公告 跌", "abc"]
    assert pool.dates == ["周一", "", ""]
    assert pool.repeats.tolist() == [2, 1, 1]
    assert (pool.rows, pool.refused) == (6, 2)
    assert int(pool.repeats.sum()) + pool.refused == pool.rows
    assert [pool.domains[at] for at in pool.experts] == ["forum", "news", "forum"]
    assert pool.probs[1].tolist() == pytest.approx(probabilities("公告 跌", 0), rel=1e-6)
    assert pool.novelty is not None
    assert pool.novelty.tolist() == pytest.approx([1 / 3, 1 / 4, 1.0])


def test_columns_and_domain_as_named(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps({"a": f"涨{n}", "b": "停", "no": n}) + "\n" for n in range(3)), encoding="utf-8")
    pool = pool_of(path, text="a+b", id="no", domain="news")
    assert pool.texts == ["涨0 停", "涨1 停", "涨2 停"]
    assert pool.ids == ["0", "1", "2"]
    assert pool.experts.tolist() == [0, 0, 0]
    assert pool.dates is None


def test_rows_without_an_id_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "posts.txt"
    path.write_text("涨\n跌\n", encoding="utf-8")
    assert pool_of(path).ids == ["posts-1", "posts-2"]


def test_a_file_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("text\n \n\u200b\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"none of its 2 rows can be answered; see that --text names"):
        pool_of(path)


def test_an_unknown_domain_is_told_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="domain 'newz' is not in this mixture"):
        pool_of(tmp_path / "none.csv", domain="newz")

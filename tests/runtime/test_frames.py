"""Texts that cannot be answered, among others that can: an error for all, or nulls in their places."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime.prediction import Prediction
from tests.fakes import fake_finsa

TEXTS = ["涨", None, "公告跌", " "]


def frames() -> list[Any]:
    pandas = pytest.importorskip("pandas", reason="pandas is not among the dependencies")
    return [pl.DataFrame({"text": TEXTS}), pandas.DataFrame({"text": TEXTS}, index=[7, 3, 5, 1])]


def test_a_row_that_cannot_be_answered_gets_nulls_where_that_is_asked_for() -> None:
    finsa = fake_finsa()
    for frame in frames():
        with pytest.raises(DataError, match="text 1 is"):
            finsa.predict(frame, column="text")
        back = finsa.predict(frame, column="text", errors="null")
        table = back if isinstance(back, pl.DataFrame) else pl.from_pandas(back)
        assert table["sentiment"].to_list() == ["利好", None, "利空", None]
        assert table.select("bullish", "expert", "truncated").null_count().row(0) == (2, 2, 2)
        whole = finsa.predict(frame[::2], column="text")
        whole = whole if isinstance(whole, pl.DataFrame) else pl.from_pandas(whole)
        assert table[::2].equals(whole, null_equal=True)
    assert list(back.index) == [7, 3, 5, 1]
    empty = finsa.predict(pl.DataFrame({"text": [None, ""]}), column="text", errors="null")
    assert empty.schema == finsa.predict(pl.DataFrame({"text": TEXTS[:1]}), column="text").schema


def test_so_do_lists_and_one_text() -> None:
    finsa = fake_finsa()
    found = finsa.predict(TEXTS, errors="null")
    assert [answer and answer.sentiment for answer in found] == ["利好", None, "利空", None]
    assert isinstance(finsa.predict("涨", errors="null"), Prediction)
    assert finsa.predict(" ", errors="null") is None
    with pytest.raises(DataError, match="text 1 is"):
        finsa.predict(TEXTS)  # type: ignore[call-overload]
    with pytest.raises(DataError, match="domain 'sports'"):  # no text's fault
        finsa.predict(TEXTS, domain="sports", errors="null")


def test_other_words_for_errors_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"errors='coerce' is unknown; choose 'raise' or 'null'"):
        fake_finsa().predict(["涨"], errors="coerce")  # type: ignore[call-overload]

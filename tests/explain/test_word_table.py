from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from finsa_moe.data.domains import ALL
from finsa_moe.errors import DataError
from finsa_moe.explain.explanation import Explanation
from finsa_moe.explain.word_table import COLUMNS, WordTable, read_lexicon
from finsa_moe.explain.words import Word
from finsa_moe.polarity import ENGLISH, Polarity


def made(words: dict[str, tuple[float, float, float]], expert: str | None = "news", unread: str = "") -> Explanation:
    text = " ".join(words)
    cut, at = [], 0
    for word in words:
        cut.append(Word(at, at + len(word) + 1, at, word, read=word != unread))
        at += len(word) + 1
    even, weights = dict.fromkeys(ENGLISH, 1 / 3), {expert: 1.0} if expert else {}
    values = np.array(list(words.values()))
    return Explanation(text, tuple(cut), values, even, even, expert, True, weights, {}, "exact", 2)


@pytest.fixture
def table() -> WordTable:
    found = WordTable()
    found.add(made({"涨停": (-0.2, -0.1, 0.3), "了": (0.1, 0.0, -0.1)}))
    found.add(made({"漲停": (0.0, -0.1, 0.1), "跌停": (0.5, -0.4, -0.1), "割肉": (9.0, 9.0, 9.0)}, unread="割肉"))
    found.add(made({"涨停": (0.1, 0.1, -0.2)}, expert="forum"))
    return found


def test_the_lexicon_table_by_hand(table: WordTable) -> None:
    """Bullish, news: 涨停 twice, 0.3 and 0.1 in both scripts; all words together 0.3 + 0.1 + 0.1 + 0.1 = 0.6."""
    (row,) = table.rows(["涨停", "割肉"], polarities=[Polarity.BULLISH], domains=["news"])
    assert (row.word, row.domain, row.polarity, row.frequency) == ("涨停", "news", "利好", 2)
    assert (row.mean, row.mean_abs, row.sum, row.abs_sum, row.share) == pytest.approx((0.2, 0.2, 0.4, 0.4, 0.4 / 0.6))
    (both,) = table.rows(["漲停"], polarities=[Polarity.BULLISH], domains=[ALL])
    assert (both.frequency, both.sum, both.abs_sum) == (3, pytest.approx(0.2), pytest.approx(0.6))
    assert both.share == pytest.approx(0.6 / 0.8)
    assert list(row.as_dict()) == list(COLUMNS)


def test_shares_of_all_words_sum_to_one(table: WordTable) -> None:
    for domain in table.domains:
        for polarity in Polarity:
            rows = table.rows(polarities=[polarity], domains=[domain])
            assert sum(row.share for row in rows) == pytest.approx(1.0)
            assert [row.abs_sum for row in rows] == sorted((row.abs_sum for row in rows), reverse=True)


def test_domains_and_rare_words(table: WordTable) -> None:
    assert table.domains == (ALL, "forum", "news")
    assert table.texts == {"news": 2, "forum": 1}
    assert {row.word for row in table.rows(least=2)} == {"涨停"}
    assert table.missing(["割肉", "涨停", "跌停", "牛市"]) == ["割肉", "牛市"]  # 割肉 stood where nothing was read
    one = WordTable()
    one.add(made({"好": (0.0, 0.0, 0.1)}, expert=None))
    one.add(made({"好": (0.0, 0.0, 0.1)}, expert=None), "blogs")
    assert one.domains == (ALL, "blogs", "model")
    assert WordTable().domains == ()


@pytest.mark.parametrize("names", [("all", "news"), ("news", "all")])
def test_a_domain_of_the_name_of_all_is_refused_beside_others(names: tuple[str, str]) -> None:
    one = WordTable()
    one.add(made({"好": (0.0, 0.0, 0.1)}), names[0])
    with pytest.raises(DataError, match="domain 'all' beside news: is what all domains together are called"):
        one.add(made({"坏": (0.1, 0.0, 0.0)}), names[1])
    alone = WordTable()
    alone.add(made({"好": (0.0, 0.0, 0.1)}, expert="all"))
    assert alone.domains == (ALL,)


def test_the_strongest_are_ranked_by_what_they_move(table: WordTable) -> None:
    rows = table.strongest("news", Polarity.BEARISH)
    assert [(row.word, round(row.sum, 3)) for row in rows] == [("跌停", 0.5), ("涨停", -0.2), ("了", 0.1)]
    assert len(table.strongest("news", Polarity.BEARISH, n=1)) == 1
    assert WordTable().strongest(ALL, Polarity.BEARISH) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("涨停\n\n# 注释\n跌停\n涨停\n", ["涨停", "跌停"]),
        ("\ufeffword,weight\n涨停,3\n\"跌停\",1\n", ["涨停", "跌停"]),
        ("词\t数\n利好\t2\n", ["利好"]),
    ],
)  # fmt: skip
def test_word_lists(content: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(content, encoding="utf-8")
    assert read_lexicon(path) == words
    path.write_text(content.removeprefix("\ufeff"), encoding="gb18030")  # as Excel in China saves CSV
    assert read_lexicon(path) == words


def test_word_lists_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n", encoding="utf-8")
    (tmp_path / "cut.txt").write_bytes("涨停".encode("gb18030")[:-1])
    for name, says in (("empty.txt", "no word in it"), ("cut.txt", "neither UTF-8"), ("none.txt", "No such file")):
        with pytest.raises(DataError, match=says):
            read_lexicon(tmp_path / name)

"""Companies exchanged in rows: whole names alone, none for itself, one for one; lists that share nothing."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
import companies


def test_the_lists_are_long_and_share_no_name() -> None:
    assert min(len(companies.LEARNT), len(companies.KEPT)) > 400
    assert len({*companies.LEARNT, *companies.KEPT}) == len(companies.LEARNT) + len(companies.KEPT)


def test_a_company_becomes_the_same_other_one_wherever_it_stands() -> None:
    text = "宁德时代收购比亚迪一处产线,宁德时代称不影响业绩"
    for seed in range(20):
        first, _, rest = companies.exchanged(text, companies.KEPT, random.Random(seed)).partition("收购")
        second, _, third = rest.partition("一处产线,")
        assert {first, second} <= set(companies.KEPT) - {"宁德时代", "比亚迪"}
        assert first != second
        assert third == f"{first}称不影响业绩"


def test_the_longer_of_two_names_is_taken_whole() -> None:
    assert {"中信证券", "中信银行"} <= {*companies.LEARNT, *companies.KEPT}
    assert companies.exchanged("中信银行", ("万科A",), random.Random(1)) == "万科A"


def test_rows_that_name_a_company_come_again_with_their_label_and_the_others_do_not() -> None:
    rows = [("比亚迪销量翻倍", "利好"), ("大盘缩量震荡", "中性"), ("五粮液业绩下滑", "利空")]
    made = companies.also_exchanged(rows)
    assert made[:3] == rows
    assert [label for _, label in made[3:]] == ["利好", "利空"]
    for (text, _), end in zip(made[3:], ("销量翻倍", "业绩下滑"), strict=True):
        assert text.removesuffix(end) in companies.LEARNT
    assert companies.also_exchanged(rows) == made

"""The gate: who is compared on which texts, and what holds."""

from __future__ import annotations

import numpy as np
import pytest

from finsa_moe.export.parity import SAME, Parity, Reference
from finsa_moe.export.rows import PROVED_EACH, UNKNOWN, Texts, topped_up
from tests.fakes import FakeEngine


def test_the_gate() -> None:
    good = Parity("x", 1000, 0.995, 0.1, 100, 80.0, 79.8, "here")
    assert good.holds
    assert not Parity("x", 1000, 0.994, 0.1, 100, 80.0, 80.0, "here").holds
    worse = Parity("x", 1000, 1.0, 0.1, 100, 80.0, 79.6, "valid.csv line 7")
    assert not worse.holds
    assert "loses 0.40 points" in worse.complaint()
    assert "valid.csv line 7" in worse.complaint()
    assert Parity("x", 1000, 1.0, 0.1, 0, None, None, "here").holds


class Shifted(FakeEngine):
    """Answers one text otherwise."""

    def run(self, ids, mask, experts):  # type: ignore[no-untyped-def]
        scores = super().run(ids, mask, experts)
        odd = (ids == ord("奇")).any(axis=1)
        scores.probs[odd] = [1, 0, 0]
        return scores


def test_parity_is_measured_routed_and_by_each_text_s_own_expert() -> None:
    rows = Texts(["涨涨", "跌", "奇涨涨", "公告涨"], [2, 0, 2, UNKNOWN], [0, 1, 0, UNKNOWN], ["a", "b", "c", "d"])
    reference = Reference(FakeEngine(), rows)
    same = reference.against(FakeEngine())
    assert (same.same, same.largest, same.labelled, same.macro_f1) == (1.0, 0.0, 3, 100.0)
    other = reference.against(Shifted())
    assert (other.same, other.moved, other.lowest) == (2 / 3, "c", "by the expert news")
    assert other.largest > 0.5
    assert other.macro_f1 is not None
    assert other.macro_f1 < 100
    assert {name: at.tolist() for name, at in reference.own.items()} == {"news": [0, 2, 3], "forum": [1, 3]}


class Reversed(FakeEngine):
    """One expert calls rising what falls."""

    def __init__(self, expert: int) -> None:
        super().__init__()
        self.expert = expert

    def run(self, ids, mask, experts):  # type: ignore[no-untyped-def]
        probs, gate, _ = scores = super().run(ids, mask, experts)
        used = gate.argmax(axis=1) if experts is None else np.where(experts < 0, gate.argmax(axis=1), experts)
        probs[used == self.expert] = probs[used == self.expert][:, ::-1]
        return scores


@pytest.mark.parametrize("expert", [0, 1])
def test_one_expert_that_is_reversed_does_not_hold_whosever_rows_are_at_hand(expert: int) -> None:
    """A thousand rows of one domain, by which any other expert would be outvoted; and none at all."""
    many = Texts([f"公告涨{at}" for at in range(1500)], [2] * 1500, [0] * 1500, [f"a {at}" for at in range(1500)])
    for known in (many, Texts()):
        found = Reference(FakeEngine(), topped_up(known, Texts(), 2)).against(Reversed(expert))
        assert not found.holds
        assert found.lowest == f"by the expert {('news', 'forum')[expert]}"
        assert found.counted >= PROVED_EACH
        assert found.same < 0.9 < SAME
        assert f"texts keep their polarity {found.lowest} (99.0 % needed)" in found.complaint()


def test_a_few_texts_that_rounding_moves_do_not_refuse_an_expert() -> None:
    texts = [f"公告涨{at}" for at in range(1500)]
    for odd, holds in ((4, True), (5, False)):  # of the 400 that the second expert is given
        mine = [f"{'奇' if at < odd else ''}公告{at}" for at in range(400)]
        rows = Texts(texts + mine, [UNKNOWN] * 1900, [0] * 1500 + [1] * 400, ["a"] * 1900)
        found = Reference(FakeEngine(), rows).against(Shifted())
        assert (found.holds, found.lowest, found.counted) == (holds, "by the expert forum", 400)


def test_a_form_that_only_its_router_leads_is_compared_routed() -> None:
    rows = Texts(["公告涨"] * 9, [2] * 9, [1] * 9, ["a"] * 9)
    reference = Reference(FakeEngine(), rows)
    assert reference.routed(Reversed(1)).same == 1, "the router sends none to it"
    assert reference.routed(Reversed(0)).same == 0

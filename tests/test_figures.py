from __future__ import annotations

import pytest

from finsa_moe import figures


def test_no_two_short_names_are_alike() -> None:
    """Nor where one already looks as another would be called."""
    assert figures.short(["x (2)", "x", "x", "x"], 24) == ["x (2)", "x", "x (3)", "x (4)"]
    assert figures.short(["x", "x", "x (2)"], 24) == ["x", "x (2)", "x (2) (2)"]
    assert figures.short(["a" * 30 + "b" * 9, "a" * 31 + "b" * 9], 24)[1] == "a" * 12 + "..." + "b" * 9 + " (2)"


def test_a_number_that_stands_alone_would_name_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "chinese_font", lambda: None)
    assert (figures.alone("news"), figures.alone("股吧")) == ("news", "")
    monkeypatch.setattr(figures, "chinese_font", lambda: "Noto Sans CJK SC")
    assert figures.alone("股吧") == "股吧"

"""A font is found that was installed after matplotlib made its list; without any, names can still be drawn."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from finsa_moe.data import fonts


@pytest.fixture(autouse=True)
def _asked_anew():
    fonts.chinese_font.cache_clear()
    yield
    fonts.chinese_font.cache_clear()


class Manager:
    def __init__(self, names: dict[str, str]) -> None:
        self.ttflist = [SimpleNamespace(fname=path, name=name) for path, name in names.items()]
        self.added: list[str] = []

    def addfont(self, path: str) -> None:
        self.added.append(path)
        if path == "/broken.ttf":
            raise RuntimeError("not a font")
        self.ttflist.append(SimpleNamespace(fname=path, name="Noto Sans CJK SC"))


def test_a_font_installed_after_matplotlib_made_its_list_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager({"/old.ttf": "DejaVu Sans"})
    module = SimpleNamespace(fontManager=manager, findSystemFonts=lambda: ["/old.ttf", "/broken.ttf", "/new.ttc"])
    monkeypatch.setattr(fonts, "require", lambda *asked: module)
    assert fonts.chinese_font() == "Noto Sans CJK SC"
    assert manager.added == ["/broken.ttf", "/new.ttc"]


def test_no_file_is_looked_at_where_the_list_has_a_font(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(fontManager=Manager({"/a.ttf": "SimHei"}))
    monkeypatch.setattr(fonts, "require", lambda *asked: module)
    assert fonts.chinese_font() == "SimHei"


def test_names_no_font_can_draw_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "chinese_font", lambda: None)
    assert fonts.drawable(["news", "股吧", "$A_^(B)$"]) == ["news", "#2", r"\$A_^(B)\$"]
    assert fonts.drawable(["#2", r"\$A\$"]) == ["#2", r"\$A\$"]
    monkeypatch.setattr(fonts, "chinese_font", lambda: "Noto Sans CJK SC")
    assert fonts.drawable(["news", "股吧"]) == ["news", "股吧"]

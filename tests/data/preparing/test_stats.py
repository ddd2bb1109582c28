"""The polarity table counts right, and its figure can be drawn without a Chinese font."""

from __future__ import annotations

import warnings

import polars as pl
import pytest
from PIL import Image

from finsa_moe.data import fonts
from finsa_moe.data.preparing import stats
from finsa_moe.errors import DataError


def frames():
    return {
        "news/train": pl.DataFrame({"label": ["利好", "利好", "中性", "利空"]}),
        "news/test": pl.DataFrame({"label": ["利空"]}),
        "news/valid": pl.DataFrame({"label": []}, schema={"label": pl.String}),
    }


def test_the_table_by_hand():
    table = stats.polarity_table(frames())
    assert table.columns == ["set", "bullish", "neutral", "bearish", "total"]
    assert table.rows() == [("news/train", 2, 1, 1, 4), ("news/test", 0, 0, 1, 1), ("news/valid", 0, 0, 0, 0)]
    assert stats.polarity_table({}).height == 0


@pytest.mark.parametrize("font", [None, "DejaVu Sans"])
def test_the_figure_is_a_picture_in_the_colours_of_the_classes(tmp_path, monkeypatch, font):
    for module in (stats, fonts):
        monkeypatch.setattr(module, "chinese_font", lambda: font)
    path = tmp_path / "f.png"
    named = {name.replace("news", "新闻"): frame for name, frame in frames().items()} if font is None else frames()
    with warnings.catch_warnings():
        warnings.simplefilter("error" if font is None else "ignore")  # a missing glyph warns
        stats.plot_polarity(stats.polarity_table(named), path)
    image = Image.open(path).convert("RGB")
    colours = {colour for _, colour in image.getcolors(1 << 24)}
    assert {(0xC8, 0x45, 0x2F), (0xB8, 0xB8, 0xB0), (0x2B, 0x6F, 0x8F)} <= colours
    assert [entry.name for entry in path.parent.iterdir()] == ["f.png"]


def test_a_figure_of_no_known_format_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        stats.plot_polarity(stats.polarity_table(frames()), tmp_path / "f.xyz")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_read_by_split(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text("id,text,label,domain\n1,涨,利好,news\n", encoding="utf-8")
    (tmp_path / "d" / "test.csv").write_text("id,text,label\n1,涨,利好\n", encoding="utf-8")
    assert list(stats.read_prepared([tmp_path / "d"])) == ["news/train", "d/test"]
    with pytest.raises(DataError, match=r"holds none of train\.csv"):
        stats.read_prepared([tmp_path])
    (tmp_path / "d" / "valid.csv").write_text("id,text\n1,涨\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"valid\.csv: no column 'label'; columns found: id, text; make the folder by"):
        stats.read_prepared([tmp_path / "d"])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("content,label\n涨,利好\n", r"no column 'text'; columns found: content, label; make the folder by finsa"),
        (
            "text,label\n涨,利好\n跌,negative\n跌,\n",
            r", row 2: label 'negative' \(2 of 3 rows have such\); allowed 利空/中性/利好",
        ),
        ("text,label\n涨,\n", r", row 1: label '' \(1 of 1 rows have such\); allowed"),
    ],
)
def test_a_folder_that_prepare_did_not_make_is_refused(tmp_path, body, says):
    (tmp_path / "train.csv").write_text(body, encoding="utf-8")
    with pytest.raises(DataError, match=rf"train\.csv.*{says}"):
        stats.read_prepared([tmp_path])

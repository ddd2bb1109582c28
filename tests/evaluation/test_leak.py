"""Scores with a leak and without, by hand; the page and the picture."""

from __future__ import annotations

import polars as pl
import pytest
from sklearn.metrics import accuracy_score, f1_score

from finsa_moe.data.leakage import LeakReport, audit
from finsa_moe.evaluation.leak import harm, lines
from finsa_moe.evaluation.leak_page import audit_page, audit_picture, write

UP = ["净利润大幅增长", "订单饱满", "股价涨停", "获得大额合同", "业绩超预期", "机构上调评级"]
DOWN = ["净利润大幅下滑", "遭到立案调查", "股价跌停", "大额合同终止", "业绩不及预期", "机构下调评级"]


def frame(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["text", "label"], orient="row")


@pytest.fixture(scope="module")
def report() -> LeakReport:
    """Every second test text stands in training; half of those labels are turned round, so a look-up is half right."""
    train = [(f"甲公司第{n}号:{UP[n % 6]}", "利好") for n in range(60)] + [
        (f"乙公司第{n}号:{DOWN[n % 6]}", "利空") for n in range(40)
    ]
    leaked = [(text, label if at % 2 else "利空") for at, (text, label) in enumerate(train[:20])]
    fresh = [(f"丙公司最新的消息编号{n * 977}说{DOWN[n % 6]}", "利空") for n in range(20)]
    return audit({"train": frame(train), "test": frame(leaked + fresh)}, threshold=0.9)


def test_the_look_up_by_hand(report: LeakReport) -> None:
    found = harm(report, "train", "test")
    assert found is not None
    truth = ["利空" if at % 2 == 0 else "利好" for at in range(20)] + ["利空"] * 20
    answers = ["利好"] * 20 + ["利好"] * 20  # leaked ones all stand as 利好; the majority of training too
    assert found.lookup_leaked is not None
    assert found.lookup is not None
    assert (found.lookup_leaked.rows, found.lookup_leaked.accuracy) == (20, 0.5)
    assert found.lookup.accuracy == pytest.approx(accuracy_score(truth, answers))
    assert found.lookup.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"))
    assert found.majority == found.lookup


def test_tfidf_on_clean_and_on_leaked_rows(report: LeakReport) -> None:
    found = harm(report, "train", "test")
    assert found is not None
    assert [(name, judged.rows) for name, judged in lines(found)] == [
        ("majority class", 40), ("look-up of training labels, all rows", 40), ("look-up, leaked rows", 20),
        ("TF-IDF, all rows", 40), ("TF-IDF, leaked rows (equal or near)", 20), ("TF-IDF, clean rows", 20),
    ]  # fmt: skip
    assert found.tfidf_clean is not None
    assert found.tfidf_leaked is not None
    assert found.tfidf_clean.accuracy > 0.9 > found.tfidf_leaked.accuracy
    assert harm(report, "train", "test", tfidf=False).tfidf is None  # type: ignore[union-attr]
    assert found.to_dict()["lookup_leaked"]["accuracy"] == 0.5


def test_nothing_to_judge() -> None:
    one = [("涨", "利好"), ("又涨", "利好")]
    assert harm(audit({"train": frame(one), "test": frame(one)}), "train", "test") is None
    plain = audit({"train": pl.DataFrame({"text": ["涨"]}), "test": pl.DataFrame({"text": ["涨"]})})
    assert harm(plain, "train", "test") is None


def test_the_page_says_what_the_report_says(report: LeakReport) -> None:
    found = harm(report, "train", "test")
    assert found is not None
    page = audit_page(report, [found], "finsa audit <train> & test")
    shared = report.shared("train", "test")
    assert f"{100 * shared.share:.1f} %" in page
    assert "look-up, leaked rows" in page
    assert "finsa audit &lt;train&gt; &amp; test" in page
    assert "http" not in page.split("</style>")[1]
    assert "No text repeats." not in page
    alone = audit_page(audit({"all": frame([("涨", "利好"), ("跌", "利空")])}), [])
    assert "nothing to share with" in alone
    assert "No text repeats." in alone


def test_the_picture_and_a_file_that_is_whole(report: LeakReport, tmp_path) -> None:
    found = harm(report, "train", "test")
    assert found is not None
    for harms in ([], [found]):
        assert audit_picture(report, harms).startswith(b"\x89PNG")
    write(tmp_path / "a.html", "<p>涨</p>")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == "<p>涨</p>"

"""Scores with a leak and without, by hand and by scikit-learn's metrics."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, f1_score

from finsa_moe.data.duplicates.leakage import LeakReport, audit
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.leak.harm import _alike, harms, judged_on, lines
from finsa_moe.polarity import NAMES

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
    (found,) = harms(report)
    truth = ["利空" if at % 2 == 0 else "利好" for at in range(20)] + ["利空"] * 20
    answers = ["利好"] * 20 + ["利好"] * 20  # leaked ones all stand as 利好; the majority of training too
    assert found.lookup_leaked is not None
    assert found.lookup is not None
    assert (found.lookup_leaked.rows, found.lookup_leaked.accuracy) == (20, 0.5)
    assert found.lookup.accuracy == pytest.approx(accuracy_score(truth, answers))
    assert found.lookup.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"))
    assert found.majority == found.lookup


def test_tfidf_on_clean_and_on_leaked_rows(report: LeakReport) -> None:
    (found,) = harms(report)
    assert [(name, judged.rows) for name, judged in lines(found)] == [
        ("majority class", 40), ("look-up of training labels, all rows", 40), ("look-up, leaked rows", 20),
        ("TF-IDF, all rows", 40), ("TF-IDF, leaked rows (equal or near)", 20), ("TF-IDF, clean rows", 20),
    ]  # fmt: skip
    assert found.tfidf_clean is not None
    assert found.tfidf_leaked is not None
    assert found.tfidf_clean.accuracy > 0.9 > found.tfidf_leaked.accuracy
    assert harms(report, tfidf=False)[0].tfidf is None
    assert found.as_dict()["lookup_leaked"]["accuracy"] == 0.5


def test_intervals_draw_clusters_of_near_texts() -> None:
    """Against drawing rows of ten clusters by hand; rows drawn apart would give far narrower ends."""
    rng = np.random.default_rng(3)
    said = ["".join(chr(0x4E00 + int(at)) for at in rng.integers(0, 5000, 24)) for _ in range(10)]
    labels = ["利好"] * 10
    for at in (1, 4, 7):
        labels[at] = "利空"  # training bears 利好 more often: these clusters are answered wrongly, whole
    copies = [(text, label) for text, label in zip(said, labels, strict=True) for _ in range(30)]
    taught = [("涨停了大家快看", "利好"), ("今天还要再涨呢", "利好"), ("跌停板上全是卖单", "利空")]
    (found,) = harms(audit({"train": frame(taught), "test": frame(copies)}))
    assert found.majority is not None
    assert (found.majority.rows, found.majority.clusters) == (300, 10)
    right = rng.binomial(10, 0.7, 4000) / 10  # share of a draw's clusters that are of 利好
    ends = np.quantile(right / (1 + right), (0.025, 0.975))  # its F1, 2r / (1 + r), halved: that of 利空 is 0
    np.testing.assert_allclose(found.majority.interval, ends, atol=0.02)
    assert found.majority.macro_f1 == pytest.approx(0.7 / 1.7)


def test_nothing_to_judge() -> None:
    one = [("涨", "利好"), ("又涨", "利好")]
    assert harms(audit({"train": frame(one), "test": frame(one)})) == []
    plain = audit({"train": pl.DataFrame({"text": ["涨"]}), "test": pl.DataFrame({"text": ["涨"]})})
    assert harms(plain) == []


def test_a_split_is_judged_by_its_own_folders_train() -> None:
    one = frame([("涨", "利好")])
    names = ["news/train", "news/test", "forum/train", "forum/test", "other"]
    assert judged_on(audit(dict.fromkeys(names, one))) == [
        ("news/train", "news/test"), ("forum/train", "forum/test"), ("news/train", "other"),
    ]  # fmt: skip
    assert judged_on(audit({"a": one, "b": one, "c": one})) == [("a", "b"), ("a", "c")]


def test_one_model_a_training_split_and_the_same_scores(report: LeakReport, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {name: report.of(name) for name in ("train", "test")}
    three = audit({**splits, "later": splits["test"]}, threshold=0.9)
    fits = []
    fit = TfidfBaseline.fit
    monkeypatch.setattr(TfidfBaseline, "fit", lambda self, *given: (fits.append(1), fit(self, *given))[1])
    steps: list[tuple[int, int]] = []
    first, second = harms(three, progress=lambda *step: steps.append(step))
    assert len(fits) == 1
    assert steps == [(1, 2), (2, 2)]
    assert (first.test, second.test) == ("test", "later")
    assert first.tfidf == second.tfidf == harms(report)[0].tfidf


def test_of_too_many_rows_those_that_leak_are_learnt(report: LeakReport, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[str] = []
    fit = TfidfBaseline.fit
    monkeypatch.setattr(
        TfidfBaseline, "fit", lambda self, texts, labels: (taught.extend(texts), fit(self, texts, labels))[1]
    )
    (found,) = harms(report, most=60)
    leaked = set(report.of("test")["text"]) & set(report.of("train")["text"])
    assert (found.known, found.learnt, len(taught)) == (100, 60, 60)
    assert len(leaked) == 20
    assert leaked <= set(taught) <= set(report.of("train")["text"])


def test_clean_rows_weighed_to_the_classes_of_the_leaked() -> None:
    """Against scikit-learn, which takes a weight a row."""
    words = {"利好": UP, "利空": DOWN, "中性": ["召开股东大会", "发布公告", "例行会议", "更换门牌"]}
    every = [(f"{name}第{n * 7919}号:{said}", label) for label, own in words.items() for n in range(30) for name, said in [("甲乙丙丁"[n % 4], own[n % len(own)])]]  # fmt: skip
    train, leaked = every[:80], every[5:15] + every[32:36] + every[70:75]
    swapped = {**words, "利好": DOWN}  # wrong one way only
    clean = [(f"戊第{n * 31}条:{(swapped if n % 3 == 0 else words)[label][n % 4]}", label) for n in range(40) for label in (list(words)[min(n % 7, 2)],)]  # fmt: skip
    report = audit({"train": frame(train), "test": frame([*leaked, *clean])}, threshold=0.95)
    (found,) = harms(report)
    assert found.tfidf_leaked is not None
    assert found.tfidf_leaked.rows == len(leaked)
    model = TfidfBaseline().fit([text for text, _ in train], [label for _, label in train])
    said = model.predict_proba([text for text, _ in clean]).argmax(axis=1)
    truth = [NAMES.index(label) for _, label in clean]
    shares = {c: sum(label == name for _, label in leaked) / truth.count(c) for c, name in enumerate(NAMES)}
    weights = [shares[c] for c in truth]
    assert found.tfidf_alike is not None
    assert found.tfidf_clean is not None
    assert found.tfidf_alike.rows == found.tfidf_clean.rows == len(clean)
    assert found.tfidf_alike.macro_f1 == pytest.approx(f1_score(truth, said, average="macro", sample_weight=weights))
    assert found.tfidf_alike.accuracy == pytest.approx(accuracy_score(truth, said, sample_weight=weights))
    assert abs(found.tfidf_alike.macro_f1 - found.tfidf_clean.macro_f1) > 0.01
    low, high = found.tfidf_alike.interval
    assert low < found.tfidf_alike.macro_f1 < high
    assert found.tfidf_alike.clusters == found.tfidf_clean.clusters <= len(clean)


def test_weighed_intervals_draw_clusters_too() -> None:
    """Copies of ten times as many rows leave the interval as it is, but for chance."""
    rng = np.random.default_rng(5)
    truth = np.array([0, 1, 2] * 30)
    said = np.where(rng.random(90) < 0.7, truth, rng.integers(0, 3, 90))
    leaked = np.arange(90) < 30
    one = _alike(truth, said, leaked, np.arange(90))
    ten = _alike(*(np.repeat(each, 10) for each in (truth, said, leaked, np.arange(90))))
    assert one is not None
    assert ten is not None
    assert (one.rows, one.clusters, ten.rows, ten.clusters) == (60, 60, 600, 60)
    assert ten.macro_f1 == pytest.approx(one.macro_f1)
    np.testing.assert_allclose(ten.interval, one.interval, atol=0.02)


def test_weighed_draws_without_a_class_are_no_error() -> None:
    truth = np.repeat([0, 1, 2, 0, 1, 2], (30, 30, 30, 50, 2, 50))
    found = _alike(truth, truth, np.arange(192) < 90, np.arange(192))
    assert found is not None
    assert (found.macro_f1, found.interval) == (1.0, (1.0, 1.0))


def test_classes_that_cannot_be_weighed(report: LeakReport) -> None:
    (found,) = harms(report)  # of 利好 no row is clean
    assert found.tfidf_clean is not None
    assert found.tfidf_alike is None


def test_few_rows_train_no_model() -> None:
    rows = [(f"{word}了{at}", label) for at in range(24) for word, label in (("涨", "利好"), ("跌", "利空"))]
    (found,) = harms(audit({"train": frame(rows), "test": frame(rows[:4])}))
    assert (found.known, found.learnt, found.tfidf) == (48, 0, None)
    assert found.lookup_leaked is not None


def test_a_class_that_no_leaked_row_bears_is_in_no_mean() -> None:
    """One error on either side: with like classes the clean rows score what the leaked ones do."""
    truth = np.array([0, 2] * 20)
    said = truth.copy()
    said[0] = 2  # of a leaked row
    said[20] = 1  # of a clean one: a class that stands in no label
    leaked = np.arange(40) < 20
    alike = _alike(truth, said, leaked, np.arange(40))
    assert alike is not None
    assert alike.macro_f1 == pytest.approx(f1_score(truth[~leaked], said[~leaked], labels=[0, 2], average="macro"))

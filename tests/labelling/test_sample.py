"""A sample of a file: no two near, none labelled before, experts' shares, columns that prepare takes for no label."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.data.duplicates.held_out import jaccard, ngrams
from finsa_moe.data.reading.usual import USUAL
from finsa_moe.errors import ConfigError
from finsa_moe.labelling.sample import COLUMNS, SampleSettings, sample, write_sample
from finsa_moe.labelling.sheet import read_sheet
from finsa_moe.runtime.distinct import Pool, read_pool
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import StateEngine, fake_finsa

WORDS = "锂电券商地产半导体白酒航运光伏银行煤炭钢铁医药游戏传媒军工农业"


@pytest.fixture
def predictor() -> Predictor:
    return fake_finsa(StateEngine()).predictor


def made(path: Path, rows: int = 120, seed: int = 1) -> Path:
    """Rows of which a third are near copies of the one before."""
    rng = np.random.default_rng(seed)
    lines, text = [], ""
    for at in range(rows):
        if at % 3 == 2:
            text = text[:-1] + "呢"
        else:
            text = "".join(rng.choice(list(WORDS), 24)) + "涨跌升空"[at % 4] * int(rng.integers(0, 3))
            text = ("公告" if at % 5 == 0 else "") + text
        lines.append(f"{at},{text}")
    path.write_text("id,text\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def pool(tmp_path: Path, predictor: Predictor) -> Pool:
    return read_pool(predictor, made(tmp_path / "posts.csv"))


def test_no_two_are_near_and_none_was_labelled_before(pool: Pool, predictor: Predictor) -> None:
    known = [pool.texts[at][:-1] + "吗" for at in range(0, 120, 4)]
    rows = sample(predictor, pool, SampleSettings(20), known=known)
    texts = [str(row["text"]) for row in rows]
    assert len(texts) == 20
    grams = [ngrams(text) for text in texts]
    assert max(jaccard(left, right) for left, right in combinations(grams, 2)) < 0.7
    assert max(jaccard(one, ngrams(other)) for one in grams for other in known) < 0.7


def test_everything_is_given_out_once_when_more_is_asked_than_there_is(pool: Pool, predictor: Predictor) -> None:
    rows = sample(predictor, pool, SampleSettings(10_000))
    assert 75 <= len(rows) <= 85  # a third of the rows are copies of others
    assert len({row["id"] for row in rows}) == len(rows)


def test_doubtful_texts_come_first(predictor: Predictor, tmp_path: Path) -> None:
    """Of a hundred texts half are plainly bullish and half hardly so: the sample holds mostly the latter, chance half."""
    rng = np.random.default_rng(3)
    texts = ["".join(rng.choice(list(WORDS), 24)) + ("涨升涨升" if at % 2 else "涨") for at in range(100)]
    (tmp_path / "posts.csv").write_text("text\n" + "\n".join(texts) + "\n", encoding="utf-8")
    pool = read_pool(predictor, tmp_path / "posts.csv")

    def doubtful(**how: bool) -> float:
        rows = [row for seed in range(6) for row in sample(predictor, pool, SampleSettings(10, 2, seed=seed, **how))]
        return float(np.mean(["涨升" not in str(row["text"]) for row in rows]))

    assert doubtful() > 0.75
    assert 0.3 < doubtful(at_random=True) < 0.7


def test_experts_get_equal_shares(pool: Pool, predictor: Predictor) -> None:
    rows = sample(predictor, pool, SampleSettings(20, by_expert=True))
    assert [row["expert"] for row in rows].count("news") == 10
    texts = [ngrams(str(row["text"])) for row in rows]
    assert max(jaccard(left, right) for left, right in combinations(texts, 2)) < 0.7


def test_what_one_expert_lacks_the_others_give(predictor: Predictor, tmp_path: Path) -> None:
    """Forty posts of one make, near each other, and thirty notices: the posts give one, the notices the rest."""
    rng = np.random.default_rng(4)
    posts = ["锂电券商地产半导体白酒航运光伏银行煤炭钢铁" + "啊呢吧吗"[at % 4] * (1 + at // 20) for at in range(40)]
    notices = ["公告" + "".join(rng.choice(list(WORDS), 24)) for _ in range(30)]
    (tmp_path / "posts.csv").write_text("text\n" + "\n".join(posts + notices) + "\n", encoding="utf-8")
    rows = sample(predictor, read_pool(predictor, tmp_path / "posts.csv"), SampleSettings(20, by_expert=True))
    experts = [row["expert"] for row in rows]
    assert len(rows) == len({row["id"] for row in rows}) == 20
    assert experts.count("forum") < 5


def test_chance_hangs_on_the_seed_alone(pool: Pool, predictor: Predictor) -> None:
    def ids(seed: int) -> list[object]:
        return [row["id"] for row in sample(predictor, pool, SampleSettings(15, at_random=True, seed=seed))]

    assert ids(1) == ids(1) != ids(2)


@pytest.mark.parametrize(("rows", "n"), [(10, 5), (2, 1)])
def test_chance_gives_every_row_as_good_a_chance(rows: int, n: int, tmp_path: Path, predictor: Predictor) -> None:
    """Also where half are chosen: of 300 seeds, within 4 standard errors, each row and the first half of them."""
    rng = np.random.default_rng(5)
    texts = ["".join(rng.choice(list(WORDS), 24)) for _ in range(rows)]
    (tmp_path / "posts.csv").write_text("text\n" + "\n".join(texts) + "\n", encoding="utf-8")
    pool = read_pool(predictor, tmp_path / "posts.csv")
    times = np.zeros(rows)
    for seed in range(300):
        for row in sample(predictor, pool, SampleSettings(n, at_random=True, seed=seed)):
            times[texts.index(str(row["text"]))] += 1
    share = n / rows
    assert times.sum() == 300 * n
    np.testing.assert_allclose(times / 300, share, atol=4 * np.sqrt(share * (1 - share) / 300))
    first, part = times[: rows // 2].sum() / 300, rows // 2 / rows
    spread = np.sqrt(n * part * (1 - part) * (rows - n) / (rows - 1))  # hypergeometric
    assert abs(first - n * part) < 4 * spread / np.sqrt(300)


def test_a_chosen_row_says_why(pool: Pool, predictor: Predictor, tmp_path: Path) -> None:
    rows = sample(predictor, pool, SampleSettings(12))
    answers = dict(zip(pool.texts, predictor.predict(pool.texts), strict=True))
    for row in rows:
        answer = answers[str(row["text"])]
        assert row["guess"] == answer.sentiment
        assert row["confidence"] == pytest.approx(answer.confidence)
        assert str(row["why"]).startswith(f"{answer.sentiment} {answer.confidence:.2f} or ")
        assert f"more unusual than {100 * (answer.novelty or 0):.0f} % of known texts" in str(row["why"])
        assert "alike" not in str(row["why"])
    assert sum(int(str(row["why"]).rpartition("of a group of ")[2]) for row in rows if "group" in str(row["why"])) > 12
    write_sample(tmp_path / "s.csv", rows)
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["id"] for row in written] == [row["id"] for row in rows]
    assert "date" not in written[0]
    assert not {name for name in COLUMNS if name in USUAL["label"]}


def test_no_text_is_more_unusual_than_all(tmp_path: Path, predictor: Predictor) -> None:
    """0.9988 would be rounded to 100 %."""
    (tmp_path / "posts.txt").write_text("wholly unlike anything that is known\n涨涨跌跌看看再说\n", encoding="utf-8")
    pool = read_pool(predictor, tmp_path / "posts.txt")
    assert pool.novelty is not None
    assert pool.novelty.max() == 1
    said = [str(row["why"]) for row in sample(predictor, pool, SampleSettings(2))]
    assert sum("more unusual than 99 % of known texts" in why for why in said) == 1
    assert not [why for why in said if "100 %" in why]


def test_a_file_of_copies_is_searched_to_its_end(tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "spam.txt"
    text = "锂电券商地产半导体白酒航运光伏银行煤炭钢铁医药游戏传媒军工农业今年一季度业绩预告出齐了大家慢慢看别急着下结论等年报"
    copies = [f"{text[:at]}好{text[at:]}" for at in range(0, 62, 2)]  # near, not equal
    others = ["今天天气不错适合出门走走看看花开了没有", "涨涨涨涨涨涨涨涨涨涨涨涨涨涨涨涨升升升升"]
    path.write_text("\n".join([*copies, *others]) + "\n", encoding="utf-8")
    rows = sample(predictor, read_pool(predictor, path), SampleSettings(3, breadth=1))
    assert {str(row["text"]) for row in rows} >= set(others)
    assert len(rows) == 3


def test_rows_of_one_id_get_one_each_that_another_sample_gives_them_too(tmp_path: Path, predictor: Predictor) -> None:
    """As where every stock's rows count from 1; `finsa label` takes no id twice."""
    path = made(tmp_path / "posts.csv", 60)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text(
        "\n".join([lines[0], *(f"{at % 20},{line.split(',')[1]}" for at, line in enumerate(lines[1:]))]),
        encoding="utf-8",
    )
    pool = read_pool(predictor, path)
    samples = [sample(predictor, pool, SampleSettings(n, at_random=True, seed=n)) for n in (25, 1000)]
    assert all(len({row["id"] for row in rows}) == len(rows) for rows in samples)
    named = [{row["text"]: row["id"] for row in rows} for rows in samples]
    assert all(named[1].get(text, name) == name for text, name in named[0].items())
    write_sample(tmp_path / "s.csv", samples[1])
    assert len(read_sheet(tmp_path / "s.csv")) == len(samples[1])
    assert {"0", "10_2"} < {row["id"] for row in samples[1]}


def test_settings_that_mean_nothing() -> None:
    with pytest.raises(ConfigError, match="--n 0"):
        SampleSettings(0)

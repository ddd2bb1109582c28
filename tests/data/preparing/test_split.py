"""Splits keep equal texts together, every label everywhere, and owe nothing to the order of the rows."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.preparing.split import SPLITS, settle_conflicts, split, with_clusters
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError

LABELS = ["利空", "中性", "利好"]
ROWS = st.lists(
    st.tuples(st.integers(0, 25), st.sampled_from(["", "!", " ", "？"]), st.sampled_from(LABELS)), max_size=60
)
RATIOS = st.sampled_from([(98, 1, 1), (60, 20, 20), (0.8, 0.1, 0.1), (80, 0, 20), (1, 0, 0), (1, 1, 1)])


def frame(rows):
    """Rows from (text, label) pairs, with an id each."""
    columns = {
        "id": [str(n) for n in range(len(rows))],
        "text": [row[0] for row in rows],
        "label": [row[1] for row in rows],
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


@given(ROWS, RATIOS, st.integers(-5, 2**40), st.randoms())
@settings(max_examples=200, deadline=None)
def test_what_a_split_promises(cells, ratios, seed, chance):
    rows = frame([(f"第{number}条{mark}", label) for number, mark, label in cells])
    parts = split(rows, ratios, seed)
    assert list(parts) == list(SPLITS)
    ids = [name for part in parts.values() for name in part["id"].to_list()]
    assert sorted(ids) == sorted(rows["id"].to_list())
    where = defaultdict(set)
    for name, part in parts.items():
        for text in part["text"].to_list():
            where[duplicate_key(text)].add(name)
    assert all(len(sides) == 1 for sides in where.values())
    shuffled = rows.sample(fraction=1, shuffle=True, seed=chance.randrange(10**6))
    assert all(part.equals(parts[name]) for name, part in split(shuffled, ratios, seed).items())
    assert all(not part.height for name, part in parts.items() if ratios[SPLITS.index(name)] == 0)


@given(ROWS, RATIOS)
@settings(max_examples=200, deadline=None)
def test_every_label_with_three_clusters_stands_in_every_split(cells, ratios):
    rows = settle_conflicts(frame([(f"第{number}条{mark}", label) for number, mark, label in cells])).frame
    parts = split(rows, ratios, 13)
    for label in LABELS:
        clusters = rows.filter(pl.col("label") == label)["cluster"].n_unique()
        present = [name for name, part in parts.items() if label in part["label"].to_list()]
        wanted = [name for name, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0]
        if clusters >= 3:
            assert present == wanted
        elif clusters:
            assert "train" in present
            assert len(present) == min(clusters, len(wanted))
            assert clusters == 1 or len(wanted) == 1 or "test" in present


def test_the_published_counts_of_the_forum_set():
    counts = {"利好": (3532, 1176, 1176), "中性": (889, 296, 296), "利空": (3854, 1284, 1284)}
    rows = frame([(f"{label}{n}", label) for label, parts in counts.items() for n in range(sum(parts))])
    parts = split(rows, (60, 20, 20), 13)
    for label, expected in counts.items():
        assert tuple(parts[name]["label"].to_list().count(label) for name in SPLITS) == expected


def test_large_clusters_keep_the_ratios_near():
    rows = frame([(f"第{n % 700}条", LABELS[n % 700 % 3]) for n in range(3000)])
    parts = split(rows, (60, 20, 20), 13)
    assert [round(part.height / 3000, 2) for part in parts.values()] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


def test_another_seed_is_another_draw_and_the_draw_is_no_order():
    rows = frame([(f"第{n}条", "利好") for n in range(200)])
    one, other = split(rows, (60, 20, 20), 1), split(rows, (60, 20, 20), 2)
    common = set(one["test"]["id"].to_list()) & set(other["test"]["id"].to_list())
    assert 0 < len(common) < 20  # 8 of 40 by chance
    assert one["train"]["id"].to_list() != sorted(one["train"]["id"].to_list(), key=int)


def test_a_given_cluster_column_is_kept_together():
    rows = frame([(f"第{n}条", "利好") for n in range(90)]).with_columns(
        cluster=pl.Series([f"g{n % 9}" for n in range(90)])
    )
    parts = split(rows, (60, 20, 20), 3)
    groups = [set(part["cluster"].to_list()) for part in parts.values()]
    assert sum(map(len, groups)) == 9
    assert with_clusters(rows) is rows


def test_conflicts_the_majority_stands_and_a_tie_is_refused():
    rows = [
        ("A 股", "利好"),
        ("a股!", "利好"),
        ("A股", "利空"),
        ("平", "中性"),
        ("平。", "利空"),
        ("独", "利好"),
        ("独", "利好"),
    ]
    settled = settle_conflicts(frame(rows))
    assert settled.frame["id"].to_list() == ["0", "1", "5", "6"]
    assert settled.refused.select("id", "reason").rows() == [
        ("2", "label 利空 against 2 of 3 equal texts labelled 利好"),
        ("3", "2 equal texts bear different labels and none has the majority"),
        ("4", "2 equal texts bear different labels and none has the majority"),
    ]
    assert (settled.duplicates, settled.clusters_in_conflict) == (2, 2)


@given(ROWS)
@settings(max_examples=200, deadline=None)
def test_conflicts_against_a_count_by_hand(cells):
    rows = [(f"第{number}条{mark}", label) for number, mark, label in cells]
    votes = defaultdict(Counter)
    for text, label in rows:
        votes[duplicate_key(text)][label] += 1
    settled = settle_conflicts(frame(rows))
    expected = []
    for index, (text, label) in enumerate(rows):
        ranking = votes[duplicate_key(text)].most_common()
        clear = len(ranking) == 1 or ranking[0][1] > ranking[1][1]
        if clear and label == ranking[0][0]:
            expected.append(str(index))
    assert settled.frame["id"].to_list() == expected
    assert settled.frame.height + settled.refused.height == len(rows)


@pytest.mark.parametrize("ratios", [(0, 1, 1), (1, -1, 1), (1, 1), (float("nan"), 1, 1), (0, 0, 0), ()])
def test_wrong_ratios(ratios):
    with pytest.raises(ConfigError, match="allowed are three numbers"):
        split(frame([("涨", "利好")]), ratios, 13)


@pytest.mark.parametrize("ratios", [(98, 1, 1), (60, 20, 20), (80, 10, 10)])
@pytest.mark.parametrize("seed", range(5))
def test_ratios_are_met_within_half_a_point_whatever_the_sizes_of_the_clusters(ratios, seed):
    """Two thousand clusters: most of one row, some of dozens, one of a fifth of all rows."""
    rng = np.random.default_rng(seed)
    sizes = np.concatenate([rng.zipf(2.0, 2_000).clip(1, 60), [1_500]])
    labels = np.repeat(rng.integers(0, 3, len(sizes)), sizes)
    rows = frame([("", LABELS[label]) for label in labels.tolist()]).with_columns(
        cluster=pl.Series(np.repeat(np.arange(len(sizes)), sizes))
    )
    parts = split(rows, ratios, seed)
    shares = [100 * part.height / rows.height for part in parts.values()]
    assert shares == pytest.approx(ratios, abs=0.5)

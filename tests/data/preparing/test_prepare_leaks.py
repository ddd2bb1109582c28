"""No way of preparing lets a cluster stand in two splits, loses a row, or follows the order of the files."""

from __future__ import annotations

import itertools
import random
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.duplicates.clusters import near_clusters
from finsa_moe.data.preparing import prepare as room
from finsa_moe.data.preparing.prepare import prepare
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.read import read_rows
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import DataError
from finsa_moe.polarity import LabelMap
from tests.data.preparing.test_prepare import LABELS, load, write

HEADER = ("id", "text", "label", "event", "date", "source_id")
SPLITS = ("train", "valid", "test")
LETTERS = [chr(code) for code in range(0x4E00, 0x4F00)]


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    monkeypatch.setattr(room, "plot_polarity", lambda table, path: path.touch())


def planted(chance, count):
    """Rows of `HEADER`: texts, copies of them in other spelling and with a character changed, events, dates, rewrites."""
    rows = []
    for number in range(count):
        kind = chance.random()
        if rows and kind < 0.2:
            text = chance.choice(rows)[1] + chance.choice(["", "!", " ", "。"])
        elif rows and kind < 0.5:
            text = chance.choice(rows)[1]
            at = chance.randrange(max(1, len(text)))
            text = text[:at] + chance.choice(LETTERS) + text[at + 1 :]
        else:
            text = "".join(chance.choices(LETTERS, k=chance.randint(1, 60)))
        label = chance.choice([*LABELS, *LABELS, *LABELS, "?"])
        text = text if chance.random() > 0.03 else " "
        event = chance.choice(["", *(f"e{n}" for n in range(count))])
        day = f"2026-{chance.randint(1, 6):02}-{chance.randint(1, 28):02}"
        source = str(chance.randrange(count)) if chance.random() < 0.1 else ""
        rows.append((str(number), text, label, event, day, source))
    return rows


def lone(number):
    """A text like no other."""
    return "".join(random.Random(number).choices(LETTERS, k=30))


def tied(rows, *, near, event):
    """Pairs of rows that must not part, as positions."""
    keys = [duplicate_key(row[1]) for row in rows]
    ids = near_clusters([row[1] for row in rows]).ids.tolist()
    for one, other in itertools.combinations(range(len(rows)), 2):
        together = keys[one] == keys[other] or (near and ids[one] == ids[other])
        together |= event and rows[one][3] != "" and rows[one][3] == rows[other][3]
        together |= rows[one][5] != "" and rows[one][5] in (rows[other][0], rows[other][5])
        together |= rows[other][5] != "" and rows[other][5] == rows[one][0]
        if together:
            yield one, other


@given(
    st.integers(0, 2**32), st.integers(2, 45), st.sampled_from(["near", "exact", "event"]),
    st.sampled_from([None, date(2026, 3, 31)]), st.sampled_from(["majority", "drop", "keep"]), st.sampled_from([(60, 20, 20), (98, 1, 1)]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_what_every_preparation_promises(tmp_path_factory, seed, count, by, test_after, conflicts, ratios):
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("leaks")
    rows = planted(chance, count)
    orders = [rows, chance.sample(rows, len(rows))]
    outs = []
    for number, order in enumerate(orders):
        for at in range(3):
            write(folder / f"raw{number}" / f"{'cab'[at]}.csv", order[at::3], HEADER)
        out = folder / f"out{number}"
        options = {"by": by, "test_after": test_after, "conflicts": conflicts, "ratios": ratios, "seed": seed}
        try:
            report = prepare([folder / f"raw{number}"], domain="news", out=out, **options)
        except DataError as error:
            assert "can be used" in str(error) or "--test-after" in str(error)  # noqa: PT017
            assert not out.exists()
            outs.append(None)
            continue
        outs.append({name: (out / f"{name}.csv").read_bytes() for name in SPLITS})
        side = {row["id"]: name for name in SPLITS for row in load(out / f"{name}.csv")}
        refused = [row["id"] for row in load(out / "rejects.csv")]
        assert sorted([*side, *refused]) == sorted(row[0] for row in rows)
        assert report.rows == {"in": len(rows), "kept": len(side), "refused": len(refused)}
        kept = [row for row in rows if row[0] in side]
        for one, other in tied(kept, near="exact" not in by, event="event" in by):
            assert side[kept[one][0]] == side[kept[other][0]]
        if test_after:
            assert all((side[row[0]] == "test") == (row[4] > "2026-03-31") for row in kept)
        assert (out / "report.json").is_file()
    assert outs[0] == outs[1]


def test_a_rewrite_stays_with_its_original_through_every_way(tmp_path):
    """Augmented rows come in a file of their own, and a later split must not part them from what they were made of."""
    rows = [(n, lone(n), LABELS[n % 3], "", "", "") for n in range(60)]
    new = [(f"{n}-a", lone(10_000 + n), LABELS[n % 3], "", "", n) for n in range(1, 60)]
    sources = [write(tmp_path / "raw.csv", rows, HEADER), write(tmp_path / "new.csv", new, HEADER)]
    for by in ("near", "exact"):
        out = tmp_path / by
        prepare(sources, domain="forum", out=out, by=by)
        side = {row["id"]: name for name in SPLITS for row in load(out / f"{name}.csv")}
        assert len(set(side.values())) == 3
        assert all(side[f"{n}-a"] == side[str(n)] for n in range(1, 60))
        assert {row["source_id"] for row in load(out / "train.csv")} > {""}


def test_originals_are_found_by_the_ids_that_they_get(tmp_path):
    """Rows without ids, named by the ones that are made for them; of originals that are not there, a count is told."""
    raw = write(tmp_path / "raw.csv", [(lone(n), LABELS[n % 3]) for n in range(60)], ("text", "label"))
    new = [(f"a{n}", lone(10_000 + n), LABELS[n % 3], "", "", f"forum-raw-{n + 1}") for n in range(60)]
    lost = [(f"b{n}", lone(20_000 + n), LABELS[n % 3], "", "", f"raw-{n + 1}") for n in range(7)]
    report = prepare([raw, write(tmp_path / "new.csv", [*new, *lost], HEADER)], domain="forum", out=tmp_path / "out")
    side = {row["id"]: name for name in SPLITS for row in load(tmp_path / "out" / f"{name}.csv")}
    assert len(set(side.values())) == 3
    assert all(side[f"a{n}"] == side[f"forum-raw-{n + 1}"] for n in range(60))
    assert [told for told in report.warnings if told.startswith("7 rows name by source_id an original that is not")]


def test_rows_made_from_another_name_it_by_the_id_that_it_gets(tmp_path):
    """Two files that both count from 1."""
    for number in range(2):
        rows = [(n, lone(n + 100 * number), LABELS[n % 3], "", "", "") for n in range(1, 31)]
        rows += [(100 + n, f"{lone(n + 100 * number)}又一版", LABELS[n % 3], "", "", n) for n in range(1, 31)]
        write(tmp_path / "raw" / f"{number}.csv", rows, HEADER)
    report = prepare([tmp_path / "raw"], domain="forum", out=tmp_path / "out")
    assert report.ids["changed"] == 120
    rows = [row for name in SPLITS for row in load(tmp_path / "out" / f"{name}.csv")]
    texts = {row["id"]: row["text"] for row in rows}
    made = [row for row in rows if row["text"].endswith("又一版")]
    assert len(made) == 60
    assert all(row["text"] == f"{texts[row['source_id']]}又一版" for row in made)
    table = read_rows([tmp_path / "raw"], Columns(), LabelMap(), "forum")
    assert set(table.frame["source_id"]) - {""} == {row["source_id"] for row in made}


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    source = write(tmp_path / "raw" / "a.csv", [(n, lone(n), LABELS[n % 3]) for n in range(9)])
    monkeypatch.setattr(room, "stage", full)
    with pytest.raises(
        DataError, match="cannot be written: No space left on device; make room or choose another --out"
    ):
        prepare([source], domain="forum", out=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_a_day_that_parts_nothing_is_an_error_that_says_what_days_there_are(tmp_path):
    rows = [(n, lone(n), LABELS[n % 3], "", f"2026-0{1 + n // 30}-15", "") for n in range(90)]
    raw = write(tmp_path / "raw.csv", rows, HEADER)
    for cut, says in ((date(2027, 1, 1), "no row is later"), (date(2025, 1, 1), "every row is later")):
        with pytest.raises(
            DataError, match=rf"--test-after {cut}: {says}.*; the dates run from 2026-01-15 to 2026-03-15"
        ):
            prepare([raw], domain="forum", out=tmp_path / "out", test_after=cut)
        assert not (tmp_path / "out").exists()

"""What stands of an earlier export: temperatures, their calibration, and what is known of texts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from finsa_moe.errors import ModelError
from finsa_moe.export.calibrate import Calibration, fit_temperature
from finsa_moe.export.known import Known
from finsa_moe.export.rows import Texts
from finsa_moe.export.states import Measured, measure
from finsa_moe.export.tuned import Earlier, temperatures, write_novelty
from finsa_moe.runtime.graph_engine import GraphEngine
from tests.conftest import Export

RNG = np.random.default_rng(5)
OLD = Earlier({"news": 1.25, "forum": 0.75}, {"news": Calibration(900, 1.25, 0.05, 0.02)})
FORUM_ROWS, NOTICES_ROWS = 80, 60


@pytest.fixture
def held() -> tuple[Texts, Measured]:
    """Held-out rows: none of news, enough of forum and of notices; a wrong answer in five, all of them too sure."""
    labels = RNG.integers(0, 3, FORUM_ROWS + NOTICES_ROWS)
    answers = np.where(RNG.random(len(labels)) < 0.2, RNG.integers(0, 3, len(labels)), labels)
    domains = [1] * FORUM_ROWS + [2] * NOTICES_ROWS
    rows = Texts(["x"] * len(labels), labels.tolist(), domains, [""] * len(labels))
    return rows, Measured(
        (9 * np.eye(3)[answers]).astype(np.float32), np.zeros((len(labels), 4), np.float32), [], domains
    )


def test_fitted_where_rows_are_at_hand_else_as_before(held: tuple[Texts, Measured]) -> None:
    rows, found = held
    engine = SimpleNamespace(domains=("news", "forum", "notices"), ngrams=(None,) * 3)
    settled, told = temperatures(engine, rows, found, OLD, keep=False)  # type: ignore[arg-type]
    forum, notices = slice(0, FORUM_ROWS), slice(FORUM_ROWS, None)
    wanted = [fit_temperature(found.own_logits[at], np.array(rows.labels[at])) for at in (forum, notices)]
    assert settled == (1.25, *wanted)
    assert (told["news"], told["forum"].rows, told["notices"].rows) == (OLD.calibration["news"], 80, 60)


def test_kept_for_every_domain_that_was_there(held: tuple[Texts, Measured]) -> None:
    rows, found = held
    engine = SimpleNamespace(domains=("news", "forum", "notices"), ngrams=(None,) * 3)
    settled, told = temperatures(engine, rows, found, OLD, keep=True)  # type: ignore[arg-type]
    assert settled[:2] == (1.25, 0.75)
    assert settled[2] not in (1.0, 1.25, 0.75)
    assert set(told) == {"news", "notices"}


def test_without_rows_or_an_earlier_export_there_is_no_temperature() -> None:
    engine = SimpleNamespace(domains=("news", "notices"), ngrams=(None,) * 2)
    assert temperatures(engine, Texts(), None, Earlier(), keep=False) == ((1.0, 1.0), {})  # type: ignore[arg-type]
    assert temperatures(engine, Texts(), None, OLD, keep=False) == ((1.25, 1.0), OLD.calibration)  # type: ignore[arg-type]


def test_read_from_a_folder(exported: Export, tmp_path: Path) -> None:
    copy = tmp_path / "runtime"
    shutil.copytree(exported.folder, copy)
    found = Earlier.read(tmp_path, ("news", "forum"), copy)
    assert found.temperatures == {"news": 1.0, "forum": 1.0}  # of 24 rows each none is fitted
    assert found.calibration["forum"] == Calibration(24, 1.0, None, None)
    assert found.known is not None
    found.known.only(["news"]).save(tmp_path)  # beside the mixture: sums of just the domains that it has
    beside = Earlier.read(tmp_path, ("news",), copy).known
    assert beside is not None
    assert beside.domains == ("news",)
    whole = Earlier.read(tmp_path, ("news", "forum"), copy).known
    assert whole is not None
    assert whole.domains == ("news", "forum")
    (copy / "export.json").write_text(json.dumps({"calibration": {"news": 3}}), encoding="utf-8")
    with pytest.raises(ModelError, match="'calibration' is damaged; export that model anew"):
        Earlier.read(tmp_path, ("news",), copy)
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match="give a folder that finsa export wrote"):
        Earlier.read(tmp_path, ("news",), copy)


def test_novelty_from_sums_alone(exported: Export, tmp_path: Path) -> None:
    """No text at hand: what is known of the domains that remain is what stood in the sums, to the bit."""
    known = Known.load(exported.folder)
    assert known is not None
    engine = SimpleNamespace(domains=("forum",), ngrams=(None,) * 1)
    assert write_novelty(engine, tmp_path, Texts(), None, Earlier(known=known), [])  # type: ignore[arg-type]
    found = Known.load(tmp_path)
    assert found is not None
    assert (tmp_path / "novelty.onnx").is_file()
    assert found.domains == ("forum",)
    assert np.array_equal(found.counts[0], known.counts[1])
    assert np.array_equal(found.measures, known.measures[known.whose == 1])
    empty = replace(known, measures=known.measures[:0], whose=known.whose[:0])
    other = SimpleNamespace(domains=("forum", "notices"), ngrams=(None,) * 2)
    for who, before in ((engine, Earlier()), (engine, Earlier(known=empty)), (other, Earlier(known=known))):
        assert not write_novelty(who, tmp_path / "none", Texts(), None, before, [])  # type: ignore[arg-type]


def measured(known: Known, count: int, of: int = 1) -> Known:
    """With so many measures, of one domain."""
    return replace(known, measures=known.measures[:count], whose=np.full(count, of))


def test_the_background_of_an_earlier_export_stands_where_none_is_named(exported: Export, tmp_path: Path) -> None:
    """With all rows at hand too; not where the vocabulary is another."""
    known, raw = Known.load(exported.folder), json.loads((exported.folder / "config.json").read_text(encoding="utf-8"))
    assert known is not None
    shutil.copy(exported.folder / "tokenizer.json", tmp_path)
    engine = GraphEngine(exported.folder, raw, precision="fp32")
    seen = Texts(["净利翻倍", "又要跌停", "中标大单", "横盘整理"], [2, 0, 2, 1], [0, 1, 0, 1], [""] * 4)
    counts = RNG.integers(0, 9, known.counts.shape[1]).astype(np.float32)
    for background, kept in ((counts, counts), (None, None)):
        earlier = Earlier(known=replace(known, background=background))
        assert write_novelty(engine, tmp_path, seen, measure(engine, seen), earlier, [])
        found = Known.load(tmp_path)
        assert found is not None
        assert found.background is kept if kept is None else np.array_equal(found.background, kept)
        assert found.whose.tolist() == [0, 1, 0, 1]
    wider = replace(known, background=np.append(counts, 1), counts=np.pad(known.counts, ((0, 0), (0, 1))))
    assert write_novelty(engine, tmp_path, seen, measure(engine, seen), Earlier(known=wider), [])
    found = Known.load(tmp_path)
    assert found is not None
    assert found.background is None


def test_what_a_domain_measured_before_goes_when_it_is_measured_again(exported: Export, tmp_path: Path) -> None:
    """Its sums stand, for none of its training texts are at hand, but its held-out texts are not counted twice."""
    known = Known.load(exported.folder)
    assert known is not None
    engine = SimpleNamespace(domains=("news", "forum"), ngrams=(None,) * 2)
    held = Measured(np.zeros((3, 3), np.float32), known.means[[1, 1, 1]], [[5, 6], [7], [8, 9]], [1, 1, 1])
    assert write_novelty(engine, tmp_path, Texts(), held, Earlier(known=known), [])  # type: ignore[arg-type]
    found = Known.load(tmp_path)
    assert found is not None
    assert np.bincount(found.whose).tolist() == [int((known.whose == 0).sum()), 3]


def test_one_held_out_text_has_no_spread(exported: Export, tmp_path: Path) -> None:
    """Two have one; with fewer no reference is written, rather than one that answers with no number."""
    known = Known.load(exported.folder)
    assert known is not None
    engine = SimpleNamespace(domains=("forum",), ngrams=(None,) * 1)
    for count, written in ((1, False), (2, True)):
        (tmp_path / str(count)).mkdir()
        earlier = Earlier(known=measured(known, count))
        assert write_novelty(engine, tmp_path / str(count), Texts(), None, earlier, []) == written  # type: ignore[arg-type]
        assert (tmp_path / str(count) / "novelty.onnx").is_file() == written
    one = Measured(np.zeros((1, 3), np.float32), known.means[:1], [[5, 6]], [0])
    earlier = Earlier(known=measured(known, 0))
    assert not write_novelty(engine, tmp_path / "none", Texts(), one, earlier, [])  # type: ignore[arg-type]
    assert not write_novelty(engine, tmp_path / "none", Texts(), one, Earlier(known=measured(known, 1)), [])  # type: ignore[arg-type]
    earlier = Earlier(known=measured(known, 1, of=-1))
    assert write_novelty(engine, tmp_path / "1", Texts(), one, earlier, [])  # type: ignore[arg-type]
    found = Known.load(tmp_path / "1")
    assert found is not None
    assert np.isfinite(found.measures).all()

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from finsa_moe.errors import DataError
from finsa_moe.evaluation.comparison.cells import Answers, Cell, Cells
from finsa_moe.evaluation.fingerprints import of_folder, of_weights

PROBS = np.random.default_rng(0).dirichlet((1, 1, 1), 4).astype(np.float32)
INPUTS: dict[str, list[object]] = {"train": [["a", "b"], [0, 1]], "test/x": [["c"], [2]]}
CELL = Cell("tfidf-lr?per=domain", 13, 0.25)


def test_kept_and_found_again(tmp_path: Path) -> None:
    store = Cells(tmp_path / "cells", INPUTS)
    assert store.find(CELL) is None
    store.keep(CELL, Answers({"x": PROBS, "forum/y": PROBS[:1]}, {"x": ["news", "forum"]}, {"seconds": 2.5}))
    found = Cells(tmp_path / "cells", INPUTS).find(CELL)
    assert found is not None
    assert np.array_equal(found.probs["x"], PROBS)
    assert np.array_equal(found.probs["forum/y"], PROBS[:1])
    assert found.experts == {"x": ["news", "forum"]}
    assert found.facts == {"seconds": 2.5}
    assert len(list((tmp_path / "cells").iterdir())) == 1  # nothing half-written is left


@pytest.mark.parametrize(
    "other",
    [
        {**INPUTS, "train": [["a", "c"], [0, 1]]},
        {**INPUTS, "train": [["a", "b"], [0, 2]]},
        {**INPUTS, "test/x": [["d"], [2]]},
        {**INPUTS, "dev": [["e"], [0]]},
    ],
)
def test_other_rows_are_another_cell(other: dict[str, list[object]], tmp_path: Path) -> None:
    Cells(tmp_path, INPUTS).keep(CELL, Answers({"x": PROBS}))
    assert Cells(tmp_path, other).find(CELL) is None
    assert Cells(tmp_path, INPUTS).find(CELL) is not None
    assert Cells(tmp_path, INPUTS).find(CELL, model="another folder") is None


def test_every_cell_has_a_name_of_its_own() -> None:
    cells = [
        Cell(model, seed, share) for model in ("a?b", "a:b", "a_b") for seed in (None, 1, 11) for share in (1, 0.1)
    ]
    assert len({cell.name for cell in cells}) == len(cells)
    assert all("/" not in cell.name for cell in (*cells, Cell("hf:a/b/../c")))


def test_a_damaged_cell_says_so(tmp_path: Path) -> None:
    store = Cells(tmp_path, INPUTS)
    store.keep(CELL, Answers({"x": PROBS}))
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"\.npz: damaged .*; remove it"):
        store.find(CELL)


def test_a_folders_fingerprint_is_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("one")
    before = of_folder(tmp_path)
    assert before == of_folder(tmp_path)
    (tmp_path / "sub" / "a").write_text("two")
    assert of_folder(tmp_path) != before


def test_a_models_card_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w")
    (tmp_path / "experts").mkdir()
    (tmp_path / "experts" / "README.md").write_text("of an expert")
    before = of_folder(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / ".lock").write_text("1")
    assert of_folder(tmp_path) == before
    (tmp_path / "experts" / "adapter").write_bytes(b"a")
    assert of_folder(tmp_path) != before


def test_a_comparison_beside_the_weights_is_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "experts").mkdir()
    for name in ("model.safetensors", "experts/ngrams.npz", "ngrams1.npz", "router_ngrams.npz"):
        (tmp_path / name).write_bytes(b"w")
        before = of_weights(tmp_path)
        Cells(tmp_path / "comparison" / "cells", INPUTS).keep(Cell(name), Answers({"x": PROBS}))
        assert of_weights(tmp_path) == before
        (tmp_path / name).write_bytes(b"v")
        assert of_weights(tmp_path) != before


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04"])
def test_a_damaged_cell_is_one_line(damage: bytes, tmp_path: Path) -> None:
    store, cell = Cells(tmp_path, {}), Cell("majority", 1)
    store.keep(cell, Answers({"news": np.eye(3, dtype=np.float32)}))
    path = next(tmp_path.glob("*.npz"))
    path.write_bytes(damage)
    with pytest.raises(DataError, match=r"damaged .*; remove it and run the comparison again"):
        store.find(cell)

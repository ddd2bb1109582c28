"""The cells of a comparison on disk: what one model, trained with one seed on one share of the rows, answered.

Probabilities go in under a name and a fingerprint of all that made them, and come out again only for the same
fingerprint; a file has its name only when it is whole. It knows neither models nor scores.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import DataError
from finsa_moe.files import whole_file

Probs = NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """What a model answered.

    Attributes:
        probs: By test set, (n, 3) float32.
        experts: By test set, the expert that answered each text, (n,); empty for a model without experts.
        facts: What else is known: seconds, rows, tokens, cost.
    """

    probs: Mapping[str, Probs]
    experts: Mapping[str, list[str]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One model, seed and share of the training rows.

    Attributes:
        model: The model's spec as written.
        seed: Random seed of its training; None for a model that needs none.
        share: Share of the training rows that it was trained on, in (0, 1].
    """

    model: str
    seed: int | None = None
    share: float = 1.0

    @property
    def name(self) -> str:
        """A file's name for it, readable and without doubles."""
        plain = re.sub(r"[^\w.-]+", "_", self.model)[:60]
        digest = hashlib.sha256(self.model.encode()).hexdigest()[:8]
        seed = "fixed" if self.seed is None else f"seed{self.seed}"
        return f"{plain}-{digest}-{seed}-{100 * self.share:g}"


class Cells:
    """A folder of cells.

    Args:
        folder: Made when the first cell is kept.
        inputs: Texts and labels of training, dev and test rows by role; their content is part of every fingerprint.
    """

    def __init__(self, folder: Path, inputs: Mapping[str, Sequence[object]]) -> None:
        self.folder = folder
        self._inputs = hashlib.sha256(
            json.dumps({role: list(rows) for role, rows in sorted(inputs.items())}, ensure_ascii=False).encode()
        ).hexdigest()

    def fingerprint(self, cell: Cell, model: str = "") -> str:
        """Fingerprint of the cell, the rows and, for a model that is trained already, its files."""
        return hashlib.sha256(f"{self._inputs}\n{cell}\n{model}".encode()).hexdigest()

    def find(self, cell: Cell, model: str = "") -> Answers | None:
        """The cell's answers; None where there are none, or some of other rows or another model."""
        path = self.folder / f"{cell.name}.npz"
        if not path.is_file():
            return None
        try:
            with np.load(path) as kept:
                facts = json.loads(str(kept["facts"]))
                if facts.pop("fingerprint") != self.fingerprint(cell, model):
                    return None
                probs = {name[6:]: kept[name] for name in kept.files if name.startswith("probs/")}
                experts = {name[8:]: kept[name].tolist() for name in kept.files if name.startswith("experts/")}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
            raise DataError(f"{path}: damaged ({error}); remove it and run the comparison again") from None
        return Answers(probs, experts, facts)

    def keep(self, cell: Cell, answers: Answers, model: str = "") -> None:
        """Write a cell.

        Raises:
            DataError: If it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{cell.name}.npz"
        facts = json.dumps({**answers.facts, "fingerprint": self.fingerprint(cell, model)}, ensure_ascii=False)
        arrays: dict[str, Any] = {f"probs/{name}": part for name, part in answers.probs.items()}
        arrays |= {f"experts/{name}": np.array(part) for name, part in answers.experts.items()}
        with whole_file(path) as file:
            np.savez_compressed(file, facts=np.array(facts), **arrays)

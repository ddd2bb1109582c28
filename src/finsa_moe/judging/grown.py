"""What one expert more did to every domain: routed macro-F1 before and after, and who gets its texts.

Two mixtures' folders and labelled files go in, scores by domain come out. It trains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finsa_moe.model.reading import Reading


@dataclass(frozen=True)
class Checked:
    """Labelled rows of one domain: texts, and the class of each by name."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Moved:
    """Routed macro-F1 of one domain in percent, by the old mixture and by the new, on so many rows.

    `own` is the share of these rows that the new mixture sends to the domain's own expert.
    """

    rows: int
    before: float
    after: float
    own: float


def read_checks(files: Mapping[str, Path], old: Sequence[str], new: str, reading: Reading) -> dict[str, Checked]:
    """The rows named by ``--check``, read before anything is trained.

    Raises:
        ConfigError: If one is of a domain that neither mixture has.
        DataError: If a file cannot be read, or has a row that cannot be used.
    """
    from finsa_moe.data.reading.read import read_rows
    from finsa_moe.errors import ConfigError

    found = {}
    for name, path in files.items():
        if name not in (*old, new):
            raise ConfigError(f"--check {name}={path}: there is no domain {name}; allowed are {', '.join((*old, new))}")
        table = read_rows([path], reading.columns, reading.labels, None)
        table.check()
        found[name] = Checked(table.frame["text"].to_list(), table.frame["label"].to_list())
    return found


def own_rows(data: Path) -> Path | None:
    """The prepared file of held-out rows that the new domain is judged by: its test split, else its valid split."""
    from finsa_moe.data.reading.read import read_frame

    paths = [data / f"{split}.csv" for split in ("test", "valid")]
    return next((path for path in paths if path.is_file() and read_frame(path).height), None)


def scores(old: Path, new: Path, checks: Mapping[str, Checked], device: str | None) -> dict[str, Moved]:
    """Routed macro-F1 by the two mixtures and where the new one sends the rows, by domain."""
    import numpy as np

    from finsa_moe.evaluation.metrics import score
    from finsa_moe.face import load
    from finsa_moe.polarity import NAMES

    found: dict[str, list[float]] = {name: [] for name in checks}
    own: dict[str, float] = {}
    truth = {name: np.array([NAMES.index(label) for label in rows.labels]) for name, rows in checks.items()}
    for folder in (old, new) if checks else ():
        model = load(folder, device=device)
        for name, rows in checks.items():
            classes = np.unique(truth[name]).tolist()  # a domain may lack one
            answers = model.predict(rows.texts)
            probs = [list(one.scores.values()) for one in answers]
            found[name].append(100 * score(truth[name], probs, classes=classes, resamples=1).macro_f1)
            own[name] = float(np.mean([one.expert == name for one in answers]))
    return {name: Moved(len(truth[name]), before, after, own[name]) for name, (before, after) in found.items()}

"""The data that a mixture was trained on, found again by what its ``metrics.json`` noted, or missed aloud.

A mixture's folder goes in; prepared folders by domain come out, and one line on what an export lacks without the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from finsa_moe.data.marks import Noted
from finsa_moe.export.tuned import Earlier
from finsa_moe.model.adapter import read_json


@dataclass(frozen=True)
class Sources:
    """The folders of a mixture's domains.

    Attributes:
        found: Those that are as they were in training.
        lost: Of each other one that was noted, what was looked for and why it cannot be taken.
    """

    found: dict[str, Path]
    lost: dict[str, str]

    def complaint(self, earlier: Earlier) -> str | None:
        """What the export lacks for want of rows, after what an earlier export knows; None where it lacks nothing."""
        bare = [name for name in self.lost if name not in earlier.temperatures]
        known = earlier.known.domains if earlier.known else ()
        strange = [name for name in self.lost if name not in known]
        lacks = [f"no calibration of {', '.join(bare)}"] * bool(bare) + ["no novelty score"] * bool(strange)
        if not lacks:
            return None
        told = ", ".join(f"{name}={self.lost[name]}" for name in self.lost if name in {*bare, *strange})
        remedy = " ".join(f"--data {name}=FOLDER" for name in (*self.found, *self.lost))
        return f"missing training rows: {told}; the export has {' and '.join(lacks)}; to mend that: {remedy}"


def trained_on(folder: Path) -> Sources:
    """What a mixture's ``metrics.json`` names as the data of its training; nothing where there is no such file.

    Raises:
        ModelError: If the file is damaged.
    """
    file = folder / "metrics.json"
    noted = read_json(file).get("data", {}) if file.is_file() else {}
    found: dict[str, Path] = {}
    lost: dict[str, str] = {}
    for name, note in noted.items():
        one = Noted.read(note)
        if why := one.lost():
            lost[name] = f"{one.folder} ({why})"
        else:
            found[name] = one.folder
    return Sources(found, lost)

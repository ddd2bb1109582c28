"""The data that a mixture was trained on, found again by what its ``metrics.json`` noted, or missed aloud.

A mixture's folder goes in; prepared folders by domain come out, and one line on what an export lacks without the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from finsa_moe.data.marks import Noted
from finsa_moe.errors import DataError
from finsa_moe.export.rows import held_out, training
from finsa_moe.export.tuned import Earlier
from finsa_moe.files import read_json
from finsa_moe.model.checkpoint import read_config
from finsa_moe.model.history import METRICS
from finsa_moe.model.reading import READING, Reading


@dataclass(frozen=True)
class Sources:
    """The folders of a mixture's domains.

    Attributes:
        found: Those that are as they were in training.
        lost: Of each other one that was noted, what was looked for and why it cannot be taken.
        readings: How the rows of a domain are read, where it was told in training.
    """

    found: dict[str, Path]
    lost: dict[str, str]
    readings: dict[str, Reading] = field(default_factory=dict)

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
    facts = read_json(folder / METRICS, absent={})
    noted, readings = facts.get("data", {}), _readings(facts)
    found: dict[str, Path] = {}
    lost: dict[str, str] = {}
    for name, note in noted.items():
        one = Noted.read(note)
        if why := one.lost() or _unreadable(name, one.folder, readings):
            lost[name] = f"{one.folder} ({why})"
        else:
            found[name] = one.folder
    return Sources(found, lost, readings)


def given(folder: Path, data: Mapping[str, Path]) -> Sources:
    """Folders that the user names, read as the mixture's own were; one that has the usual columns is read by those.

    A domain for which none is named is lost.

    Raises:
        ModelError: If the mixture's ``metrics.json`` is damaged.
    """
    readings = _readings(read_json(folder / METRICS, absent={}))
    loose = {name: Reading(replace(one.columns, loose=True), one.labels) for name, one in readings.items()}
    lost = {name: "none (no --data of it)" for name in read_config(folder).domains if name not in data}
    return Sources(dict(data), lost, loose)


def _readings(facts: Mapping[str, object]) -> dict[str, Reading]:
    noted = facts.get(READING)
    return {name: Reading.read(note) for name, note in noted.items() if note} if isinstance(noted, Mapping) else {}


def _unreadable(name: str, folder: Path, readings: Mapping[str, Reading]) -> str | None:
    """Why a folder gives no rows, though it is the one of training: its test rows were never looked at there."""
    try:
        held_out({name: folder}, (name,), readings)
        training({name: folder}, (name,), readings)
    except DataError as error:
        return str(error)
    return None

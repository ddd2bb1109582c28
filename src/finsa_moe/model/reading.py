"""How a domain's rows were read for training, as a mixture's ``metrics.json`` keeps it: columns, spelling of classes.

What the user gave goes in and comes out again, so that whoever reads the same files later reads the same rows. It reads
no files itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from finsa_moe.data.reading.columns import Columns
from finsa_moe.errors import DataError
from finsa_moe.polarity import LabelMap

READING = "reading"
"""The entry of ``metrics.json``: by domain, what `Reading.as_dict` gives; missing in mixtures of earlier versions."""


@dataclass(frozen=True)
class Reading:
    """The user's own names.

    Attributes:
        columns: Of the columns.
        labels: Of the classes.
    """

    columns: Columns = field(default_factory=Columns)
    labels: LabelMap = field(default_factory=LabelMap)

    @classmethod
    def read(cls, note: object) -> Reading:
        """A note as it stands in JSON; the usual names where there is none, or none that can be read."""
        told = note if isinstance(note, Mapping) else {}
        columns, labels = (part if isinstance(part := told.get(key), Mapping) else {} for key in ("columns", "labels"))
        known = {spec.name for spec in fields(Columns)}
        try:
            return cls(
                Columns(**{key: value for key, value in columns.items() if key in known}), LabelMap.parse(labels)
            )
        except DataError:
            return cls()

    def as_dict(self) -> dict[str, Any]:
        """The note for JSON, with only what was given."""
        columns = {spec.name: value for spec in fields(Columns) if (value := getattr(self.columns, spec.name))}
        labels = {key: polarity.chinese for key, polarity in self.labels.entries.items()}
        return {key: part for key, part in (("columns", columns), ("labels", labels)) if part}


USUAL = Reading()
"""Nothing given: columns are found by their usual names, classes by every spelling that is known."""

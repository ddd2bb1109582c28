"""Graphs of an earlier export, for a mixture whose network is the same: they need not be traced and stored again.

An exported folder goes in, its graphs come out in another; whether they answer as a mixture does is proved elsewhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finsa_moe.errors import ConfigError
from finsa_moe.files import read_json
from finsa_moe.runtime.folder import CONFIG, GraphSet, Manifest


@dataclass(frozen=True)
class Taken:
    """An exported folder and its manifest."""

    folder: Path
    manifest: Manifest

    @classmethod
    def of(cls, folder: Path) -> Taken:
        """Read the manifest.

        Raises:
            ModelError: If `folder` is no exported one.
        """
        return cls(folder, Manifest.parse(read_json(folder / CONFIG, "name a folder that finsa export wrote"), folder))

    def check(
        self, precisions: Sequence[str], *, single: bool, domains: Sequence[str], source: Mapping[str, object]
    ) -> tuple[str, ...]:
        """The precisions to keep: those asked for, or else all there are.

        Args:
            precisions: Those asked for.
            single: Whether a single graph is, which would have to be traced.
            domains: The mixture's.
            source: What its own manifest would say of the network it was exported from.

        Raises:
            ConfigError: If one of them is not there, or the graphs are another network's.
        """
        if tuple(domains) != self.manifest.domains:
            theirs = ", ".join(self.manifest.domains)
            raise ConfigError(
                f"{self.folder}: has graphs of {theirs}, the mixture has {', '.join(domains)}; leave --graphs out"
            )
        if odd := [key for key, value in source.items() if self.manifest.source.get(key) != value]:
            theirs = self.manifest.source.get(odd[0], "unknown")
            raise ConfigError(
                f"{self.folder}: has graphs of {odd[0]} {theirs}, the mixture has {source[odd[0]]}; leave --graphs out"
            )
        there = tuple(self.manifest.graphs)
        if single:
            raise ConfigError("--single: that graph would have to be traced; leave --graphs or --single out")
        if strange := [precision for precision in precisions if precision not in there]:
            raise ConfigError(
                f"{self.folder}: has no graphs of {strange[0]}, only of {', '.join(there)}; leave --graphs out"
            )
        return tuple(precisions) or there

    def copy(self, precision: str, working: Path) -> GraphSet:
        """Put the graphs of one precision into `working`.

        Raises:
            ModelError: If a file is missing or not what the manifest says.
        """
        kept = self.manifest.graphs[precision]
        for file in (kept.trunk, *kept.experts):
            file.read(self.folder)
            shutil.copy(self.folder / file.file, working / file.file)
        return kept

"""What a run that adds a domain began as, noted in its folder, so that it goes on only as that.

Marks and settings go in; nothing comes out but a refusal. It knows neither experts nor routers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finsa_moe.config import StageConfig
from finsa_moe.errors import ConfigError
from finsa_moe.files import read_json
from finsa_moe.training.resume import same_inputs, same_settings

EXPERT, STARTED = "expert", "started.json"
_TOLD = {
    "domain": "of {}", "rows": "on other rows", "model": "of another mixture",
    "reading": "that read its rows by other columns or labels",
}  # fmt: skip


def check_same(out: Path, now: Mapping[str, Any], settings: StageConfig, *, resume: bool) -> None:
    """A run goes on only as what it began as; one of an earlier version noted less.

    Args:
        out: The run's folder.
        now: What it would begin as: a mark by name, and ``settings``.
        settings: The resolved configuration.
        resume: Whether it shall go on; else it need only be of the same domain, rows and mixture.

    Raises:
        ConfigError: If it began as another.
    """
    marker = out / STARTED
    begun = read_json(marker, absent={})
    for name, told in _TOLD.items():
        if begun.get(name, now[name]) != now[name]:
            found = told.format(begun.get(name))
            raise ConfigError(f"{out}: holds a run {found}; name another --out, or remove it first")
    if resume:
        same_settings(marker, begun.get("settings", now["settings"]), settings)
        same_inputs(marker, begun, {name: mark for name, mark in now.items() if name != "settings"})


@contextmanager
def started(out: Path, begun: Mapping[str, Any]) -> Iterator[None]:
    """Note what a run is of, for as long as there is something of it."""
    there = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    (out / STARTED).write_text(json.dumps(begun, ensure_ascii=False) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        if not (out / EXPERT).exists():  # refused before it began
            (out / STARTED).unlink()
            if not there:
                out.rmdir()


def texts_mark(texts: Sequence[str]) -> str:
    """16 hexadecimal digits of SHA-256 over texts in their order; empty for none."""
    if not texts:
        return ""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]

"""What an export learns from held-out rows, and what an earlier export knows already: temperatures and novelty.

An engine over the new graphs, texts and an earlier folder go in, temperatures, calibrations and the reference of the
novelty score come out. It traces nothing but that reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from finsa_moe.data.lines import normalised_lines
from finsa_moe.errors import ModelError
from finsa_moe.export import graphs
from finsa_moe.export.calibrate import Calibration, calibrate
from finsa_moe.export.known import Known, token_counts
from finsa_moe.export.novelty import fit
from finsa_moe.export.rows import Texts
from finsa_moe.export.states import Measured, measure
from finsa_moe.files import read_json
from finsa_moe.runtime.folder import CONFIG, NOVELTY, TOKENIZER, Manifest
from finsa_moe.runtime.graph_engine import GraphEngine

REPORT = "export.json"
FEWEST_HELD = 2
"""Held-out texts under which nothing says how unlike a known text may be: one has no spread."""


@dataclass(frozen=True)
class Earlier:
    """What an earlier export, and the mixture's folder, know of domains.

    Attributes:
        temperatures: By domain.
        calibration: By domain, as it was measured.
        known: Sums over the domains' texts; None where none were kept.
    """

    temperatures: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    known: Known | None = None

    @classmethod
    def read(cls, mixture: Path, domains: Sequence[str], export: Path | None) -> Earlier:
        """From a mixture of these domains and, where there is one, an export of it before it changed.

        Sums of just these domains are taken before sums of more.

        Raises:
            ModelError: If the export is none, or damaged.
        """
        sums = [Known.load(place) for place in (export, mixture) if place is not None]
        there = sorted((one for one in sums if one is not None), key=lambda one: set(one.domains) != set(domains))
        known = there[0] if there else None
        if export is None:
            return cls(known=known)
        kept = Manifest.parse(read_json(export / CONFIG, "give a folder that finsa export wrote"), export)
        return cls(dict(zip(kept.domains, kept.temperatures, strict=True)), _calibration(export / REPORT), known)


def _calibration(report: Path) -> dict[str, Calibration]:
    """What an export's report says of calibration, by domain; nothing where there is none."""
    told = read_json(report, absent={}).get("calibration", {})
    try:
        return {name: Calibration(**found) for name, found in told.items()}
    except (AttributeError, TypeError):
        raise ModelError(f"{report}: its part 'calibration' is damaged; export that model anew") from None


def temperatures(
    engine: GraphEngine, rows: Texts, found: Measured | None, earlier: Earlier, *, keep: bool
) -> tuple[tuple[float, ...], dict[str, Calibration]]:
    """One temperature an expert, and by domain how it was come by.

    Args:
        engine: Over the new graphs.
        rows: Held-out rows.
        found: What they look like inside; None without rows.
        earlier: What is known already; it stands for a domain of which too few rows are at hand.
        keep: Whether it stands for every domain that it knows.
    """
    settled, told = dict(earlier.temperatures), dict(earlier.calibration)
    for index, name in enumerate(engine.domains):
        if found is None or (keep and name in settled):
            continue
        own = rows.of(index)
        logits, table = found.own_logits[own], engine.ngrams[index]
        if table is not None:
            logits = logits + table([rows.texts[at] for at in own])
        fitted = calibrate(logits, np.array(rows.labels)[own])
        if fitted.ece_after is not None:
            settled[name], told[name] = fitted.temperature, fitted
        told.setdefault(name, fitted)
    names = engine.domains
    return tuple(settled.get(name, 1.0) for name in names), {name: told[name] for name in names if name in told}


def write_novelty(
    engine: GraphEngine, working: Path, seen: Texts, held: Measured | None, earlier: Earlier, background: Sequence[Path]
) -> bool:
    """Fit the reference of the novelty score and write its graph and its sums; False where too little is known.

    Args:
        engine: Over the new graphs.
        working: The folder of the export, its tokenizer in it.
        seen: Training texts of the domains at hand.
        held: What held-out rows look like inside; None without rows.
        earlier: Its sums stand for the domains that have no training texts here.
        background: Files of text of other kinds; without any, what `earlier` counted in some stands.
    """
    at_hand = [name for index, name in enumerate(engine.domains) if len(seen.of(index))]
    others = [name for name in engine.domains if name not in at_hand]
    before = earlier.known
    if others and (before is None or not set(others) <= set(before.domains)):
        return False
    again = {engine.domains[at] for at in held.domains} if held else set()
    known = before.only(others).forget(again) if before is not None and others else None
    measured = (len(held.ids) if held else 0) + (len(known.measures) if known else 0)
    if measured < FEWEST_HELD or (at_hand and held is None):
        return False
    if at_hand:
        vocabulary = int(Tokenizer.from_file(str(working / TOKENIZER)).get_vocab_size())  # ids it can give
        counts = _background(engine, background, vocabulary)
        if counts is None and before is not None and before.counts.shape[1] == vocabulary:
            counts = before.background
        texts = measure(engine, seen)
        places = np.array([at_hand.index(engine.domains[at]) for at in seen.domains])
        own = Known.of(at_hand, texts.ids, texts.states, places, counts, vocabulary)
        known = own if known is None else known.joined(own)
    assert known is not None
    whose = [known.domains.index(engine.domains[at]) for at in held.domains] if held else []
    reference, known = fit(known, held.ids if held else [], held.states if held else known.means[:0], whose)
    known.save(working)
    example = (*graphs.example_ids(), torch.from_numpy(known.means[:1].repeat(2, axis=0)))
    graphs.write(
        graphs.trace(reference, example, ("ids", "mask", "states"), ("distances", "knots")), working / NOVELTY, "fp32"
    )
    return True


def _background(engine: GraphEngine, files: Sequence[Path], vocabulary: int) -> np.ndarray | None:
    """Token counts (V,) of files of text, None without any."""
    if not files:
        return None
    counts = np.zeros(vocabulary, dtype=np.float32)
    lines = normalised_lines(files)
    while part := list(islice(lines, 10_000)):
        counts += token_counts([encoded.ids for encoded in engine.encode(part)], vocabulary)
    return counts

"""A further domain for a finished mixture: one more expert on its frozen backbone, and a router wider by one.

A mixture's folder and prepared rows go in, a new mixture's folder comes out. The old experts and heads are copied, not
trained; the router learns from states like those of the old domains, not from their texts.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn

from finsa_moe.config import DomainConfig, ExpertConfig
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.encode import TextEncoder
from finsa_moe.data.marks import Noted, mark_of
from finsa_moe.data.reading.read import read_texts
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.files import read_json
from finsa_moe.model.adapter import EXPERT_FACTS, HEAD, read_tensors
from finsa_moe.model.checkpoint import BACKBONE, EXPERTS, WEIGHTS, load_mixture, read_config
from finsa_moe.model.growth import add, check_new, widened
from finsa_moe.model.history import METRICS, SETTINGS
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.reading import READING, USUAL, Reading
from finsa_moe.model.replay import read_replay
from finsa_moe.model.router import Router
from finsa_moe.model.sketch import Sketch
from finsa_moe.polarity import NAMES
from finsa_moe.training.batches import Rows, read_split, steps_of
from finsa_moe.training.device import training_device
from finsa_moe.training.expert import train_expert
from finsa_moe.training.probe import SEEN, answers, drawn, encoder_of, states_of
from finsa_moe.training.resume import files_mark
from finsa_moe.training.started import EXPERT, check_same, started, texts_mark
from finsa_moe.training.unlabelled import head_lengths, routing_rows
from finsa_moe.training.widen import new_layers

MOE = "moe"
FEW, FRESH = 100, "fresh"
DRAWN = 16_384
"""States drawn of each old domain: half of them to teach, half to tell a small share by."""


def add_domain(
    source: Path, domain: str, data: Path, out: Path, *, settings: DomainConfig, resume: bool = False,
    device: str | None = None, reading: Reading = USUAL,
    replay: Mapping[str, Path] | None = None, held_out: Sequence[str] = (), say: Any = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Train the expert, widen the router, write ``out/moe``; `source` is only read.

    Args:
        source: The mixture.
        domain: Name of the new domain.
        data: Its prepared folder, ``train.csv`` and ``valid.csv``.
        out: ``out/expert`` and ``out/moe`` are written.
        settings: The resolved configuration.
        resume: Go on with the run in `out`; of a finished one its facts are given back.
        device: Torch device name.
        reading: Columns and classes by the user's own names, when the files were not made by ``finsa prepare``.
        replay: A file of texts of each old domain, where `source` keeps no sketch of their states.
        held_out: Texts that the model is going to be judged by; training rows and replayed texts equal or near to one
            are dropped.
        say: Told in a line of each step and of what to beware of.

    Returns:
        Facts of the expert, of where it started, and the share of each domain's states sent to its own expert by the
        old router and by the new.

    Raises:
        ModelError: If the name is taken, the experts share a head, no states of the old domains are at hand, or
            training diverges.
        DataError: If the rows cannot be used.
        ConfigError: If `out` holds a finished mixture, or an unfinished run and `resume` is off, or the run of another
            domain, of other rows or of other settings.
    """
    spoken = reading.columns.text
    begun = {
        "domain": domain, "rows": mark_of(data), "reading": reading.as_dict(),
        "model": files_mark(source / WEIGHTS, source / EXPERTS), "settings": settings.as_dict(),
        "held-out texts": texts_mark(sorted(set(held_out))),
        "replayed texts": {name: texts_mark(read_texts([file], spoken)) for name, file in (replay or {}).items()},
    }  # fmt: skip
    if resume or (out / EXPERT).exists():
        check_same(out, begun, settings, resume=resume)
    if (out / MOE).exists():
        if resume:
            return read_json(out / MOE / METRICS)
        raise ConfigError(f"{out / MOE}: exists already; name another --out, or remove it first")
    if (out / EXPERT / EXPERT_FACTS).exists() and not resume:
        raise ConfigError(f"{out}: holds an unfinished run; add --resume to go on, or name another --out")
    device = training_device(device)
    config = read_config(source)
    check_new(config, source, domain)
    train, valid = (read_split(data, split, reading) for split in ("train", "valid"))
    held = HeldOut(held_out)
    train = train.apart(held)
    for line in _beware(domain, train, valid, settings):
        say(line)
    model = load_mixture(source, device=device)
    encode = encoder_of(source, model)
    sketches = _known(source, model, encode, replay, held_out, settings.seed, spoken)
    known = {name: sketch.draw(DRAWN, settings.seed) for name, sketch in sketches.items()}
    start = _start(source, model, encode, train, settings, say)
    settled = _expert_settings(config.rank, config.scaling[0], model, settings, len(train.texts), len(valid.texts))
    bundled = source / BACKBONE
    with started(out, begun):
        facts = train_expert(
            domain, data, out / EXPERT, backbone=str(bundled if bundled.is_dir() else config.backbone["name"]),
            settings=settled, resume=resume, device=device, reading=reading, start=start,
            tokenizer_from=source, targets=config.targets, held_out=held_out,
        )  # fmt: skip
    say(f"expert {domain}: {facts['steps']} steps on {facts['rows']} rows in {facts['wall_seconds']} s")
    if "no_ngrams" in facts:
        say(f"{out / EXPERT}: {facts['no_ngrams']}")
    new = states_of(model, encode, _whole_and_cut(drawn(train, SEEN), held, settings.seed))
    old = model.router.float().cpu()
    layers = new_layers(
        old, known, new, steps=settings.router_steps, learning_rate=settings.router_learning_rate,
        taken=settings.taken, seed=settings.seed,
    )  # fmt: skip
    if not all(bool(torch.isfinite(part).all()) for part in layers.parameters()):
        raise ModelError(
            f"{out}: the router's layers for {domain} are not finite after {settings.router_steps} steps; lower "
            f"router_learning_rate (it is {settings.router_learning_rate}) and name another --out"
        )
    head = read_tensors(out / EXPERT / HEAD)
    sketches[domain] = Sketch.of(new, settings.seed)
    before = read_json(source / METRICS, absent={})
    facts |= {
        "started_from": start.name if start else FRESH,
        "sent_to_own": _sent(old, layers, {**known, domain: new}, domain),
        "data": {**before.get("data", {}), domain: Noted.of(data).as_dict()},
        READING: {**before.get(READING, {}), domain: reading.as_dict()},
    }

    def more(folder: Path) -> None:
        (folder / METRICS).write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")
        settings.save(folder / SETTINGS)

    small = widened(read_tensors(source / WEIGHTS), head, layers.state_dict())
    add(
        source, out / MOE, domain, out / EXPERT, small, scaling=settled.alpha / settled.rank, replay=sketches, more=more
    )
    return facts


def _beware(domain: str, train: Rows, valid: Rows, settings: DomainConfig) -> list[str]:
    """What a user should know of rows that can be used, but not well."""
    counts = train.counts()
    lines = []
    if missing := [name for name, count in zip(NAMES, counts, strict=True) if not count]:
        lines.append(f"{train.file}: no row is {' or '.join(missing)}; the expert {domain} will hardly answer that")
    if len(train.texts) < FEW:
        lines.append(f"{train.file}: {len(train.texts)} rows; with fewer than {FEW} an old expert is often as good")
    if len(valid.texts) < settings.fewest_valid:
        lines.append(
            f"{valid.file}: {len(valid.texts)} rows, too few to choose a checkpoint by (fewest_valid "
            f"{settings.fewest_valid}): the last is kept"
        )
    return lines


def _expert_settings(
    rank: int, scaling: float, model: FinSAMoE, settings: DomainConfig, rows: int, judged: int
) -> ExpertConfig:
    """Stage 1's settings: the mixture's shape, and one checkpoint at the end where nothing can choose among several."""
    shared = {f.name: getattr(settings, f.name) for f in dataclasses.fields(ExpertConfig) if hasattr(settings, f.name)}
    if judged < settings.fewest_valid:
        shared |= {"eval_steps": max(1, steps_of(settings, rows)), "patience": 0}
    config = model.config
    return ExpertConfig(**shared | {
        "rank": rank, "alpha": max(1, round(scaling * rank)), "route_at": config.route_at, "prompt": config.prompt,
        "quantisation": config.backbone["quantisation"], "dtype": config.backbone["dtype"],
        "max_length": min(settings.max_length, config.max_tokens),
    })  # fmt: skip


def _start(
    source: Path, model: FinSAMoE, encode: TextEncoder, train: Rows, settings: DomainConfig, say: Any
) -> Path | None:
    """The folder of the expert to start from: the one whose network answers the new rows best, or as asked.

    Tables of n-grams are left out, since the new expert does not start with the old one's.
    """
    domains = list(model.config.domains)
    if settings.start == FRESH:
        return None
    if settings.start != "best":
        if settings.start not in domains:
            raise ConfigError(f"start {settings.start!r}: allowed are best, {FRESH}, {', '.join(domains)}")
        return source / EXPERTS / settings.start
    sample, scores = drawn(train), {}
    for index, name in enumerate(domains):
        found = answers(model, encode, sample, index)
        scores[name] = float(
            f1_score(sample.labels, found, average="macro", labels=sorted(set(sample.labels)), zero_division=0)
        )
    best = max(scores, key=lambda name: scores[name])
    told = ", ".join(f"{name} {100 * score:.1f}" for name, score in scores.items())
    bare = " without their tables of n-grams" if any(model.ngrams) else ""
    say(f"macro-F1 of the old experts{bare} on the new rows: {told}; starting from {best}")
    return source / EXPERTS / best


def _whole_and_cut(rows: Rows, held: HeldOut, seed: int) -> Rows:
    """Every text whole, and beside it its head, where nothing like it is held out: length is to teach nothing."""
    rng = np.random.default_rng(seed)
    lengths = head_lengths(rng, len(rows.texts))
    heads = [text[:length] for text, length in zip(rows.texts, lengths.tolist(), strict=True)]
    return Rows(rows.file, rows.texts + heads, rows.labels * 2).apart(held)


def _known(
    source: Path, model: FinSAMoE, encode: TextEncoder, replay: Mapping[str, Path] | None, held_out: Sequence[str],
    seed: int, text: str | None,
) -> dict[str, Sketch]:  # fmt: skip
    """Sketches of the old domains' states: the stored ones, or of texts named for each."""
    domains = list(model.config.domains)
    if not replay:
        return read_replay(source, domains)
    if odd := sorted(set(replay) ^ set(domains)):
        word = "no texts of" if odd[0] in domains else "no expert"
        raise DataError(f"{source}: {word} {odd[0]}; give --replay NAME=FILE once for each of {', '.join(domains)}")
    rows = routing_rows(replay, most=SEEN, held_out=held_out, seed=seed, text=text)
    return {name: Sketch.of(states_of(model, encode, rows[name]), seed) for name in domains}


def _sent(old: Router, layers: nn.Sequential, states: Mapping[str, Tensor], domain: str) -> dict[str, Any]:
    """Of each domain's states, the share sent to the domain's own expert, before and after."""
    found: dict[str, Any] = {}
    with torch.no_grad():
        for index, (name, part) in enumerate(states.items()):
            before = old(part)
            own = layers(part) / old.temperature.clamp(min=old.lowest_temperature)
            shares = [float((logits.argmax(-1) == index).float().mean())
                      for logits in (before, torch.cat([before, own], dim=1))]  # fmt: skip
            found[name] = {"before": None if name == domain else shares[0], "after": shares[1]}
    return found

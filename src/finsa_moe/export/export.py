"""``finsa export``: a trained mixture becomes a folder of graphs that answer as it does, or there is no folder.

Trace, store in each precision, prove parity, calibrate, take the measure of novelty, write the manifest; all in a
working folder that gets its name when everything holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from finsa_moe.data.lines import read_lines
from finsa_moe.data.ngrams import ROUTER_TABLE, NGrams
from finsa_moe.errors import ConfigError, ModelError, require
from finsa_moe.export import graphs
from finsa_moe.export.calibrate import Calibration
from finsa_moe.export.parity import Parity, Reference
from finsa_moe.export.rows import Texts, held_out, topped_up, training
from finsa_moe.export.sources import given, trained_on
from finsa_moe.export.split import Expert, Trunk, Whole, check_exportable, route_layer
from finsa_moe.export.states import examples, measure
from finsa_moe.export.taken import Taken
from finsa_moe.export.tuned import REPORT, Earlier, temperatures, write_novelty
from finsa_moe.files import working_folder
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.folder import NOVELTY, TOKENIZER, File, GraphSet, Manifest
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.sessions import has_openvino

SINGLE = "single.onnx"
Say = Callable[[str], None]


@dataclass
class Exported:
    """What an export made and measured; the same stands in ``export.json``.

    Attributes:
        parities: By precision and engine.
        calibration: By domain.
        left_out: Precisions not kept, with the reason.
        bytes: Size of the folder.
    """

    parities: dict[str, Parity] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    bytes: int = 0

    def as_dict(self) -> dict[str, object]:
        """Plain numbers, ready for JSON."""
        return {
            "parity": {name: parity.as_dict() for name, parity in self.parities.items()},
            "calibration": {name: found.as_dict() for name, found in self.calibration.items()},
            "left_out": self.left_out,
        }


def export_mixture(
    folder: Path, out: Path, *, precisions: Sequence[str] = (), single: bool = False,
    data: Mapping[str, Path] | None = None, background: Sequence[Path] = (), earlier: Path | None = None,
    keep: bool = False, graphs_of: Path | None = None, say: Say = lambda _: None,
) -> Exported:  # fmt: skip
    """Export a trained mixture.

    Args:
        folder: What `train-joint` or `merge` wrote.
        out: Folder to write; it must not exist.
        precisions: Those to keep, each of which must pass the gate; none tries bf16 and int8 and keeps what passes.
        single: Whether to write ``single.onnx`` too: one graph from ids to probabilities, all experts in it.
        data: Prepared folder of each domain, for parity, calibration and novelty; None takes those it was trained on,
            where they are still what they were.
        background: Files of other text, one a line, that the novelty score tells apart; without any it rests on the
            domains' own texts alone.
        earlier: An export of the mixture that this one grew from: a domain without rows here keeps the temperature it
            has there, and what is known of its texts.
        keep: Whether every domain that `earlier` has keeps its temperature, rows or not: for a mixture that lost an
            expert, whose others are those it was fitted on.
        graphs_of: An export of the same network, with other tables perhaps: its graphs are taken, not traced anew, and
            have to pass the gate as any.
        say: Told of each step.

    Raises:
        ModelError: If the backbone cannot be exported usefully, an exported form does not answer as the mixture, or
            `graphs_of` is damaged.
        ConfigError: If `out` exists, a precision is unknown, or `graphs_of` has it not.
    """
    if out.exists():
        raise ConfigError(f"{out}: exists already; name another --out, or remove it first")
    for precision in precisions:
        if precision not in graphs.PRECISIONS:
            raise ConfigError(f"precision {precision!r} is unknown; choose among {', '.join(graphs.PRECISIONS)}")
    require("onnx", "train", "exporting")
    taken = Taken.of(graphs_of) if graphs_of else None
    if taken:
        precisions = taken.check(precisions, single=single)
    engine = TorchEngine(folder, device="cpu", dtype="float32")
    check_exportable(engine.model)
    if single and (any(engine.ngrams) or engine.router_ngrams):
        raise ModelError(f"{folder}: it has tables of n-grams, which no graph holds; leave --single out")
    sources = trained_on(folder) if data is None else given(folder, data)
    known, seen = (read(sources.found, engine.domains, sources.readings) for read in (held_out, training))
    before = Earlier.read(folder, engine.domains, earlier)
    if lacking := sources.complaint(before):
        say(lacking)
    if background and not len(seen):
        say("no training text is at hand: the background is not used")
    for _ in read_lines(background):  # a fault in it is told before the long work
        pass
    with working_folder(out) as working:
        made = _build(
            engine, folder, working, precisions, known, seen, single=single, background=background, before=before,
            keep=keep, taken=taken, say=say,
        )  # fmt: skip
        working.replace(out)
    made.bytes = sum(file.stat().st_size for file in out.iterdir())
    return made


def _build(
    engine: TorchEngine, folder: Path, working: Path, precisions: Sequence[str], known: Texts, seen: Texts, *,
    single: bool, background: Sequence[Path], before: Earlier, keep: bool, taken: Taken | None, say: Say,
) -> Exported:  # fmt: skip
    made = Exported()
    trunk, experts = Trunk(engine.model), [Expert(engine.model, i) for i in range(len(engine.domains))]
    parity_rows = topped_up(known, seen)
    say(f"torch mixture on {len(parity_rows):,} texts")
    reference = Reference(engine, parity_rows)
    texts = seen if len(seen) else parity_rows
    if taken is None:
        say("tracing")
        traced = _trace(trunk, experts)

    def forms(precision: str) -> Iterator[GraphSet]:
        """What may be kept of a precision, the best first."""
        if taken is not None:
            say(f"{precision}: proving the graphs of {taken.folder}")
            yield taken.copy(precision, working)
            return
        for spare in (False, True) if precision == "int8" else (False,):
            say(f"{precision}: writing and proving" + (", narrowing products left as they are" if spare else ""))
            inputs = examples(engine, trunk, texts) if precision == "int8" else None
            yield _write(traced, working, precision, inputs, spare)

    content = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))  # half the size without indentation
    (working / TOKENIZER).write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    manifest = Manifest(
        domains=engine.domains, prompt=engine.model.config.prompt, max_tokens=engine.max_length, pad_id=engine.pad_id,
        temperatures=(1.0,) * len(experts), graphs={}, tokenizer=File.of(working / TOKENIZER),
        ngrams=_tables(engine, working),
        router_ngrams=_table(engine.router_ngrams, working / ROUTER_TABLE),
        source={"fingerprint": engine.model.config.backbone["fingerprint"], "route_layer": route_layer(engine.model)},
    )  # fmt: skip
    for precision in precisions or ("bf16", "int8"):
        for kept in forms(precision):
            trial = replace(manifest, graphs={precision: kept})
            parities = [reference.against(candidate) for candidate in _candidates(trial, working, precision)]
            failed = [parity for parity in parities if not parity.holds]
            if not failed:
                made.parities |= {parity.engine: parity for parity in parities}
                manifest = replace(manifest, graphs={**manifest.graphs, precision: kept})
                break
        else:
            if precisions:
                raise ModelError(f"{precision} does not answer as the mixture does; {failed[0].complaint()}")
            made.left_out[precision] = failed[0].complaint()
    if not manifest.graphs:
        raise ModelError(f"no precision answers as the mixture does; {'; '.join(made.left_out.values())}")
    say("calibration and novelty")
    tried = _candidates(manifest, working, next(iter(manifest.graphs)))[0]
    measured = measure(tried, known) if len(known) else None
    settled, made.calibration = temperatures(tried, known, measured, before, keep=keep)
    manifest = replace(manifest, temperatures=settled)
    if write_novelty(tried, working, seen, measured, before, background):
        manifest = replace(manifest, novelty=File.of(working / NOVELTY))
    if single:
        say("one graph of all")
        whole = Whole(trunk, experts, manifest.temperatures)
        example = graphs.example_ids()
        graphs.write(graphs.trace(whole, example, ("ids", "mask"), ("probs", "gate")), working / SINGLE, "bf16")
    used = {file.file for part in manifest.graphs.values() for file in (part.trunk, *part.experts)}
    for file in working.glob("*.onnx"):
        if file.name not in used and file.name not in (SINGLE, NOVELTY):
            file.unlink()
    manifest.save(working)
    (working / REPORT).write_text(json.dumps(made.as_dict(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return made


def _tables(engine: TorchEngine, working: Path) -> tuple[File | None, ...]:
    """Write the experts' tables of n-grams; nothing where none has one."""
    if not any(engine.ngrams):
        return ()
    return tuple(_table(table, working / f"ngrams{at}.npz") for at, table in enumerate(engine.ngrams))


def _table(table: NGrams | None, path: Path) -> File | None:
    if table is None:
        return None
    table.write(path)
    return File.of(path)


def _trace(trunk: Trunk, experts: Sequence[Expert]) -> tuple[Any, list[Any]]:
    ids, mask = graphs.example_ids()
    with torch.no_grad():
        hidden = trunk(ids, mask)[0]
    trunk_graph = graphs.trace(trunk, (ids, mask), ("ids", "mask"), ("hidden", "router_logits"))
    made: list[Any] = []
    for expert in experts:
        graph = graphs.like(made[0], experts[0], expert) if made else None
        made.append(graph or graphs.trace(expert, (hidden, mask), ("hidden", "mask"), ("logits", "state")))
    return trunk_graph, made


def _write(
    traced: tuple[Any, list[Any]], working: Path, precision: str, inputs: Sequence[Any] | None, spare: bool
) -> GraphSet:
    """Write the graphs of one precision; a file equal to one of another precision is kept once."""
    made = []
    for at, graph in enumerate((traced[0], *traced[1])):
        path = working / (f"trunk.{precision}.onnx" if at == 0 else f"expert{at - 1}.{precision}.onnx")
        graphs.write(graph, path, precision, None if inputs is None else inputs[at], spare)
        record = File.of(path)
        twin = next((f for f in working.glob("*.onnx") if f != path and File.of(f).sha256 == record.sha256), None)
        if twin is not None:
            path.unlink()
            record = replace(record, file=twin.name)
        made.append(record)
    return GraphSet(made[0], tuple(made[1:]))


def _candidates(manifest: Manifest, working: Path, precision: str) -> list[GraphEngine]:
    manifest.save(working)
    raw = json.loads((working / "config.json").read_text(encoding="utf-8"))
    engines = ["onnxruntime", *(["openvino"] if has_openvino() else [])]
    return [GraphEngine(working, raw, engine, precision) for engine in engines]

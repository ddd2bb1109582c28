"""``finsa export``: a trained mixture becomes a folder of graphs that answer as it does, or there is no folder.

Trace, store in each precision, prove parity, calibrate, take the measure of novelty, write the manifest; all in a
working folder that gets its name when everything holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from finsa_moe.data.lines import normalised_lines
from finsa_moe.data.ngrams import EXPERT_TABLE, ROUTER_TABLE, NGrams
from finsa_moe.errors import ConfigError, ModelError, require
from finsa_moe.export import graphs
from finsa_moe.export.calibrate import FEWEST, Calibration
from finsa_moe.export.parity import Parity, Reference
from finsa_moe.export.rows import Texts, fitting, held_out, topped_up, training, with_samples
from finsa_moe.export.single import SINGLE, write_single
from finsa_moe.export.sources import Sources, given, trained_on
from finsa_moe.export.split import check_exportable, route_layer
from finsa_moe.export.states import measure
from finsa_moe.export.taken import Taken
from finsa_moe.export.traced import Traced, forms
from finsa_moe.export.tuned import REPORT, Earlier, temperatures, write_novelty
from finsa_moe.files import working_folder
from finsa_moe.model.checkpoint import EXPERTS, empty_backbone, read_config
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.folder import CONFIG, NOVELTY, TOKENIZER, File, GraphSet, Manifest
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.sessions import has_openvino

Say = Callable[[str], None]


@dataclass
class Exported:
    """What an export made and measured; the same stands in ``export.json``.

    Attributes:
        parities: By precision and engine.
        calibration: By domain.
        left_out: Precisions not kept, with the reason.
        fitted_on_test: Domains of too few validation rows, whose test rows stood in for them or beside them.
        novelty: Whether there is a novelty score, of these rows or of what is known of earlier ones.
        bytes: Size of the folder.
    """

    parities: dict[str, Parity] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    fitted_on_test: tuple[str, ...] = ()
    novelty: bool = False
    bytes: int = 0

    def as_dict(self) -> dict[str, object]:
        """Plain numbers, ready for JSON."""
        return {
            "parity": {name: parity.as_dict() for name, parity in self.parities.items()},
            "calibration": {name: found.as_dict() for name, found in self.calibration.items()},
            "left_out": self.left_out,
            "fitted_on_test": list(self.fitted_on_test),
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
        ConfigError: If `out` exists, a precision is unknown, or `graphs_of` has it not or is of another network.
    """
    if out.exists():
        raise ConfigError(f"{out}: exists already; name another --out, or remove it first")
    for precision in precisions:
        if precision not in graphs.PRECISIONS:
            raise ConfigError(f"precision {precision!r} is unknown; choose among {', '.join(graphs.PRECISIONS)}")
    require("onnx", "train", "exporting")
    config = read_config(folder)
    empty = empty_backbone(folder, config)
    wide = 2 if not precisions or "bf16" in precisions else 4
    check_exportable(config, empty, single=wide if single else 0)
    tables = [folder / ROUTER_TABLE, *(folder / EXPERTS / name / EXPERT_TABLE for name in config.domains)]
    if single and any(table.is_file() for table in tables):
        raise ModelError(f"{folder}: it has tables of n-grams, which no graph holds; leave --single out")
    source = {"fingerprint": config.backbone["fingerprint"], "route_layer": route_layer(empty, config.route_at)}
    taken = Taken.of(graphs_of) if graphs_of else None
    if taken:
        precisions = taken.check(precisions, single=single, domains=config.domains, source=source)
    sources = trained_on(folder) if data is None else given(folder, data)
    rows = _Rows.read(sources, config.domains)
    before = Earlier.read(folder, config.domains, earlier)
    if lacking := sources.complaint(before):
        say(lacking)
    if rows.tested:
        kept = keep and before.temperatures.keys() >= set(rows.tested)
        fitted = "novelty is" if kept else f"novelty and, from {FEWEST} rows on, temperatures are"
        say(
            f"fewer than {FEWEST} validation rows of {', '.join(rows.tested)}: {fitted} fitted on the test rows too "
            "and cannot be judged by them"
        )
    if background and not len(rows.seen):
        say("no training text is at hand: the background is not used")
    for _ in normalised_lines(background):  # a fault in it is told before the long work
        pass
    with working_folder(out) as working:
        run = _Run(TorchEngine(folder, device="cpu", dtype="float32"), rows, working, source, taken, say)
        run.prove(precisions)
        run.tune(before, background, keep=keep)
        if single:
            run.add_single()
        run.finish()
        working.replace(out)
    run.made.bytes = sum(file.stat().st_size for file in out.iterdir())
    return run.made


@dataclass(frozen=True)
class _Rows:
    """The rows at hand: held out, to prove by; to fit on, and the domains of which these are test rows; training."""

    held: Texts
    fitted: Texts
    tested: tuple[str, ...]
    seen: Texts

    @classmethod
    def read(cls, sources: Sources, domains: Sequence[str]) -> _Rows:
        """Of the folders that were found."""
        held, seen = (read(sources.found, domains, sources.readings) for read in (held_out, training))
        return cls(held, *fitting(sources.found, domains, sources.readings), seen)


class _Run:
    """An export at work in its folder: graphs that are proved, then what is fitted, then the manifest."""

    def __init__(
        self,
        engine: TorchEngine,
        rows: _Rows,
        working: Path,
        source: Mapping[str, object],
        taken: Taken | None,
        say: Say,
    ) -> None:
        self.engine, self.rows, self.working, self.taken, self.say = engine, rows, working, taken, say
        self.made = Exported(fitted_on_test=rows.tested)
        proofs = topped_up(rows.held, rows.seen, len(engine.domains))
        say(f"torch mixture on {len(proofs):,} texts")
        self.reference = Reference(engine, proofs)
        if taken is None:
            say("tracing")
            self.traced = Traced(engine, with_samples(rows.seen if len(rows.seen) else rows.held, len(engine.domains)))
        content = json.loads((engine.folder / TOKENIZER).read_text(encoding="utf-8"))  # half the size unindented
        short = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (working / TOKENIZER).write_text(short, encoding="utf-8")
        self.manifest = Manifest(
            domains=engine.domains, prompt=engine.model.config.prompt, max_tokens=engine.max_length,
            pad_id=engine.pad_id, temperatures=(1.0,) * len(engine.domains), graphs={},
            tokenizer=File.of(working / TOKENIZER), ngrams=_tables(engine, working),
            router_ngrams=_table(engine.router_ngrams, working / ROUTER_TABLE), source=source,
        )  # fmt: skip

    def prove(self, asked: Sequence[str]) -> None:
        """Keep the graphs of each precision that answers as the mixture does.

        Raises:
            ModelError: If one that is asked for does not, or none does.
        """
        for precision in asked or ("bf16", "int8"):
            for kept in self._forms(precision):
                trial = replace(self.manifest, graphs={precision: kept})
                parities = [self.reference.against(one) for one in _candidates(trial, self.working, precision)]
                failed = [parity for parity in parities if not parity.holds]
                if not failed:
                    self.made.parities |= {parity.engine: parity for parity in parities}
                    self.manifest = replace(self.manifest, graphs={**self.manifest.graphs, precision: kept})
                    break
            else:
                if asked:
                    raise ModelError(f"{precision} does not answer as the mixture does; {failed[0].complaint()}")
                self.made.left_out[precision] = failed[0].complaint()
        if not self.manifest.graphs:
            told = "; ".join(self.made.left_out.values())
            raise ModelError(f"no precision answers as the mixture does; {told}")

    def _forms(self, precision: str) -> Iterator[GraphSet]:
        """What may be kept of a precision, the best first."""
        if self.taken is not None:
            self.say(f"{precision}: proving the graphs of {self.taken.folder}")
            yield self.taken.copy(precision, self.working)
            return
        for spare in forms(precision):
            self.say(f"{precision}: writing and proving" + (", narrowing products left as they are" if spare else ""))
            yield self.traced.write(self.working, precision, spare=spare)

    def tune(self, before: Earlier, background: Sequence[Path], *, keep: bool) -> None:
        """Fit temperatures and the novelty score; arguments as those of `export_mixture`."""
        self.say("calibration and novelty")
        fitted, precision = self.rows.fitted, next(iter(self.manifest.graphs))
        tried = _candidates(self.manifest, self.working, precision)[0]
        measured = measure(tried, fitted) if len(fitted) else None
        settled, self.made.calibration = temperatures(tried, fitted, measured, before, keep=keep)
        self.manifest = replace(self.manifest, temperatures=settled)
        self.made.novelty = write_novelty(tried, self.working, self.rows.seen, measured, before, background)
        if self.made.novelty:
            self.manifest = replace(self.manifest, novelty=File.of(self.working / NOVELTY))

    def add_single(self) -> None:
        """Write and prove one graph of all."""
        self.say("one graph of all")
        file, parity = write_single(self.traced, self.reference, self.manifest, self.working)
        self.made.parities[parity.engine] = parity
        self.manifest = replace(self.manifest, single=file)

    def finish(self) -> None:
        """Write manifest and report; graphs that were not kept go."""
        kept = {file.file for part in self.manifest.graphs.values() for file in (part.trunk, *part.experts)}
        for file in self.working.glob("*.onnx"):
            if file.name not in kept and file.name not in (SINGLE, NOVELTY):
                file.unlink()
        self.manifest.save(self.working)
        told = json.dumps(self.made.as_dict(), ensure_ascii=False, indent=2)
        (self.working / REPORT).write_text(told + "\n", encoding="utf-8")


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


def _candidates(manifest: Manifest, working: Path, precision: str) -> list[GraphEngine]:
    manifest.save(working)
    raw = json.loads((working / CONFIG).read_text(encoding="utf-8"))
    engines = ["onnxruntime", *(["openvino"] if has_openvino() else [])]
    return [GraphEngine(working, raw, engine, precision) for engine in engines]

"""An exported mixture behind the `Engine` interface: trunk once, then each expert on the texts that are its own.

The trunk's graph gives hidden states and the router's logits; texts are regrouped by expert, and each expert's graph,
its low-rank update merged into the weights, ends in class logits. Graphs load when first needed. Nothing here imports
torch.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finsa_moe.data.encode import Encoded, TextEncoder
from finsa_moe.data.ngrams import NGrams
from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.polarity import NAMES
from finsa_moe.runtime import cores
from finsa_moe.runtime.batches import rounded
from finsa_moe.runtime.engine import Engine, Integers, Pass, Reals, Scores, softmax, with_prior
from finsa_moe.runtime.folder import TOKENIZER, Manifest
from finsa_moe.runtime.forks import in_child, leave
from finsa_moe.runtime.novelty import Novelty
from finsa_moe.runtime.sessions import Session, check_engine, open_session


class GraphEngine(Engine):
    """Runs an exported folder with ONNX Runtime or OpenVINO; any number of threads may enter, in forked children too.

    Args:
        folder: What `finsa export` wrote.
        raw: Its ``config.json``.
        engine: ``"onnxruntime"`` or ``"openvino"``.
        precision: One that the folder holds; None takes the engine's best.
        threads: Batches worked on at once, one thread each; None takes every core this process may use.

    Raises:
        ModelError: If a file is missing, cut short, or not the one that was exported.
        ConfigError: For an unknown engine or precision, or threads under 1.
        MissingExtra: If OpenVINO is asked for and not installed.
    """

    concurrent = True
    temperatures: Reals

    def __init__(
        self, folder: Path, raw: dict[str, Any], engine: str = "onnxruntime", precision: str | None = None,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}; it must be 1 or more, or left out for every core")
        self.folder = folder.absolute()  # graphs are read when first needed, wherever the process has gone by then
        self.manifest = Manifest.parse(raw, folder)
        self.engine = check_engine(engine)
        self.precision = self.manifest.precision_for(engine, precision)
        self.name = f"{engine} {self.precision}"
        self.workers = threads or cores()
        self.routes_early = self.manifest.source.get("route_layer") == 0  # the trunk is the embedding alone
        self.domains = self.manifest.domains
        self.max_length = self.manifest.max_tokens
        self.pad_id = self.manifest.pad_id
        self._encode = TextEncoder(
            _tokenizer(self.manifest.tokenizer.read(folder)), prompt=self.manifest.prompt, max_length=self.max_length,
            pad_id=self.pad_id,
        )  # fmt: skip
        reference = self.manifest.novelty
        self.novelty = Novelty(reference.read(folder), str(folder / reference.file)) if reference else None
        self.ngrams = tuple(
            NGrams.of(file.read(folder), folder / file.file, len(NAMES)) if file else None
            for file in self.manifest.ngrams or (None,) * len(self.domains)
        )
        table = self.manifest.router_ngrams
        self.router_ngrams = NGrams.of(table.read(folder), folder / table.file, len(self.domains)) if table else None
        self.temperatures = np.array(self.manifest.temperatures, dtype=np.float32)
        self._sessions: dict[int, Session] = {}
        self._loading = threading.Lock()
        in_child(self)

    def after_fork(self) -> None:
        """A child's own lock and, of OpenVINO, which has threads, own graphs; ONNX Runtime's serve both."""
        self._loading = threading.Lock()
        if self.engine == "openvino":
            leave(self._sessions)
            self._sessions = {}

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """As `Engine.encode`."""
        return self._encode(texts)

    def run(self, ids: Integers, mask: Integers, experts: Integers | None = None, prior: Reals | None = None) -> Scores:
        """As `Engine.run`."""
        found = self.forward(ids, mask, experts, prior)
        probs = softmax(found.logits / self.temperatures[found.experts, None])
        novelty = None if self.novelty is None else self.novelty(ids, mask, found.states)
        return Scores(probs, softmax(found.router_logits), novelty)

    def route(self, ids: Integers, mask: Integers, prior: Reals | None = None) -> Integers:
        """As `Engine.route`."""
        chosen: Integers = with_prior(self._session(-1)(ids, mask)[1], prior).argmax(axis=1)
        return chosen

    def forward(
        self, ids: Integers, mask: Integers, experts: Integers | None = None, prior: Reals | None = None
    ) -> Pass:
        """As `Engine.forward`."""
        hidden, router_logits = self._session(-1)(ids, mask)
        # a copy: an engine may write its next answer where this one lies
        router_logits = with_prior(router_logits.copy(), prior)
        used = router_logits.argmax(axis=1)
        if experts is not None:
            used = np.where(experts >= 0, experts, used)
        logits = np.zeros((len(ids), 3), dtype=np.float32)
        states = np.zeros((len(ids), hidden.shape[2]), dtype=np.float32)
        for expert in np.unique(used).tolist():
            rows = np.flatnonzero(used == expert)
            part, own = (hidden, mask) if len(rows) == len(ids) else (hidden[rows], mask[rows])
            # the others' longer texts are no reason to pad these, but few widths are (`batches.STEP`)
            width = min(int(rounded(own.sum(axis=1).max())), hidden.shape[1])
            logits[rows], states[rows] = self._session(expert)(part[:, :width], own[:, :width])
        return Pass(logits, router_logits, used, states)

    def _session(self, expert: int) -> Session:
        """The graph of an expert, -1 for the trunk; loaded once, by whichever thread comes first."""
        if expert not in self._sessions:
            with self._loading:
                if expert not in self._sessions:
                    graphs = self.manifest.graphs[self.precision]
                    file = graphs.trunk if expert < 0 else graphs.experts[expert]
                    content = file.read(self.folder)
                    what = str(self.folder / file.file)
                    # a trunk without layers is a look-up, which ONNX Runtime does in half OpenVINO's time
                    engine = "onnxruntime" if expert < 0 and self.routes_early else self.engine
                    self._sessions[expert] = open_session(content, engine, self.precision, self.workers, what)
        return self._sessions[expert]


def _tokenizer(content: bytes) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises plain Exception
        raise ModelError(f"{TOKENIZER}: cannot be read ({error}); copy the whole folder again") from None

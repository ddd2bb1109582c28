"""The face for programs: `load` opens a model folder, `FinSA` answers a text, a list of texts or a whole frame.

A thin skin over the runtime's `Predictor`. It knows which kind of folder holds what and loads only that; torch is
imported when a torch mixture is opened and not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from finsa_moe import shipped
from finsa_moe.errors import ConfigError, DataError, ModelError, closest, require
from finsa_moe.files import read_json
from finsa_moe.runtime import BATCH_TOKENS
from finsa_moe.runtime.engine import Engine
from finsa_moe.runtime.folder import MODEL_TYPE, precision_of
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.prediction import Prediction, answer_columns, free_names
from finsa_moe.runtime.predictor import WINDOW, Domain, Predictor
from finsa_moe.runtime.sessions import has_openvino

if TYPE_CHECKING:
    from finsa_moe.explain.explanation import Explanation

_COPY = "copy the model folder again"
_EXPERT = "expert.json"
"""Marks a folder that `finsa train-expert` finished."""
Frame = TypeVar("Frame")


class FinSA:
    """A loaded mixture; made by `load`, safe to share between threads.

    Attributes:
        domains: Names of the experts.
        card: What is known of the model: its `config.json`, overlaid with its `card.json` where it has one.
        predictor: The runtime underneath.
    """

    def __init__(self, predictor: Predictor, card: dict[str, Any] | None = None) -> None:
        self.predictor = predictor
        self.card = card or {}

    def __repr__(self) -> str:
        return f"FinSA(domains={self.domains}, engine={self.predictor.engine.name!r})"

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the experts, in the order of the gate."""
        return tuple(self.predictor.engine.domains)

    @overload
    def predict(self, texts: str, *, column: None = None, domain: str | None = None) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str], *, column: None = None, domain: Domain = None) -> list[Prediction]: ...
    @overload
    def predict(self, texts: Frame, *, column: str, domain: Domain = None) -> Frame: ...
    def predict(self, texts: Any, *, column: str | None = None, domain: Domain = None) -> Any:
        """Answer a text, many texts, or the texts in a column of a pandas or polars frame.

        Args:
            texts: A string, an iterable of strings, or a frame.
            column: The frame's text column; only for frames.
            domain: Expert to use: a name, one name (or None) a text, or None to leave it to the router.

        Returns:
            One `Prediction` for a string; a list in the order given for an iterable; for a frame the same kind of
            frame with the answers added as columns (`runtime.prediction.answer_columns`; a name that is taken gets
            ``predicted_`` before it).

        Raises:
            DataError: For an empty text, naming its position; an unknown domain; a column that is not there; for what
                is neither texts nor a frame.
        """
        answers = self.predictor.predict(_texts(texts, column), domain)
        if isinstance(texts, str):
            return answers[0]
        return self._added(texts, answers) if _is_frame(texts) else answers

    def predict_proba(self, texts: Any, *, column: str | None = None, domain: Domain = None) -> NDArray[np.float32]:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish; arguments and errors as `predict`."""
        return self.predictor.predict_proba(_texts(texts, column), domain)

    def stream(
        self, texts: Any, *, column: str | None = None, domain: str | None = None, window: int = WINDOW
    ) -> Iterator[Prediction]:
        """Answer an endless iterable, in order, holding at most `window` texts at a time; else as `predict`."""
        return self.predictor.stream(_texts(texts, column), domain, window)

    @overload
    def explain(
        self, texts: str, *, column: None = None, domain: str | None = None, evaluations: int = 2000, seed: int = 13
    ) -> Explanation: ...
    @overload
    def explain(
        self, texts: Any, *, column: str | None = None, domain: str | None = None, evaluations: int = 2000,
        seed: int = 13,
    ) -> list[Explanation]: ...  # fmt: skip
    def explain(
        self, texts: Any, *, column: str | None = None, domain: str | None = None, evaluations: int = 2000,
        seed: int = 13,
    ) -> Any:  # fmt: skip
        """SHAP values of a text's words by class, and which expert spoke; needs the extra ``explain``.

        The expert that answers the text is held while words are hidden, so that the reasons are that expert's.

        Args:
            texts: A string, an iterable of them, or a frame.
            column: The frame's text column; only for frames.
            domain: Expert to use; None leaves it to the router.
            evaluations: Most masked texts that the model answers for one text; a text of few words needs fewer and is
                then explained exactly.
            seed: Of the orders sampled where the budget does not reach all coalitions.

        Returns:
            One `Explanation` for a string, else a list in the order given.

        Raises:
            DataError: As `predict`.
            ConfigError: For a budget too small.
            MissingExtra: If shap or rjieba is not installed.
        """
        from finsa_moe.explain.explain import ExplainSettings, explain

        settings = ExplainSettings(evaluations=evaluations, seed=seed)
        found = explain(self.predictor, _texts(texts, column), domain=domain, settings=settings)
        return found[0] if isinstance(texts, str) else found

    def _added(self, frame: Any, predictions: list[Prediction]) -> Any:
        answers = [p.answers() for p in predictions]
        names = free_names(list(answer_columns(self.domains)), [str(name) for name in frame.columns])
        added = {names[key]: [answer[key] for answer in answers] for key in names}
        if hasattr(frame, "with_columns"):
            polars = require("polars", "data", "answering a polars frame")
            types = {str: polars.String, float: polars.Float64, bool: polars.Boolean}
            return frame.with_columns(
                polars.Series(names[key], added[names[key]], dtype=types[kind])
                for key, kind in answer_columns(self.domains).items()
            )
        return frame.assign(**added)


def _texts(given: Any, column: str | None) -> Iterable[str]:
    """What a caller handed over, as texts: a string is one, a frame has a column of them, others are gone through.

    Raises:
        DataError: For what holds no texts in an order; a frame without that column; a column where there is no frame.
    """
    if _is_frame(given):
        return _column(given, column)
    if not isinstance(given, Iterable) or isinstance(given, bytes | bytearray | Mapping):
        raise DataError(
            f"texts are a {type(given).__name__}; allowed are a string, a list or Series of strings, or a pandas or "
            "polars DataFrame with column=NAME: turn it into one of these, a LazyFrame by collect()"
        )
    if column is not None:
        raise DataError("column= is for pandas and polars frames; leave it out for a list of texts")
    return [given] if isinstance(given, str) else given


def _is_frame(given: Any) -> bool:
    """Whether it is a pandas or polars frame with its rows in memory; neither needs to be installed for that."""
    kind = type(given)
    grows = hasattr(kind, "with_columns") or hasattr(kind, "assign")
    return grows and hasattr(kind, "columns") and hasattr(kind, "__len__")


def _column(frame: Any, column: str | None) -> list[str]:
    known = [str(name) for name in frame.columns]
    if column is None or column not in known:
        said = "no column= was given" if column is None else f"there is no column {column!r}"
        raise DataError(
            f"{said}; the frame has {', '.join(known) or 'no columns'}{closest(column or 'text', known)}; "
            "say column=NAME for the one that holds the texts"
        )
    if known.count(column) > 1:
        raise DataError(f"the frame has {known.count(column)} columns {column!r}; rename all but the one of the texts")
    return list(frame[frame.columns[known.index(column)]])


def load(
    path: str | Path | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    engine: str | None = None,
    threads: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    abstain_below: float = 0.0,
) -> FinSA:
    """Open a model folder.

    Args:
        path: An exported model or a mixture as training writes it; None or ``"default"`` is the model shipped with the
            package.
        device: Where a torch mixture runs, e.g. ``"cpu"`` or ``"cuda:0"``; None chooses.
        dtype: Number format, ``"float32"``, ``"bfloat16"`` or, of an exported model that holds it, ``"int8"``; None
            keeps what a mixture was saved in and takes the engine's best of an exported model.
        engine: What runs an exported model, ``"onnxruntime"`` or ``"openvino"``; None takes ONNX Runtime for a few
            texts and OpenVINO, where the extra ``fast`` is installed, for many (`runtime.predictor.BULK`).
        threads: Batches of an exported model worked on at once, one thread each; None takes every core.
        batch_tokens: Most tokens of a batch, padding counted.
        abstain_below: Answers with a confidence under this are marked uncertain.

    Raises:
        ModelError: If the folder, or a file in it, is missing or damaged; the message names it and the remedy.
        ConfigError: For a setting that the folder's kind of model does not have.
        MissingExtra: If the folder holds a torch mixture and torch is not installed.
    """
    folder = shipped.place(path)
    config = _config(folder)
    facts = config | read_json(folder / "card.json", _COPY, absent={})
    if config.get("model_type") != MODEL_TYPE:
        if engine is not None or threads is not None:
            raise ConfigError(
                f"{folder} is a torch mixture; engine and threads are for exported models: "
                "run `finsa export` on it first"
            )
        return FinSA(Predictor(_torch(folder, config, device, dtype), batch_tokens, abstain_below), facts)
    if device not in (None, "cpu"):
        raise ConfigError(f"device {device!r}: an exported model runs on the CPU; leave the device out")
    precision = precision_of(dtype)
    first = GraphEngine(folder, config, engine or "onnxruntime", precision, threads)
    bulk = None
    if engine is None and has_openvino():
        bulk = partial(GraphEngine, first.folder, config, "openvino", precision, threads)
    return FinSA(Predictor(first, batch_tokens, abstain_below, bulk), facts)


def is_exported(path: str | Path | None = None) -> bool:
    """Whether a model folder, named as for `load`, holds an exported model and no torch mixture.

    Raises:
        ModelError: If it holds neither.
    """
    return _config(shipped.place(path)).get("model_type") == MODEL_TYPE


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        is_folder, is_file = folder.is_dir(), file.is_file()
    except OSError as error:  # what is merely not there raises nothing
        raise ModelError(
            f"model folder {folder} cannot be looked into ({error.strerror}); let this user read it and the folders "
            "above it, or name another"
        ) from error
    if not is_folder:
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelError(
            f"model folder {folder} {what}; name a folder that `finsa train-joint`, `finsa merge` or `finsa export` "
            "wrote (`make demo` leaves one at demo/model/moe_joint), or none for the default model"
        )
    if not is_file and (folder / _EXPERT).is_file():
        name = read_json(folder / _EXPERT, _COPY).get("domain", folder.name)
        raise ModelError(
            f"model folder {folder} holds an expert, which answers within a mixture; make one with: "
            f"finsa merge --expert {name}={folder} --out DIR (--expert once for each), and name DIR"
        )
    if not is_file:
        inner = sorted(str(sub.parent) for sub in folder.glob("*/config.json"))
        hint = f"did you mean {inner[-1]}?" if inner else "copy the whole folder again or train anew"
        raise ModelError(f"model folder {folder} has no config.json, so it holds no model; {hint}")
    return read_json(file, _COPY)


def _torch(folder: Path, config: dict[str, Any], device: str | None, dtype: str | None) -> Engine:
    kind = config.get("model_type")
    if kind != "finsa_moe":
        raise ModelError(
            f"{folder / 'config.json'} says model_type {kind!r}; opened here are mixtures ('finsa_moe'), as "
            f"`finsa merge` and `finsa train-joint` write them, and exported models ({MODEL_TYPE!r})"
        )
    require("torch", "train", "running a torch mixture")
    from finsa_moe.model.torch_engine import TorchEngine

    try:
        return TorchEngine(folder, device=device, dtype=dtype)
    except (AssertionError, KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
        # what no check of the model room foresaw, such as a device that is not there: still one line for the user
        said = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{folder} cannot be opened ({type(error).__name__}: {said}); "
            "copy the whole folder again, or see that --device and --dtype are right"
        ) from error

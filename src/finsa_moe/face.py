"""The face for programs: `load` opens a model folder, `FinSA` answers a text, a list of texts or a whole frame.

A thin skin over the runtime's `Predictor`. It knows which kind of folder holds what and loads only that; torch is
imported when a torch mixture is opened and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from finsa_moe import shipped
from finsa_moe.errors import ConfigError, ModelError, require
from finsa_moe.files import read_json
from finsa_moe.runtime import BATCH_TOKENS
from finsa_moe.runtime.engine import Engine
from finsa_moe.runtime.folder import MODEL_TYPE, precision_of
from finsa_moe.runtime.frames import is_frame, texts_of, with_answers
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.predictor import WINDOW, Domain, Predictor
from finsa_moe.runtime.sessions import has_openvino

if TYPE_CHECKING:
    from finsa_moe.explain.explanation import Explanation

_COPY = "copy the model folder again"
_EXPERT = "expert.json"
"""Marks a folder that `finsa train-expert` finished."""
Frame = TypeVar("Frame")


class FinSA:
    """A loaded mixture; made by `load`, safe to share between threads and to fork.

    Pickled, it is the arguments that it was loaded with: another process opens the folder itself, once.

    Attributes:
        domains: Names of the experts.
        card: What is known of the model: its `config.json`, overlaid with its `card.json` where it has one.
        predictor: The runtime underneath.
    """

    def __init__(
        self, predictor: Predictor, card: dict[str, Any] | None = None, again: Callable[[], FinSA] | None = None
    ) -> None:
        self.predictor = predictor
        self.card = card or {}
        self._again = again

    def __reduce__(self) -> tuple[Callable[[], FinSA], tuple[()]]:
        if self._again is None:
            raise ConfigError(
                "this model was made of an engine in memory and cannot go to another process; call finsa_moe.load there"
            )
        return self._again, ()

    def __repr__(self) -> str:
        return f"FinSA(domains={self.domains}, engine={self.predictor.engine.name!r})"

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the experts, in the order of the gate."""
        return tuple(self.predictor.engine.domains)

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, texts: str, *, column: None = None, domain: str | None = None, errors: Literal["raise"] = "raise"
    ) -> Prediction: ...
    @overload
    def predict(  # type: ignore[overload-overlap]
        self, texts: str, *, column: None = None, domain: str | None = None, errors: Literal["null"]
    ) -> Prediction | None: ...
    @overload
    def predict(
        self, texts: Iterable[str], *, column: None = None, domain: Domain = None, errors: Literal["raise"] = "raise"
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, texts: Iterable[str | None], *, column: None = None, domain: Domain = None, errors: Literal["null"]
    ) -> list[Prediction | None]: ...
    @overload
    def predict(
        self, texts: Frame, *, column: str, domain: Domain = None, errors: Literal["raise", "null"] = "raise"
    ) -> Frame: ...
    def predict(
        self,
        texts: Any,
        *,
        column: str | None = None,
        domain: Domain = None,
        errors: Literal["raise", "null"] = "raise",
    ) -> Any:
        """Answer a text, many texts, or the texts in a column of a pandas or polars frame.

        Args:
            texts: A string, an iterable of strings, or a frame.
            column: The frame's text column; only for frames.
            domain: Expert to use: a name, one name (or None) a text, or None to leave it to the router.
            errors: What comes of a text that cannot be answered, as it is empty, null or no text: ``"raise"`` an error
                for all, or ``"null"``, None in its place and nulls in a frame.

        Returns:
            One `Prediction` for a string; a list in the order given for an iterable; for a frame the same kind of
            frame with the answers added as columns (`runtime.prediction.answer_columns`; a name that is taken gets
            ``predicted_`` before it).

        Raises:
            DataError: For a text that cannot be answered, naming its position; an unknown domain; a column that is not
                there; for what is neither texts nor a frame.
            ConfigError: For `errors` other than these two.
        """
        if errors not in ("raise", "null"):
            raise ConfigError(f"errors={errors!r} is unknown; choose 'raise' or 'null', or leave it out")
        answers: list[Any] = self.predictor.attempt(texts_of(texts, column), domain)
        for at, answer in enumerate(answers):
            if not isinstance(answer, Prediction):
                if errors == "raise":
                    raise answer
                answers[at] = None
        if isinstance(texts, str):
            return answers[0]
        return with_answers(texts, answers, self.domains) if is_frame(texts) else answers

    def predict_proba(self, texts: Any, *, column: str | None = None, domain: Domain = None) -> NDArray[np.float32]:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish; arguments and errors as `predict`."""
        return self.predictor.predict_proba(texts_of(texts, column), domain)

    def stream(
        self, texts: Any, *, column: str | None = None, domain: str | None = None, window: int = WINDOW
    ) -> Iterator[Prediction]:
        """Answer an endless iterable, in order, holding at most `window` texts at a time; else as `predict`."""
        return self.predictor.stream(texts_of(texts, column), domain, window)

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
        found = explain(self.predictor, texts_of(texts, column), domain=domain, settings=settings)
        return found[0] if isinstance(texts, str) else found


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
    named = None if folder == shipped.MODEL else str(folder.absolute())  # another process has a default of its own
    settings = {
        "device": device, "dtype": dtype, "engine": engine, "threads": threads, "batch_tokens": batch_tokens,
        "abstain_below": abstain_below,
    }  # fmt: skip
    again = partial(_opened, named, **settings)
    facts = config | read_json(folder / "card.json", _COPY, absent={})
    if config.get("model_type") != MODEL_TYPE:
        if engine is not None or threads is not None:
            raise ConfigError(
                f"{folder} is a torch mixture; engine and threads are for exported models: "
                "run `finsa export` on it first"
            )
        return FinSA(Predictor(_torch(folder, config, device, dtype), batch_tokens, abstain_below), facts, again)
    if device not in (None, "cpu"):
        raise ConfigError(f"device {device!r}: an exported model runs on the CPU; leave the device out")
    precision = precision_of(dtype)
    first = GraphEngine(folder, config, engine or "onnxruntime", precision, threads)
    bulk = None
    if engine is None and has_openvino():
        bulk = partial(GraphEngine, first.folder, config, "openvino", precision, threads)
    return FinSA(Predictor(first, batch_tokens, abstain_below, bulk), facts, again)


@lru_cache(maxsize=1)
def _opened(path: str | None, **settings: Any) -> FinSA:
    """A model that another process has sent, opened once: a pool sends it with each task."""
    return load(path, **settings)


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

"""Every baseline by its name: a spec as a user writes it goes in, an untrained model comes out.

Each baseline's file is imported when it is asked for, so that naming one needs only its own libraries. Models that are
made by training rooms above this one come in by `also`; nothing here knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

from finsa_moe.errors import ConfigError, closest, require
from finsa_moe.evaluation.baselines.rows import Dev, Labels, Reals
from finsa_moe.evaluation.baselines.spec import Spec


class Baseline(Protocol):
    """A model that is trained by one call and then answers."""

    def fit(self, texts: Sequence[str], labels: Labels, *, seed: int = 13, dev: Dev | None = None) -> Self:
        """Train on raw texts (n,) and their class ids (n,); `dev`, such a pair, is chosen by and never trained on."""
        ...

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish."""
        ...


Factory = Callable[[Spec], Baseline]


def _majority(spec: Spec) -> Baseline:
    from finsa_moe.evaluation.baselines.majority import Majority

    spec.only()
    return Majority()


def _lexicon(spec: Spec) -> Baseline:
    from finsa_moe.evaluation.baselines.lexicon import LexiconBaseline

    spec.only("softmax")
    return LexiconBaseline(spec.word("softmax", "fitted", ("fitted", "fixed")))


def _tfidf(spec: Spec) -> Baseline:
    from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline

    spec.only()
    return TfidfBaseline(spec.name.removeprefix("tfidf-"))


def _network(spec: Spec) -> Baseline:
    require("torch", "train", f"the baseline {spec.name}")
    from finsa_moe.evaluation.baselines import networks

    spec.only()
    made: Baseline = getattr(networks, spec.name)()
    return made


def _huggingface(spec: Spec) -> Baseline:
    require("transformers", "train", "a Hugging Face classifier")
    from finsa_moe.evaluation.baselines.huggingface import HuggingFaceClassifier

    spec.only("labels", "max_length", "batch", "device", target=True)
    return HuggingFaceClassifier(
        spec.target, labels=spec.options.get("labels"), max_length=spec.whole("max_length", 512, 8),
        batch_size=spec.whole("batch", 32, 1), device=spec.options.get("device"),
    )  # fmt: skip


def _llm(spec: Spec) -> Baseline:
    from finsa_moe.evaluation.baselines.llm import from_spec

    return from_spec(spec)


FACTORIES: Mapping[str, Factory] = {
    "majority": _majority, "lexicon": _lexicon, "tfidf-lr": _tfidf, "tfidf-svm": _tfidf,
    "fasttext": _network, "textcnn": _network, "bilstm": _network, "hf": _huggingface, "llm": _llm,
}  # fmt: skip


def names(also: Mapping[str, Factory] | None = None) -> tuple[str, ...]:
    """Names that `make` knows."""
    return (*FACTORIES, *(also or {}))


def make(spec: str | Spec, also: Mapping[str, Factory] | None = None, *, elsewhere: Sequence[str] = ()) -> Baseline:
    """The untrained model of a spec, such as ``tfidf-lr``, ``hf:DIR`` or ``llm:MODEL@ENDPOINT?shots=4``.

    Args:
        spec: What the user wrote.
        also: More models by name, such as `finsa_moe.training.contestants.contestants` gives.
        elsewhere: Names that the caller makes itself, for the list that an unknown name is answered with.

    Raises:
        ConfigError: For an unknown name, or an option, a target or a value that the model does not take.
        MissingExtra: If a library it needs is not installed.
    """
    found = Spec.parse(spec) if isinstance(spec, str) else spec
    known = {**FACTORIES, **(also or {})}
    if found.name not in known:
        listed = [*known, *elsewhere]
        raise ConfigError(
            f"model {found.text}: unknown name {found.name!r}; known are {', '.join(listed)}"
            f"{closest(found.name, listed)}"
        )
    return known[found.name](found)

"""One model on one labelled table: routed, with each fixed expert, by the true domain's expert, and where it errs.

Takes anything with ``predict_proba(texts)``; what also has `domains` and `predict` is measured as a mixture. Gives an
`Evaluation`, which other modules print, draw or save. Intervals draw clusters of near texts, as a comparison's do. It
reads no file and knows no framework.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.domains import check_apart
from finsa_moe.data.duplicates.buckets import I64
from finsa_moe.data.duplicates.clusters import near_clusters
from finsa_moe.errors import ConfigError, DataError, MissingExtra, ModelError, closest
from finsa_moe.evaluation.metrics import Counts, Scores, confusion, score
from finsa_moe.evaluation.results import ORACLE, ROUTED, Evaluation, Routing, Run
from finsa_moe.polarity import NAMES, LabelMap, Polarity

FIXED, GIVEN, MODEL = "fixed:", "given", "model"
PROTOCOLS = (ROUTED, "finsa")
Reals = NDArray[np.float32]


class Classifier(Protocol):
    """All that measuring needs of a model."""

    def predict_proba(self, texts: Sequence[str]) -> NDArray[Any]:
        """Probabilities (n, 3), columns bearish, neutral, bullish."""
        ...


def evaluate(
    model: Classifier,
    frame: Any,
    *,
    protocol: str = ROUTED,
    samples: int = 5,
    seed: int = 13,
) -> Evaluation:
    """Measure a model on labelled rows.

    Args:
        model: A `FinSA`, or anything with ``predict_proba(texts)``.
        frame: A frame or a mapping of columns: `text`, `label` (class words), and if at hand `id` and `domain`.
        protocol: ``"routed"``: the router chooses, each fixed expert and the true domain's expert beside it;
            ``"finsa"``: only the expert of each row's domain, as the published command does.
        samples: How many right and how many wrong rows to show.
        seed: Seed of that sample and of the bootstrap.

    Raises:
        DataError: For a missing column or one of another length, an unknown label, no rows, a text that cannot be
            answered, or a domain that only some rows have or that is called ``all`` beside others.
        ModelError: If the model's answers are not three numbers for each text.
        ConfigError: For an unknown protocol, or the published one on a plain model or rows of unknown domain.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol {protocol!r} is unknown; choose one of {', '.join(PROTOCOLS)}")
    texts, labels, row_domains, ids = _columns(frame)
    truth = class_ids(labels)
    experts = tuple(getattr(model, "domains", ()))
    chosen: list[str] | None = None
    if not experts:
        if protocol != ROUTED:
            raise ConfigError("protocol 'finsa' needs a mixture with experts; this model has none")
        probs = {MODEL: _shaped(model.predict_proba(texts), texts)}
    elif protocol == ROUTED:
        probs, chosen = _mixture(model, texts, row_domains, experts)
    else:
        probs, chosen = _published(model, texts, row_domains, experts)
    near = _clusters(texts)
    runs = {name: _run(name, truth, p, row_domains, near, seed) for name, p in probs.items()}
    routed = protocol == ROUTED and chosen is not None and row_domains is not None
    routing = _routing(row_domains or [], chosen or [], experts) if routed else None
    named = list(range(len(texts))) if ids is None else ids
    columns = {"id": named, "domain": row_domains, "text": texts, "expert": chosen}
    right, wrong = _sample(columns, truth, next(iter(probs.values())), samples, seed)
    return Evaluation(protocol, len(texts), runs, routing, right, wrong)


def _mixture(
    model: Any, texts: list[str], row_domains: list[str] | None, experts: tuple[str, ...]
) -> tuple[dict[str, Reals], list[str]]:
    answers = model.predict(texts)
    probs = {ROUTED: _shaped([np.array(list(a.scores.values()), dtype=np.float32) for a in answers], texts)}
    if len(experts) > 1:
        probs |= {FIXED + name: _shaped(model.predict_proba(texts, domain=name), texts) for name in experts}
        if row_domains and set(row_domains) <= set(experts):
            # the true domain's expert is already among the fixed runs: pick its row, do not run it again
            stacked = np.stack([probs[FIXED + name] for name in experts])
            own = [experts.index(name) for name in row_domains]
            probs[ORACLE] = stacked[own, np.arange(len(own))]
    return probs, [a.expert for a in answers]


def _published(
    model: Any, texts: list[str], row_domains: list[str] | None, experts: tuple[str, ...]
) -> tuple[dict[str, Reals], list[str]]:
    if row_domains is None:
        raise ConfigError("protocol 'finsa' uses the given domain's expert: name it with --domain or a column `domain`")
    for name in dict.fromkeys(row_domains):
        if name not in experts:
            raise ConfigError(
                f"protocol 'finsa': rows of domain {name!r} have no expert; the mixture knows {', '.join(experts)}"
                f"{closest(name, list(experts))}; choose one with --domain"
            )
    return {GIVEN: _shaped(model.predict_proba(texts, domain=row_domains), texts)}, row_domains


def _shaped(probs: Any, texts: Sized) -> NDArray[Any]:
    """Answers as an array, three numbers for each text."""
    try:
        found = np.asarray(probs)
        shape = f"shape {found.shape}" + (f" of {found.dtype}" if found.dtype.kind not in "fiu" else "")
    except ValueError:  # rows of several lengths
        found, shape = np.empty(0), "rows of unequal length"
    if found.shape != (len(texts), len(NAMES)) or found.dtype.kind not in "fiu":
        raise ModelError(
            f"the model gave probabilities of {shape} for {len(texts):,} texts; needed are numbers of shape "
            f"({len(texts)}, {len(NAMES)}), columns bearish, neutral, bullish"
        )
    return found


def _clusters(texts: list[str]) -> I64 | None:
    """A number for each text, equal for near ones; None where what finds them is not installed."""
    try:
        return near_clusters(texts).ids
    except MissingExtra:
        return None


def _run(
    name: str, truth: Counts, probs: NDArray[Any], row_domains: list[str] | None, near: I64 | None, seed: int
) -> Run:
    def scored(rows: NDArray[np.bool_]) -> Scores:
        own = None if near is None else near[rows]
        over = np.unique(truth[rows]).tolist()  # of the labels: what a model answers besides adds no class
        return score(truth[rows], probs[rows], clusters=own, seed=seed, classes=over)

    domains = np.array(row_domains or ())
    by_domain = {domain: scored(domains == domain) for domain in dict.fromkeys(row_domains or ())}
    return Run(name, scored(np.ones(len(truth), dtype=np.bool_)), by_domain)


def _routing(row_domains: list[str], chosen: list[str], experts: tuple[str, ...]) -> Routing:
    domains = tuple(dict.fromkeys(row_domains))
    rows, columns = [domains.index(d) for d in row_domains], [experts.index(e) for e in chosen]
    matrix = confusion(rows, columns, len(domains), len(experts))
    known = [(d, e) for d, e in zip(row_domains, chosen, strict=True) if d in experts]
    accuracy = sum(d == e for d, e in known) / len(known) if known else None
    return Routing(accuracy, len(known), domains, experts, tuple(tuple(int(x) for x in row) for row in matrix))


def _sample(
    columns: dict[str, Any], truth: Counts, probs: NDArray[Any], count: int, seed: int
) -> tuple[tuple[dict[str, object], ...], tuple[dict[str, object], ...]]:
    predicted = probs.argmax(axis=1)
    rng = np.random.default_rng(seed)

    def rows(where: NDArray[np.bool_]) -> tuple[dict[str, object], ...]:
        at = np.flatnonzero(where)
        drawn = np.sort(rng.permutation(at)[:count])
        return tuple(
            {name: values[i] for name, values in columns.items() if values is not None}
            | {"label": NAMES[truth[i]], "predicted": NAMES[predicted[i]], "confidence": float(probs[i].max())}
            for i in drawn.tolist()
        )

    return rows(predicted == truth), rows(predicted != truth)


def _columns(frame: Any) -> tuple[list[str], list[Any], list[str] | None, list[Any] | None]:
    """Texts, labels, and where the table has them domains and ids, all of one length; domains of all rows or none."""
    texts, labels = _column(frame, "text"), _column(frame, "label")
    domains, ids = (_column(frame, name, missing_ok=True) for name in ("domain", "id"))
    for name, values in (("label", labels), ("domain", domains), ("id", ids)):
        if values is not None and len(values) != len(texts):
            raise DataError(f"column {name!r} has {len(values):,} rows and 'text' {len(texts):,}; give as many of both")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"row {row} (counted from 0): text {text!r} is no text; write one or leave the row out")
    missing = [row for row, name in enumerate(domains or ()) if not isinstance(name, str | int | np.integer)]
    if 0 < len(missing) < len(texts):
        raise DataError(
            f"row {missing[0]} (counted from 0): no domain ({domains[missing[0]]!r}), while other rows have one; "
            "give every row one, or leave the column out"
        )
    domains = None if missing else domains
    check_apart(domains or ())
    return texts, labels, domains, ids


def _column(frame: Any, name: str, *, missing_ok: bool = False) -> Any:
    known = [str(c) for c in (frame if isinstance(frame, Mapping) else frame.columns)]
    if name in known:
        values = list(frame[name])
        if not values:
            raise DataError("there is no row to evaluate; the table is empty")
        return values
    if missing_ok:
        return None
    raise DataError(f"the table has no column {name!r}; it has {', '.join(known)}{closest(name, known)}")


def class_ids(labels: Iterable[object], *, ids: bool = False) -> Counts:
    """Class ids (n,) int64 of class words; with `ids`, integers 0, 1, 2 stand for themselves.

    Raises:
        DataError: For a label that is no class, naming its row.
    """
    words, found = LabelMap(), []
    for row, label in enumerate(labels):
        numeric = isinstance(label, Polarity) or (ids and isinstance(label, int | np.integer))
        known = words(label) if not numeric else label if label in tuple(Polarity) else None
        if known is None:
            raise DataError(
                f"row {row} (counted from 0): label {label!r} is no class; allowed are {', '.join(NAMES)} or a word "
                "for them; map other spellings with --labels, e.g. --labels 4=利好"
            )
        found.append(int(known))  # type: ignore[call-overload]
    return np.array(found, dtype=np.int64)

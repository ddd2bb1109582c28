"""What a saved result says of one model: its scores by test set, those of the models beside it, and what leaks.

The JSON file of ``finsa compare`` or ``finsa evaluate`` and the model's folder go in, a `Measured` comes out. It scores
nothing: every number was measured before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.evaluation.comparison.comparison import MIXTURE
from finsa_moe.evaluation.fingerprints import of_weights
from finsa_moe.evaluation.results import ROUTED


@dataclass(frozen=True)
class Line:
    """One model on one test set; fractions.

    Attributes:
        name: The test set.
        n: Its texts.
        macro_f1: Mean over seeds, where there are several.
        low, high: Its 95 % interval.
        surest: Accuracy of the most confident 70 % of texts.
        leaked: Texts that stand in the training rows; None where nobody looked.
        routed: Share of texts sent to the set's own expert; None where that was not asked.
    """

    name: str
    n: int
    macro_f1: float
    low: float
    high: float
    accuracy: float
    ece: float
    surest: float
    leaked: int | None = None
    routed: float | None = None


@dataclass(frozen=True)
class Beside:
    """Another model's macro-F1 on a test set; `sure`: whether it surely differs, None where no test was made."""

    macro_f1: float
    sure: bool | None = None


@dataclass(frozen=True)
class Measured:
    """What is known of the model.

    Attributes:
        lines: By test set.
        beside: By other model and test set.
        command: What measured it, as typed; empty where it is not known.
        unranked: Other models that are never the best: forms added for a matrix, and those told each text's domain.
    """

    lines: tuple[Line, ...]
    beside: Mapping[str, Mapping[str, Beside]] = field(default_factory=dict)
    command: str = ""
    unranked: frozenset[str] = frozenset()

    def best(self, name: str) -> float:
        """The highest macro-F1 that any of the models that are ranked has on a test set."""
        own = next(line.macro_f1 for line in self.lines if line.name == name)
        return max([own, *(of[name].macro_f1 for other, of in self.beside.items() if other not in self.unranked)])


def measured(results: Mapping[str, Any], model: Path, *, source: str, default: Path | None = None) -> Measured:
    """Read a result.

    Args:
        results: The parsed JSON file.
        model: The model's folder, to be found among those compared.
        source: The file's name, for messages.
        default: The folder that a plain ``finsa`` among the compared means; None leaves it out.

    Raises:
        DataError: If it is no such result, or lacks a part.
        ConfigError: If the model is none of those that were measured, or its weights are not known to be those.
    """
    try:
        if "entries" in results:
            return _compared(results, model, source, default)
        if "runs" in results:
            return _evaluated(results, model, source, default)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise DataError(f"{source}: a part is missing or odd ({error!r}); make it anew") from None
    raise DataError(f"{source}: is no result of finsa compare (comparison.json) or finsa evaluate (--json F)")


def _compared(results: Mapping[str, Any], model: Path, source: str, default: Path | None) -> Measured:
    names = list(results["models"])
    own = [name for name in names if _is(name, model, default)]
    if not own:
        raise ConfigError(f"{source}: {model} is none of the models compared, routed: {', '.join(names)}")
    _check(results.get("fingerprints", {}).get(own[0]), model, source)
    entries, reference = results["entries"], results["reference"]
    lines = tuple(_line_compared(name, facts, entries[own[0]][name]) for name, facts in results["sets"].items())
    called = results.get("names", {})
    beside = {
        called.get(other, other): {
            name: Beside(entry["macro_f1"]["value"], _sure(entries, reference, own[0], other, name))
            for name, entry in entries[other].items()
        }
        for other in names if other != own[0]
    }  # fmt: skip
    command = results.get("command", "")
    unranked = frozenset(called.get(other, other) for other in names if other not in results.get("ranked", names))
    return Measured(lines, beside, command and f"{command} --out DIR", unranked)


def _is(text: str, model: Path, default: Path | None) -> bool:
    """Whether a spec is the routed mixture of a folder."""
    spec = Spec.parse(text)
    if spec.name != MIXTURE or spec.options.get("run", ROUTED) != ROUTED or "gate" in spec.options:
        return False
    return _means(spec.target, model, default)


def _means(named: str, model: Path, default: Path | None) -> bool:
    """Whether a name is a folder's: none, or ``default`` where no folder is so called, is that of the default."""
    place = default if named in ("", "default") and not (named and Path(named).is_dir()) else Path(named)
    return place is not None and place.resolve() == model.resolve()


def _check(kept: str | None, model: Path, source: str) -> None:
    """See that the weights are those that were measured.

    Raises:
        ConfigError: If they are others, or a result of an earlier version does not say which they were.
    """
    if kept is None:
        raise ConfigError(f"{source}: does not say with which weights {model} was measured; measure it again")
    if kept != of_weights(model):
        raise ConfigError(f"{source}: {model} held other weights when it was measured; measure it again")


def _line_compared(name: str, facts: Mapping[str, Any], entry: Mapping[str, Any]) -> Line:
    value, scores = entry["macro_f1"], entry["scores"]
    return Line(
        name, facts["texts"], value["value"], value["low"], value["high"], scores["accuracy"], scores["ece"],
        entry["surest"], facts["leaked"], entry["routing"],
    )  # fmt: skip


def _sure(entries: Mapping[str, Any], reference: str, own: str, other: str, name: str) -> bool | None:
    """Tests were made against the reference: they speak of this pair only where one of the two is it."""
    if reference not in (own, other):
        return None
    gap = entries[other if reference == own else own][name]["against"]
    return bool(gap["low"] > 0 or gap["high"] < 0)


def _evaluated(results: Mapping[str, Any], model: Path, source: str, default: Path | None) -> Measured:
    if not _means(results["model"], model, default):
        raise ConfigError(f"{source}: is a result of {results['model']}, not of {model}; evaluate {model} first")
    _check(results.get("fingerprint"), model, source)
    name, run = next(iter(results["runs"].items()))
    if name == "given":
        raise ConfigError(
            f"{source}: is a result of --protocol finsa, which bypasses the router; evaluate {model} without it"
        )
    parts = dict(run["domains"]) or {"all rows": run["all"]}
    routing = results.get("routing") or {"domains": [], "experts": [], "confusion": []}
    lines = []
    for name, scores in parts.items():
        low, high = scores["macro_f1_interval"]
        sure = min(scores["coverage"], key=lambda point: abs(point["coverage"] - 0.7))
        sent = dict(zip(routing["domains"], routing["confusion"], strict=True)).get(name)
        own = routing["experts"].index(name) if sent and name in routing["experts"] else None
        lines.append(Line(
            name, scores["n"], scores["macro_f1"], low, high, scores["accuracy"], scores["ece"], 1 - sure["risk"],
            None, sent[own] / sum(sent) if sent and own is not None else None,
        ))  # fmt: skip
    return Measured(tuple(lines), command=results.get("command", ""))

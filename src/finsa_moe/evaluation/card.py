"""The card of a saved model: a page for people, with a head that model hubs read.

The model's configuration, what its experts were trained on, and what was measured of it go in; Markdown comes out.
It reads no file and measures nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from finsa_moe.errors import DataError
from finsa_moe.evaluation.measured import Line, Measured
from finsa_moe.polarity import NAMES

MARK = "<!-- made by finsa card; what is written by hand below the last heading is kept -->"
NOTES = "<!-- notes: this line stays, and all below it is kept when the card is made anew -->"
OWN = "## Notes"
"""First heading of the part that belongs to people; of pages without the line above it, where that part begins."""
EMPTY = "Write here what a reader should know: where the rows come from, on what terms, known failures, intended use."

SURE: Mapping[bool | None, str] = {True: "", False: " ≈", None: " ?"}
"""By whether a model surely differs from this one, what stands after its score; None: no test of the two was made."""
TOLD: Mapping[bool | None, str] = {
    False: "≈: not surely different from this model.",
    None: "?: not tested against this model, which takes a comparison with it as the `--reference`.",
}


@dataclass(frozen=True)
class Subject:
    """The model as its folder tells.

    Attributes:
        name: What the card calls it.
        config: The folder's ``config.json``.
        experts: By domain, its ``expert.json``; empty for exported graphs.
        training: ``metrics.json`` of joint training; empty where there is none.
        calibration: By domain, ``ece_before``, ``ece_after`` (None of too few rows); empty for a mixture that was not
            exported.
    """

    name: str
    config: Mapping[str, Any]
    experts: Mapping[str, Mapping[str, Any]]
    training: Mapping[str, Any]
    calibration: Mapping[str, Any]

    @property
    def domains(self) -> list[str]:
        """Its experts."""
        return list(self.config["domains"])


def card(subject: Subject, found: Measured, *, load: str, notes: str = "") -> str:
    """The whole page.

    Args:
        subject: The model.
        found: What was measured of it.
        load: The path to show for loading it.
        notes: What `notes_of` found in an older card.

    Raises:
        DataError: If a file of the model lacks a part, or holds one of another kind.
    """
    parts = [
        _head(subject, found), MARK, f"# {subject.name}", _what(subject), _training(subject), _scores(found),
        _beside(found), _routing(found), _calibration(subject), _leaks(found), _use(load), _measuring(found),
        NOTES, notes or f"{OWN}\n\n{EMPTY}",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def notes_of(old: str) -> str | None:
    """What a person wrote into a card that stands already, under its heading; None where that part cannot be found."""
    _, line, notes = old.partition(NOTES)
    if not line:
        heading = re.search(rf"^{OWN}[ \t]*$", old, re.MULTILINE)
        if heading is None:
            return None
        notes = old[heading.start() :]
    notes = notes.strip()
    return "" if notes == f"{OWN}\n\n{EMPTY}" else notes


@contextmanager
def _told_by(file: str, subject: Subject) -> Iterator[None]:
    """Say of which file a part is missing or odd."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{file} of {subject.name}: a part is missing or odd ({error!r}); mend it, or take the file away"
        ) from None


def _head(subject: Subject, found: Measured) -> str:
    """Metadata of the Hugging Face hub: https://huggingface.co/docs/hub/model-cards."""
    results = [
        "  - task: {type: text-classification}\n"
        f"    dataset: {{name: {_yaml(line.name)}, type: {_yaml(line.name)}}}\n"
        f"    metrics:\n    - {{type: f1, name: macro-F1, value: {line.macro_f1:.4f}}}\n"
        f"    - {{type: accuracy, value: {line.accuracy:.4f}}}"
        for line in found.lines
    ]
    return "\n".join([
        "---", "language: zh", "library_name: finsa-moe", "pipeline_tag: text-classification",
        "tags: [finance, sentiment, mixture-of-experts, lora]", "model-index:", f"- name: {_yaml(subject.name)}",
        "  results:", *results, "---",
    ])  # fmt: skip


def _called(name: str | None) -> str | None:
    """A backbone's name; of a folder on this machine, which says nothing elsewhere, the last part."""
    return PurePath(name).name if name and PurePath(name).is_absolute() else name


def _what(subject: Subject) -> str:
    config = subject.config
    backbone = config.get("backbone", {})
    facts: list[tuple[str, object]] = [
        ("experts", ", ".join(subject.domains)),
        ("backbone", _called(backbone.get("name"))),
        ("its fingerprint", backbone.get("fingerprint") or config.get("source", {}).get("fingerprint")),
        ("its number format", _format(backbone)),
        ("rank of an expert", config.get("rank")),
        ("router reads", _route(config)),
        ("gate", config.get("gate")),
        ("prompt", config.get("prompt")),
        ("longest text, tokens", config.get("max_tokens")),
        ("graphs", ", ".join(config.get("graphs", {}))),
    ]
    rows = [[name, str(value)] for name, value in facts if value not in (None, "", {})]
    says = f"Polarity of Chinese financial text ({' / '.join(NAMES)}): LoRA experts on one frozen backbone, merged."
    return f"{says}\n\n## What it is\n\n{_table(('', ''), rows)}"


def _format(backbone: Mapping[str, Any]) -> str | None:
    quantised = backbone.get("quantisation")
    return quantised if quantised not in (None, "none") else backbone.get("dtype")


def _route(config: Mapping[str, Any]) -> str | None:
    if "route_at" not in config:
        return None
    depth = float(config["route_at"])
    return "the mean embedding" if depth == 0 else f"the hidden state at {100 * depth:g} % of the depth"


def _training(subject: Subject) -> str:
    with _told_by("metrics.json", subject):
        joint = _joint(subject.training)
    parts = [part for part in (_experts(subject), joint) if part]
    return "\n\n".join(["## Training", *parts]) if parts else ""


def _experts(subject: Subject) -> str:
    rows = []
    for name, facts in subject.experts.items():
        if "rows" not in facts:  # a mixture's own copy of an expert tells what it needs to run, not how it was trained
            continue
        with _told_by(f"experts/{name}/expert.json", subject):
            counts = facts.get("classes", {})
            shown = [f"{counts[label]:,}" if counts.get(label) else "none" if counts else "–" for label in NAMES]
            rows.append([name, f"{facts['rows']:,}", *shown, f"{facts['steps']:,}", f"{facts['trained_parameters']:,}"])
    return _table(("expert", "training rows", *NAMES, "steps", "trained parameters"), rows, left=1) if rows else ""


def _joint(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    rows = ", ".join(f"{name} {n:,}" for name, n in facts.get("domains", {}).items())
    unread = ", ".join(f"{name} {n:,}" for name, n in facts.get("unlabelled", {}).items())
    return (
        f"Joint training ({facts['stage']}): {facts['steps']:,} steps on {facts['rows']:,} rows"
        + (f" ({rows})" if rows else "")
        + (f", of them without a label, for the router alone: {unread}" if unread else "")
        + f"; {facts['trained_parameters']:,} parameters trained, {facts['wall_seconds'] / 60:.0f} minutes."
    )  # fmt: skip


def _scores(found: Measured) -> str:
    rows = [
        [line.name, f"{line.n:,}", f"**{_percent(line.macro_f1)}**", f"{_percent(line.low)}–{_percent(line.high)}",
         _percent(line.accuracy), _percent(line.ece), _percent(line.surest)]
        for line in found.lines
    ]  # fmt: skip
    heads = ("test set", "texts", "macro-F1", "95 %", "accuracy", "calibration error", "accuracy of the surest 70 %")
    return f"## Scores\n\nPercent.\n\n{_table(heads, rows, left=1)}"


def _beside(found: Measured) -> str:
    if not found.beside:
        return ""
    names = [line.name for line in found.lines]
    own = [_marked(line.macro_f1, line.macro_f1 == found.best(line.name)) for line in found.lines]
    rows = [["**this model**", *own]]
    for other, of in found.beside.items():
        ranked = other not in found.unranked
        words = [
            _marked(of[name].macro_f1, ranked and of[name].macro_f1 == found.best(name)) + SURE[of[name].sure]
            for name in names
        ]
        rows.append([f"`{other}`", *words])
    met = {one.sure for of in found.beside.values() for one in of.values()}
    told = [words for sure, words in TOLD.items() if sure in met]
    note = f"\n\n{' '.join(told)}" if told else ""
    return f"### Beside other models\n\nMacro-F1 on the same rows.\n\n{_table(('model', *names), rows, left=1)}{note}"


def _routing(found: Measured) -> str:
    lines = [line for line in found.lines if line.routed is not None]
    if not lines:
        return ""
    shares = ", ".join(f"{line.name} {_percent(line.routed or 0.0)} %" for line in lines)
    return f"### Routing\n\nTexts sent to their own domain's expert: {shares}."


def _calibration(subject: Subject) -> str:
    with _told_by("export.json", subject):
        rows = [
            [name, f"{of['rows']:,}", f"{of['temperature']:.2f}", _percent(of["ece_before"]), _percent(of["ece_after"])]
            for name, of in subject.calibration.items()
        ]
    if not rows:
        return ""
    heads = ("expert", "validation rows", "temperature", "calibration error before", "after")
    return f"### Calibration\n\n{_table(heads, rows, left=1)}"


def _leaks(found: Measured) -> str:
    if all(line.leaked is None for line in found.lines):
        return (
            "### Leaks\n\nNobody looked whether these texts stand in the training rows: "
            "`finsa compare --train … --test …` does."
        )
    return "### Leaks\n\n" + "\n".join(_leak(line) for line in found.lines)


def _leak(line: Line) -> str:
    shared = f"{line.leaked or 0:,} of {line.n:,} texts"
    return f"- {line.name}: {shared} stand in the training rows that were given, equal or near."


def _use(load: str) -> str:
    return (
        f"## Use\n\n```python\nimport finsa_moe\n\nfinsa = finsa_moe.load({json.dumps(load)})\n"
        'print(finsa.predict("公司上半年净利润同比增长三成"))\n```'
    )


def _measuring(found: Measured) -> str:
    return f"## How it was measured\n\n```sh\n{found.command}\n```" if found.command else ""


def _marked(value: float, best: bool) -> str:
    return f"**{_percent(value)}**" if best else _percent(value)


def _percent(value: float | None) -> str:
    """A fraction in percent, one digit after the point."""
    return "–" if value is None else f"{100 * value:.1f}"


def _yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML string


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 2) -> str:
    rule = ["---" if at < left else "---:" for at in range(len(heads))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, rule, *rows))

"""The card of the default model, from what its run measured: facts for programs, a page for people.

Read by ``runs/publish.py``; ``python runs/card.py OUT`` says before a last pass whether a card could tell of it. The
numbers come from the files of a run, the rest stands in ``card.md``. Of a round that went on from an earlier one,
``OUT/earlier.json`` lists the ``adapt.json`` of the students before, and ``OUT/history.json`` the sittings of their
pre-training where these are not those of ``models/pretrained``. Of a last pass on a finished student, or new tables for
a finished mixture, ``OUT/before.json`` is the card of the model that it belongs to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev import TFIDF, tfidf
from expert_rows import rows

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.measure import mark

TEMPLATE = Path(__file__).with_name("card.md")
SPEED = Path("benchmarks/results/one_core.json")
READINGS = ("news", "boards", "investors")
FRESH = (*READINGS, "other")
STUDENT = ("pretraining", "backbone", "earlier", "readings", "students")  # how a student came to be
SKILLS_SHOWN = ("irony", "negation", "numbers", "comparison", "two_sided")


def start(out: Path, last: bool) -> dict[str, Any] | None:
    """The card of the model that a run went on from, where it did; `last` if it makes a last pass.

    Raises:
        SystemExit: If no card can tell of both.
    """
    file = out / "before.json"
    if not file.is_file():
        return None
    before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if lacking := [key for key in STUDENT if key not in before]:
        raise SystemExit(f"{file}: no {lacking[0]}; take the card.json of the model that the run went on from")
    if before.get("last") and last:
        raise SystemExit(f"{file}: tells of a last pass already, and a card of one alone; put the student's own there")
    return before


def facts(out: Path, graphs: Path, precision: str) -> dict[str, Any]:
    """Everything measured, by part, of a run and of the graphs that ship of it."""

    def read(name: str) -> Any:
        return json.loads((out / name).read_text(encoding="utf-8"))

    before, speed = start(out, (out / "last").is_dir()), json.loads(SPEED.read_text(encoding="utf-8"))
    history = next((f for f in (out / "history.json", Path("models/pretrained/history.json")) if f.is_file()), None)
    student = {key: before[key] for key in STUDENT} if before else {
        "pretraining": json.loads(history.read_text()) if history else [],
        "backbone": read("backbone/pretrain.json"),
        "earlier": read("earlier.json") if (out / "earlier.json").is_file() else [],
        "readings": _counted(_readings(out / "readings", READINGS)),
        "students": _trainings(read("student/adapt.json")),
    }  # fmt: skip
    fresh = _readings(out / "fresh", FRESH)
    last = (before or {}).get("last")
    if (out / "last").is_dir():
        mean = read("last/adapt.json")
        passes = _trainings(mean)
        beside = len(passes) < len(mean["mean_of"])  # an earlier run's passes are among its parts
        last = {"passes": passes, "beside": beside, "readings": _counted(fresh, _learnt(out / "last_rows"))}
    return {
        "name": "FinSA-MoE default",
        "made": datetime.now(UTC).date().isoformat(),
        "precision": precision,
        **student,
        "last": last,
        "rank": read("moe/config.json")["rank"],
        "mixtures": [
            {key: one[key] for key in ("steps", "rows", "unlabelled")} for one in read("moe/metrics.json")["mean_of"]
        ],
        "share": read("moe/metrics.json").get("share_of_the_way", 1.0),
        "read_on": read("moe/metrics.json").get("read_on", {}),
        "tables": read("moe/metrics.json")["tables"],
        "fresh": _counted(fresh),
        "export": {key: read("runtime/export.json")[key] for key in ("parity", "calibration")},
        "dev": read("dev.json"),
        "examined": read("examine.json"),
        # a router that a run trains itself meets none: `finsa train-joint` holds them out
        "headlines_met": None if (out / "seeds").is_dir() else (before or {}).get("headlines_met"),
        "speed": speed["texts_per_second"],
        "speed_of_these": speed.get("model") == mark(graphs),
        "agreement": read("agreement.json") if (out / "agreement.json").is_file() else None,
    }


def _trainings(mean: dict[str, Any]) -> list[dict[str, Any]]:
    """How those parts of a mean were trained that a run made itself; what an earlier one published does not say."""
    keys = ("steps", "rows", "wall_seconds", "tasks")
    return [{key: one[key] for key in keys} for one in mean["mean_of"] if "steps" in one]


def _readings(folder: Path, kinds: Sequence[str]) -> dict[str, list[str]]:
    """The texts read of each kind; none where there is no file."""
    files = {kind: folder / f"{kind}.csv" for kind in kinds}
    return {kind: [text for text, _ in rows(file)] if file.is_file() else [] for kind, file in files.items()}


def _learnt(folder: Path) -> set[str]:
    """The texts of the training rows of all its folders."""
    return {text for file in folder.glob("*/train.csv") for text, _ in rows(file)}


def _counted(readings: dict[str, list[str]], learnt: set[str] | None = None) -> dict[str, int]:
    """How many readings there are of each kind, or how many of them were learnt."""
    return {kind: sum(learnt is None or text in learnt for text in texts) for kind, texts in readings.items()}


def text(card: dict[str, Any], baseline: Path = TFIDF) -> str:
    """The page, Markdown: ``card.md`` filled in; TF-IDF's scores from the result of ``runs/tfidf.py``."""
    backbone, student, sittings = card["backbone"], card["students"][0], card["pretraining"]
    tokens = sum(sitting["tokens"] for sitting in sittings) or backbone["tokens_seen"]
    hours = (sum(sitting["minutes"] for sitting in sittings) or backbone["minutes"]) / 60
    behaviour = card["examined"]["behaviour"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        made=card["made"], precision=card["precision"], parameters=backbone["parameters"] / 1e6,
        embedding=backbone["embedding_parameters"] / 1e6, tokens=tokens / 1e6, hours=hours,
        corpus=backbone["corpus_tokens"] / 1e6, steps=student["steps"], students=_mean_of(len(card["students"])),
        minutes=sum(one["wall_seconds"] for one in card["students"]) / 60,
        unlabelled=sum(card["mixtures"][0]["unlabelled"].values()), mixtures=_seeds(len(card["mixtures"])),
        share=100 * card["share"], read_on=_read_on(card.get("read_on", {})),
        rank=card["rank"], crossed=_crossed(card["export"]["calibration"]),
        start=_start(card["earlier"]), readings=_kinds(card["readings"]), last=_last(card["last"]),
        tables=_tables(card["tables"]), fresh=_kinds(card["fresh"]),
        taught="last pass and the tables have" if card["last"] else "tables have",
        rows=", ".join(f"{name} {task['rows']:,}" for name, task in student["tasks"].items()),
        scores=_scores(card["dev"], tfidf(baseline)), routing=_routing(card), behaviour=_behaviour(card["examined"]),
        missed=_missed(behaviour["missed"]), speed=_speed(card["speed"]), of_which=_of_which(card),
        agreement=_agreement(card["agreement"]),
    )  # fmt: skip


def _of_which(card: dict[str, Any]) -> str:
    """Whether the speed was measured with these graphs; a card from before this was kept does not say."""
    return "" if card.get("speed_of_these", True) else " Measured with the graphs of an earlier state."


def _speed(found: dict[str, Any]) -> str:
    rate = {name: f"{one['median']:.0f} ({one['low']:.0f}–{one['high']:.0f})" for name, one in found.items()}
    return (
        f"| | ours | a bare BERT of 6 × 256, same ids |\n|---|---:|---:|\n"
        f"| ONNX Runtime | {rate['onnxruntime']} | {rate['bert onnxruntime']} |\n"
        f"| OpenVINO | {rate['openvino']} | {rate['bert openvino']} |"
    )


def _agreement(found: dict[str, int] | None) -> str:
    """What the exported graphs answer otherwise than the weights on all dev texts, where it was counted."""
    if found is None:
        return ""
    return (
        f" Of the {found['texts']:,} dev texts the graphs answer {found['different']:,} otherwise than the weights "
        "do (OpenVINO)."
    )


def _start(rounds: list[dict[str, Any]]) -> str:
    if not rounds:
        return "that backbone"
    steps = ", ".join(f"{one['steps']:,} steps, {one['wall_seconds'] / 60:.0f} minutes" for one in rounds)
    return f"the student of an earlier such round ({steps})"


def _kinds(readings: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in readings.items())


def _tables(found: dict[str, dict[str, float]]) -> str:
    """The tables of n-grams, of how many rows each is, and what it counts where that is not 1."""

    def told(name: str, one: dict[str, float]) -> str:
        counts = f", counting {one['weight']:g} times" if "weight" in one else ""
        return f"{name} {one['ngrams']:,} of {one['rows']:,} rows{counts}"

    return "; ".join(told(name, one) for name, one in found.items())


def _last(found: dict[str, Any] | None) -> str:
    """How a finished student went on, where it did."""
    if found is None:
        return ""
    passes = found["passes"]
    minutes = ", ".join(f"{one['wall_seconds'] / 60:.0f}" for one in passes)
    beside = ", with the mean of an earlier run's passes," if found["beside"] else ""
    written = sum(task["rows"] for name, task in passes[0]["tasks"].items() if name.startswith("written_"))
    return (
        f" That student then went on for one more pass ({len(passes)} times from other seeds, "
        f"{passes[0]['steps']:,} steps, {minutes} minutes on a core) over {passes[0]['rows']:,} rows: labelled ones "
        f"that it knew, {written:,} sentences written one by one, "
        f"and readings made since ({_kinds(found['readings'])}; the last from company headlines, news sentences, "
        f"announcements and lines of the unlabelled files unlike the wire's); the passes' mean{beside} is the backbone."
    )


def _read_on(found: dict[str, dict[str, Any]]) -> str:
    """Which experts went on alone, if any."""
    return "".join(
        f" The expert of {domain} then read on alone ({one['steps']:,} steps, {one['wall_seconds'] / 60:.0f} minutes "
        f"of a core{_of_seeds(one.get('seeds', 1))}) among {one['rows']:,} rows: labelled ones, the written sentences, "
        "bare phrases, nouns of a list with what may be said of them (`runs/phrases.py`), and short lines whose "
        "figures decide (`runs/figures.py`)."
        for domain, one in found.items()
    )


def _of_seeds(seeds: int) -> str:
    return f"; the last time the mean of {seeds} seeds" if seeds > 1 else ""


def _crossed(calibration: dict[str, Any]) -> str:
    return ", ".join(
        f"{100 * one['ece_after']:.1f} on {one['rows']:,} {name} rows" for name, one in calibration.items()
    )


def _mean_of(students: int) -> str:
    return f"{students} times from other seeds and the weights' mean taken, each " if students > 1 else ""


def _seeds(mixtures: int) -> str:
    return f", {mixtures} times from other seeds, and the mean of their experts" if mixtures > 1 else ""


def _scores(dev: dict[str, Any], baseline: dict[str, tuple[float, float]]) -> str:
    lines = [
        "| file | rows | TF-IDF, given rows | with further labels | routed | 95 % | true expert | accuracy | ECE "
        "| surest 70 %, accuracy |",
        "|---|---:|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    for name, found in dev.items():
        routed, (given, same) = found["routed"], baseline[name]
        low, high = routed["macro_f1_interval"]
        sure = min(routed["coverage"], key=lambda point: abs(point["coverage"] - 0.7))
        lines.append(
            f"| {name} | {routed['n']:,} | {given:.1f} | {same:.1f} | "
            f"**{100 * routed['macro_f1']:.1f}** | {100 * low:.1f}–{100 * high:.1f} | "
            f"{100 * found['own']['macro_f1']:.1f} | {100 * routed['accuracy']:.1f} | "
            f"{100 * routed['ece']:.1f} | {100 * (1 - sure['risk']):.1f} |"
        )
    return "\n".join(lines)


def _routing(card: dict[str, Any]) -> str:
    shares = ", ".join(f"{name} {100 * found['routing']:.1f} %" for name, found in card["dev"].items())
    headlines, met = card["examined"]["headlines"], card.get("headlines_met")
    learnt = f", and of which {met:,} stood among the rows of joint training" if met else ""
    lines = [
        f"Texts sent to their own domain's expert: {shares}. Company headlines of a set "
        f"whose labels the student has learnt{learnt}: "
        f"{100 * headlines['news']:.1f} % of {headlines['texts']:,} to news.",
        "",
        "| characters | headlines | to news |",
        "|---|---:|---:|",
    ]
    for bucket in headlines["by_length"]:
        span = f"{bucket['from']}–{bucket['to']}" if bucket["to"] < 1000 else f"{bucket['from']} and more"
        lines.append(f"| {span} | {bucket['texts']:,} | {100 * bucket['news']:.1f} % |")
    return "\n".join(lines)


def _behaviour(examined: dict[str, Any]) -> str:
    found = examined["behaviour"]
    lines = ["| skill | passed |", "|---|---:|"]
    lines += [f"| {skill} | {100 * rate:.0f} % |" for skill, rate in found["by_skill"].items()]
    lines.append(f"| all {found['cases']} cases | **{100 * found['overall']:.0f} %** |")
    kept = (f"{100 * one['same']:.1f} % of {one['texts']} in {name}" for name, one in examined["names"].items())
    lines += [
        "",
        f"Answers that another name leaves as they are: {100 * found['names_swapped']:.0f} % of the suite's pairs. Of "
        f"dev texts that name a listed company, each asked under three draws of other ones: {', '.join(kept)}.",
    ]
    return "\n".join(lines)


def _missed(missed: list[dict[str, str]]) -> str:
    shown = [next((case for case in missed if case["skill"] == skill), None) for skill in SKILLS_SHOWN]
    lines = ["| skill | text | should be | answers |", "|---|---|---|---|"]
    lines += [f"| {c['skill']} | {c['text']} | {c['expected']} | {c['answered']} |" for c in shown if c]
    return "\n".join(lines)


if __name__ == "__main__":
    start(Path(sys.argv[1]), last=True)

"""A card tells what a result says: every number is looked for in a result made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.evaluation.card import EMPTY, MARK, NOTES, Subject, card, notes_of
from finsa_moe.evaluation.fingerprints import of_weights
from finsa_moe.evaluation.measured import Beside, Line, measured

CONFIG = {
    "domains": ["news", "forum"], "rank": 16, "route_at": 0.25, "gate": "hard", "prompt": "none", "max_tokens": 256,
    "backbone": {"name": "models/b", "fingerprint": "abc123", "quantisation": "nf4", "dtype": "float32"},
}  # fmt: skip
EXPERT = {"rows": 1200, "steps": 300, "trained_parameters": 45678, "classes": {"利空": 0, "中性": 700, "利好": 500}}
JOINT = {
    "stage": "moe_joint", "steps": 90, "rows": 2400, "wall_seconds": 600.0, "trained_parameters": 780105,
    "domains": {"news": 700, "forum": 1200}, "unlabelled": {"news": 300, "forum": 200},
}  # fmt: skip
NOTHING = of_weights(Path("m"))
"""Of a folder that is not there."""
SUBJECT = Subject("mine", CONFIG, {"news": EXPERT}, JOINT, {})


def entry(value: float, gap: tuple[float, float] | None, routing: float | None = None) -> dict[str, Any]:
    against = None if gap is None else {"value": sum(gap) / 2, "low": gap[0], "high": gap[1], "p": 0.5}
    return {
        "macro_f1": {"value": value, "low": value - 0.02, "high": value + 0.02}, "surest": 0.9, "routing": routing,
        "scores": {"accuracy": value + 0.01, "ece": 0.031}, "against": against,
    }  # fmt: skip


def comparison(reference: str, fingerprint: str = NOTHING) -> dict[str, Any]:
    """The mixture of folder m, its fixed form, and TF-IDF, on one set; differences are from the reference."""
    own = "finsa:m"
    gaps = {own: None, "tfidf-lr": (-0.05, 0.01), "finsa:m?run=news": (-0.3, -0.2)} if reference == own else {
        own: (0.01, 0.05), "tfidf-lr": None, "finsa:m?run=news": (-0.3, -0.2)}  # fmt: skip
    values = {own: 0.8, "tfidf-lr": 0.75, "finsa:m?run=news": 0.5}
    return {
        "models": list(values), "reference": reference, "command": "finsa compare --model finsa:m",
        "fingerprints": {own: fingerprint},
        "sets": {"news": {"domain": "news", "texts": 1000, "clusters": 990, "leaked": 12}},
        "entries": {m: {"news": entry(v, gaps[m], 0.987 if m == own else None)} for m, v in values.items()},
    }  # fmt: skip


EVALUATED = {
    "model": "m", "fingerprint": NOTHING,
    "runs": {
        "routed": {
            "all": {},
            "domains": {
                name: {
                    "n": 10, "macro_f1": 0.7, "macro_f1_interval": [0.6, 0.8], "accuracy": 0.72, "ece": 0.04,
                    "coverage": [{"coverage": 0.5, "risk": 0.1}, {"coverage": 0.7, "risk": 0.2}],
                }
                for name in ("news", "forum")
            },
        },
        "oracle": {},
    },
    "routing": {"domains": ["news", "forum"], "experts": ["news", "forum"], "confusion": [[9, 1], [4, 6]]},
}  # fmt: skip


def test_a_comparison_is_read() -> None:
    found = measured(comparison("finsa:m"), Path("m"), source="f")
    assert found.lines == (Line("news", 1000, 0.8, 0.78, 0.8200000000000001, 0.81, 0.031, 0.9, 12, 0.987),)
    assert found.beside["tfidf-lr"]["news"] == Beside(0.75, False)
    assert found.beside["finsa:m?run=news"]["news"] == Beside(0.5, True)
    assert found.best("news") == 0.8
    assert found.command == "finsa compare --model finsa:m --out DIR"


def test_a_test_against_another_reference_speaks_of_that_pair_alone() -> None:
    found = measured(comparison("tfidf-lr"), Path("m"), source="f")
    assert found.beside["tfidf-lr"]["news"].sure is True
    assert found.beside["finsa:m?run=news"]["news"].sure is None


def test_a_plain_finsa_is_the_default_model() -> None:
    plain = comparison("finsa:m")
    plain["models"], plain["entries"] = ["finsa"], {"finsa": plain["entries"]["finsa:m"]}
    plain["fingerprints"] = {"finsa": NOTHING}
    plain["reference"] = "finsa"
    assert measured(plain, Path("d"), source="f", default=Path("d")).lines[0].macro_f1 == 0.8
    with pytest.raises(ConfigError, match="f: d is none of the models compared, routed: finsa"):
        measured(plain, Path("d"), source="f")


def test_an_evaluation_is_read() -> None:
    news, forum = measured(EVALUATED, Path("m"), source="f").lines
    assert (news.name, news.n, news.macro_f1, news.low, news.high) == ("news", 10, 0.7, 0.6, 0.8)
    assert (news.surest, news.leaked, news.routed, forum.routed) == (0.8, None, 0.9, 0.6)


@pytest.mark.parametrize(
    ("results", "error", "says"),
    [
        ({"hello": 1}, DataError, "f: is no result of finsa compare"),
        ({**comparison("finsa:m"), "entries": {}}, DataError, "f: a part is missing or odd .*finsa:m"),
        ({**EVALUATED, "model": "other"}, ConfigError, "f: is a result of other, not of m"),
        ({**comparison("finsa:m"), "models": ["tfidf-lr"]}, ConfigError, "m is none of the models compared"),
    ],
)
def test_what_is_no_result(results: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        measured(results, Path("m"), source="f")


def test_the_card_shows_what_was_measured() -> None:
    page = card(SUBJECT, measured(comparison("finsa:m"), Path("m"), source="f"), load="m")
    assert "| news | 1,000 | **80.0** | 78.0–82.0 | 81.0 | 3.1 | 90.0 |" in page
    assert "| **this model** | **80.0** |" in page
    assert "| `tfidf-lr` | 75.0 ≈ |" in page
    assert "| `finsa:m?run=news` | 50.0 |" in page
    assert "not surely different from this model" in page
    assert "news 98.7 %" in page
    assert "12 of 1,000 texts stand in the training rows" in page
    assert "| news | 1,200 | none | 700 | 500 | 300 | 45,678 |" in page
    assert "Joint training (moe_joint): 90 steps on 2,400 rows (news 700, forum 1,200), of them without a label" in page
    assert "news 300, forum 200; 780,105 parameters trained, 10 minutes." in page
    assert "nf4" in page
    assert "the hidden state at 25 % of the depth" in page
    assert 'finsa_moe.load("m")' in page
    assert "finsa compare --model finsa:m" in page


def test_models_that_were_not_tested_against_this_one_are_marked() -> None:
    """Where the reference was another: a score without a mark would look surely different."""
    page = card(SUBJECT, measured(comparison("tfidf-lr"), Path("m"), source="f"), load="m")
    assert "| `tfidf-lr` | 75.0 |" in page
    assert "| `finsa:m?run=news` | 50.0 ? |" in page
    assert "?: not tested against this model, which takes a comparison with it as the `--reference`." in page
    assert "≈" not in page


def test_the_oracle_is_never_the_best() -> None:
    """As the comparison ranks them; results of earlier versions do not say, and rank all."""
    found = comparison("finsa:m")
    found["entries"]["finsa:m?run=news"]["news"] = entry(0.9, (0.05, 0.15))
    for ranked, shown in (({}, "| **90.0** |"), ({"ranked": ["finsa:m", "tfidf-lr"]}, "| 90.0 |")):
        page = card(SUBJECT, measured({**found, **ranked}, Path("m"), source="f"), load="m")
        assert f"| `finsa:m?run=news` {shown}" in page
    assert "| **this model** | **80.0** |" in page
    found["entries"]["finsa:m?run=news"]["news"] = entry(0.8, (-0.05, 0.05))
    tied = card(SUBJECT, measured({**found, "ranked": ["finsa:m", "tfidf-lr"]}, Path("m"), source="f"), load="m")
    assert "| **this model** | **80.0** |" in tied
    assert "| `finsa:m?run=news` | 80.0 ≈ |" in tied


def test_results_of_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"first")
    kept, spec = of_weights(tmp_path), f"finsa:{tmp_path}"
    found = comparison("finsa:m")
    entries = {spec: found["entries"]["finsa:m"]}
    results = [
        {**found, "models": [spec], "reference": spec, "entries": entries, "fingerprints": {spec: kept}},
        {**EVALUATED, "model": str(tmp_path), "fingerprint": kept},
    ]
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")  # no part of what answers
    for result in results:
        assert measured(result, tmp_path, source="f").lines
        unsaid = {name: value for name, value in result.items() if not name.startswith("fingerprint")}
        with pytest.raises(ConfigError, match=r"f: does not say with which weights .* was measured; measure it again"):
            measured(unsaid, tmp_path, source="f")
    (tmp_path / "model.safetensors").write_bytes(b"later")
    for result in results:
        with pytest.raises(ConfigError, match=r"f: .* held other weights when it was measured; measure it again"):
            measured(result, tmp_path, source="f")


def test_the_head_is_what_hubs_read() -> None:
    page = card(Subject('a "b": c', CONFIG, {}, {}, {}), measured(EVALUATED, Path("m"), source="f"), load="m")
    head = yaml.safe_load(page.split("---\n")[1])
    assert (head["language"], head["pipeline_tag"]) == ("zh", "text-classification")
    (model,) = head["model-index"]
    assert model["name"] == 'a "b": c'
    assert [result["dataset"]["name"] for result in model["results"]] == ["news", "forum"]
    assert [m["value"] for m in model["results"][0]["metrics"]] == [0.7, 0.72]


def test_a_model_without_history_has_a_card_without_it() -> None:
    graphs = {"domains": ["news", "forum"], "max_tokens": 256, "graphs": {"int8": {}}, "source": {"fingerprint": "x9"}}
    calibrated = {
        "news": {"rows": 404, "temperature": 0.739, "ece_before": 0.07, "ece_after": 0.041},
        "forum": {"rows": 49, "temperature": 1.0, "ece_before": None, "ece_after": None},  # too few: nothing was fitted
    }
    page = card(Subject("g", graphs, {}, {}, calibrated), measured(EVALUATED, Path("m"), source="f"), load="g")
    assert "## Training" not in page
    assert "Nobody looked whether these texts stand in the training rows" in page
    assert "| news | 404 | 0.74 | 7.0 | 4.1 |" in page
    assert "| forum | 49 | 1.00 | – | – |" in page
    assert "| graphs | int8 |" in page
    assert not re.search(r"\bNone\b|\bnan\b", page)


def test_what_a_person_wrote_is_carried_over() -> None:
    found = measured(EVALUATED, Path("m"), source="f")
    first = card(SUBJECT, found, load="m")
    assert notes_of(first) == ""
    mended = first.replace(EMPTY, "Rows of our own desk.\n\n## More\nno personal data")
    again = card(SUBJECT, found, load="m", notes=notes_of(mended) or "")
    assert again == mended


@pytest.mark.parametrize("heading", ["## 备注", "## Notes ", "# What a reader should know", ""])
def test_notes_are_found_under_whatever_heading(heading: str) -> None:
    found = measured(EVALUATED, Path("m"), source="f")
    mended = card(SUBJECT, found, load="m").replace("## Notes", heading).replace(EMPTY, "手写说明")
    again = card(SUBJECT, found, load="m", notes=notes_of(mended) or "")
    assert again.count("手写说明") == again.count(NOTES) == 1
    assert heading in again
    assert card(SUBJECT, found, load="m", notes=notes_of(again) or "") == again


@pytest.mark.parametrize(
    ("old", "notes"),
    [
        (f"{MARK}\n\n## Notes\n\n手写\n", "## Notes\n\n手写"), (f"{MARK}\n\n## Notes \n\n手写\n", "## Notes \n\n手写"),
        (f"{MARK}\n\n## Notes\n\n{EMPTY}\n", ""), (f"{MARK}\n\n## 备注\n\n手写\n", None),
    ],
)  # fmt: skip
def test_pages_without_the_line_above_the_notes(old: str, notes: str | None) -> None:
    assert notes_of(old) == notes


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"training": {"stage": "moe_joint"}}, r"metrics.json of mine: a part is missing or odd \(KeyError\('steps'"),
        ({"training": {"macro_f1": 0.8}}, "metrics.json of mine.*'stage'"),
        ({"training": {**JOINT, "domains": ["news"]}}, "metrics.json of mine: a part is missing or odd"),
        ({"training": {**JOINT, "rows": None}}, "metrics.json of mine: a part is missing or odd"),
        ({"experts": {"news": {"rows": 3}}}, "experts/news/expert.json of mine.*'steps'"),
        ({"calibration": {"news": {"rows": 3}}}, "export.json of mine.*'temperature'"),
        ({"calibration": ["news"]}, "export.json of mine"),
    ],
)
def test_a_file_of_the_model_that_lacks_a_part(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        card(replace(SUBJECT, **changed), measured(EVALUATED, Path("m"), source="f"), load="m")
    assert "\n" not in str(caught.value)


def test_where_no_training_rows_were_given_nobody_looked() -> None:
    without = comparison("finsa:m")
    without["sets"]["news"]["leaked"] = None
    page = card(SUBJECT, measured(without, Path("m"), source="f"), load="m")
    assert "Nobody looked whether these texts stand in the training rows" in page
    assert "texts stand in the training rows that were given" not in page


def test_an_evaluation_of_the_default_model_is_its_own() -> None:
    """`finsa evaluate default` keeps that name; its command stands in the card as it was typed."""
    kept = {**EVALUATED, "model": "default", "command": "finsa evaluate default f.csv --json r.json"}
    found = measured(kept, Path("d"), source="f", default=Path("d"))
    assert "finsa evaluate default f.csv --json r.json\n```" in card(SUBJECT, found, load="default")
    with pytest.raises(ConfigError, match="is a result of default, not of m"):
        measured(kept, Path("m"), source="f", default=Path("d"))


@pytest.mark.parametrize(
    ("name", "shown"), [("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"), (str(Path("work/large").absolute()), "large")]
)
def test_a_card_names_no_folder_of_this_machine(name: str, shown: str) -> None:
    subject = replace(SUBJECT, config={**CONFIG, "backbone": {"name": name}})
    page = card(subject, measured(comparison("finsa:m"), Path("m"), source="f"), load="m")
    assert f"| backbone | {shown} |" in page

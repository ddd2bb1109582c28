"""The rows of training found again and read as they were read then; what cannot be read is missed aloud."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from finsa_moe.cli import main
from finsa_moe.config import JointConfig
from finsa_moe.data.marks import Noted
from finsa_moe.data.reading.columns import Columns
from finsa_moe.errors import DataError
from finsa_moe.export.export import export_mixture
from finsa_moe.export.rows import held_out
from finsa_moe.export.sources import Sources, given, trained_on
from finsa_moe.export.tuned import Earlier
from finsa_moe.model.reading import Reading
from finsa_moe.polarity import NAMES, LabelMap
from finsa_moe.training.joint import train_joint
from tests.conftest import DOMAINS, JOINT, Export, Trained

pytestmark = pytest.mark.usefixtures("one_thread")
OWN = {"columns": {"text": "headline", "label": "mark"}, "labels": {"0": "利空", "1": "中性", "2": "利好"}}


def in_own_words(prepared: Path, folder: Path) -> Path:
    """The same rows under other column names, the classes as numbers, beside a text column of the usual name."""
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        with (prepared / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = [[row["text"], "of no use", NAMES.index(row["label"])] for row in csv.DictReader(file)]
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["headline", "text", "mark"], *rows])
    return folder


def test_what_was_given_comes_back_from_json() -> None:
    told = Reading(Columns(text="title+body", label="mark"), LabelMap.parse("finsa"))
    assert Reading.read(json.loads(json.dumps(told.as_dict()))) == told
    assert Reading().as_dict() == {}
    for note in (None, {}, [], {"columns": 3}, {"columns": {"later": "x"}}, {"labels": {"0": "no class"}}):
        assert Reading.read(note) == Reading()


def test_a_background_that_cannot_be_read_is_told_before_the_work(
    trained: Callable[[str], Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("finsa_moe.export.export.TorchEngine", load)
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        export_mixture(trained("bert").joint, tmp_path / "out", background=[tmp_path / "none.txt"])
    assert list(tmp_path.iterdir()) == []


def test_a_domain_that_is_not_named_is_missed_aloud(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path]
) -> None:
    mixture = trained("bert").joint
    assert given(mixture, {domain: prepared[domain] for domain in DOMAINS}).complaint(Earlier()) is None
    assert given(mixture, {"news": prepared["news"]}).complaint(Earlier()) == (
        "missing training rows: forum=none (no --data of it); the export has no calibration of forum and no novelty "
        "score; to mend that: --data news=FOLDER --data forum=FOLDER"
    )


@pytest.mark.slow
def test_a_mixture_of_rows_in_the_user_s_own_words_is_exported_with_them(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {domain: in_own_words(prepared[domain], tmp_path / domain) for domain in DOMAINS}
    train_joint(trained("modernbert").start, data, tmp_path / "j", settings=JointConfig.load(None, JOINT), device="cpu",
                reading=Reading(Columns(text="headline", label="mark"), LabelMap.parse("finsa")))  # fmt: skip
    mixture = tmp_path / "j" / "moe_joint"
    assert json.loads((mixture / "metrics.json").read_text(encoding="utf-8"))["reading"] == dict.fromkeys(DOMAINS, OWN)
    told: list[str] = []
    made = export_mixture(mixture, tmp_path / "o", precisions=("fp32",), say=told.append)
    assert {name: found.rows for name, found in made.calibration.items()} == dict.fromkeys(DOMAINS, 24)
    assert not [line for line in told if "missing" in line]
    assert (tmp_path / "o" / "novelty.onnx").is_file()
    read = held_out(data, DOMAINS, trained_on(mixture).readings)
    plain = held_out({domain: prepared[domain] for domain in DOMAINS}, DOMAINS)
    assert (read.texts, read.labels) == (plain.texts, plain.labels)
    named = given(mixture, {"news": data["news"], "forum": prepared["forum"]})
    assert held_out(named.found, DOMAINS, named.readings).labels == plain.labels, "the usual names do as well"


@pytest.mark.slow
def test_added_in_the_user_s_own_words_and_exported(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The export that add-domain ends with reads the new rows as training did."""
    data = in_own_words(prepared["notices"], tmp_path / "notices")
    words = ["add-domain", str(trained("modernbert").joint), "notices", str(data), "--out", str(tmp_path / "o")]
    words += ["--text", "headline", "--label", "mark", "--labels", "finsa"]
    for setting in ("epochs=1", "batch_size=8", "warmup_steps=1", "router_steps=20", "bf16=false", "trackers=none"):
        words += ["--set", setting]
    assert main(words) == 0
    report = json.loads((tmp_path / "o" / "runtime" / "export.json").read_text(encoding="utf-8"))
    assert report["calibration"]["notices"]["rows"] == 24  # of test rows as well, as those to choose by are few
    assert "missing training rows" not in capsys.readouterr().err
    assert (
        main(["remove-domain", str(tmp_path / "o" / "moe"), "forum", "--out", str(tmp_path / "r"), "--no-export"]) == 0
    )
    left = json.loads((tmp_path / "r" / "moe" / "metrics.json").read_text(encoding="utf-8"))
    assert left["reading"] == {"news": {}, "notices": OWN}


@pytest.mark.slow
def test_rows_found_by_note_that_cannot_be_used_are_missed_aloud(
    exported: Export, prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    """As in the test rows, which training never looked at; named by the user, they are refused."""
    data = {}
    for domain in DOMAINS:
        data[domain] = tmp_path / domain
        shutil.copytree(prepared[domain], data[domain])
    with (data["news"] / "test.csv").open("a", encoding="utf-8") as file:
        file.write("x,涨停,很好,news\n")
    model = tmp_path / "m"
    shutil.copytree(exported.mixture, model)
    notes = {name: Noted.of(folder).as_dict() for name, folder in data.items()}
    (model / "metrics.json").write_text(json.dumps({"data": notes}), encoding="utf-8")
    found = trained_on(model)
    assert found.found == {"forum": data["forum"]}
    assert "test.csv, line 14: " in found.lost["news"]
    told: list[str] = []
    export_mixture(model, tmp_path / "o", precisions=("fp32",), say=told.append)
    assert told[0].startswith(f"missing training rows: news={data['news']} (")
    with pytest.raises(DataError, match=r"test\.csv, line 14: .*很好"):
        export_mixture(model, tmp_path / "p", precisions=("fp32",), data=data)
    (data["forum"] / "valid.csv").unlink()
    (data["forum"] / "test.csv").unlink()
    (model / "metrics.json").write_text(json.dumps({"data": {"forum": str(data["forum"])}}), encoding="utf-8")
    assert trained_on(model) == Sources(
        {}, {"forum": f"{data['forum']} ({data['forum']}: no rows in valid.csv or test.csv; make the folder with "
                      "finsa prepare)"}
    )  # fmt: skip

"""Models of a comparison as their specs and the options about running say: device, number format, batches."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finsa_moe import shipped
from finsa_moe.cli import main
from finsa_moe.errors import ConfigError
from finsa_moe.evaluation import fingerprints as prints
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.judging.contenders import Running, registry
from tests.families import made_rows, write_rows


def test_a_mixture_takes_batches_and_number_format() -> None:
    make, mark = registry(Running(device="meta", dtype="int8", batch_tokens=64))
    form = make(Spec.parse("finsa"))  # exported graphs: a device is for the torch models beside them
    assert form.model.predictor.batch_tokens == 64
    assert form.model.predictor.engine.precision == "int8"
    plain = registry(Running())[1]
    assert mark(Spec.parse("finsa")) != plain(Spec.parse("finsa")), "another number format may answer otherwise"
    assert registry(Running(device="cpu", batch_tokens=64))[1](Spec.parse("finsa")) == plain(Spec.parse("finsa"))


def test_a_file_that_says_how_labels_are_read_is_part_of_a_models_mark(tmp_path: Path) -> None:
    mark, file = registry(Running())[1], tmp_path / "labels.txt"
    plain = Spec.parse("hf:somewhere")
    found = {mark(plain)}
    for words in ("0=利空\n1=利好\n", "0=利好\n1=利空\n"):
        file.write_text(words, encoding="utf-8")
        found.add(mark(Spec.parse(f"hf:somewhere?labels={file}")))
    assert len(found) == 3
    assert mark(Spec.parse("hf:somewhere?labels=0=利空,1=利好")) == mark(plain), "a map stands in the spec itself"


@pytest.mark.parametrize("kind", ["lora", "finetune"])
def test_the_device_of_a_spec_goes_before_the_option(kind: str, backbone_of: Callable[[str], Path]) -> None:
    make, _ = registry(Running(device="cpu:0"))
    spec = f"{kind}:{backbone_of('bert')}"
    assert make(Spec.parse(spec)).device == "cpu:0"
    assert make(Spec.parse(f"{spec}?device=cpu")).device == "cpu"
    assert registry(Running())[0](Spec.parse(spec)).device is None


def test_a_device_that_is_not_there(backbone_of: Callable[[str], Path]) -> None:
    for device in ("nowhere", "cuda:99"):
        with pytest.raises(ConfigError, match=rf"--device {device}: cannot be used .*; name one that is there"):
            registry(Running(device=device))[0](Spec.parse(f"lora:{backbone_of('bert')}"))
    for kind in ("lora", "finetune"):  # torch has this one, but nothing can be trained there
        with pytest.raises(ConfigError, match="--device meta: training runs on "):
            registry(Running(device="meta"))[0](Spec.parse(f"{kind}:{backbone_of('bert')}"))


def test_models_without_torch_load_none() -> None:
    """It takes seconds, which a comparison of counts and lexica should not wait for."""
    script = (
        "import sys\n"
        "from finsa_moe.judging.contenders import Running, registry\n"
        "from finsa_moe.evaluation.baselines.spec import Spec\n"
        "make, mark = registry(Running(device='cpu'))\n"
        "for text in ('majority', 'finsa'): make(Spec.parse(text)), mark(Spec.parse(text))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path / "test.csv", made_rows("news", 12), "news")
    asked = ["compare", "--model", "finsa", "--test", f"news={tmp_path / 'test.csv'}", "--examples", "0",
             "--out", str(tmp_path / "out")]  # fmt: skip
    running = ["--device", "cpu", "--batch-tokens", "64", "--dtype", "int8"]
    assert main([*asked, *running]) == 0
    told = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))["command"]
    assert told.endswith(" ".join(running))
    capsys.readouterr()
    for more, expected in (
        (["--dtype", "int9"], "dtype 'int9'"),
        (["--device", "nowhere", "--model", f"finsa:{shipped.weights()}?gate=soft"], "--device nowhere: cannot be"),
    ):
        assert main([*asked, *more]) == 2
        assert expected in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_comparison_in_the_folder_of_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its results are no part of the model: they are kept for the next run, and of the weights a card is made for."""
    read: list[Path] = []
    of_files = prints._of_files
    monkeypatch.setattr(prints, "_of_files", lambda folder, taken: read.append(folder) or of_files(folder, taken))
    folder, test = tmp_path / "m", tmp_path / "test.csv"
    shutil.copytree(shipped.model(), folder)
    write_rows(test, made_rows("news", 12), "news")
    models = ["--model", f"finsa:{folder}", "--model", f"finsa:{folder}?run=news"]
    for took in (" s", "kept"):
        assert main(["compare", *models, "--test", f"news={test}", "--examples", "0", "--out", f"{folder}/c"]) == 0
        assert capsys.readouterr().err.splitlines()[0].endswith(took)
        assert read == [folder], "both forms, and what the card knows them by, of one reading"
        read.clear()
    card = str(tmp_path / "card.md")
    assert main(["card", str(folder), "--results", f"{folder}/c/comparison.json", "--out", card]) == 0

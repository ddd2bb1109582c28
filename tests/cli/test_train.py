"""The training verbs over a tiny backbone, and what they say of bad input: one line, status 2, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finsa_moe.cli import main
from finsa_moe.config import shipped_names
from tests.conftest import EXPERT, JOINT, Trained
from tests.families import made_rows, write_rows

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def finsa(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: status, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def settings(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def refused(result: tuple[int, str, str], *said: str) -> None:
    """Status 2 and one line on stderr that holds the words."""
    status, _, err = result
    assert status == 2, err
    lines = [line for line in err.splitlines() if line.startswith("finsa: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    for word in said:
        assert word in lines[0]


def test_the_stages_by_their_verbs(
    finsa: Run, backbone_of: Callable[[str], Path], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    for domain in ("news", "forum"):
        status, out, err = finsa(
            "train-expert", domain, prepared[domain], "--out", tmp_path / domain,
            "--backbone", backbone_of("modernbert"), *settings(*EXPERT), "--device", "cpu",
        )  # fmt: skip
        assert status == 0, err
        assert "validation accuracy" in out
    status, out, err = finsa(
        "merge", "--expert", f"news={tmp_path / 'news'}", "--expert", f"forum={tmp_path / 'forum'}",
        "--out", tmp_path / "init", "--config", "laptop",
    )  # fmt: skip
    assert status == 0, err
    assert "experts news, forum" in out
    status, out, err = finsa(
        "train-joint", tmp_path / "init", "--data", f"news={prepared['news']}", "--data", f"forum={prepared['forum']}",
        "--out", tmp_path / "joint", *settings(*JOINT), "--device", "cpu",
    )  # fmt: skip
    assert status == 0, err
    assert "routing_accuracy" in out
    status, out, err = finsa("predict", "--model", tmp_path / "joint" / "moe_joint", "利润大增", "--device", "cpu")
    assert status == 0, err
    assert out.count("\n") == 1


def test_merge_says_what_the_router_reads_and_whose_heads_are_fresh(
    finsa: Run, trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    words = ["merge", *(f"--expert={name}={folder}" for name, folder in trained("bert").experts.items())]
    for place, changed, said in (
        ("a", (), "from layer 0 up, routed at layer 0"),
        ("b", ("route_at=1.0", "shared_head=true"),
         "from layer 0 up, routed at the plain backbone's last state; one shared head, fresh"),
    ):  # fmt: skip
        status, out, err = finsa(*words, "--out", tmp_path / place, *settings(*changed))
        assert status == 0, err
        assert out == f"{tmp_path / place}: experts news, forum on 10 linears {said}\n"


def test_a_table_of_n_grams_that_could_not_be_made_is_told(
    finsa: Run, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Of an expert whose rows lack a class, and of a router that has but one domain."""
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "valid"):
        write_rows(data / f"{split}.csv", [row for row in made_rows("news", 24) if row[1] != 1], "news")
    common = ("--device", "cpu", "--out")
    status, _, err = finsa("train-expert", "news", data, "--backbone", backbone_of("bert"), *common, tmp_path / "e",
                           *settings(*EXPERT, "ngrams=50"))  # fmt: skip
    assert status == 0, err
    assert f"{tmp_path / 'e'}: no table of n-grams: no training row is 中性\n" in err
    assert finsa("merge", "--expert", f"news={tmp_path / 'e'}", "--out", tmp_path / "init")[0] == 0
    status, _, err = finsa("train-joint", tmp_path / "init", "--data", f"news={data}", *common, tmp_path / "joint",
                           *settings(*JOINT, "router_ngrams=50"))  # fmt: skip
    assert status == 0, err
    assert "moe_joint: no table of n-grams: there is nothing but news to tell from\n" in err
    assert "warmup: no table" not in err


def test_an_expert_goes_on_from_another(
    finsa: Run, trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    """At a rate of nearly nothing it stays the one it started from, update and head; what cannot be is said."""
    run = trained("bert")
    still = settings(*EXPERT, "learning_rate=1e-12", "max_steps=1", "epochs=1")
    words = ("train-expert", "more", prepared["forum"], "--backbone", run.backbone, *still, "--device", "cpu")
    status, _, err = finsa(*words, "--out", tmp_path / "more", "--start", run.experts["news"])
    assert status == 0, err
    for name in ("adapter_model.safetensors", "head.safetensors"):
        was, now = (load_file(folder / name) for folder in (run.experts["news"], tmp_path / "more"))
        assert was.keys() == now.keys()
        for key, tensor in was.items():
            torch.testing.assert_close(now[key], tensor, atol=1e-6, rtol=0)
    both = finsa(*words, "--out", tmp_path / "x", "--start", run.experts["news"], "--head", "news")
    refused(both, "--start and --head", "give one of them")
    refused(finsa(*words, "--out", tmp_path / "x", "--start", tmp_path / "none"), str(tmp_path / "none"))
    larger = finsa(*words, "--out", tmp_path / "x", "--start", run.experts["news"], "--set", "rank=3")
    refused(larger, "set rank and route_at to the folder's")
    assert not (tmp_path / "x").exists()


def test_pretrain_by_its_verb_and_a_second_time(finsa: Run, tmp_path: Path) -> None:
    text = tmp_path / "t.txt"
    text.write_text(
        "".join(f"第{i}家公司公布业绩,利润{'增长' if i % 3 else '下降'}{i}%\n" for i in range(120)), encoding="utf-8"
    )
    small = settings("vocab_size=300", "hidden_size=16", "layers=1", "heads=1", "intermediate_size=16", "max_steps=3",
                     "batch_tokens=256", "warmup_steps=1")  # fmt: skip
    status, out, err = finsa("pretrain", text, "--out", tmp_path / "b", *small, "--device", "cpu")
    assert status == 0, err
    assert "3 steps" in out
    assert (tmp_path / "b" / "model.safetensors").is_file()
    refused(finsa("pretrain", text, "--out", tmp_path / "b", *small), "--resume")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--set", "max_step=3"], ("max_step", "did you mean", "max_steps")),
        (["--set", "rank=0"], ("rank", "at least 1")),
        (["--set", "rank"], ("key=value",)),
        (["--set", "trackers=tensorbord"], ("tensorbord", "did you mean", "tensorboard")),
        (["--set", "trackers=wandb"], ("wandb", "not installed")),
        (["--config", "nowhere.yaml"], ("nowhere.yaml", "no such file", "laptop")),
        (["--backbone", "./nowhere"], ("./nowhere", "config.json")),
        (["--labels", "1=maybe"], ("maybe", "利好")),
        (["--text", "words"], ("words", "train.csv", "text")),
    ],
)
def test_bad_settings(
    change: list[str], said: tuple[str, ...], finsa: Run, backbone_of: Callable[[str], Path],
    prepared: Mapping[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    words = ["train-expert", "news", prepared["news"], "--out", tmp_path / "x", *settings(*EXPERT)]
    base = [] if "--backbone" in change else ["--backbone", backbone_of("modernbert")]
    refused(finsa(*words, *base, *change), *said)
    assert not (tmp_path / "x").exists()


CSV = "id,text,label,domain\n"
BAD_FILES = {
    "empty file": (b"", ("train.csv",)),
    "header alone": (CSV.encode(), ("train.csv", "no row")),
    "missing column": (b"id,words\n1,\xe6\xb6\xa8\n", ("train.csv", "--text")),
    "wrong label": ((CSV + "1,大涨,也许,news\n").encode(), ("line 2", "也许")),
    "empty text": ((CSV + "1,大涨,利好,news\n2,  ,利空,news\n").encode(), ("line 3", "empty")),
    "one class": ((CSV + "1,大涨,利好,news\n2,又涨,利好,news\n").encode(), ("利好", "two classes")),
    "not text": (b"\xff\xfe\x00\xd8" * 50, ("train.csv",)),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_training_rows(
    case: str, finsa: Run, backbone_of: Callable[[str], Path], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    body, said = BAD_FILES[case]
    (data / "train.csv").write_bytes(body)
    (data / "valid.csv").write_bytes((prepared["news"] / "valid.csv").read_bytes())
    refused(
        finsa("train-expert", "news", data, "--out", tmp_path / "x", "--backbone", backbone_of("modernbert")), *said
    )
    assert not (tmp_path / "x").exists()


def test_help_names_every_shipped_configuration(finsa: Run) -> None:
    status, out, _ = finsa("train-expert", "--help")
    assert status == 0
    shown = " ".join(out.replace("│", " ").split())
    assert f"or a shipped one by its name: {', '.join(shipped_names())}." in shown


def test_a_folder_without_splits(finsa: Run, tmp_path: Path) -> None:
    refused(finsa("train-expert", "news", tmp_path, "--out", tmp_path / "x", "--backbone", "b"), "train.csv", "prepare")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "experts/news/adapter_model.safetensors",
                                  "experts/forum/adapter_config.json", "tokenizer.json", "backbone/model.safetensors"])  # fmt: skip
@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_a_damaged_mixture_is_named(
    file: str, harm: str, finsa: Run, trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    import shutil

    model = tmp_path / "model"
    shutil.copytree(trained("modernbert").joint, model)
    victim = model / file
    if harm == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    refused(finsa("predict", "--model", model, "利润大增", "--device", "cpu"), file.rsplit("/", 1)[0])


def test_strange_texts_are_answered_and_a_strange_domain_is_not(
    finsa: Run, trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    model = trained("modernbert").joint
    source, answers = tmp_path / "in.csv", tmp_path / "out.csv"
    strange = ["涨跌" * 50_000, "大\x00涨", "🚀🚀", "利\ud83d好"]
    source.write_bytes(b"id,text\n" + b"".join(
        f'{i},"{text}"\n'.encode("utf-8", "surrogatepass" if i != 3 else "ignore") for i, text in enumerate(strange)))  # fmt: skip
    status, _, err = finsa("predict", "--model", model, "--input", source, "--output", answers, "--device", "cpu")
    assert status == 0, err
    assert len(answers.read_text(encoding="utf-8").splitlines()) == 5
    status, out, _ = finsa("predict", "--model", model, "--json", *strange[2:], "--device", "cpu")
    assert status == 0
    assert out.count("\n") == 2
    refused(finsa("predict", "--model", model, "--domain", "weather", "大涨"), "weather", "news, forum")


def test_data_for_a_domain_that_is_not_there(
    finsa: Run, trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    start = trained("modernbert").start
    words = ["train-joint", start, "--out", tmp_path / "x", "--data", f"news={prepared['news']}"]
    refused(finsa(*words), "forum", "--data")
    refused(finsa(*words, "--data", f"weather={prepared['forum']}"), "--data")
    refused(finsa(*words, "--data", "news"), "NAME=PATH")
    refused(finsa(*words, "--data", f"news={prepared['forum']}"), "news", "before")
    assert not (tmp_path / "x").exists()

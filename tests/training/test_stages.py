"""All three stages, saving, loading, prediction and the other libraries' way in, on every family."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline

import finsa_moe.model.moe  # noqa: F401 - registers the mixture with the Auto classes
from finsa_moe.data.encode import template
from finsa_moe.model.backbone import load_tokenizer, position_ids
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.polarity import NAMES
from finsa_moe.runtime.predictor import Predictor
from tests.conftest import DOMAINS, Trained
from tests.families import DECODERS, FAMILIES, made_rows

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = [text for domain in DOMAINS for text, _ in made_rows(domain, 5, seed=77)]
Runs = Callable[[str], Trained]


def plain_peft(backbone: Path, expert: Path, texts: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pooled state and logits of each text by peft, transformers and a dozen lines: nothing of ours but the prompt."""
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(backbone), str(expert)).eval()
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    head = load_file(expert / "head.safetensors")
    before, after = template(json.loads((expert / "expert.json").read_text())["prompt"])
    for text in texts:
        parts = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (before, text, after) if part]
        whole = tokenizer("文")["input_ids"]
        bare = tokenizer("文", add_special_tokens=False)["input_ids"]
        at = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        ids = torch.tensor([[*whole[:at], *[i for part in parts for i in part], *whole[at + len(bare) :]]])
        with torch.no_grad():
            hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        pooled = hidden[0].mean(0)
        yield pooled.numpy(), (head["weight"] @ pooled + head["bias"]).numpy()


def logits_of(engine: TorchEngine, texts: list[str], expert: int) -> tuple[np.ndarray, np.ndarray]:
    pooled, logits = [], []
    for encoded in engine.encode(texts):
        ids = torch.tensor([encoded.ids])
        with torch.no_grad():
            out = engine.model(ids, torch.ones_like(ids), experts=torch.tensor([expert]))
        assert out.pooled is not None
        pooled.append(out.pooled[0].numpy())
        logits.append(out.logits[0].numpy())
    return np.array(pooled), np.array(logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_way_to_an_answer(family: str, trained: Runs) -> None:
    run = trained(family)
    for folder in (run.start, run.out / "router_warmup", run.joint):
        answers = Predictor(TorchEngine(folder, device="cpu")).predict(TEXTS)
        assert [a.text for a in answers] == TEXTS
        for answer in answers:
            assert answer.sentiment in NAMES
            assert answer.confidence == max(answer.scores.values())
            assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-5)
            assert set(answer.expert_weights) == set(DOMAINS)
            assert answer.expert == max(answer.expert_weights, key=answer.expert_weights.__getitem__)
    facts = json.loads((run.joint / "metrics.json").read_text())
    assert facts["steps"] == 4
    assert facts["rows"] == 48
    assert facts["best_step"] in (2, 4)
    assert 0 <= facts["validation"]["routing_accuracy"] <= 1
    prompt = json.loads((run.joint / "config.json").read_text())["prompt"]
    assert prompt == ("neutral" if family in DECODERS else "none")


@pytest.mark.parametrize("family", FAMILIES)
def test_right_after_merge_a_one_hot_gate_is_the_expert_and_plain_peft(family: str, trained: Runs) -> None:
    """The third promise: hidden states and logits to 1e-5."""
    run = trained(family)
    engine = TorchEngine(run.start, device="cpu")
    differing = []
    for index, domain in enumerate(DOMAINS):
        pooled, logits = logits_of(engine, TEXTS, index)
        theirs = list(plain_peft(run.backbone, run.experts[domain], TEXTS))
        np.testing.assert_allclose(pooled, [p for p, _ in theirs], atol=1e-5)
        np.testing.assert_allclose(logits, [z for _, z in theirs], atol=1e-5)
        differing.append(logits)
    assert np.abs(differing[0] - differing[1]).max() > 1e-3, "two experts must not be one"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_trained_mixtures_experts_are_plain_peft_folders_too(family: str, trained: Runs) -> None:
    run = trained(family)
    engine = TorchEngine(run.joint, device="cpu")
    for index, domain in enumerate(DOMAINS):
        folder = run.joint / "experts" / domain
        pooled, logits = logits_of(engine, TEXTS, index)
        theirs = list(plain_peft(run.backbone, folder, TEXTS))
        np.testing.assert_allclose(pooled, [p for p, _ in theirs], atol=1e-5)
        np.testing.assert_allclose(logits, [z for _, z in theirs], atol=1e-5)
        before = load_file(run.experts[domain] / "adapter_model.safetensors")
        after = load_file(folder / "adapter_model.safetensors")
        assert before.keys() == after.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_auto_class_and_pipeline(family: str, trained: Runs) -> None:
    """A pipeline knows neither prompts nor our spelling of texts: it is given the text as the encoder would write it."""
    run = trained(family)
    model = AutoModelForSequenceClassification.from_pretrained(run.joint)
    tokenizer = AutoTokenizer.from_pretrained(run.joint)
    assert type(model).__name__ == "FinSAMoE"
    before, after = template(model.config.prompt)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    predictor = Predictor(TorchEngine(run.joint, device="cpu"))
    short = [t for t in TEXTS if len(t) < 60]
    for ours, theirs in zip(predictor.predict(short), classify([before + t + after for t in short]), strict=True):
        assert theirs["label"] == ours.sentiment
        if family not in DECODERS:  # there the prompt is cut into tokens together with the text, not apart from it
            assert theirs["score"] == pytest.approx(ours.confidence, abs=1e-5)
    by_path = pipeline("text-classification", model=str(run.joint), device="cpu")
    assert by_path(short[0]) == classify(short[0])
    everything = classify(short[0], top_k=None)
    assert {row["label"] for row in everything} == set(NAMES)


def test_a_batched_pipeline_gives_the_same_answers(trained: Runs) -> None:
    classify = pipeline("text-classification", model=str(trained("bert").joint), device="cpu")
    alone, batched = classify(TEXTS), classify(TEXTS, batch_size=4)
    for one, many in zip(alone, batched, strict=True):
        assert one["label"] == many["label"]
        assert one["score"] == pytest.approx(many["score"], abs=1e-5)


def is_pickle(path: Path) -> bool:
    head = path.read_bytes()[:2]
    return (
        path.suffix in {".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".npz"}
        or zipfile.is_zipfile(path)
        or head[:1] == b"\x80"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_no_pickle_in_anything_delivered(family: str, trained: Runs) -> None:
    run = trained(family)
    files = [f for top in (*run.experts.values(), run.start, run.out) for f in top.rglob("*") if f.is_file()]
    assert len(files) > 40
    assert [str(f) for f in files if is_pickle(f)] == []
    assert {f.suffix for f in files} <= {".json", ".jsonl", ".safetensors", ".yaml"}
    assert not [f for f in files if "tmp" in f.name]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loaded_mixture_answers_as_the_one_that_was_saved(family: str, trained: Runs, tmp_path: Path) -> None:
    run = trained(family)
    model = load_mixture(run.joint, device="cpu")
    model.save_pretrained(tmp_path / "again", tokenizer=load_tokenizer(run.joint))
    first, second = (TorchEngine(f, device="cpu") for f in (run.joint, tmp_path / "again"))
    np.testing.assert_array_equal(Predictor(first).predict_proba(TEXTS), Predictor(second).predict_proba(TEXTS))


def test_the_other_library_agrees_on_positions(trained: Runs) -> None:
    """What transformers makes of an unpadded text is what we hand it: else the comparison above would be of two wrongs."""
    for family in ("roberta", "bert"):
        backbone = load_mixture(trained(family).joint, device="cpu").backbone
        ids = torch.tensor([[2, 30, 31, 32, 3]])
        with torch.no_grad():
            theirs = backbone(input_ids=ids).last_hidden_state
            ours = backbone(input_ids=ids, **position_ids(backbone, torch.ones_like(ids))).last_hidden_state
        torch.testing.assert_close(ours, theirs)

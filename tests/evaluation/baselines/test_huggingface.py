from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, pipeline

from finsa_moe.errors import ModelError
from finsa_moe.evaluation.baselines import make
from finsa_moe.evaluation.baselines.huggingface import HuggingFaceClassifier, _positions
from finsa_moe.model.backbone import load_tokenizer
from tests.families import make_backbone

TEXTS = ["业绩大跌", "召开股东会,维持不变,等消息", "净利翻倍", "", "拉升封板" * 60]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone("bert", tmp_path_factory.mktemp("hf") / "bert")


def classifier(folder: Path, words: Path, labels: list[str]) -> Path:
    """A random classifier with these labels."""
    tokenizer = load_tokenizer(words)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64, num_labels=len(labels), id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)}, pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_answers_as_the_pipeline_of_transformers(tmp_path: Path, words: Path) -> None:
    folder = classifier(tmp_path / "m", words, ["Positive", "Negative", "Neutral"])
    model = HuggingFaceClassifier(str(folder), device="cpu", batch_size=2)
    assert model.fit([], []) is model
    probs = model.predict_proba(TEXTS)
    theirs = pipeline(
        "text-classification", model=str(folder), device="cpu", top_k=None, truncation=True, max_length=64
    )
    for text, row in zip(TEXTS, probs, strict=True):
        said = {entry["label"]: entry["score"] for entry in theirs(text)[0]}  # one text at a time, no padding
        np.testing.assert_allclose(row, [said["Negative"], said["Neutral"], said["Positive"]], atol=1e-5)
    assert model.predict_proba([]).shape == (0, 3)


def test_labels_without_words_need_a_map(tmp_path: Path, words: Path) -> None:
    folder = classifier(tmp_path / "m", words, ["LABEL_0", "LABEL_1", "LABEL_2"])
    with pytest.raises(ModelError, match=r"label 'LABEL_0' is no polarity \(it has LABEL_0, LABEL_1, LABEL_2\)"):
        make(f"hf:{folder}")
    model = make(f"hf:{folder}?labels=LABEL_0=利好,LABEL_1=中性,LABEL_2=利空&device=cpu")
    plain = HuggingFaceClassifier(str(folder), labels="LABEL_0=利空,LABEL_1=中性,LABEL_2=利好", device="cpu")
    np.testing.assert_allclose(model.predict_proba(TEXTS), plain.predict_proba(TEXTS)[:, ::-1])


def test_two_labels_are_taken_when_the_user_says_so(tmp_path: Path, words: Path) -> None:
    folder = classifier(tmp_path / "m", words, ["negative", "positive"])
    with pytest.raises(ModelError, match=r"none is 中性.*\?labels=negative=利空,positive=利好"):
        make(f"hf:{folder}")
    probs = make(f"hf:{folder}?labels=negative=利空,positive=利好&device=cpu").predict_proba(TEXTS)
    assert (probs[:, 1] == 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)


def test_labels_of_one_meaning_are_added(tmp_path: Path, words: Path) -> None:
    folder = classifier(tmp_path / "m", words, ["bad", "worse", "so", "good"])
    given = "bad=利空,worse=利空,so=中性,good=利好"
    probs = HuggingFaceClassifier(str(folder), labels=given, device="cpu").predict_proba(["净利翻倍"])[0]
    theirs = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)("净利翻倍")[0]
    said = {entry["label"]: entry["score"] for entry in theirs}
    np.testing.assert_allclose(probs, [said["bad"] + said["worse"], said["so"], said["good"]], atol=1e-5)


def test_what_is_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        make(f"hf:{tmp_path / 'none'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no classifier can be loaded") as caught:
        make(f"hf:{tmp_path / 'empty'}")
    assert "\n" not in str(caught.value)


def test_a_tokenizer_made_up_by_transformers_is_refused(tmp_path: Path, words: Path) -> None:
    folder = classifier(tmp_path / "m", words, ["Positive", "Negative", "Neutral"])
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink()
    with pytest.raises(ModelError, match=r"its tokenizer has no words; put tokenizer\.json"):
        make(f"hf:{folder}")


def test_a_model_without_learnt_positions_has_no_limit(tmp_path: Path, words: Path) -> None:
    folder = classifier(tmp_path / "m", words, ["Positive", "Negative", "Neutral"])
    model = HuggingFaceClassifier(str(folder), device="cpu")
    assert model.max_length == 64
    for none in ({"max_position_embeddings": -1}, {"max_position_embeddings": None}, {}):
        assert _positions(SimpleNamespace(model_type="xlnet", **none)) == 10**9

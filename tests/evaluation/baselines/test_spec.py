from __future__ import annotations

import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.baselines.spec import Spec


def test_a_spec_taken_apart() -> None:
    spec = Spec.parse(" llm:qwen2.5:7b@http://127.0.0.1:11434/v1?shots=4&api=ollama ")
    assert (spec.name, spec.target) == ("llm", "qwen2.5:7b@http://127.0.0.1:11434/v1")
    assert spec.options == {"shots": "4", "api": "ollama"}
    assert Spec.parse("tfidf-lr") == Spec("tfidf-lr", "tfidf-lr", "", {})
    assert Spec.parse("hf:a/b?labels=LABEL_0=利空,LABEL_1=中性").options == {"labels": "LABEL_0=利空,LABEL_1=中性"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no name"),
        (":x", "no name"),
        ("a?b", "'b' is not KEY=VALUE"),
        ("a?b=", "not KEY=VALUE"),
        ("a?b=1&b=2", "given twice"),
    ],
)
def test_what_is_no_spec(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Spec.parse(text)


def test_options_are_checked() -> None:
    spec = Spec.parse("x:t?shots=4&share=0.5&kind=b")
    assert spec.whole("shots", 0, 0, 8) == 4
    assert spec.number("share", 0, 0, 1) == 0.5
    assert spec.number("other", 7, 0) == 7
    assert spec.word("kind", "a", ("a", "b")) == "b"
    spec.only("shots", "share", "kind", target=True)
    with pytest.raises(ConfigError, match=r"unknown option 'shots'; it takes shot, share, kind; did you mean 'shot'"):
        spec.only("shot", "share", "kind", target=True)
    with pytest.raises(ConfigError, match="takes nothing after a colon"):
        spec.only("shots", "share", "kind")
    with pytest.raises(ConfigError, match="write x:WHAT"):
        Spec.parse("x").only(target=True)
    with pytest.raises(ConfigError, match="between 0 and 3"):
        spec.whole("shots", 0, 0, 3)
    with pytest.raises(ConfigError, match="whole number"):
        spec.whole("share", 0, 0)
    with pytest.raises(ConfigError, match="must be a number, at least 0"):
        spec.number("kind", 0, 0)
    with pytest.raises(ConfigError, match="'b' is none of a, c"):
        spec.word("kind", "a", ("a", "c"))
    with pytest.raises(ConfigError, match="must be a number"):
        Spec.parse("x?n=nan").number("n", 0, 0)


def test_names_are_told_from_options_and_folders() -> None:
    written = [
        "majority",
        "ours=finsa:work/a=b?run=news",
        "lora?rank=8&epochs=3",
        "hf:work/x=y",
        " two words = textcnn ",
    ]
    specs, names = Spec.named(written)
    assert specs == ["majority", "finsa:work/a=b?run=news", "lora?rank=8&epochs=3", "hf:work/x=y", "textcnn"]
    assert names == {"finsa:work/a=b?run=news": "ours", "textcnn": "two words"}

"""The first three promises of the design, kept by a mixture that got an expert, lost an old one, or both.

Three domains, so that an old one can be taken from the middle; the new expert is trained by `add_domain` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from finsa_moe.config import DomainConfig
from finsa_moe.export.export import export_mixture
from finsa_moe.face import load
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.model.growth import remove
from finsa_moe.model.replay import read_replay
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.sessions import has_openvino
from finsa_moe.training.domains import add_domain
from tests.families import batch_of, made_rows, save_routing_both_ways, tokenizer_for, write_rows
from tests.training.test_stages import logits_of, plain_peft

pytestmark = pytest.mark.usefixtures("one_thread")
FAMILY, OLD, NEW = "modernbert", ("news", "weibo", "forum"), "notices"
FAST = ("epochs=2", "batch_size=8", "warmup_steps=1", "log_steps=1", "router_steps=60", "bf16=false", "trackers=none")
FORMS = {
    "added": (*OLD, NEW), "added, an old one out": ("news", "forum", NEW), "an old one out": ("news", "forum"),
    "added, taken out again": OLD,
}  # fmt: skip
TEXTS = [text for domain in (*OLD, NEW) for text, _ in made_rows(domain, 9, seed=7)]


@pytest.fixture(scope="module")
def forms(
    backbone_of: Callable[[str], Path], prepared: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """Folders of mixtures by what was done to them; treat them as read-only."""
    root = tmp_path_factory.mktemp("grown")
    save_routing_both_ways(root / "three", backbone_of(FAMILY), domains=OLD)
    for domain in OLD:
        write_rows(root / f"{domain}.csv", made_rows(domain, 60, seed=5), domain)
    settings = DomainConfig.load(None, [*FAST, "taken=0.05"])
    replay = {domain: root / f"{domain}.csv" for domain in OLD}
    add_domain(root / "three", NEW, prepared[NEW], root, settings=settings, device="cpu", replay=replay)
    states = read_replay(root / "moe", [*OLD, NEW])
    remove(root / "moe", root / "without_weibo", "weibo", states)
    remove(root / "three", root / "two", "weibo", None)
    remove(root / "moe", root / "undone", NEW, states)
    return dict(zip(FORMS, (root / name for name in ("moe", "without_weibo", "two", "undone")), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_nothing_round_a_text_changes_its_answer(form: str, forms: Mapping[str, Path]) -> None:
    """The second promise: padding of either side and any length, mates, order."""
    model = load_mixture(forms[form], device="cpu")
    texts = [tokenizer_for(FAMILY)(text)["input_ids"] for text in TEXTS[::4]]

    def answers(chosen: list[list[int]], **shape: object) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            out = model(*batch_of(chosen, 0, **shape))  # type: ignore[arg-type]
        assert out.soft_gate is not None
        assert out.soft_gate.shape[1] == len(FORMS[form])
        return out.logits.numpy(), out.soft_gate.numpy()

    logits, gates = (np.concatenate(part) for part in zip(*(answers([text]) for text in texts), strict=True))
    assert logits.std(axis=0).min() > 0.05, "the texts must differ, or the test shows nothing"
    longest = max(map(len, texts))
    for shape in ({}, {"left": True}, {"width": longest + 17}, {"width": longest + 17, "left": True}):
        for order in (list(range(len(texts))), list(range(len(texts)))[::-1], [3, 1, 5]):
            batched, routed = answers([texts[at] for at in order], **shape)
            np.testing.assert_allclose(batched, logits[order], atol=2e-5)
            np.testing.assert_allclose(routed, gates[order], atol=2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_every_expert_is_plain_peft(form: str, forms: Mapping[str, Path], backbone_of: Callable[[str], Path]) -> None:
    """The third promise, of the new expert and of those that stayed: hidden states and logits to 1e-5."""
    engine = TorchEngine(forms[form], device="cpu")
    assert engine.domains == FORMS[form]
    found = []
    for index, domain in enumerate(FORMS[form]):
        pooled, logits = logits_of(engine, TEXTS[::6], index)
        theirs = list(plain_peft(backbone_of(FAMILY), forms[form] / "experts" / domain, TEXTS[::6]))
        np.testing.assert_allclose(pooled, [state for state, _ in theirs], atol=1e-5)
        np.testing.assert_allclose(logits, [answer for _, answer in theirs], atol=1e-5)
        found.append(logits)
    for index, one in enumerate(found):
        assert all(np.abs(one - other).max() > 1e-3 for other in found[:index]), "two experts must not be one"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_export_equals_the_mixture(form: str, forms: Mapping[str, Path], tmp_path: Path) -> None:
    """The first promise, routed and by every expert, and the second of the exported graphs.

    In float32: what grew or shrank is the shape of the graphs. These experts are hardly trained, their answers lie near
    ties, and a rounding to 16 bits moves 0.7 % of them.
    """
    made = export_mixture(forms[form], tmp_path / "runtime", precisions=("fp32",), data={})
    assert all(parity.same >= 0.995 for parity in made.parities.values())
    mixture = load(forms[form], device="cpu")
    texts = [text for domain in (*OLD, NEW) for text, _ in made_rows(domain, 60, seed=11)]
    for engine in ("onnxruntime", "openvino") if has_openvino() else ("onnxruntime",):
        exported = load(tmp_path / "runtime", engine=engine)
        for domain in (None, *FORMS[form]):
            wanted, found = (one.predict_proba(texts, domain=domain) for one in (mixture, exported))
            assert (wanted.argmax(1) == found.argmax(1)).mean() >= 0.995, (engine, domain)
            np.testing.assert_allclose(found, wanted, atol=1e-4)
        assert {answer.expert for answer in exported.predict(texts)} == set(FORMS[form]), "every expert must be used"
        whole, order = exported.predict_proba(texts), np.random.default_rng(3).permutation(len(texts))[:50]
        np.testing.assert_allclose(exported.predict_proba([texts[at] for at in order]), whole[order], atol=2e-5)
        alone = np.concatenate([exported.predict_proba([texts[at]]) for at in order[:8]])
        np.testing.assert_allclose(alone, whole[order[:8]], atol=2e-5)

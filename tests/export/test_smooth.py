from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from finsa_moe.export import graphs
from finsa_moe.export.smooth import smoothed
from finsa_moe.export.split import Expert, Trunk
from finsa_moe.export.wires import products
from finsa_moe.runtime.sessions import open_session
from tests.families import make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_the_function_stays_and_its_outliers_shrink(backbone_of: Callable[[str], Path]) -> None:
    model = make_mixture(backbone_of("modernbert"))
    with torch.no_grad():
        model.backbone.layers[1].mlp.Wi.weight[40] *= 60  # one channel of the gated product shouts
    trunk, expert = Trunk(model), Expert(model, 0)
    mask = torch.ones(4, 12, dtype=torch.int64)
    with torch.no_grad():
        hidden = trunk(torch.randint(5, 300, (4, 12), generator=torch.Generator().manual_seed(1)), mask)[0]
    plain = graphs.trace(expert, (hidden, mask), ("hidden", "mask"), ("logits", "state"))
    batch = {"hidden": hidden.numpy(), "mask": mask.numpy()}
    smooth = smoothed(plain, [batch])
    assert len(products(smooth)) == len(products(plain)) == 8  # qkv, o, gate and up, down in each of two layers
    runs = [open_session(g.SerializeToString(), "onnxruntime", "fp32", 1, "x") for g in (plain, smooth)]
    np.testing.assert_allclose(*(run(hidden.numpy(), mask.numpy())[0] for run in runs), atol=1e-4)
    last = [products(g)[-1].input[0] for g in (plain, smooth)]

    def spread(graph: object, name: str) -> float:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper

        opened = onnx.ModelProto.FromString(graph.SerializeToString())  # type: ignore[attr-defined]
        opened.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        value = onnxruntime.InferenceSession(opened.SerializeToString()).run([name], batch)[0]
        sizes = np.abs(value).reshape(-1, value.shape[-1]).max(0)
        return float(sizes.max() / np.median(sizes))

    assert spread(smooth, last[1]) < 0.5 * spread(plain, last[0])

"""The reference of the novelty score, fitted on training states and written as a graph.

Mahalanobis distance to the nearest domain's mean under a shared covariance (Lee et al. 2018, section 2.2), and the
quantiles of held-out known texts' distances. Arrays go in, an ONNX model comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Reals = NDArray[np.float32]
SHRINKAGE = 0.1
_KNOTS = 512


@dataclass(frozen=True)
class Reference:
    """What a text's state is held against.

    Attributes:
        means: Mean state of each domain's training texts, (E, d).
        whitening: (d, d); a state times this has unit covariance over the training texts.
        knots: Rising quantiles of held-out known texts' distances, (k,), evenly spaced in probability.
    """

    means: Reals
    whitening: Reals
    knots: Reals

    def distances(self, states: Reals) -> Reals:
        """Mahalanobis distance of each state (n, d) to its nearest domain, (n,)."""
        white, centres = states @ self.whitening, self.means @ self.whitening
        gaps = [np.square(white - centre).sum(axis=1) for centre in centres]
        nearest: Reals = np.sqrt(np.min(gaps, axis=0)).astype(np.float32)
        return nearest

    def graph(self) -> Any:
        """``states`` (n, d) → ``distances`` (n,), ``knots`` (k,)."""
        constants = {
            "whitening": self.whitening,
            "centres": (self.means @ self.whitening)[None],
            "middle": np.array([1], dtype=np.int64),
            "last": np.array([2], dtype=np.int64),
        }
        nodes = [
            helper.make_node("MatMul", ["states", "whitening"], ["white"]),
            helper.make_node("Unsqueeze", ["white", "middle"], ["rows"]),
            helper.make_node("Sub", ["rows", "centres"], ["gaps"]),
            helper.make_node("ReduceSumSquare", ["gaps", "last"], ["squares"], keepdims=0),
            helper.make_node("ReduceMin", ["squares", "middle"], ["least"], keepdims=0),
            helper.make_node("Sqrt", ["least"], ["distances"]),
            helper.make_node("Constant", [], ["knots"], value=numpy_helper.from_array(self.knots)),
        ]
        graph = helper.make_graph(
            nodes, "novelty",
            [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["n", self.means.shape[1]])],
            [
                helper.make_tensor_value_info("distances", TensorProto.FLOAT, ["n"]),
                helper.make_tensor_value_info("knots", TensorProto.FLOAT, [len(self.knots)]),
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def fit(states: Reals, domains: NDArray[Any], held_out: Reals) -> Reference:
    """The reference from training states (n, d) with their domain ids (n,), and held-out known states (m, d).

    The covariance is shrunk towards its mean variance, so that directions the training texts hardly use do not decide
    alone.
    """
    ids = np.unique(domains)
    means = np.stack([states[domains == index].mean(axis=0) for index in ids])
    centred = states - means[np.searchsorted(ids, domains)]
    covariance = centred.T.astype(np.float64) @ centred / max(1, len(states) - len(ids))
    shared = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * shared)
    bare = Reference(means.astype(np.float32), (vectors / np.sqrt(values)).astype(np.float32), np.zeros(2, np.float32))
    knots = np.quantile(bare.distances(held_out), np.linspace(0.0, 1.0, _KNOTS)).astype(np.float32)
    return Reference(bare.means, bare.whitening, knots)

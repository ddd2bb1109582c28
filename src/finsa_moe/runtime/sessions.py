"""One graph loaded by one engine: arrays in, arrays out, by position.

ONNX Runtime belongs to the base installation, OpenVINO to the extra ``fast``. Every session may be called by several
threads at once. It knows nothing of what a graph computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from numpy.typing import NDArray

from finsa_moe.errors import ConfigError, ModelError, require
from finsa_moe.runtime.forks import in_child

Arrays = list[NDArray[Any]]
Session = Callable[..., Arrays]
"""Called with the graph's inputs; what it returns is valid until the same thread calls the same session again."""
ENGINES = ("onnxruntime", "openvino")


class _First:
    """The lock under which OpenVINO's binding meets its first array; a forked child has its own."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_FIRST = _First()


def check_engine(name: str) -> str:
    """The engine's name itself.

    Raises:
        ConfigError: If there is no such engine.
        MissingExtra: If it is OpenVINO and that is not installed.
    """
    if name not in ENGINES:
        raise ConfigError(f"engine {name!r} is unknown; choose {' or '.join(ENGINES)}, or leave it out")
    if name == "openvino":
        require("openvino", "fast", "the engine openvino")
    return name


def has_openvino() -> bool:
    """Whether the extra ``fast`` is installed; nothing is imported for the answer."""
    return find_spec("openvino") is not None


def open_session(graph: bytes, engine: str, precision: str, callers: int, what: str) -> Session:
    """Load a graph.

    Args:
        graph: A serialised ONNX model.
        engine: One of `ENGINES`.
        precision: How the graph is stored; OpenVINO computes in bfloat16 when it is ``"bf16"``.
        callers: Calls that may run at once, each on a thread of its own.
        what: Name of the graph's file, for the error.

    Raises:
        ModelError: If the engine cannot read it.
    """
    try:
        return _openvino(graph, precision, callers) if engine == "openvino" else _onnxruntime(graph)
    except Exception as error:  # each engine has its own kinds
        said = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{what}: {engine} cannot load it ({type(error).__name__}: {said}); "
            "export the model anew, or choose the other engine"
        ) from error


def _onnxruntime(graph: bytes) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the work is in many batches: a thread each scales better than many a batch
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(*arrays: NDArray[Any]) -> Arrays:
        found: Arrays = session.run(None, dict(zip(names, arrays, strict=True)))
        return found

    return run


def _openvino(graph: bytes, precision: str, callers: int) -> Session:
    import numpy as np
    import openvino

    with _FIRST.lock:
        # The binding looks numpy up in the first array it meets, and two threads whose first arrays meet there wait for
        # each other for ever: one holds the interpreter's lock and wants the binding's, the other the reverse.
        openvino.Tensor(np.zeros(1, dtype=np.float32)).data.copy()
    core = openvino.Core()
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": callers,
        "NUM_STREAMS": callers,
        "ENABLE_CPU_PINNING": False,
    }
    model = core.compile_model(core.read_model(graph), "CPU", options)
    own = threading.local()  # a request serves one call at a time

    def run(*arrays: NDArray[Any]) -> Arrays:
        if not hasattr(own, "request"):
            own.request = model.create_infer_request()
        found = own.request.infer(list(arrays), share_inputs=True)
        return [found[port] for port in model.outputs]

    return run

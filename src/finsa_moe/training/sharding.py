"""The frozen backbone spread over the processes of a run: each keeps a part of every layer and borrows the rest.

What is trained stays whole in every process, so losses, gradients, checkpoints and files are those of a run without
sharding; only frozen weights are DTensors. It knows layers of a backbone and nothing of what is trained on them.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from finsa_moe.errors import ConfigError
from finsa_moe.model.backbone import layer_stack
from finsa_moe.training.processes import Processes


def shard_backbone(model: nn.Module) -> None:
    """Spread the frozen weights of a stage's model, layer by layer; the second call, or one process, changes nothing.

    A layer's weights are gathered when it runs and given back after it, forward and backward (PyTorch's `fully_shard`).

    Args:
        model: Has the `backbone`, a transformer whose frozen layers are spread. Embeddings stay whole.

    Raises:
        ConfigError: If the backbone is quantised, as packed weights cannot be cut, or if no layer of it is frozen.
    """
    processes = Processes()
    layers = list(layer_stack(cast(Any, model.backbone))[1])
    if processes.size == 1 or any(isinstance(layer, FSDPModule) for layer in layers):
        return
    frozen = [p for layer in layers for p in layer.parameters() if not p.requires_grad]
    if not frozen:
        raise ConfigError("shard_backbone: spreads frozen layers, and this run trains them all; leave it out")
    if not all(p.is_floating_point() for p in frozen):
        raise ConfigError(
            "shard_backbone: a backbone in 4 bits cannot be cut; set quantisation to none, or leave shard_backbone out "
            "(9 B parameters in 4 bits take about 5 GiB in each process)"
        )
    mesh = init_device_mesh(frozen[0].device.type, (processes.size,))
    own = {id(p) for p in frozen}
    for layer in layers:
        trained = {p for p in layer.parameters() if id(p) not in own}
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=trained)
    spread = [name for name, p in model.named_parameters() if isinstance(p, DTensor)]
    # the wrapper that averages gradients would send its first copy of every parameter round, and knows no parts
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, spread)  # type: ignore[no-untyped-call]


def whole_state(model: nn.Module, *, at_most: int) -> dict[str, Tensor] | None:
    """The backbone's tensors by name, put together again for writing them; all processes call it together.

    Args:
        model: As given to `shard_backbone`.
        at_most: Bytes of backbone weights above which nobody is going to write them, and None comes back.

    Returns:
        None, too, where nothing is spread.
    """
    backbone = cast(nn.Module, model.backbone)
    state = backbone.state_dict()
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if size > at_most or not any(isinstance(tensor, DTensor) for tensor in state.values()):
        return None
    return {name: t.full_tensor().cpu() if isinstance(t, DTensor) else t for name, t in state.items()}

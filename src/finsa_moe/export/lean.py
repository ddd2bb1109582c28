"""A traced graph with fewer passes over its activations, the function unchanged.

A product whose output is at once cut into parts (queries, keys and values; the two halves of a gated feed-forward part)
becomes a product a part, so that nothing is copied apart; and what guards a softmax against rows without a number goes
where the mask is a finite number, as no such row can be. Engines do neither by themselves. A float32 graph goes in, an
equal one comes out; a pattern that is not met exactly stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from finsa_moe.export.wires import Wires, copy, products, put_in_order

_PARTS = (2, -3)
"""The axis of (batch, length, parts, heads, size) along which a product is cut, from either end."""


def lean(graph: Any) -> Any:
    """The same function, copied less; see the module."""
    graph = copy(graph)
    for product in products(graph):
        wires = Wires(graph)
        _part_split(wires, product)
        _part_heads(wires, product)
    _unguard(Wires(graph))
    _forget(graph)
    put_in_order(graph)
    return graph


def _part_split(wires: Wires, product: Any) -> None:
    """Product → Split on the last axis: a product for each of the parts."""
    split = wires.reader(product.output[0], "Split")
    if split is None:
        return
    axis = next((one.i for one in split.attribute if one.name == "axis"), 0)
    width = wires.constants[product.input[1]].dims[1]
    sizes = (
        wires.value(split.input[1]) if len(split.input) > 1 else np.full(len(split.output), width // len(split.output))
    )
    if axis not in (-1, _rank(wires, product) - 1) or sizes is None or sizes.sum() != width:
        return
    ends = np.cumsum(sizes)
    made = [
        _part(wires, product, int(end - size), int(end), name)
        for end, size, name in zip(ends, sizes, split.output, strict=True)
    ]
    wires.replace([product, split], made)


def _part_heads(wires: Wires, product: Any) -> None:
    """Product → Reshape (batch, length, parts, heads, size) → Slice, Squeeze: a product and a Reshape a part."""
    shaped = wires.reader(product.output[0], "Reshape")
    shape = wires.maker(shaped.input[1], "Concat") if shaped is not None else None
    if shaped is None or shape is None or len(shape.input) != 5:
        return
    parts, heads, size = (_one(wires, name) for name in shape.input[2:])
    width = wires.constants[product.input[1]].dims[1]
    if parts is None or heads is None or size is None or parts < 1 or size < 1:
        return
    if heads == -1:  # as many as there are
        heads = width // (parts * size)
    if parts * heads * size != width:
        return
    cuts = [_cut(wires, slice_) for slice_ in wires.readers[shaped.output[0]]]
    places = [cut[0] for cut in cuts if cut]
    if None in cuts or len(set(places)) < len(places) or not all(0 <= at < parts for at in places):
        return
    flat = f"{shaped.name}.parted"
    made = [helper.make_node("Concat", [*shape.input[:2], *shape.input[3:]], [flat], name=flat, axis=0)]
    for at, name in (cut[:2] for cut in cuts if cut):
        own = f"{product.output[0]}.{at}"
        made.append(_part(wires, product, at * heads * size, (at + 1) * heads * size, own))
        made.append(helper.make_node("Reshape", [own, flat], [name], name=f"{shaped.name}.{at}"))
    # a shape that other layers read as well stays where it is: it comes before all of them
    wires.replace([product, shaped, *(node for cut in cuts if cut for node in cut[2])], made)


def _cut(wires: Wires, node: Any) -> tuple[int, str, tuple[Any, Any]] | None:
    """Of a Slice that takes one part and its Squeeze: which part, the value's name, both; None of anything else."""
    if node is None or node.op_type != "Slice" or len(node.input) < 4:
        return None
    first, end, axis = (_one(wires, name) for name in node.input[1:4])
    squeeze = wires.reader(node.output[0], "Squeeze")
    if first is None or end != first + 1 or axis not in _PARTS or squeeze is None or len(squeeze.input) < 2:
        return None
    return (first, squeeze.output[0], (node, squeeze)) if _one(wires, squeeze.input[1]) in _PARTS else None


def _part(wires: Wires, product: Any, begin: int, end: int, name: str) -> Any:
    """The product by columns `begin` to `end` of its weight, called `name`."""
    own = f"{product.input[1]}.{product.name}.{begin}"  # a weight that two products read may be cut in two ways
    columns = numpy_helper.to_array(wires.constants[product.input[1]])[:, begin:end]
    wires.graph.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(columns), own))
    return helper.make_node("MatMul", [product.input[0], own], [name], name=f"{product.name}.{begin}")


def _unguard(wires: Wires) -> None:
    """Where(IsNaN(softmax), 0, softmax) → softmax, where what the softmax reads is masked by a finite number."""
    for guard in [node for node in wires.graph.graph.node if node.op_type == "Where"]:
        asked, softmax = wires.maker(guard.input[0], "IsNaN"), wires.maker(guard.input[2], "Softmax")
        if asked is None or softmax is None or asked.input[0] != softmax.output[0] or not _finite(wires, softmax):
            continue
        if wires.reader(asked.output[0], "Where") is None:
            continue
        for reader in wires.readers[guard.output[0]]:
            for at, name in enumerate(reader.input if reader is not None else ()):
                if name == guard.output[0]:
                    reader.input[at] = softmax.output[0]
        if None not in wires.readers[guard.output[0]]:
            wires.graph.graph.node.remove(guard)
            wires.graph.graph.node.remove(asked)


def _finite(wires: Wires, softmax: Any) -> bool:
    """Whether a softmax reads scores plus a mask of finite constants."""
    added = wires.maker(softmax.input[0], "Add")
    masks = [wires.maker(name, "Where") for name in added.input] if added is not None else []
    constants = [wires.value(name) for mask in masks if mask is not None for name in mask.input[1:]]
    return bool(constants) and all(value is not None and bool(np.isfinite(value).all()) for value in constants)


def _forget(graph: Any) -> None:
    """Take out the constants and the shapes that nothing reads any more."""
    inner = graph.graph
    kept = {out.name for out in inner.output}
    while True:
        read = kept | {name for node in inner.node for name in node.input}
        dead = [node for node in inner.node if not read & set(node.output)]
        if not dead:
            break
        for node in dead:
            inner.node.remove(node)
    for weight in [weight for weight in inner.initializer if weight.name not in read]:
        inner.initializer.remove(weight)


def _one(wires: Wires, name: str) -> int | None:
    """A constant of a single whole number."""
    value = wires.value(name)
    return int(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def _rank(wires: Wires, product: Any) -> int:
    """Axes of a product's output, as the graph tells them; 0 where it does not."""
    known: Iterator[Any] = iter((*wires.graph.graph.value_info, *wires.graph.graph.input))
    return next((len(one.type.tensor_type.shape.dim) for one in known if one.name == product.output[0]), 0)

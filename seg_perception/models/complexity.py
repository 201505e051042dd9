"""How large a network is, and how much it computes for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from seg_perception.models import families, weights
from seg_perception.models.manifest import Manifest


@dataclass(frozen=True)
class Complexity:
    """``parameters``: the trained numbers; ``macs``: multiplications (each with its addition) of one forward pass in
    convolutions and matrix products, which is what model zoos count; half of what they call FLOPs.
    """

    parameters: int
    macs: int


def complexity(manifest: Manifest) -> Complexity:
    """Of the network of ``manifest`` at its input's size. Raises :class:`ImportError` where a graph is to be read and
    onnx is not installed.
    """
    path = weights.obtain(manifest) if manifest.weights.file else None
    return of_graph(path, manifest.input_shape) if path and not manifest.network else _of_network(manifest, path)


def _of_network(manifest: Manifest, path: Path | None) -> Complexity:
    network = families.build(manifest, path)
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        network(torch.zeros((1, *manifest.input_shape)))
    return Complexity(sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2)


def of_graph(path: Path, shape: tuple[int, ...]) -> Complexity:
    """Of an ONNX file that is given one image of ``shape``. Operations whose shapes the graph does not tell count as
    nothing.
    """
    import onnx

    model = onnx.load(str(path))
    for size, dimension in zip((1, *shape), model.graph.input[0].type.tensor_type.shape.dim, strict=True):
        dimension.dim_value = size
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    parameters = sum(prod(t.dims) for t in model.graph.initializer if t.data_type in _NUMBERS)
    for tensor in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        shapes[tensor.name] = tuple(d.dim_value for d in tensor.type.tensor_type.shape.dim)
    return Complexity(parameters, sum(_macs(node, shapes) for node in model.graph.node))


_NUMBERS = (1, 2, 3, 10, 11, 16)  # onnx.TensorProto: float, uint8 and int8 (quantised), float16, double, bfloat16
_PLACE = {"QLinearConv": 3, "QLinearMatMul": 3}  # which input has the weights where it is not the second


def _macs(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Of one node; 0 for what is neither a convolution nor a matrix product."""
    place = _PLACE.get(node.op_type, 1)
    if len(node.input) <= place:
        return 0
    first, weight = shapes.get(node.input[0], ()), shapes.get(node.input[place], ())
    out = prod(shapes.get(node.output[0], (0,)))
    if not first or not weight:
        return 0
    if node.op_type in ("Conv", "ConvInteger", "QLinearConv"):
        return out * prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return prod(first) * prod(weight[1:])
    if node.op_type in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return out * first[-1]
    if node.op_type == "Gemm":
        flipped = any(a.name == "transA" and a.i for a in node.attribute)
        return out * first[0 if flipped else -1]
    return 0

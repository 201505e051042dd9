"""A network from a library to an ONNX file with a manifest beside it, checked output against output."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxscript import opset18 as op

from seg_perception.errors import ConfigError, ModelError, first_line
from seg_perception.models import families, weights
from seg_perception.models.backends import onnxruntime_backend
from seg_perception.models.families.base import NamedOutputs
from seg_perception.models.manifest import Manifest
from seg_perception.models.writing import quiet, write_manifest, written
from seg_perception.types import Float32Array

_OPSET, _IR = 18, 9  # what onnxruntime 1.17 reads, the oldest that is supported
_INSIDE = 1e-3  # of an output's largest number: what rounding may change
_PART = 0.99  # of an output's numbers that must be inside: of things with equal scores either may come first


@dataclass(frozen=True)
class Exported:
    """What was written: the ``graph`` and its ``manifest``; by output, by how much it ``differs`` at most from torch's,
    as part of its largest number; and whether the graph takes ``any_batch``.
    """

    graph: Path
    manifest: Path
    differs: Mapping[str, float]
    any_batch: bool


def export(manifest: Manifest, graph: Path) -> Exported:
    """Write the network of ``manifest`` to the ONNX file ``graph``, and the manifest that runs it beside it.

    Raises :class:`ConfigError` for a manifest without ``network:``, a file that exists or a folder that does not,
    :class:`ModelError` for a network that cannot be written or computes something else once it is.
    """
    with written(graph) as beside:
        if manifest.network is None:
            raise ConfigError(f"model '{manifest.name}' is a file with a graph already: {manifest.weights.file}")
        network = families.build(manifest, weights.obtain(manifest) if manifest.weights.file else None)
        network.requires_grad_(False)
        _write(network, manifest, graph)
        differs = _compare(network, manifest, graph)
        shown = manifest.input if network.any_batch else dataclasses.replace(manifest.input, batch=1)
        outputs = tuple(network.names)
        write_manifest(manifest, graph, beside, runtime="openvino", network=None, outputs=outputs, input=shown)
    return Exported(graph, beside, differs, network.any_batch)


def _write(network: NamedOutputs, manifest: Manifest, graph: Path) -> None:
    images = torch.zeros((2 if network.any_batch else 1, *manifest.input_shape))
    how: dict[str, Any] = {"dynamo": False, "opset_version": 17}  # a trace: it follows one image through torchvision
    if network.any_batch:
        shapes = ({0: torch.export.Dim("batch")},)
        how = {
            "dynamo": True,
            "opset_version": _OPSET,
            "dynamic_shapes": shapes,
            "external_data": False,
            "custom_translation_table": {torch.ops.aten._is_all_true.default: _is_all_true},
        }
    try:
        with quiet():
            torch.onnx.export(
                network,
                (images,),
                str(graph),
                input_names=[manifest.input.name],
                output_names=list(network.names),
                verbose=False,
                **how,
            )
            model = onnx.load(str(graph))
            model.ir_version = min(model.ir_version, _IR)
            onnx.save(model, str(graph))
    except Exception as error:  # the exporter raises what it likes
        raise ModelError(
            f"model '{manifest.name}' cannot be written as ONNX by torch {torch.__version__}: {first_line(error)}"
        ) from error


def _is_all_true(x: Any) -> Any:
    """In ONNX what the exporter does not know: OneFormer asks whether a mask masks nothing."""
    least = op.ReduceMin(op.Cast(x, to=onnx.TensorProto.INT32), keepdims=0)
    return op.Cast(least, to=onnx.TensorProto.BOOL)


def _compare(network: NamedOutputs, manifest: Manifest, graph: Path) -> dict[str, float]:
    """The largest difference of each output between torch and onnxruntime, for one image and for a batch of three."""
    session = onnxruntime_backend.OnnxRuntimeBackend(graph, threads=1)
    differs = dict.fromkeys(network.names, 0.0)
    for count in (1, 3) if network.any_batch else (1,):
        images = _noise(manifest, count)
        with torch.inference_mode():
            expected = network(torch.from_numpy(images))
        for name, wanted, found in zip(network.names, expected, session.run(images, network.names), strict=True):
            off = np.abs(found - wanted.numpy()) / max(float(wanted.abs().max()), 1e-6)
            if off.shape != tuple(wanted.shape) or (off <= _INSIDE).mean() < _PART:
                raise ModelError(
                    f"model '{manifest.name}' as ONNX computes another '{name}': {(off > _INSIDE).mean():.1%} of its "
                    f"numbers differ from torch's by more than {_INSIDE:g} of the largest"
                )
            differs[name] = max(differs[name], float(off.max()))
    return differs


def _noise(manifest: Manifest, count: int) -> Float32Array:
    """Prepared images of blobs ``(count, 3, H, W)``."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 3, *(-(-n // 16) for n in manifest.input.size)))
    pixels = coarse.repeat(16, axis=2).repeat(16, axis=3)[..., : manifest.input.size[0], : manifest.input.size[1]]
    tables = manifest.normalisation()
    return np.stack([tables[c][pixels[:, c]] for c in range(3)], axis=1)

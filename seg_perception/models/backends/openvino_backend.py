"""OpenVINO on the CPU, in float32 unless told otherwise (left alone it takes bfloat16 where the CPU has it)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped, unused-ignore]

from seg_perception.errors import ConfigError, ModelError
from seg_perception.models import weights
from seg_perception.models.backends.base import Backend, Labeller, TensorInfo
from seg_perception.models.decoders.dense_logits import confidence_step
from seg_perception.models.manifest import Manifest
from seg_perception.types import Float32Array, UInt8Array

try:
    from openvino import opset13 as ops
except ImportError:  # openvino 2024.6 has it one floor down
    from openvino.runtime import opset13 as ops  # type: ignore[import-not-found, unused-ignore]

_CAPABILITY = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
_CALLED = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


@cache
def _core() -> openvino.Core:
    """The process's one Core. Without it the CPU plugin goes with the last network, and the process crashes at its
    exit when that happened under a lifecycle's clean-up.
    """
    return openvino.Core()


def load(manifest: Manifest, *, precision: str, threads: int, device: str) -> Backend:
    """Load an ONNX or OpenVINO IR file; see :func:`seg_perception.models.backends.load`."""
    if precision not in precisions():
        raise ConfigError(f"openvino on this CPU has no precision '{precision}'; it has {', '.join(precisions())}")
    return OpenVinoBackend(_core(), manifest, weights.obtain(manifest), precision, threads)


def precisions() -> tuple[str, ...]:
    """The precisions that this CPU computes in."""
    available = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(name for name, capability in _CAPABILITY.items() if capability in available)


class OpenVinoBackend:
    """A model with one infer request; its outputs hold until the next call.

    Of a network that labels whole images only the graph that ends in labels is compiled; the one that ends in logits
    is when somebody asks for them.
    """

    def __init__(self, core: openvino.Core, manifest: Manifest, path: Path, precision: str, threads: int) -> None:
        self._core, self._path = core, path
        self._options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            # Whoever has fewer threads than there are cores is pinned to the first ones: two such networks, or
            # two processes, would wait for each other on one core while the others idle.
            "ENABLE_CPU_PINNING": threads >= (os.cpu_count() or 1),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._model = core.read_model(str(path))
            # More than one image in a pass: any number may come.
            shape = [1 if manifest.input.batch == 1 else -1, *manifest.input_shape]
            if manifest.input.reshape:
                self._model.reshape(shape)
            else:
                _fix(self._model, shape)
        except RuntimeError as error:
            raise self._refused(error) from error
        names = (manifest.input.name, *manifest.outputs)
        self.inputs = tuple(_info(port, names) for port in self._model.inputs)
        self.outputs = tuple(_info(port, names) for port in self._model.outputs)
        self.version = str(openvino.__version__)
        self.label: Labeller | None = None
        logits = _logits(self._model, manifest)
        if logits is None:
            request = self._request
        else:
            grid = logits.get_shape()[2], logits.get_shape()[3]
            request = self._compiled(_ending_in_labels(self._model, logits, confidence_step(grid)))
            self.label = _Labels(request, grid)
        used = request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").to_string()
        self.precision = _CALLED.get(used, used)  # it may have had reasons of its own

    def run(self, batch: Float32Array, outputs: Sequence[str]) -> list[Float32Array]:
        """See :class:`Backend`."""
        results = self._request.infer({0: batch}, share_inputs=True, share_outputs=True)
        return [results[name] for name in outputs]

    @cached_property
    def _request(self) -> openvino.InferRequest:
        return self._compiled(self._model)

    def _compiled(self, model: openvino.Model) -> openvino.InferRequest:
        try:
            return self._core.compile_model(model, "CPU", self._options).create_infer_request()
        except RuntimeError as error:
            raise self._refused(error) from error

    def _refused(self, error: RuntimeError) -> ModelError:
        return ModelError(f"weights {self._path} cannot be loaded by openvino: {_cause(error)}")


class _Labels:
    """The graph of :func:`_ending_in_labels`; see :class:`Labeller`."""

    def __init__(self, request: openvino.InferRequest, grid: tuple[int, int]) -> None:
        self._request, self.grid = request, grid

    def __call__(self, batch: Float32Array, height: int, width: int) -> tuple[UInt8Array, Float32Array]:
        size = np.array([height, width], np.int64)
        results = self._request.infer({0: batch, 1: size}, share_inputs=True, share_outputs=True)
        return results[0][0, 0], results[1][0]


def _logits(model: openvino.Model, manifest: Manifest) -> Any:
    """The port of the logits, where the network labels whole images and they are what a manifest may promise."""
    if not manifest.whole or len(model.inputs) != 1:
        return None
    named = [port for port in model.outputs if not manifest.outputs or manifest.outputs[0] in port.get_names()]
    if len(named) != 1:
        return None
    shape = named[0].get_partial_shape()
    fits = shape.rank.is_static and len(shape) == 4 and shape.is_static and shape[0].get_length() == 1
    return named[0] if fits and named[0].get_element_type() == openvino.Type.f32 else None


def _ending_in_labels(model: openvino.Model, port: Any, step: int) -> openvino.Model:
    """``model`` with the logits at ``port`` interpolated to the size that a second input gives, and their argmax as
    bytes; its second output are the logits at every ``step``-th point, where the confidence is computed.

    The size is an input, so that images of many sizes need one graph and get the same labels in whatever order.
    """
    logits = port.get_node().input_value(0)
    size = ops.parameter([2], np.int64, name="size")
    full = ops.interpolate(logits, size, "linear_onnx", "sizes", axes=np.array([2, 3], np.int64))
    winners = ops.convert(ops.topk(full, 1, 1, "max", "none", "i32").output(1), "u8")
    first, stop, every = np.array([0, 0, step // 2, step // 2]), np.zeros(4, np.int64), np.array([1, 1, step, step])
    points = ops.strided_slice(logits, first, stop, every, [0, 0, 0, 0], [1, 1, 1, 1])
    return openvino.Model([ops.result(winners), ops.result(points)], [*model.get_parameters(), size])


def _fix(model: Any, shape: list[int]) -> None:
    """Give the dimensions that ``model`` leaves free their size in ``shape``: only of fixed shapes does OpenVINO fuse
    attention.
    """
    given = model.inputs[0].get_partial_shape()
    if len(model.inputs) == 1 and given.is_dynamic and given.rank.is_static and len(given) == len(shape):
        model.reshape([d.get_length() if d.is_static else n for d, n in zip(given, shape, strict=True)])


def _info(port: Any, names: tuple[str, ...]) -> TensorInfo:
    """A port may have several names, of which the manifest's counts."""
    name = next((n for n in names if n in port.get_names()), port.get_any_name())
    shape = tuple(d.get_length() if d.is_static else None for d in port.get_partial_shape())
    return TensorInfo(name, shape, port.get_element_type().to_dtype().name)


def _cause(error: RuntimeError) -> str:
    """The last line of OpenVINO's stack of messages: the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

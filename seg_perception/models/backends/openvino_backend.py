"""OpenVINO on the CPU, in float32 unless told otherwise (left alone it takes bfloat16 where the CPU has it)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import openvino  # type: ignore[import-untyped, unused-ignore]

from seg_perception.errors import ConfigError, ModelError
from seg_perception.models import weights
from seg_perception.models.backends.base import Backend, TensorInfo
from seg_perception.models.manifest import Manifest
from seg_perception.types import Float32Array

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
    """A compiled model with one infer request; its outputs hold until the next call."""

    def __init__(self, core: openvino.Core, manifest: Manifest, path: Path, precision: str, threads: int) -> None:
        try:
            model = core.read_model(str(path))
            if manifest.input.reshape:
                model.reshape([1, *manifest.input_shape])
            else:
                _fix(model, (1, *manifest.input_shape))
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": precision,
                    "INFERENCE_NUM_THREADS": threads,
                    # Whoever has fewer threads than there are cores is pinned to the first ones: two such networks, or
                    # two processes, would wait for each other on one core while the others idle.
                    "ENABLE_CPU_PINNING": threads >= (os.cpu_count() or 1),
                    "PERFORMANCE_HINT": "LATENCY",
                },
            )
        except RuntimeError as error:
            raise ModelError(f"weights {path} cannot be loaded by openvino: {_cause(error)}") from error
        self._request = compiled.create_infer_request()
        names = (manifest.input.name, *manifest.outputs)
        self.inputs = tuple(_info(port, names) for port in compiled.inputs)
        self.outputs = tuple(_info(port, names) for port in compiled.outputs)
        self.version = str(openvino.__version__)
        used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()  # it may have had reasons of its own
        self.precision = _CALLED.get(used, used)

    def run(self, batch: Float32Array, outputs: Sequence[str]) -> list[Float32Array]:
        """See :class:`Backend`."""
        results = self._request.infer({0: batch}, share_inputs=True, share_outputs=True)
        return [results[name] for name in outputs]


def _fix(model: Any, shape: tuple[int, ...]) -> None:
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

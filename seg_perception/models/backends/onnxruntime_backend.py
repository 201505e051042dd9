"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-untyped, unused-ignore]

from seg_perception.errors import ConfigError, ModelError, first_line
from seg_perception.models import weights
from seg_perception.models.backends.base import Backend, Labeller, TensorInfo
from seg_perception.models.manifest import Manifest
from seg_perception.types import Float32Array


def load(manifest: Manifest, *, precision: str, threads: int, device: str) -> Backend:
    """Load an ONNX file; see :func:`seg_perception.models.backends.load`."""
    if precision != "f32":
        raise ConfigError(
            f"runtime 'onnxruntime' computes in f32 as the graph says; precision '{precision}' needs openvino"
        )
    if manifest.input.reshape:
        raise ConfigError(
            f"runtime 'onnxruntime' takes {manifest.weights.file} as it is; 'input: reshape: true' needs openvino"
        )
    return OnnxRuntimeBackend(weights.obtain(manifest), threads)


class OnnxRuntimeBackend:
    """A session with a fixed number of threads; its outputs are fresh arrays."""

    label: Labeller | None = None

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        # Threads that wait in a busy loop take the core from tracking, fusion and the other network.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only: what matters is raised
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no public base class
            raise ModelError(f"weights {path} cannot be loaded by onnxruntime: {first_line(error)}") from error
        self.inputs = tuple(_info(t) for t in self._session.get_inputs())
        self.outputs = tuple(_info(t) for t in self._session.get_outputs())
        self.version = str(onnxruntime.__version__)
        self.precision = "f32"

    def run(self, batch: Float32Array, outputs: Sequence[str]) -> list[Float32Array]:
        """See :class:`Backend`."""
        result: list[Float32Array] = self._session.run(list(outputs), {self.inputs[0].name: batch})
        return result


def _info(tensor: Any) -> TensorInfo:
    shape = tuple(d if isinstance(d, int) and d > 0 else None for d in tensor.shape)
    dtype = {"float": "float32", "double": "float64"}.get(tensor.type[7:-1], tensor.type[7:-1])  # tensor(float)
    return TensorInfo(tensor.name, shape, dtype)

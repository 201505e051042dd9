"""The runtimes that execute a network's graph, by name; each is imported only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from seg_perception.errors import ConfigError
from seg_perception.models.backends.base import Backend, Labeller, TensorInfo
from seg_perception.models.manifest import Manifest

__all__ = [
    "GRAPH_RUNTIMES",
    "RUNTIMES",
    "Backend",
    "Labeller",
    "TensorInfo",
    "able",
    "chosen",
    "load",
    "resolved_precision",
    "resolved_threads",
]

GRAPH_RUNTIMES = ("onnxruntime", "openvino")
"""Those that execute a file with a graph; torch executes what a library builds."""

RUNTIMES = {"onnxruntime": "onnx", "openvino": "openvino", "torch": "torch"}
"""Runtime name -> the pip extra of this package that installs it."""

_PLANNED = ("tensorrt",)


def resolved_threads(threads: int) -> int:
    """``threads``, or one per core that this process may use where it is 0: always a fixed number, since the order of
    summation, and with it the last bits of a result, depends on it.
    """
    if threads > 0:
        return threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolved_precision(precision: str, runtime: str) -> str:
    """``precision``, or what ``auto`` means here: bf16 where ``runtime`` and the CPU have it, else f32."""
    if precision != "auto":
        return precision
    return "bf16" if runtime == "openvino" and has_bf16() else "f32"


def has_bf16() -> bool:
    """Whether openvino is installed and computes in bfloat16 on this CPU."""
    try:
        module = import_module("seg_perception.models.backends.openvino_backend")
    except ImportError:
        return False
    return "bf16" in module.precisions()


def able(manifest: Manifest) -> tuple[str, ...]:
    """The runtimes that can execute such a network, installed or not, the manifest's own first."""
    if manifest.network is not None:
        return ("torch",)
    return (manifest.runtime, *(r for r in GRAPH_RUNTIMES if r != manifest.runtime))


def chosen(wanted: str, manifest: Manifest) -> str:
    """The runtime that ``wanted`` means: itself, or for ``auto`` the manifest's own, or another able one that is
    installed where that one is not.
    """
    if wanted != "auto":
        return wanted
    return next((r for r in able(manifest) if find_spec(r) is not None), manifest.runtime)


def load(runtime: str, manifest: Manifest, *, precision: str, threads: int, device: str) -> Backend:
    """Load the network of ``manifest`` into ``runtime``, on ``device`` (``cpu`` or ``cuda``).

    Raises :class:`ConfigError` for an unknown runtime, one that is not installed or does not run such a network, or a
    precision, device or reshaping it does not have; :class:`ModelError` for weights that are missing, not what the
    manifest says, or that it cannot load.
    """
    if runtime in _PLANNED:
        raise ConfigError(f"runtime '{runtime}' is not available in this version; use {' or '.join(RUNTIMES)}")
    if runtime not in RUNTIMES:
        raise ConfigError(f"there is no runtime '{runtime}'; expected {' or '.join(RUNTIMES)}")
    if runtime in GRAPH_RUNTIMES and manifest.network is not None:
        raise ConfigError(
            f"model '{manifest.name}' is built by {manifest.network.library} and runs in torch; for {runtime} write it "
            f"to a file: seg_perception models export {manifest.name} {manifest.name}.onnx"
        )
    if runtime in GRAPH_RUNTIMES and device != "cpu":
        raise ConfigError(f"runtime '{runtime}' computes on the CPU here; device '{device}' needs runtime 'torch'")
    if runtime == "torch":
        # Its threads must not wait in a busy loop: that takes the core from tracking, fusion and the other network.
        # OpenMP reads this once, when torch is first imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        module = import_module(f"seg_perception.models.backends.{runtime}_backend")
    except ImportError as error:
        raise ConfigError(
            f"runtime '{runtime}' is not installed ({error}); run pip install 'seg_perception[{RUNTIMES[runtime]}]' "
            "or choose another runtime"
        ) from error
    make = cast("Callable[..., Backend]", module.load)
    return make(manifest, precision=precision, threads=resolved_threads(threads), device=device)

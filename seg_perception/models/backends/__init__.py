"""The runtimes that execute a network's graph, by name; each is imported only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from seg_perception.errors import ConfigError
from seg_perception.models.backends.base import Backend, TensorInfo

__all__ = ["RUNTIMES", "Backend", "TensorInfo", "chosen", "load", "resolved_precision", "resolved_threads"]

RUNTIMES = {"onnxruntime": "onnx", "openvino": "openvino"}
"""Runtime name -> the pip extra of this package that installs it."""

_PLANNED = ("torch", "tensorrt")


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


def chosen(wanted: str, preferred: str) -> str:
    """The runtime that ``wanted`` means: itself, or for ``auto`` the ``preferred`` one, or another that is installed
    where that one is not.
    """
    if wanted != "auto":
        return wanted
    return next((r for r in (preferred, *RUNTIMES) if find_spec(r) is not None), preferred)


def load(runtime: str, path: Path, *, precision: str, threads: int, reshape: tuple[int, ...] | None = None) -> Backend:
    """Load the graph in ``path`` into ``runtime``; ``reshape`` is the shape to give to its input, if not its own.

    Raises :class:`ConfigError` for an unknown runtime, one that is not installed, or a precision or reshaping it
    does not have;
    :class:`ModelError` for a file it cannot load.
    """
    if runtime in _PLANNED:
        raise ConfigError(f"runtime '{runtime}' is not available in this version; use {' or '.join(RUNTIMES)}")
    if runtime not in RUNTIMES:
        raise ConfigError(f"there is no runtime '{runtime}'; expected {' or '.join(RUNTIMES)}")
    try:
        module = import_module(f"seg_perception.models.backends.{runtime}_backend")
    except ImportError as error:
        raise ConfigError(
            f"runtime '{runtime}' is not installed ({error}); run pip install 'seg_perception[{RUNTIMES[runtime]}]' "
            "or choose another runtime"
        ) from error
    make = cast("Callable[..., Backend]", module.load)
    return make(path, precision=precision, threads=resolved_threads(threads), reshape=reshape)

"""What every runtime offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seg_perception.types import Float32Array


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a graph: its name, its shape (None where a dimension is free) and its type as numpy calls
    it.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Backend(Protocol):
    """A loaded network. One call at a time."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    version: str
    """The runtime's own version."""
    precision: str
    """What it really computes in: f32, bf16 or f16."""

    def run(self, batch: Float32Array, outputs: Sequence[str]) -> list[Float32Array]:
        """Run a contiguous NCHW batch through the network and return the named outputs, in that order.

        The arrays may be the runtime's own memory: they hold until the next call.
        """
        ...

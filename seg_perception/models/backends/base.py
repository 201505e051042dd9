"""What every runtime offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seg_perception.types import Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a graph: its name, its shape (None where a dimension is free) and its type as numpy calls
    it.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Labeller(Protocol):
    """A network of dense logits that goes on to labels where it computes, so that bytes come back instead of logits."""

    grid: tuple[int, int]
    """Height and width of the logits."""

    def __call__(self, batch: Float32Array, height: int, width: int) -> tuple[UInt8Array, Float32Array]:
        """For the first image of ``batch``, the logits' bilinear interpolation to ``height`` x ``width`` (half-pixel
        centres) and its argmax ``(height, width)`` uint8; and the logits ``(C, h, w)`` at the points of the confidence
        (:func:`seg_perception.models.decoders.dense_logits.sampled`). Both hold until the next call.
        """
        ...


class Backend(Protocol):
    """A loaded network. One call at a time."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    version: str
    """The runtime's own version."""
    precision: str
    """What it really computes in: f32, bf16 or f16."""
    label: Labeller | None
    """Where this runtime labels whole images itself (:attr:`Manifest.whole`); None where the decoder is to."""

    def run(self, batch: Float32Array, outputs: Sequence[str]) -> list[Float32Array]:
        """Run a contiguous NCHW batch through the network and return the named outputs, in that order.

        The arrays may be the runtime's own memory: they hold until the next call.
        """
        ...

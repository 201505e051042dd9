"""What a frame shows before the instance network looks at it: the tracks as they were carried here, and the things of
the semantic map that none of them explains.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from seg_perception.labels import LabelSpace
from seg_perception.types import Mask, SemanticMap, Tracks, UInt8Array

CELL = 16
"""Image pixels along a cell: things are looked for cell by cell."""

_STRIDE = 4
"""One pixel in so many is looked at, along each axis."""

_LEAST = 8
"""Of the 16 samples of a cell so many must be unexplained: outlines of masks and maps never agree to the pixel."""


@dataclass(frozen=True)
class Scene:
    """``unexplained`` ``(rows, columns)`` uint8: for each cell of :data:`CELL` pixels the highest priority of the
    things in the semantic map that no visible track of their class covers, 0 none. ``tracks`` at the frame's stamp,
    ``priorities`` ``(256,)`` uint8 by class (0 for stuff), ``size`` the image's (width, height).
    """

    unexplained: UInt8Array
    tracks: Tracks
    priorities: UInt8Array
    size: tuple[int, int]

    @classmethod
    def of(cls, semantic: SemanticMap, tracks: Tracks, labels: LabelSpace) -> Scene:
        """The scene of one frame."""
        height, width = semantic.labels.shape
        matters = np.where(labels.things, labels.priorities, np.uint8(0))
        return cls(_unexplained(semantic.labels, tracks, matters), tracks, matters, (width, height))


def _unexplained(classes: UInt8Array, tracks: Tracks, matters: UInt8Array) -> UInt8Array:
    samples = classes[_STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE]
    priority = matters[samples]
    if not priority.any():
        return np.zeros(_cells(*classes.shape), np.uint8)
    shown = np.flatnonzero(tracks.visible & (matters[tracks.labels] > 0))
    for label in np.unique(tracks.labels[shown]).tolist():
        covered = np.zeros_like(samples)
        for i in shown[tracks.labels[shown] == label].tolist():
            _paint(covered, tracks.masks[i])
        # A carried mask lies a few pixels off; what it leaves uncovered there is no new thing.
        near = cv2.dilate(covered, np.ones((3, 3), np.uint8))
        priority[(near > 0) & (samples == label)] = 0
    rows, columns = _cells(*classes.shape)
    per_cell = CELL // _STRIDE
    padded = np.zeros((rows * per_cell, columns * per_cell), np.uint8)
    padded[: priority.shape[0], : priority.shape[1]] = priority
    blocks = padded.reshape(rows, per_cell, columns, per_cell)
    enough = np.count_nonzero(blocks, axis=(1, 3)) >= _LEAST
    return np.where(enough, blocks.max(axis=(1, 3)), np.uint8(0))


def _cells(height: int, width: int) -> tuple[int, int]:
    return -(-height // CELL), -(-width // CELL)


def _paint(samples: UInt8Array, mask: Mask) -> None:
    """Set the samples that lie in ``mask`` to 1."""
    half = _STRIDE // 2
    top, left = ((start + half - 1) // _STRIDE for start in (mask.y, mask.x))  # the first sample in the mask's crop
    bits = mask.bits[top * _STRIDE + half - mask.y :: _STRIDE, left * _STRIDE + half - mask.x :: _STRIDE]
    samples[top : top + bits.shape[0], left : left + bits.shape[1]][bits] = 1

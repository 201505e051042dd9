"""Does the answer stay where the picture stays: consistency in time without any truth.

Varghese et al., "An Unsupervised Temporal Consistency (TC) Metric to Measure the Performance of Semantic Segmentation
Networks", CVPRW 2020: the answer of the frame before is moved along the optical flow, and compared with this one's.
A network that is wrong all the time is consistent; one that is right never flickers.
"""

from __future__ import annotations

import cv2
import numpy as np

from seg_perception.evaluation.counts import Stability
from seg_perception.types import BoolArray, UInt8Array

SIDE = 480
"""Pixels of the longer side at which flow is computed."""
ALIKE = 20
"""Grey levels by which a pixel may differ from the one it is said to come from; beyond that it was hidden before."""


class Consistency:
    """Takes pictures and answers of one video in turn."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._previous: tuple[UInt8Array, UInt8Array] | None = None

    def __call__(self, picture: UInt8Array, predicted: UInt8Array) -> Stability:
        """Pixels of this frame whose origin in the one before is known, by the class they had there, and how many have
        another one now. ``picture`` ``(H, W, 3)`` uint8 RGB, ``predicted`` ``(h, w)`` uint8 classes, 255 unlabelled.
        """
        height, width = picture.shape[:2]
        scale = min(1.0, SIDE / max(height, width))
        size = max(16, round(width * scale)), max(16, round(height * scale))
        grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        answer = cv2.resize(predicted, size, interpolation=cv2.INTER_NEAREST_EXACT)
        now = np.asarray(grey, np.uint8), np.asarray(answer, np.uint8)
        before, self._previous = self._previous, now
        zero = np.zeros(self._classes, np.int64)
        if before is None or before[0].shape != now[0].shape:
            return Stability(zero, zero)
        moved, known = self._moved(before, now[0])
        compared = known & (moved < self._classes)
        changed = compared & (moved != now[1])
        return Stability(*(np.bincount(moved[chosen], minlength=self._classes) for chosen in (compared, changed)))

    def _moved(self, before: tuple[UInt8Array, UInt8Array], grey: UInt8Array) -> tuple[UInt8Array, BoolArray]:
        """The answer of the frame before where its pixels are now, and which of them can be trusted."""
        start = np.zeros((*grey.shape, 2), np.float32)
        flow = np.asarray(self._flow.calc(grey, before[0], start), np.float32)
        rows, columns = np.indices(grey.shape, np.float32)
        x, y = columns + flow[..., 0], rows + flow[..., 1]
        was = cv2.remap(before[0], x, y, cv2.INTER_LINEAR)
        moved = np.asarray(cv2.remap(before[1], x, y, cv2.INTER_NEAREST, borderValue=255), np.uint8)
        inside = (x >= 0) & (y >= 0) & (x <= grey.shape[1] - 1) & (y <= grey.shape[0] - 1)
        return moved, inside & (cv2.absdiff(was, grey) <= ALIKE)

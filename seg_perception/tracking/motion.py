"""How the camera moved: one affine motion of the whole image from frame to frame, cheap enough for every frame.

Corners of a small grey image are followed by pyramidal Lucas-Kanade optical flow, and RANSAC finds the shift, rotation
and scale that most of them agree on: what moves by itself, and what is near enough to move otherwise, is outvoted.
"""

from __future__ import annotations

import cv2
import numpy as np

from seg_perception.types import Float64Array, UInt8Array

WIDTH = 320
"""The image is shrunk to about this width."""

CORNERS = 100
"""Corners to follow, at most."""

FEWEST = 12
"""Corners that must agree, at least; and at least a third of those that were followed."""


class CameraMotion:
    """The motion of one camera's image. One call per frame, in their order."""

    def __init__(self) -> None:
        self._before: UInt8Array | None = None

    def __call__(self, image: UInt8Array) -> Float64Array:
        """The affine motion ``(2, 3)`` that takes pixels of the last call's image to those of ``image`` ``(H, W, 3)``
        RGB: shift, rotation and scale; no motion where it cannot say (the first frame, another size, too few corners).
        """
        small, factor = _shrunk(image)
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            return np.eye(2, 3)
        motion = _between(before, small)
        motion[:, 2] += 0.5 * (1.0 - motion[:, :2].sum(axis=1))  # OpenCV counts from pixels' centres, we from edges.
        motion[:, 2] *= factor
        return motion


def _shrunk(image: UInt8Array) -> tuple[UInt8Array, float]:
    """A grey image of about :data:`WIDTH`, and how much smaller it is."""
    factor = max(1, round(image.shape[1] / WIDTH))
    height, width = image.shape[0] // factor, image.shape[1] // factor
    part = image[: height * factor, : width * factor]
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)), factor


def _between(before: UInt8Array, now: UInt8Array) -> Float64Array:
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 8)
    if corners is None or len(corners) < FEWEST:
        return np.eye(2, 3)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, corners.copy(), winSize=(15, 15), maxLevel=3)
    followed = np.flatnonzero(found)
    if len(followed) < FEWEST:
        return np.eye(2, 3)
    motion, agreed = cv2.estimateAffinePartial2D(
        corners[followed], moved[followed], method=cv2.RANSAC, ransacReprojThreshold=1.0
    )
    if motion is None or int(agreed.sum()) < max(FEWEST, len(followed) // 3):
        return np.eye(2, 3)
    return np.asarray(motion, np.float64)

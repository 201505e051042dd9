"""A drawing of space for people: points, lines, faces and names as a camera at any place would see them.

Painter's algorithm on the processor: no window, no graphics driver. Everything is given in one frame with z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.types import Float64Array, UInt8Array

Colour = tuple[int, int, int]

GROUND_COLOUR: Colour = (28, 30, 34)
NEAR = 0.3
"""Metres in front of the eye from which on something is drawn."""


@dataclass(frozen=True)
class Eye:
    """Where one looks from: ``place`` and ``target`` ``(3,)``, the picture's size in pixels and its vertical field of
    view in degrees.
    """

    place: Float64Array
    target: Float64Array
    width: int = 1280
    height: int = 720
    field: float = 55.0

    def seen(self, points: NDArray[np.floating]) -> Float64Array:
        """``(N, 3)``: pixel x, pixel y and distance along the view of ``points`` ``(N, 3)``; distances <= 0 lie
        behind.
        """
        ahead = (self.target - self.place) / np.linalg.norm(self.target - self.place)
        right = np.cross(ahead, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        local = (points - self.place) @ np.stack((right, np.cross(ahead, right), ahead), axis=1)
        focal = self.height / 2 / np.tan(np.radians(self.field / 2))
        depth = np.maximum(local[:, 2:], 1e-6)
        pixels = local[:, :2] / depth * focal + (self.width / 2, self.height / 2)
        return np.column_stack((pixels, local[:, 2]))


class Picture:
    """An empty picture to draw on; what is drawn later lies on top."""

    def __init__(self, eye: Eye) -> None:
        self._eye = eye
        self.image: UInt8Array = np.full((eye.height, eye.width, 3), GROUND_COLOUR, np.uint8)
        """RGB, ``(H, W, 3)``."""

    def points(self, xyz: NDArray[np.floating], colours: UInt8Array, size: float = 0.05) -> None:
        """Squares of ``size`` metres (one to eight pixels) for points ``(N, 3)`` in ``colours`` ``(N, 3)``; the nearest
        win.
        """
        seen = self._eye.seen(xyz)
        focal = self._eye.height / 2 / np.tan(np.radians(self._eye.field / 2))
        inside = seen[:, 2] > NEAR
        order = np.flatnonzero(inside)[np.argsort(-seen[inside, 2])]
        edge = np.clip(np.rint(size * focal / seen[order, 2]), 1, 8).astype(np.intp)
        column, row = (seen[order, axis].astype(np.intp) for axis in (0, 1))
        for down in range(int(edge.max(initial=0))):
            for across in range(int(edge.max(initial=0))):
                y, x = row + down - edge // 2, column + across - edge // 2
                kept = (edge > max(down, across)) & (x >= 0) & (y >= 0) & (x < self._eye.width) & (y < self._eye.height)
                self.image[y[kept], x[kept]] = colours[order[kept]]

    def faces(self, triangles: Float64Array, colour: Colour, opacity: float) -> None:
        """Triangles ``(N, 3, 3)``, seen through."""
        seen = self._eye.seen(triangles.reshape(-1, 3)).reshape(-1, 3, 3)
        whole = seen[(seen[:, :, 2] > NEAR).all(axis=1)]
        if len(whole):
            painted = self.image.copy()
            cv2.fillPoly(painted, list(_fixed(whole[:, :, :2])), colour, cv2.LINE_AA, shift=3)
            cv2.addWeighted(painted, opacity, self.image, 1 - opacity, 0, dst=self.image)

    def lines(self, ends: Float64Array, colour: Colour, thickness: int = 2) -> None:
        """Straight lines ``(N, 2, 3)``; those that pass behind the eye are left out."""
        seen = self._eye.seen(ends.reshape(-1, 3)).reshape(-1, 2, 3)
        for start, end in _fixed(seen[(seen[:, :, 2] > NEAR).all(axis=1), :, :2]):
            cv2.line(self.image, start.tolist(), end.tolist(), colour, thickness, cv2.LINE_AA, shift=3)

    def text(self, place: Float64Array, words: str, colour: Colour = (255, 255, 255)) -> None:
        """``words`` centred above a place ``(3,)``, with a dark border."""
        (x, y, depth), font = self._eye.seen(place[None])[0], cv2.FONT_HERSHEY_SIMPLEX
        if depth <= NEAR or not (0 <= x < self._eye.width and 0 <= y < self._eye.height):
            return
        scale = float(np.clip(8.0 / depth, 0.35, 0.7))
        (width, _), _ = cv2.getTextSize(words, font, scale, 1)
        at = (int(x) - width // 2, int(y))
        for ink, stroke in ((GROUND_COLOUR, 3), (colour, 1)):
            cv2.putText(self.image, words, at, font, scale, ink, stroke, cv2.LINE_AA)


def _fixed(pixels: Float64Array) -> NDArray[np.int32]:
    """Fixed point with three bits after the point, within what OpenCV can draw."""
    return np.asarray(np.rint(np.clip(pixels, -1e5, 1e5) * 8), np.int32)

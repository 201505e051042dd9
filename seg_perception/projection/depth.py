"""Depth images become organised points: one per pixel of the mask, in the optical frame of the mask's camera."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.frames import image_values
from seg_perception.projection.camera import Camera, moved
from seg_perception.types import Float32Array

Matrix = NDArray[np.float64]

_ENCODINGS = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
_INVALID = 65535
"""Some 16-bit cameras write all ones where they see nothing, others 0."""


def depth_metres(message: Any) -> Float32Array:
    """A ``sensor_msgs/Image`` of depth as ``(h, w)`` float32 metres, NaN where there is none (0, negative, infinite,
    NaN, and 65535 of 16 bits).

    16UC1 (and mono16) are millimetres, 32FC1 metres, as REP 118 says. Raises :class:`InputError` for another encoding,
    and for a size, step or amount of data that do not fit together.
    """
    values = image_values(message, {encoding: kind for encoding, (kind, _) in _ENCODINGS.items()})
    metres = values.astype(np.float32)
    if values.dtype.kind == "u":
        metres[metres == _INVALID] = 0
    metres *= np.float32(_ENCODINGS[message.encoding][1])
    metres[~((metres > 0) & (metres < np.inf))] = np.nan
    return metres


class Registration:
    """Takes depth images of one camera into the pixels of another; tables are made once.

    ``pose`` ``(4, 4)`` takes points of the depth camera's optical frame into the colour camera's. Where it is the
    identity, each pixel of the mask reads the depth pixel that it looks through; otherwise the depth points are
    projected into a grid of the depth image's resolution, where the nearest wins, and each pixel reads that.
    """

    def __init__(self, depth: Camera, colour: Camera, pose: Matrix) -> None:
        self._depth, self._colour, self._pose = depth, colour, pose
        self._same = bool(np.allclose(pose, np.eye(4), atol=1e-9))
        u, v = self._colour_through(depth) if self._same else self._through_grid()
        inside = (u >= 0) & (v >= 0) & (u < self._width) & (v < self._height)
        # NaN is not inside; what is not inside reads the NaN behind the last pixel.
        columns, rows = np.where(inside, u, 0).astype(np.intp), np.where(inside, v, 0).astype(np.intp)
        self._index = np.where(inside, rows * self._width + columns, self._width * self._height)
        straight = np.arange(self._width * self._height)
        self._untouched = u.shape == (self._height, self._width) and np.array_equal(self._index.ravel(), straight)

    def _colour_through(self, depth: Camera) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        self._width, self._height = depth.width, depth.height
        rays = self._colour.rays.reshape(-1, 2).astype(np.float64)
        u, v, _ = depth.project(np.column_stack([rays, np.ones(len(rays))]))
        shape = self._colour.height, self._colour.width
        return u.reshape(shape), v.reshape(shape)

    def _through_grid(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        # No finer than the depth camera: between its pixels there is nothing to see.
        finest = _density(self._depth) / _density(self._colour)
        self._scale = min(1.0, finest)
        self._width = max(1, round(self._colour.width * self._scale))
        self._height = max(1, round(self._colour.height * self._scale))
        v, u = np.mgrid[: self._colour.height, : self._colour.width] + 0.5
        return u * self._width / self._colour.width, v * self._height / self._colour.height

    def __call__(self, metres: Float32Array) -> Float32Array:
        """The depth ``(H, W)`` that each pixel of the mask sees, float32 metres along its own optical axis, NaN where
        there is none. Raises :class:`InputError` for an image of another size than the depth camera's.
        """
        height, width = metres.shape
        if (width, height) != (self._depth.width, self._depth.height):
            raise InputError(
                f"the depth image is {width}x{height}, its calibration is for {self._depth.width}x{self._depth.height}"
            )
        seen = metres if self._same else self._nearest(metres)
        if self._untouched:
            return seen
        flat = np.append(seen.ravel(), np.float32(np.nan))
        return flat.take(self._index)

    def _nearest(self, metres: Float32Array) -> Float32Array:
        """The colour camera's view of the depth points, at the grid's resolution."""
        there = np.flatnonzero(np.isfinite(metres.ravel()))
        z = metres.ravel()[there]
        points = self._depth.back_project(z, self._depth.rays.reshape(-1, 2)[there])
        if not len(points):
            return np.full((self._height, self._width), np.nan, np.float32)
        u, v, depth = self._colour.project(moved(points, self._pose[:3]))
        u, v = u * np.float32(self._width / self._colour.width), v * np.float32(self._height / self._colour.height)
        grid = np.full(self._width * self._height, np.inf, np.float32)
        # A point covers a pixel's area around it, so that it reaches up to four pixels; without this a grid turned or
        # shifted against the depth image would show holes.
        for du in (-0.25, 0.25):
            for dv in (-0.25, 0.25):
                with np.errstate(invalid="ignore"):
                    x, y = np.floor(u + np.float32(du)), np.floor(v + np.float32(dv))
                    inside = (x >= 0) & (y >= 0) & (x < self._width) & (y < self._height)
                index = y[inside].astype(np.intp) * self._width + x[inside].astype(np.intp)
                np.minimum.at(grid, index, depth[inside])
        grid[np.isinf(grid)] = np.nan
        return grid.reshape(self._height, self._width)


def _density(camera: Camera) -> float:
    """Pixels per unit of the image plane at its middle."""
    middle = camera.rays[camera.height // 2, max(camera.width // 2 - 1, 0) : camera.width // 2 + 1, 0]
    return 1 / float(middle[-1] - middle[0]) if len(middle) > 1 else 1.0


def organised(metres: Float32Array, camera: Camera) -> Float32Array:
    """``(H * W, 3)`` float32 points in the optical frame, row by row, NaN where ``metres`` ``(H, W)`` is."""
    points = camera.back_project(metres)
    points[np.isnan(metres)] = np.nan
    return points.reshape(-1, 3).astype(np.float32, copy=False)

"""Constant-velocity Kalman filters for any number of boxes, in one batch of arrays.

A box is measured as ``cx, cy, log w, log h``: logarithms keep sizes positive and make a car that comes nearer at a
steady pace grow by a steady rate. Motion and noise treat the four coordinates alike and apart, so the textbook's 8x8
covariance stays made of four 2x2 blocks and the whole filter is arithmetic on ``(N, 4)`` arrays, without a matrix.
The process noise is white acceleration in continuous time: predicting ``dt`` in one step or in ten is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

INITIAL_SPEED = 1.0
"""Standard deviation of a new track's velocity, in box sizes (logarithms: e-folds) per second."""


@dataclass(slots=True)
class Filters:
    """N filters. All arrays are ``(N, 4)`` float64 over ``cx, cy, log w, log h``.

    ``position`` (pixels, log pixels) and ``velocity`` (per second) are the means; ``pp``, ``pv`` and ``vv`` the
    covariance of position and velocity; ``scale`` is what noise is measured in: the box's size
    ``sqrt(w h)`` when it was last seen for ``cx, cy``, 1 for the logarithms.
    """

    position: Float64Array
    velocity: Float64Array
    pp: Float64Array
    pv: Float64Array
    vv: Float64Array
    scale: Float64Array

    @classmethod
    def start(cls, measured: Float64Array, noise: float) -> Filters:
        """Filters of boxes seen for the first time, at rest; ``noise`` as in :meth:`update`."""
        scale = _scale(measured)
        zero = np.zeros_like(measured)
        return cls(measured.copy(), zero, (noise * scale) ** 2, zero.copy(), (INITIAL_SPEED * scale) ** 2, scale)

    def predict(self, dt: float, agility: float) -> None:
        """Move every filter ``dt`` >= 0 seconds on; ``agility`` is the spread that a velocity gains in one second,
        in box sizes per second.
        """
        q = (agility * self.scale) ** 2
        self.position += dt * self.velocity
        self.pp += dt * (2.0 * self.pv + dt * self.vv + (dt * dt / 3.0) * q)
        self.pv += dt * (self.vv + (dt / 2.0) * q)
        self.vv += dt * q

    def update(self, rows: NDArray[np.intp], measured: Float64Array, noise: float) -> None:
        """Correct the filters ``rows`` (no row twice) with ``measured`` ``(len(rows), 4)``, whose standard deviation
        is ``noise`` box sizes.
        """
        scale = _scale(measured)
        pp, pv = self.pp[rows], self.pv[rows]
        innovation_variance = pp + (noise * scale) ** 2
        gain, velocity_gain = pp / innovation_variance, pv / innovation_variance
        innovation = measured - self.position[rows]
        self.position[rows] += gain * innovation
        self.velocity[rows] += velocity_gain * innovation
        self.vv[rows] -= velocity_gain * pv
        self.pv[rows] = (1.0 - gain) * pv
        self.pp[rows] = (1.0 - gain) * pp
        self.scale[rows] = scale

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Filters:
        """The filters ``rows``, as copies."""
        return Filters(*(getattr(self, f.name)[rows] for f in fields(self)))

    def joined(self, other: Filters) -> Filters:
        """These filters, then the ``other`` ones."""
        return Filters(*(np.concatenate((getattr(self, f.name), getattr(other, f.name))) for f in fields(self)))


def measurements(boxes: Float64Array) -> Float64Array:
    """``(N, 4)`` boxes ``x0 y0 x1 y1`` with a positive area as ``cx, cy, log w, log h``."""
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate((boxes[:, :2] + size / 2.0, np.log(size)), axis=1)


def boxes_of(position: Float64Array) -> Float64Array:
    """The inverse of :func:`measurements`."""
    half = np.exp(position[:, 2:]) / 2.0
    return np.concatenate((position[:, :2] - half, position[:, :2] + half), axis=1)


def _scale(measured: Float64Array) -> Float64Array:
    scale = np.ones_like(measured)
    scale[:, :2] = np.exp((measured[:, 2:3] + measured[:, 3:4]) / 2.0)
    return scale

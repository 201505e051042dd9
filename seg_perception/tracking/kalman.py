"""Constant-velocity Kalman filters for any number of boxes, in one batch of arrays.

A box is measured as ``cx, cy, log w, log h``: logarithms keep sizes positive and make a car that comes nearer at a
steady pace grow by a steady rate. Noise is measured in box sizes, alike and apart for the four coordinates, so that the
textbook's 8x8 covariance is one 2x2 matrix per box, and a gain is the same number for all four. The process noise is
white acceleration in continuous time: predicting ``dt`` in one step or in ten is the same.

Arrays are ``(coordinates, N)``, so that one coordinate of all boxes lies together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seg_perception.types import Float64Array, IndexArray

INITIAL_SPEED = 1.0
"""Standard deviation of a new track's velocity, in box sizes (logarithms: e-folds) per second."""

FOLLOWED = 0.05
"""Standard deviation, in box sizes, of the way that points followed in pictures tell of a thing."""


@dataclass(slots=True)
class Filters:
    """N filters over ``cx, cy, log w, log h``.

    ``position`` ``(4, N)`` (pixels, log pixels) and ``velocity`` ``(4, N)`` (per second) are the means; ``covariance``
    ``(3, N)`` holds the variance of the position, its covariance with the velocity, and the velocity's variance, in box
    sizes (and seconds). The arrays may be views: they are changed in place.
    """

    position: Float64Array
    velocity: Float64Array
    covariance: Float64Array

    def start(self, measured: Float64Array, noise: float) -> None:
        """Set all to boxes ``measured`` ``(4, N)`` that were seen for the first time, at rest; ``noise`` as in
        :meth:`update`.
        """
        self.position[:] = measured
        self.velocity[:] = 0.0
        self.covariance[:] = np.array([[noise**2], [0.0], [INITIAL_SPEED**2]])

    @classmethod
    def empty(cls, n: int) -> Filters:
        """Room for ``n`` filters."""
        return cls(np.empty((4, n)), np.empty((4, n)), np.empty((3, n)))

    def predict(self, dt: float, agility: float) -> None:
        """Move every filter ``dt`` >= 0 seconds on; ``agility`` is the spread that a velocity gains in one second,
        in box sizes per second.
        """
        # F P F^T + Q of a 2x2 matrix, written as one linear map of its three numbers.
        step = np.array(((1.0, 2.0 * dt, dt * dt), (0.0, 1.0, dt), (0.0, 0.0, 1.0)))
        gained = np.array(((dt**3 / 3.0,), (dt**2 / 2.0,), (dt,)))
        self.position += dt * self.velocity
        self.covariance[:] = step @ self.covariance + agility**2 * gained

    def steer(self, rows: IndexArray, missed: Float64Array, dt: float) -> None:
        """Correct the velocities of the filters ``rows`` before they are moved by ``dt`` > 0: they are known to come
        out by ``missed`` ``(4, n)`` elsewhere than predicted.
        """
        covariance = self.covariance[:, rows]
        gain = covariance[2] / (covariance[2] + (FOLLOWED / dt) ** 2)
        self.velocity[:, rows] += gain * missed / dt
        covariance[1:] *= 1.0 - gain
        self.covariance[:, rows] = covariance

    def warp(self, motion: Float64Array) -> None:
        """Move every filter with the image: ``motion`` ``(2, 3)`` is affine, and its scale that of the boxes too."""
        linear = motion[:, :2]
        self.position[:2] = linear @ self.position[:2] + motion[:, 2:]
        self.position[2:] += growth(motion)
        self.velocity[:2] = linear @ self.velocity[:2]

    def update(self, measured: Float64Array, noise: float) -> None:
        """Correct every filter by what was ``measured`` ``(4, N)``; the standard deviation is ``noise`` box sizes."""
        pp, pv, vv = self.covariance
        gain, velocity_gain = self.covariance[:2] / (pp + noise * noise)
        innovation = measured - self.position
        self.position += gain * innovation
        self.velocity += velocity_gain * innovation
        vv -= velocity_gain * pv
        self.covariance[:2] *= 1.0 - gain


def growth(motion: Float64Array) -> float:
    """How much the affine ``motion`` ``(2, 3)`` adds to the logarithm of a length."""
    return 0.5 * math.log(motion[0, 0] * motion[1, 1] - motion[0, 1] * motion[1, 0])


def measurements(boxes: Float64Array) -> Float64Array:
    """``(4, N)`` boxes ``x0 y0 x1 y1`` with a positive area as ``cx, cy, log w, log h``."""
    size = boxes[2:] - boxes[:2]
    return np.concatenate((boxes[:2] + size / 2.0, np.log(size)))


def boxes_of(position: Float64Array) -> Float64Array:
    """The inverse of :func:`measurements`."""
    half = np.exp(position[2:]) / 2.0
    return np.concatenate((position[:2] - half, position[:2] + half))

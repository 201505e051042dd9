"""Constant-velocity Kalman filters for any number of boxes, in one batch of arrays.

A box is measured as ``cx, cy, log w, log h``: logarithms keep sizes positive and make a car that comes nearer at a
steady pace grow by a steady rate. Noise is measured in box sizes, alike and apart for the four coordinates, so that the
textbook's 8x8 covariance is one 2x2 matrix per box, and a gain is the same number for all four. The process noise is
white acceleration in continuous time: predicting ``dt`` in one step or in ten is the same.

What time and the camera's motion do to a filter is one affine map of all its numbers, so that one product of matrices
moves all of them. Arrays are ``(numbers, N)``: one number of all boxes lies together.
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

ROWS = 12
"""Numbers of a filter: position, velocity, covariance, and the 1 that makes an affine map a linear one."""

UNKNOWN: Float64Array = np.array([*[0.0] * 8, 1e30, 0.0, INITIAL_SPEED**2, 1.0])
"""``(12,)`` the filter of a thing that was never seen: its first measurement is where it is, at rest."""

_IDENTITY: Float64Array = np.eye(ROWS)


@dataclass(slots=True)
class Filters:
    """N filters over ``cx, cy, log w, log h``, the columns of ``numbers`` ``(12, N)``, which may be a view and is
    changed in place: the means ``position`` (pixels, log pixels) and ``velocity`` (per second), four numbers each;
    ``covariance``, the variance of the position, its covariance with the velocity, and the velocity's variance, in box
    sizes (and seconds); and a 1.
    """

    numbers: Float64Array

    @property
    def position(self) -> Float64Array:
        """``(4, N)`` pixels and log pixels."""
        return self.numbers[:4]

    @property
    def velocity(self) -> Float64Array:
        """``(4, N)`` per second."""
        return self.numbers[4:8]

    @property
    def covariance(self) -> Float64Array:
        """``(3, N)`` in box sizes and seconds."""
        return self.numbers[8:11]

    def predict(self, dt: float, agility: float, motion: Float64Array | None = None) -> None:
        """Move every filter ``dt`` >= 0 seconds on, and then with the image; see :func:`transition`."""
        self.numbers[:] = transition(dt, agility, motion).dot(self.numbers)

    def predicted(self, dt: float, motion: Float64Array | None = None) -> Float64Array:
        """``(4, N)`` the positions that :meth:`predict` would give."""
        position: Float64Array = transition(dt, 0.0, motion)[:4].dot(self.numbers)
        return position

    def steer(self, rows: IndexArray, missed: Float64Array, dt: float) -> None:
        """Correct the velocities of the filters ``rows`` before they are moved by ``dt`` > 0: they are known to come
        out by ``missed`` ``(4, n)`` elsewhere than predicted.
        """
        covariance = self.covariance[:, rows]
        gain = covariance[2] / (covariance[2] + (FOLLOWED / dt) ** 2)
        self.velocity[:, rows] += gain * missed / dt
        covariance[1:] *= 1.0 - gain
        self.covariance[:, rows] = covariance

    def update(self, measured: Float64Array, noise: float) -> None:
        """Correct every filter by what was ``measured`` ``(4, N)``; the standard deviation is ``noise`` box sizes."""
        pp, pv, vv = self.covariance
        gains = self.numbers[8:10] / (pp + noise * noise)
        gain, velocity_gain = gains
        means = self.numbers[:8].reshape(2, 4, -1)
        means += gains[:, None] * (measured - self.position)
        vv -= velocity_gain * pv
        pv *= 1.0 - gain
        np.multiply(gain, noise * noise, out=pp)


def transition(dt: float, agility: float, motion: Float64Array | None) -> Float64Array:
    """``(12, 12)``: what ``dt`` >= 0 seconds, and then the affine ``motion`` ``(2, 3)`` of the image, whose scale is
    that of the boxes too, make of a filter's numbers. ``agility`` is the spread that a velocity gains in one second,
    in box sizes per second.
    """
    step = _IDENTITY.copy()
    step[0, 4] = step[1, 5] = step[2, 6] = step[3, 7] = dt
    # F P F^T + Q of a 2x2 matrix, written as one affine map of its three numbers.
    gained = agility * agility * dt
    step[8, 9], step[8, 10], step[9, 10] = 2.0 * dt, dt * dt, dt
    step[8, 11], step[9, 11], step[10, 11] = gained * dt * dt / 3.0, gained * dt / 2.0, gained
    if motion is not None:
        (a, b, x), (c, d, y) = motion.tolist()
        step[0, 0] = step[4, 4] = a
        step[0, 1] = step[4, 5] = b
        step[1, 0] = step[5, 4] = c
        step[1, 1] = step[5, 5] = d
        step[0, 4], step[0, 5], step[1, 4], step[1, 5] = a * dt, b * dt, c * dt, d * dt
        step[0, 11], step[1, 11] = x, y
        # Its scale is what it makes of an area, for each of the two sides.
        step[2, 11] = step[3, 11] = 0.5 * math.log(a * d - b * c)
    return step


def measurements(boxes: Float64Array) -> Float64Array:
    """``(4, N)`` boxes ``x0 y0 x1 y1`` with a positive area as ``cx, cy, log w, log h``."""
    measured = np.empty_like(boxes)
    size = boxes[2:] - boxes[:2]
    np.log(size, out=measured[2:])
    size *= 0.5
    np.add(boxes[:2], size, out=measured[:2])
    return measured


def boxes_of(centre: Float64Array, size: Float64Array) -> Float64Array:
    """The inverse of :func:`measurements`: ``(4, N)`` boxes of ``(2, N)`` centres and logarithms of sides."""
    boxes = np.empty((4, centre.shape[1]))
    half = np.exp(size)
    half *= 0.5
    np.subtract(centre, half, out=boxes[:2])
    np.add(centre, half, out=boxes[2:])
    return boxes

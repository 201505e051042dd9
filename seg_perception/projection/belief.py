"""What is believed of one thing in space: where it is, how large, which way it faces and how it moves.

A camera or LiDAR sees the near side of a thing. What is measured is therefore the near faces of its box; the far ones
follow from a size that begins as the class's usual one and gives way to what is seen as the thing turns or is passed.
When the size or the heading is thought of anew, the box grows at its far side, and its velocity does not feel it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seg_perception.projection.boxes import ANGLES, Prior, extents, misfits
from seg_perception.types import NANOSECONDS, Float64Array

NOISE, NOISE_PER_METRE, NOISE_PER_LENGTH = 0.08, 0.01, 0.05
"""Standard deviation of a measured position, in metres, with its distance and with the thing's usual length: what is
seen of a thing changes with its limbs, the view and the mask.
"""

BEYOND = 0.25
"""Sine of the angle to the view from which on a side is one that the image's border can cut."""

SHARP = 250.0
"""Metres: what is farther away than the root of this times its width is blurred as widely as it is wide (the error of
depth cameras grows with the square of the distance, and beams spread); its size is not learnt there.
"""

GATE = 3.0
"""Standard deviations from where a thing is expected beyond which a look is not believed."""

PATIENCE = 0.35
"""Seconds without a look that is believed after which the next is: the track has gone over to something else."""

SURE = 2.0
"""Standard deviations that a speed must be from zero to say which way a thing faces."""


@dataclass(frozen=True, slots=True)
class Look:
    """The points of one thing at one stamp: ``xy`` ``(n, 2)`` on the ground plane, ``view`` ``(2,)`` the unit direction
    from the camera, ``distance`` from it; ``ground`` and ``top`` are heights; ``cut`` says whether the image's left or
    right border ends the thing, ``whole`` whether its top and foot are in the image.
    """

    xy: Float64Array
    view: Float64Array
    distance: float
    ground: float
    top: float
    cut: tuple[bool, bool]
    whole: bool


class Thing:
    """The state of one track."""

    def __init__(self, prior: Prior, look: Look, stamp: int) -> None:
        self.prior = prior
        self.stamp = self.last = self.painted = stamp
        self.label, self.confidence = 0, 0.0
        self.yaw = float(np.arctan2(look.view[1], look.view[0]))
        self.size = np.array((prior.length, prior.width))
        self.span = np.zeros(2)
        self.measured = np.zeros(2)
        self.near = np.zeros(2)
        self.votes = np.zeros(len(ANGLES))
        self.ground, self.top = look.ground, look.top - look.ground
        self.looks = 0
        self.cut = look.cut
        noise = self._noise(look)
        self.pp, self.pv, self.vv = noise, 0.0, prior.speed**2
        self.velocity = np.zeros(2)
        self.position = look.xy.mean(axis=0)

    def predict(self, stamp: int) -> None:
        """Move on to ``stamp``; white acceleration, as in :mod:`seg_perception.tracking.kalman`."""
        dt = (stamp - self.stamp) / NANOSECONDS
        self.stamp = stamp
        if dt <= 0:
            return
        q = self.prior.agility**2
        self.position = self.position + dt * self.velocity
        self.pp += dt * (2 * self.pv + dt * self.vv + dt * dt / 3 * q)
        self.pv += dt * (self.vv + dt / 2 * q)
        self.vv += dt * q

    def observe(self, look: Look, least_speed: float) -> bool:
        """Correct the state by a look at its own stamp; False for one that is too far off to be of this thing. From
        ``least_speed`` m/s on it faces where it goes.
        """
        measured = self._centre(look, self.yaw, self.size, self.cut)
        if self.looks and not self._correct(measured - self.position, self._noise(look)):
            return False
        yaw = self._heading(look, least_speed)
        self._remember(look, yaw)
        size = self._sizes()
        better = self._centre(look, yaw, size, look.cut)
        # A better idea of size, heading or what the border cuts moves the box, but is no motion.
        self.position = self.position + better - measured if self.looks else better
        self.yaw, self.size, self.cut, self.last = yaw, size, look.cut, self.stamp
        self.looks += 1
        return True

    def _noise(self, look: Look) -> float:
        """Variance of a measured position."""
        return (NOISE + NOISE_PER_METRE * look.distance + NOISE_PER_LENGTH * self.prior.length) ** 2

    def _correct(self, innovation: Float64Array, noise: float) -> bool:
        if innovation @ innovation > GATE**2 * (self.pp + noise):
            return False
        gain, velocity_gain = self.pp / (self.pp + noise), self.pv / (self.pp + noise)
        self.position = self.position + gain * innovation
        self.velocity = self.velocity + velocity_gain * innovation
        self.vv -= velocity_gain * self.pv
        self.pv *= 1 - gain
        self.pp *= 1 - gain
        return True

    def _centre(self, look: Look, yaw: float, size: Float64Array, cuts: tuple[bool, bool]) -> Float64Array:
        """Where the box's centre is when its near faces are where the points are, and the image's border ends it where
        ``cuts`` says so.
        """
        axes = _axes(yaw)
        low, high = extents(look.xy @ axes.T)
        middle, along = (low + high) / 2, axes @ look.view
        # Across the view both ends of a thing are seen, along it only the near one.
        depth = _ramp(np.abs(along))
        missing = np.maximum(size * (self.prior.solid, 1.0) - (high - low), 0.0)
        shift = np.sign(along) * depth * missing / 2
        left = axes @ np.array((-look.view[1], look.view[0]))
        for side, cut in zip((1.0, -1.0), cuts, strict=True):
            if cut and not all(cuts):  # it goes on beyond the image's border
                beyond = side * np.sign(left)
                # Where that takes the near end away, the far one is all that is left, and it is not seen well: the box
                # stays where it is expected as long as it holds the points.
                kept = np.clip(axes @ self.position - middle, -missing / 2, missing / 2)
                unsure = depth * (beyond != np.sign(along))
                gone = unsure * kept + (1 - unsure) * beyond * missing / 2
                shift = np.where(np.abs(left) > BEYOND, gone, shift)
        self.near = -np.sign(along)
        return np.asarray((middle + shift) @ axes)

    def _heading(self, look: Look, least_speed: float) -> float:
        speed = float(np.hypot(*self.velocity))
        if self.prior.boxy:
            self.votes = 0.95 * self.votes + misfits(look.xy)
        if speed > max(least_speed, SURE * np.sqrt(self.vv)):
            return float(np.arctan2(self.velocity[1], self.velocity[0]))
        if not self.prior.boxy:
            return self.yaw
        angle = float(ANGLES[self.votes.argmin()])
        low, high = extents(look.xy @ _axes(angle).T)
        span = high - low
        if span.max() < 0.6 * self.prior.length and self.prior.length > 1.5 * self.prior.width:
            # Too short for a side: it is the front or the rear, and the length leads away from the camera.
            across = abs(np.cos(angle - np.arctan2(look.view[1], look.view[0]))) < np.sqrt(0.5)
        elif self.looks > 1 and abs(span[0] - span[1]) < 0.2 * self.prior.length:
            across = abs(np.cos(angle - self.yaw)) < np.sqrt(0.5)
        else:
            across = span[1] > span[0]
        yaw = angle + np.pi / 2 * across
        return _wrapped(yaw + np.pi * (np.cos(yaw - self.yaw) < 0))

    def _remember(self, look: Look, yaw: float) -> None:
        """What was seen of the sizes: the largest extents, with a slow ear for outliers."""
        if abs(np.cos(yaw - self.yaw)) < np.sqrt(0.5):
            self.span, self.measured = self.span[::-1].copy(), self.measured[::-1].copy()
        axes = _axes(yaw)
        low, high = extents(look.xy @ axes.T)
        whole = 1 - _ramp(np.abs(axes @ look.view)) if not any(look.cut) else np.zeros(2)
        more = high - low - self.span
        # Along the view a round thing shows no face; what seems to have depth there is noise.
        told = np.ones(2) if self.prior.boxy else whole
        told = told * (look.distance**2 < SHARP * self.prior.width)
        self.span = self.span + np.where(more > 0, told * (1.0 if self.looks < 3 else 0.3), 0.05 * whole) * more
        self.measured = np.maximum(0.98 * self.measured, whole)
        self.ground += 0.3 * (look.ground - self.ground)
        higher = look.top - look.ground - self.top
        self.top += (0.3 if higher > 0 else 0.02 * look.whole) * higher

    def _sizes(self) -> Float64Array:
        prior = self.prior
        scale = min(max(self.top / prior.height, 0.5), 2.5)
        usual = np.array((prior.length, prior.width)) * scale
        return np.asarray(np.maximum(self.span, usual * (1 - prior.firm * self.measured)))

    @property
    def seen(self) -> Float64Array:
        """Part of length and width that was measured."""
        return np.asarray(np.minimum(self.span / self.size, 1.0))


def _axes(yaw: float) -> Float64Array:
    """Rows: the unit vectors along length and width."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array(((cos, sin), (-sin, cos)))


def _ramp(along: Float64Array) -> Float64Array:
    """0 for a side that is seen from end to end, 1 for one that is seen from its end alone, by |cosine| to the view."""
    return np.asarray(np.clip((along - 0.4) / 0.4, 0.0, 1.0))


def _wrapped(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)

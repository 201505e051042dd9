"""Each thing's own motion in the image between two looks, measured.

Points spread over a thing's mask are followed from picture to picture by pyramidal Lucas-Kanade optical flow (Bouguet,
2000), and what most of them agree on, a shift and a growth, is how the thing has moved since it was seen: the median
flow of Kalal et al. ("Forward-Backward Error", ICPR 2010), for all things in one batch. A camera that shakes, turns and
travels moves what is near and far in its own way; no one motion of the whole image says where a small thing is by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from seg_perception.types import BoolArray, Float32Array, Float64Array, IndexArray, Int64Array, Mask, UInt8Array

WIDTH = 640
"""Pictures are shrunk to about this width: small things need every pixel."""

POINTS = 24
"""Points on each thing."""

LEAST = 6
"""Points of a thing that must agree on a motion, at least."""

WINDOW = 7
"""Pixels of a picture, along each axis, by which a point is recognised."""

LEVELS = 2
"""Times that a picture is halved to find a point that lies far from where it was expected."""

RETURN = 1.0
"""Pixels of a picture by which a point may miss its origin when it is followed back."""

AGREE = 1.0
"""Pixels of the image by which points of one thing may differ from their median, beside three times what is usual."""

STIFFNESS = 25.0
"""Pixels: a thing whose points spread so far shows half of its growth, a smaller one less."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame as points are followed in it: ``grey`` ``(h, w)`` uint8, ``factor`` times smaller than the image."""

    grey: UInt8Array
    factor: int

    @classmethod
    def of(cls, image: UInt8Array) -> Picture:
        """Of an ``image`` ``(H, W, 3)`` RGB."""
        factor = max(1, round(image.shape[1] / WIDTH))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if factor > 1:
            height, width = max(1, image.shape[0] // factor), max(1, image.shape[1] // factor)
            part = grey[: height * factor, : width * factor]
            grey = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
        return cls(np.asarray(grey, np.uint8), factor)


@dataclass(frozen=True, slots=True)
class Ways:
    """How things have moved since they were seen: ``numbers`` ``(S,)`` increasing, the sightings; ``ways`` ``(3, S)``
    x and y of the shift in pixels and the logarithm of the growth, about the image's origin; NaN where nobody knows.
    """

    numbers: Int64Array
    ways: Float64Array

    @classmethod
    def none(cls) -> Ways:
        """Of nothing."""
        return cls(np.zeros(0, np.int64), np.zeros((3, 0)))

    def of(self, numbers: Int64Array) -> Float64Array:
        """``(3, N)`` of the sightings ``numbers`` ``(N,)``."""
        if not len(self.numbers):
            return np.full((3, len(numbers)), np.nan)
        rows = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(self.numbers[rows] == numbers, self.ways[:, rows], np.nan)

    def joined(self, later: Ways) -> Ways:
        """These and ``later`` ones, whose numbers are greater."""
        return Ways(np.concatenate((self.numbers, later.numbers)), np.concatenate((self.ways, later.ways), axis=1))


@dataclass(frozen=True, slots=True)
class Points:
    """Points on S things: ``numbers`` ``(S,)`` increasing, their sightings; ``start`` ``(S, K, 2)`` float32 where they
    were when the thing was seen and ``place`` where they are by now, x and y in pixels of the image; ``found``
    ``(S, K)`` bool, False for those that were lost on the way.
    """

    numbers: Int64Array
    start: Float32Array
    place: Float32Array
    found: BoolArray

    @classmethod
    def none(cls) -> Points:
        """On nothing."""
        start = np.zeros((0, POINTS, 2), np.float32)
        return cls(np.zeros(0, np.int64), start, start, np.zeros((0, POINTS), np.bool_))

    @classmethod
    def on(cls, masks: Sequence[Mask], numbers: Int64Array, picture: Picture) -> Points:
        """Spread over ``masks`` in ``picture``, whose sightings are ``numbers``."""
        marked = cv2.cornerMinEigenVal(picture.grey, WINDOW)
        spread = [_spread(mask, marked, picture.factor) for mask in masks]
        start = np.array(spread, np.float32).reshape(-1, POINTS, 2)
        found = np.repeat(np.array([mask.bits.any() for mask in masks], np.bool_)[:, None], POINTS, axis=1)
        return cls(numbers, start, start, found)

    def take(self, rows: IndexArray | BoolArray) -> Points:
        """Those of the things ``rows``."""
        return Points(self.numbers[rows], self.start[rows], self.place[rows], self.found[rows])

    def joined(self, later: Points) -> Points:
        """These and ``later`` ones, whose numbers are greater."""
        mine, theirs = (self.numbers, self.start, self.place, self.found), (later.numbers, later.start, later.place)
        return Points(*map(np.concatenate, zip(mine, (*theirs, later.found), strict=True)))

    def followed(self, before: Picture | None, now: Picture | None, motion: Float64Array | None) -> Points:
        """Where they are in ``now``, after they were in ``before``, all lost without either; ``motion`` ``(2, 3)`` is
        the camera's in between, by which they are expected.
        """
        if before is now or not self.found.any():
            return self
        if before is None or now is None or before.grey.shape != now.grey.shape:
            return Points(self.numbers, self.start, self.place, np.zeros_like(self.found))
        rows = self.found.nonzero()
        was = self.place[rows]
        expected = was if motion is None else (was @ motion[:, :2].T + motion[:, 2]).astype(np.float32)
        moved, found = _flow(before, now, was, expected)
        place, all_found = self.place.copy(), self.found.copy()
        place[rows], all_found[rows] = moved, found
        return Points(self.numbers, self.start, place, all_found)

    def ways(self) -> Ways:
        """What most points of each thing agree on."""
        if not len(self.numbers):
            return Ways.none()
        shift = (self.place - self.start).astype(np.float64)
        off = np.abs(shift - _median(shift, self.found)).max(axis=2)
        usual = _median(off[..., None], self.found)[..., 0]
        agree = self.found & (off <= AGREE + 3.0 * usual)
        count = np.maximum(agree.sum(axis=1), 1)[:, None]
        weight = agree[..., None] / count[..., None]
        start = (weight * self.start).sum(axis=1)
        mean_shift = (weight * shift).sum(axis=1)
        arm = self.start - start[:, None]
        variance = (weight * arm * arm).sum(axis=(1, 2))
        gain = (weight * arm * (shift - mean_shift[:, None])).sum(axis=(1, 2)) / (variance + STIFFNESS**2)
        growth = 1.0 + np.clip(gain, -0.5, 1.0)
        # About the image's origin: x -> growth * x + shift.
        shift_at_origin = mean_shift - (growth - 1.0)[:, None] * start
        ways = np.concatenate((shift_at_origin.T, np.log(growth)[None]))
        ways[:, agree.sum(axis=1) < LEAST] = np.nan
        return Ways(self.numbers, ways)


def _spread(mask: Mask, marked: Float32Array, factor: int) -> Float32Array:
    """``(K, 2)`` x and y of points spread over a mask where it is best ``marked``: an edge does not tell how a thing
    moved along it, a corner does.
    """
    height, width = mask.bits.shape
    step = max(1, int(np.sqrt(height * width / (16.0 * POINTS))))
    rows, columns = mask.bits[step // 2 :: step, step // 2 :: step].nonzero()
    if not len(rows):
        return np.zeros((POINTS, 2), np.float32)
    rows, columns = rows * step + (step // 2 + mask.y), columns * step + (step // 2 + mask.x)
    # Neighbours in reading order form a group; the best of each is taken.
    group = -(-len(rows) // POINTS)
    picks = np.linspace(0, len(rows) - 1, POINTS * group).astype(np.intp).reshape(POINTS, group)
    height, width = marked.shape
    worth = marked[np.minimum(rows[picks] // factor, height - 1), np.minimum(columns[picks] // factor, width - 1)]
    best = picks[np.arange(POINTS), worth.argmax(axis=1)]
    return np.stack((columns[best], rows[best]), axis=1).astype(np.float32) + np.float32(0.5)


def _median(values: Float64Array, valid: BoolArray) -> Float64Array:
    """``(S, 1, C)`` the lower median over K of ``(S, K, C)``, of those ``(S, K)`` that are valid; 0 without any."""
    ordered = np.sort(np.where(valid[..., None], values, np.inf), axis=1)
    middle = np.maximum(valid.sum(axis=1) - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[:, None, None], axis=1)
    return np.where(np.isfinite(median), median, 0.0)


def _flow(
    before: Picture, now: Picture, points: Float32Array, expected: Float32Array
) -> tuple[Float32Array, BoolArray]:
    """Where ``points`` ``(P, 2)`` of ``before`` are in ``now``, and ``(P,)`` whether they were found: a point that is
    followed back must come out where it began.
    """
    # OpenCV counts from pixels' centres, the image from edges.
    factor = np.float32(now.factor)
    start, guess = (np.reshape(p / factor - np.float32(0.5), (-1, 1, 2)) for p in (points, expected))
    how = {"winSize": (WINDOW, WINDOW), "maxLevel": LEVELS, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    guess_was = guess.copy()
    moved, there, _ = cv2.calcOpticalFlowPyrLK(before.grey, now.grey, start, guess, **how)
    back, again, _ = cv2.calcOpticalFlowPyrLK(now.grey, before.grey, moved, moved + start - guess_was, **how)
    near = np.abs(back - start).max(axis=(1, 2)) <= RETURN
    found = near & (there[:, 0] > 0) & (again[:, 0] > 0)
    return (moved[:, 0] + np.float32(0.5)) * factor, found

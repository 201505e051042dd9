"""Each thing's own motion in the image between two looks, measured.

Points spread over a thing's mask are followed from picture to picture by pyramidal Lucas-Kanade optical flow (Bouguet,
2000), and what most of them agree on, a shift and a growth, is how the thing has moved since it was seen: the median
flow of Kalal et al. ("Forward-Backward Error", ICPR 2010), for all things in one batch. A camera that shakes, turns and
travels moves what is near and far in its own way; no one motion of the whole image says where a small thing is by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from seg_perception.types import BoolArray, Float32Array, Float64Array, IndexArray, Int64Array, Mask, UInt8Array

WIDTH = 640
"""Pictures are shrunk to about this width: small things need every pixel."""

POINTS = 12
"""Points on each thing."""

LEAST = 4
"""Points of a thing that must agree on a motion, at least."""

WINDOW = 7
"""Pixels of a picture, along each axis, by which a point is recognised."""

LEVELS = 2
"""Times that a picture is halved to find a point that lies far from where it was expected."""

CLOSE_ENOUGH = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
"""A point is looked for in at most ten iterations on each level, until one moves it by less than 0.03 pixels."""

RETURN = 0.5
"""Pixels of a picture by which a point may miss its origin when it is followed back."""

AGREE = 1.0
"""Pixels of the image by which points of one thing may differ from their median, beside three times what is usual."""

STIFFNESS = 8.0
"""Pixels: a thing whose points spread so far shows half of its growth, a smaller one less."""

BORDER = 5
"""Pixels of the image: points have so large a square of their thing around them where it is large enough."""

LEARN = 0.5
"""How much of what a step surprised a thing's velocity learns."""


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

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, numbers: Int64Array) -> Float64Array:
        """``(3, N)`` of the sightings ``numbers`` ``(N,)``."""
        if not len(self):
            return np.full((3, len(numbers)), np.nan)
        rows = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(self.numbers[rows] == numbers, self.ways[:, rows], np.nan)

    def joined(self, later: Ways) -> Ways:
        """These and ``later`` ones, whose numbers are greater."""
        return Ways(np.concatenate((self.numbers, later.numbers)), np.concatenate((self.ways, later.ways), axis=1))


NOTHING = Ways(np.zeros(0, np.int64), np.zeros((3, 0)))
"""The ways of no thing."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points on S things, by sighting: ``numbers`` ``(S,)`` increasing. ``start`` ``(S, K, 2)`` float32 is where they
    were when the thing was seen and ``place`` where they are by now, x and y in pixels of the image. ``found``
    ``(S, K)`` bool is False for those that were lost on the way and since then go with the others; ``velocity``
    ``(S, 2)``, pixels per second, how a thing moves beside the camera's motion; ``told`` ``(S,)`` bool whether its
    points ever told anything.
    """

    numbers: Int64Array
    start: Float32Array
    place: Float32Array
    found: BoolArray
    velocity: Float64Array
    told: BoolArray

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def none(cls) -> Points:
        """On nothing."""
        start = np.zeros((0, POINTS, 2), np.float32)
        found, told = np.zeros((0, POINTS), np.bool_), np.zeros(0, np.bool_)
        return cls(np.zeros(0, np.int64), start, start, found, np.zeros((0, 2)), told)

    @classmethod
    def on(cls, masks: Sequence[Mask], numbers: Int64Array, velocity: Float64Array, picture: Picture) -> Points:
        """Spread over ``masks`` in ``picture``."""
        start = np.array([_spread(mask, picture) for mask in masks], np.float32).reshape(-1, POINTS, 2)
        found = np.ones(start.shape[:2], np.bool_)
        return cls(numbers, start, start, found, velocity, np.zeros(len(start), np.bool_))

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.numbers, self.start, self.place, self.found, self.velocity, self.told

    def take(self, rows: IndexArray | BoolArray) -> Points:
        """Those of the things ``rows``."""
        return Points(*(column[rows] for column in self._columns()))

    def joined(self, later: Points) -> Points:
        """These and ``later`` ones, whose numbers are greater."""
        return Points(*map(np.concatenate, zip(self._columns(), later._columns(), strict=True)))

    def followed(self, before: Picture, now: Picture, motion: Float64Array | None, dt: float) -> Points:
        """Where they are in ``now``, after they were in ``before``, ``dt`` seconds ago; ``motion`` ``(2, 3)`` is the
        camera's in between, by which they are expected.
        """
        if before is now or not len(self):
            return self
        expected = self.place if motion is None else self.place @ motion[:, :2].T.astype(np.float32) + motion[:, 2]
        expected = (expected + dt * self.velocity[:, None]).astype(np.float32)
        moved, found = _flow(before, now, self.place, expected)
        off = (moved - expected).astype(np.float64)
        agree, shift = _agreed(off, _trusted(self.found & found, found))
        told = agree.sum(axis=1) >= LEAST
        shift[~told] = 0.0
        # Who is lost goes with the others, or as expected.
        agree &= told[:, None]
        place = np.where(agree[..., None], moved, expected + shift[:, None]).astype(np.float32)
        velocity = self.velocity + (LEARN / dt) * shift if dt > 0.0 else self.velocity
        return Points(self.numbers, self.start, place, self.found & agree, velocity, self.told | told)

    def ways(self) -> Ways:
        """What most points of each thing agree on."""
        if not len(self):
            return NOTHING
        shift = (self.place - self.start).astype(np.float64)
        agree, _ = _agreed(shift, _trusted(self.found, np.ones_like(self.found)))
        weight = (agree / np.maximum(agree.sum(axis=1), 1)[:, None])[..., None]
        centre, mean_shift = (weight * self.start).sum(axis=1), (weight * shift).sum(axis=1)
        arm = self.start - centre[:, None]
        variance, covariance = ((weight * arm * other).sum(axis=(1, 2)) for other in (arm, shift - mean_shift[:, None]))
        growth = 1.0 + np.clip(covariance / (variance + STIFFNESS**2), -0.5, 1.0)
        # About the image's origin: x -> growth * x + shift.
        ways = np.stack((*(mean_shift - (growth - 1.0)[:, None] * centre).T, np.log(growth)))
        ways[:, ~self.told] = np.nan
        return Ways(self.numbers, ways)


def _trusted(sure: BoolArray, others: BoolArray) -> BoolArray:
    """``(S, K)`` the points that have a say: the ``sure`` ones of a thing where there are enough, else ``others``."""
    return np.where(sure.sum(axis=1, keepdims=True) >= LEAST, sure, others)


def _agreed(shifts: Float64Array, asked: BoolArray) -> tuple[BoolArray, Float64Array]:
    """``(S, K)`` which of the points ``asked`` agree with their thing's median of ``shifts`` ``(S, K, 2)``, and that
    ``(S, 2)``.
    """
    median = _median(shifts, asked)
    off = np.abs(shifts - median).max(axis=2)
    usual = _median(off[..., None], asked)[..., 0]
    return asked & (off <= AGREE + 3.0 * usual), median[:, 0]


def _spread(mask: Mask, picture: Picture) -> Float32Array:
    """``(K, 2)`` x and y of points spread over a mask, where the picture has corners: an edge does not tell how a thing
    moved along it.
    """
    height, width = mask.bits.shape
    step = max(1, int(np.sqrt(height * width / (16.0 * POINTS))))
    rows, columns = _inner(mask.bits)[step // 2 :: step, step // 2 :: step].nonzero()
    if not len(rows):
        return np.zeros((POINTS, 2), np.float32)
    rows, columns = rows * step + (step // 2 + mask.y), columns * step + (step // 2 + mask.x)
    # Neighbours in reading order form a group; the best of each is taken.
    group = -(-len(rows) // POINTS)
    picks = np.linspace(0, len(rows) - 1, POINTS * group).astype(np.intp).reshape(POINTS, group)
    best = picks[np.arange(POINTS), _corners(picture, rows, columns)[picks].argmax(axis=1)]
    return np.stack((columns[best], rows[best]), axis=1).astype(np.float32) + np.float32(0.5)


def _corners(picture: Picture, rows: IndexArray, columns: IndexArray) -> Float32Array:
    """``(n,)`` how much of a corner the picture shows at pixels of the image (Shi and Tomasi, CVPR 1994)."""
    height, width = picture.grey.shape
    y, x = np.minimum(rows // picture.factor, height - 1), np.minimum(columns // picture.factor, width - 1)
    top, left = max(int(y[0]) - WINDOW, 0), max(int(x.min()) - WINDOW, 0)
    part = picture.grey[top : int(y[-1]) + WINDOW + 1, left : int(x.max()) + WINDOW + 1]
    marked = np.asarray(cv2.cornerMinEigenVal(part, WINDOW), np.float32)
    found: Float32Array = marked[y - top, x - left]
    return found


def _inner(bits: BoolArray) -> BoolArray:
    """``bits`` without its border, where a window shows what is behind, too; as they are where little would be left."""
    pixels, around = np.ascontiguousarray(bits).view(np.uint8), np.ones((BORDER, BORDER), np.uint8)
    inner = cv2.erode(pixels, around, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return inner.view(np.bool_) if np.count_nonzero(inner) >= POINTS else bits


def _median(values: Float64Array, valid: BoolArray) -> Float64Array:
    """``(S, 1, C)`` the lower median over K of ``(S, K, C)``, of those ``(S, K)`` that are valid; 0 without any."""
    ordered = np.sort(np.where(valid[..., None], values, np.inf), axis=1)
    middle = np.maximum(valid.sum(axis=1) - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[:, None, None], axis=1)
    return np.where(np.isfinite(median), median, 0.0)


def _flow(
    before: Picture, now: Picture, points: Float32Array, expected: Float32Array
) -> tuple[Float32Array, BoolArray]:
    """Where ``points`` ``(S, K, 2)`` of ``before`` are in ``now``, and ``(S, K)`` whether they were found: a point that
    is followed back must come out where it began.
    """
    # OpenCV counts from pixels' centres, the image from edges.
    factor = np.float32(now.factor)
    start, guess = (np.reshape(p / factor - np.float32(0.5), (-1, 1, 2)) for p in (points, expected))
    flow = partial(
        cv2.calcOpticalFlowPyrLK,
        winSize=(WINDOW, WINDOW),
        maxLevel=LEVELS,
        criteria=CLOSE_ENOUGH,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    expected_shift = guess - start
    moved, there, _ = flow(before.grey, now.grey, start, guess)
    back, again, _ = flow(now.grey, before.grey, moved, moved - expected_shift)
    near = np.abs(back - start).max(axis=(1, 2)) <= RETURN
    found = near & (there[:, 0] > 0) & (again[:, 0] > 0)
    return ((moved + np.float32(0.5)) * factor).reshape(points.shape), found.reshape(points.shape[:2])

"""Which detection continues which track: box overlap, mask overlap where boxes leave doubt, optimal assignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from seg_perception.types import BoolArray, Mask

IndexArray = NDArray[np.intp]
Float64Array = NDArray[np.float64]

RIVAL = 0.5
"""A pair is far worse than another when its overlap is less than this part of the other's."""

SAMPLES = 1024
"""Pixels looked at, at most (about), to compare two masks."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Candidate pairs, sorted by track and then detection: ``tracks`` and ``detections`` ``(n,)`` are row numbers,
    ``overlap`` ``(n,)`` in 0..1 how well the two agree.
    """

    tracks: IndexArray
    detections: IndexArray
    overlap: Float64Array

    def __len__(self) -> int:
        return len(self.tracks)

    def where(self, keep: BoolArray) -> Pairs:
        """The pairs for which ``keep`` ``(n,)`` holds."""
        return Pairs(self.tracks[keep], self.detections[keep], self.overlap[keep])


def overlapping(tracks: Float64Array, detections: Float64Array, least: float) -> Pairs:
    """All pairs of ``(4, T)`` and ``(4, D)`` boxes whose intersection over union is at least ``least`` > 0."""
    t, d = tracks.astype(np.float32)[:, :, None], detections.astype(np.float32)[:, None, :]
    width = np.minimum(t[2], d[2])
    width -= np.maximum(t[0], d[0])
    height = np.minimum(t[3], d[3])
    height -= np.maximum(t[1], d[1])
    np.maximum(width, 0.0, out=width)
    np.maximum(height, 0.0, out=height)
    intersection = np.multiply(width, height, out=width)
    union = np.add((t[2] - t[0]) * (t[3] - t[1]), (d[2] - d[0]) * (d[3] - d[1]), out=height)
    union -= intersection
    # Division only where it matters: most pairs are far apart.
    rows, columns = np.divmod(np.flatnonzero(intersection >= np.float32(least) * union), detections.shape[1] or 1)
    overlap = intersection[rows, columns] / np.maximum(union[rows, columns], np.float32(1e-6))
    return Pairs(rows, columns, overlap.astype(np.float64))


def doubtful(pairs: Pairs) -> IndexArray:
    """Which pairs have a serious rival, another pair with the same track or detection; a pair is not serious when its
    track and its detection both have a far better one.
    """
    if not len(pairs):
        return pairs.tracks
    best = np.zeros(max(pairs.tracks[-1], pairs.detections.max()) + 1)
    np.maximum.at(best, pairs.tracks, pairs.overlap)
    floor = best[pairs.tracks]
    best[:] = 0.0
    np.maximum.at(best, pairs.detections, pairs.overlap)
    serious = np.flatnonzero(pairs.overlap >= RIVAL * np.minimum(floor, best[pairs.detections]))
    return serious[_contested(pairs.tracks[serious], pairs.detections[serious])]


def _contested(tracks: IndexArray, detections: IndexArray) -> BoolArray:
    return (np.bincount(tracks)[tracks] + np.bincount(detections)[detections]) > 2


def mask_overlap(a: Mask, b: Mask, dx: int, dy: int) -> float:
    """Intersection over union of ``a`` moved by ``(dx, dy)`` pixels with ``b``, on a regular grid of about
    :data:`SAMPLES` pixels where they are large; 0 for empty masks.
    """
    ax, ay = a.x + dx, a.y + dy
    (ah, aw), (bh, bw) = a.bits.shape, b.bits.shape
    left, top = max(ax, b.x), max(ay, b.y)
    right, bottom = min(ax + aw, b.x + bw), min(ay + ah, b.y + bh)
    if right <= left or bottom <= top:
        return 0.0
    step = max(1, int(((right - left) * (bottom - top) / SAMPLES) ** 0.5))
    in_a = a.bits[top - ay : bottom - ay : step, left - ax : right - ax : step]
    in_b = b.bits[top - b.y : bottom - b.y : step, left - b.x : right - b.x : step]
    intersection = np.count_nonzero(in_a & in_b) * step * step
    union = np.count_nonzero(a.bits) + np.count_nonzero(b.bits) - intersection
    return min(intersection / union, 1.0) if union > 0 else 0.0


@cache
def solver() -> Callable[..., tuple[IndexArray, IndexArray]]:
    """``scipy.optimize.linear_sum_assignment``, imported at the first call, which takes a good part of a second."""
    from scipy.optimize import linear_sum_assignment

    solve: Callable[..., tuple[IndexArray, IndexArray]] = linear_sum_assignment
    return solve


def assign(pairs: Pairs, weights: Float64Array) -> IndexArray:
    """The pairs of the matching (no track and no detection twice) with the greatest sum of ``weights`` ``(n,)`` >= 0.

    Pairs that nobody contests are taken at once; only the rest goes through ``scipy.optimize.linear_sum_assignment``.
    """
    if not len(pairs):
        return pairs.tracks
    contested = _contested(pairs.tracks, pairs.detections)
    knots = np.flatnonzero(contested)
    if not len(knots):
        return np.arange(len(pairs))
    tracks, detections = pairs.tracks[knots], pairs.detections[knots]
    rows, columns = np.flatnonzero(np.bincount(tracks)), np.flatnonzero(np.bincount(detections))
    pair = np.full((len(rows), len(columns)), -1, np.intp)
    pair[np.searchsorted(rows, tracks), np.searchsorted(columns, detections)] = knots
    chosen = pair[solver()(np.where(pair < 0, 0.0, weights[pair]), maximize=True)]
    return np.sort(np.concatenate((np.flatnonzero(~contested), chosen[chosen >= 0])))

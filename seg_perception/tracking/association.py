"""Which detection continues which track: box overlap, mask overlap where boxes leave doubt, optimal assignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.types import BoolArray, Mask

IndexArray = NDArray[np.intp]
Float64Array = NDArray[np.float64]

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
    """All pairs of ``(T, 4)`` and ``(D, 4)`` boxes whose intersection over union is at least ``least`` > 0."""
    t, d = tracks.astype(np.float32).T[:, :, None], detections.astype(np.float32).T[:, None, :]
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
    rows, columns = np.divmod(np.flatnonzero(intersection >= np.float32(least) * union), detections.shape[0] or 1)
    overlap = intersection[rows, columns] / np.maximum(union[rows, columns], np.float32(1e-6))
    return Pairs(rows, columns, overlap.astype(np.float64))


def ambiguous(pairs: Pairs) -> IndexArray:
    """Which pairs share their track or their detection with another pair."""
    rivals = np.bincount(pairs.tracks)[pairs.tracks] + np.bincount(pairs.detections)[pairs.detections]
    return np.flatnonzero(rivals > 2)


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


def assign(pairs: Pairs, weights: Float64Array) -> IndexArray:
    """The pairs of the matching (no track and no detection twice) with the greatest sum of ``weights`` ``(n,)`` > 0.

    Pairs without a rival are taken at once; only the knots go through ``scipy.optimize.linear_sum_assignment``.
    """
    if not len(pairs):
        return np.zeros(0, np.intp)
    knotted = ambiguous(pairs)
    if not len(knotted):
        return np.arange(len(pairs))
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    rows, row = np.unique(pairs.tracks[knotted], return_inverse=True)
    columns, column = np.unique(pairs.detections[knotted], return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = weights[knotted]
    pair = np.full(gain.shape, -1, np.intp)
    pair[row, column] = knotted
    chosen = pair[linear_sum_assignment(gain, maximize=True)]
    single = np.ones(len(pairs), np.bool_)
    single[knotted] = False
    return np.sort(np.concatenate((np.flatnonzero(single), chosen[chosen >= 0])))

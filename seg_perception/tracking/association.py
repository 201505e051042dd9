"""Which detection continues which track: the overlap of boxes, and the optimal assignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from seg_perception.types import BoolArray, Float64Array, IndexArray


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


def overlapping(tracks: Float64Array, detections: Float64Array, least: float) -> Pairs:
    """All pairs of ``(4, T)`` and ``(4, D)`` boxes whose intersection over union is at least ``least`` > 0."""
    # Division only where it matters: most pairs are far apart. Single precision halves what has to be moved.
    t, d = tracks.astype(np.float32)[:, :, None], detections.astype(np.float32)[:, None, :]
    common = np.minimum(t[2:], d[2:])
    common -= np.maximum(t[:2], d[:2])
    np.maximum(common, 0.0, out=common)
    intersection = common[0] * common[1]
    (tw, th), (dw, dh) = t[2:] - t[:2], d[2:] - d[:2]
    union = tw * th + dw * dh
    union -= intersection
    near = (intersection >= np.float32(least) * union).ravel().nonzero()[0]
    rows, columns = np.divmod(near, detections.shape[1] or 1)
    overlap = intersection.take(near) / np.maximum(union.take(near), np.float32(1e-6))
    return Pairs(rows, columns, overlap.astype(np.float64))


def _contested(tracks: IndexArray, detections: IndexArray) -> BoolArray:
    return (np.bincount(tracks).take(tracks) + np.bincount(detections).take(detections)) > 2


def grown(boxes: Float64Array, by: float) -> Float64Array:
    """``boxes`` ``(4, N)`` made larger on each side, ``by`` times their size."""
    margin = (boxes[2:] - boxes[:2]) * by
    return np.concatenate((boxes[:2] - margin, boxes[2:] + margin))


@cache
def solver() -> Callable[..., tuple[IndexArray, IndexArray]]:
    """``scipy.optimize.linear_sum_assignment``, imported at the first call, which takes a good part of a second."""
    from scipy.optimize import linear_sum_assignment

    solve: Callable[..., tuple[IndexArray, IndexArray]] = linear_sum_assignment
    return solve


def assign(pairs: Pairs, weights: Float64Array) -> tuple[IndexArray, IndexArray]:
    """The matching (no track and no detection twice) among ``pairs`` with the greatest sum of ``weights`` ``(n,)``, as
    rows of tracks and rows of detections; pairs without a positive weight are not eligible.

    Pairs that nobody contests are taken at once; only the rest goes through ``scipy.optimize.linear_sum_assignment``.
    """
    eligible = (weights > 0.0).nonzero()[0]
    tracks, detections = pairs.tracks.take(eligible), pairs.detections.take(eligible)
    if not len(eligible):
        return tracks, detections
    contested = _contested(tracks, detections)
    knots = contested.nonzero()[0]
    if not len(knots):
        return tracks, detections
    rows, row = np.unique(tracks.take(knots), return_inverse=True)
    columns, column = np.unique(detections.take(knots), return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = weights.take(eligible.take(knots))
    chosen, partner = solver()(gain, maximize=True)
    real = gain[chosen, partner] > 0.0
    return (
        np.concatenate((tracks[~contested], rows[chosen[real]])),
        np.concatenate((detections[~contested], columns[partner[real]])),
    )

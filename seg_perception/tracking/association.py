"""Which detection continues which track: the overlap of boxes, and the optimal assignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from seg_perception.types import Float64Array, IndexArray


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
    t, d = tracks.astype(np.float32)[:, :, None], detections.astype(np.float32)[:, None]
    width, height = common = np.minimum(t[2:], d[2:])
    common -= np.maximum(t[:2], d[:2])
    np.maximum(width, 0.0, out=width)
    width *= height  # Negative where only the rows are apart.
    (tw, th), (dw, dh) = t[2:] - t[:2], d[2:] - d[:2]
    areas = tw * th + dw * dh
    near = (width * (1.0 + 1.0 / least) >= areas).ravel().nonzero()[0]
    rows, columns = np.divmod(near, detections.shape[1] or 1)
    both = width.take(near)
    return Pairs(rows, columns, both / (areas.take(near) - both))


def overlaps(a: Float64Array, b: Float64Array) -> Float64Array:
    """``(n,)`` the intersection over union of each of ``(4, n)`` boxes with a positive area and its partner."""
    width, height = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0.0)
    (aw, ah), (bw, bh) = a[2:] - a[:2], b[2:] - b[:2]
    both = width * height
    overlap: Float64Array = both / (aw * ah + bw * bh - both)
    return overlap


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
    """The matching (no track and no detection twice) among ``pairs`` with the greatest sum of ``weights`` ``(n,)``
    >= 0, as rows of tracks and rows of detections; pairs whose weight is 0 are not eligible.

    Pairs that nobody contests are taken at once; only the rest goes through ``scipy.optimize.linear_sum_assignment``.
    """
    eligible = weights.nonzero()[0]
    tracks, detections = pairs.tracks.take(eligible), pairs.detections.take(eligible)
    contested = np.bincount(tracks).take(tracks) + np.bincount(detections).take(detections) > 2
    knots = contested.nonzero()[0]
    if not len(knots):
        return tracks, detections
    row, column = tracks.take(knots), detections.take(knots)
    rows, columns = np.bincount(row).nonzero()[0], np.bincount(column).nonzero()[0]
    gain = np.zeros((len(rows), len(columns)))
    gain[rows.searchsorted(row), columns.searchsorted(column)] = weights.take(eligible.take(knots))
    chosen, partner = solver()(gain, maximize=True)
    real = gain[chosen, partner] > 0.0
    sure = ~contested
    return (
        np.concatenate((tracks.compress(sure), rows.take(chosen.compress(real)))),
        np.concatenate((detections.compress(sure), columns.take(partner.compress(real)))),
    )

"""Do ids last: IDF1, id switches and HOTA of one sequence, as TrackEval counts them.

IDF1: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", ECCVW 2016. Id
switches, MOTA: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance", 2008, with TrackEval's
rule that a pair of the frame before is kept while it can be. HOTA: Luiten et al., IJCV 2021.

Counts of several sequences, or classes, add up to those of all (TrackEval's COMBINED).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from seg_perception.evaluation.confusion import mean, ratio
from seg_perception.types import Float64Array, Int64Array

THRESHOLD = 0.5
ALPHAS = np.arange(0.05, 0.99, 0.05)
"""The 19 similarities at which HOTA matches; its scores are means over them."""
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame: ``truth`` ``(T,)`` and ``predicted`` ``(P,)`` ids, each once, and their ``similarity`` ``(T, P)``
    (mask IoU), 0..1.
    """

    truth: Int64Array
    predicted: Int64Array
    similarity: Float64Array


@dataclass(frozen=True, slots=True)
class IdentityCounts:
    """Detections under the one assignment of predicted to true ids that holds for the whole sequence and explains
    most of them: ``tp`` explained, ``fp`` predicted but not, ``fn`` true but not.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: IdentityCounts) -> IdentityCounts:
        return IdentityCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def idf1(self) -> float:
        """F1; NaN if there is nothing to find and nothing found."""
        return float(ratio(self.tp, self.tp + 0.5 * self.fp + 0.5 * self.fn))

    @property
    def idp(self) -> float:
        """Precision."""
        return float(ratio(self.tp, self.tp + self.fp))

    @property
    def idr(self) -> float:
        """Recall."""
        return float(ratio(self.tp, self.tp + self.fn))


@dataclass(frozen=True, slots=True)
class ClearCounts:
    """Detections matched frame by frame, and ``switches``: how often a true object is matched to another id than the
    last time it was.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    switches: int = 0

    def __add__(self, other: ClearCounts) -> ClearCounts:
        return ClearCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.switches + other.switches)

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy, at most 1."""
        return float(ratio(self.tp - self.fp - self.switches, self.tp + self.fn))


@dataclass(frozen=True, slots=True)
class HotaCounts:
    """By :data:`ALPHAS`, each ``(19,)``: detections ``tp``, ``fp``, ``fn``; sums over the matched of ``association``
    (how well the two tracks agree over the sequence) and ``similarity``.
    """

    tp: Float64Array
    fp: Float64Array
    fn: Float64Array
    association: Float64Array
    similarity: Float64Array

    @classmethod
    def zero(cls) -> HotaCounts:
        """Those of no detections."""
        return cls(*(np.zeros(len(ALPHAS)) for _ in range(5)))

    def __add__(self, other: HotaCounts) -> HotaCounts:
        return HotaCounts(
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.association + other.association,
            self.similarity + other.similarity,
        )

    @property
    def deta(self) -> float:
        """Detection accuracy; NaN if there is nothing to find and nothing found, as the others."""
        return mean(self._deta)

    @property
    def assa(self) -> float:
        """Association accuracy."""
        return mean(self._assa)

    @property
    def hota(self) -> float:
        """Higher order tracking accuracy: the mean over alphas of the geometric mean of both."""
        return mean(np.sqrt(self._deta * self._assa))

    @property
    def _deta(self) -> Float64Array:
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def _assa(self) -> Float64Array:
        there = self.tp + self.fp + self.fn > 0
        return np.where(there, self.association / np.maximum(self.tp, 1), np.nan)


@dataclass(frozen=True, slots=True)
class Tracking:
    """Everything of one sequence or class, or summed over several."""

    identity: IdentityCounts
    clear: ClearCounts
    hota: HotaCounts

    @classmethod
    def zero(cls) -> Tracking:
        """That of no detections."""
        return cls(IdentityCounts(), ClearCounts(), HotaCounts.zero())

    def __add__(self, other: Tracking) -> Tracking:
        return Tracking(self.identity + other.identity, self.clear + other.clear, self.hota + other.hota)


def tracking(moments: Sequence[Moment]) -> Tracking:
    """The scores of one sequence, whose frames come in their order."""
    return Tracking(identity(moments), clear(moments), hota(moments))


def identity(moments: Sequence[Moment]) -> IdentityCounts:
    """What IDF1 is made of."""
    frames = _numbered(moments)
    together = np.zeros((frames.truths, frames.tracks))
    for rows, columns, similarity in frames.each:
        t, p = np.nonzero(similarity >= THRESHOLD)
        together[rows[t], columns[p]] += 1
    # Every pair explains what it has in common; who stays alone explains nothing.
    best = int(together[linear_sum_assignment(together, maximize=True)].sum())
    true, predicted = int(frames.truth_counts.sum()), int(frames.track_counts.sum())
    return IdentityCounts(best, predicted - best, true - best)


def clear(moments: Sequence[Moment]) -> ClearCounts:
    """What id switches and MOTA are made of."""
    frames = _numbered(moments)
    last = np.full(frames.truths, -1)
    previous = np.full(frames.truths, -1)
    matched = switches = 0
    for rows, columns, similarity in frames.each:
        if not len(rows) or not len(columns):
            continue
        score = 1000.0 * (columns == previous[rows, None]) + similarity
        score[similarity < THRESHOLD - _EPS] = 0.0
        t, p = linear_sum_assignment(score, maximize=True)
        kept = score[t, p] > _EPS
        true, track = rows[t[kept]], columns[p[kept]]
        switches += int(np.count_nonzero((last[true] >= 0) & (last[true] != track)))
        previous[:] = -1
        previous[true] = last[true] = track
        matched += len(true)
    return ClearCounts(
        matched, int(frames.track_counts.sum()) - matched, int(frames.truth_counts.sum()) - matched, switches
    )


def hota(moments: Sequence[Moment]) -> HotaCounts:
    """What HOTA, DetA and AssA are made of."""
    frames = _numbered(moments)
    alike = np.zeros((frames.truths, frames.tracks))
    for rows, columns, similarity in frames.each:
        total = similarity.sum(0) + similarity.sum(1)[:, None] - similarity
        alike[np.ix_(rows, columns)] += np.divide(similarity, total, out=np.zeros_like(similarity), where=total > _EPS)
    counts = frames.truth_counts[:, None] + frames.track_counts
    alignment = alike / np.maximum(counts - alike, _EPS)

    matches = np.zeros((len(ALPHAS), frames.truths, frames.tracks))
    similar = np.zeros(len(ALPHAS))
    for rows, columns, similarity in frames.each:
        t, p = linear_sum_assignment(alignment[np.ix_(rows, columns)] * similarity, maximize=True)
        values = similarity[t, p]
        kept = values >= ALPHAS[:, None] - _EPS
        matches[:, rows[t], columns[p]] += kept
        similar += kept @ values
    tp = matches.sum((1, 2))
    association = (matches * (matches / np.maximum(counts - matches, 1))).sum((1, 2))
    return HotaCounts(tp, frames.track_counts.sum() - tp, frames.truth_counts.sum() - tp, association, similar)


@dataclass(frozen=True, slots=True)
class _Frames:
    """A sequence with its ids as positions: 0..truths-1 and 0..tracks-1."""

    truths: int
    tracks: int
    truth_counts: Float64Array
    track_counts: Float64Array
    each: list[tuple[NDArray[Any], NDArray[Any], Float64Array]]


def _numbered(moments: Sequence[Moment]) -> _Frames:
    none = [np.zeros(0, np.int64)]
    truths, true = np.unique(np.concatenate(none + [m.truth for m in moments]), return_counts=True)
    tracks, tracked = np.unique(np.concatenate(none + [m.predicted for m in moments]), return_counts=True)
    each = [(np.searchsorted(truths, m.truth), np.searchsorted(tracks, m.predicted), m.similarity) for m in moments]
    return _Frames(len(truths), len(tracks), true.astype(np.float64), tracked.astype(np.float64), each)

"""Which class was taken for which: the confusion matrix, and IoU and pixel accuracy from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.segments import overlap
from seg_perception.types import BoolArray, Float64Array, Int64Array, UInt8Array


@dataclass(frozen=True, slots=True)
class Confusion:
    """``counts`` ``(C + 1, C + 1)`` int64: pixels by true class (row) and predicted class (column), void last.

    Pixels whose truth is void count for nothing; a pixel predicted void is a miss of its true class.
    """

    counts: Int64Array

    @classmethod
    def zero(cls, classes: int) -> Confusion:
        """That of no pixels."""
        return cls(np.zeros((classes + 1, classes + 1), np.int64))

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.counts + other.counts)

    @property
    def judged(self) -> Int64Array:
        """``(C, C + 1)``: the rows whose truth is a class."""
        return self.counts[:-1]

    @property
    def iou(self) -> Float64Array:
        """``(C,)`` intersection over union by class; NaN for one that is neither in the truth nor predicted."""
        right = np.diagonal(self.judged)
        union = self.judged.sum(1) + self.judged[:, :-1].sum(0) - right
        return ratio(right, union)

    @property
    def miou(self) -> float:
        """The mean of :attr:`iou` over the classes that occur in truth or prediction."""
        return mean(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """The part of the judged pixels that have the right class."""
        return float(ratio(np.trace(self.judged), self.judged.sum()))


def confusion(truth: UInt8Array, predicted: UInt8Array, classes: int) -> Confusion:
    """The confusion of two semantic maps ``(H, W)`` uint8; ids from ``classes`` on are void.

    Raises :class:`InputError` when the maps differ in size.
    """
    pair = overlap(truth, predicted)
    return folded(pair.pixels, pair.truth, pair.predicted, classes)


def folded(counts: Int64Array, rows: NDArray[Any], columns: NDArray[Any], classes: int) -> Confusion:
    """``counts`` ``(T, P)``, such as those of an overlap, summed by the class of each row and of each column; classes
    from ``classes`` on are void.
    """
    size = classes + 1
    bins = np.minimum(rows.astype(np.int64), classes)[:, None] * size + np.minimum(columns, classes)
    sums = np.bincount(bins.reshape(-1), counts.reshape(-1), size * size)
    return Confusion(sums.astype(np.int64).reshape(size, size))


def taken_for(found: Confusion, names: Sequence[str], most: int) -> list[tuple[str, str, float]]:
    """What is most often taken for what: true class, predicted class, part of the true class's pixels; ``names`` of
    the classes.
    """
    names = [*names, "unlabelled"]
    part = found.judged / np.maximum(found.judged.sum(1, keepdims=True), 1)
    np.fill_diagonal(part, 0.0)
    rows, columns = np.unravel_index(np.argsort(-part, axis=None, kind="stable")[:most], part.shape)
    return [(names[r], names[c], float(part[r, c])) for r, c in zip(rows, columns, strict=True) if part[r, c] > 0]


def ratio(part: Any, whole: Any) -> Float64Array:
    """``part / whole``, NaN where ``whole`` is 0."""
    whole = np.asarray(whole, np.float64)
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0))


def mean(values: Float64Array, of: BoolArray | None = None) -> float:
    """The mean of the ``values`` (of those marked in ``of``) that are not NaN; NaN if there is none."""
    chosen = values if of is None else values[of]
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if len(chosen) else float("nan")

"""Panoptic quality (Kirillov et al., "Panoptic Segmentation", CVPR 2019), with panopticapi's void and crowd rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.confusion import mean, ratio
from seg_perception.evaluation.segments import Overlap, Segments
from seg_perception.types import UNLABELLED, BoolArray, Float64Array, Int64Array

MATCHED = 0.5
"""A true and a predicted segment of one class match above this IoU; then neither can match another."""


class Quality(NamedTuple):
    """Means over classes: panoptic, segmentation and recognition quality, 0..1, NaN if there is no class."""

    pq: float
    sq: float
    rq: float


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """What PQ is made of, by class: ``iou`` ``(C,)`` float64 the sum over matched segments; ``tp``, ``fp``, ``fn``
    ``(C,)`` int64 matched, invented and missed segments.
    """

    iou: Float64Array
    tp: Int64Array
    fp: Int64Array
    fn: Int64Array

    @classmethod
    def zero(cls, classes: int) -> PanopticQuality:
        """That of no segments."""
        return cls(np.zeros(classes), *(np.zeros(classes, np.int64) for _ in range(3)))

    def __add__(self, other: PanopticQuality) -> PanopticQuality:
        return PanopticQuality(self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def pq(self) -> Float64Array:
        """``(C,)``, NaN for a class without segments in truth and prediction, as :attr:`sq` and :attr:`rq`."""
        return ratio(self.iou, self._weight)

    @property
    def sq(self) -> Float64Array:
        """``(C,)`` mean IoU of matched segments, 0 for a class of which none is."""
        return np.where(self._weight > 0, self.iou / np.maximum(self.tp, 1), np.nan)

    @property
    def rq(self) -> Float64Array:
        """``(C,)`` F1 of finding segments."""
        return ratio(self.tp, self._weight)

    def mean(self, of: BoolArray | None = None) -> Quality:
        """Over all classes that occur, or over those of them marked in ``of`` ``(C,)`` bool, such as the things."""
        return Quality(mean(self.pq, of), mean(self.sq, of), mean(self.rq, of))

    @property
    def _weight(self) -> Float64Array:
        return np.asarray(self.tp + 0.5 * self.fp + 0.5 * self.fn)


class Matches(NamedTuple):
    """The fate of the segments of a pair: ``truth`` and ``predicted`` positions of those matched, and their ``iou``;
    positions of the ``missed`` true ones and of the ``invented`` predicted ones.
    """

    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    iou: Float64Array
    missed: NDArray[np.intp]
    invented: NDArray[np.intp]


def matches(pair: Overlap, truth: Segments, predicted: Segments) -> Matches:
    """Match the segments of two maps; what ``truth`` or ``predicted`` do not list is void, as is class 255.

    Void pixels count for no union. An unmatched predicted segment is ignored when more than half of it is void or
    crowd of its class; a crowd is neither matched nor missed. COCO has at most one crowd segment per class and image;
    of several the last listed counts, as in panopticapi.
    """
    t, p = truth.of(pair.truth), predicted.of(pair.predicted)
    void = t.classes == UNLABELLED
    asked, given = ~void & ~t.crowd, p.classes != UNLABELLED
    iou = pair.iou(void)
    same = (t.classes[:, None] == p.classes) & asked[:, None] & given
    rows, columns = np.nonzero(same & (iou > MATCHED))
    missed, invented = asked.copy(), given & ~mostly_ignored(pair, truth, t, p)
    missed[rows], invented[columns] = False, False
    return Matches(rows, columns, iou[rows, columns], np.flatnonzero(missed), np.flatnonzero(invented))


def panoptic_quality(pair: Overlap, truth: Segments, predicted: Segments, classes: int) -> PanopticQuality:
    """What the :func:`matches` of two maps count for each class; classes are below ``classes``, or 255 for void."""
    t, p = truth.of(pair.truth).classes, predicted.of(pair.predicted).classes
    found = matches(pair, truth, predicted)
    return PanopticQuality(
        np.bincount(t[found.truth], found.iou, minlength=classes).astype(np.float64),
        np.bincount(t[found.truth], minlength=classes),
        np.bincount(p[found.invented], minlength=classes),
        np.bincount(t[found.missed], minlength=classes),
    )


def mostly_ignored(pair: Overlap, truth: Segments, t: Segments, p: Segments) -> BoolArray:
    """``(P,)`` bool: more than half of the predicted segment is void, or crowd of its class; ``t`` and ``p`` are the
    meanings of the pair's ids.
    """
    ignored = pair.pixels[t.classes == UNLABELLED].sum(0)
    row = {number: row for row, number in enumerate(pair.truth.tolist())}
    crowds = {
        int(truth.classes[i]): row[int(truth.ids[i])] for i in np.flatnonzero(truth.crowd) if int(truth.ids[i]) in row
    }
    for label, crowd in crowds.items():
        ignored += np.where(p.classes == label, pair.pixels[crowd], 0)
    return np.asarray(ignored > 0.5 * pair.predicted_area)

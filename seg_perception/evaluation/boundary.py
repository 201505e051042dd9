"""Are the borders right: boundary IoU and boundary F1 by class.

Boundary IoU: Cheng et al., "Boundary IoU", CVPR 2021: the IoU of the bands within ``width`` pixels inside the borders
of a class. Boundary F1: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013: how
much of each border has the other's within ``width`` pixels. The edge of the image is a border where a class touches it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from seg_perception.evaluation.confusion import ratio
from seg_perception.types import BoolArray, Float64Array, Int64Array, UInt8Array


@dataclass(frozen=True, slots=True)
class Boundary:
    """Pixels by class, each ``(C,)`` int64: ``intersection`` and ``union`` of the bands; the ``predicted`` border and
    how much of it is ``precise`` (near the true one), the ``true`` border and how much of it is ``recalled``.
    """

    intersection: Int64Array
    union: Int64Array
    precise: Int64Array
    predicted: Int64Array
    recalled: Int64Array
    true: Int64Array

    @classmethod
    def zero(cls, classes: int) -> Boundary:
        """That of no pixels."""
        return cls(*(np.zeros(classes, np.int64) for _ in range(6)))

    def __add__(self, other: Boundary) -> Boundary:
        return Boundary(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def iou(self) -> Float64Array:
        """``(C,)`` boundary IoU; NaN for a class that is neither in the truth nor predicted."""
        return ratio(self.intersection, self.union)

    @property
    def f1(self) -> Float64Array:
        """``(C,)`` harmonic mean of precision and recall of border pixels; NaN as above."""
        precision, recall = self.precise / np.maximum(self.predicted, 1), self.recalled / np.maximum(self.true, 1)
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
        return np.where(self.predicted + self.true > 0, f1, np.nan)


def boundary_width(height: int, width: int, part: float = 0.02) -> int:
    """The band's width in pixels that the paper proposes: 2 % of the image's diagonal, at least 1."""
    return max(1, round(part * float(np.hypot(height, width))))


def boundary(truth: UInt8Array, predicted: UInt8Array, classes: int, width: int) -> Boundary:
    """Compare the borders of two semantic maps ``(H, W)`` uint8; pixels whose truth is no class are left out."""
    judged = truth < classes
    total = Boundary.zero(classes)
    for label in np.union1d(truth, predicted[judged]).tolist():
        if label >= classes:
            continue
        true, found = truth == label, (predicted == label) & judged
        true_band, found_band = _band(true, width), _band(found, width) & judged
        true_edge, found_edge = _band(true, 1), _band(found, 1)
        total.intersection[label] = np.count_nonzero(true_band & found_band)
        total.union[label] = np.count_nonzero(true_band | found_band)
        true_points, found_points = np.argwhere(true_edge), np.argwhere(found_edge)
        total.precise[label] = _near(found_points, true_points, width)
        total.predicted[label] = len(found_points)
        total.recalled[label] = _near(true_points, found_points, width)
        total.true[label] = len(true_points)
    return total


def _band(mask: BoolArray, width: int) -> BoolArray:
    """The pixels of ``mask`` within ``width`` of one that is not in it, diagonals counting as 1."""
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    inner = cv2.erode(mask.view(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0.0)
    return np.asarray(mask & (inner == 0))


def _near(points: NDArray[np.intp], others: NDArray[np.intp], width: int) -> int:
    """How many of ``points`` ``(n, 2)`` lie within ``width`` (Euclidean) of one of ``others`` ``(m, 2)``."""
    if not len(points) or not len(others):
        return 0
    # Borders are few pixels of an image: searching among them costs less than the distance of every pixel to them.
    distance, _ = cKDTree(others, balanced_tree=False).query(points, distance_upper_bound=np.sqrt(width**2 + 0.5))
    return int(np.count_nonzero(np.isfinite(distance)))

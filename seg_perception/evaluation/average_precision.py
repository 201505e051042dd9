"""Average precision of masks, as pycocotools' COCOeval computes it (100 detections per image and class).

Lin et al., "Microsoft COCO", ECCV 2014: the mean over IoU thresholds 0.5, 0.55 ... 0.95 of the interpolated precision
at 101 recalls; of all objects, or of those of some size (COCO's ``areaRng``) or distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.confusion import mean
from seg_perception.evaluation.segments import Segments, areas
from seg_perception.types import UNLABELLED, BoolArray, Float64Array, Instances, Int64Array, Mask, UInt8Array

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """N detections as judged in their images, in the images' order.

    ``classes`` ``(N,)`` uint8; ``scores`` ``(N,)`` float64; ``right`` and ``ignored`` ``(N, 10)`` bool by
    :data:`THRESHOLDS`; ``wanted`` ``(C,)`` int64 true objects by class.
    """

    classes: UInt8Array
    scores: Float64Array
    right: BoolArray
    ignored: BoolArray
    wanted: Int64Array

    @classmethod
    def zero(cls, classes: int) -> AveragePrecision:
        """Nothing to find and nothing found."""
        flags = np.zeros((0, len(THRESHOLDS)), np.bool_)
        return cls(np.zeros(0, np.uint8), np.zeros(0), flags, flags, np.zeros(classes, np.int64))

    def __add__(self, other: AveragePrecision) -> AveragePrecision:
        return AveragePrecision(
            np.concatenate((self.classes, other.classes)),
            np.concatenate((self.scores, other.scores)),
            np.concatenate((self.right, other.right)),
            np.concatenate((self.ignored, other.ignored)),
            self.wanted + other.wanted,
        )

    def by_class(self) -> Float64Array:
        """``(C, 10)`` average precision by class and threshold, NaN for a class without true objects."""
        table = np.full((len(self.wanted), len(THRESHOLDS)), np.nan)
        for label in np.flatnonzero(self.wanted).tolist():
            mine = np.flatnonzero(self.classes == label)
            order = mine[np.argsort(-self.scores[mine], kind="stable")]
            judged = ~self.ignored[order]
            for k in range(len(THRESHOLDS)):
                table[label, k] = _interpolated(self.right[order, k][judged[:, k]], int(self.wanted[label]))
        return table

    @property
    def ap(self) -> float:
        """The mean over thresholds and the classes that have true objects."""
        return mean(self.by_class().mean(1))

    @property
    def ap50(self) -> float:
        """The mean over classes at IoU 0.5."""
        return mean(self.by_class()[:, 0])

    @property
    def ap75(self) -> float:
        """The mean over classes at IoU 0.75."""
        return mean(self.by_class()[:, 5])


@dataclass(frozen=True, slots=True)
class Ranking:
    """The N detections of one image, best score first within each class, and what of its truth they may claim.

    ``rows`` ``(N,)`` their positions among the instances they come from; ``labels`` ``(N,)`` uint8, ``scores`` ``(N,)``
    float64, ``area`` ``(N,)`` int64 pixels. Of the T true objects ``ids`` and ``true_area`` ``(T,)`` int64, ``classes``
    ``(T,)`` uint8. ``iou`` ``(N, T)`` float64, 0 where the classes differ; ``inside`` ``(N, R)`` float64: the part of
    each that lies in each region of its class, or of void, where nobody is asked.
    """

    rows: NDArray[np.intp]
    labels: UInt8Array
    scores: Float64Array
    area: Int64Array
    ids: Int64Array
    classes: UInt8Array
    true_area: Int64Array
    iou: Float64Array
    inside: Float64Array

    def judged(
        self, number_of_classes: int, asked: BoolArray | None = None, counted: BoolArray | None = None
    ) -> AveragePrecision:
        """Judge them by the true objects ``asked`` for, ``(T,)`` bool (None: all). What matches another object is
        neither right nor wrong, and neither is what matches nothing and is not ``counted``, ``(N,)`` bool (None: all
        are): COCO's rule for objects and detections outside of a range.
        """
        asked = np.ones(len(self.ids), np.bool_) if asked is None else asked
        right, ignored = judged(self.iou, self.inside, asked)
        if counted is not None:
            ignored |= ~right & ~counted[:, None]
        wanted = np.bincount(self.classes[asked], minlength=number_of_classes)
        return AveragePrecision(self.labels, self.scores, right, ignored, wanted)


def ranking(truth: NDArray[Any], segments: Segments, things: BoolArray, found: Instances) -> Ranking:
    """Hold what was ``found`` in one image against its panoptic truth ``(H, W)``; ``segments`` are the truth's,
    ``things`` ``(256,)`` bool says which classes are asked for.

    A crowd is an ignored region for its class, and all void together one for every class, as pycocotools treats
    ``iscrowd``: a detection that matches nothing, and of which the threshold's part lies in one, is neither right nor
    wrong.
    """
    ids, area = areas(truth)
    t = segments.of(ids)
    asked = things[t.classes] & ~t.crowd
    rows = _ranked(found, things)
    labels, common = found.labels[rows], _common(truth, ids, [found.masks[i] for i in rows])
    own, same = common.sum(1, keepdims=True), labels[:, None] == t.classes
    iou = common / np.maximum(own + area - common, 1)
    void, crowd = common[:, t.classes == UNLABELLED].sum(1, keepdims=True), np.where(same & t.crowd, common, 0)
    return Ranking(
        rows,
        labels,
        found.scores[rows].astype(np.float64),
        own[:, 0].astype(np.int64),
        ids[asked],
        t.classes[asked],
        area[asked],
        np.where(same, iou, 0)[:, asked],
        np.hstack((void, crowd)) / np.maximum(own, 1),
    )


def average_precision(
    truth: NDArray[Any], segments: Segments, things: BoolArray, found: Instances, classes: int
) -> AveragePrecision:
    """The :func:`ranking` of one image, judged by all its true objects; classes are below ``classes``."""
    return ranking(truth, segments, things, found).judged(classes)


def _ranked(found: Instances, things: BoolArray) -> NDArray[np.intp]:
    """The detections that count: the best of each class, best first within it."""
    order = np.argsort(-found.scores.astype(np.float64), kind="stable")
    parts = [order[found.labels[order] == label][:MAX_DETECTIONS] for label in np.unique(found.labels).tolist()]
    return np.concatenate([np.zeros(0, np.intp), *(part for part in parts if things[found.labels[part[0]]])])


def _common(truth: NDArray[Any], ids: Int64Array, masks: Sequence[Mask]) -> Float64Array:
    """``(N, T)`` pixels that each mask shares with each of the truth's ``ids``."""
    common = np.zeros((len(masks), len(ids)))
    for row, mask in enumerate(masks):
        height, width = mask.bits.shape
        pixels = truth[mask.y : mask.y + height, mask.x : mask.x + width][mask.bits]
        common[row] = np.bincount(np.searchsorted(ids, pixels), minlength=len(ids))
    return common


def judged(iou: Float64Array, inside: Float64Array, asked: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Which detections are right and which are ignored, ``(N, 10)`` bool each.

    ``iou`` ``(N, T)`` with the true objects of their class (0 with others), best score of a class first; ``asked``
    ``(T,)``: which of these are to be found; ``inside`` ``(N, R)`` the part of each detection that lies in each ignored
    region. In turn each takes, by threshold, the free object of highest IoU, one that is asked for before all others.
    """
    least = np.minimum(THRESHOLDS, 1 - 1e-10)
    right, ignored = (np.zeros((len(iou), len(least)), np.bool_) for _ in range(2))
    free = np.ones((len(least), iou.shape[1]), np.bool_)
    forgiven = inside.max(1, initial=0.0)
    for row in np.flatnonzero((iou >= least[0]).any(1)).tolist():
        fits = free & (iou[row] >= least[:, None])
        right[row] = (fits & asked).any(1)
        fits &= asked == right[row][:, None]
        # Of equals the last is taken, as in pycocotools.
        best = iou.shape[1] - 1 - np.argmax(np.where(fits, iou[row], -1.0)[:, ::-1], axis=1)
        # An object that nobody asks for stays free where the detection lies better in a region.
        taken = fits.any(1) & (right[row] | (iou[row, best] >= forgiven[row]))
        free[taken, best[taken]] = False
        ignored[row] = taken & ~right[row]
    ignored |= ~right & (forgiven[:, None] >= least)
    return right, ignored


def painted(panoptic: NDArray[Any], scores: Mapping[int, float]) -> Instances:
    """The instances that a predicted panoptic map shows: one per track id that has pixels and a score."""
    ids = [i for i in areas(panoptic)[0].tolist() if i >> 16 in scores]
    masks, boxes = [], []
    for number in ids:
        full = panoptic == number
        x, y, width, height = cv2.boundingRect(full.view(np.uint8))
        masks.append(Mask(x, y, full[y : y + height, x : x + width]))
        boxes.append((x, y, x + width, y + height))
    return Instances(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([scores[i >> 16] for i in ids], np.float32),
        np.array([i & 0xFF for i in ids], np.uint8),
        tuple(masks),
    )


def _interpolated(right: BoolArray, wanted: int) -> float:
    hits = np.cumsum(right)
    recall = hits / wanted
    precision = hits / (np.arange(1, len(right) + 1) + np.spacing(1))
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.append(highest, 0.0)[np.searchsorted(recall, RECALLS, side="left")].mean())

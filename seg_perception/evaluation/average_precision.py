"""Average precision of masks, as pycocotools' COCOeval computes it (all areas, 100 detections per image and class).

Lin et al., "Microsoft COCO", ECCV 2014: the mean over IoU thresholds 0.5, 0.55 ... 0.95 of the interpolated precision
at 101 recalls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.confusion import mean
from seg_perception.evaluation.segments import Float64Array, Segments, numbered
from seg_perception.types import UNLABELLED, BoolArray, Instances, Int64Array, Mask, UInt8Array

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


def average_precision(
    truth: NDArray[Any], segments: Segments, things: BoolArray, found: Instances, classes: int
) -> AveragePrecision:
    """Judge what was ``found`` in one image by its panoptic truth ``(H, W)``; ``segments`` are the truth's, ``things``
    ``(256,)`` bool says which classes are asked for.

    A crowd is an ignored region for its class and void one for every class, both as pycocotools treats ``iscrowd``: a
    detection that matches nothing else and lies in it by the threshold's part counts as neither right nor wrong.
    """
    ids, areas = np.unique(truth, return_counts=True) if truth.size else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    t = segments.of(ids.astype(np.int64))
    common, own = np.zeros((len(found), len(ids))), np.zeros(len(found))
    for row, mask in enumerate(found.masks):
        height, width = mask.bits.shape
        pixels = truth[mask.y : mask.y + height, mask.x : mask.x + width][mask.bits]
        if pixels.size:
            present, index = numbered(pixels)
            common[row, np.searchsorted(ids, present)] = np.bincount(index)
            own[row] = pixels.size
    total = AveragePrecision.zero(classes)
    for label in np.flatnonzero(things[:classes]).tolist():
        asked = (t.classes == label) & ~t.crowd
        ignored = (t.classes == UNLABELLED) | ((t.classes == label) & t.crowd)
        mine = np.flatnonzero(found.labels == label)
        mine = mine[np.argsort(-found.scores[mine].astype(np.float64), kind="stable")][:MAX_DETECTIONS]
        if not asked.any() and not len(mine):
            continue
        part = common[np.ix_(mine, asked)]
        union = own[mine, None] + areas[asked] - part
        inside = np.divide(
            common[mine][:, ignored],
            own[mine, None],
            out=np.zeros((len(mine), int(ignored.sum()))),
            where=own[mine, None] > 0,
        )
        right, left = judged(part / np.maximum(union, 1), inside)
        wanted = np.zeros(classes, np.int64)
        wanted[label] = asked.sum()
        scores = found.scores[mine].astype(np.float64)
        total += AveragePrecision(found.labels[mine], scores, right, left, wanted)
    return total


def judged(iou: Float64Array, inside: Float64Array) -> tuple[BoolArray, BoolArray]:
    """Which detections of one class are right and which are ignored, ``(N, 10)`` bool each.

    ``iou`` ``(N, T)`` with the true objects, best score first; ``inside`` ``(N, I)`` the part of each detection that
    lies in each ignored region. In turn each takes, by threshold, the free object of highest IoU.
    """
    least = np.minimum(THRESHOLDS, 1 - 1e-10)
    right = np.zeros((len(iou), len(least)), np.bool_)
    free = np.ones((len(least), iou.shape[1]), np.bool_)
    for row in np.flatnonzero((iou >= least[0]).any(1)).tolist():
        fits = free & (iou[row] >= least[:, None])
        # Of equals the last is taken, as in pycocotools.
        best = iou.shape[1] - 1 - np.argmax(np.where(fits, iou[row], -1.0)[:, ::-1], axis=1)
        right[row] = fits.any(1)
        free[right[row], best[right[row]]] = False
    ignored: BoolArray = ~right & (inside[:, :, None] >= least).any(1)
    return right, ignored


def painted(panoptic: NDArray[Any], scores: Mapping[int, float]) -> Instances:
    """The instances that a predicted panoptic map shows: one per track id that has pixels and a score."""
    ids = [int(i) for i in np.unique(panoptic) if int(i) >> 16 in scores and int(i) >> 16 > 0]
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

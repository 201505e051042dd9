"""Panoptic maps as COCO's panoptic and instance annotations, which annotation tools import.

Lin et al., "Microsoft COCO", ECCV 2014, and the formats of cocodataset.org/#format-data. Category ids are class ids
plus 1: 0 is no category to many tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED, BoolArray, UInt8Array

TOLERANCE = 1.0
"""Pixels that a polygon may be away from its mask's border: an annotator moves tens of points, not hundreds."""

SPECK = 16
"""Pixels below which a part of a thing is nothing that an annotator wants to move; the panoptic map has them all."""


def categories(labels: LabelSpace) -> list[dict[str, Any]]:
    """COCO's ``categories`` of a label space."""
    return [
        {
            "id": c.id + 1,
            "name": c.name,
            "supercategory": c.parent or c.name,
            "isthing": int(c.kind == "thing"),
            "color": list(c.colour),
        }
        for c in labels.classes
    ]


def segments(panoptic: NDArray[Any], labels: LabelSpace) -> tuple[UInt8Array, list[dict[str, Any]]]:
    """A panoptic map ``(H, W)`` (``track_id << 16 | class_id``) as COCO's panoptic picture and its ``segments_info``.

    The picture is ``(H, W, 3)`` uint8 RGB, the segment's id being R + 256 G + 65536 B; ids count from 1 in every image,
    0 is void. A thing whose instance is not known is a crowd.
    """
    values, numbers = np.unique(panoptic, return_inverse=True)
    known = (values & 0xFFFF) != UNLABELLED
    ids = np.where(known, np.cumsum(known), 0)
    numbered = ids[numbers.reshape(panoptic.shape)].astype(np.int32)
    infos = []
    for value, number in zip(values[known].tolist(), ids[known].tolist(), strict=True):
        mask = numbered == number
        label = value & 0xFFFF
        infos.append(
            {
                "id": number,
                "category_id": label + 1,
                "area": int(np.count_nonzero(mask)),
                "bbox": list(cv2.boundingRect(mask.view(np.uint8))),
                "iscrowd": int(bool(labels.things[label]) and value >> 16 == 0),
            }
        )
    picture = np.stack([numbered & 0xFF, numbered >> 8 & 0xFF, numbered >> 16], axis=-1).astype(np.uint8)
    return picture, infos


def instances(panoptic: NDArray[Any], labels: LabelSpace) -> Iterator[dict[str, Any]]:
    """COCO's instance annotations of a panoptic map, without ``id`` and ``image_id``. ``track_id`` is ours, and lets a
    tool follow a thing through the frames of a bag; 0 is a crowd.

    Crowds have polygons as well, where COCO itself has run lengths: Label Studio stops at those.
    """
    for value in np.unique(panoptic).tolist():
        label = value & 0xFFFF
        if label == UNLABELLED or not labels.things[label]:
            continue
        mask = panoptic == value
        yield {
            "category_id": label + 1,
            "segmentation": polygons(mask),
            "area": int(np.count_nonzero(mask)),
            "bbox": list(cv2.boundingRect(mask.view(np.uint8))),
            "iscrowd": int(value >> 16 == 0),
            "track_id": value >> 16,
        }


def polygons(mask: BoolArray, tolerance: float = TOLERANCE, speck: int = SPECK) -> list[list[float]]:
    """``mask`` ``(H, W)`` as polygons ``x0, y0, x1, y1 ...`` along its pixels' edges, simplified to within
    ``tolerance`` pixels (0: exactly). Parts of fewer than ``speck`` pixels are left out, but for the largest. COCO's
    polygons have no holes: a part with a hole is cut in two through it.
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    kept = [i + 1 for i in range(count - 1) if sizes[i] >= min(speck, sizes.max())]
    pieces = (piece for number in kept for piece in _without_holes(parts == number))
    return [[float(v) for v in polygon.reshape(-1)] for piece in pieces for polygon in _outlines(piece, tolerance)]


def _without_holes(part: BoolArray) -> Iterator[BoolArray]:
    """A connected part, cut until no piece has a hole."""
    contours, nesting = cv2.findContours(part.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    hole = next((c for c, (*_, parent) in zip(contours, nesting[0].tolist(), strict=True) if parent >= 0), None)
    if hole is None:
        yield part
        return
    # Through the middle of the hole, whose contour runs on the pixels around it.
    row = (int(hole[..., 1].min()) + int(hole[..., 1].max()) + 1) // 2
    upper = part.copy()
    upper[row:] = False
    for half in (upper, part & ~upper):
        count, pieces = cv2.connectedComponents(half.view(np.uint8), connectivity=4)
        for number in range(1, count):
            yield from _without_holes(pieces == number)


def _outlines(part: BoolArray, tolerance: float) -> Iterator[NDArray[np.int32]]:
    # At twice the size a contour on the pixels' centres tells on which side of each pixel it runs: even left or above,
    # odd right or below.
    doubled = part.repeat(2, axis=0).repeat(2, axis=1).view(np.uint8)
    for contour in cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
        corners = (np.asarray(contour, np.int32)[:, 0] + 1) // 2
        simple = cv2.approxPolyDP(corners[:, None], tolerance, True)[:, 0]
        # Less than a triangle has no inside.
        yield np.asarray(simple if len(simple) >= 3 else cv2.approxPolyDP(corners[:, None], 0, True)[:, 0], np.int32)

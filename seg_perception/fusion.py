"""A semantic map and tracked instances become one panoptic picture.

Instances are painted over the semantic map in the order of their scores; what an earlier one holds stays its own, and
an instance that is mostly covered by earlier ones is dropped whole. That is the rule of Panoptic Feature Pyramid
Networks (Kirillov et al., CVPR 2019), which detectron2 implements, with two differences that planners need: pixels that
the semantic network gives to a thing class but no instance claims keep their class (with track id 0) instead of
becoming void, and no instance turns a priority class into something without priority.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from seg_perception.labels import LabelSpace
from seg_perception.schema import option
from seg_perception.types import UNLABELLED, BoolArray, Mask, PanopticMap, SemanticMap, Tracks, UInt8Array


@dataclass(frozen=True)
class FusionConfig:
    """How instances share pixels."""

    max_overlap: float = option(
        0.5, "an instance is dropped when more than this part of it lies under better-scored ones", ge=0.0, le=1.0
    )
    least_stuff: float = option(
        0.0,
        "stuff without priority that has a smaller part of the frame than this becomes unlabelled, obstacles too",
        ge=0.0,
        le=0.1,
    )


def fuse(semantic: SemanticMap, tracks: Tracks, labels: LabelSpace, config: FusionConfig) -> PanopticMap:
    """Paint the visible ``tracks`` over ``semantic``; the arguments stay as they are.

    Masks lie inside the map (see :class:`Mask`). A painted pixel gets its track's class, id and score (scaled to
    1..255); every other one keeps what the semantic network said, with track id 0. A track whose class is stuff in
    ``labels`` paints its class with track id 0. Equal scores are painted in the order of ``tracks``. A class of stuff
    that is left with less than ``config.least_stuff`` of the frame is more often a mistake than not, and becomes
    unlabelled (detectron2's ``stuff_area_limit``); not one with priority.
    """
    fused = PanopticMap(semantic.labels.copy(), semantic.confidence.copy(), semantic.labels.astype(np.int32))
    claimed = np.zeros(semantic.labels.shape, np.bool_)
    order = np.argsort(-tracks.scores, kind="stable")
    for i in order[tracks.visible[order]].tolist():
        mask, label = tracks.masks[i], int(tracks.labels[i])
        free = _claim(mask, claimed, _protected(mask, label, semantic.labels, labels), config.max_overlap)
        if free is not None:
            track_id = int(tracks.track_ids[i]) if labels.things[label] else 0
            confidence = min(max(round(float(tracks.scores[i]) * 255.0), 1), 255)
            _paint(fused.semantic, mask, free, label)
            _paint(fused.confidence, mask, free, confidence)
            _paint(fused.panoptic, mask, free, track_id << 16 | label)
    if config.least_stuff > 0.0:
        _unlabel_specks(fused, labels, config.least_stuff)
    return fused


def _unlabel_specks(fused: PanopticMap, labels: LabelSpace, least: float) -> None:
    areas = np.asarray(cv2.calcHist([fused.semantic], [0], None, [256], [0, 256])).ravel()
    specks = ~labels.things & (labels.priorities == 0) & (areas > 0) & (areas < least * fused.semantic.size)
    specks[UNLABELLED] = False
    if not specks.any():
        return
    gone = np.asarray(cv2.LUT(fused.semantic, specks.view(np.uint8)))
    for image, nothing in ((fused.panoptic, UNLABELLED), (fused.confidence, 0), (fused.semantic, UNLABELLED)):
        cv2.copyTo(np.full_like(image, nothing), gone, image)


def _claim(mask: Mask, claimed: BoolArray, protected: BoolArray | None, max_overlap: float) -> BoolArray | None:
    """The pixels of ``mask`` that nobody holds, now marked in ``claimed``; None when too few are left."""
    bits = mask.bits if protected is None else mask.bits & ~protected
    crop = claimed[_window(mask)]
    # Counting inside the crop is all that the rule needs: no histogram over the image.
    free = bits > crop
    area, remainder = np.count_nonzero(bits), np.count_nonzero(free)
    if remainder == 0 or area - remainder > max_overlap * area:
        return None
    np.logical_or(crop, free, out=crop)
    return free


def _protected(mask: Mask, label: int, semantic: UInt8Array, labels: LabelSpace) -> BoolArray | None:
    """The pixels that the semantic network gives to a priority class, where ``label`` has no priority itself."""
    if labels.priorities[label] > 0:
        return None
    protected: BoolArray = labels.priorities[semantic[_window(mask)]] > 0
    return protected


def _window(mask: Mask) -> tuple[slice, slice]:
    height, width = mask.bits.shape
    return slice(mask.y, mask.y + height), slice(mask.x, mask.x + width)


def _paint(image: np.ndarray, mask: Mask, free: BoolArray, value: int) -> None:
    # cv2.copyTo writes through the view into ``image``, four times as fast as a boolean assignment.
    cv2.copyTo(np.full(free.shape, value, image.dtype), free.view(np.uint8), image[_window(mask)])

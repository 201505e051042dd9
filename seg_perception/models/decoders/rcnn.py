"""R-CNN-style outputs to instances: boxes with scores, labels and a small mask each, as Mask R-CNN's heads make them.

Masks are pasted by the rule of torchvision's ``paste_masks_in_image``: a border of zeros around the mask, the box made
larger by as much and cut to whole pixels, bilinear interpolation (half-pixel centres) to its size. Only the pixels of
the box are made. A pixel may differ where its probability is 0.5 to the last bits, and a border by one pixel where a
box ends on a whole pixel to the last bits: both libraries round these in their own order.
"""

from __future__ import annotations

import cv2
import numpy as np

from seg_perception.models.decoders.yolo import to_image
from seg_perception.models.geometry import View
from seg_perception.types import UNLABELLED, Float32Array, Instances, Mask, UInt8Array


def decode(
    boxes: Float32Array,
    scores: Float32Array,
    labels: Float32Array,
    masks: Float32Array,
    view: View,
    table: UInt8Array,
    *,
    score: float,
) -> Instances:
    """The things in one view, in image pixels.

    ``boxes`` ``(N, 4)`` x0 y0 x1 y1 in input pixels, ``scores`` and ``labels`` ``(N,)``, ``masks`` ``(N, h, w)``
    probabilities inside the boxes, all float32; the network has already suppressed what overlaps. ``table`` ``(256,)``
    maps labels to class ids (255: ignored). Boxes below ``score`` or not finite and things without a pixel are dropped.
    """
    known = (labels >= 0) & (labels < len(table))  # false for NaN
    ids = np.where(known, table[np.where(known, labels, 0).astype(np.intp)], np.uint8(UNLABELLED))
    found = np.flatnonzero((scores >= score) & (ids != UNLABELLED) & np.isfinite(boxes).all(axis=1))
    placed = to_image(boxes[found], view)
    right, bottom = view.x.start + view.x.length, view.y.start + view.y.length
    pasted = [
        _pasted(mask, place, view.x.start, view.y.start, right, bottom)
        for mask, place in zip(_bordered(masks[found]), _outer(placed, masks.shape[1:]).tolist(), strict=True)
    ]
    seen = [i for i, mask in enumerate(pasted) if mask.bits.any()]
    certain = np.clip(scores[found], 0, 1).astype(np.float32)
    return Instances(placed[seen], certain[seen], ids[found][seen], tuple(pasted[i] for i in seen))


def _bordered(masks: Float32Array) -> Float32Array:
    return np.pad(masks, ((0, 0), (1, 1), (1, 1)))


def _outer(boxes: Float32Array, size: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The pixels ``(N, 4)`` x y width height that bordered masks of ``size`` (h, w without border) fall on."""
    corner, opposite = boxes[:, :2], boxes[:, 2:]
    growth = np.array([(n + 2) / n for n in reversed(size)], np.float32)
    half = (opposite - corner) * np.float32(0.5) * growth
    centre = (opposite + corner) * np.float32(0.5)
    low, high = (centre - half).astype(np.int64), (centre + half).astype(np.int64)  # towards zero
    return np.concatenate([low, np.maximum(high - low + 1, 1)], axis=1)


def _pasted(mask: Float32Array, place: list[int], left: int, top: int, right: int, bottom: int) -> Mask:
    """One bordered mask on its pixels, without those beyond the view."""
    x, y, width, height = place
    fine = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR))
    x0, y0, x1, y1 = max(x, left), max(y, top), min(x + width, right), min(y + height, bottom)
    return Mask(x0, y0, fine[y0 - y : max(y1 - y, 0), x0 - x : max(x1 - x, 0)] > 0.5)

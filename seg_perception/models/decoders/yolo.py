"""YOLO-style outputs to instances: boxes, class scores and mask coefficients per anchor, and mask prototypes.

The layout is that of YOLOv8-seg as Ultralytics exports it: ``[4 + C + M, A]`` with cx, cy, w, h in input pixels, C
class scores (sigmoid applied) and M coefficients for each of A anchors, and ``[M, h, w]`` prototypes that cover the
input. A mask is ``sigmoid(coefficients @ prototypes) > 0.5``, interpolated bilinearly, inside its box.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seg_perception.models.geometry import Axis, View, bilinear, lasting_axis
from seg_perception.types import UNLABELLED, Float32Array, Instances, Mask, UInt8Array

MAX_INSTANCES = 300
"""At most so many things per view, the best by score."""

_MAX_CANDIDATES = 3000


def decode(
    anchors: Float32Array,
    prototypes: Float32Array,
    view: View,
    input_size: tuple[int, int],
    kept: NDArray[np.intp],
    table: UInt8Array,
    *,
    score: float,
    iou: float,
) -> Instances:
    """The things in one view, in image pixels.

    ``anchors`` ``(4 + C + M, A)`` and ``prototypes`` ``(M, h, w)`` float32 as above; ``kept`` the channels that count,
    ``table`` ``(256,)`` maps them to class ids (255: ignored). The best kept class of an anchor counts if it reaches
    ``score``; of boxes of one class id that overlap by more than ``iou`` the best stays. Anchors and masks that are not
    finite and things without a pixel are dropped.

    Masks are interpolated at the image's resolution and cut at the box there. Implementations that cut at the
    prototypes' resolution differ by up to one prototype along the box.
    """
    count = anchors.shape[0] - 4 - len(prototypes)
    wanted = kept[table[kept] != UNLABELLED]
    if not len(wanted):
        return Instances.empty()
    class_scores = anchors[4 : 4 + count] if len(wanted) == count else anchors[4 + wanted]
    best = class_scores.max(axis=0)
    finite = np.isfinite(best) & np.isfinite(anchors[:4]).all(axis=0) & np.isfinite(anchors[4 + count :]).all(axis=0)
    found = np.flatnonzero((best >= score) & finite)
    found = found[np.argsort(-best[found], kind="stable")[:_MAX_CANDIDATES]]
    labels = table[wanted[class_scores[:, found].argmax(axis=0)]]
    boxes = _corners(anchors[:4, found])
    chosen = suppress(boxes, labels, iou)[:MAX_INSTANCES]
    found, labels, boxes = found[chosen], labels[chosen], to_image(boxes[chosen], view)
    coefficients = anchors[4 + count :, found].T
    rows, columns = (
        lasting_axis(span, span.start, span.start + span.length, size, grid)
        for span, size, grid in zip((view.y, view.x), input_size, prototypes.shape[1:], strict=True)
    )
    masks = [_mask(c, prototypes, box, view, rows, columns) for c, box in zip(coefficients, boxes, strict=True)]
    seen = [i for i, mask in enumerate(masks) if mask.bits.any()]
    scores = np.clip(best[found], 0, 1).astype(np.float32)
    return Instances(boxes[seen], scores[seen], labels[seen], tuple(masks[i] for i in seen))


def _corners(centred: Float32Array) -> Float32Array:
    """``(4, N)`` cx cy w h as ``(N, 4)`` x0 y0 x1 y1."""
    centre, half = centred[:2], centred[2:] / 2
    return np.concatenate([centre - half, centre + half]).T.astype(np.float32)


def suppress(boxes: Float32Array, labels: UInt8Array, iou: float) -> NDArray[np.intp]:
    """Indices of the boxes that stay of ``(N, 4)``, which come best first: each stands unless an earlier standing one
    of its label overlaps it by more than ``iou``.
    """
    overlaps = box_iou(boxes, boxes) > iou
    overlaps &= labels[:, None] == labels
    standing = np.ones(len(boxes), np.bool_)
    for i in np.flatnonzero(overlaps.sum(axis=1) > 1):  # the others overlap but themselves
        if standing[i]:
            standing[i + 1 :] &= ~overlaps[i, i + 1 :]
    return np.flatnonzero(standing)


def box_iou(a: Float32Array, b: Float32Array) -> Float32Array:
    """``(N, 4)`` and ``(M, 4)`` boxes to ``(N, M)`` intersection over union; 0 where both are empty."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum(a[:, None, 2:], b[:, 2:])
    size = np.clip(high - low, 0, None)
    common = size[..., 0] * size[..., 1]
    union = _area(a)[:, None] + _area(b) - common
    return np.asarray(common / np.maximum(union, np.float32(1e-9)), np.float32)


def _area(boxes: Float32Array) -> Float32Array:
    size = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(size[:, 0] * size[:, 1], np.float32)


def to_image(boxes: Float32Array, view: View) -> Float32Array:
    """``(N, 4)`` boxes in input pixels as image pixels, cut at the view's border."""
    x = np.clip(view.x.to_image(boxes[:, 0::2]), view.x.start, view.x.start + view.x.length)
    y = np.clip(view.y.to_image(boxes[:, 1::2]), view.y.start, view.y.start + view.y.length)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.float32)


def _mask(
    coefficients: Float32Array, prototypes: Float32Array, box: Float32Array, view: View, rows: Axis, columns: Axis
) -> Mask:
    """The mask of one box, of the pixels whose centres are in it; only the prototypes that these need are combined.

    ``rows`` and ``columns`` lead from the view's pixels to the prototypes.
    """
    x0, y0, x1, y1 = (int(v) for v in np.ceil(box - 0.5))
    if x1 <= x0 or y1 <= y0:
        return Mask(x0, y0, np.zeros((0, 0), np.bool_))
    cut_y, rows = rows.part(y0 - view.y.start, y1 - view.y.start)
    cut_x, columns = columns.part(x0 - view.x.start, x1 - view.x.start)
    grid = np.tensordot(coefficients, prototypes[:, cut_y, cut_x], 1)
    # 1 / (1 + e^-x) as a tanh, which neither overflows nor warns
    probability = (0.5 * np.tanh(0.5 * grid) + 0.5).astype(np.float32)
    return Mask(x0, y0, bilinear(probability, rows, columns) > 0.5)

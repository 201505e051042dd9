"""The things found in overlapping views of one image, each once.

A thing at a seam is found in two views, often cut by the border of one or of both; a network that is shown the whole
image too finds large things there once more. Two finds from different views are one thing when they are of one class
and their masks agree where both views look: a whole find then replaces a cut one, and two cut ones are put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seg_perception.models.geometry import View
from seg_perception.types import BoolArray, Float32Array, Instances, Mask

_AGREEMENT = 0.5  # overlap of the masks, where both views look, from which on two finds are one thing
_MARGIN = 3.0  # input pixels: a box that comes so near to a view's border is cut there
_COVERED = 0.6  # a find with more of its mask than this inside a better one of its class is that one again
_COARSE = 0.7  # a view of less than this part of the finest scale has masks that give way to finer ones


@dataclass(frozen=True)
class _Find:
    """One thing in one view, or several cut finds put together."""

    box: tuple[float, ...]
    score: float
    label: int
    mask: Mask
    views: tuple[View, ...]
    cut: bool
    coarse: bool


def merge(found: Sequence[tuple[View, Instances]], height: int, width: int, iou: float) -> Instances:
    """All things of an image of ``height`` x ``width`` from what was found in its views.

    Whole finds go before cut ones, fine views before coarse ones, then the higher score counts. ``iou`` is the overlap
    of boxes of one class from which on they are one thing in any case.
    """
    finest = max(view.scale for view, _ in found)
    finds = [
        _Find(
            tuple(box.tolist()),
            float(score),
            int(label),
            mask,
            (view,),
            _is_cut(box, view, height, width),
            view.scale < _COARSE * finest,
        )
        for view, instances in found
        for box, score, label, mask in zip(
            instances.boxes, instances.scores, instances.labels, instances.masks, strict=True
        )
    ]
    finds.sort(key=lambda f: (f.cut, f.coarse, -f.score))
    things: list[_Find] = []
    for find in finds:
        same = [i for i, thing in enumerate(things) if _one_thing(thing, find, iou)]
        if not same:
            things.append(find)
        elif find.cut and all(things[i].cut for i in same):
            things[same[0]] = _joined([find, *(things[i] for i in same)])
            things = [thing for i, thing in enumerate(things) if i not in same[1:]]
    things = _without_doubles(things)
    if not things:
        return Instances.empty()
    return Instances(
        np.array([t.box for t in things], np.float32),
        np.array([t.score for t in things], np.float32),
        np.array([t.label for t in things], np.uint8),
        tuple(t.mask for t in things),
    )


def uncut(found: Instances, view: View, height: int, width: int) -> Instances:
    """Those of the things found in ``view`` that do not end at a border of it which is not the image's."""
    whole = [i for i, box in enumerate(found.boxes) if not _is_cut(box, view, height, width)]
    return Instances(found.boxes[whole], found.scores[whole], found.labels[whole], tuple(found.masks[i] for i in whole))


def _without_doubles(things: Sequence[_Find]) -> list[_Find]:
    """Networks see halves of a thing as things of their own, in boxes that overlap little. Masks of things that hide
    each other hardly overlap, so a find that lies mostly within a better one of its class is none; except that a coarse
    mask may well cover a small thing in front of it, which only a finer view shows.
    """
    kept: list[_Find] = []
    for find in sorted(things, key=lambda f: -f.score):
        area = np.count_nonzero(find.mask.bits)
        rivals = (k for k in kept if (k.label, k.coarse) == (find.label, find.coarse) and _box_iou(k.box, find.box) > 0)
        if area and all(np.count_nonzero(_common(find.mask, r.mask)) <= _COVERED * area for r in rivals):
            kept.append(find)
    return kept


def _is_cut(box: Float32Array, view: View, height: int, width: int) -> bool:
    """Whether the box ends at a border of the view that is not the image's."""
    for span, low, high, size in ((view.x, box[0], box[2], width), (view.y, box[1], box[3], height)):
        margin = _MARGIN / span.scale
        stop = span.start + span.length
        if (span.start > 0 and low < span.start + margin) or (stop < size and high > stop - margin):
            return True
    return False


def _one_thing(a: _Find, b: _Find, iou: float) -> bool:
    if a.label != b.label or any(view in a.views for view in b.views):
        return False
    overlap = _box_iou(a.box, b.box)
    if overlap > iou or overlap == 0:
        return overlap > 0
    common = int(np.count_nonzero(_common(a.mask, b.mask)))
    if common == 0:
        return False
    area_a, area_b = _seen_area(a.mask, b.views), _seen_area(b.mask, a.views)
    # Of a cut thing only a part may be there, which then lies within the other. Two whole ones must agree as wholes:
    # the smaller may be another thing, in front of the larger or hidden by its coarse mask.
    either = min(area_a, area_b) if a.cut or b.cut else area_a + area_b - common
    return common > _AGREEMENT * either


def _box_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Of two boxes; plain numbers, for which numpy would take ten times as long."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def _common(a: Mask, b: Mask) -> BoolArray:
    """The pixels that are in both, as a mask of the rectangle that both share."""
    return _cropped(a, b.x, b.y, *b.bits.shape[::-1]) & _cropped(b, a.x, a.y, *a.bits.shape[::-1])


def _seen_area(mask: Mask, by: tuple[View, ...]) -> int:
    """The mask's pixels within the views ``by``, at least 1."""
    areas = [int(_cropped(mask, v.x.start, v.y.start, v.x.length, v.y.length).sum()) for v in by]
    return max(1, *areas)


def _cropped(mask: Mask, x: int, y: int, width: int, height: int) -> BoolArray:
    """The part of the mask within a rectangle."""
    top, left = max(y - mask.y, 0), max(x - mask.x, 0)
    return mask.bits[top : max(y + height - mask.y, 0), left : max(x + width - mask.x, 0)]


def _joined(finds: Sequence[_Find]) -> _Find:
    """Cut finds of one thing as one."""
    x0, y0, x1, y1 = zip(*(f.box for f in finds), strict=True)
    left, top = min(f.mask.x for f in finds), min(f.mask.y for f in finds)
    right = max(f.mask.x + f.mask.bits.shape[1] for f in finds)
    bottom = max(f.mask.y + f.mask.bits.shape[0] for f in finds)
    bits = np.zeros((bottom - top, right - left), np.bool_)
    for f in finds:
        h, w = f.mask.bits.shape
        bits[f.mask.y - top : f.mask.y - top + h, f.mask.x - left : f.mask.x - left + w] |= f.mask.bits
    return _Find(
        (min(x0), min(y0), max(x1), max(y1)),
        max(f.score for f in finds),
        finds[0].label,
        Mask(left, top, bits),
        tuple(view for f in finds for view in f.views),
        cut=True,
        coarse=all(f.coarse for f in finds),
    )

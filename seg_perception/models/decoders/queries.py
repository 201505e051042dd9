"""Query-style outputs to labels, segments and things: Mask2Former and its kin (MaskFormer, OneFormer).

Every query says which class it holds, "no object" among them, and where: one mask. Three rules read that, those of the
papers (Cheng et al., "Per-Pixel Classification is Not All You Need for Semantic Segmentation", NeurIPS 2021, and
"Masked-attention Mask Transformer for Universal Image Segmentation", CVPR 2022) as Hugging Face's transformers
implement them (``post_process_semantic_segmentation``, ``..._panoptic_...``, ``..._instance_...``):

- :func:`semantic`: a class's score at a pixel is the sum over the queries of class probability times mask probability;
  the best class wins.
- :func:`segments`: queries compete for pixels with score times mask probability; one that loses too much of its mask
  is dropped.
- :func:`instances`: every query stands alone, with every class that is probable enough.

Results are equal to theirs but where two numbers are equal to rounding. Masks stay on the network's grid for as long as
possible: what is interpolated to the image's size is one map of winners, not a mask per query.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.models.decoders.dense_logits import sampled, spread, upsampled_argmax
from seg_perception.models.geometry import Axis, Span, View, lasting_axis, lasting_cells
from seg_perception.types import UNLABELLED, BoolArray, Float32Array, IndexArray, Instances, Mask, UInt8Array

MAX_SEGMENTS = 254
"""At most so many queries compete for pixels, the best by score."""

_HALF = 0.5  # mask probability from which on a pixel is in a mask
_SHARE = 0.2499  # see _rivals; a quarter, less what rounding may do
_CELLS = 4096  # cells on the border of a mask interpolated at a time: more would leave the cache


def class_probabilities(logits: Float32Array) -> Float32Array:
    """``(Q, C + 1)`` logits, the last one "no object", to their softmax."""
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def mask_probabilities(logits: Float32Array, grid: tuple[int, int] = (0, 0)) -> Float32Array:
    """``(Q, h, w)`` mask logits to their sigmoid; interpolated before that to ``grid`` (height, width), unless that is
    0.
    """
    height, width = shape = logits.shape[1:] if not all(grid) else grid
    masks = np.empty((len(logits), height, width), np.float32)
    with np.errstate(over="ignore"):  # e^x is infinite where the probability is 0
        for given, mask in zip(logits, masks, strict=True):  # one at a time: it stays in the cache
            if given.shape == shape:
                np.negative(given, out=mask)
            else:
                cv2.resize(given, (width, height), dst=mask, interpolation=cv2.INTER_LINEAR)
                np.negative(mask, out=mask)
            np.exp(mask, out=mask)
            mask += 1
            np.reciprocal(mask, out=mask)
    return masks


def semantic(
    classes: Float32Array,
    masks: Float32Array,
    view: View,
    input_size: tuple[int, int],
    table: UInt8Array,
    labels: UInt8Array,
    confidence: UInt8Array,
) -> None:
    """Write the pixels that ``view`` owns into ``labels`` and ``confidence``, both ``(H, W)`` uint8 of the image.

    ``classes`` ``(Q, C + 1)`` and ``masks`` ``(Q, h, w)`` float32 are probabilities; the masks cover the network's
    input of ``input_size`` (height, width). ``table`` ``(256,)`` maps classes to class ids after the argmax; of equal
    scores the lowest class wins, and where a mask is NaN nothing is known.

    The confidence is the winner's score, at most 1, interpolated as bytes from a coarse grid as in
    :func:`seg_perception.models.decoders.dense_logits.decode`: low where no query claims the pixel.
    """
    own_y, own_x = view.own
    cut_y, rows = _part(view.y, own_y.start, own_y.stop, input_size[0], masks.shape[1])
    cut_x, columns = _part(view.x, own_x.start, own_x.stop, input_size[1], masks.shape[2])
    channels, scores = _rivals(classes, masks[:, cut_y, cut_x])
    homes = np.full(256, UNLABELLED, np.uint8)
    homes[: len(channels)] = table[channels]
    found, sure = labels[view.own], confidence[view.own]
    found[:] = upsampled_argmax(scores, rows, columns, homes)
    np.multiply(spread(sampled(scores).max(axis=0), scores.shape[1:], rows, columns), found != UNLABELLED, out=sure)


@lru_cache(maxsize=256)
def _part(span: Span, start: int, stop: int, input_size: int, grid_size: int) -> tuple[slice, Axis]:
    """The grid points that the image pixels from ``start`` to ``stop`` need, and the axis from those alone; remembered
    as :func:`lasting_axis` is.
    """
    whole = lasting_axis(span, start, stop, input_size, grid_size)
    return whole.part(0, len(whole))


def _rivals(classes: Float32Array, masks: Float32Array) -> tuple[IndexArray, Float32Array]:
    """The classes that may win somewhere, rising, and their scores ``(n, h, w)``.

    A class scores at most as much as with every mask at its peak, and at least as much as a single query that names it
    gives it. At any pixel one of the grid points around has a weight of at least a quarter, and with it the score of
    the class that is best there: a class that cannot reach a quarter of the least winning score wins nowhere. Most
    networks leave a dozen of more than a hundred.
    """
    count, height, width = masks.shape
    flat, probable = np.ascontiguousarray(masks).reshape(count, -1), classes[:, :-1]
    best = classes.argmax(axis=1)
    winning, one = np.zeros(height * width, np.float32), np.empty(height * width, np.float32)
    for query in np.flatnonzero(best < probable.shape[1]):
        np.multiply(flat[query], classes[query, best[query]], out=one)
        np.maximum(winning, one, out=winning)
    beaten = flat.max(axis=1) @ probable < _SHARE * winning.min()  # false for NaN
    channels = np.flatnonzero(~beaten)
    return channels, (probable.T[channels] @ flat).reshape(-1, height, width)


@dataclass(frozen=True, slots=True)
class Segments:
    """The panoptic answer for one view: N segments in the order of their queries, none on top of another.

    ``owner`` ``(H, W)`` uint8, a pixel of the view each: the number of the query that holds it. ``numbers`` ``(N,)``
    are those that stand as segments, with ``channels`` ``(N,)`` the class of the model and ``scores`` ``(N,)`` float32
    its probability; pixels of other numbers belong to nobody.
    """

    owner: UInt8Array
    numbers: IndexArray
    channels: IndexArray
    scores: Float32Array


def segments(
    classes: Float32Array,
    masks: Float32Array,
    view: View,
    input_size: tuple[int, int],
    *,
    score: float,
    share: float,
) -> Segments:
    """The queries that hold something, each pixel of the view given to one of them.

    ``classes``, ``masks`` and ``input_size`` as in :func:`semantic`. A query takes part if its best class is not "no
    object" and more probable than ``score``; a pixel goes to the largest product of that score and the mask's
    probability; a query stands if it holds more pixels than ``share`` of those where its product reaches 0.5. Queries
    that are not finite take no part.
    """
    best, sure = classes.argmax(axis=1), classes.max(axis=1)
    taking = np.flatnonzero((best < classes.shape[1] - 1) & (sure > score))
    taking = np.sort(taking[np.argsort(-sure[taking], kind="stable")[:MAX_SEGMENTS]])
    products = masks[taking] * sure[taking, None, None]
    finite = np.isfinite(products.sum(axis=(1, 2)))
    if not finite.all():
        taking, products = taking[finite], products[finite]
    rows, columns = _axes(view, input_size, masks.shape)
    if not len(taking):
        nobody = np.full((len(rows), len(columns)), UNLABELLED, np.uint8)
        return Segments(nobody, taking, taking, np.zeros(0, np.float32))
    owner = upsampled_argmax(products, rows, columns)
    held = cv2.calcHist([owner], [0], None, [256], [0, 256]).ravel()[: len(taking)]
    wanted = _areas(products, rows, columns).astype(np.float32)
    # The quotient is a float32 in the rule, and may round to either side of the share.
    quotient = np.divide(held, wanted, out=np.zeros_like(held), where=wanted > 0).astype(np.float64)
    numbers = np.flatnonzero((held > 0) & (quotient > share))
    return Segments(owner, numbers, best[taking[numbers]], sure[taking[numbers]])


def _axes(view: View, input_size: tuple[int, int], shape: tuple[int, ...]) -> tuple[Axis, Axis]:
    """How all pixels of the view fall on grids of ``shape`` (Q, h, w)."""
    rows, columns = (
        lasting_axis(span, span.start, span.start + span.length, size, grid)
        for span, size, grid in zip((view.y, view.x), input_size, shape[1:], strict=True)
    )
    return rows, columns


def _areas(grids: Float32Array, rows: Axis, columns: Axis) -> NDArray[np.int64]:
    """How many pixels of each of the ``(N, h, w)`` grids reach 0.5 when interpolated, ``(N,)``.

    Four grid points that all do, or all do not, decide for every pixel between them; only the others are interpolated.
    """
    count, _, width = grids.shape
    row_cells, column_cells = lasting_cells(rows), lasting_cells(columns)
    above = np.pad(grids >= _HALF, ((0, 0), (1, 1), (1, 1)), mode="edge").view(np.uint8)  # cell (i, j): [i:i+2, j:j+2]
    corners = above[:, :-1] + above[:, 1:]
    corners = corners[:, :, :-1] + corners[:, :, 1:]
    whole = (corners == 4).astype(np.float32) @ column_cells.count.astype(np.float32)
    areas: NDArray[np.int64] = (whole @ row_cells.count).astype(np.int64)
    number, cell_y, cell_x = np.nonzero((corners > 0) & (corners < 4))
    flat = grids.reshape(count, -1)
    for start in range(0, len(number), _CELLS):
        part = slice(start, start + _CELLS)
        n, i, j = number[part], cell_y[part], cell_x[part]
        top, bottom = row_cells.low[i] * width, row_cells.high[i] * width
        left, right = column_cells.low[j], column_cells.high[j]
        weight_y, weight_x = row_cells.weight[:, i][:, None], column_cells.weight[:, j]
        there_y = np.arange(len(weight_y))[:, None, None] < row_cells.count[i]
        there_x = np.arange(len(weight_x))[:, None] < column_cells.count[j]
        upper = flat[n, top + left] * (1 - weight_x) + flat[n, top + right] * weight_x
        lower = flat[n, bottom + left] * (1 - weight_x) + flat[n, bottom + right] * weight_x
        inside = upper * (1 - weight_y) + lower * weight_y >= _HALF  # (rows, columns, cells)
        areas += np.bincount(n, (inside & there_y & there_x).sum(axis=(0, 1)), count).astype(np.int64)
    return areas


def things(found: Segments, view: View, table: UInt8Array) -> Instances:
    """The segments that are things, in image pixels: those whose class ``table`` ``(256,)`` maps to a class id."""
    labels = table[found.channels]
    masks, kept = [], []
    for i in np.flatnonzero(labels != UNLABELLED):
        bits = found.owner == np.uint8(found.numbers[i])
        x, y, width, height = cv2.boundingRect(bits.view(np.uint8))
        masks.append(Mask(view.x.start + x, view.y.start + y, bits[y : y + height, x : x + width].copy()))
        kept.append(i)
    return _together(masks, found.scores[kept], labels[kept])


def instances(
    classes: Float32Array,
    mask_logits: Float32Array,
    view: View,
    input_size: tuple[int, int],
    table: UInt8Array,
    *,
    score: float,
    grid: tuple[int, int] = (0, 0),
) -> Instances:
    """Every query with every class that is probable enough, in image pixels; masks may lie on top of each other.

    ``classes`` ``(Q, C + 1)`` are probabilities, ``mask_logits`` ``(Q, h, w)`` is what the network says, ``grid`` as in
    :func:`mask_probabilities`; ``table`` ``(256,)`` maps classes to class ids (255: left out before the best are
    chosen). Of all pairs of query and class the Q best are looked at. The score is the class's probability times the
    mean of the mask's where that exceeds 0.5; what reaches ``score`` counts. Masks are the grid's points, enlarged.
    """
    probable = np.where(table[: classes.shape[1] - 1] != UNLABELLED, classes[:, :-1], -1).ravel()
    probable[np.isnan(probable)] = -1
    pairs = np.flatnonzero((probable >= score) & (probable >= 0))
    pairs = pairs[np.argsort(-probable[pairs], kind="stable")[: len(classes)]]
    query, channel = np.divmod(pairs, classes.shape[1] - 1)
    looked_at, which = np.unique(query, return_inverse=True)
    candidates = mask_probabilities(mask_logits[looked_at], grid)
    bits = candidates > _HALF
    area = bits.sum(axis=(1, 2))
    mean = (candidates * bits).sum(axis=(1, 2)) / (area + np.float32(1e-6))
    scores = (probable[pairs] * mean[which]).astype(np.float32)
    rows, columns = (
        _nearest(span, size, n) for span, size, n in zip((view.y, view.x), input_size, bits.shape[1:], strict=True)
    )
    enlarged = [_enlarged(mask, view, rows, columns) for mask in bits]
    kept = [i for i in np.flatnonzero(scores >= score).tolist() if enlarged[which[i]].bits.size]
    return _together([enlarged[which[i]] for i in kept], scores[kept], table[channel[kept]])


def _nearest(span: Span, input_size: int, grid_size: int) -> IndexArray:
    """The grid point that each image pixel of the view takes its value from: torch's ``nearest``, which goes by the
    pixels' upper left corners.
    """
    scale = np.float32(span.shown * grid_size / (span.length * input_size))
    position = np.arange(span.length, dtype=np.float32) * scale + np.float32(span.placed * grid_size / input_size)
    points: IndexArray = np.floor(position).astype(np.intp)
    return np.minimum(points, grid_size - 1)


def _enlarged(bits: BoolArray, view: View, rows: IndexArray, columns: IndexArray) -> Mask:
    """A mask on the grid as one of the image, cut at its box."""
    y, x = np.flatnonzero(bits[rows].any(axis=1)), np.flatnonzero(bits[:, columns].any(axis=0))
    if not (len(y) and len(x)):
        return Mask(view.x.start, view.y.start, np.zeros((0, 0), np.bool_))
    box = bits[np.ix_(rows[y[0] : y[-1] + 1], columns[x[0] : x[-1] + 1])]
    return Mask(view.x.start + int(x[0]), view.y.start + int(y[0]), box)


def _together(masks: list[Mask], scores: Float32Array, labels: UInt8Array) -> Instances:
    boxes = [(m.x, m.y, m.x + m.bits.shape[1], m.y + m.bits.shape[0]) for m in masks]
    return Instances(np.array(boxes, np.float32).reshape(-1, 4), scores, labels, tuple(masks))

"""Dense logits to a label for every image pixel: exactly bilinear interpolation and argmax, without interpolating
every class.

Between four neighbouring logits bilinear interpolation is a weighted mean, so a class that is the largest at all four
corners of a cell is the largest everywhere in it: only cells whose corners disagree are looked at. There a class can
win only if its largest corner reaches the largest smallest-corner of any class, which leaves two or three. Rounding
keeps this exact, because the mean is formed with products and sums whose float32 rounding is monotone. Of two classes
the sign of their interpolated difference decides, unless it is so small that rounding could turn it: such a cell, and
one with more classes, interpolates each. Of equal logits the lowest class wins, as in ``argmax``; at a tie to the last
bit a cell with one winner at its corners keeps it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.models.geometry import Axis, Cells, View, bilinear, lasting_axis, lasting_cells
from seg_perception.types import UNLABELLED, BoolArray, Float32Array, UInt8Array

_TILE = 32768  # values that argmax compares at a time: 128 kB, a level-2 cache
_CELLS = 2048  # disagreeing cells interpolated at a time: more would leave the cache
_ROUNDING = np.float32(2**-18)  # of the corners: more than interpolating in another order can change
_PIXELS = 2048  # disagreeing pixels interpolated at a time
_FEW = 4  # pixels in a cell
_CONFIDENCE_POINTS = 96  # grid points of the confidence along the shorter side
_SUBPIXEL = 1e-3  # of a grid point: what the confidence may be off
# Part of the pixels in disagreeing cells from which on it is quicker to interpolate all: a cell costs much the same
# whatever its pixels, so of large cells nearly all may disagree.
_DENSE_FROM, _DENSE_FROM_BY_WIDTH = 1 / 3, 0.12
_DENSE_ROWS = 16
_CHANNELS = np.arange(256, dtype=np.uint8)


def decode(
    logits: Float32Array,
    view: View,
    input_size: tuple[int, int],
    table: UInt8Array,
    labels: UInt8Array,
    confidence: UInt8Array,
) -> None:
    """Write the pixels that ``view`` owns into ``labels`` and ``confidence``, both ``(H, W)`` uint8 of the image.

    ``logits`` ``(C, h, w)`` float32 cover the network's input of ``input_size`` (height, width); ``table`` ``(256,)``
    maps channels to class ids. Every channel takes part in the argmax, void too, and is mapped afterwards.

    The confidence is the softmax probability of the winner at the logits (a grid of them no finer than some 96 points
    along the shorter side), interpolated as bytes to the image: exact inside regions, an estimate at the boundaries
    between classes, where it is low. It is 1..255, and 0 exactly where the label is 255.
    """
    rows, columns = _axes(view, input_size, logits.shape[1:])
    found, sure = labels[view.own], confidence[view.own]
    found[:] = upsampled_argmax(logits, rows, columns, table)
    known = (found != UNLABELLED).view(np.uint8)
    np.multiply(_confidence(sampled(logits), logits.shape[1:], rows, columns), known, out=sure)


def finish(
    channels: UInt8Array,
    points: Float32Array,
    shape: tuple[int, int],
    view: View,
    input_size: tuple[int, int],
    table: UInt8Array,
    labels: UInt8Array,
    confidence: UInt8Array,
) -> None:
    """:func:`decode` for a ``view`` of the whole image where the runtime has interpolated and compared already:
    ``channels`` ``(H, W)`` are the winners, ``points`` ``(C, h, w)`` what :func:`sampled` takes of logits of ``shape``.
    NaN is looked for at these points only.
    """
    rows, columns = _axes(view, input_size, shape)
    labels[:] = _mapped(channels, table)
    unknown = np.asarray(np.isnan(points).any(axis=0))
    if unknown.any():
        near = cv2.resize(unknown.astype(np.float32), labels.shape[::-1], interpolation=cv2.INTER_LINEAR)
        labels[np.asarray(near) > 0] = UNLABELLED
    known = (labels != UNLABELLED).view(np.uint8)
    np.multiply(_confidence(points, shape, rows, columns), known, out=confidence)


def _axes(view: View, input_size: tuple[int, int], shape: tuple[int, ...]) -> tuple[Axis, Axis]:
    """Where the pixels that ``view`` owns fall on logits of ``shape`` (h, w), along both axes."""
    y, x = view.own
    return (
        lasting_axis(view.y, y.start, y.stop, input_size[0], shape[0]),
        lasting_axis(view.x, x.start, x.stop, input_size[1], shape[1]),
    )


def argmax(logits: Float32Array) -> UInt8Array:
    """``logits.argmax(axis=0)`` of ``(C, h, w)`` as uint8, several times faster: compare and update class by class
    over pieces that stay in the cache. Where any class is NaN the answer is 255.
    """
    classes, height, width = logits.shape
    labels = np.zeros((height, width), np.uint8)
    rows = max(1, _TILE // width)
    for start in range(0, height, rows):
        piece, label = logits[:, start : start + rows], labels[start : start + rows]
        best = piece[0].copy()
        greater, winner = np.empty(best.shape, np.bool_), np.empty(best.shape, np.uint8)
        for c in range(1, classes):
            np.greater(piece[c], best, out=greater)
            np.maximum(best, piece[c], out=best)
            # Classes come in rising order, so the last to take the lead is the largest number.
            np.multiply(greater.view(np.uint8), np.uint8(c), out=winner)
            np.maximum(label, winner, out=label)
        label[np.isnan(best)] = UNLABELLED
    return labels


def upsampled_argmax(logits: Float32Array, rows: Axis, columns: Axis, table: UInt8Array = _CHANNELS) -> UInt8Array:
    """``table[argmax(bilinear(logits, rows, columns))]`` as ``(len(rows), len(columns))`` uint8."""
    if rows.identity and columns.identity:
        return _mapped(argmax(logits), table)
    used = rows.part(0, len(rows))[0], columns.part(0, len(columns))[0]
    corners = np.zeros(logits.shape[1:], np.uint8)
    corners[used] = argmax(logits[:, used[0], used[1]])
    # Cell (i, j) has the corners [i:i+2, j:j+2].
    cells = np.asarray(cv2.copyMakeBorder(corners, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8)
    upper, lower = cells[:-1], cells[1:]
    mixed = (upper[:, :-1] != upper[:, 1:]) | (lower[:, :-1] != lower[:, 1:]) | (upper[:, :-1] != lower[:, :-1])
    row_pixels, column_pixels = lasting_cells(rows), lasting_cells(columns)
    mixed &= (row_pixels.count > 0)[:, None] & (column_pixels.count > 0)
    undecided = row_pixels.count.astype(np.float32) @ mixed.astype(np.float32) @ column_pixels.count.astype(np.float32)
    pixels = len(rows) * len(columns)
    cell_width = (pixels / (rows.size * columns.size)) ** 0.5
    if undecided > max(_DENSE_FROM, _DENSE_FROM_BY_WIDTH * cell_width) * pixels:
        return _mapped(_dense(logits, rows, columns), table)
    labels: UInt8Array = np.take(np.take(table[cells], columns.cell, axis=1), rows.cell, axis=0)
    if len(row_pixels.index) * len(column_pixels.index) <= _FEW:
        _resolve_pixels(
            logits, np.take(np.take(mixed, columns.cell, axis=1), rows.cell, axis=0), rows, columns, table, labels
        )
        return labels
    where = np.nonzero(mixed)
    for start in range(0, len(where[0]), _CELLS):
        part = slice(start, start + _CELLS)
        _resolve_cells(logits, where[0][part], where[1][part], row_pixels, column_pixels, table, labels)
    return labels


def _mapped(channels: UInt8Array, table: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.LUT(channels, table), np.uint8)


def _resolve_pixels(
    logits: Float32Array, where: BoolArray, rows: Axis, columns: Axis, table: UInt8Array, labels: UInt8Array
) -> None:
    """Interpolate every class at the pixels ``where``, and write the winners into ``labels``: where a cell holds so
    few pixels that to ask which classes can win costs more than to interpolate them.
    """
    classes, _, width = logits.shape
    flat = logits.reshape(classes, -1)
    all_y, all_x = np.nonzero(where)
    for start in range(0, len(all_y), _PIXELS):
        y, x = all_y[start : start + _PIXELS], all_x[start : start + _PIXELS]
        top, bottom, left, right = rows.low[y] * width, rows.high[y] * width, columns.low[x], columns.high[x]
        wy, wx = rows.weight[y], columns.weight[x]
        upper = flat.take(top + left, 1, mode="clip") * (1 - wx) + flat.take(top + right, 1, mode="clip") * wx
        lower = flat.take(bottom + left, 1, mode="clip") * (1 - wx) + flat.take(bottom + right, 1, mode="clip") * wx
        labels[y, x] = table[argmax((upper * (1 - wy) + lower * wy)[:, None])[0]]


def _resolve_cells(
    logits: Float32Array,
    cell_y: NDArray[np.intp],
    cell_x: NDArray[np.intp],
    rows: Cells,
    columns: Cells,
    table: UInt8Array,
    labels: UInt8Array,
) -> None:
    """Interpolate in these cells the classes that can win there, and write the winners into ``labels``."""
    classes, _, width = logits.shape
    top, bottom = rows.low[cell_y] * width, rows.high[cell_y] * width
    left, right = columns.low[cell_x], columns.high[cell_x]
    flat = logits.reshape(classes, -1)
    corners = np.take(flat, np.stack([top + left, top + right, bottom + left, bottom + right]), axis=1)  # (C, 4, K)
    can_win = _candidates(corners)
    candidates = can_win.sum(axis=0, dtype=np.uint8)
    weight_y, weight_x = rows.weight[:, cell_y], columns.weight[:, cell_x]  # (P, K), (Q, K)

    winner = np.empty((len(cell_y), len(weight_y), len(weight_x)), np.uint8)

    pairs = np.flatnonzero(candidates == 2)
    number = np.arange(classes, dtype=np.uint8)[:, None]
    high = (can_win * number).max(axis=0)[pairs]
    low = np.uint8(classes - 1) - (can_win * number[::-1]).max(axis=0)[pairs]
    first, second = (corners[c, np.arange(4)[:, None], pairs] for c in (low, high))
    wins, sure = _duel(first, second, weight_y[:, pairs], weight_x[:, pairs])
    low, high = table[low], table[high]
    winner[pairs] = (low + wins * (high - low)).transpose(2, 0, 1)  # as bytes, which wrap around

    unsure = np.ones(len(cell_y), np.bool_)
    unsure[pairs[sure]] = False
    others = np.flatnonzero(unsure)
    if len(others):
        contest = _contest(corners[..., others], can_win[:, others], weight_y[:, others], weight_x[:, others])
        winner[others] = table[contest].transpose(2, 0, 1)

    # A cell's part of a row is written as one item; rows that a cell repeats are written again.
    y, x, length = rows.index.T[cell_y], columns.index[0, cell_x, None], columns.count[cell_x]
    for n in np.unique(length).tolist():
        equal = np.flatnonzero(length == n)
        runs = np.ndarray((labels.shape[0], labels.shape[1] - n + 1), f"V{n}", labels, strides=labels.strides)
        runs[y[equal], x[equal]] = np.ascontiguousarray(winner[equal, :, :n]).view(runs.dtype)[..., 0]


def _candidates(corners: Float32Array) -> BoolArray:
    """Which classes ``(C, K)`` can win in cells with the ``corners`` ``(C, 4, K)``; none where a corner is NaN."""
    can_win: BoolArray = corners.max(axis=1) >= corners.min(axis=1).max(axis=0)
    crowded = np.flatnonzero(can_win.sum(axis=0, dtype=np.uint8) > 2)
    rivals, corner = corners[..., crowded], np.arange(4)[:, None]
    # A class that lies below the winner of one corner at all four corners is below it everywhere.
    remaining = can_win[:, crowded]
    for winner in rivals.argmax(axis=0):
        remaining &= (rivals >= rivals[winner, corner, np.arange(len(crowded))]).any(axis=1)
    can_win[:, crowded] = remaining
    return can_win


@np.errstate(invalid="ignore")  # infinite corners make a NaN, of which nothing is sure
def _duel(
    first: Float32Array, second: Float32Array, weight_y: Float32Array, weight_x: Float32Array
) -> tuple[BoolArray, BoolArray]:
    """Where ``(P, Q, K)`` the second of two classes, whose corners are ``(4, K)`` each, beats the first, by the sign of
    their interpolated difference; and the cells ``(K,)`` where that differs everywhere from 0 by more than rounding can
    do, so that the sign is sure.
    """
    lead = second - first
    upper = lead[0] + (lead[1] - lead[0]) * weight_x
    down = lead[2] + (lead[3] - lead[2]) * weight_x - upper
    value = down * weight_y[:, None]
    value += upper
    wins: BoolArray = value > 0
    largest = np.maximum(np.abs(first), np.abs(second)).max(axis=0)
    least = np.abs(value, out=value).min(axis=(0, 1))
    sure: BoolArray = least > _ROUNDING * largest
    return wins, sure


def _contest(corners: Float32Array, can_win: BoolArray, weight_y: Float32Array, weight_x: Float32Array) -> UInt8Array:
    """The winners ``(P, Q, K)`` in any cells: all that can win are interpolated in turns."""
    candidates = can_win.sum(axis=0, dtype=np.uint8)
    order = np.argsort(candidates, kind="stable")[::-1]  # most candidates first: the r-th round is then a slice
    candidates, corners = candidates[order], corners[..., order]
    weight_y, weight_x = weight_y[:, None, order], weight_x[:, order]
    nth_class = np.nonzero(can_win.T[order])[1]  # cell by cell, classes in rising order
    first = np.cumsum(candidates, dtype=np.intp) - candidates

    shape = (len(weight_y), *weight_x.shape)
    best, winner = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.uint8)
    for turn in range(int(candidates[0])):
        n = np.count_nonzero(candidates > turn)
        chosen = nth_class[first[:n] + turn]
        a, b, c, d = corners[chosen, np.arange(4)[:, None], np.arange(n)]
        wy, wx = weight_y[..., :n], weight_x[:, :n]
        value = (a * (1 - wx) + b * wx) * (1 - wy)
        value += (c * (1 - wx) + d * wx) * wy
        over = value > best[..., :n]
        np.maximum(best[..., :n], value, out=best[..., :n])
        np.maximum(winner[..., :n], over * chosen.astype(np.uint8), out=winner[..., :n])
    winner[..., candidates == 0] = UNLABELLED  # a corner is NaN
    in_turn = np.empty_like(winner)
    in_turn[..., order] = winner
    return in_turn


def _dense(logits: Float32Array, rows: Axis, columns: Axis) -> UInt8Array:
    """The same by interpolating every class, a band of rows at a time: for logits that disagree everywhere."""
    labels = np.empty((len(rows), len(columns)), np.uint8)
    for start in range(0, len(rows), _DENSE_ROWS):
        stop = min(start + _DENSE_ROWS, len(rows))
        source, band = rows.part(start, stop)
        labels[start:stop] = argmax(bilinear(logits[:, source], band, columns))
    return labels


def _confidence(points: Float32Array, shape: tuple[int, ...], rows: Axis, columns: Axis) -> UInt8Array:
    """The winner's softmax probability as 1..255, interpolated from the ``points`` of logits of ``shape`` (h, w)."""
    grid = points - points.max(axis=0)
    return spread(1 / np.exp(grid, out=grid).sum(axis=0), shape, rows, columns)


def confidence_step(shape: tuple[int, ...]) -> int:
    """How many points of a grid of ``shape`` (h, w) lie from one of the confidence's to the next."""
    return max(1, min(shape) // _CONFIDENCE_POINTS)


def sampled(grid: Float32Array) -> Float32Array:
    """The points of ``(C, h, w)`` where the confidence is computed."""
    step = confidence_step(grid.shape[1:])
    return grid[:, step // 2 :: step, step // 2 :: step]


def spread(probability: Float32Array, shape: tuple[int, ...], rows: Axis, columns: Axis) -> UInt8Array:
    """Probabilities at the points that :func:`sampled` takes from a grid of ``shape`` (h, w), as 1..255 (NaN is 1)
    interpolated to ``(len(rows), len(columns))``.
    """
    step = confidence_step(shape)
    first = step // 2
    coarse = np.fmax(np.minimum(probability, 1) * 255 + 0.5, 1).astype(np.uint8)  # fmax passes over NaN
    to_coarse = [(a.scale / step, (a.offset - first) / step) for a in (columns, rows)]  # image pixel -> coarse point
    (scale_x, shift_x), (scale_y, shift_y) = to_coarse
    size = (len(columns), len(rows))
    # Where the grid covers exactly these pixels this is a resize, which OpenCV does ten times as fast.
    whole = [n * scale - points for (scale, _), n, points in zip(to_coarse, size, coarse.shape[::-1], strict=True)]
    centred = [(scale - 1) / 2 - shift for scale, shift in to_coarse]
    if np.abs(whole + centred).max() < _SUBPIXEL:
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    fine = cv2.warpAffine(
        coarse,
        np.array([[scale_x, 0, shift_x], [0, scale_y, shift_y]]),
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(fine, np.uint8)

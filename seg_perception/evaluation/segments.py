"""The segments of a pair of panoptic maps, and how many pixels each shares with each: what the metrics stand on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.types import UNLABELLED, BoolArray, Float64Array, Int64Array, UInt8Array

MAX_PAIRS = 1 << 26
"""More pairs of segments than this are no panoptic maps, and would not fit into memory."""


@dataclass(frozen=True, slots=True)
class Segments:
    """What N ids of a panoptic map stand for.

    ``ids`` ``(N,)`` int64, each once; ``classes`` ``(N,)`` uint8, 255 for void: pixels that nobody is to be judged by;
    ``crowd`` ``(N,)`` bool: pixels of a class whose instances are not told apart.
    """

    ids: Int64Array
    classes: UInt8Array
    crowd: BoolArray

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def truth(cls, ids: NDArray[Any], things: BoolArray) -> Segments:
        """The meaning of ``ids`` in this package's encoding, ``track_id << 16 | class_id``; ``things`` ``(256,)`` bool
        by class. A thing class with track id 0 is a crowd.
        """
        ids = ids.astype(np.int64)
        classes = _class(ids)
        return cls(ids, classes, things[classes] & (ids >> 16 == 0))

    @classmethod
    def predicted(cls, ids: NDArray[Any], things: BoolArray) -> Segments:
        """As :meth:`truth`, but a thing class with track id 0, which says "instance not known (yet)", is void: a
        prediction names its instances. For the class alone, as in IoU, it still counts.
        """
        segments = cls.truth(ids, things)
        classes = np.where(segments.crowd, np.uint8(UNLABELLED), segments.classes)
        return cls(segments.ids, classes, np.zeros(len(ids), np.bool_))

    def of(self, ids: Int64Array) -> Segments:
        """The meaning of each of ``ids``, in their order; an id that is not listed here is void."""
        row = {number: row for row, number in enumerate(self.ids.tolist())}
        rows = np.array([row.get(number, len(self)) for number in ids.tolist()], np.int64)
        return Segments(ids, np.append(self.classes, np.uint8(UNLABELLED))[rows], np.append(self.crowd, False)[rows])

    def without_small(self, pixels: Int64Array, things: BoolArray, min_thing: int, min_stuff: int) -> Segments:
        """The same with void for every thing of fewer than ``min_thing`` pixels, and for every class of stuff that has
        fewer than ``min_stuff`` in all; ``pixels`` ``(N,)`` int64. Crowds stay: they are not asked for anyway.
        """
        by_class = np.bincount(self.classes, pixels, minlength=256)
        small = np.where(things[self.classes], pixels < min_thing, by_class[self.classes] < min_stuff)
        return replace(self, classes=np.where(small & ~self.crowd, np.uint8(UNLABELLED), self.classes))


@dataclass(frozen=True, slots=True)
class Overlap:
    """How two panoptic maps, or the maps of two videos, share pixels.

    ``truth`` ``(T,)`` and ``predicted`` ``(P,)`` int64 are the ids that occur, rising; ``pixels`` ``(T, P)`` int64
    counts the pixels that have one id in the one and the other in the other. Overlaps of frames add up to that of the
    video, in which a segment is a tube.
    """

    truth: Int64Array
    predicted: Int64Array
    pixels: Int64Array

    @classmethod
    def empty(cls) -> Overlap:
        """That of no pixels."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0), np.int64))

    @property
    def truth_area(self) -> Int64Array:
        """``(T,)`` int64 pixels of each truth segment."""
        return np.asarray(self.pixels.sum(1))

    @property
    def predicted_area(self) -> Int64Array:
        """``(P,)`` int64 pixels of each predicted segment."""
        return np.asarray(self.pixels.sum(0))

    def iou(self, void: BoolArray) -> Float64Array:
        """``(T, P)`` float64, 0 for the truth segments marked in ``void`` ``(T,)``, whose pixels count for no union."""
        judged = self.predicted_area - self.pixels[void].sum(0)
        union = self.truth_area[:, None] + judged - self.pixels
        return np.where(void[:, None], 0.0, self.pixels / np.maximum(union, 1))

    def __add__(self, other: Overlap) -> Overlap:
        truth, predicted = np.union1d(self.truth, other.truth), np.union1d(self.predicted, other.predicted)
        pixels = np.zeros((len(truth), len(predicted)), np.int64)
        for part in (self, other):
            rows, columns = np.searchsorted(truth, part.truth), np.searchsorted(predicted, part.predicted)
            pixels[np.ix_(rows, columns)] += part.pixels
        return Overlap(truth, predicted, pixels)


def overlap(truth: NDArray[Any], predicted: NDArray[Any]) -> Overlap:
    """The joint histogram of two panoptic maps ``(H, W)`` of any integer type, with any ids of 32 bits.

    Raises :class:`InputError` when the maps differ in size, or have so many segments that they cannot be panoptic.
    """
    if truth.shape != predicted.shape:
        sizes = [" x ".join(str(n) for n in reversed(image.shape)) for image in (truth, predicted)]
        raise InputError(
            f"the truth is {sizes[0]} and the prediction {sizes[1]}, expected one size: scale one of them by nearest "
            "neighbour"
        )
    if truth.size == 0:
        return Overlap.empty()
    t, p = truth.reshape(-1), predicted.reshape(-1)
    if _is_bytes(t) and _is_bytes(p):
        return _overlap_of_bytes(t.astype(np.uint8), p.astype(np.uint8))
    # Maps are made of runs: pixels that continue both of theirs are counted, not looked at. (Noise is not.)
    changes = t[1:] != t[:-1]
    changes |= p[1:] != p[:-1]
    lengths = None
    if 4 * np.count_nonzero(changes) < t.size:
        starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
        lengths, t, p = np.diff(starts, append=t.size), t[starts], p[starts]
    truth_ids, rows = numbered(t)
    predicted_ids, columns = numbered(p)
    shape = len(truth_ids), len(predicted_ids)
    if shape[0] * shape[1] > MAX_PAIRS:
        raise InputError(f"the maps have {shape[0]} and {shape[1]} segments, too many for panoptic maps of one frame")
    pixels = np.bincount(rows * shape[1] + columns, lengths, minlength=shape[0] * shape[1])
    return Overlap(truth_ids, predicted_ids, pixels.astype(np.int64).reshape(shape))


def areas(image: NDArray[Any]) -> tuple[Int64Array, Int64Array]:
    """The ids of a panoptic map, rising, and the pixels of each, ``(N,)`` int64 both."""
    itself = overlap(image, image)
    return itself.truth, itself.truth_area


def numbered(values: NDArray[Any]) -> tuple[Int64Array, Int64Array]:
    """The different values of ``values`` ``(n,)`` (integers of 32 bits, at least one), rising, as int64, and the
    position of each element among them: ``np.unique(return_inverse=True)``, by tables where that sorts.
    """
    least = int(values.min())
    # The halves of the bits are looked up one by one, then the pairs of halves that are left.
    halves = (values.astype(np.int64) - least).astype("<u4").view("<u2").reshape(-1, 2)
    lower, first = _occurring(halves[:, 0])
    upper, second = _occurring(halves[:, 1])
    if len(lower) * len(upper) >= _WORDS:
        ids, index = np.unique(values, return_inverse=True)
        return ids.astype(np.int64), index.reshape(-1)
    codes, position = _occurring(second * np.uint16(len(lower)) + first)
    return least + (upper[codes // len(lower)] << 16) + lower[codes % len(lower)], position.astype(np.int64)


_WORDS = 1 << 16


def _occurring(words: NDArray[np.uint16]) -> tuple[Int64Array, NDArray[np.uint16]]:
    """As :func:`numbered`, for 16 bits."""
    counts = np.bincount(words)
    ids = np.flatnonzero(counts)
    table = np.zeros(len(counts), np.uint16)
    table[ids] = np.arange(len(ids))
    return ids, table.take(words)


_EXACT = 1 << 24
"""OpenCV counts in float32, which is exact up to here."""


def _is_bytes(values: NDArray[Any]) -> bool:
    if values.dtype == np.uint8:
        return True
    # A few pixels nearly always tell that there are larger ids, and spare the look at all.
    some = values[:: 1 + values.size // 512]
    return bool(some.max() < 256 and values.min() >= 0 and values.max() < 256)


def _overlap_of_bytes(truth: UInt8Array, predicted: UInt8Array) -> Overlap:
    pixels = np.zeros((256, 256), np.int64)
    for start in range(0, truth.size, _EXACT):
        part = [values[start : start + _EXACT].reshape(-1, 1) for values in (truth, predicted)]
        pixels += cv2.calcHist(part, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return Overlap(rows, columns, pixels[np.ix_(rows, columns)])


def _class(ids: Int64Array) -> UInt8Array:
    # What is no byte is no class.
    return np.asarray(np.minimum(ids & 0xFFFF, UNLABELLED), np.uint8)

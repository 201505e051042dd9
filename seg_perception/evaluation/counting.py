"""What is counted of one frame: its row in every table of :class:`~seg_perception.evaluation.result.Evaluation`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.average_precision import Ranking
from seg_perception.evaluation.bands import DISTANCES, bands
from seg_perception.evaluation.boundary import boundary, boundary_width
from seg_perception.evaluation.confusion import Confusion, confusion, folded
from seg_perception.evaluation.consistency import Consistency
from seg_perception.evaluation.counts import Calibration, Coverage, Pixels, Stability
from seg_perception.evaluation.panoptic import matches, panoptic_quality
from seg_perception.evaluation.result import Detections, Segments, no_counts, no_detections
from seg_perception.evaluation.segments import Overlap, areas
from seg_perception.evaluation.segments import Segments as Meaning
from seg_perception.evaluation.sources import Key
from seg_perception.labels import LabelSpace
from seg_perception.outputs import nearest_centres
from seg_perception.types import (
    UNLABELLED,
    BoolArray,
    Float32Array,
    Float64Array,
    Instances,
    Int32Array,
    Int64Array,
    Mask,
    UInt8Array,
)

Image = TypeVar("Image", bound=NDArray[Any])

_REMEMBERED = 64
"""Answers that are kept for streaming accuracy: who is later than that is not there at all."""


@dataclass(frozen=True)
class Frame:
    """Both sides of one frame, in one label space and of one size ``(H, W)``: panoptic maps ``true`` and ``predicted``
    int32, what they share (``pair``, with void as -1), the prediction's ``confidence`` uint8 and the ``scores`` of its
    track ids, ``depth`` float32 metres (NaN unknown), the ``picture`` ``(h, w, 3)``, and ``latency`` in seconds (NaN
    unknown).
    """

    key: Key
    true: Int32Array
    predicted: Int32Array
    pair: Overlap
    confidence: UInt8Array | None = None
    depth: Float32Array | None = None
    picture: UInt8Array | None = None
    scores: Mapping[int, float] = field(default_factory=dict)
    latency: float = float("nan")

    @property
    def classes(self) -> tuple[UInt8Array, UInt8Array]:
        """The true and the predicted class of every pixel."""
        t, p = (np.minimum(m & 0xFFFF, UNLABELLED).astype(np.uint8) for m in (self.true, self.predicted))
        return t, p


class Counting:
    """Takes the frames of one sequence in their order and gives the row of each in the tables of
    :class:`~seg_perception.evaluation.result.Frames`, by name. ``border`` is the width of the boundary's band as part
    of the diagonal, 0: no boundary.
    """

    def __init__(self, labels: LabelSpace, video: bool, border: float) -> None:
        self._labels, self._video, self._border = labels, video, border
        self._consistency = Consistency(len(labels))
        self._members = np.array(
            [labels.group_table(g)[[*range(len(labels)), UNLABELLED]] > 0 for g in labels.groups], np.bool_
        ).reshape(-1, len(labels) + 1)
        self._previous: tuple[UInt8Array, UInt8Array] | None = None
        self._answers: deque[tuple[int, UInt8Array]] = deque(maxlen=_REMEMBERED)

    def __call__(self, frame: Frame) -> dict[str, Any]:
        """The row of ``frame``."""
        labels, classes, pair = self._labels, len(self._labels), frame.pair
        counts = no_counts(classes, len(labels.groups))
        t, p = frame.classes
        meanings = Meaning.truth(pair.truth, labels.things), Meaning.predicted(pair.predicted, labels.things)
        pixels = folded(pair.pixels, meanings[0].classes, pair.predicted & 0xFFFF, classes)
        counts["pixels"] = by_class(pixels)
        counts["groups"] = self._groups(pixels)
        counts["panoptic"] = panoptic_quality(pair, *meanings, classes)
        if self._border > 0:
            counts["boundary"] = boundary(t, p, classes, boundary_width(t.shape[0], t.shape[1], self._border))
        counts["coverage"] = coverage(p, frame.confidence, classes)
        if frame.confidence is not None:
            counts["calibration"] = _calibration(t, p, frame.confidence)
        if self._previous is not None and self._video and self._previous[0].shape == t.shape:
            counts["stability"] = _stability(self._previous, (t, p), classes)
        if frame.picture is not None:
            counts["consistency"] = self._consistency(frame.picture, p)
        if frame.depth is not None:
            counts["distance"] = _by_distance(t, p, frame.depth, classes)
        if np.isfinite(frame.latency) and isinstance(frame.key, int):
            counts["streaming"] = self._streaming(frame.key, t, p, frame.latency)
        self._previous = t, p
        return counts

    def _groups(self, found: Confusion) -> Pixels:
        judged, member = found.judged.astype(np.float64), self._members.astype(np.float64)
        true, given = member[:, :-1] @ judged, member @ judged.T
        values = (true * member).sum(1), true.sum(1), given.sum(1)
        return Pixels(*(np.rint(v).astype(np.int64) for v in values))

    def _streaming(self, stamp: int, t: UInt8Array, p: UInt8Array, latency: float) -> Pixels:
        self._answers.append((stamp + round(1e9 * latency), p))
        ready = [answer for when, answer in self._answers if when <= stamp]
        newest = ready[-1] if ready else np.full_like(t, UNLABELLED)
        return by_class(confusion_of(t, newest, len(self._labels)))


def without_small(true: Int32Array, things: BoolArray, min_thing: int, min_stuff: int) -> Int32Array:
    """``true`` with 255 for what is too small, as in
    :meth:`~seg_perception.evaluation.segments.Segments.without_small`.
    """
    if not (min_thing or min_stuff):
        return true
    ids, pixels = areas(true)
    before = Meaning.truth(ids, things)
    after = before.without_small(pixels, things, min_thing, min_stuff)
    small = ids[(after.classes == UNLABELLED) & (before.classes != UNLABELLED)]
    return np.where(np.isin(true, small), np.int32(UNLABELLED), true) if len(small) else true


def fates(frame: Frame, number: int, labels: LabelSpace) -> Segments:
    """The fate of every segment of ``frame``, the ``number``-th."""
    pair, things = frame.pair, labels.things
    t, p = Meaning.truth(pair.truth, things), Meaning.predicted(pair.predicted, things)
    found = matches(pair, t, p)
    rows = np.concatenate([found.truth, found.missed, np.full(len(found.invented), -1)])
    columns = np.concatenate([found.predicted, np.full(len(found.missed), -1), found.invented])
    truths = np.where(rows >= 0, pair.truth[rows], -1)
    answers = np.where(columns >= 0, pair.predicted[columns], -1)
    classes = np.where(rows >= 0, t.classes[rows], p.classes[columns]).astype(np.uint8)
    distance = np.full(len(rows), np.nan)
    asked, invented = things[classes] & (rows >= 0), things[classes] & (rows < 0)
    distance[asked] = _medians(frame.depth, frame.true, truths[asked])
    distance[invented] = _medians(frame.depth, frame.predicted, answers[invented])
    return Segments(
        np.full(len(rows), number),
        truths,
        answers,
        classes,
        np.where(rows >= 0, pair.truth_area[rows], pair.predicted_area[columns]),
        distance,
        np.concatenate([found.iou, np.zeros(len(rows) - len(found.iou))]),
        np.array([frame.scores.get(int(a) >> 16, np.nan) if a >= 0 else np.nan for a in answers], np.float64),
    )


def judged_in_bands(
    frame: Frame, number: int, found: Instances | None, ranking: Ranking | None, classes: int
) -> Detections:
    """How the predicted instances that were ``found`` in ``frame``, the ``number``-th, are judged in every band, by
    their ``ranking``; both are None where they have no scores.
    """
    if found is None or ranking is None:
        return no_detections(classes)
    masks = [found.masks[i] for i in ranking.rows.tolist()]
    asked = bands(ranking.true_area, _medians(frame.depth, frame.true, ranking.ids))
    counted = bands(ranking.area, np.array([_median(_under(mask, frame.depth)) for mask in masks], np.float64))
    judged = [ranking.judged(classes, *band) for band in zip(asked, counted, strict=True)]
    return Detections(
        np.full(len(masks), number),
        ranking.labels,
        ranking.scores,
        np.stack([band.right for band in judged], axis=1),
        np.stack([band.ignored for band in judged], axis=1),
        np.stack([band.wanted for band in judged])[None],
        np.array(True),
    )


def by_class(found: Confusion) -> Pixels:
    """The sums of a confusion matrix."""
    judged = found.judged
    return Pixels(np.diagonal(judged).copy(), judged.sum(1), judged[:, :-1].sum(0))


def confusion_of(true: UInt8Array, predicted: UInt8Array, classes: int) -> Confusion:
    """Of two maps of classes in the label space, one of which may be of another size: then nothing is counted."""
    return confusion(true, predicted, classes) if true.shape == predicted.shape else Confusion.zero(classes)


def coverage(predicted: UInt8Array, confidence: UInt8Array | None, classes: int) -> Coverage:
    """Of one frame."""
    labels = np.minimum(predicted, classes).reshape(-1)
    pixels = np.bincount(labels, minlength=classes + 1)
    stated = np.zeros(classes + 1) if confidence is None else np.bincount(labels, confidence.reshape(-1), classes + 1)
    return Coverage(pixels, stated.astype(np.int64))


def at_size(image: Image, shape: tuple[int, ...]) -> Image:
    """``image`` ``(h, w)`` brought to ``shape`` by nearest neighbour."""
    if image.shape == shape:
        return image
    return image[np.ix_(*(nearest_centres(n, m) for n, m in zip(image.shape, shape, strict=True)))]  # type: ignore[return-value]


def alike(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two images have the same proportions, to half a pixel, so that they may show the same."""
    (h, w), (height, width) = shape[:2], other[:2]
    return 2 * abs(h * width - height * w) <= max(h, w, height, width)


def _calibration(t: UInt8Array, p: UInt8Array, confidence: UInt8Array) -> Calibration:
    judged = t != UNLABELLED
    right, labelled = judged & (t == p), judged & (p != UNLABELLED)
    return Calibration(_histogram(confidence[right]), _histogram(confidence[labelled & ~right]))


def _stability(before: tuple[UInt8Array, UInt8Array], now: tuple[UInt8Array, UInt8Array], classes: int) -> Stability:
    still = (now[0] != UNLABELLED) & (now[0] == before[0])
    changed = still & (now[1] != before[1])
    return Stability(_histogram(now[0][still], classes), _histogram(now[0][changed], classes))


def _histogram(values: UInt8Array, size: int = 256) -> Int64Array:
    return np.bincount(values.reshape(-1), minlength=size)


def _medians(depth: Float32Array | None, panoptic: Int32Array, ids: NDArray[Any]) -> Float64Array:
    """The median depth of each of ``ids``, ``(N,)``, NaN where none is known."""
    return np.array([_median(None if depth is None else depth[panoptic == i]) for i in ids.tolist()], np.float64)


def _median(depth: Float32Array | None) -> float:
    known = depth[~np.isnan(depth)] if depth is not None else ()
    return float(np.median(known)) if len(known) else float("nan")


def _under(mask: Mask, depth: Float32Array | None) -> Float32Array | None:
    height, width = mask.bits.shape
    return None if depth is None else depth[mask.y : mask.y + height, mask.x : mask.x + width][mask.bits]


def _by_distance(t: UInt8Array, p: UInt8Array, depth: Float32Array, classes: int) -> Pixels:
    edges = np.array([high for _, high in DISTANCES[:-1]], np.float32)
    known = (t != UNLABELLED) & ~np.isnan(depth)
    band, t, p = np.searchsorted(edges, depth[known], side="right"), t[known], p[known]
    shape = len(DISTANCES), classes

    def sums(chosen: NDArray[np.bool_], label: UInt8Array) -> Int64Array:
        return np.bincount(band[chosen] * classes + label[chosen], minlength=shape[0] * shape[1]).reshape(shape)

    return Pixels(sums(t == p, t), sums(np.ones(len(t), np.bool_), t), sums(p != UNLABELLED, p))

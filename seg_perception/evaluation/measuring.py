"""One run against its truth, frame by frame, into an :class:`~seg_perception.evaluation.result.Evaluation`."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.evaluation.average_precision import THRESHOLDS, AveragePrecision, painted
from seg_perception.evaluation.boundary import boundary, boundary_width
from seg_perception.evaluation.confusion import Confusion, confusion, folded
from seg_perception.evaluation.consistency import Consistency
from seg_perception.evaluation.counts import Calibration, Coverage, Pixels, Stability, stacked
from seg_perception.evaluation.matching import Matching, Translation, frames
from seg_perception.evaluation.panoptic import matches, panoptic_quality
from seg_perception.evaluation.result import (
    DISTANCES,
    Against,
    Detections,
    Evaluation,
    Frames,
    Overlaps,
    Segments,
    no_counts,
)
from seg_perception.evaluation.segments import Overlap, areas
from seg_perception.evaluation.segments import Segments as Meaning
from seg_perception.evaluation.sequence import Scorer
from seg_perception.evaluation.sources import Depths, Key, Labelled, Pictures, Source, count
from seg_perception.labels import LabelSpace
from seg_perception.outputs import nearest_centres
from seg_perception.types import UNLABELLED, Float32Array, Int32Array, Int64Array, UInt8Array

_REMEMBERED = 64
"""Answers that are kept for streaming accuracy: who is later than that is not there at all."""


@dataclass(frozen=True)
class Rules:
    """How frames are judged. True things of fewer than ``min_thing`` visible pixels in a frame, and classes of stuff of
    fewer than ``min_stuff``, are void in it. ``resize``: predictions of another size are brought to the truth's by
    nearest neighbour, else they are an error. ``count_unanswered``: a true frame without prediction counts as wholly
    unlabelled, else it is left out (and said). ``border``: the width of the boundary's band, as part of the diagonal.
    """

    min_thing: int = 0
    min_stuff: int = 0
    resize: bool = False
    count_unanswered: bool = False
    border: float = 0.02


@dataclass(frozen=True)
class Sides:
    """Both sources, how their classes are called in the common label space, and which frames belong together.
    ``instances``: whether things are told apart on both; else their ids are left away, and nothing that needs them is
    scored.
    """

    prediction: Source
    truth: Source
    to_common: tuple[Translation, Translation]
    matching: Matching

    @property
    def labels(self) -> LabelSpace:
        """The common label space."""
        return self.to_common[0].target

    @property
    def instances(self) -> bool:
        """See the class."""
        return self.prediction.facts.instances and self.truth.facts.instances

    @property
    def video(self) -> bool:
        """Whether frames follow each other in time."""
        return self.truth.facts.video

    def maps(
        self, keys: Collection[Key] | None = None
    ) -> Iterator[tuple[Key, Int32Array, Labelled | None, Int32Array | None]]:
        """Every true frame, or those of ``keys``: its key, the truth in the common space, and the prediction, as it
        came and in the common space, None where there is none.
        """
        for true, given in frames(self.prediction, self.truth, self.matching, keys):
            predicted = self._common(given, 0) if given is not None else None
            yield true.key, self._common(true, 1), given, predicted

    def _common(self, frame: Labelled, side: int) -> Int32Array:
        source = (self.prediction, self.truth)[side]
        translated = self.to_common[side](frame.panoptic, f"{source.path}: frame {frame.key}")
        return translated if self.instances else translated & 0xFFFF


def measure(
    sides: Sides,
    rules: Rules,
    *,
    against: Against = "truth",
    depth: Depths | None = None,
    pictures: Pictures | None = None,
    latency: Mapping[Key, float] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Judge every true frame that has a prediction.

    ``latency`` is seconds from stamp to answer by the prediction's key. ``about`` goes into the evaluation's, with what
    was found out here (``matching``, ``notes``) added. Raises :class:`InputError` when sizes differ, with how many
    frames do.
    """
    latency = latency or {}
    judge = _Judge(sides, rules)
    wanted = {key for key, _ in sides.matching.pairs}
    depths = _Companions(depth, wanted)
    shown = _Companions(pictures if sides.video else None, wanted)
    for key, true, given, predicted in sides.maps():
        if predicted is None:
            if not rules.count_unanswered:
                continue
            predicted = np.full_like(true, UNLABELLED)
        seconds = latency.get(given.key, float("nan")) if given is not None else float("nan")
        judge.add(key, true, given, predicted, depths.of(key), shown.of(key), seconds)
    return judge.evaluation(against, about or {})


class _Companions:
    """What comes beside the frames, in their order, for some of them."""

    def __init__(self, source: Depths | Pictures | None, wanted: set[Key]) -> None:
        self._rest: Iterator[tuple[Key, Any]] = source.read(wanted) if source is not None else iter(())
        self._kept: dict[Key, Any] = {}
        self._wanted = wanted

    def of(self, key: Key) -> Any | None:
        """What belongs to ``key``, None where there is nothing; ask for rising keys."""
        if key not in self._wanted:
            return None
        while key not in self._kept:
            following = next(self._rest, None)
            if following is None:
                return None
            self._kept[following[0]] = following[1]
            if isinstance(key, int) and int(following[0]) > key:
                break
        found = self._kept.pop(key, None)
        if isinstance(key, int):
            self._kept = {other: value for other, value in self._kept.items() if int(other) > key}
        return found


@dataclass
class _Judge:
    """Takes the frames, and keeps what is counted of each."""

    sides: Sides
    rules: Rules
    rows: list[dict[str, Any]] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    overlaps: list[NDArray[np.int64]] = field(default_factory=list)
    segments: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    judged: list[AveragePrecision] = field(default_factory=list)
    other_size: list[tuple[Key, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    previous: tuple[UInt8Array, UInt8Array] | None = None
    answers: deque[tuple[float, UInt8Array]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    with_depth: int = 0

    def __post_init__(self) -> None:
        self.labels = self.sides.labels
        self.scorer = Scorer(self.labels)
        self.scored = self.sides.instances
        self.consistency = Consistency(len(self.labels))
        self.members = np.array(
            [self.labels.group_table(g)[[*range(len(self.labels)), UNLABELLED]] > 0 for g in self.labels.groups],
            np.bool_,
        ).reshape(-1, len(self.labels) + 1)

    def add(
        self,
        key: Key,
        true: Int32Array,
        given: Labelled | None,
        predicted: Int32Array,
        depth: Float32Array | None,
        picture: UInt8Array | None,
        latency: float,
    ) -> None:
        confidence = given.confidence if given is not None else None
        if predicted.shape != true.shape:
            self.other_size.append((key, predicted.shape, true.shape))
            if not self.rules.resize:
                return
            grid = np.ix_(*(nearest_centres(n, m) for n, m in zip(predicted.shape, true.shape, strict=True)))
            predicted, confidence = predicted[grid], confidence[grid] if confidence is not None else None
        true = self._without_small(true)
        depth = _aligned(depth, true.shape) if depth is not None else None
        scores = given.scores if given is not None else {}
        self.scored = self.scored and scores is not None
        found = painted(predicted, scores) if scores is not None and self.scored else None
        if found is None and self.judged:
            raise InputError(f"{self.sides.prediction.path}: frame {key} has no scores, unlike those before it")
        pair, judged = self.scorer.add(true, predicted, found)
        if judged is not None:
            self.judged.append(judged)
        number = len(self.rows)
        self.keys.append(key)
        self.latencies.append(latency)
        self.rows.append(self._counts(true, predicted, confidence, depth, picture, pair, latency, key))
        rows, columns = np.nonzero(pair.pixels)
        self.overlaps.append(
            np.stack(
                [np.full(len(rows), number), pair.truth[rows], pair.predicted[columns], pair.pixels[rows, columns]]
            )
        )
        self.segments.append(self._fates(number, pair, true, predicted, depth, scores or {}))

    def _without_small(self, true: Int32Array) -> Int32Array:
        """``true`` with 255 where the rules say that nobody is asked."""
        if not (self.rules.min_thing or self.rules.min_stuff):
            return true
        things = self.labels.things
        ids, pixels = areas(true)
        before = Meaning.truth(ids, things)
        after = before.without_small(pixels, things, self.rules.min_thing, self.rules.min_stuff)
        small = ids[(after.classes == UNLABELLED) & (before.classes != UNLABELLED)]
        return np.where(np.isin(true, small), np.int32(UNLABELLED), true) if len(small) else true

    def _counts(
        self,
        true: Int32Array,
        predicted: Int32Array,
        confidence: UInt8Array | None,
        depth: Float32Array | None,
        picture: UInt8Array | None,
        pair: Overlap,
        latency: float,
        key: Key,
    ) -> dict[str, Any]:
        labels, classes = self.labels, len(self.labels)
        counts = no_counts(classes, len(labels.groups))
        t, p = (np.minimum(m & 0xFFFF, UNLABELLED).astype(np.uint8) for m in (true, predicted))
        meanings = Meaning.truth(pair.truth, labels.things), Meaning.predicted(pair.predicted, labels.things)
        pixels = folded(pair.pixels, meanings[0].classes, pair.predicted & 0xFFFF, classes)
        counts["pixels"] = by_class(pixels)
        counts["groups"] = self._groups(pixels)
        counts["panoptic"] = panoptic_quality(pair, *meanings, classes)
        if self.rules.border > 0:
            counts["boundary"] = boundary(t, p, classes, boundary_width(t.shape[0], t.shape[1], self.rules.border))
        judged = t != UNLABELLED
        counts["coverage"] = coverage(p, confidence, classes)
        if confidence is not None:
            right, labelled = judged & (t == p), judged & (p != UNLABELLED)
            counts["calibration"] = Calibration(
                _histogram(confidence[right]), _histogram(confidence[labelled & ~right])
            )
        if self.previous is not None and self.sides.video and self.previous[0].shape == t.shape:
            still = judged & (t == self.previous[0])
            changed = still & (p != self.previous[1])
            counts["stability"] = Stability(_histogram(t[still], classes), _histogram(t[changed], classes))
        if picture is not None:
            counts["consistency"] = self.consistency(picture, p)
        if depth is not None:
            self.with_depth += 1
            counts["distance"] = _by_distance(t, p, depth, classes)
        if np.isfinite(latency) and isinstance(key, int):
            ready = [answer for when, answer in self.answers if when <= key]
            newest = ready[-1] if ready else np.full_like(t, UNLABELLED)
            counts["streaming"] = by_class(confusion_of(t, newest, classes))
            self.answers.append((key + 1e9 * latency, p))
        self.previous = t, p
        return counts

    def _groups(self, found: Confusion) -> Pixels:
        judged, member = found.judged.astype(np.float64), self.members.astype(np.float64)
        true, given = member[:, :-1] @ judged, member @ judged.T
        values = (true * member).sum(1), true.sum(1), given.sum(1)
        return Pixels(*(np.rint(v).astype(np.int64) for v in values))

    def _fates(
        self,
        number: int,
        pair: Overlap,
        true: Int32Array,
        predicted: Int32Array,
        depth: Float32Array | None,
        scores: Mapping[int, float],
    ) -> dict[str, NDArray[Any]]:
        """The rows of :class:`~seg_perception.evaluation.result.Segments` for one frame."""
        things = self.labels.things
        t, p = Meaning.truth(pair.truth, things), Meaning.predicted(pair.predicted, things)
        found = matches(pair, t, p)
        rows = np.concatenate([found.truth, found.missed, np.full(len(found.invented), -1)])
        columns = np.concatenate([found.predicted, np.full(len(found.missed), -1), found.invented])
        truths = np.where(rows >= 0, pair.truth[rows], -1)
        answers = np.where(columns >= 0, pair.predicted[columns], -1)
        classes = np.where(rows >= 0, t.classes[rows], p.classes[columns]).astype(np.uint8)
        distance = np.full(len(rows), np.nan)
        if depth is not None:
            for i in np.flatnonzero(things[classes]).tolist():
                image, value = (true, truths[i]) if rows[i] >= 0 else (predicted, answers[i])
                near = depth[image == value]
                near = near[~np.isnan(near)]
                distance[i] = np.median(near) if len(near) else np.nan
        return {
            "frame": np.full(len(rows), number),
            "truth": truths,
            "predicted": answers,
            "classes": classes,
            "area": np.where(rows >= 0, pair.truth_area[rows], pair.predicted_area[columns]),
            "distance": distance,
            "iou": np.concatenate([found.iou, np.zeros(len(rows) - len(found.iou))]),
            "score": np.array([scores.get(int(a) >> 16, np.nan) if a >= 0 else np.nan for a in answers], np.float64),
        }

    def evaluation(self, against: Against, about: Mapping[str, Any]) -> Evaluation:
        """Everything so far; raises :class:`InputError` where sizes did not fit."""
        sides = self.sides
        total = len(sides.matching.pairs)
        notes = [*about.get("notes", ()), *sides.prediction.facts.notes, *sides.truth.facts.notes]
        notes += sides.matching.notes(sides.prediction, sides.truth)
        if self.other_size:
            key, given, asked = self.other_size[0]
            sentence = (
                f"{count(len(self.other_size), 'prediction', 'has', 'have')} another size than the truth, of {total} "
                f"(frame {key}: {given[1]} x {given[0]}, the truth {asked[1]} x {asked[0]})"
            )
            if not self.rules.resize:
                raise InputError(f"{sides.prediction.path}: {sentence}; --resize brings them to it")
            notes.append(f"{sentence}; they were brought to it by nearest neighbour")
        notes += self._notes()
        stacks = {name: stacked([row[name] for row in self.rows]) for name in self.rows[0]}
        stamps = [key if isinstance(key, int) else i for i, key in enumerate(self.keys)]
        table = Frames(
            np.zeros(len(self.rows), np.int64),
            np.array(stamps, np.int64),
            np.array([str(key) for key in self.keys]),
            np.array(self.latencies, np.float64),
            **stacks,
        )
        rows = np.concatenate(self.overlaps, axis=1)
        fates = {name: np.concatenate([part[name] for part in self.segments]) for name in self.segments[0]}
        matching = {
            "by": "stamp" if isinstance(self.keys[0], int) else "name",
            "matched": total,
            "unanswered": len(sides.matching.unanswered),
            "unanswered_count": self.rules.count_unanswered,
            "spare": len(sides.matching.spare),
            "resized": len(self.other_size),
            "with_depth": self.with_depth,
        }
        content = {**about, "matching": matching, "notes": notes}
        return Evaluation(
            self.labels,
            (sides.truth.path.stem,),
            sides.video,
            against,
            content,
            table,
            Overlaps(*rows),
            Segments(**fates),
            self._detections(),
        )

    def _notes(self) -> list[str]:
        sides, notes = self.sides, []
        for side, whose in zip(sides.to_common, ("prediction", "truth"), strict=True):
            if side.never:
                what = "can be predicted" if whose == "prediction" else "is asked for"
                notes.append(
                    f"{len(side.never)} of the {len(self.labels)} classes of '{self.labels.name}' are unknown to the "
                    f"{whose}'s label space '{side.source.name}', nothing of them {what}: {', '.join(side.never)}"
                )
        for whose, source in (("prediction", sides.prediction), ("truth", sides.truth)):
            if not source.facts.instances:
                notes.append(
                    f"the {whose} ({source.facts.kind}) tells no instances apart: nothing is said of things as "
                    "segments (PQ of things, AP, ids)"
                )
        if sides.instances and not self.scored:
            notes.append("the prediction states no scores of its instances: there is no average precision")
        if self.with_depth and self.with_depth < len(self.rows):
            notes.append(
                f"depth is known for {self.with_depth} of {count(len(self.rows), 'frame')}; the others count nowhere "
                "by distance"
            )
        return notes

    def _detections(self) -> Detections:
        classes = len(self.labels)
        if not self.scored:
            none = AveragePrecision.zero(classes)
            wanted = np.zeros((len(self.rows), classes), np.int64)
            flags = none.right, none.ignored
            return Detections(np.zeros(0, np.int64), none.classes, none.scores, *flags, wanted, np.array(False))
        parts = self.judged
        frame = np.repeat(np.arange(len(parts)), [len(part.scores) for part in parts])
        return Detections(
            frame,
            np.concatenate([part.classes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.right for part in parts]).reshape(-1, len(THRESHOLDS)),
            np.concatenate([part.ignored for part in parts]).reshape(-1, len(THRESHOLDS)),
            np.stack([part.wanted for part in parts]),
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


def _aligned(depth: Float32Array, shape: tuple[int, ...]) -> Float32Array | None:
    """Depth at the size of the maps, by nearest neighbour; None where it is of another picture, by its proportions."""
    if depth.shape[0] * shape[1] != depth.shape[1] * shape[0]:
        return None
    rows, columns = (nearest_centres(n, m) for n, m in zip(depth.shape, shape, strict=True))
    return depth if depth.shape == shape else depth[np.ix_(rows, columns)]


def _histogram(values: UInt8Array, size: int = 256) -> Int64Array:
    return np.bincount(values.reshape(-1), minlength=size)


def _by_distance(t: UInt8Array, p: UInt8Array, depth: Float32Array, classes: int) -> Pixels:
    edges = np.array([high for _, high in DISTANCES[:-1]], np.float32)
    known = (t != UNLABELLED) & ~np.isnan(depth)
    band, t, p = np.searchsorted(edges, depth[known], side="right"), t[known], p[known]
    shape = len(DISTANCES), classes

    def sums(chosen: NDArray[np.bool_], label: UInt8Array) -> Int64Array:
        return np.bincount(band[chosen] * classes + label[chosen], minlength=shape[0] * shape[1]).reshape(shape)

    return Pixels(sums(t == p, t), sums(np.ones(len(t), np.bool_), t), sums(p != UNLABELLED, p))

"""One run against its truth, frame by frame, into an :class:`~seg_perception.evaluation.result.Evaluation`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.evaluation.average_precision import painted
from seg_perception.evaluation.counting import Counting, Frame, alike, at_size, fates, judged_in_bands, without_small
from seg_perception.evaluation.counts import joined, stacked
from seg_perception.evaluation.matching import Sides
from seg_perception.evaluation.remarks import OTHER, Kind, Seen, remarks
from seg_perception.evaluation.result import Against, Detections, Evaluation, Frames, Overlaps, Segments
from seg_perception.evaluation.sequence import Scorer
from seg_perception.evaluation.sources import Depths, Key, Labelled, Pictures, count
from seg_perception.types import UNLABELLED, Float32Array, Int32Array, UInt8Array

Image = TypeVar("Image", bound=NDArray[Any])


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
    judge = _Judge(sides, rules, depth is not None)
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
    has_depth: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    overlaps: list[Overlaps] = field(default_factory=list)
    segments: list[Segments] = field(default_factory=list)
    detections: list[Detections] = field(default_factory=list)
    other_size: list[tuple[Key, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    seen: Seen = field(default_factory=Counter)

    def __post_init__(self) -> None:
        labels = self.sides.labels
        self.scorer = Scorer(labels)
        self.scored = self.sides.instances
        self.counting = Counting(labels, self.sides.video, self.rules.border)

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
        confidence = self._kept("confidence", confidence, lambda image: image.shape == predicted.shape)
        if predicted.shape != true.shape:
            self.other_size.append((key, predicted.shape, true.shape))
            if not self.rules.resize:
                return
            predicted = at_size(predicted, true.shape)
            confidence = at_size(confidence, true.shape) if confidence is not None else None
        depth = self._kept("depth", depth, lambda image: alike(image.shape, true.shape))
        depth = at_size(depth, true.shape) if depth is not None else None
        picture = self._kept("picture", picture, lambda image: alike(image.shape, true.shape))
        labels = self.sides.labels
        true = without_small(true, labels.things, self.rules.min_thing, self.rules.min_stuff)
        scores = given.scores if given is not None else {}
        self.scored = self.scored and scores is not None
        found = painted(predicted, scores) if scores is not None and self.scored else None
        if found is None and self.detections and self.detections[0].known:
            raise InputError(f"{self.sides.prediction.path}: frame {key} has no scores, unlike those before it")
        pair, ranked = self.scorer.add(true, predicted, found)
        frame = Frame(key, true, predicted, pair, confidence, depth, picture, scores or {}, latency)
        instances = int(np.count_nonzero(pair.predicted >> 16 > 0))
        self.seen += Counter({
            "latency": int(np.isfinite(latency)),
            "instance": instances,
            "unranked": instances - len(found) if found is not None else 0,
            "void": int((pair.truth < 0).all()),
            "unlabelled": int((pair.predicted & 0xFFFF == UNLABELLED).all()),
        })  # fmt: skip
        number = len(self.rows)
        self.keys.append(key)
        self.latencies.append(latency)
        self.rows.append(self.counting(frame))
        rows, columns = np.nonzero(pair.pixels)
        shared = pair.truth[rows], pair.predicted[columns], pair.pixels[rows, columns]
        self.overlaps.append(Overlaps(np.full(len(rows), number), *shared))
        fate = fates(frame, number, labels)
        self.segments.append(fate)
        if depth is not None:
            things, judged = labels.things[fate.classes] & (fate.truth >= 0), true & 0xFFFF != UNLABELLED
            self.seen += Counter({
                "thing": int(things.sum()),
                "thing without depth": int((things & np.isnan(fate.distance)).sum()),
                "pixel": int(judged.sum()),
                "pixel without depth": int((judged & np.isnan(depth)).sum()),
            })  # fmt: skip
        self.detections.append(judged_in_bands(frame, number, found, ranked, len(labels)))

    def _kept(self, kind: Kind, image: Image | None, fits: Callable[[Image], bool]) -> Image | None:
        """``image`` if it fits the masks; either is counted."""
        if image is None:
            return None
        self.seen[kind if fits(image) else OTHER[kind]] += 1
        return image if fits(image) else None

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
        frames = len(self.rows)
        if self.seen["void"] == frames and against != "nothing":
            raise InputError(
                f"{sides.truth.path}: is unlabelled everywhere, in all {count(frames, 'frame')} with a prediction; "
                "there is nothing to score"
            )
        notes += remarks(sides, self.seen, frames, scored=self.scored, depth=self.has_depth)
        stacks = {name: stacked([row[name] for row in self.rows]) for name in self.rows[0]}
        stamps = [key if isinstance(key, int) else i for i, key in enumerate(self.keys)]
        table = Frames(
            np.zeros(len(self.rows), np.int64),
            np.array(stamps, np.int64),
            np.array([str(key) for key in self.keys]),
            np.array(self.latencies, np.float64),
            **stacks,
        )
        matching = {
            "by": "stamp" if isinstance(self.keys[0], int) else "name",
            "matched": total,
            "unanswered": len(sides.matching.unanswered),
            "unanswered_count": self.rules.count_unanswered,
            "spare": len(sides.matching.spare),
            "resized": len(self.other_size),
            "with_depth": self.seen["depth"],
        }
        content = {**about, "matching": matching, "notes": notes}
        return Evaluation(
            sides.labels,
            (sides.truth.path.stem,),
            sides.video,
            against,
            content,
            table,
            joined(self.overlaps),
            joined(self.segments),
            joined(self.detections),
        )

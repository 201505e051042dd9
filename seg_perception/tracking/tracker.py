"""Detections over time become tracks with lasting ids.

Association follows ByteTrack (Zhang et al., ECCV 2022): confirmed tracks first meet the detections with high scores,
those that find none then meet the low-scored ones (an object that is half hidden is still there), and unconfirmed
tracks get what is left. The state is a structure of arrays, one row per track, so that a step costs the same few array
operations for one track or two hundred.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import ConfigError
from seg_perception.schema import option
from seg_perception.tracking.association import Pairs, assign, doubtful, mask_overlap, overlapping, solver
from seg_perception.tracking.carry import NOTHING, moved, rectangles
from seg_perception.tracking.ids import IdCounter
from seg_perception.tracking.kalman import Filters, boxes_of, measurements
from seg_perception.types import (
    UNLABELLED,
    BoolArray,
    Float32Array,
    Instances,
    Int32Array,
    Int64Array,
    Mask,
    Tracks,
    UInt8Array,
)

IndexArray = NDArray[np.intp]
Float64Array = NDArray[np.float64]

MAX_TRACKS = 1000
"""Live tracks of one camera; beyond it hidden ones go, the longest unseen first, so that the state stays bounded
whatever the stamps do.
"""

MAX_GROWTH = np.log(2.0)
"""An unseen track's size at most doubles or halves: beyond that the prediction is a guess."""

VOTE_MEMORY = 0.95
"""What a class vote still weighs one look later."""

LEAST_VOTE = 1e-6
"""What a detection with score 0 votes, so that every track has a class."""


@dataclass(frozen=True)
class TrackerConfig:
    """When a detection continues a track, when a track gets its id, and when it ends."""

    high_score: float = option(0.4, "detections from this score on are matched first and start tracks", ge=0.0, le=1.0)
    low_score: float = option(0.1, "detections below this score are ignored", ge=0.0, le=1.0)
    overlap: float = option(
        0.3, "least overlap (IoU) of a track's predicted box with a high-scored detection", ge=0.01, le=1.0
    )
    overlap_low: float = option(0.4, "the same for a low-scored detection", ge=0.01, le=1.0)
    class_confusion: float = option(
        0.5, "what an overlap counts when the class is one that the track never had", ge=0.0, le=1.0
    )
    min_hits: int = option(2, "looks in a row that must find a track before it gets an id", ge=1, le=100)
    max_lost: float = option(1.5, "seconds after which a track that was not seen ends", ge=0.05, le=60.0)
    score_half_life: float = option(1.0, "seconds in which the score of a track that is not seen halves", ge=0.01)
    noise: float = option(0.05, "standard deviation of a detected box's coordinates, in box sizes", ge=0.001, le=1.0)
    agility: float = option(
        2.0, "how much a velocity may change within a second, in box sizes per second", ge=0.001, le=100.0
    )

    def __post_init__(self) -> None:
        if self.low_score > self.high_score:
            raise ConfigError(
                f"tracker: low_score is {self.low_score:g} and high_score {self.high_score:g}; expected low <= high"
            )


@dataclass(slots=True)
class _State:
    """The live tracks, oldest first, one row each. ``box`` and ``masks`` are those of the last detection, ``anchor``
    is the filter's position at that moment: the filter's motion since then carries both to the present.
    """

    ids: Int32Array
    hits: Int64Array
    hidden: BoolArray
    seen: Int64Array
    age: Float64Array
    scores: Float32Array
    votes: Float32Array
    box: Float64Array
    anchor: Float64Array
    filters: Filters
    masks: list[Mask]

    def position(self) -> Float64Array:
        """``(N, 4)``: the filters' positions, with growth since the last detection kept within reason."""
        position = self.filters.position.copy()
        size, last = position[:, 2:], self.anchor[:, 2:]
        np.minimum(np.maximum(size, last - MAX_GROWTH, out=size), last + MAX_GROWTH, out=size)
        return position

    def take(self, rows: IndexArray) -> _State:
        return _State(*(_taken(getattr(self, f.name), rows) for f in fields(self)))

    def joined(self, other: _State) -> _State:
        return _State(*(_joined(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))


class Tracker:
    """The tracks of one camera. One :meth:`step` per frame, whether or not the instance network looked at it."""

    def __init__(self) -> None:
        solver()  # Imports scipy now, so that no frame waits for it.
        self._ids = IdCounter()
        self._size = (0, 0)
        self.reset()

    def reset(self) -> None:
        """Forget every track, as after a backwards time jump; ids go on counting."""
        self._stamp: int | None = None
        self._state = _born(_Detections.of(Instances.empty(), (1, 1), 0.0), 0, 1.0)

    def step(self, stamp_ns: int, size: tuple[int, int], instances: Instances | None, config: TrackerConfig) -> Tracks:
        """Carry every track to ``stamp_ns`` and, where the instance network looked, continue, start and hide tracks.

        ``size`` is the image's (width, height). ``instances`` is None when the network did not look at this frame:
        tracks are predicted and nothing counts as a miss. Detections that are not finite, unlabelled, empty or outside
        the image are ignored. A stamp that stands still or goes back moves nothing; an image of another size starts
        afresh.

        Returns all live tracks, oldest first. Boxes are clipped to the image (an empty box at its border where a track
        has left it). A hidden track's mask is empty: it claims no pixel.
        """
        if size != self._size:
            self.reset()
            self._size = size
        dt = 0.0 if self._stamp is None else max(stamp_ns - self._stamp, 0) * 1e-9
        self._stamp = stamp_ns
        self._predict(dt, config)
        if instances is not None:
            self._look(_Detections.of(instances, size, config.low_score), stamp_ns, config)
        return self._tracks(size, config)

    def _predict(self, dt: float, config: TrackerConfig) -> None:
        state = self._state
        state.age += dt
        if len(state.masks) and state.age.max() > config.max_lost:
            self._state = state = state.take(np.flatnonzero(state.age <= config.max_lost))
        if dt > 0.0:
            state.filters.predict(dt, config.agility)

    def _look(self, found: _Detections, stamp: int, config: TrackerConfig) -> None:
        rows, picks = self._associate(found, config)
        self._continue(rows, found.take(picks), stamp, config.noise)
        fresh = found.scores >= config.high_score
        fresh[picks] = False
        if fresh.any():
            self._state = self._state.joined(_born(found.take(np.flatnonzero(fresh)), stamp, config.noise))
        self._end()
        self._confirm(config.min_hits)

    def _continue(self, rows: IndexArray, found: _Detections, stamp: int, noise: float) -> None:
        """Correct the tracks ``rows`` by what they were ``found`` as, row by row; all others are hidden now."""
        state = self._state
        state.filters.update(rows, measurements(found.boxes), noise)
        state.anchor[rows] = state.filters.position[rows]
        state.box[rows] = found.boxes
        state.hits[rows] += 1
        state.seen[rows] = stamp
        state.age[rows] = 0.0
        state.scores[rows] = found.scores
        state.votes[rows] *= VOTE_MEMORY
        state.votes[rows, found.labels] += np.maximum(found.scores, LEAST_VOTE)
        state.hidden[:] = True
        state.hidden[rows] = False
        for row, mask in zip(rows.tolist(), found.masks, strict=True):
            state.masks[row] = mask

    def _end(self) -> None:
        state = self._state
        # A track that was never confirmed does not outlive a miss.
        alive = ~state.hidden | (state.ids > 0)
        if not alive.all():
            self._state = state = state.take(np.flatnonzero(alive))
        if len(state.masks) > MAX_TRACKS:
            newest_first = -np.arange(len(state.masks))
            self._state = state.take(np.sort(np.lexsort((newest_first, state.age, state.hidden))[:MAX_TRACKS]))

    def _confirm(self, min_hits: int) -> None:
        state = self._state
        due = np.flatnonzero((state.ids == 0) & (state.hits >= min_hits)).tolist()
        if due:
            live = set(state.ids.tolist())
            for row in due:
                state.ids[row] = self._ids.next(live)
                live.add(int(state.ids[row]))

    def _associate(self, found: _Detections, config: TrackerConfig) -> tuple[IndexArray, IndexArray]:
        """Rows of tracks, and for each the row of its detection."""
        state = self._state
        least = min(config.overlap, config.overlap_low)
        pairs = self._similar(overlapping(boxes_of(state.position()), found.boxes, least), found, config)
        confirmed = state.ids > 0
        high = found.scores >= config.high_score
        free_tracks, free_detections = np.ones_like(confirmed), np.ones_like(high)
        rows, picks = [pairs.tracks[:0]], [pairs.detections[:0]]
        for tracks, detections, gate in (
            (confirmed, high, config.overlap),
            (confirmed & ~state.hidden, ~high, config.overlap_low),
            (~confirmed, high, config.overlap),
        ):
            eligible = (tracks & free_tracks)[pairs.tracks] & (detections & free_detections)[pairs.detections]
            stage = pairs.where(eligible & (pairs.overlap >= gate))
            if len(stage):
                chosen = assign(stage, stage.overlap - gate)
                rows.append(stage.tracks[chosen])
                picks.append(stage.detections[chosen])
                free_tracks[rows[-1]] = False
                free_detections[picks[-1]] = False
        return np.concatenate(rows), np.concatenate(picks)

    def _similar(self, pairs: Pairs, found: _Detections, config: TrackerConfig) -> Pairs:
        """Box overlap, joined by mask overlap where there are rivals, weighed by how often the track had that
        class.
        """
        if not len(pairs):
            return pairs
        state = self._state
        shift = np.rint(state.filters.position[:, :2] - state.anchor[:, :2]).astype(np.intp)
        for i in doubtful(pairs).tolist():
            track = pairs.tracks[i]
            a, b = state.masks[track], found.masks[pairs.detections[i]]
            if a.bits.size and b.bits.size:
                pairs.overlap[i] = (pairs.overlap[i] + mask_overlap(a, b, *shift[track].tolist())) / 2.0
        votes = state.votes[pairs.tracks, found.labels[pairs.detections]] / state.votes.max(axis=1)[pairs.tracks]
        agreement = config.class_confusion + (1.0 - config.class_confusion) * votes
        return Pairs(pairs.tracks, pairs.detections, pairs.overlap * agreement)

    def _tracks(self, size: tuple[int, int], config: TrackerConfig) -> Tracks:
        state = self._state
        anchor, position = state.anchor.reshape(-1, 2, 2), state.position().reshape(-1, 2, 2)
        scale = np.exp(position[:, 1:] - anchor[:, 1:])
        boxes = (state.box.reshape(-1, 2, 2) - anchor[:, :1]) * scale + position[:, :1]
        boxes = np.clip(boxes, 0.0, np.array(size, np.float64))
        visible = (boxes[:, 1] > boxes[:, 0]).all(axis=1) & ~state.hidden
        masks = [mask if shown else NOTHING for mask, shown in zip(state.masks, visible.tolist(), strict=True)]
        rows = np.flatnonzero(visible & (state.age > 0.0))
        if len(rows):
            carried = [masks[row] for row in rows.tolist()]
            places = (rectangles(carried) - anchor[rows, :1]) * scale[rows] + position[rows, :1]
            for row, mask in zip(rows.tolist(), moved(carried, places, size), strict=True):
                masks[row] = mask
        return Tracks(
            track_ids=state.ids.copy(),
            boxes=boxes.reshape(-1, 4).astype(np.float32),
            scores=state.scores * np.exp2(-state.age / config.score_half_life).astype(np.float32),
            labels=state.votes.argmax(axis=1).astype(np.uint8),
            masks=tuple(masks),
            seen=state.seen.copy(),
            visible=visible,
        )


@dataclass(frozen=True, slots=True)
class _Detections:
    """Usable detections in an order that does not depend on the order they came in: best first."""

    boxes: Float64Array
    scores: Float32Array
    labels: UInt8Array
    masks: list[Mask]

    @classmethod
    def of(cls, instances: Instances, size: tuple[int, int], low_score: float) -> _Detections:
        boxes = np.clip(instances.boxes.astype(np.float64), 0.0, np.tile(np.array(size, np.float64), 2))
        usable = (
            (boxes[:, 2] > boxes[:, 0])
            & (boxes[:, 3] > boxes[:, 1])
            & (instances.scores >= low_score)
            & (instances.labels != UNLABELLED)
        )
        rows = np.flatnonzero(usable)
        rows = rows[np.lexsort((*boxes[rows].T, instances.labels[rows], -instances.scores[rows]))]
        return cls(boxes, instances.scores, instances.labels, list(instances.masks)).take(rows)

    def take(self, rows: IndexArray) -> _Detections:
        return _Detections(
            self.boxes[rows], self.scores[rows], self.labels[rows], [self.masks[i] for i in rows.tolist()]
        )


def _born(found: _Detections, stamp: int, noise: float) -> _State:
    n = len(found.masks)
    filters = Filters.start(measurements(found.boxes), noise)
    votes = np.zeros((n, 256), np.float32)
    votes[np.arange(n), found.labels] = np.maximum(found.scores, LEAST_VOTE)
    return _State(
        ids=np.zeros(n, np.int32),
        hits=np.ones(n, np.int64),
        hidden=np.zeros(n, np.bool_),
        seen=np.full(n, stamp, np.int64),
        age=np.zeros(n),
        scores=found.scores.copy(),
        votes=votes,
        box=found.boxes.copy(),
        anchor=filters.position.copy(),
        filters=filters,
        masks=list(found.masks),
    )


def _taken(column: Any, rows: IndexArray) -> Any:
    if isinstance(column, list):
        return [column[i] for i in rows.tolist()]
    return column.take(rows) if isinstance(column, Filters) else column[rows]


def _joined(a: Any, b: Any) -> Any:
    if isinstance(a, list):
        return a + b
    return a.joined(b) if isinstance(a, Filters) else np.concatenate((a, b))

"""Detections over time become tracks with lasting ids.

Association follows ByteTrack (Zhang et al., ECCV 2022): confirmed tracks first meet the detections with high scores,
those that find none then meet the low-scored ones (an object that is half hidden is still there), and unconfirmed
tracks get what is left. The state is a structure of arrays, one row per track, so that a step costs the same few array
operations for one track or two hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import ConfigError
from seg_perception.schema import option
from seg_perception.tracking.association import Pairs, assign, doubtful, mask_overlap, overlapping, solver
from seg_perception.tracking.carry import NOTHING, moved, rectangles
from seg_perception.tracking.ids import IdCounter
from seg_perception.tracking.kalman import boxes_of, growth, measurements
from seg_perception.tracking.state import Detections, State
from seg_perception.tracking.timeline import Moment, Timeline
from seg_perception.types import BoolArray, Float32Array, Look, Tracks

IndexArray = NDArray[np.intp]
Float64Array = NDArray[np.float64]

MAX_TRACKS = 1000
"""Live tracks of one camera; beyond it hidden ones go, the longest unseen first, so that the state stays bounded
whatever the stamps do.
"""

VOTE_MEMORY = 0.95
"""What a class vote still weighs one look later."""

LOOKED_AT = 0.8
"""The part of a track's box that must lie in one region for the track to have been looked for there."""

WORTH = np.array([[1.0, 1e-3], [1.0, 0.0], [1e-6, 0.0]])
"""What a pair counts in the assignment: visible, hidden and unconfirmed tracks (rows) with high- and low-scored
detections. Factors far apart make one assignment of ByteTrack's three in turn.
"""


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


class Tracker:
    """The tracks of one camera. One :meth:`step` per frame, whether or not the instance network looked at it."""

    def __init__(self) -> None:
        solver()  # Imports scipy now, so that no frame waits for it.
        self._ids = IdCounter()
        self._size = (0, 0)
        self.reset()

    def reset(self) -> None:
        """Forget every track, as after a backwards time jump; ids go on counting."""
        self._timeline = Timeline()
        self._state = State.empty()

    def step(
        self,
        stamp: int,
        size: tuple[int, int],
        look: Look | None,
        config: TrackerConfig,
        motion: Float64Array | None = None,
    ) -> Tracks:
        """Carry every track to ``stamp`` and, where the instance network looked, continue, start and hide tracks.

        ``size`` is the image's (width, height). ``look`` is what the network brings back now, if anything: of this
        frame or of an older one, which is then made up for as if it had come in time; one that is older than another
        before it is ignored. Only tracks in its regions can be missed. Detections that are not finite, unlabelled,
        empty or outside the image are ignored. ``motion`` ``(2, 3)`` is how the image moved since the frame before
        (see :class:`~seg_perception.tracking.motion.CameraMotion`), None where that is not known. A stamp that stands
        still or goes back takes no time; an image of another size starts afresh.

        Returns all live tracks, oldest first. Boxes are clipped to the image (an empty box at its border where a track
        has left it). A hidden track's mask is empty: it claims no pixel.
        """
        if size != self._size:
            self.reset()
            self._size = size
        timeline = self._timeline
        timeline.advance(stamp, motion)
        self._forget(config.max_lost)
        moment = None if look is None else timeline.at(look.stamp)
        if look is not None and moment is not None:
            self._move_to(moment, config.agility)
            self._look(look, moment.time, config)
        elif timeline.overfull:
            self._move_to(timeline.middle, config.agility)
        return self._tracks(config)

    def _forget(self, max_lost: float) -> None:
        state = self._state
        kept = state.time >= self._timeline.now.time - max_lost
        if not kept.all():
            self._state = state.take(np.flatnonzero(kept))

    def _move_to(self, moment: Moment, agility: float) -> None:
        """Move the filters, and the anchor at which they stand, to ``moment``."""
        filters, dt = self._state.filters, moment.time - self._timeline.anchor.time
        if dt > 0.0:
            filters.predict(dt, agility)
        if moment.motion is not None:
            filters.warp(moment.motion)
        self._timeline.rebase(moment)

    def _look(self, look: Look, time: float, config: TrackerConfig) -> None:
        found = Detections.of(look.instances, self._size, config.low_score)
        boxes = boxes_of(self._state.bounded(self._state.filters.position.copy()))
        rows, picks = self._associate(boxes, found, config)
        self._hide(rows, boxes, look.regions)
        self._continue(rows, found.take(picks), look.stamp, time, config.noise)
        fresh = found.scores >= config.high_score
        fresh[picks] = False
        if fresh.any():
            born = State.born(found.take(np.flatnonzero(fresh)), look.stamp, time, config.noise)
            self._state = self._state.joined(born)
        self._end()
        self._confirm(config.min_hits)

    def _hide(self, rows: IndexArray, boxes: Float64Array, regions: Float32Array) -> None:
        """Hide the tracks that were looked for and not found: all with ``boxes`` in ``regions`` but ``rows``."""
        missed = _looked_for(boxes, regions, self._size)
        missed[rows] = False
        hidden = self._state.hidden
        hidden[missed] = True
        hidden[rows] = False

    def _continue(self, rows: IndexArray, found: Detections, stamp: int, time: float, noise: float) -> None:
        """Correct the tracks ``rows`` by what they were ``found`` as, row by row."""
        state = self._state
        filters = state.filters
        filters.update(rows, measurements(found.boxes), noise)
        state.origin[:, rows] = filters.position[:, rows]
        state.box[:, rows] = found.boxes
        state.time[rows] = time
        state.scores[rows] = found.scores
        state.hits[rows] += 1
        state.seen[rows] = stamp
        state.vote(rows, found, VOTE_MEMORY)
        for row, mask in zip(rows.tolist(), found.masks, strict=True):
            state.masks[row] = mask

    def _end(self) -> None:
        state = self._state
        # A track that was never confirmed does not outlive a miss.
        alive = (state.hidden == 0) | (state.ids > 0)
        if not alive.all():
            self._state = state = state.take(np.flatnonzero(alive))
        if len(state) > MAX_TRACKS:
            newest_first = -np.arange(len(state))
            self._state = state.take(np.sort(np.lexsort((newest_first, -state.time, state.hidden))[:MAX_TRACKS]))

    def _confirm(self, min_hits: int) -> None:
        state = self._state
        due = np.flatnonzero((state.ids == 0) & (state.hits >= min_hits)).tolist()
        if due:
            live = set(state.ids.tolist())
            for row in due:
                state.ids[row] = self._ids.next(live)
                live.add(int(state.ids[row]))

    def _associate(
        self, boxes: Float64Array, found: Detections, config: TrackerConfig
    ) -> tuple[IndexArray, IndexArray]:
        """Rows of tracks, and for each the row of its detection."""
        state = self._state
        pairs = self._similar(overlapping(boxes, found.boxes, min(config.overlap, config.overlap_low)), found, config)
        kind = np.where(state.ids > 0, state.hidden, 2)
        low = (found.scores < config.high_score).astype(np.intp)
        gate = np.array([config.overlap, config.overlap_low])
        low_pairs = low[pairs.detections]
        weights = (pairs.overlap - gate[low_pairs]) * WORTH[kind[pairs.tracks], low_pairs]
        kept = weights > 0.0
        pairs = pairs.where(kept)
        chosen = assign(pairs, weights[kept])
        return pairs.tracks[chosen], pairs.detections[chosen]

    def _similar(self, pairs: Pairs, found: Detections, config: TrackerConfig) -> Pairs:
        """Box overlap, joined by mask overlap where there are rivals, weighed by how often the track had that
        class.
        """
        if not len(pairs):
            return pairs
        state = self._state
        shift = np.rint(state.filters.position[:2] - state.origin[:2]).astype(np.intp)
        for i in doubtful(pairs).tolist():
            track = pairs.tracks[i]
            a, b = state.masks[track], found.masks[pairs.detections[i]]
            if a.bits.size and b.bits.size:
                pairs.overlap[i] = (pairs.overlap[i] + mask_overlap(a, b, *shift[:, track].tolist())) / 2.0
        votes = state.votes_for(pairs.tracks, found.labels[pairs.detections])
        agreement = config.class_confusion + (1.0 - config.class_confusion) * votes
        return Pairs(pairs.tracks, pairs.detections, pairs.overlap * agreement)

    def _tracks(self, config: TrackerConfig) -> Tracks:
        state, now, size = self._state, self._timeline.now, self._size
        position = self._now()
        origin = state.origin
        scale = np.exp(position[2:] - origin[2:])
        boxes = np.concatenate([(state.box[k : k + 2] - origin[:2]) * scale + position[:2] for k in (0, 2)])
        np.maximum(boxes, 0.0, out=boxes)
        np.minimum(boxes, np.array([*size, *size], np.float64)[:, None], out=boxes)
        visible = (boxes[2:] > boxes[:2]).all(axis=0) & (state.hidden == 0)
        age = now.time - state.time
        masks = [mask if shown else NOTHING for mask, shown in zip(state.masks, visible.tolist(), strict=True)]
        rows = np.flatnonzero(visible & (age > 0.0))
        if len(rows):
            carried = [masks[row] for row in rows.tolist()]
            places = (rectangles(carried) - origin[:2, rows].T[:, None]) * scale[:, rows].T[:, None]
            places += position[:2, rows].T[:, None]
            for row, mask in zip(rows.tolist(), moved(carried, places, size), strict=True):
                masks[row] = mask
        return Tracks(
            track_ids=state.ids.astype(np.int32),
            boxes=np.ascontiguousarray(boxes.T, np.float32),
            scores=(state.scores * np.exp2(-age / config.score_half_life)).astype(np.float32),
            labels=state.votes.argmax(axis=1).astype(np.uint8),
            masks=tuple(masks),
            seen=state.seen.copy(),
            visible=visible,
        )

    def _now(self) -> Float64Array:
        """``(4, N)`` where the tracks are by now."""
        filters, now = self._state.filters, self._timeline.now
        dt = now.time - self._timeline.anchor.time
        position = filters.position + dt * filters.velocity
        if now.motion is not None:
            position[:2] = now.motion[:, :2] @ position[:2] + now.motion[:, 2:]
            position[2:] += growth(now.motion)
        return self._state.bounded(position)


def _looked_for(boxes: Float64Array, regions: Float32Array, size: tuple[int, int]) -> BoolArray:
    """``(N,)`` whether one of ``regions`` ``(R, 4)`` has most of what the image shows of each box ``(4, N)``; a region
    that is the whole image has all.
    """
    limit = np.array(size, np.float64)
    if any((region[:2] <= 0.0).all() and (region[2:] >= limit).all() for region in regions):
        return np.ones(boxes.shape[1], np.bool_)
    low, high = np.maximum(boxes[:2], 0.0), np.minimum(boxes[2:], limit[:, None])
    area = np.prod(high - low, axis=0)
    looked = np.zeros(boxes.shape[1], np.bool_)
    for region in regions.astype(np.float64):
        common = np.maximum(np.minimum(high, region[2:, None]) - np.maximum(low, region[:2, None]), 0.0)
        looked |= common.prod(axis=0) >= LOOKED_AT * area
    return looked & (high > low).all(axis=0)

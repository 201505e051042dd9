"""Detections over time become tracks with lasting ids.

Association follows ByteTrack (Zhang et al., ECCV 2022): confirmed tracks first meet the detections with high scores,
those that find none then meet the low-scored ones (an object that is half hidden is still there), and unconfirmed
tracks get what is left. The state is one matrix, a column per track, so that a step costs the same few array operations
for one track or two hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seg_perception.errors import ConfigError
from seg_perception.schema import option
from seg_perception.tracking.association import Pairs, assign, grown, overlapping, overlaps, solver
from seg_perception.tracking.carry import NOTHING, moved, rectangles
from seg_perception.tracking.ids import IdCounter
from seg_perception.tracking.points import Picture
from seg_perception.tracking.state import HIDDEN, UNCONFIRMED, Detections, State
from seg_perception.tracking.timeline import Moment, Timeline
from seg_perception.types import SMALL, BoolArray, Float32Array, Float64Array, IndexArray, Look, Tracks, UInt8Array

MAX_TRACKS = 1000
"""Live tracks of one camera; beyond it hidden ones go, the longest unseen first, so that the state stays bounded
whatever the stamps do.
"""

SIGMAS = 3.0
"""Standard deviations by which a detection may lie off where a track is expected, when it looks around."""

LOOKED_AT = 0.8
"""The part of a track's box that must lie in one region for the track to have been looked for there."""

AS_CLOSE = 0.9
"""What is small must be shown at least so many times as large as when it was last seen, to have been looked for."""

WORTH = np.array([[1.0, 0.3], [1.0, 1e-3], [1e-6, 0.0]])
"""What an overlap counts: of visible, hidden and unconfirmed tracks (rows) with high- and low-scored detections.
Factors far apart make one assignment of ByteTrack's stages: who comes later takes what is left.
"""


@dataclass(frozen=True)
class TrackerConfig:
    """When a detection continues a track, when a track gets its id, and when it ends."""

    high_score: float = option(0.3, "detections from this score on are matched first and start tracks", ge=0.0, le=1.0)
    low_score: float = option(0.1, "detections below this score are ignored", ge=0.0, le=1.0)
    overlap: float = option(
        0.15, "least overlap (IoU) of a track's predicted box with a high-scored detection", ge=0.01, le=1.0
    )
    overlap_low: float = option(0.3, "the same for a low-scored detection", ge=0.01, le=1.0)
    reach: float = option(
        1.0, "how far around a box, in box sizes, tracks and detections without a partner look for one", ge=0.0, le=10.0
    )
    class_confusion: float = option(
        0.3, "what an overlap counts when the class is one that the track never had", ge=0.0, le=1.0
    )
    min_hits: int = option(2, "looks in a row that must find a track before it gets an id", ge=1, le=100)
    max_lost: float = option(3.0, "seconds after which a track that was not seen ends", ge=0.05, le=60.0)
    score_half_life: float = option(1.0, "seconds in which the score of a track that is not seen halves", ge=0.01)
    noise: float = option(0.08, "standard deviation of a detected box's coordinates, in box sizes", ge=0.001, le=1.0)
    agility: float = option(
        1.0, "how much a velocity may change within a second, in box sizes per second", ge=0.001, le=100.0
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
        self._size, self._limits = (0, 0), np.zeros((4, 1))
        self.reset()

    def reset(self) -> None:
        """Forget every track, as after a backwards time jump; ids go on counting."""
        self._timeline = Timeline()
        self._state, self._sightings = State.empty(), 0

    def step(
        self,
        stamp: int,
        size: tuple[int, int],
        look: Look | None,
        config: TrackerConfig,
        motion: Float64Array | None = None,
        picture: Picture | None = None,
    ) -> Tracks:
        """Carry every track to ``stamp`` and, where the instance network looked, continue, start and hide tracks.

        ``size`` is the image's (width, height). ``look`` is what the network brings back now, if anything: of this
        frame or of an older one, which is then made up for as if it had come in time; one that is older than another
        before it is ignored. Only tracks in its regions can be missed, small ones only in those that show them as close
        as they were last seen. Detections that are not finite, unlabelled, empty or outside the image are ignored.
        ``motion`` ``(2, 3)`` is how the image moved since the frame before (see
        :class:`~seg_perception.tracking.motion.CameraMotion`), None where that is not known. ``picture`` is the
        frame's: in it is measured how each thing has moved since it was seen (:mod:`~seg_perception.tracking.points`);
        without it that is predicted. A stamp that stands still or goes back takes no time; an image of another size
        starts afresh.

        Returns all live tracks, oldest first. Boxes are clipped to the image (an empty box at its border where a track
        has left it). A hidden track's mask is empty: it claims no pixel.
        """
        if size != self._size:
            self.reset()
            self._size, self._limits = size, np.array([*size, *size], np.float64)[:, None]
        timeline = self._timeline
        timeline.advance(stamp, motion, picture)
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
        kept = (state.time >= self._timeline.now.time - max_lost).nonzero()[0]
        if len(kept) < len(state):
            self._state = state = state.take(kept)
            self._timeline.keep(state.sighting)

    def _move_to(self, moment: Moment, agility: float) -> None:
        """Move the filters, and the anchor at which they stand, to ``moment``."""
        filters, dt = self._state.filters, moment.time - self._timeline.anchor.time
        measured = self._measured(moment) if len(moment.ways) else None
        if measured is not None and dt > 0.0:
            rows, position = measured
            filters.steer(rows, position - filters.predicted(dt, moment.motion).take(rows, axis=1), dt)
        if dt > 0.0 or moment.motion is not None:
            filters.predict(dt, agility, moment.motion)
        if measured is not None:
            rows, position = measured
            filters.position[:, rows] = position
        self._timeline.rebase(moment)

    def _measured(self, moment: Moment) -> tuple[IndexArray, Float64Array]:
        """Rows of the tracks of which pictures tell where they are at ``moment``, and that, ``(4, n)``; what is hidden
        cannot be followed.
        """
        state, ways = self._state, moment.ways.of(self._state.sighting)
        rows = (np.isfinite(ways[0]) & (state.flags != HIDDEN)).nonzero()[0]
        origin, way = state.origin.take(rows, axis=1), ways.take(rows, axis=1)
        return rows, np.concatenate((np.exp(way[2]) * origin[:2] + way[:2], origin[2:] + way[2]))

    def _look(self, look: Look, time: float, config: TrackerConfig) -> None:
        found = Detections.of(look.instances, self._limits, config.low_score)
        self._state = self._state.widened(int(found.labels.max(initial=0)) + 1)
        boxes = self._state.boxes()
        rows, picks = self._associate(boxes, found, config)
        found = found.take(picks)
        zoom, first = _shown(found.boxes, look.regions, self._size), self._sightings
        looked = self._looked_for(boxes, _shown(boxes, look.regions, self._size))
        self._state = self._state.after(rows, found, zoom, looked, look.stamp, time, config.noise, first)
        self._crowd_out()
        self._confirm(config.min_hits)
        if self._timeline.anchor.picture is not None:
            self._follow(first)
        self._sightings += len(picks)

    def _looked_for(self, boxes: Float64Array, shown: Float64Array) -> BoolArray:
        """``(N,)`` whether a look that showed the tracks' ``boxes`` ``(4, N)`` so close (``shown``, see :func:`_shown`)
        would have found them: what is small, and was last seen from closer, it may well have overlooked.
        """
        closest = self._state.zoom
        if not (closest > 1.0).any():  # All were last seen in whole frames, and nothing shows them from farther away.
            return np.greater(shown, 0.0)
        small = (boxes[2:] - boxes[:2]).prod(axis=0) < SMALL * SMALL
        return np.greater(shown, np.where(small, closest * AS_CLOSE, 0.0))

    def _follow(self, first: int) -> None:
        """Follow what was seen by the last look, whose sightings are ``first`` and later ones, and no longer what it
        missed.
        """
        state = self._state
        self._timeline.keep(state.sighting[state.flags != HIDDEN])
        rows = (state.sighting >= first).nonzero()[0]
        rows = rows[np.argsort(state.sighting[rows])]
        self._timeline.see(state.masks[rows].tolist(), state.sighting[rows], state.filters.velocity[:2, rows].T)

    def _crowd_out(self) -> None:
        state = self._state
        if len(state) > MAX_TRACKS:
            newest_first = -np.arange(len(state))
            worst_last = np.lexsort((newest_first, -state.time, state.flags & HIDDEN))
            self._state = state.take(np.sort(worst_last[:MAX_TRACKS]))

    def _confirm(self, min_hits: int) -> None:
        state = self._state
        due = ((state.flags == UNCONFIRMED) & (state.hits >= min_hits)).nonzero()[0]
        if len(due):
            ids, flags = state.ids, state.flags
            live = set(ids.tolist())
            for row in due.tolist():
                ids[row], flags[row] = self._ids.next(live), 0
                live.add(int(ids[row]))

    def _associate(
        self, boxes: Float64Array, found: Detections, config: TrackerConfig
    ) -> tuple[IndexArray, IndexArray]:
        """Rows of tracks and, row by row, of their detections; then those of the detections that start a track."""
        high = found.scores >= config.high_score
        value = Value.of(self._state, found, high, config)
        pairs = overlapping(boxes, found.boxes, min(config.overlap, config.overlap_low))
        rows, picks = assign(pairs, value.of_pairs(pairs))
        # Who is left, and scored high, looks further around.
        free, unclaimed = np.ones(len(self._state), np.bool_), high
        free[rows] = unclaimed[picks] = False
        fresh = unclaimed.nonzero()[0]
        if not len(fresh):
            return rows, picks
        tracks, detections = self._near(free.nonzero()[0], fresh, found, config.noise)
        if len(tracks):
            near, wanted = boxes.take(tracks, axis=1), found.boxes.take(detections, axis=1)
            pairs = Pairs(tracks, detections, overlaps(grown(near, config.reach), grown(wanted, config.reach)))
            more_rows, more_picks = assign(pairs, value.of_pairs(pairs))
            rows, picks = np.concatenate((rows, more_rows)), np.concatenate((picks, more_picks))
            unclaimed[more_picks] = False
            fresh = unclaimed.nonzero()[0]
        return rows, np.concatenate((picks, fresh))

    def _near(
        self, tracks: IndexArray, detections: IndexArray, found: Detections, noise: float
    ) -> tuple[IndexArray, IndexArray]:
        """Those pairs of ``tracks`` and ``detections`` whose centres are no farther apart than the filter's uncertainty
        makes likely.
        """
        numbers = self._state.filters.numbers.take(tracks, axis=1)
        likely = SIGMAS * np.sqrt(numbers[8] + noise * noise) * np.exp((numbers[2] + numbers[3]) * 0.5)
        boxes = found.boxes.take(detections, axis=1)
        across, along = np.abs(((boxes[:2] + boxes[2:]) * 0.5)[:, None] - numbers[:2, :, None]) <= likely[:, None]
        rows, columns = (across & along).nonzero()
        return tracks.take(rows), detections.take(columns)

    def _tracks(self, config: TrackerConfig) -> Tracks:
        state, now = self._state, self._timeline.now
        position, origin = self._now(), state.origin
        scale = np.exp(state.growth(position))
        corners = (state.box.reshape(2, 2, -1) - origin[:2]) * scale
        corners += position[:2]
        boxes = corners.reshape(4, -1)
        np.maximum(boxes, 0.0, out=boxes)
        np.minimum(boxes, self._limits, out=boxes)
        wide, high = boxes[2:] > boxes[:2]
        visible = wide & high & (state.flags != HIDDEN)
        age = now.time - state.time
        masks = state.masks.copy()
        masks[~visible] = NOTHING
        rows = (visible & (age > 0.0)).nonzero()[0]
        if len(rows):
            carried = masks.take(rows).tolist()
            places = (rectangles(carried) - origin[:2, rows].T[:, None]) * scale[:, rows].T[:, None]
            places += position[:2, rows].T[:, None]
            masks[rows] = moved(carried, places, self._size)
        return Tracks(
            track_ids=state.ids.astype(np.int32),
            boxes=boxes.T.astype(np.float32, order="C"),
            scores=(state.scores * np.exp2(age * (-1.0 / config.score_half_life))).astype(np.float32),
            labels=state.votes.argmax(axis=0).astype(np.uint8),
            masks=tuple(masks.tolist()),
            seen=state.seen.copy(),
            visible=visible,
        )

    def _now(self) -> Float64Array:
        """``(4, N)`` where the tracks are by now."""
        filters, now, anchor = self._state.filters, self._timeline.now, self._timeline.anchor
        if now is anchor:
            return filters.position
        position = filters.predicted(now.time - anchor.time, now.motion)
        if len(now.ways):
            rows, measured = self._measured(now)
            position[:, rows] = measured
        return position


@dataclass(frozen=True, slots=True)
class Value:
    """What it is worth that a track continues as a detection: its overlap, weighed by how often the track had that
    class, and by who comes first.

    ``familiar`` ``(classes, T)`` is what the tracks' votes make of an overlap, ``labels`` ``(D,)`` are the detections';
    ``track`` ``(T,)`` is 0, 2 or 4 and ``detection`` ``(D,)`` 0 or 1, whose sum is the place in :data:`WORTH` and in
    ``least`` ``(6,)``, the least overlap.
    """

    familiar: Float64Array
    labels: UInt8Array
    track: IndexArray
    detection: BoolArray
    least: Float64Array

    @classmethod
    def of(cls, state: State, found: Detections, high: BoolArray, config: TrackerConfig) -> Value:
        """Of all that are there."""
        familiar = state.votes * ((1.0 - config.class_confusion) / state.votes.max(axis=0))
        familiar += config.class_confusion
        least = np.array((config.overlap, config.overlap_low) * 3)
        return cls(familiar, found.labels, state.flags * 2, ~high, least)

    def of_pairs(self, pairs: Pairs) -> Float64Array:
        """Each pair's, 0 for those that cannot be."""
        tracks, detections = pairs.tracks, pairs.detections
        worth = pairs.overlap * self.familiar[self.labels.take(detections), tracks]
        place = self.track.take(tracks) + self.detection.take(detections)
        enough = worth >= self.least.take(place)
        worth *= WORTH.take(place)
        worth *= enough
        return worth


def _shown(boxes: Float64Array, regions: Float32Array, size: tuple[int, int]) -> Float64Array:
    """``(N,)`` how much closer than the whole frame the ``regions`` ``(R, 4)`` show each box ``(4, N)`` of an image of
    ``size``: the closest of those that have most of what the image shows of it; 0 where none has.
    """
    width, height = size
    if regions.tolist() == [[0.0, 0.0, width, height]]:
        return np.ones(boxes.shape[1])
    low, high = np.maximum(boxes[:2], 0.0), np.minimum(boxes[2:], [[width], [height]])
    area = np.where((high > low).all(axis=0), (high - low).prod(axis=0), np.inf)
    shown = np.zeros(boxes.shape[1])
    for x0, y0, x1, y1 in regions.tolist():
        common = np.minimum(high, [[x1], [y1]]) - np.maximum(low, [[x0], [y0]])
        most = np.maximum(common, 0.0).prod(axis=0) >= LOOKED_AT * area
        np.maximum(shown, most * min(width / (x1 - x0), height / (y1 - y0)), out=shown)
    return shown

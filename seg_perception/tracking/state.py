"""What is remembered of every live track: one matrix of numbers, one of integers, the votes, the masks.

A column per track, oldest first. Few big arrays instead of many small ones: tracks come and go in most frames, and each
array that has to be cut then costs as much for ten tracks as for two hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seg_perception.tracking.kalman import Filters, measurements
from seg_perception.types import (
    UNLABELLED,
    Float32Array,
    Float64Array,
    IndexArray,
    Instances,
    Int64Array,
    Mask,
    UInt8Array,
)

LEAST_VOTE = 1e-6
"""What a detection with score 0 votes, so that every track has a class."""

VOTE_MEMORY = np.float32(0.95)
"""What a class vote still weighs one look later."""

MAX_GROWTH = np.log(2.0)
"""An unseen track's size at most doubles or halves: beyond that the prediction is a guess."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Usable detections in an order that does not depend on the order they came in: best first. ``boxes`` is
    ``(4, N)``.
    """

    boxes: Float64Array
    scores: Float32Array
    labels: UInt8Array
    masks: list[Mask]

    @classmethod
    def of(cls, instances: Instances, limits: Float64Array, low_score: float) -> Detections:
        """Those of ``instances`` that are finite, labelled, scored ``low_score`` or better, and inside the image, whose
        width, height, width, height are ``limits`` ``(4, 1)``.
        """
        boxes = instances.boxes.T.astype(np.float64)
        np.maximum(boxes, 0.0, out=boxes)
        np.minimum(boxes, limits, out=boxes)
        scores, labels = instances.scores, instances.labels
        usable = (boxes[2] > boxes[0]) & (boxes[3] > boxes[1]) & (scores >= low_score) & (labels != UNLABELLED)
        rows = np.lexsort((*boxes, labels, -scores))
        rows = rows.compress(usable.take(rows))
        return cls(boxes, scores, labels, list(instances.masks)).take(rows)

    def take(self, rows: IndexArray) -> Detections:
        """The detections ``rows``."""
        masks = self.masks
        return Detections(
            self.boxes.take(rows, axis=1),
            self.scores.take(rows),
            self.labels.take(rows),
            [masks[i] for i in rows.tolist()],
        )


class State:
    """N tracks: ``numbers`` ``(21, N)`` and ``integers`` ``(5, N)``, whose rows have names here, all of them views;
    ``votes`` ``(N, classes so far)``; ``masks`` those of the last detections.
    """

    def __init__(self, numbers: Float64Array, integers: Int64Array, votes: Float32Array, masks: list[Mask]) -> None:
        self.numbers, self.integers, self.votes, self.masks = numbers, integers, votes, masks
        self.filters = Filters(numbers[0:4], numbers[4:8], numbers[8:11])
        """Where the tracks are, at the timeline's anchor."""
        self.box: Float64Array = numbers[11:15]
        """``(4, N)`` the last detection's box."""
        self.origin: Float64Array = numbers[15:19]
        """``(4, N)`` the filter's position when the track was last seen: its way since then carries box and mask."""
        self.time: Float64Array = numbers[19]
        """``(N,)`` the tracker's own time when the track was last seen."""
        self.scores: Float64Array = numbers[20]
        """``(N,)`` the last detection's."""
        self.ids: Int64Array = integers[0]
        """``(N,)``, 0 while not confirmed."""
        self.hits: Int64Array = integers[1]
        """``(N,)`` detections so far."""
        self.seen: Int64Array = integers[2]
        """``(N,)`` the stamp of the last detection."""
        self.hidden: Int64Array = integers[3]
        """``(N,)`` 1 for a track that was missed where the network looked, else 0."""

        self.sighting: Int64Array = integers[4]
        """``(N,)`` the running number of the last detection, under which it is followed."""

    @classmethod
    def empty(cls) -> State:
        """No track."""
        return cls(np.zeros((21, 0)), np.zeros((5, 0), np.int64), np.zeros((0, 1), np.float32), [])

    @classmethod
    def born(cls, found: Detections, stamp: int, time: float, noise: float, classes: int) -> State:
        """A track for each of ``found``, unconfirmed."""
        n = len(found.masks)
        votes = np.zeros((n, classes), np.float32)
        votes[np.arange(n), found.labels] = np.maximum(found.scores, LEAST_VOTE)
        state = cls(np.empty((21, n)), np.zeros((5, n), np.int64), votes, list(found.masks))
        state.filters.start(measurements(found.boxes), noise)
        state.box[:], state.origin[:] = found.boxes, state.filters.position
        state.time[:], state.scores[:] = time, found.scores
        state.hits[:], state.seen[:] = 1, stamp
        return state

    def __len__(self) -> int:
        return len(self.masks)

    def bounded(self, position: Float64Array) -> Float64Array:
        """``position`` ``(4, N)`` with growth since the last detection kept within reason, changed in place."""
        size, last = position[2:], self.origin[2:]
        np.maximum(size, last - MAX_GROWTH, out=size)
        np.minimum(size, last + MAX_GROWTH, out=size)
        return position

    def take(self, rows: IndexArray) -> State:
        """The tracks ``rows``."""
        masks = self.masks
        return State(
            self.numbers.take(rows, axis=1),
            self.integers.take(rows, axis=1),
            self.votes.take(rows, axis=0),
            [masks[i] for i in rows.tolist()],
        )

    def joined(self, other: State) -> State:
        """These tracks, then the ``other`` ones."""
        return State(
            np.concatenate((self.numbers, other.numbers), axis=1),
            np.concatenate((self.integers, other.integers), axis=1),
            np.concatenate((self.votes, other.votes)),
            self.masks + other.masks,
        )

    def put(self, rows: IndexArray, tracks: State) -> None:
        """Let the tracks ``rows`` be those of ``tracks``."""
        self.numbers[:, rows] = tracks.numbers
        self.integers[:, rows] = tracks.integers
        self.votes[rows] = tracks.votes
        for row, mask in zip(rows.tolist(), tracks.masks, strict=True):
            self.masks[row] = mask

    def continued(self, found: Detections, stamp: int, time: float, noise: float) -> None:
        """Correct every track by what it was ``found`` as, row by row."""
        self.filters.update(measurements(found.boxes), noise)
        self.origin[:], self.box[:] = self.filters.position, found.boxes
        self.time[:], self.scores[:] = time, found.scores
        self.hits += 1
        self.seen[:], self.hidden[:] = stamp, 0
        self.votes *= VOTE_MEMORY
        self.votes[np.arange(len(found.labels)), found.labels] += np.maximum(found.scores, LEAST_VOTE)
        self.masks = found.masks

    def votes_for(self, rows: IndexArray, labels: UInt8Array) -> Float32Array:
        """What each of the tracks ``rows`` (maybe some twice) has for its label, as part of what its majority has."""
        share: Float32Array = self.votes[rows, labels] / self.votes.max(axis=1).take(rows)
        return share

    def widen(self, classes: int) -> None:
        """Make room for the votes of so many classes."""
        missing = classes - self.votes.shape[1]
        if missing > 0:
            self.votes = np.pad(self.votes, ((0, 0), (0, missing)))

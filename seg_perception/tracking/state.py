"""What is remembered of every live track: one matrix, a column per track, oldest first; and the masks.

One big array instead of many small ones: tracks come and go in most frames, and each array that has to be cut then
costs as much for ten tracks as for two hundred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.tracking.kalman import ROWS, UNKNOWN, Filters, boxes_of, measurements
from seg_perception.types import (
    UNLABELLED,
    BoolArray,
    Float64Array,
    IndexArray,
    Instances,
    Int64Array,
    UInt8Array,
)

ObjectArray = NDArray[np.object_]

HIDDEN, UNCONFIRMED = 1, 2
"""Bits of a track's flags: it was missed where the network looked; it has no id yet. A track with both has ended."""

LEAST_VOTE = 1e-6
"""What a detection with score 0 votes, so that every track has a class."""

VOTE_MEMORY = 0.95
"""What a class vote still weighs one look later."""

MAX_GROWTH = math.log(2.0)
"""An unseen track's size at most doubles or halves: beyond that the prediction is a guess."""

_BOX, _ORIGIN, _TIME, _ZOOM, _INTEGERS, _VOTES = ROWS, ROWS + 5, ROWS + 9, ROWS + 10, ROWS + 11, ROWS + 16


@dataclass(frozen=True, slots=True)
class Detections:
    """N usable detections in an order that does not depend on the order they came in: best first. ``numbers`` is
    ``(5, N)``, each detection's box and score; ``labels`` ``(N,)``; ``masks`` ``(N,)``.
    """

    numbers: Float64Array
    labels: UInt8Array
    masks: ObjectArray

    @classmethod
    def of(cls, instances: Instances, limits: Float64Array, low_score: float) -> Detections:
        """Those of ``instances`` that are finite, labelled, scored ``low_score`` or better, and inside the image, whose
        width, height, width, height are ``limits`` ``(4, 1)``.
        """
        n = len(instances)
        numbers = np.empty((5, n))
        boxes, scores, labels = numbers[:4], instances.scores, instances.labels
        np.maximum(instances.boxes.T, 0.0, out=boxes)
        np.minimum(boxes, limits, out=boxes)
        numbers[4] = scores
        wide, high = boxes[2:] > boxes[:2]
        usable = wide & high & (scores >= low_score) & (labels != UNLABELLED)
        rows = np.lexsort((*boxes, labels, -scores))
        rows = rows.compress(usable.take(rows))
        masks: ObjectArray = np.fromiter(instances.masks, object, n)
        return cls(numbers.take(rows, axis=1), labels.take(rows), masks.take(rows))

    @property
    def boxes(self) -> Float64Array:
        """``(4, N)``."""
        return self.numbers[:4]

    @property
    def scores(self) -> Float64Array:
        """``(N,)``."""
        scores: Float64Array = self.numbers[4]
        return scores

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: IndexArray) -> Detections:
        """The detections ``rows``."""
        return Detections(self.numbers.take(rows, axis=1), self.labels.take(rows), self.masks.take(rows))


class State:
    """N tracks: ``cells`` ``(28 + classes so far, N)``, whose rows have names here, all of them views, some as
    integers; ``masks`` ``(N,)`` those of the last detections.
    """

    def __init__(self, cells: Float64Array, masks: ObjectArray) -> None:
        integers = cells[_INTEGERS:_VOTES].view(np.int64)
        self.cells, self.masks = cells, masks
        self.filters = Filters(cells[:ROWS])
        """Where the tracks are, at the timeline's anchor."""
        self.box: Float64Array = cells[_BOX : _BOX + 4]
        """``(4, N)`` the last detection's box."""
        self.scores: Float64Array = cells[_BOX + 4]
        """``(N,)`` the last detection's."""
        self.origin: Float64Array = cells[_ORIGIN:_TIME]
        """``(4, N)`` the filter's position when the track was last seen: its way since then carries box and mask."""
        self.time: Float64Array = cells[_TIME]
        """``(N,)`` the tracker's own time when the track was last seen."""
        self.zoom: Float64Array = cells[_ZOOM]
        """``(N,)`` how much closer than the whole frame the look was that last saw the track."""
        self.seen: Int64Array = integers[0]
        """``(N,)`` the stamp of the last detection."""
        self.hits: Int64Array = integers[1]
        """``(N,)`` detections so far."""
        self.flags: Int64Array = integers[2]
        """``(N,)`` :data:`HIDDEN` and :data:`UNCONFIRMED`."""
        self.ids: Int64Array = integers[3]
        """``(N,)``, 0 while not confirmed."""
        self.sighting: Int64Array = integers[4]
        """``(N,)`` the running number of the last detection, under which it is followed."""
        self.votes: Float64Array = cells[_VOTES:]
        """``(classes so far, N)``."""

    @classmethod
    def empty(cls) -> State:
        """No track."""
        return cls(np.zeros((_VOTES + 1, 0)), np.empty(0, object))

    def __len__(self) -> int:
        return len(self.masks)

    def take(self, rows: IndexArray) -> State:
        """The tracks ``rows``."""
        return State(self.cells.take(rows, axis=1), self.masks.take(rows))

    def growth(self, position: Float64Array) -> Float64Array:
        """``(2, N)`` what ``position`` ``(4, N)`` says that the boxes' sides have grown by (as logarithms) since the
        last detection, within reason.
        """
        grown: Float64Array = position[2:] - self.origin[2:]
        np.maximum(grown, -MAX_GROWTH, out=grown)
        np.minimum(grown, MAX_GROWTH, out=grown)
        return grown

    def boxes(self) -> Float64Array:
        """``(4, N)`` where the filters expect the boxes at the anchor."""
        position = self.cells[:4]
        size = self.growth(position)
        size += self.origin[2:]
        return boxes_of(position[:2], size)

    def after(
        self,
        rows: IndexArray,
        found: Detections,
        zoom: Float64Array,
        looked: BoolArray,
        stamp: int,
        time: float,
        noise: float,
        sighting: int = 0,
    ) -> State:
        """What a look makes of the tracks: ``rows`` are corrected by what they were ``found`` as, row by row, and as
        close as ``zoom`` ``(len(found),)``; of the others those that were ``looked`` for are hidden, or end where they
        had no id; and each detection that is left starts a track. ``sighting`` is the number of the first of ``found``.
        The classes that were found must have room (:meth:`widened`).
        """
        n, seen = len(self), self.cells.take(rows, axis=1)
        if len(found) > len(rows):
            fresh = _NOBODY[: len(seen)].repeat(len(found) - len(rows), axis=1)
            seen = np.concatenate((seen, fresh), axis=1)
        Filters(seen[:ROWS]).update(measurements(found.boxes), noise)
        seen[_BOX:_ORIGIN] = found.numbers
        seen[_ORIGIN:_TIME] = seen[:4]
        seen[_TIME], seen[_ZOOM] = time, zoom
        integers, votes = seen[_INTEGERS:_VOTES].view(np.int64), seen[_VOTES:]
        integers[0] = stamp
        integers[1] += 1
        integers[2] &= UNCONFIRMED
        integers[4] = np.arange(sighting, sighting + len(found))
        votes *= VOTE_MEMORY
        votes[found.labels, np.arange(len(found))] += np.maximum(found.scores, LEAST_VOTE)
        # Columns of the old ones and the seen ones, in the order in which they go on.
        lasting = np.bitwise_or(self.flags, looked, out=self.flags) != HIDDEN | UNCONFIRMED  # HIDDEN is 1, as True is.
        lasting[rows] = True
        columns = np.arange(n + len(found))
        columns[rows] = columns[n : n + len(rows)]
        kept = np.concatenate((columns[:n].compress(lasting), columns[n + len(rows) :]))
        cells = np.concatenate((self.cells, seen), axis=1)
        return State(cells.take(kept, axis=1), np.concatenate((self.masks, found.masks)).take(kept))

    def widened(self, classes: int) -> State:
        """These with room for the votes of so many classes."""
        missing = classes - len(self.votes)
        if missing <= 0:
            return self
        return State(np.concatenate((self.cells, np.zeros((missing, len(self))))), self.masks)


def _nobody() -> Float64Array:
    column = np.zeros((_VOTES + UNLABELLED, 1))
    column[:ROWS, 0] = UNKNOWN
    State(column, np.empty(1, object)).flags[:] = UNCONFIRMED
    return column


_NOBODY = _nobody()
"""A track that was never seen, with room for every class."""

"""What is remembered of every live track: one matrix, a column per track, oldest first; and the masks.

One big array instead of many small ones: tracks come and go in most frames, and each array that has to be cut then
costs as much for ten tracks as for two hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.tracking.kalman import ROWS, UNKNOWN, Filters, boxes_of, measurements
from seg_perception.types import (
    UNLABELLED,
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

MAX_GROWTH = np.log(2.0)
"""An unseen track's size at most doubles or halves: beyond that the prediction is a guess."""

_BOX, _ORIGIN, _TIME, _INTEGERS, _VOTES = ROWS, ROWS + 5, ROWS + 9, ROWS + 10, ROWS + 14


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
    """N tracks: ``cells`` ``(26 + classes so far, N)``, whose rows have names here, all of them views, some as
    integers; ``masks`` ``(N,)`` those of the last detections.
    """

    __slots__ = ("cells", "masks")

    def __init__(self, cells: Float64Array, masks: ObjectArray) -> None:
        self.cells, self.masks = cells, masks

    @classmethod
    def empty(cls) -> State:
        """No track."""
        return cls(np.zeros((_VOTES + 1, 0)), np.empty(0, object))

    def __len__(self) -> int:
        return len(self.masks)

    def _row(self, row: int) -> Float64Array:
        cells: Float64Array = self.cells[row]
        return cells

    @property
    def filters(self) -> Filters:
        """Where the tracks are, at the timeline's anchor."""
        return Filters(self.cells[:ROWS])

    @property
    def box(self) -> Float64Array:
        """``(4, N)`` the last detection's box."""
        return self.cells[_BOX : _BOX + 4]

    @property
    def scores(self) -> Float64Array:
        """``(N,)`` the last detection's."""
        return self._row(_BOX + 4)

    @property
    def origin(self) -> Float64Array:
        """``(4, N)`` the filter's position when the track was last seen: its way since then carries box and mask."""
        return self.cells[_ORIGIN : _ORIGIN + 4]

    @property
    def time(self) -> Float64Array:
        """``(N,)`` the tracker's own time when the track was last seen."""
        return self._row(_TIME)

    @property
    def seen(self) -> Int64Array:
        """``(N,)`` the stamp of the last detection."""
        return self._row(_INTEGERS).view(np.int64)

    @property
    def hits(self) -> Int64Array:
        """``(N,)`` detections so far."""
        return self._row(_INTEGERS + 1).view(np.int64)

    @property
    def ids(self) -> Int64Array:
        """``(N,)``, 0 while not confirmed."""
        return self._row(_INTEGERS + 2).view(np.int64)

    @property
    def flags(self) -> Int64Array:
        """``(N,)`` :data:`HIDDEN` and :data:`UNCONFIRMED`."""
        return self._row(_INTEGERS + 3).view(np.int64)

    @property
    def votes(self) -> Float64Array:
        """``(classes so far, N)``."""
        return self.cells[_VOTES:]

    def growth(self, position: Float64Array) -> Float64Array:
        """``(2, N)`` what ``position`` ``(4, N)`` says that the boxes' sides have grown by (as logarithms) since the
        last detection, within reason.
        """
        grown = position[2:] - self.cells[_ORIGIN + 2 : _TIME]
        np.maximum(grown, -MAX_GROWTH, out=grown)
        np.minimum(grown, MAX_GROWTH, out=grown)
        return grown

    @property
    def boxes(self) -> Float64Array:
        """``(4, N)`` the filters' boxes at the anchor."""
        position = self.cells[:4].copy()
        np.add(self.growth(position), self.cells[_ORIGIN + 2 : _TIME], out=position[2:])
        return boxes_of(position)

    def take(self, rows: IndexArray) -> State:
        """The tracks ``rows``."""
        return State(self.cells.take(rows, axis=1), self.masks.take(rows))

    def continued(self, rows: IndexArray, found: Detections, stamp: int, time: float, noise: float) -> State:
        """The tracks ``rows``, each corrected by what it was ``found`` as; then a new one, unconfirmed, for each
        detection that is left. Their classes must have room (:meth:`widen`).
        """
        cells = self.cells.take(rows, axis=1)
        if len(found) > len(rows):
            fresh = _NOBODY[: len(cells)].repeat(len(found) - len(rows), axis=1)
            cells = np.concatenate((cells, fresh), axis=1)
        tracks = State(cells, found.masks)
        filters, hits, flags, votes = tracks.filters, tracks.hits, tracks.flags, tracks.votes
        filters.update(measurements(found.boxes), noise)
        cells[_BOX:_ORIGIN] = found.numbers
        tracks.origin[:] = filters.position
        tracks.time[:] = time
        tracks.seen[:] = stamp
        hits += 1
        flags &= UNCONFIRMED
        votes *= VOTE_MEMORY
        votes[found.labels, np.arange(len(found))] += np.maximum(found.scores, LEAST_VOTE)
        return tracks

    def renewed(self, rows: IndexArray, seen: State) -> State:
        """These tracks without those that have ended; ``rows`` are what the first columns of ``seen`` have made of
        them, and further ones follow at the end.
        """
        n, lasting = len(self), self.flags != HIDDEN | UNCONFIRMED
        columns = np.arange(n + len(seen))
        columns[rows] = columns[n : n + len(rows)]
        lasting[rows] = True
        kept = np.concatenate((columns[:n].compress(lasting), columns[n + len(rows) :]))
        cells = np.concatenate((self.cells, seen.cells), axis=1)
        return State(cells.take(kept, axis=1), np.concatenate((self.masks, seen.masks)).take(kept))

    def widen(self, classes: int) -> None:
        """Make room for the votes of so many classes."""
        missing = classes - len(self.votes)
        if missing > 0:
            self.cells = np.concatenate((self.cells, np.zeros((missing, len(self)))))


def _nobody() -> Float64Array:
    column = np.zeros((_VOTES + UNLABELLED, 1))
    column[:ROWS, 0] = UNKNOWN
    State(column, np.empty(1, object)).flags[:] = UNCONFIRMED
    return column


_NOBODY = _nobody()
"""A track that was never seen, with room for every class."""

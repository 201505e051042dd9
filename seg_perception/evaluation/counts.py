"""What is counted of each frame, in tables whose first axis is the frame, so that any choice of frames adds up.

A table is a data class of arrays: :class:`Pixels`, :class:`Coverage`, :class:`Calibration` and :class:`Stability` here,
:class:`~seg_perception.evaluation.panoptic.PanopticQuality` and
:class:`~seg_perception.evaluation.boundary.Boundary` as well. Its scores work on the last axis (classes, or what else
the table lists), whatever comes before: those of every frame, of their sum, or of many weighted sums at once, as a
bootstrap draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.confusion import ratio
from seg_perception.types import Float64Array, Int64Array

T = TypeVar("T")


def weighted(table: T, weights: NDArray[Any]) -> T:
    """The sums over the frames of a table of F frames: ``weights`` ``(F,)`` says how often each counts (ones: all of
    them once), ``(B, F)`` makes B sums at once, which are the first axis of the result.
    """
    return _of(table, [np.tensordot(weights, values, axes=1) for values in arrays(table).values()])


def stacked(tables: Sequence[T]) -> T:
    """One table of those of single frames, which have no axis for the frame yet; at least one."""
    return _of(tables[0], [np.stack(values) for values in zip(*(arrays(t).values() for t in tables), strict=True)])


def joined(tables: Sequence[T]) -> T:
    """One table of several (at least one), one after the other, field by field and however deep; of what is a single
    value, the first's.
    """
    values = []
    for column in zip(*(arrays(table).values() for table in tables), strict=True):
        if is_dataclass(column[0]):
            values.append(joined(column))
        else:
            values.append(np.concatenate(column) if np.ndim(column[0]) else column[0])
    return _of(tables[0], values)


def arrays(table: Any) -> dict[str, NDArray[Any]]:
    """The arrays of a table, by the names of its fields."""
    return {field.name: getattr(table, field.name) for field in fields(table)}


def _of(table: T, values: Sequence[NDArray[Any]]) -> T:
    return type(table)(*values)


@dataclass(frozen=True, slots=True)
class Pixels:
    """Judged pixels by class: ``right`` (of the class, and predicted so), ``true`` and ``predicted``, each
    ``(..., C)`` int64.
    """

    right: Int64Array
    true: Int64Array
    predicted: Int64Array

    @property
    def iou(self) -> Float64Array:
        """``(..., C)`` intersection over union; NaN for a class that is neither in the truth nor predicted."""
        return ratio(self.right, self.true + self.predicted - self.right)

    @property
    def precision(self) -> Float64Array:
        """``(..., C)``; NaN for a class that is never predicted."""
        return ratio(self.right, self.predicted)

    @property
    def recall(self) -> Float64Array:
        """``(..., C)``; NaN for a class that is not in the truth."""
        return ratio(self.right, self.true)

    @property
    def f1(self) -> Float64Array:
        """``(..., C)`` harmonic mean of both; NaN where IoU is."""
        return ratio(2 * self.right, self.true + self.predicted)

    @property
    def accuracy(self) -> Float64Array:
        """``(...)`` the part of the judged pixels that have the right class."""
        return ratio(self.right.sum(-1), self.true.sum(-1))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Judged pixels that are labelled, by their confidence 0..255 (0 never occurs): how many have the right class and
    how many a wrong one, each ``(..., 256)`` int64; all 0 where no confidence is known.
    """

    right: Int64Array
    wrong: Int64Array

    def error(self, bins: int = 15) -> Float64Array:
        """``(...)`` expected calibration error (Guo et al., ICML 2017): the mean over pixels of the distance between
        confidence and accuracy, by ``bins`` of equal width; NaN where no confidence is known.
        """
        right, total, stated = self.binned(bins)
        return ratio(np.abs(right - stated).sum(-1), total.sum(-1))

    def binned(self, bins: int = 15) -> tuple[Float64Array, Float64Array, Float64Array]:
        """By bin of confidence, ``(..., bins)`` each: pixels that are right, all pixels, and the sum of what confidence
        they state (0..1). ``right / total`` over ``stated / total`` is the reliability curve.
        """
        values = np.arange(256) / 255
        members = np.minimum((values * bins).astype(np.intp), bins - 1)[:, None] == np.arange(bins)
        total = self.right + self.wrong
        return (
            self.right @ members.astype(float),
            total @ members.astype(float),
            (total * values) @ members.astype(float),
        )


@dataclass(frozen=True, slots=True)
class Stability:
    """Pixels that should not have changed since the frame before, by the class they should have kept, each
    ``(..., C)`` int64: how many there are (``compared``), and how many of them did change their predicted class.
    """

    compared: Int64Array
    changed: Int64Array

    @property
    def flicker(self) -> Float64Array:
        """``(..., C)`` the part that changed; NaN where nothing was compared."""
        return ratio(self.changed, self.compared)


@dataclass(frozen=True, slots=True)
class Coverage:
    """All predicted pixels, by class with unlabelled last, each ``(..., C + 1)`` int64: how many, and the sum of their
    confidences of 0..255 (0 where none is known).
    """

    pixels: Int64Array
    confidence: Int64Array

    @property
    def labelled(self) -> Float64Array:
        """``(...)`` the part of the pixels that have a class."""
        return ratio(self.pixels[..., :-1].sum(-1), self.pixels.sum(-1))

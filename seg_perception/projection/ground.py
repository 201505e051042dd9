"""Where the ground is: its height from labelled points; and where nothing measures depth, points on flat ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.labels import LabelSpace
from seg_perception.types import BoolArray

Float64Array = NDArray[np.float64]

GROUND = "ground"
"""The ancestor of every class that one can stand on."""

NEAR, WIDER = 1.5, 4.0
"""Metres around a place in which ground points say how high it is there; the wider circle where the first has few."""

ENOUGH = 8
MOST = 2000
"""Ground points that are looked at; more say no more."""


def ground_table(labels: LabelSpace) -> BoolArray:
    """``(256,)`` bool: the classes that one can stand on (descendants of ``ground``)."""
    table = np.zeros(256, np.bool_)
    table[: len(labels)] = [GROUND in labels.chain(entry.name) for entry in labels.classes]
    return table


@dataclass(frozen=True)
class Ground:
    """Points of ground, ``(N, 3)`` float64, in a frame whose z axis points up."""

    points: Float64Array

    def height(self, place: NDArray[np.floating]) -> float | None:
        """z of the ground at ``place`` ``(2,)``: the median around it, or of the plane through all points where there
        are few; None where there are hardly any.
        """
        if len(self.points) < ENOUGH:
            return None
        distance = np.hypot(*(self.points[:, :2] - place).T)
        for radius in (NEAR, WIDER):
            inside = distance < radius
            if np.count_nonzero(inside) >= ENOUGH:
                return float(np.median(self.points[inside, 2]))
        plane = self.plane()
        return None if plane is None else float(plane[:2] @ place + plane[2])

    def plane(self) -> Float64Array | None:
        """``(3,)`` a, b, c of the plane ``z = a x + b y + c`` through all points; None where there are hardly any."""
        if len(self.points) < ENOUGH:
            return None
        terms = np.column_stack((self.points[:, :2], np.ones(len(self.points))))
        plane = np.linalg.lstsq(terms, self.points[:, 2], rcond=None)[0]
        # Once more without what bled over: a few points on a wall tilt a plane.
        off = np.abs(terms @ plane - self.points[:, 2])
        near = off <= np.median(off) * 3
        return np.asarray(np.linalg.lstsq(terms[near], self.points[near, 2], rcond=None)[0])

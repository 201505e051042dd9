"""The ground plan of a place: what the movers need to know of it.

A place is laid along the x axis and bends with ``y = bend.y(x)``. Its ground consists of bands that follow the bend;
beyond and on them stand solids, which moving things and the robot keep away from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

EXTENT = 110.0
"""Half the length of a place, in metres."""


@dataclass(frozen=True)
class Bend:
    """The centre line: ``y = amplitude * sin(x / length + phase)``."""

    amplitude: float
    length: float
    phase: float

    def y(self, x: float) -> float:
        """The centre line at one place."""
        return float(self.amplitude * np.sin(x / self.length + self.phase))

    def line(self, xs: FloatArray) -> FloatArray:
        """The centre line at many."""
        return self.amplitude * np.sin(xs / self.length + self.phase)

    def slope(self, x: float) -> float:
        """dy / dx."""
        return float(self.amplitude / self.length * np.cos(x / self.length + self.phase))


@dataclass(frozen=True)
class Band:
    """A strip of ground of one class between two offsets from the centre line, at height ``z``; ``direction`` is the
    way that traffic goes on it: 1 along x, -1 against, 0 any.
    """

    label: str
    right: float
    left: float
    z: float
    direction: int = 0

    @property
    def middle(self) -> float:
        return (self.right + self.left) / 2


@dataclass
class Place:
    """What the movers need to know of a place. ``solids`` are discs ``(x, y, radius)``."""

    kind: str
    bend: Bend
    bands: list[Band]
    solids: list[tuple[float, float, float]] = field(default_factory=list)

    def offset(self, x: float, y: float) -> float:
        """How far a point is to the left of the centre line."""
        return y - self.bend.y(x)

    def band(self, x: float, y: float) -> Band | None:
        """The band under a point; None on the open ground beside the bands."""
        offset = self.offset(x, y)
        return next((b for b in self.bands if b.right <= offset < b.left), None)

    def height(self, x: float, y: float) -> float:
        """The ground's height at a point."""
        band = self.band(x, y)
        return band.z if band else 0.0

    def free(self, x: float, y: float, radius: float) -> bool:
        """Whether a disc keeps clear of every solid."""
        return all((x - sx) ** 2 + (y - sy) ** 2 > (radius + sr) ** 2 for sx, sy, sr in self.solids)

"""A bird's-eye grid of costs around the robot, from labelled points, as ``nav_msgs/OccupancyGrid`` wants it.

The grid keeps its size and resolution, its axes are the fixed frame's, and its corner lies on multiples of the
resolution: cells of two messages are the same places, whatever the robot did in between. The newest sight of a cell
counts. What is not seen again is forgotten, things sooner than what cannot walk away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.projection.ground import MOST, Ground, ground_table
from seg_perception.records import Header, MapMetaData, OccupancyGrid, Point, Pose
from seg_perception.schema import option
from seg_perception.types import NANOSECONDS, TIME_JUMP, Float64Array, LabelledPoints

Int8Array = NDArray[np.int8]

UNKNOWN = -1
LETHAL = 100


@dataclass(frozen=True)
class GridConfig:
    """The form of the costmap, and how long it remembers."""

    resolution: float = option(0.1, "edge of a cell in metres", ge=0.01, le=10.0, live=False)
    size: float = option(24.0, "edge of the whole square in metres; the robot is in its middle", ge=1.0, live=False)
    reach: float = option(
        10.0, "metres from the camera beyond which points are not written: they are too inaccurate", ge=0.5, live=False
    )
    max_height: float = option(
        2.0, "metres above the ground up to which something is in the way", ge=0.1, le=100.0, live=False
    )
    share: float = option(
        0.2, "part of a cell's points that must be of what is lethal to make it so", ge=0.0, le=1.0, live=False
    )
    memory: float = option(
        5.0, "seconds for which a cell that is not seen again keeps its cost", ge=0.0, le=3600.0, live=False
    )
    thing_memory: float = option(1.0, "the same where a thing was: it may have gone", ge=0.0, le=3600.0, live=False)
    timeout: float = option(
        1.0, "seconds without projected points after which the whole costmap is unknown", ge=0.1, le=60.0, live=False
    )

    @property
    def cells(self) -> int:
        """Cells along each edge."""
        return max(round(self.size / self.resolution), 1)


@dataclass(frozen=True, slots=True)
class Grid:
    """Costs at ``stamp`` (nanoseconds) in ``frame_id``: ``cost`` ``(n, n)`` int8, row by row in y, 0..100 or -1
    unknown; cell ``[0, 0]`` has its corner at ``origin`` (x, y), metres.
    """

    stamp: int
    frame_id: str
    resolution: float
    origin: tuple[float, float]
    cost: Int8Array


class GridMemory:
    """The grid of one or several cameras. :meth:`update` once per labelled cloud or depth image."""

    def __init__(self, labels: LabelSpace, config: GridConfig) -> None:
        self._costs = np.full(256, UNKNOWN, np.int8)
        self._costs[: len(labels)] = [c.cost for c in labels.classes]
        self._things, self._ground = labels.things, ground_table(labels)
        # As the message's field has it: multiples of that number are exact in double precision (24 bits of mantissa).
        self._resolution = float(np.float32(config.resolution))
        if config.cells > 4096:
            raise ConfigError(f"grid: {config.cells} cells along an edge; expected at most 4096")
        self._cells = config.cells
        self._forget("")

    def _forget(self, frame_id: str) -> None:
        shape = (self._cells, self._cells)
        self._frame, self._stamp = frame_id, 0
        self._corner: NDArray[np.int64] | None = None
        self._cost = np.full(shape, UNKNOWN, np.int8)
        self._seen, self._until = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def update(
        self, stamp: int, points: LabelledPoints, to_fixed: Float64Array, frame_id: str, config: GridConfig
    ) -> Grid:
        """Write ``points`` into the grid, which is moved so that their sensor is in its middle. ``to_fixed`` ``(4, 4)``
        is the pose of the points' frame in ``frame_id``, whose z axis points up.

        When ``frame_id`` changes or time jumps back, everything is forgotten; what comes a little late, as from the
        slower of two cameras, is written where nothing was seen since.
        """
        if frame_id != self._frame or stamp < self._stamp - TIME_JUMP:
            self._forget(frame_id)
        if stamp >= self._stamp:
            self._stamp = stamp
            self._move(np.floor(to_fixed[:2, 3] / self._resolution).astype(np.int64) - self._cells // 2)
        self._write(stamp, points, to_fixed, config)
        return self.at(self._stamp)

    def at(self, stamp: int) -> Grid:
        """The grid as it is remembered at ``stamp``."""
        corner = np.zeros(2) if self._corner is None else self._corner * self._resolution
        cost = np.where(self._until >= stamp, self._cost, np.int8(UNKNOWN))
        return Grid(stamp, self._frame, self._resolution, (float(corner[0]), float(corner[1])), cost)

    def unknown(self, stamp: int) -> Grid:
        """Forget every cell: the grid of a camera that has stopped."""
        self._cost[:] = UNKNOWN
        return self.at(stamp)

    def _move(self, corner: NDArray[np.int64]) -> None:
        """Shift the cells so that the grid begins at ``corner`` (in cells); what comes in is unknown."""
        if self._corner is not None and (corner != self._corner).any():
            columns, rows = (int(step) for step in np.clip(corner - self._corner, -self._cells, self._cells))
            here, there = _overlap(rows), _overlap(columns)
            for values, empty in ((self._cost, UNKNOWN), (self._seen, 0), (self._until, 0)):
                moved = np.full_like(values, empty)
                moved[here[1], there[1]] = values[here[0], there[0]]
                values[:] = moved
        self._corner = corner

    def _write(self, stamp: int, points: LabelledPoints, to_fixed: Float64Array, config: GridConfig) -> None:
        assert self._corner is not None
        cost = self._costs[points.labels]
        # The distance check drops NaN as well.
        near = np.einsum("ij,ij->i", points.xyz, points.xyz) < config.reach**2
        chosen = np.flatnonzero((cost != UNKNOWN) & near)
        place = points.xyz[chosen].astype(np.float64) @ to_fixed[:3, :3].T + to_fixed[:3, 3]
        labels = points.labels[chosen]
        cells = np.floor(place[:, :2] * (1.0 / self._resolution)).astype(np.int64) - self._corner
        column, row = cells[:, 0], cells[:, 1]
        inside = (column >= 0) & (row >= 0) & (column < self._cells) & (row < self._cells)
        ground = place[self._ground[labels]]
        plane = Ground(ground[:: -(-len(ground) // MOST) or 1]).plane()
        if plane is not None:
            inside &= place[:, 2] < place[:, :2] @ plane[:2] + plane[2] + config.max_height
        number, labels = (row * self._cells + column)[inside], labels[inside]
        count = self._cells * self._cells
        cost = self._costs[labels]
        lethal = cost == LETHAL
        total = np.bincount(number, minlength=count)
        blocked = np.bincount(number[lethal], minlength=count)
        passable = np.bincount(number, np.where(lethal, 0, cost), minlength=count)
        thing = np.bincount(number[lethal & self._things[labels]], minlength=count)
        seen = np.flatnonzero((total > 0) & (self._seen.ravel() <= stamp))
        total, blocked, thing = total[seen], blocked[seen], thing[seen]
        is_blocked = (blocked > 0) & (blocked >= config.share * total)
        mean = np.rint(passable[seen] / np.maximum(total - blocked, 1)).astype(np.int8)
        self._seen.ravel()[seen] = stamp
        self._cost.ravel()[seen] = np.where(is_blocked, np.int8(LETHAL), mean)
        memory = np.where(is_blocked & (2 * thing >= blocked), config.thing_memory, config.memory)
        self._until.ravel()[seen] = stamp + (memory * NANOSECONDS).astype(np.int64)


def _overlap(step: int) -> tuple[slice, slice]:
    """Along one axis: where the cells that stay were, and where they are after the grid moved on by ``step``."""
    if step >= 0:
        return slice(step, None), slice(None, -step or None)
    return slice(None, step), slice(-step, None)


def occupancy(grid: Grid) -> OccupancyGrid:
    """``costmap``: axes along the fixed frame's, origin at the corner of the first cell."""
    header, (height, width) = Header.of(grid.stamp, grid.frame_id), grid.cost.shape
    origin = Pose(Point(*grid.origin, 0.0))
    info = MapMetaData(header.stamp, grid.resolution, width, height, origin)
    return OccupancyGrid(header, info, np.ascontiguousarray(grid.cost).reshape(-1))

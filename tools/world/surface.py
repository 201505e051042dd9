"""What is where in a bag's scene, seen straight from above: the truth for grids."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag
from seg_perception.projection.grid import Grid, GridConfig
from tools.world.bag import EPOCH
from tools.world.scene import Scene
from tools.world.sequence import Sequence
from tools.world.variants import CLASSES

RAYS = 3
"""Rays per cell along each edge."""

CELLS = 1500
"""Cells that are compared in one grid, drawn from those that are known."""


class Surface:
    """The scene of one sequence, posed at any time."""

    def __init__(self, seed: int, frames: int, rate: int) -> None:
        self._scene: Scene = Sequence(seed, frames, rate).scene
        labels = LabelSpace.load("navigation")
        self._costs = np.array([labels.classes[labels.id(name)].cost for name in CLASSES], np.int16)

    @classmethod
    def of(cls, bag: Path) -> Surface:
        """The scene that the bag was made of; its seed is noted in it."""
        from mcap.reader import make_reader

        with bag.open("rb") as file:
            note = next(m.metadata for m in make_reader(file).iter_metadata() if m.name == "world")
        with Bag(bag) as opened:
            frames = opened.topics["/camera/camera_info"].count
        return cls(int(note["seed"]), frames, int(note["rate"]))

    def compare(self, grid: Grid, config: GridConfig) -> NDArray[np.int64]:
        """Of the known cells of ``grid`` how many were compared; in how many of these its cost is that of something in
        the cell; and in how many it is what the middle of the cell has.

        The highest surface up to ``config.max_height`` above the ground counts.
        """
        self._scene.pose((grid.stamp - EPOCH) / 1e9)
        rows, columns = np.nonzero(grid.cost != -1)
        drawn = np.random.default_rng(grid.stamp).permutation(len(rows))[:CELLS]
        rows, columns = rows[drawn], columns[drawn]
        steps = (np.arange(RAYS) + 0.5) / RAYS
        x = grid.origin[0] + (columns[:, None] + steps) * grid.resolution
        y = grid.origin[1] + (rows[:, None] + steps) * grid.resolution
        found = np.empty((len(rows), RAYS, RAYS), np.int16)
        for cell in range(len(rows)):
            for i in range(RAYS):
                for j in range(RAYS):
                    found[cell, i, j] = self._cost(x[cell, j], y[cell, i], config.max_height)
        own = grid.cost[rows, columns][:, None, None]
        middle = RAYS // 2
        agreed = (found == own).any(axis=(1, 2))
        return np.array([len(rows), agreed.sum(), (found[:, middle, middle] == own[:, 0, 0]).sum()])

    def _cost(self, x: float, y: float, height: float) -> int:
        scene, geom = self._scene, np.zeros(1, np.int32)
        top = scene.place.height(x, y) + height
        mujoco.mj_ray(scene.model, scene.data, np.array((x, y, top)), np.array((0.0, 0.0, -1.0)), None, 1, -1, geom)
        return int(self._costs[scene.labels[geom[0]]]) if geom[0] >= 0 else -1

"""A sequence: the robot drives through a scene, frame by frame, with what its sensors deliver and the exact truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.world.camera import Eye, FloatArray, View
from tools.world.lidar import Lidar, Sweep, sweep
from tools.world.motion import Path
from tools.world.scene import Scene
from tools.world.sensors import expose, measure_depth
from tools.world.variants import CLASS_ID

DEPTH_REACH = 25.0
_CAST = {"person": (6, 10), "vehicle": (3, 6), "rider": (2, 5), "animal": (2, 5), "cone": (2, 5), "box": (2, 5)}
"""How many of each a sequence has: from, to (exclusive)."""


@dataclass(frozen=True)
class Box:
    """The true state of a thing: its number, class id, the centre of its box in the map, size (length, width, height),
    heading, and the centre's velocity; whether any pixel of it is seen in this frame.
    """

    number: int
    label: int
    centre: FloatArray
    size: FloatArray
    yaw: float
    velocity: FloatArray
    visible: bool


@dataclass(frozen=True)
class Moment:
    """One frame: seconds since the start; ``image`` as the camera delivers it; ``view`` the truth of its pixels;
    ``depth`` ``(H / 2, W / 2)`` uint16 millimetres, 0 unknown; ``boxes`` of all things that take part.
    """

    time: float
    image: NDArray[np.uint8]
    view: View
    depth: NDArray[np.uint16]
    boxes: tuple[Box, ...]


class Sequence:
    """``frames`` frames at ``rate`` Hz of the scene that ``seed`` gives."""

    def __init__(self, seed: int, frames: int, rate: int, boldness: float = 0.0) -> None:
        rng = np.random.default_rng([seed, 3])
        cast = [label for label, (low, high) in _CAST.items() for _ in range(int(rng.integers(low, high)))]
        self.scene = Scene(seed, cast, boldness=boldness)
        self.times = [frame / rate for frame in range(frames)]
        self.duration = frames / rate
        self.scene.direct(self.duration)
        self._seed = seed

    def moments(self) -> Iterator[Moment]:
        """The frames in order. Frame n's noise depends on seed and n alone."""
        scene = self.scene
        with Eye(scene.model, scene.lens, scene.labels, scene.numbers) as eye:
            for frame, time in enumerate(self.times):
                rng = np.random.default_rng([self._seed, 4, frame])
                scene.pose(time)
                view = eye.look(scene.data, scene.camera_pose(time), scene.light.sun)
                image = expose(rng, view.rgb, view.depth, scene.light, scene.optics)
                depth = measure_depth(rng, view.depth[::2, ::2], DEPTH_REACH)
                yield Moment(time, image, view, depth, self.boxes(time, set(np.unique(view.thing).tolist())))

    def sweep(self, start: float, lidar: Lidar) -> Sweep:
        """The LiDAR's turn that begins at ``start`` seconds."""
        scene = self.scene

        def pose_at(time: float) -> tuple[object, FloatArray]:
            scene.pose(time)
            return scene.data, scene.lidar_pose(time)

        rng = np.random.default_rng([self._seed, 5, round(1000 * (start + 1))])
        return sweep(lidar, rng, scene.model, pose_at, start)

    def centre(self, index: int, path: Path, time: float) -> FloatArray:
        """Centre of the box of ``things[index]`` in the map."""
        state, offset = path.at(time), self.scene.extents[index].centre
        cos, sin = np.cos(state.yaw), np.sin(state.yaw)
        height = self.scene.place.height(state.x, state.y) + offset[2]
        return np.array(
            [state.x + cos * offset[0] - sin * offset[1], state.y + sin * offset[0] + cos * offset[1], height]
        )

    def boxes(self, time: float, seen: set[int]) -> tuple[Box, ...]:
        """All things that take part, at any time; ``seen`` are the numbers of those that are visible then."""
        boxes = []
        for index, (thing, extent, path) in enumerate(
            zip(self.scene.things, self.scene.extents, self.scene.paths, strict=True)
        ):
            if path is None:
                continue
            step = 1e-4
            velocity = (self.centre(index, path, time + step) - self.centre(index, path, time - step)) / (2 * step)
            velocity[2] = 0.0  # a step onto a kerb is no climb
            boxes.append(
                Box(
                    thing.number,
                    CLASS_ID[thing.label],
                    self.centre(index, path, time),
                    extent.size,
                    path.at(time).yaw,
                    velocity,
                    thing.number in seen,
                )
            )
        return tuple(boxes)

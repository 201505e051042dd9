"""A seed becomes a scene: a place, a light, things with their paths, a robot with its camera and LiDAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from tools.world.camera import OPTICAL, FloatArray, Lens, Robot, rotation, transform
from tools.world.kit import Kit, yaw_quaternion
from tools.world.layout import make_place
from tools.world.light import Light, make_light
from tools.world.motion import Along, Loop, Path, State, Still, Straight
from tools.world.place import Place
from tools.world.sensors import Optics
from tools.world.things import Thing, make_thing
from tools.world.variants import CLASS_ID, Split, split_of

AWAY = -60.0
"""Height at which things that take no part in a view are kept."""


@dataclass(frozen=True)
class Extent:
    """The box around a thing in its own frame, limbs at every stride: centre and full size ``(3,)``, metres."""

    centre: FloatArray
    size: FloatArray

    @property
    def radius(self) -> float:
        """Of the disc that it needs on the ground."""
        return float(np.hypot(*(np.abs(self.centre[:2]) + self.size[:2] / 2)))


class Scene:
    """A compiled scene. ``place``, ``light``, ``things`` (in order of their numbers 1..n), ``extents``, ``optics``,
    ``robot`` and ``paths`` are fixed by the seed; ``data`` is MuJoCo's state, moved by :meth:`pose`.
    """

    def __init__(
        self, seed: int, cast: Sequence[str], lens_size: tuple[int, int] = (640, 360), boldness: float = 0.0
    ) -> None:
        """Build ``seed`` with one thing of each class named in ``cast``; ``boldness`` as in :class:`Kit`."""
        self.seed = seed
        self.split: Split = split_of(seed)
        self.rng = np.random.default_rng([seed, 1])
        spec = mujoco.MjSpec()
        _configure(spec, lens_size)
        kit = Kit(spec, self.rng, self.split, boldness)
        self.light: Light = make_light(kit)
        self.place: Place = make_place(kit)
        self.things: list[Thing] = [make_thing(kit, label, number + 1) for number, label in enumerate(cast)]
        spec.worldbody.add_camera(name="camera")
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        names = [self.model.geom(g).name.split("/") for g in range(self.model.ngeom)]
        self.labels: NDArray[np.uint8] = np.array([CLASS_ID[n[0]] for n in names], np.uint8)
        self.numbers: NDArray[np.int32] = np.array([int(n[1]) for n in names], np.int32)
        self._root = [int(self.model.joint(t.body).qposadr[0]) for t in self.things]
        self._joints = [[(int(self.model.joint(j.name).qposadr[0]), j) for j in t.joints] for t in self.things]
        self.extents: list[Extent] = [self._measure(t) for t in self.things]
        self.optics = Optics.random(self.rng)
        self.robot: Robot = _make_robot(kit, self.place)
        self.lens = Lens.of(*lens_size, self.robot.horizontal_fov)
        self.paths: list[Path | None] = []

    def direct(self, duration: float) -> None:
        """Give every thing a path for a sequence of ``duration`` seconds; a thing that finds none is kept away."""
        self.paths = _Director(self, duration).paths()

    def pose(self, time: float) -> None:
        """Move every thing to where its path is at ``time``."""
        self.arrange([path.at(time) if path else None for path in self.paths])

    def arrange(self, states: Sequence[State | None]) -> None:
        """Put every thing into its state; None keeps it away, out of everybody's sight."""
        qpos = self.data.qpos
        for index, state in enumerate(states):
            at = self._root[index]
            if state is None:
                qpos[at : at + 3] = (3.0 * index, 0.0, AWAY)
                continue
            qpos[at : at + 3] = (state.x, state.y, self.place.height(state.x, state.y))
            qpos[at + 3 : at + 7] = yaw_quaternion(state.yaw)
            stride = self.things[index].stride * state.travelled
            for address, joint in self._joints[index]:
                qpos[address] = joint.angle(stride)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def camera_pose(self, time: float) -> FloatArray:
        """Map from optical frame."""
        return self.robot.base(time) @ self.robot.camera

    def lidar_pose(self, time: float) -> FloatArray:
        """Map from LiDAR frame."""
        return self.robot.base(time) @ self.robot.lidar

    def _measure(self, thing: Thing) -> Extent:
        index = thing.number - 1
        at = self._root[index]
        mine = np.flatnonzero(self.numbers == thing.number)
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
        for stride in np.arange(12) * np.pi / 6 if thing.joints else (0.0,):
            self.data.qpos[at : at + 7] = (0, 0, 0, 1, 0, 0, 0)
            for address, joint in self._joints[index]:
                self.data.qpos[address] = joint.angle(float(stride))
            mujoco.mj_kinematics(self.model, self.data)
            for geom in mine:
                centre, half = self.model.geom_aabb[geom, :3], self.model.geom_aabb[geom, 3:]
                corners = (centre + signs * half) @ self.data.geom_xmat[geom].reshape(3, 3).T + self.data.geom_xpos[
                    geom
                ]
                low, high = np.minimum(low, corners.min(0)), np.maximum(high, corners.max(0))
        return Extent((low + high) / 2, high - low)


def _configure(spec: Any, size: tuple[int, int]) -> None:
    spec.visual.global_.offwidth, spec.visual.global_.offheight = size
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.numslices, spec.visual.quality.numstacks = 16, 8
    spec.visual.map.znear, spec.visual.map.zfar = 0.05, 400.0
    spec.visual.map.shadowclip = 28.0
    spec.stat.extent, spec.stat.center = 1.0, [0.0, 0.0, 0.0]


def _make_robot(kit: Kit, place: Place) -> Robot:
    height = kit.uniform(0.45, 1.7)
    look = rotation(0.0, kit.uniform(0.0, 0.16), kit.uniform(-0.03, 0.03)) @ OPTICAL
    glances = tuple((kit.uniform(0.02, 0.22), kit.uniform(3, 12), kit.uniform(0, 6.28)) for _ in range(2))
    return Robot(
        _robot_path(kit, place),
        transform(look, np.array([0.2, 0.0, height])),
        transform(np.eye(3), np.array([0.0, 0.0, height + 0.25])),
        np.radians(kit.uniform(60, 92)),
        glances,
    )


def _robot_path(kit: Kit, place: Place) -> Path:
    """Along a road or sidewalk, clear of everything that stands there (the last try is taken if none is)."""
    walkable = [b for b in place.bands if b.label in ("road", "sidewalk")]
    for _ in range(100):
        band = walkable[int(kit.rng.integers(len(walkable)))]
        offset = band.middle + kit.uniform(-0.3, 0.3) * (band.left - band.right)
        slow = band.label == "sidewalk" or place.kind != "street"
        speed = kit.uniform(0.6, 2.2) if slow else kit.uniform(1.5, 5.0)
        path = Along(place.bend, kit.uniform(-60, -10), offset, speed, kit.uniform(0, 0.3), kit.uniform(4, 9))
        if all(place.free(s.x, s.y, 0.6) for s in map(path.at, np.arange(0, 15, 0.2))):
            break
    return path


@dataclass
class _Director:
    """Finds paths that cross and occlude each other but do not run into walls, each other or the robot."""

    scene: Scene
    duration: float

    def paths(self) -> list[Path | None]:
        self._times = np.arange(0, self.duration + 0.01, 0.4)
        self._robot = np.array([self.scene.robot.base(t)[:2, 3] for t in self._times])
        self._taken: list[tuple[NDArray[np.float64], float]] = []
        found: list[Path | None] = []
        for thing, extent in zip(self.scene.things, self.scene.extents, strict=True):
            found.append(self._search(thing.label, extent.radius))
        return found

    def _search(self, label: str, radius: float) -> Path | None:
        for _ in range(60):
            path = self._propose(label)
            track = np.array([[s.x, s.y] for s in map(path.at, self._times)])
            if self._allowed(track, radius):
                self._taken.append((track, radius))
                return path
        return None

    def _allowed(self, track: NDArray[np.float64], radius: float) -> bool:
        place = self.scene.place
        if np.any(np.linalg.norm(track - self._robot, axis=1) < radius + 0.9):
            return False
        if any(np.any(np.linalg.norm(track - other, axis=1) < 0.75 * (radius + r)) for other, r in self._taken):
            return False
        return all(place.free(x, y, 0.8 * radius) for x, y in track)

    def _propose(self, label: str) -> Path:
        rng, place = self.scene.rng, self.scene.place
        when = rng.uniform(0, self.duration)
        base = self.scene.robot.base(when)
        distance, side = float(np.exp(rng.uniform(np.log(2.5), np.log(30)))), rng.uniform(-0.75, 0.75)
        bearing = np.arctan2(base[1, 0], base[0, 0]) + side
        x, y = base[0, 3] + distance * np.cos(bearing), base[1, 3] + distance * np.sin(bearing)
        choice = rng.random()
        if label in ("cone", "box"):
            return Still(x, y, rng.uniform(0, 6.28))
        if label == "vehicle":
            return self._drive(x, choice)
        speed = {"person": rng.uniform(0.6, 1.8), "rider": rng.uniform(2.0, 5.0), "animal": rng.uniform(0.4, 2.0)}[
            label
        ]
        if choice < 0.12 and label != "rider":
            return Still(x, y, rng.uniform(0, 6.28), stance=rng.uniform(0, 1))
        if choice < 0.45:
            way = float(rng.choice([-1, 1]))
            offset = place.offset(x, y)
            return Along(
                place.bend, x - way * speed * when, offset, way * speed, rng.uniform(0, 0.2), rng.uniform(3, 6)
            )
        if choice < 0.8:
            heading = bearing + rng.choice([-1, 1]) * np.pi / 2 + rng.uniform(-0.5, 0.5)
            return Straight(
                x - speed * when * np.cos(heading),
                y - speed * when * np.sin(heading),
                heading,
                speed,
                rng.uniform(0, 0.15),
                rng.uniform(3, 6),
            )
        a, b = rng.uniform(1.5, 5), rng.uniform(1, 3)
        rate = float(rng.choice([-1, 1])) * speed / np.hypot(a, b) * 1.4
        return Loop(x, y, a, b, rate, rng.uniform(0, 6.28), rng.uniform(0, 6.28))

    def _drive(self, x: float, choice: float) -> Path:
        rng, place = self.scene.rng, self.scene.place
        roads = [b for b in place.bands if b.label == "road"]
        if not roads:
            y = place.bend.y(x) + rng.choice([-1, 1]) * rng.uniform(4, 14)
            return Still(x, y, rng.uniform(0, 6.28))
        road = roads[int(rng.integers(len(roads)))]
        half = (road.left - road.right) / 2
        way = float(rng.choice([-1, 1]))
        if choice < 0.45 or place.kind == "yard":
            offset = (
                road.middle + way * (half - 1.15)
                if place.kind != "yard"
                else rng.uniform(road.right + 1, road.left - 1)
            )
            yaw = np.arctan(place.bend.slope(x)) + (np.pi if rng.random() < 0.5 else 0.0)
            if place.kind == "yard" and choice > 0.35:
                return Along(place.bend, x - way * 15, offset, way * rng.uniform(1.0, 4.0))
            return Still(
                x,
                place.bend.y(x) + offset,
                yaw + (rng.uniform(-1.5, 1.5) if place.kind == "yard" else 0.0),
            )
        speed = rng.uniform(2.5, 9.0)
        return Along(
            place.bend, x - way * speed * rng.uniform(0, self.duration), road.middle - way * half / 2, way * speed
        )

"""The robot that carries the sensors, and the camera's exact pictures: colour, depth, class and thing by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import mujoco
import numpy as np
from numpy.typing import NDArray

from tools.world.motion import Path
from tools.world.variants import CLASS_ID

FloatArray = NDArray[np.float64]

OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Columns: the optical frame's axes (x right, y down, z forward) in the body frame (x forward, y left, z up)."""


def transform(rotation: FloatArray, position: FloatArray) -> FloatArray:
    """A 4x4 pose."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    return pose


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    """Intrinsic turns about z, y, x; a positive pitch looks down."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


@dataclass(frozen=True)
class Lens:
    """A pinhole without distortion: focal length in pixels for an image of ``width`` x ``height``."""

    width: int
    height: int
    focal: float

    @classmethod
    def of(cls, width: int, height: int, horizontal_fov: float) -> Lens:
        """From the horizontal field of view in radians."""
        return cls(width, height, width / 2 / float(np.tan(horizontal_fov / 2)))

    @property
    def vertical_fov(self) -> float:
        """Radians."""
        return 2 * float(np.arctan(self.height / 2 / self.focal))

    @property
    def k(self) -> FloatArray:
        """The ROS camera matrix: pixel centres at integers."""
        return np.array([[self.focal, 0, (self.width - 1) / 2], [0, self.focal, (self.height - 1) / 2], [0, 0, 1.0]])


@dataclass(frozen=True)
class Robot:
    """A robot that follows ``path`` while it looks around (``glances``: amplitude, period, phase of yaw) and shakes.

    ``camera`` and ``lidar`` are the sensors' fixed poses on it; ``horizontal_fov`` is the camera's, in radians.
    """

    path: Path
    camera: FloatArray
    lidar: FloatArray
    horizontal_fov: float
    glances: tuple[tuple[float, float, float], ...] = ()
    shake: float = 0.004

    def base(self, time: float) -> FloatArray:
        """Pose of the robot in the map."""
        state = self.path.at(time)
        yaw = state.yaw + sum(a * np.sin(2 * np.pi * time / period + phase) for a, period, phase in self.glances)
        pitch = self.shake * (np.sin(2 * np.pi * 1.7 * time) + 0.6 * np.sin(2 * np.pi * 4.1 * time + 1))
        roll = self.shake * (np.sin(2 * np.pi * 1.1 * time + 2) + 0.5 * np.sin(2 * np.pi * 5.3 * time))
        return transform(rotation(yaw, pitch, roll), np.array([state.x, state.y, 0.0]))


@dataclass(frozen=True)
class View:
    """What an ideal camera sees: ``rgb`` ``(H, W, 3)`` uint8; ``depth`` ``(H, W)`` float32, metres along the optical
    axis, inf in the sky; ``semantic`` ``(H, W)`` uint8 class ids of ``variants.CLASSES``; ``thing`` ``(H, W)`` int32
    numbers of things, 0 for stuff; ``geom`` ``(H, W)`` int32, MuJoCo's geom, -1 in the sky.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    semantic: NDArray[np.uint8]
    thing: NDArray[np.int32]
    geom: NDArray[np.int32]


class Eye:
    """Renders one model at one size; a context manager, because it holds an off-screen buffer."""

    def __init__(self, model: mujoco.MjModel, lens: Lens, labels: NDArray[np.uint8], things: NDArray[np.int32]) -> None:
        """``labels`` and ``things`` give each geom's class id and thing number."""
        self._model, self._labels, self._things = model, labels, things
        model.vis.global_.fovy = np.degrees(lens.vertical_fov)
        self._renderer = mujoco.Renderer(model, lens.height, lens.width)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = 0
        model.cam_fovy[0] = np.degrees(lens.vertical_fov)

    def __enter__(self) -> Eye:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.close()

    def look(self, data: mujoco.MjData, pose: FloatArray, sun: FloatArray) -> View:
        """See the posed scene from ``pose`` (map from optical frame)."""
        data.cam_xpos[0] = pose[:3, 3]
        data.cam_xmat[0] = (pose[:3, :3] * [1, -1, -1]).ravel()
        data.light_xpos[:] = pose[:3, 3] + 30 * sun
        self._renderer.update_scene(data, self._camera)
        rgb = self._renderer.render()
        self._renderer.enable_depth_rendering()
        depth = self._renderer.render().astype(np.float32)
        self._renderer.disable_depth_rendering()
        self._renderer.enable_segmentation_rendering()
        geom = self._renderer.render()[..., 0]
        self._renderer.disable_segmentation_rendering()
        sky = geom < 0
        depth[sky] = np.inf
        semantic = np.where(sky, np.uint8(CLASS_ID["sky"]), self._labels[geom])
        return View(rgb, depth, semantic, np.where(sky, np.int32(0), self._things[geom]), geom.astype(np.int32))

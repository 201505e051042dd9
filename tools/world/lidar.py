"""A spinning LiDAR: beams that turn once in 100 ms while robot and world go on moving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Lidar:
    """Rows of beams between two elevations (degrees), columns in one turn, reach and range error in metres."""

    beams: int = 16
    columns: int = 720
    lowest: float = -20.0
    highest: float = 10.0
    reach: float = 60.0
    error: float = 0.012
    period: float = 0.1


@dataclass(frozen=True)
class Sweep:
    """The points of one turn, in the sensor's frame at each point's own time: ``points`` ``(n, 3)`` float32, ``time``
    ``(n,)`` float32 seconds after the sweep's stamp, ``ring`` ``(n,)`` uint16, ``intensity`` ``(n,)`` float32, ``geom``
    ``(n,)`` int32 what was hit.
    """

    points: NDArray[np.float32]
    time: NDArray[np.float32]
    ring: NDArray[np.uint16]
    intensity: NDArray[np.float32]
    geom: NDArray[np.int32]


def sweep(
    lidar: Lidar,
    rng: np.random.Generator,
    model: mujoco.MjModel,
    pose_at: Callable[[float], tuple[mujoco.MjData, FloatArray]],
    start: float,
    steps: int = 10,
) -> Sweep:
    """Turn once from time ``start``. ``pose_at`` moves the world to a time and returns it with the sensor's pose in the
    map; it is called ``steps`` times, so the world stands still for a ``steps``-th of the turn.

    The turn begins behind the robot, so that the sweep's middle looks ahead.
    """
    elevation = np.radians(np.linspace(lidar.lowest, lidar.highest, lidar.beams))
    parts: list[tuple[NDArray[np.generic], ...]] = []
    for columns in np.array_split(np.arange(lidar.columns), steps):
        time = (columns + 0.5) / lidar.columns * lidar.period
        middle = float(np.float32(time.mean()))
        azimuth = np.pi - 2 * np.pi * columns / lidar.columns
        data, pose = pose_at(start + middle)
        beams, turns = np.meshgrid(elevation, azimuth, indexing="ij")
        ray = np.stack([np.cos(beams) * np.cos(turns), np.cos(beams) * np.sin(turns), np.sin(beams)], -1).reshape(-1, 3)
        count = len(ray)
        geom, distance = np.full(count, -1, np.int32), np.full(count, -1.0)
        mujoco.mj_multiRay(
            model,
            data,
            pose[:3, 3],
            (ray @ pose[:3, :3].T).ravel(),
            None,
            True,
            -1,
            geom,
            distance,
            None,
            count,
            lidar.reach,
        )
        hit = (geom >= 0) & (distance > 0.3) & (distance < lidar.reach)
        noisy = distance + lidar.error * rng.standard_normal(count)
        ring = np.repeat(np.arange(lidar.beams, dtype=np.uint16), len(columns))
        when = np.full(count, middle, np.float32)
        bright = np.clip(60 * (0.4 + 0.6 * np.modf(geom * 0.618)[0]) * np.exp(-distance / 60), 1, 255).astype(
            np.float32
        )
        parts.append(((ray * noisy[:, None])[hit].astype(np.float32), when[hit], ring[hit], bright[hit], geom[hit]))
    points, times, rings, intensity, geoms = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sweep(points, times, rings, intensity, geoms)

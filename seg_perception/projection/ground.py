"""Where the ground is: its height from labelled points; and where nothing measures depth, points on flat ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.labels import LabelSpace
from seg_perception.projection.camera import Camera
from seg_perception.schema import option
from seg_perception.types import UNLABELLED, BoolArray, Float64Array, LabelledPoints, PanopticMap

GROUND = "ground"
"""The ancestor of every class that one can stand on."""

NEAR, WIDER = 1.5, 4.0
"""Metres around a place in which ground points say how high it is there; the wider circle where the first has few."""

ENOUGH = 8
MOST = 2000
"""Ground points that are looked at; more say no more."""


@dataclass(frozen=True)
class FlatConfig:
    """Where flat ground is, for cameras without depth (``source: flat``)."""

    frame: str = option("base_footprint", "frame on the ground, z up: its plane z = 0 is the ground")
    height: float = option(
        0.0, "metres of the camera above the ground; 0: TF says where the camera is in 'frame'", ge=0.0, le=100.0
    )
    pitch: float = option(0.0, "radians that the camera looks down; used with height", ge=-1.5, le=1.5)
    reach: float = option(10.0, "metres from the camera beyond which nothing is taken to be flat", ge=0.5, le=1000.0)


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


def mounted(height: float, pitch: float) -> Float64Array:
    """The pose ``(4, 4)`` of a camera's optical frame ``height`` metres above flat ground, looking ``pitch`` radians
    down, in the frame on the ground below it (x forward, y left, z up).
    """
    cos, sin = np.cos(pitch), np.sin(pitch)
    pose = np.eye(4)
    pose[:3, :3] = [[0.0, -sin, cos], [-1.0, 0.0, 0.0], [0.0, -cos, -sin]]
    pose[2, 3] = height
    return pose


def flat_ground(
    panoptic: PanopticMap, camera: Camera, pose: Float64Array, ground: BoolArray, reach: float
) -> LabelledPoints:
    """The masks laid onto flat ground by inverse perspective mapping, for cameras without depth: one point for each
    pixel, row by row, in the optical frame; NaN where nothing can be said.

    Pixels of ground (``ground`` ``(256,)`` bool by class) lie where their rays meet the plane z = 0 of the frame in
    which ``pose`` ``(4, 4)`` is the camera's; so does the foot of whatever stands on it: the pixel right above ground.
    What is above the foot would be smeared over what is behind, and is left out, as is everything beyond ``reach``
    metres. A slope of 1 degree moves a point 10 m away from a camera 1 m high by 1.5 m: trust it near by.
    """
    on_ground = ground[panoptic.semantic]
    foot = np.zeros_like(on_ground)
    foot[:-1] = ~on_ground[:-1] & on_ground[1:] & (panoptic.semantic[:-1] != UNLABELLED)
    across, down = camera.rays[..., 0], camera.rays[..., 1]
    sinks = -(pose[2, 0] * across + pose[2, 1] * down + pose[2, 2])
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (pose[2, 3] / sinks).astype(np.float32)
        length = depth * np.sqrt(1 + across * across + down * down)
        known = (on_ground | foot) & (sinks > 0) & (length < reach)
    xyz = camera.back_project(np.where(known, depth, np.float32(np.nan))).reshape(-1, 3).astype(np.float32)
    xyz[~known.ravel()] = np.nan
    return LabelledPoints(
        xyz, panoptic.semantic.ravel(), (panoptic.panoptic >> 16).ravel(), panoptic.confidence.ravel()
    )

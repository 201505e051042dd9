"""Depth images: read as cameras send them, and taken into the mask's pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seg_perception import records
from seg_perception.errors import InputError
from seg_perception.outputs import scaled_camera
from seg_perception.projection.camera import Camera
from seg_perception.projection.depth import Registration, depth_metres, organised
from seg_perception.types import CameraModel

HEADER = records.Header.of(0, "optical")


def pinhole(width: int, height: int, focal: float, cx: float | None = None) -> CameraModel:
    k = np.array([[focal, 0, (width - 1) / 2 if cx is None else cx], [0, focal, (height - 1) / 2], [0, 0, 1]])
    p = np.column_stack([k, np.zeros(3)])
    return CameraModel(width, height, "plumb_bob", k, np.zeros(5), np.eye(3), p)


def camera(model: CameraModel) -> Camera:
    return Camera(model, rectified=True)


@pytest.mark.parametrize("big", [False, True])
def test_millimetres_and_metres_with_everything_that_is_no_depth(big: bool) -> None:
    order = ">" if big else "<"
    mm = np.array([[0, 65535, 1500], [1, 65534, 20000]], order + "u2")
    m = np.array([[0, np.nan, np.inf], [-1.0, 1.5, -np.inf]], order + "f4")
    for encoding, values, expected in (
        ("16UC1", mm, [[np.nan, np.nan, 1.5], [0.001, 65.534, 20.0]]),
        ("mono16", mm, [[np.nan, np.nan, 1.5], [0.001, 65.534, 20.0]]),
        ("32FC1", m, [[np.nan] * 3, [np.nan, 1.5, np.nan]]),
    ):
        record = replace(records.Image.of(HEADER, encoding, values), is_bigendian=int(big))
        np.testing.assert_allclose(depth_metres(record), expected, rtol=1e-6)
        # Rows may be padded.
        rows = np.zeros((2, record.step + 5), np.uint8)
        rows[:, : record.step] = record.data.reshape(2, -1)
        padded = replace(record, step=record.step + 5, data=rows.ravel())
        np.testing.assert_allclose(depth_metres(padded), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "rgb8"}, "rgb8: expected one of 16UC1"),
        ({"step": 3}, "its step is 3 bytes, expected at least 6"),
        ({"height": 3}, "holds 12 bytes, expected height x step = 3 x 6"),
        ({"width": 0}, "expected 1 to 16384 pixels"),
    ],
)
def test_what_is_no_depth_image_is_said(changes: dict[str, Any], words: str) -> None:
    record = records.Image.of(HEADER, "16UC1", np.zeros((2, 3), np.uint16))
    with pytest.raises(InputError, match=words):
        depth_metres(replace(record, **changes))


def test_depth_of_the_masks_size_and_frame_stays_as_it_is() -> None:
    view = camera(pinhole(40, 30, 35.0))
    metres = np.random.default_rng(0).uniform(0.5, 9, (30, 40)).astype(np.float32)
    metres[3, 4] = np.nan
    register = Registration(view, view, np.eye(4))
    assert register(metres) is metres
    points = organised(register(metres), view).reshape(30, 40, 3)
    assert np.isnan(points[3, 4]).all()
    v, u = np.mgrid[:30, :40]
    expected = np.stack([(u - 19.5) / 35 * metres, (v - 14.5) / 35 * metres, metres], -1)
    np.testing.assert_allclose(points, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 2.0, 0.3])
def test_registered_depth_of_another_size_is_read_through_the_masks_pixels(scale: float) -> None:
    """A plane that leans away, seen by a depth camera of another resolution: each point is off by at most what the
    plane falls within a pixel.
    """
    colour = pinhole(80, 60, 70.0)
    model = scaled_camera(colour, round(80 * scale), round(60 * scale))
    view, other = camera(colour), camera(model)
    plane = other.rays.astype(np.float64) @ [0.3, -0.2] + 1
    metres = (4 / plane).astype(np.float32)
    points = organised(Registration(other, view, np.eye(4))(metres), view)
    assert np.isfinite(points).all()
    distance = np.abs(points @ [0.3, -0.2, 1.0] - 4)
    assert distance.max() < 0.06 / min(scale, 1)


def test_pixels_that_the_depth_camera_does_not_see_have_no_point() -> None:
    wide, narrow = camera(pinhole(80, 60, 40.0)), camera(pinhole(40, 30, 40.0))
    seen = Registration(narrow, wide, np.eye(4))(np.full((30, 40), 2.0, np.float32))
    expected = np.zeros((60, 80), np.bool_)
    expected[15:45, 20:60] = True
    np.testing.assert_array_equal(np.isfinite(seen), expected)


def scene(rays: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Depth from ``origin`` (the axes are the colour camera's): a wall at z = 5 and a board before it at z = 2."""
    z_wall, z_board = 5 - origin[2], 2 - origin[2]
    x, y = rays[..., 0] * z_board + origin[0], rays[..., 1] * z_board + origin[1]
    return np.where((np.abs(x) < 0.4) & (np.abs(y) < 0.5), z_board, z_wall).astype(np.float32)


@pytest.mark.parametrize(("width", "height", "focal"), [(160, 120, 140.0), (80, 60, 60.0), (320, 240, 250.0)])
def test_depth_from_beside_is_seen_as_the_colour_camera_sees_it(width: int, height: int, focal: float) -> None:
    colour, depth = camera(pinhole(160, 120, 130.0, 83.0)), camera(pinhole(width, height, focal))
    pose = np.eye(4)
    pose[:3, 3] = 0.1, -0.02, 0.03  # the depth camera stands to the right
    seen = Registration(depth, colour, pose)(scene(depth.rays, pose[:3, 3]))
    truth = scene(colour.rays, np.zeros(3))
    board = truth == 2
    inner = cv2.erode(board.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    np.testing.assert_allclose(seen[inner], 2, atol=1e-4)  # no hole through which the wall shows
    wall = cv2.dilate(board.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    known = wall & np.isfinite(seen)
    np.testing.assert_allclose(seen[known], 5, atol=1e-4)
    # Left of the board lies what the depth camera could not see, and at the edges what it did not look at.
    assert known.sum() > 0.75 * wall.sum()


def test_a_turned_depth_camera_is_registered_too() -> None:
    colour, depth = camera(pinhole(120, 90, 110.0)), camera(pinhole(120, 90, 90.0))
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.05, -0.1, 0.02]))[0]
    ahead = depth.rays @ pose[2, :2] + pose[2, 2]
    metres = (3 / ahead).astype(np.float32)  # the wall z = 3 of the colour camera
    seen = Registration(depth, colour, pose)(metres)
    assert np.isfinite(seen).mean() > 0.9
    np.testing.assert_allclose(seen[np.isfinite(seen)], 3, atol=1e-3)


def test_nothing_seen_gives_no_points_and_a_wrong_size_is_said() -> None:
    colour, depth = camera(pinhole(40, 30, 35.0)), camera(pinhole(20, 15, 17.0))
    pose = np.eye(4)
    pose[0, 3] = 0.1
    register = Registration(depth, colour, pose)
    assert np.isnan(register(np.full((15, 20), np.nan, np.float32))).all()
    with pytest.raises(InputError, match="30x20, its calibration is for 20x15"):
        register(np.ones((20, 30), np.float32))


def seven_scenes(data: Path, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth in millimetres as stored, and the camera's pose in the world."""
    folder = data / "rgbd_7scenes"
    depth = cv2.imread(str(folder / f"frame-{frame:06d}.depth.png"), cv2.IMREAD_UNCHANGED)
    return depth, np.loadtxt(folder / f"frame-{frame:06d}.pose.txt")


def test_seven_scenes_is_back_projected_to_a_millimetre_and_agrees_with_its_poses(data: Path) -> None:
    model = pinhole(640, 480, 585.0)
    k = np.array([[585.0, 0, 320], [0, 585.0, 240], [0, 0, 1]])
    view = camera(replace(model, k=k, p=np.column_stack([k, np.zeros(3)])))
    clouds, frames = [], (0, 2, 4, 6, 8)
    for frame in frames:
        mm, _ = seven_scenes(data, frame)
        metres = depth_metres(records.Image.of(HEADER, "16UC1", mm))
        points = organised(Registration(view, view, np.eye(4))(metres), view).reshape(480, 640, 3)
        there = (mm > 0) & (mm < 65535)
        np.testing.assert_array_equal(np.isfinite(points[..., 2]), there)
        v, u = np.mgrid[:480, :640]
        z = mm / 1000
        expected = np.stack([(u - 320) / 585 * z, (v - 240) / 585 * z, z], -1)
        assert np.abs(points - expected)[there].max() < 1e-3
        clouds.append(points)
    for first in range(len(frames) - 1):
        pose0, pose1 = (seven_scenes(data, frames[first + i])[1] for i in (0, 1))
        points = clouds[first].reshape(-1, 3)
        points = points[points[:, 2] < 3].astype(np.float64)
        into = np.linalg.inv(pose1) @ pose0
        u, v, depth = view.project(points @ into[:3, :3].T + into[:3, 3])
        inside = (u >= 0) & (v >= 0) & (u < 640) & (v < 480)
        other = clouds[first + 1][v[inside].astype(int), u[inside].astype(int), 2]
        apart = np.abs(other - depth[inside])
        assert np.nanmedian(apart) < 0.02

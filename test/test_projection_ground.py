"""Masks on flat ground without depth: points on the plane, feet of what stands on it, and costs where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.projection.camera import Camera
from seg_perception.projection.grid import GridConfig, GridMemory
from seg_perception.projection.ground import FlatConfig, flat_ground, ground_table, mounted
from seg_perception.types import CameraModel, PanopticMap

LABELS = LabelSpace.load("navigation")
ROAD, PERSON, SKY = (LABELS.id(name) for name in ("road", "person", "sky"))
K = np.array([[150.0, 0, 99.5], [0, 150, 59.5], [0, 0, 1]])
MODEL = CameraModel(200, 120, "plumb_bob", K, np.zeros(5), np.eye(3), np.column_stack((K, np.zeros(3))))


def row_at(pose: np.ndarray, place: float) -> float:
    """The image row of the ground that is ``place`` metres ahead."""
    _, y, z = np.linalg.inv(pose)[:3] @ (place, 0.0, 0.0, 1.0)
    return float(150 * y / z + 59.5)


def ahead(pose: np.ndarray, row: float) -> float:
    """How far ahead the ground is that this row of the image shows."""
    forward, _, up = pose[:3, :3] @ (0.0, (row - 59.5) / 150, 1.0)
    return float(pose[2, 3] * forward / -up) if up < 0 else np.inf


def seen(height: float, pitch: float, person_at: float) -> PanopticMap:
    """A road up to the horizon, a person in the middle whose feet are ``person_at`` metres ahead, sky above."""
    pose = mounted(height, pitch)
    horizon = 59.5 - 150 * np.tan(pitch)
    rows = np.arange(120)[:, None] * np.ones(200, int)
    semantic = np.where(rows > horizon, ROAD, SKY).astype(np.uint8)
    foot = round(row_at(pose, person_at))
    semantic[max(foot - 40, 0) : foot, 95:105] = PERSON
    panoptic = semantic.astype(np.int32)
    panoptic[semantic == PERSON] |= 3 << 16
    return PanopticMap(semantic, np.full(semantic.shape, 200, np.uint8), panoptic)


@given(st.floats(0.3, 2.0), st.floats(-0.1, 0.3), st.floats(3.0, 8.0))
def test_points_lie_on_the_ground_and_feet_where_they_stand(height: float, pitch: float, person_at: float) -> None:
    pose, panoptic = mounted(height, pitch), seen(height, pitch, person_at)
    points = flat_ground(panoptic, Camera(MODEL, rectified=True), pose, ground_table(LABELS), 30.0)
    known = np.isfinite(points.xyz[:, 0])
    place = points.xyz[known] @ pose[:3, :3].T + pose[:3, 3]
    assert np.abs(place[:, 2]).max(initial=0.0) < 1e-3
    assert not known[points.labels == SKY].any()
    feet = place[points.labels[known] == PERSON]
    if len(feet):
        # The feet's row, and the last pixel above it, are rounded to whole ones; what a row means grows with distance.
        row = row_at(pose, person_at)
        assert ahead(pose, row - 0.5) * 0.999 < feet[:, 0].min()
        assert feet[:, 0].max() < ahead(pose, row - 1.5) * 1.001
        assert (points.instances[known][points.labels[known] == PERSON] == 3).all()


def test_the_way_to_a_person_is_free_and_the_person_is_not() -> None:
    pose = mounted(1.2, 0.3)
    points = flat_ground(seen(1.2, 0.3, 5.0), Camera(MODEL, rectified=True), pose, ground_table(LABELS), 12.0)
    config = GridConfig(size=30.0, resolution=0.2, share=0.0)
    grid = GridMemory(LABELS, config).update(0, points, pose, "odom", config)

    def cost(x: float, y: float) -> int:
        return int(grid.cost[int((y - grid.origin[1]) / 0.2), int((x - grid.origin[0]) / 0.2)])

    assert cost(3.5, 0.1) == 0
    assert 100 in (cost(4.9, 0.1), cost(5.1, 0.1), cost(5.3, 0.1))
    assert cost(6.5, 0.1) == -1, "what the person hides is unknown"
    assert cost(13.0, 0.1) == -1


def test_a_camera_that_looks_down_has_the_ground_below_its_axis() -> None:
    pose = mounted(1.0, np.pi / 4)
    np.testing.assert_allclose(pose[:3, :3] @ (0, 0, np.sqrt(2)) + pose[:3, 3], (1, 0, 0), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("frame", ["", "/"])
def test_ground_without_a_frame_is_refused(frame: str) -> None:
    with pytest.raises(ConfigError, match=r"projection: flat\.frame is empty; expected the name"):
        FlatConfig(frame=frame)

"""Which label a point takes: the surface's that it hit, not that of what stands before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from seg_perception.labels import LabelSpace
from seg_perception.projection.camera import Camera
from seg_perception.projection.clouds import Cloud
from seg_perception.projection.labelling import Kinds, LabellingConfig, label_pixels, label_points
from seg_perception.projection.motion import seen_from
from seg_perception.projection.transforms import TransformBuffer, TransformError
from seg_perception.types import UNLABELLED, CameraModel, PanopticMap

SPACE = LabelSpace.load("navigation")
KINDS = Kinds.of(SPACE)
ROAD, BUILDING, PERSON = (SPACE.id(name) for name in ("road", "building", "person"))
WIDTH, HEIGHT, FOCAL = 160, 120, 130.0
SWEEP = 100_000_000


def pinhole() -> Camera:
    k = np.array([[FOCAL, 0, WIDTH / 2 - 0.5], [0, FOCAL, HEIGHT / 2 - 0.5], [0, 0, 1]])
    p = np.column_stack([k, np.zeros(3)])
    return Camera(CameraModel(WIDTH, HEIGHT, "", k, np.zeros(0), np.eye(3), p), rectified=True)


def masks_of(panoptic: np.ndarray) -> PanopticMap:
    semantic = (panoptic & 0xFFFF).astype(np.uint8)
    confidence = np.where(semantic == UNLABELLED, 0, 200).astype(np.uint8)
    return PanopticMap(semantic, confidence, panoptic.astype(np.int32))


def street() -> PanopticMap:
    """A person (#7) in the middle, a building above, road below."""
    panoptic = np.full((HEIGHT, WIDTH), ROAD)
    panoptic[:70] = BUILDING
    panoptic[30:90, 70:90] = 7 << 16 | PERSON
    return masks_of(panoptic)


def at(u: float, v: float, z: float) -> list[float]:
    """The point that lands on pixel ``u, v``."""
    return [(u - WIDTH / 2) / FOCAL * z, (v - HEIGHT / 2) / FOCAL * z, z]


def label(points: np.ndarray, masks: PanopticMap, config: LabellingConfig | None = None) -> Any:
    return label_points(points, points, pinhole(), masks, KINDS, config or LabellingConfig())


def test_points_take_label_instance_and_confidence_of_their_pixel() -> None:
    points = np.array([at(80.5, 50.5, 4), at(20.5, 20.5, 9), at(20.5, 100.5, 3)], np.float32)
    found = label(points, street())
    np.testing.assert_array_equal(found.labels, [PERSON, BUILDING, ROAD])
    np.testing.assert_array_equal(found.instances, [7, 0, 0])
    np.testing.assert_array_equal(found.confidence, [200] * 3)
    assert found.xyz is points


def test_points_out_of_view_behind_missing_and_on_nothing_are_unlabelled() -> None:
    masks = street()
    masks.semantic[5, 5], masks.confidence[5, 5], masks.panoptic[5, 5] = UNLABELLED, 0, UNLABELLED
    behind = [-x for x in at(80, 60, 4)]
    points = np.array(
        [at(-1, 50, 4), at(161, 50, 4), at(80, 121, 4), behind, [np.nan] * 3, at(5.5, 5.5, 6)], np.float32
    )
    found = label(points, masks)
    np.testing.assert_array_equal(found.labels, [UNLABELLED] * 6)
    np.testing.assert_array_equal(found.confidence, [0] * 6)
    assert not found.instances.any()
    assert len(label(np.zeros((0, 3), np.float32), masks)) == 0


def wall_and_person(lidar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a LiDAR at ``lidar`` hits: a person's board at z = 4, and the wall at z = 12 behind it; and the classes."""
    across, down = np.meshgrid(np.radians(np.arange(-35, 35, 0.5)), np.radians(np.arange(-22, 12, 2.0)))
    rays = np.stack([np.tan(across), np.tan(down) / np.cos(across), np.ones_like(across)], -1).reshape(-1, 3)
    board = lidar + rays * (4 - lidar[2])
    low, high = np.array(at(70, 30, 4)), np.array(at(90, 90, 4))
    hit = (board[:, :2] > low[:2]).all(axis=1) & (board[:, :2] < high[:2]).all(axis=1)
    points = np.where(hit[:, None], board, lidar + rays * (12 - lidar[2]))
    return points.astype(np.float32), np.where(hit, PERSON, BUILDING)


@pytest.mark.parametrize("lidar", [[0.0, -0.4, -0.2], [0.3, -0.2, 0.0], [-0.3, 0.1, 0.0]])
def test_what_the_lidar_sees_past_a_person_does_not_become_a_person(lidar: list[float]) -> None:
    points, truth = wall_and_person(np.array(lidar))
    panoptic = np.full((HEIGHT, WIDTH), BUILDING)
    panoptic[30:90, 70:90] = 7 << 16 | PERSON
    found = label(points, masks_of(panoptic)).labels
    u, v, depth = pinhole().project(points)
    hidden = (depth > 11) & (u > 70) & (u < 90) & (v > 30) & (v < 90)
    assert hidden.sum() >= 8, "the camera sees none of these"
    assert (found[hidden] == PERSON).mean() < 0.1
    seen = (u > 0) & (u < WIDTH) & (v > 0) & (v < HEIGHT) & ~hidden
    assert (found[seen] == truth[seen]).mean() > 0.99


def test_a_margin_without_end_trusts_the_mask() -> None:
    points, _ = wall_and_person(np.array([0.0, -0.4, -0.2]))
    config = LabellingConfig(hidden_margin=100.0)
    u, v, _ = pinhole().project(points)
    inside = (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    assert (label(points, street(), config).labels[inside] != UNLABELLED).all()


def test_the_border_policy_leaves_a_seam_unlabelled() -> None:
    masks = street()
    points = np.array([at(u + 0.5, 50.5, 4) for u in range(60, 100)], np.float32)
    for border, kept in ((0.0, range(60, 100)), (1.0, [*range(60, 69), *range(71, 89), *range(91, 100)])):
        found = label(points, masks, LabellingConfig(border=border, hidden_margin=100.0))
        np.testing.assert_array_equal(60 + np.flatnonzero(found.labels != UNLABELLED), kept)
    xyz = np.zeros((HEIGHT * WIDTH, 3), np.float32)
    organised = label_pixels(xyz, masks, LabellingConfig(border=2.0))
    unlabelled = (organised.labels == UNLABELLED).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(np.flatnonzero(unlabelled[50]), [68, 69, 70, 71, 88, 89, 90, 91])
    assert not organised.confidence[organised.labels == UNLABELLED].any()
    assert label_pixels(xyz, masks, LabellingConfig()).labels.base is masks.semantic


def turning(buffer: TransformBuffer, rate: float, speed: float) -> None:
    """A robot that turns about z by ``rate`` radians and drives ``speed`` metres per second; its camera looks ahead."""
    buffer.add("base", "camera", 0, (0.2, 0, 1.0), (-0.5, 0.5, -0.5, 0.5), static=True)
    buffer.add("base", "lidar", 0, (0, 0, 1.3), (0, 0, 0, 1), static=True)
    for tick in range(-10, 31):
        time = tick * 0.01
        half = rate * time / 2
        buffer.add("odom", "base", round(time * 1e9), (speed * time, 0, 0), (0, 0, np.sin(half), np.cos(half)))


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_point_is_taken_from_where_the_sensor_was_at_its_time(shuffled: bool) -> None:
    buffer, rng = TransformBuffer(), np.random.default_rng(1)
    turning(buffer, rate=1.0, speed=8.0)
    world = np.column_stack(
        [rng.uniform(5, 40, 3000), rng.uniform(-10, 10, 3000), rng.uniform(0, 3, 3000), np.ones(3000)]
    )
    times = np.sort(rng.integers(0, SWEEP, 3000))
    if shuffled:
        rng.shuffle(times)
    points = np.stack(
        [np.linalg.inv(buffer.lookup("odom", "lidar", int(t))) @ p for t, p in zip(times, world, strict=True)]
    )
    cloud = Cloud(0, "lidar", points[:, :3].astype(np.float32), times)
    optical = seen_from(cloud, buffer, "camera", SWEEP // 2, "odom")
    expected = (np.linalg.inv(buffer.lookup("odom", "camera", SWEEP // 2)) @ world.T).T[:, :3]
    # Half a millisecond at 8 m/s and 1 rad/s at 40 m.
    assert np.abs(optical - expected).max() < 0.026
    assert np.abs(optical - expected).mean() < 0.008
    still = seen_from(replace(cloud, times=None), buffer, "camera", SWEEP // 2, "odom")
    assert np.abs(still - expected).max() > 0.5


def test_without_motion_times_change_nothing_and_no_points_are_no_trouble() -> None:
    buffer = TransformBuffer()
    turning(buffer, 0.0, 0.0)
    xyz = np.random.default_rng(0).normal(0, 9, (50, 3)).astype(np.float32)
    xyz[7] = np.nan
    cloud = Cloud(0, "lidar", xyz, np.arange(50) * 2_000_000)
    optical = seen_from(cloud, buffer, "camera", 0, "odom")
    pose = buffer.lookup("camera", "lidar", 0)
    np.testing.assert_allclose(optical, xyz @ pose[:3, :3].T + pose[:3, 3], atol=1e-5)
    assert np.isnan(optical[7]).all()
    assert not len(seen_from(Cloud(0, "lidar", xyz[:0], None), buffer, "camera", 0, "odom"))
    with pytest.raises(TransformError, match="ends"):
        seen_from(replace(cloud, stamp=10**9), buffer, "camera", 10**9, "odom")

"""The road into space as a whole: what comes out, and that nothing that comes in can stop it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from seg_perception import records
from seg_perception.calibration import camera_model
from seg_perception.errors import ConfigError, InputError
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.projection.grid import GridConfig
from seg_perception.projection.ground import FlatConfig, mounted
from seg_perception.projection.outputs import table
from seg_perception.projection.pairing import Masks, Pairing
from seg_perception.projection.projector import Projection, ProjectionConfig, Projector
from seg_perception.projection.scene import Costmap
from seg_perception.projection.transforms import TransformBuffer
from seg_perception.types import PanopticMap

SPACE = LabelSpace.load("navigation")
ROAD, PERSON = SPACE.id("road"), SPACE.id("person")
WIDTH, HEIGHT, FOCAL = 40, 30, 35.0
START, FRAME = 1_767_225_600_000_000_000, 100_000_000
OPTICAL, LIDAR = "camera_optical", "lidar"


def calibration(width: int = WIDTH, height: int = HEIGHT, frame: str = OPTICAL, **changes: Any) -> records.CameraInfo:
    focal = FOCAL * width / WIDTH
    k = np.array([focal, 0, width / 2 - 0.5, 0, focal, height / 2 - 0.5, 0, 0, 1])
    p = np.array([*k[:3], 0, *k[3:6], 0, *k[6:], 0])
    header = records.Header.of(START, frame)
    info = records.CameraInfo(header, height, width, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), p)
    return replace(info, **changes)


def masks(number: int, offset: int = 0) -> Masks:
    """Road with person #7 in the middle."""
    panoptic = np.full((HEIGHT, WIDTH), ROAD, np.int32)
    panoptic[5:25, 15:25] = 7 << 16 | PERSON
    semantic = (panoptic & 0xFFFF).astype(np.uint8)
    stamp = START + number * FRAME + offset
    return Masks(
        stamp, OPTICAL, PanopticMap(semantic, np.full_like(semantic, 200), panoptic), camera_model(calibration())
    )


def depth(number: int, metres: float = 4.0, frame: str = OPTICAL, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Any:
    image = np.full(size, round(1000 * metres), np.uint16)
    return records.Image.of(records.Header.of(START + number * FRAME, frame), "16UC1", image)


def cloud(stamp: int, xyz: Any = ((5, 0, 0), (4, 0, -0.2), (-4, 0, 0)), frame: str = LIDAR) -> records.PointCloud2:
    points = np.array(xyz, np.float32).reshape(-1, 3)
    fields = tuple(records.PointField(name, 4 * i, 7, 1) for i, name in enumerate("xyz"))
    header = records.Header.of(stamp, frame)
    return records.PointCloud2(
        header, 1, len(points), fields, False, 12, 12 * len(points), points.view(np.uint8).ravel(), True
    )


def robot(stamp: int = START, ticks: int = 40, moving: bool = True) -> TransformBuffer:
    buffer = TransformBuffer()
    buffer.add("base", OPTICAL, 0, (0, 0, 1), (-0.5, 0.5, -0.5, 0.5), static=True)
    buffer.add("base", LIDAR, 0, (0, 0, 1), (0, 0, 0, 1), static=True)
    for tick in range(ticks if moving else 0):
        buffer.add("odom", "base", stamp - FRAME + tick * FRAME // 2, (0.05 * tick, 0, 0), (0, 0, 0, 1))
    return buffer


class Road:
    """A projector, and everything it said and made."""

    def __init__(self, transforms: TransformBuffer | None = None, **options: Any) -> None:
        self.said: list[str] = []
        self.projector = Projector(SPACE, ProjectionConfig(**options), transforms or robot(), self.said.append)

    def ready(self, now: float = math.inf, end: bool = False) -> list[Projection]:
        return list(self.projector.ready(now, end=end))

    def counts(self, *names: str) -> list[int]:
        return [self.projector.counts[name] for name in names]


def test_depth_and_clouds_find_their_masks_and_go_out() -> None:
    road = Road()
    road.projector.add_depth(depth(0))
    road.projector.add_cloud(cloud(START + 1_000_000))
    assert not road.ready()
    road.projector.add_masks(masks(0))
    organised, swept = road.ready(end=True)
    assert (organised.kind, organised.shape, organised.stamp) == ("depth", (HEIGHT, WIDTH), START)
    np.testing.assert_allclose(organised.points.xyz[:, 2], 4)
    np.testing.assert_array_equal(organised.points.labels.reshape(HEIGHT, WIDTH), masks(0).panoptic.semantic)
    assert organised.points.instances.max() == 7
    assert (swept.kind, swept.frame_id, swept.stamp) == ("lidar", LIDAR, START + 1_000_000)
    np.testing.assert_array_equal(swept.points.labels, [PERSON, PERSON, 255])
    np.testing.assert_allclose(swept.optical[0], [0, 0, 5], atol=0.01)
    assert swept.fixed_frame == "odom"
    assert swept.leading
    assert road.said == []
    assert road.counts("depth", "lidar") == [1, 1]


def test_every_row_of_the_table_makes_a_message_that_can_be_written() -> None:
    road, rows = Road(), table(SPACE, ProjectionConfig())
    road.projector.add_masks(masks(0))
    road.projector.add_depth(depth(0))
    road.projector.add_cloud(cloud(START))
    organised, swept = road.ready(end=True)
    made = {row.topic: [row.build(p) for p in (organised, swept)] for row in rows}
    for row in rows:
        for record in made[row.topic]:
            assert record is None or serialised(row.type, record)
    points, none = made["semantic/points"]
    assert none is None
    assert isinstance(points, records.PointCloud2)
    assert (points.height, points.width, points.header.stamp.sec) == (HEIGHT, WIDTH, START // 10**9)
    obstacles, clearing = (made[topic][0] for topic in ("obstacles/points", "clearing/points"))
    assert isinstance(obstacles, records.PointCloud2)
    assert isinstance(clearing, records.PointCloud2)
    assert (obstacles.width, clearing.width) == (200, WIDTH * HEIGHT - 200)
    lidar = made["semantic/lidar_points"][1]
    assert isinstance(lidar, records.PointCloud2)
    assert (lidar.height, lidar.width, lidar.header.frame_id) == (1, 3, LIDAR)


def test_empty_obstacle_clouds_are_made_too() -> None:
    road, rows = Road(), table(SPACE, ProjectionConfig())
    road.projector.add_masks(masks(0))
    road.projector.add_cloud(cloud(START, ((-4, 0, 0),)))
    (swept,) = road.ready(end=True)
    record = next(row for row in rows if row.topic == "obstacles/points").build(swept)
    assert isinstance(record, records.PointCloud2)
    assert (record.width, record.data.size) == (0, 0)


def test_where_clouds_come_depth_does_not_lead() -> None:
    for source, expected in (("auto", [False, True]), ("depth", [True, False]), ("lidar", [False, True])):
        road = Road(source=source)
        road.projector.add_masks(masks(0))
        road.projector.add_cloud(cloud(START))
        road.ready()
        road.projector.add_masks(masks(1))
        road.projector.add_depth(depth(1))
        road.projector.add_cloud(cloud(START + FRAME))
        assert [p.leading for p in road.ready()] == expected


def no_transforms(road: Road) -> None:
    road.projector.transforms = TransformBuffer()


def late_transforms(road: Road) -> None:
    road.projector.transforms = robot(START - 40 * FRAME)


def future_transforms(road: Road) -> None:
    road.projector.transforms = robot(START + 40 * FRAME)


def leaping_transforms(road: Road) -> None:
    road.projector.transforms.add("odom", "base", START + 10_000_000, (500, 0, 0), (0, 0, 0, 1))


TROUBLE: list[tuple[str, str, Callable[[Road], None], Any]] = [
    ("tf_missing", "no transform names the frame 'lidar'", no_transforms, cloud(START)),
    ("tf_late", "'base' in 'odom' ends", late_transforms, cloud(START)),
    ("tf_extrapolated", "'base' in 'odom' begins", future_transforms, cloud(START)),
    ("tf_jumped", "'base' in 'odom' jumps by 499.90 m", leaping_transforms, cloud(START + 1_000_000)),
    ("tf_missing", "no transform names the frame 'radar'", lambda road: None, cloud(START, frame="radar")),
    ("empty_cloud", "a point cloud in 'lidar' has no points", lambda road: None, cloud(START, ())),
    ("empty_cloud", "has no points", lambda road: None, cloud(START, ((math.nan,) * 3, (math.inf, 0, 0)))),
    ("bad_cloud", "it has no field 'x'", lambda road: None, replace(cloud(START), fields=())),
    ("bad_depth", "rgb8: expected one of 16UC1", lambda road: None, replace(depth(0), encoding="rgb8")),
    ("bad_depth", "holds 1200 bytes", lambda road: None, replace(depth(0), data=np.zeros(1200, np.uint8))),
    (
        "bad_calibration",
        "no usable camera_info came with the depth",
        lambda road: None,
        depth(0, frame="depth_optical"),
    ),
    (
        "bad_calibration",
        "the depth image is 20x15, its calibration is for 40x30",
        lambda road: road.projector.add_depth_calibration(calibration()),
        depth(0, size=(15, 20)),
    ),
    (
        "bad_calibration",
        "depth: the calibration's focal lengths are 0 and 0",
        lambda road: road.projector.add_depth_calibration(calibration(k=np.zeros(9))),
        None,
    ),
]


@pytest.mark.parametrize(
    ("reason", "words", "prepare", "message"), TROUBLE, ids=[f"{i}-{t[0]}" for i, t in enumerate(TROUBLE)]
)
def test_what_cannot_be_used_is_said_and_counted_and_the_next_one_goes_out(
    reason: str, words: str, prepare: Callable[[Road], None], message: Any
) -> None:
    road = Road()
    prepare(road)
    road.projector.add_masks(masks(0))
    if isinstance(message, records.PointCloud2):
        road.projector.add_cloud(message)
    elif message is not None:
        road.projector.add_depth(message)
    road.ready(end=True)
    assert road.counts(reason) == [1]
    assert len(road.said) == 1
    assert words in road.said[0]
    # Whatever it was, the next good one is projected.
    road.projector.transforms = robot()
    road.projector.add_depth_calibration(calibration())
    road.projector.add_masks(masks(2))
    road.projector.add_depth(depth(2))
    road.projector.add_cloud(cloud(START + 2 * FRAME))
    assert [p.kind for p in road.ready()] == ["depth", "lidar"]


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 65.535])
def test_depth_without_any_depth_is_said_and_gives_an_organised_cloud_of_nan(value: float) -> None:
    road = Road()
    road.projector.add_masks(masks(0))
    if value == 65.535:
        road.projector.add_depth(depth(0, value))
    else:
        image = np.full((HEIGHT, WIDTH), value, np.float32)
        road.projector.add_depth(records.Image.of(records.Header.of(START, OPTICAL), "32FC1", image))
    (found,) = road.ready()
    assert found.points.xyz.shape == (HEIGHT * WIDTH, 3)
    assert np.isnan(found.points.xyz).all()
    assert road.said == [f"a depth image in '{OPTICAL}' has no depth"]
    assert road.counts("empty_depth", "depth") == [1, 1]


def test_depth_of_another_frame_and_size_is_registered() -> None:
    transforms = robot()
    transforms.add(OPTICAL, "depth_optical", 0, (0.1, 0, 0), (0, 0, 0, 1), static=True)
    road = Road(transforms)
    road.projector.add_depth_calibration(calibration(20, 15, "depth_optical"))
    road.projector.add_masks(masks(0))
    road.projector.add_depth(depth(0, frame="depth_optical", size=(15, 20)))
    (found,) = road.ready()
    z = found.points.xyz[:, 2].reshape(HEIGHT, WIDTH)
    np.testing.assert_allclose(z[:, 3:], 4, atol=1e-5)
    assert (found.frame_id, found.shape) == (OPTICAL, (HEIGHT, WIDTH))


def test_late_transforms_are_waited_for_and_only_so_long() -> None:
    road = Road(robot(START - 40 * FRAME), tf_timeout=0.5)
    road.projector.add_masks(masks(0))
    road.projector.add_cloud(cloud(START))
    assert not road.ready(now=10.0)
    assert road.projector.waiting
    assert not road.ready(now=10.4)
    road.projector.transforms = robot()
    assert [p.kind for p in road.ready(now=10.45)] == ["lidar"]
    assert not road.projector.waiting
    road.projector.transforms = robot(START - 40 * FRAME)
    road.projector.add_masks(masks(1))
    road.projector.add_cloud(cloud(START + FRAME))
    assert not road.ready(now=20.0)
    assert not road.ready(now=20.6)
    assert road.counts("tf_late", "lidar") == [1, 1]
    assert not road.projector.waiting


def test_time_that_goes_back_starts_everything_anew() -> None:
    road = Road()
    road.projector.add_masks(masks(3))
    road.projector.add_depth(depth(9))
    road.projector.add_masks(masks(0))
    assert road.counts("time_jumps") == [1]
    assert not road.ready(end=True)
    with pytest.raises(Exception, match="odom"):
        road.projector.transforms.lookup("odom", "base", START)


def test_an_image_out_of_order_leaves_the_transforms_of_other_cameras_alone() -> None:
    transforms = robot()
    one, other = Road(transforms), Road(transforms)
    one.projector.add_masks(masks(8))
    one.projector.add_masks(masks(7))
    assert one.counts("time_jumps") == [1]
    other.projector.add_masks(masks(8))
    other.projector.add_cloud(cloud(START + 8 * FRAME))
    assert [p.kind for p in other.ready(end=True)] == ["lidar"]


def test_what_finds_no_mask_is_counted_and_forgotten() -> None:
    road = Road()
    road.projector.add_masks(masks(0))
    road.projector.add_cloud(cloud(START - 3 * FRAME))
    for number in range(3, 20):
        road.projector.add_depth(depth(number))
    road.projector.add_masks(masks(1))
    assert not road.ready()
    assert road.counts("unpaired_lidar", "unpaired_depth") == [1, 11]


def test_extrinsics_by_parameter() -> None:
    lines = ("base lidar 0 0 1 0 0 0 1", f"base {OPTICAL} 0 0 1 -1.5707963 0 -1.5707963")
    road = Road(TransformBuffer(), extrinsics=lines)
    road.projector.add_masks(masks(0))
    road.projector.add_cloud(cloud(START))
    (found,) = road.ready()
    np.testing.assert_allclose(found.optical[:2], [[0, 0, 5], [0, 0.2, 4]], atol=1e-5)
    assert found.fixed_frame == "base"
    for line in ("base lidar 0 0", "base lidar a b c 0 0 0", "base lidar 0 0 nan 0 0 0 1"):
        with pytest.raises(ConfigError, match=r"extrinsics: 'base lidar .*expected 'parent child x y z"):
            Road(TransformBuffer(), extrinsics=(line,))


def test_an_optical_frame_at_the_top_has_no_up_for_boxes_and_grid() -> None:
    road = Road(TransformBuffer(), extrinsics=(f"{OPTICAL} lidar 0 0 0 0.5 -0.5 0.5 0.5",))
    road.projector.add_masks(masks(0))
    road.projector.add_cloud(cloud(START))
    road.projector.add_depth(depth(0))
    found = road.ready()
    assert [(p.kind, p.to_fixed) for p in found] == [("depth", None), ("lidar", None)]
    assert road.counts("no_fixed_frame") == [2]
    assert "to a frame whose z axis is up: boxes and costmap are not made" in road.said[0]
    assert all(Costmap(SPACE, GridConfig())(p) is None for p in found)


def standing(height: float = 1.0) -> Masks:
    """Road in the lower half, and person #7 on it whose feet are ``height / 0.2`` metres ahead."""
    panoptic = np.full((HEIGHT, WIDTH), SPACE.id("sky"), np.int32)
    panoptic[HEIGHT // 2 :] = ROAD
    panoptic[5:22, 18:22] = 7 << 16 | PERSON
    semantic = (panoptic & 0xFFFF).astype(np.uint8)
    return replace(masks(0), panoptic=PanopticMap(semantic, np.full_like(semantic, 200), panoptic))


@pytest.mark.parametrize("flat", [FlatConfig(height=1.0), FlatConfig(frame="base")], ids=["height", "tf"])
def test_masks_alone_are_laid_onto_flat_ground(flat: FlatConfig) -> None:
    transforms = robot()
    if flat.height:
        transforms.add("base", "base_footprint", 0, (0, 0, 0), (0, 0, 0, 1), static=True)
    road = Road(transforms, source="flat", flat=flat)
    road.projector.add_masks(standing())
    (found,) = road.ready()
    assert (found.kind, found.shape, found.frame_id, found.leading) == ("flat", (HEIGHT, WIDTH), OPTICAL, True)
    assert found.fixed_frame == "odom"
    assert found.to_fixed is not None
    known = np.isfinite(found.points.xyz[:, 0])
    place = found.optical[known] @ found.to_fixed[:3, :3].T + found.to_fixed[:3, 3]
    np.testing.assert_allclose(place[:, 2], 0, atol=1e-5)
    feet = place[found.points.labels[known] == PERSON]
    assert len(feet) == 4
    np.testing.assert_allclose(feet[:, 0], FOCAL / 6.5 + 0.1, atol=0.01)  # the robot is 0.1 m from where it began
    assert road.counts("flat", "unpaired_flat") == [1, 0]
    made = {row.topic: row.build(found) for row in table(SPACE, ProjectionConfig())}
    points, obstacles, clearing = (made[t] for t in ("semantic/points", "obstacles/points", "clearing/points"))
    assert isinstance(points, records.PointCloud2)
    assert isinstance(obstacles, records.PointCloud2)
    assert isinstance(clearing, records.PointCloud2)
    assert (points.height, points.width, obstacles.width, clearing.width) == (HEIGHT, WIDTH, 4, len(place) - 4)
    assert made["detections_3d"] is None
    grid = Costmap(SPACE, GridConfig())(found)
    assert grid is not None
    assert {-1, 0, 100} <= set(grid.data.tolist())


def test_flat_ground_without_any_transform_stands_below_the_camera() -> None:
    road = Road(TransformBuffer(), source="flat", flat=FlatConfig(height=1.0, pitch=0.1))
    road.projector.add_masks(standing())
    (found,) = road.ready()
    assert found.fixed_frame == "base_footprint"
    assert found.to_fixed is not None
    np.testing.assert_allclose(found.to_fixed, mounted(1.0, 0.1))
    assert road.said == []


def test_flat_ground_whose_frame_nobody_knows_is_said_and_counted() -> None:
    road = Road(source="flat")
    road.projector.add_masks(standing())
    assert not road.ready()
    assert road.counts("tf_missing", "flat") == [1, 0]
    assert "no transform names the frame 'base_footprint'" in road.said[0]


def paired(clouds: list[float], frames: list[float], end: bool = False) -> list[tuple[float, float]]:
    """What a pairing settles: times in frames."""
    pairing: Pairing[float] = Pairing(5_000_000, 100_000_000)
    for frame in frames:
        pairing.add_masks(masks(0, offset=round(frame * FRAME)))
    for time in clouds:
        pairing.add("lidar", START + round(time * FRAME), time)
    return [((p.masks.stamp - START) / FRAME, p.item) for p in pairing.pairs(end=end)]


def test_clouds_take_the_nearest_mask_and_wait_only_while_a_nearer_may_come() -> None:
    assert paired([1.1, 0.4, 0.6], [0, 1, 2]) == [(1, 1.1), (0, 0.4), (1, 0.6)]
    assert paired([1.4], [0, 1]) == [(1, 1.4)]
    assert paired([1.6], [0, 1]) == []
    assert paired([1.6], [0, 1], end=True) == [(1, 1.6)]
    assert paired([3.5], [0, 1], end=True) == []


def test_an_unusable_camera_is_said_and_masks_of_the_next_go_out() -> None:
    road = Road(input_rectified=True)
    bad = replace(masks(0), camera=replace(masks(0).camera, p=np.zeros((3, 4)), d=np.full(5, 0.1)))
    road.projector.add_masks(bad)
    road.projector.add_cloud(cloud(START))
    assert not road.ready()
    assert road.counts("bad_calibration") == [1]
    assert "set input_rectified to false" in road.said[0]
    with pytest.raises(InputError, match="focal lengths are 0 and 0"):
        camera_model(calibration(k=np.zeros(9), p=np.zeros(12)))


@pytest.mark.parametrize("line", ["base lidar 0 0 0 0 0 0 0", "base base 0 0 0 0 0 0 1", "base /base 0 0 0 0 0 0"])
def test_extrinsics_that_are_no_pose_are_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Projector(SPACE, ProjectionConfig(extrinsics=(line,)), TransformBuffer(), print)


def test_what_a_time_jump_forgets_is_counted() -> None:
    projector = Projector(SPACE, ProjectionConfig(), TransformBuffer(), lambda sentence: None)
    projector.add_masks(masks(5))
    projector.add_depth(depth(6))
    projector.add_cloud(cloud(START + 700_000_000))
    list(projector.ready(0.0))
    projector.add_masks(masks(1))
    list(projector.ready(0.0))
    assert projector.counts == Counter(time_jumps=1, unpaired_depth=1, unpaired_lidar=1)


def test_a_cloud_of_no_width_stops_nothing() -> None:
    projector = Projector(SPACE, ProjectionConfig(), TransformBuffer(), lambda sentence: None)
    projector.add_cloud(replace(cloud(START, xyz=()), height=3))
    projector.add_masks(masks(0))
    list(projector.ready(np.inf, end=True))
    assert projector.counts["empty_cloud"] == 1

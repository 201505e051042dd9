"""Masks onto 120 000 points: project, label and pack, ours beside plain numpy, OpenCV and structured arrays.

    python benchmarks/projection.py [--json OUT] [--points 120000]

In the first case every point is in view, in a pinhole of 1280x720, in no order: the most that labelling can cost. The
plain ways know nothing of points that are hidden from the camera, so that ours stands there without and with them.

The last case is a turning LiDAR of 120 000 points with a time each, a sixth of them in view, on a robot that moves:
points are taken from where the sensor was at their time, and those hidden from the camera are found. The plain ways do
neither; the time in which the machine copies the same bytes stands beside it.

What the ways give is checked to be the same before they are timed: labels and instances but for points that fall on a
pixel's very edge, and the cloud's bytes.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from side_by_side import OURS, Row, options, report, timed

from seg_perception.labels import LabelSpace
from seg_perception.projection.camera import Camera, moved
from seg_perception.projection.clouds import Cloud, labelled_cloud, packed_colours, read_cloud
from seg_perception.projection.labelling import Kinds, LabellingConfig, label_points
from seg_perception.projection.motion import seen_from
from seg_perception.projection.transforms import TransformBuffer
from seg_perception.records import Header
from seg_perception.ros.memory import keep_large_blocks
from seg_perception.types import CameraModel, LabelledPoints, PanopticMap

WIDTH, HEIGHT, FOCAL = 1280, 720, 900.0
SPACE = LabelSpace.load("navigation")
KINDS = Kinds.of(SPACE)
TRUSTING = LabellingConfig(hidden_margin=np.inf)
HEADER = Header.of(0, "lidar")
SWEEP = 100_000_000


def model() -> CameraModel:
    k = np.array([[FOCAL, 0, WIDTH / 2 - 0.5], [0, FOCAL, HEIGHT / 2 - 0.5], [0, 0, 1]])
    return CameraModel(WIDTH, HEIGHT, "", k, np.zeros(0), np.eye(3), np.column_stack([k, np.zeros(3)]))


def masks() -> PanopticMap:
    """Blocks of stuff with eight things on them."""
    rng = np.random.default_rng(0)
    panoptic = cv2.resize(rng.integers(0, 9, (9, 16)).astype(np.uint8), (WIDTH, HEIGHT), interpolation=0).astype(
        np.int32
    )
    for number in range(8):
        x, y = 80 + 150 * number, 250 + 20 * (number % 3)
        panoptic[y : y + 180, x : x + 70] = (number + 1) << 16 | 11
    semantic = (panoptic & 0xFFFF).astype(np.uint8)
    return PanopticMap(semantic, rng.integers(1, 256, semantic.shape).astype(np.uint8), panoptic)


def ahead(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points in the LiDAR's frame that are all in view, and the camera's pose."""
    rng = np.random.default_rng(1)
    z = rng.uniform(3, 60, count)
    u, v = rng.uniform(2, WIDTH - 2, count), rng.uniform(2, HEIGHT - 2, count)
    optical = np.column_stack([(u - WIDTH / 2) / FOCAL * z, (v - HEIGHT / 2) / FOCAL * z, z])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]], (0.02, -0.25, -0.2)
    return ((optical - pose[:3, 3]) @ pose[:3, :3]).astype(np.float32), pose


def looked_up(
    points: np.ndarray, u: np.ndarray, v: np.ndarray, inside: np.ndarray, masks: PanopticMap
) -> LabelledPoints:
    """What the masks say at the pixels of the points that are ``inside``; the same in all plain ways."""
    labels, instances = np.full(len(points), 255, np.uint8), np.zeros(len(points), np.int32)
    confidence = np.zeros(len(points), np.uint8)
    segments = masks.panoptic[v[inside], u[inside]]
    labels[inside], instances[inside] = segments & 0xFFFF, segments >> 16
    confidence[inside] = masks.confidence[v[inside], u[inside]]
    return LabelledPoints(points, labels, instances, confidence)


def with_numpy(points: np.ndarray, pose: np.ndarray, masks: PanopticMap) -> LabelledPoints:
    """What one writes: homogeneous coordinates, one matrix, a mask of what is in view."""
    matrix = (model().p @ pose).astype(np.float32)
    homogeneous = np.hstack([points, np.ones((len(points), 1), np.float32)]) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.floor(homogeneous[:, 0] / homogeneous[:, 2] + 0.5).astype(int)
        v = np.floor(homogeneous[:, 1] / homogeneous[:, 2] + 0.5).astype(int)
    inside = (homogeneous[:, 2] > 0) & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    return looked_up(points, u, v, inside, masks)


def with_columns(points: np.ndarray, pose: np.ndarray, masks: PanopticMap) -> LabelledPoints:
    """The same without BLAS, whose threads wait for each other on a busy machine: columns by hand."""
    m = (model().p @ pose).astype(np.float32)
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    w = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
    u = ((m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]) / w + np.float32(0.5)).astype(np.int32)
    v = ((m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]) / w + np.float32(0.5)).astype(np.int32)
    inside = (w > 0) & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    return looked_up(points, u, v, inside, masks)


def with_opencv(points: np.ndarray, pose: np.ndarray, masks: PanopticMap) -> LabelledPoints:
    """cv2.projectPoints, as tutorials have it."""
    rotation = cv2.Rodrigues(pose[:3, :3])[0]
    pixels = cv2.projectPoints(points.astype(np.float64), rotation, pose[:3, 3], model().k, np.zeros(5))[0].reshape(
        -1, 2
    )
    u, v = np.floor(pixels + 0.5).astype(int).T
    inside = (points @ pose[2, :3] + pose[2, 3] > 0) & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    return looked_up(points, u, v, inside, masks)


STRUCTURE = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("rgb", "<u4"),
        ("label", "<u4"),
        ("instance", "<u4"),
        ("confidence", "<f4"),
    ]
)


def structured(points: LabelledPoints, colours: np.ndarray) -> bytes:
    """A structured array to bytes, as ros2_numpy and sensor_msgs_py do it."""
    cloud = np.zeros(len(points), STRUCTURE)
    for axis, name in enumerate("xyz"):
        cloud[name] = points.xyz[:, axis]
    rgb = colours.astype(np.uint32)[points.labels]
    cloud["rgb"] = rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
    cloud["label"], cloud["instance"] = points.labels, points.instances
    cloud["confidence"] = points.confidence / np.float32(255)
    return cloud.tobytes()


def sweep(count: int) -> tuple[Cloud, TransformBuffer]:
    """A turn of 64 beams in a street: ground, and walls to both sides."""
    transforms = TransformBuffer()
    transforms.add("base", "camera", 0, (0.2, 0, 1.1), (-0.5, 0.5, -0.5, 0.5), static=True)
    transforms.add("base", "lidar", 0, (0, 0, 1.4), (0, 0, 0, 1), static=True)
    for tick in range(-5, 16):
        half = 0.5 * tick * 0.02 / 2
        turn = (0.0, 0.0, float(np.sin(half)), float(np.cos(half)))
        transforms.add("odom", "base", tick * 20_000_000, (tick * 0.02, 0, 0), turn)
    columns = count // 64
    azimuth = np.pi - 2 * np.pi * np.repeat(np.arange(columns), 64) / columns
    elevation = np.radians(np.tile(np.linspace(-25, 10, 64), columns))
    ray = np.column_stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    with np.errstate(divide="ignore"):
        reach = np.minimum(np.where(ray[:, 2] < 0, -1.4 / ray[:, 2], np.inf), 8 / np.abs(ray[:, 1]))
    times = np.repeat(np.arange(columns) * SWEEP // columns, 64)
    return Cloud(0, "lidar", (ray * np.minimum(reach, 60)[:, None]).astype(np.float32), times), transforms


def main() -> None:
    arguments = options(__doc__, points=120_000)
    keep_large_blocks()
    camera, labelled_as, colours = Camera(model(), rectified=True), masks(), packed_colours(SPACE.colours)
    points, pose = ahead(arguments.points)

    def label(config: LabellingConfig) -> LabelledPoints:
        return label_points(points, moved(points, pose[:3]), camera, labelled_as, KINDS, config)

    ours = label(TRUSTING)
    for peer in (with_numpy, with_columns, with_opencv):
        theirs = peer(points, pose, labelled_as)
        same = (theirs.labels == ours.labels) & (theirs.instances == ours.instances)
        assert same.mean() > 0.999, f"{peer.__name__}: other labels"
    rows: list[Row] = [
        {
            "case": f"project and label {arguments.points} points, all in view",
            "ms": timed(
                {
                    OURS: lambda: label(TRUSTING),
                    "ours, and what is hidden": lambda: label(LabellingConfig()),
                    "numpy": lambda: with_numpy(points, pose, labelled_as),
                    "numpy by columns": lambda: with_columns(points, pose, labelled_as),
                    "cv2.projectPoints": lambda: with_opencv(points, pose, labelled_as),
                }
            ),
        }
    ]
    packed = labelled_cloud(HEADER, ours, colours)
    assert packed.data.tobytes() == structured(ours, SPACE.colours), "other bytes"
    rows.append(
        {
            "case": f"PointCloud2 of {arguments.points} points, 7 fields",
            "ms": timed(
                {
                    OURS: lambda: labelled_cloud(HEADER, ours, colours),
                    "structured array": lambda: structured(ours, SPACE.colours),
                }
            ),
        }
    )
    rows.append(
        {
            "case": "the same cloud read again",
            "ms": timed(
                {
                    OURS: lambda: read_cloud(packed),
                    "structured array": lambda: np.stack([packed.data.view(STRUCTURE)[n] for n in "xyz"], -1),
                }
            ),
        }
    )
    rows.append(whole_frame(arguments.points, camera, labelled_as, colours))
    report("projection: masks onto points", rows, arguments.json)


def whole_frame(count: int, camera: Camera, labelled_as: PanopticMap, colours: np.ndarray) -> Row:
    """Move, project, label and pack a sweep, beside copying what it must read and write."""
    cloud, transforms = sweep(count)

    def label(cloud: Cloud) -> LabelledPoints:
        optical = seen_from(cloud, transforms, "camera", SWEEP // 2, "odom")
        return label_points(cloud.xyz, optical, camera, labelled_as, KINDS, LabellingConfig())

    still = replace(cloud, times=None)
    # Of each point 20 bytes are read (xyz and time) and 28 written.
    source, target = np.ones(count * 24, np.uint8), np.empty(count * 24, np.uint8)
    return {
        "case": f"a sweep of {len(cloud)} points: motion, labels, hidden points, PointCloud2",
        "labelled": int((label(cloud).labels != 255).sum()),
        "ms": timed(
            {
                OURS: lambda: labelled_cloud(HEADER, label(cloud), colours),
                "ours, points without times": lambda: labelled_cloud(HEADER, label(still), colours),
                "copying its bytes": lambda: np.copyto(target, source),
            }
        ),
    }


if __name__ == "__main__":
    main()

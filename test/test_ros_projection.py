"""Projection over real DDS: beside the segmentation in one process, and in a node of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nav_msgs.msg import OccupancyGrid
from ros_support import NodeProcess, Robot, camera_info, image
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from seg_perception.ros import qos

pytest_plugins = ["ros_fixtures"]

WIDTH, HEIGHT, FOCAL = 64, 48, 60.0
START, FRAME = 1_767_225_600_000_000_000, 100_000_000
ROAD, PERSON = 0, 11
EXTRINSICS = ["camera_optical lidar 0 0 0 0.5 -0.5 0.5 0.5"]


def picture(number: int) -> Image:
    """Road, and a person in the middle."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[10:40, 24:40, 0] = PERSON
    return image(START + number * FRAME, pixels)


def depth(number: int) -> Image:
    metres = np.full((HEIGHT, WIDTH), 3000, np.uint16)
    return image(START + number * FRAME, metres, encoding="16UC1")


def cloud(number: int, fields: str = "xyz") -> PointCloud2:
    points = np.array([[5, 0, 0], [5, 2, -1.5], [-5, 0, 0]], np.float32)
    message = PointCloud2(height=1, width=3, point_step=12, row_step=36, is_dense=True)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(START + number * FRAME, 1_000_000_000)
    message.header.frame_id = "lidar"
    message.fields = [PointField(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate(fields)]
    message.data.frombytes(points.tobytes())
    return message


def info() -> CameraInfo:
    message = camera_info(WIDTH, HEIGHT, FOCAL)
    message.header.frame_id = "camera_optical"
    return message


def values(message: PointCloud2) -> np.ndarray:
    """The words of each point."""
    return np.frombuffer(message.data, np.uint32).reshape(message.height * message.width, -1)


class Sensors:
    """A robot's camera, depth camera and LiDAR."""

    def __init__(self, robot: Robot) -> None:
        self._image = robot.publisher("camera/image_raw", Image)
        self._info = robot.publisher("camera/camera_info", CameraInfo)
        self._depth = robot.publisher("camera/depth/image_raw", Image)
        self._points = robot.publisher("camera/points", PointCloud2)
        self._info.publish(info())
        time.sleep(0.5)

    def send(self, number: int, points: PointCloud2 | None = None, calibration: CameraInfo | None = None) -> None:
        self._info.publish(calibration or info())
        self._image.publish(picture(number))
        self._depth.publish(depth(number))
        self._points.publish(points or cloud(number))


def keep_sending(
    robot: Robot,
    sensors: Sensors,
    condition: Callable[[], object],
    what: str,
    calibration: CameraInfo | None = None,
    start: int = 1,
) -> int:
    """Send frames until ``condition`` holds; returns the next number."""
    end, number = time.monotonic() + 40, start
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited 40 s for {what}")
        sensors.send(number, calibration=calibration)
        number += 1
        time.sleep(0.2)
    return number


def check(robot: Robot, sensors: Sensors, node: str) -> None:
    """Both clouds come, stamped and labelled as they must be; a bad cloud is counted and stops nothing."""
    organised = robot.hear("camera/semantic/points", PointCloud2, connect=True)
    swept = robot.hear("camera/semantic/lidar_points", PointCloud2, connect=True)
    obstacles = robot.hear("camera/obstacles/points", PointCloud2, connect=True)
    masks = robot.hear("camera/semantic/image_raw", Image, connect=True)
    number = keep_sending(robot, sensors, lambda: organised and swept and obstacles, "clouds")
    points = organised[-1]
    assert (points.height, points.width, points.header.frame_id) == (HEIGHT, WIDTH, "camera_optical")
    words = values(points)
    np.testing.assert_allclose(words[:, 2].view(np.float32), 3.0)
    np.testing.assert_array_equal(words[:, 4].reshape(HEIGHT, WIDTH), seen())
    assert swept[-1].header.frame_id == "lidar"
    np.testing.assert_array_equal(values(swept[-1])[:, 4], [PERSON, ROAD, 255])
    before = len(masks)
    sensors.send(number, cloud(number, fields="abc"))
    robot.until(lambda: len(masks) > before, "a mask after a bad cloud", 40)

    def counted() -> bool:
        return robot.diagnostics(node=node).get("projection.bad_cloud") == "1"

    robot.until(counted, "the bad cloud in a counter", 40)


def seen() -> np.ndarray:
    """The classes of :func:`picture`."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint32)
    labels[10:40, 24:40] = PERSON
    return labels


def test_beside_the_segmentation(robot: Robot, start: Callable[..., NodeProcess]) -> None:
    node = start(labels="cityscapes", projection__enabled=True, projection__extrinsics=EXTRINSICS, **GROUPS)
    check(robot, Sensors(robot), "segmentation")
    assert node.said("no field 'x'") == 1


GROUPS = {"projection__obstacles": "person", "projection__clearing": "drivable"}


def test_masks_alone_on_flat_ground(robot: Robot, start: Callable[..., NodeProcess]) -> None:
    start(
        labels="cityscapes", projection__enabled=True, projection__source="flat", projection__flat__height=1.0,
        projection__flat__pitch=0.3, **GROUPS,
    )  # fmt: skip
    images, infos = robot.publisher("camera/image_raw", Image), robot.publisher("camera/camera_info", CameraInfo)
    points = robot.hear("camera/semantic/points", PointCloud2, connect=True)
    grids = robot.hear("costmap", OccupancyGrid, qos.latched(), connect=True)
    end, number = time.monotonic() + 40, 0
    while not (points and any(100 in grid.data for grid in grids)):
        assert time.monotonic() < end, "waited 40 s for points and a costmap"
        infos.publish(info())
        images.publish(picture(number))
        number += 1
        time.sleep(0.2)
    words = values(points[-1])
    assert (points[-1].height, points[-1].width) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(words[:, 4].reshape(HEIGHT, WIDTH), seen())
    x, y, z = (words[:, axis].view(np.float32).reshape(HEIGHT, WIDTH) for axis in range(3))
    assert np.isnan(z[20, 30]), "above the feet nothing is known"
    np.testing.assert_allclose(np.cos(0.3) * y[45] + np.sin(0.3) * z[45], 1.0, atol=1e-4)
    assert np.isfinite(x[39, 30])
    assert grids[-1].header.frame_id == "base_footprint"
    robot.until(lambda: set(grids[-1].data) == {-1}, "a costmap that knows nothing of a camera that is dead", 40)


def test_a_calibration_of_zeros_is_said_and_counted_and_the_masks_go_on(
    robot: Robot, start: Callable[..., NodeProcess]
) -> None:
    node = start(labels="cityscapes", projection__enabled=True, projection__extrinsics=EXTRINSICS, **GROUPS)
    sensors, zeros = Sensors(robot), info()
    zeros.k, zeros.p = np.zeros(9), np.zeros(12)
    masks = robot.hear("camera/semantic/image_raw", Image, connect=True)
    clouds = robot.hear("camera/semantic/points", PointCloud2, connect=True)
    number = keep_sending(robot, sensors, lambda: clouds, "a cloud")
    before = len(masks)

    def counted() -> bool:
        return int(robot.diagnostics(node="segmentation").get("projection.bad_calibration", 0)) > 0

    number = keep_sending(robot, sensors, lambda: len(masks) > before + 3 and counted(), "masks", zeros, number)
    assert node.said("focal lengths are 0 and 0") == 1
    clouds.clear()
    keep_sending(robot, sensors, lambda: clouds, "a cloud of the next good calibration", start=number)


def test_in_a_node_of_its_own(robot: Robot, start: Callable[..., NodeProcess], domain: int, tmp_path: Path) -> None:
    start(labels="cityscapes")
    options = {"autostart": "true", "labels": "cityscapes", "projection.extrinsics": EXTRINSICS}
    options |= {key.replace("__", "."): value for key, value in GROUPS.items()}
    arguments = [text for key, value in options.items() for text in ("-p", f"{key}:={value}")]
    with (tmp_path / "projection.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "seg_perception.ros.projection_node", "--ros-args", *arguments],
            env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        check(robot, Sensors(robot), "projection")
    finally:
        process.terminate()
        assert process.wait(timeout=40) == 0
        print((tmp_path / "projection.log").read_text())

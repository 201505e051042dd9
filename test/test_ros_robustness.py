"""What the nodes' threads survive: bytes that are no message, masks of any layout, sudden transitions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from ros_support import Robot
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from test_ros_projection import HEIGHT, START, WIDTH, info

from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.projection.pairing import Masks
from seg_perception.projection.projector import ProjectionConfig
from seg_perception.ros.complaints import Complaints
from seg_perception.ros.projection_node import MaskInput
from seg_perception.ros.space import Space
from seg_perception.ros.statistics import CameraStatistics
from seg_perception.ros.transforms import TransformListener

pytest_plugins = ["ros_fixtures"]

JUNK = b"\x00\x01\x00\x00\xff\xff\xff\x7f"
"""CDR that announces two thousand million transforms and ends."""


class Halves:
    """A mask input, its sources by topic, and what it took and said."""

    def __init__(self) -> None:
        self.taken: list[Masks] = []
        self.said: list[str] = []
        sources = MaskInput(self.taken.append, self.said.append).sources()
        self._takers: dict[str, Callable[[Any], None]] = {source.topic: source.take for source in sources}
        self._takers["semantic/camera_info"](info())

    def send(self, panoptic: Image, confidence: Image) -> None:
        self._takers["semantic/confidence"](confidence)
        self._takers["panoptic/image_raw"](panoptic)


def picture(values: np.ndarray, encoding: str, padding: int = 0, big: bool = False) -> Image:
    height, width = values.shape
    stored = values.astype(values.dtype.newbyteorder(">" if big else "<"))
    rows = np.pad(np.ascontiguousarray(stored).view(np.uint8).reshape(height, -1), ((0, 0), (0, padding)))
    message = Image(height=height, width=width, encoding=encoding, is_bigendian=int(big), step=rows.shape[1])
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(START, 1_000_000_000)
    message.header.frame_id = "camera_optical"
    message.data.frombytes(rows.tobytes())
    return message


PANOPTIC = np.arange(HEIGHT * WIDTH, dtype=np.int32).reshape(HEIGHT, WIDTH) % 3 * (1 << 16) + 11
CONFIDENCE = np.full((HEIGHT, WIDTH), 200, np.uint8)


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("big", [False, True])
def test_masks_are_read_in_any_layout(padding: int, big: bool) -> None:
    halves = Halves()
    halves.send(picture(PANOPTIC, "32SC1", padding, big), picture(CONFIDENCE, "mono8", padding, big))
    (masks,) = halves.taken
    np.testing.assert_array_equal(masks.panoptic.panoptic, PANOPTIC)
    np.testing.assert_array_equal(masks.panoptic.semantic, 11)
    np.testing.assert_array_equal(masks.panoptic.confidence, CONFIDENCE)


def cut(message: Image) -> Image:
    message.data = message.data[:-5]
    return message


def narrow(message: Image) -> Image:
    message.step = 3
    return message


def encoded(message: Image) -> Image:
    message.encoding = "8UC3"
    return message


@pytest.mark.parametrize("spoil", [cut, narrow, encoded])
@pytest.mark.parametrize("which", [0, 1])
def test_masks_that_cannot_be_read_are_said_and_the_next_taken(spoil: Callable[[Image], Image], which: int) -> None:
    halves = Halves()
    pair = [picture(PANOPTIC, "32SC1"), picture(CONFIDENCE, "mono8")]
    pair[which] = spoil(pair[which])
    halves.send(*pair)
    assert not halves.taken
    assert len(halves.said) == 1
    halves.send(picture(PANOPTIC, "32SC1"), picture(CONFIDENCE, "mono8"))
    assert len(halves.taken) == 1


def test_ids_that_are_none_are_refused() -> None:
    halves = Halves()
    halves.send(picture(np.full_like(PANOPTIC, -1), "32SC1"), picture(CONFIDENCE, "mono8"))
    assert not halves.taken
    assert len(halves.said) == 1


def test_a_transform_that_is_no_message_is_told_and_the_next_ones_are_taken(robot: Robot) -> None:
    said: list[str] = []
    listener = TransformListener(robot.node, said.append)
    listener._type = CameraInfo  # tf2_msgs may not be installed; these bytes are no message of any type
    said.clear()
    for waiting in (listener._moving, listener._static):
        waiting.append(JUNK)
    listener.update()
    assert len(said) == 2
    assert not listener.buffer.frames


def space(robot: Robot, **options: Any) -> Space:
    config = ProjectionConfig(obstacles="person", clearing="drivable", **options)
    labels = LabelSpace.load("cityscapes")
    return Space(robot.node, ("front", "rear"), labels, lambda: config, Complaints(robot.node.get_logger()))


def test_a_space_that_cannot_be_made_leaves_no_topic_behind(robot: Robot) -> None:
    with pytest.raises(ConfigError):
        space(robot, extrinsics=("nonsense",))
    left = [p.topic_name for p in robot.node.publishers if "costmap" in p.topic_name or "points" in p.topic_name]
    assert left == []


def test_what_waits_at_deactivation_is_not_projected_at_the_next_activation(robot: Robot) -> None:
    made = space(robot)
    robot.hear("front/obstacles/points", PointCloud2, connect=True)
    made.open()
    made.close()
    camera = made._cameras["front"]
    camera._views.append(None)  # type: ignore[arg-type]  # the masks of an image came last of all
    camera.inbox._on_message(1, b"late")
    made.open()
    made.close()
    made.destroy()
    assert camera.counts["error"] == 0


def test_counts_are_read_while_they_grow(robot: Robot) -> None:
    made, stop, failures = space(robot), Event(), []
    camera, statistics = made._cameras["front"], CameraStatistics()

    def grow() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            if number % 1000 == 0:
                camera._projector.counts.clear()
            camera._projector.counts[f"reason {number}"] += 1

    statistics._stages["new"] = type(statistics._latencies)()
    assert statistics.stages() == {}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = Thread(target=grow)
    thread.start()
    try:
        for _ in range(300):
            made.counts("front")
    except RuntimeError as error:
        failures.append(error)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
        made.destroy()
    assert failures == []

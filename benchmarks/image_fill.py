"""Ways to get a 720p rgb8 array into a ROS Image, and all the way out of a publisher: ours and the others, in turns.

``fill`` makes the message; ``publish`` makes and publishes it. The pre-serialised message skips rclpy's conversion, but
needs a CDR writer per type: its gain is printed beside the way that is used. Needs rclpy.

    python benchmarks/image_fill.py [--json OUT]
"""

from __future__ import annotations

import array
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from side_by_side import OURS, options, report, timed

from seg_perception.records import Header
from seg_perception.records import Image as Record
from seg_perception.ros import transport
from seg_perception.ros.memory import keep_large_blocks
from seg_perception.ros.messages import to_message

PIXELS = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
STEP = PIXELS[0].nbytes


def shell(**options: Any) -> Image:
    return Image(height=720, width=1280, encoding="rgb8", step=STEP, **options)


def ours() -> Image:
    return to_message(Record.of(Header.of(1, "camera"), "rgb8", PIXELS))


def assigned_list() -> Image:
    message = shell()
    message.data = PIXELS.reshape(-1).tolist()
    return message


def assigned_ndarray() -> Image:
    message = shell()
    message.data = PIXELS.reshape(-1)
    return message


def assigned_bytes() -> Image:
    message = shell()
    message.data = PIXELS.tobytes()
    return message


def assigned_bytes_checked() -> Image:
    message = shell(check_fields=True)
    message.data = PIXELS.tobytes()
    return message


def assigned_array() -> Image:
    message = shell()
    message.data = array.array("B", PIXELS.tobytes())
    return message


def serialised() -> bytes:
    """sensor_msgs/Image as little-endian CDR, by hand."""
    head = struct.pack("<4BiiI7sx", 0, 1, 0, 0, 0, 1, 7, b"camera\0")
    head += struct.pack("<III5sB2xII", 720, 1280, 5, b"rgb8\0", 0, STEP, PIXELS.nbytes)
    return b"".join((head, memoryview(PIXELS).cast("B")))


FILL: dict[str, Callable[[], Any]] = {
    OURS: ours,
    "data = array.array": assigned_array,
    "data = bytes": assigned_bytes,
    "data = bytes, fields checked": assigned_bytes_checked,
    "data = ndarray": assigned_ndarray,
    "data = list": assigned_list,
}
PUBLISH = {name: FILL[name] for name in list(FILL)[:3]} | {"pre-serialised CDR": serialised}


def main() -> None:
    """Check that all messages are equal, time, print ratios and write JSON."""
    arguments = options(__doc__, runs=15)
    keep_large_blocks()
    transport.activate()
    for name, way in FILL.items():
        assert np.array_equal(np.frombuffer(way().data, np.uint8), PIXELS.reshape(-1)), name
    assert deserialize_message(serialised(), Image) == ours()
    rclpy.init()
    node = rclpy.create_node("fill")
    publisher = node.create_publisher(Image, "image", 5)

    def publishing(way: Callable[[], Any]) -> Callable[[], None]:
        return lambda: publisher.publish(way())

    rows = [
        {"case": "fill", "ms": timed(FILL, arguments.runs)},
        {"case": "publish", "ms": timed({n: publishing(way) for n, way in PUBLISH.items()}, arguments.runs)},
    ]
    node.destroy_node()
    rclpy.shutdown()
    report("a 720p rgb8 array into a ROS Image", rows, arguments.json)


if __name__ == "__main__":
    main()

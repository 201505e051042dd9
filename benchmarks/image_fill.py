"""Ways to get a 720p rgb8 array into a ROS Image, and all the way out of a publisher: ours and the others, in turns.

``fill`` makes the message; ``publish`` makes and publishes it. The pre-serialised message skips rclpy's conversion, but
needs a CDR writer per type: its gain is printed beside the way that is used. Usage:
python benchmarks/image_fill.py [--rounds 15] [--json OUT]
"""

from __future__ import annotations

import argparse
import array
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

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
    "frombytes into the array that is there (ours)": ours,
    "data = array.array": assigned_array,
    "data = bytes": assigned_bytes,
    "data = bytes, fields checked": assigned_bytes_checked,
    "data = ndarray": assigned_ndarray,
    "data = list": assigned_list,
}
PUBLISH = {name: FILL[name] for name in list(FILL)[:3]} | {"pre-serialised CDR": serialised}


def timed(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each way; the ways take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        # Back and forth: each way follows the slow ones as often as it precedes them.
        for name in list(ways) if turn % 2 else reversed(ways):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}


def main() -> None:
    """Time, check that all messages are equal, print ratios and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
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

    results = {
        "fill": timed(FILL, options.rounds),
        "publish": timed({name: publishing(way) for name, way in PUBLISH.items()}, options.rounds),
    }
    node.destroy_node()
    rclpy.shutdown()
    for what, times in results.items():
        print(f"{what:>8} {'ms':>10} {'ours = 1':>9}")
        own = times[next(iter(times))]
        for name, value in times.items():
            print(f"{'':>8} {value:10.3f} {value / own:9.1f}  {name}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

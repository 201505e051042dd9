"""A minute of camera: nothing is lost uncounted, and memory stays what it was."""

from __future__ import annotations

import time

import numpy as np
from ros_support import image
from sensor_msgs.msg import Image

pytest_plugins = ("ros_fixtures",)


def test_a_minute_at_30_hz_with_a_network_of_100_ms(start, robot):
    node = start("--seconds", "0.1")
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    message = image(0, np.random.default_rng(0).integers(0, 19, (360, 640, 3), np.uint8))
    warm = None
    begin, sent = time.monotonic(), 60 * 30
    for i in range(sent):
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(i * 10**9 // 30, 10**9)
        images.publish(message)
        time.sleep(max(0.0, begin + (i + 1) / 30 - time.monotonic()))
        if i == 15 * 30:
            warm = node.resident_bytes()
    numbers = robot.diagnostics()
    counted = {key: int(value) for key, value in numbers.items() if key.startswith("dropped.")}
    assert int(numbers["received"]) + int(numbers["lost_before_node"]) == sent
    assert int(numbers["published"]) + sum(counted.values()) == int(numbers["received"])
    assert {reason for reason, count in counted.items() if count} == {"dropped.replaced"}
    assert len(heard) == int(numbers["published"])
    assert len(heard) > 0
    growth = node.resident_bytes() - warm
    assert growth <= 10e6

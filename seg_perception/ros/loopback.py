"""A trial of image delivery: 720p images, best effort, from one process to another on this machine.

    python -m seg_perception.ros.loopback [--as-shipped]

prints how many were sent, how many arrived, and the median age on arrival in milliseconds. ``--as-shipped`` leaves out
this package's Fast DDS profile, to see what a camera driver without it gets through.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from seg_perception.ros import memory, transport

IMAGES, RATE = 60, 30.0
WIDTH, HEIGHT = 1280, 720
PATIENCE = 10.0
_TOPIC = "seg_perception_loopback"
_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def send() -> None:
    """Publish once somebody listens, one image per period; ``frame_id`` counts them."""
    rclpy.init()
    node = rclpy.create_node("loopback_sender")
    publisher = node.create_publisher(Image, _TOPIC, _QOS)
    image = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    image.data.frombytes(bytes(HEIGHT * WIDTH * 3))
    give_up = time.monotonic() + PATIENCE
    while not publisher.get_subscription_count() and time.monotonic() < give_up:
        time.sleep(0.01)
    time.sleep(0.5)  # both ends have matched only when the other one knows it, too
    for _ in range(IMAGES):
        image.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(image)
        time.sleep(1.0 / RATE)
    rclpy.shutdown()


def receive() -> list[float]:
    """The ages of what arrives from a sender in another process, in seconds."""
    ages: list[float] = []
    rclpy.init()
    node = rclpy.create_node("loopback_receiver")

    def take(image: Image) -> None:
        stamp = image.header.stamp.sec + image.header.stamp.nanosec * 1e-9
        ages.append(time.time() - stamp)

    node.create_subscription(Image, _TOPIC, take, _QOS)
    with subprocess.Popen([sys.executable, "-m", __spec__.name, "--send"]) as sender:
        while sender.poll() is None:
            rclpy.spin_once(node, timeout_sec=0.2)
        for _ in range(_QOS.depth):  # what is still queued
            rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()
    return ages


def main() -> None:
    """The receiving process; it starts the sending one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--as-shipped", action="store_true")
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        send()
        return
    if arguments.as_shipped:
        for name in transport.PROFILE_VARIABLES:
            os.environ.pop(name, None)
    else:
        memory.keep_large_blocks()
        transport.activate()
    ages = receive()
    print(IMAGES, len(ages), f"{median(ages) * 1e3:.1f}" if ages else "-")


if __name__ == "__main__":
    main()

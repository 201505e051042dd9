"""Publish to subscribe, 720p rgb8, between two processes: delivery and latency with the Fast DDS profile and the memory
settings of this package on and off.

Every case is a publisher process and a subscriber process of its own in an otherwise unused ROS domain; reliability is
best effort, as cameras have it. The cases take turns, so that whatever else the machine does hits all of them.
Needs rclpy.

    python benchmarks/dds.py [--seconds 5] [--rounds 2] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import write

WIDTH, HEIGHT = 1280, 720
SHAPE = (HEIGHT, WIDTH, 3)
CASES = [(profile, memory) for profile in (False, True) for memory in (False, True)]


def prepare(profile: bool, memory: bool) -> None:
    """Set this process up before rclpy starts."""
    from seg_perception.ros import memory as malloc
    from seg_perception.ros import transport

    for name in transport.PROFILE_VARIABLES:
        os.environ.pop(name, None)
    if profile:
        transport.activate()
    if memory:
        malloc.keep_large_blocks()


def publish(rate: float, seconds: float) -> None:
    """Send images at ``rate`` for ``seconds`` once somebody listens; the last message is the count, reliable."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import UInt32

    rclpy.init()
    node = rclpy.create_node("camera")
    images = node.create_publisher(Image, "image", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    end = node.create_publisher(UInt32, "end", QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
    while not (images.get_subscription_count() and end.get_subscription_count()):
        time.sleep(0.02)
    time.sleep(0.5)
    pixels = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8).reshape(-1)
    start, count = time.monotonic(), round(rate * seconds)
    for i in range(count):
        # A driver makes a message for every image.
        message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        message.data.frombytes(memoryview(pixels))
        images.publish(message)
        time.sleep(max(0.0, start + (i + 1) / rate - time.monotonic()))
    time.sleep(0.5)
    end.publish(UInt32(data=count))
    time.sleep(0.5)
    node.destroy_node()
    rclpy.shutdown()


def subscribe() -> None:
    """Print latencies and the number sent as JSON."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import UInt32

    rclpy.init()
    node = rclpy.create_node("planner")
    latencies: list[float] = []
    sent: list[int] = []

    def on_image(message: Image, info: dict[str, Any]) -> None:
        latencies.append((time.time_ns() - info["source_timestamp"]) / 1e6)

    node.create_subscription(Image, "image", on_image, QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    node.create_subscription(
        UInt32, "end", lambda m: sent.append(m.data), QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    )
    while not sent:
        rclpy.spin_once(node)
    node.destroy_node()
    rclpy.shutdown()
    print(json.dumps({"sent": sent[0], "latency_ms": latencies}))


def measure(profile: bool, memory: bool, rate: float, seconds: float, domain: int) -> dict[str, Any]:
    """One round of one case."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    command = [sys.executable, __file__, "--profile", str(int(profile)), "--memory", str(int(memory))]
    pace = ["--rate", str(rate), "--seconds", str(seconds)]
    listener = subprocess.Popen([*command, "--role", "subscribe"], env=environment, stdout=subprocess.PIPE, text=True)
    subprocess.run([*command, "--role", "publish", *pace], env=environment, check=True)
    heard, _ = listener.communicate(timeout=30)
    return dict(json.loads(heard))


def main() -> None:
    """Run all cases, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rates", type=float, nargs="+", default=[30.0, 60.0])
    parser.add_argument("--domain", type=int, default=97)
    parser.add_argument("--json", type=Path)
    for hidden in ("--role", "--rate", "--profile", "--memory"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        prepare(options.profile == "1", options.memory == "1")
        if options.role == "publish":
            publish(float(options.rate), options.seconds)
        else:
            subscribe()
        return
    results = []
    for rate in options.rates:
        rounds = [
            [measure(*case, rate, options.seconds, options.domain) for case in CASES] for _ in range(options.rounds)
        ]
        for i, (profile, memory) in enumerate(CASES):
            latencies = [value for turn in rounds for value in turn[i]["latency_ms"]]
            sent = sum(turn[i]["sent"] for turn in rounds)
            p50, p95 = np.percentile(latencies, (50, 95)).tolist() if latencies else (float("nan"),) * 2
            row = {"rate_hz": rate, "profile": profile, "memory": memory, "sent": sent, "delivered": len(latencies)}
            results.append({**row, "delivery": len(latencies) / sent, "p50_ms": p50, "p95_ms": p95})
    print(f"{'Hz':>4} {'profile':>8} {'memory':>7} {'delivered':>10} {'p50 ms':>8} {'p95 ms':>8} {'plain = 1':>10}")
    for row in results:
        plain = next(r for r in results if r["rate_hz"] == row["rate_hz"] and not (r["profile"] or r["memory"]))
        on = {True: "on", False: "off"}
        print(
            f"{row['rate_hz']:4.0f} {on[row['profile']]:>8} {on[row['memory']]:>7} {row['delivery']:10.1%} "
            f"{row['p50_ms']:8.2f} {row['p95_ms']:8.2f} {row['p50_ms'] / plain['p50_ms']:10.2f}"
        )
    write("720p rgb8, best effort, between two processes", results, options.json)


if __name__ == "__main__":
    main()

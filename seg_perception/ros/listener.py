"""A planner's end of the road: subscribes to one camera's masks as a planner does, checks every frame against the
interface and measures how old a mask is when it arrives.

Latency is counted from the DDS source time of the image to the callback of its semantic mask: one clock, when all
processes run on one machine.
"""

from __future__ import annotations

import argparse
import json
import struct
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_perception.conformance import REQUIRED, stamp_of, violations

try:  # On a robot vision_msgs comes from apt; without it those two topics do not exist.
    from vision_msgs.msg import Detection2DArray, LabelInfo
except ImportError:
    Detection2DArray = LabelInfo = None

KEPT_FRAMES = 64
"""Frames whose messages have not all arrived yet; older ones are given up and counted."""


@dataclass
class Heard:
    """What one listener heard: counts, latencies in seconds by stamp, broken rules, and who was where."""

    images: int = 0
    frames: int = 0
    incomplete: int = 0
    latency: dict[int, float] = field(default_factory=dict)
    transport: list[float] = field(default_factory=list)
    violations: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tracks: list[dict[str, Any]] = field(default_factory=list)
    label_infos: int = 0
    diagnostics: dict[str, str] = field(default_factory=dict)


class PlannerListener(Node):  # type: ignore[misc]
    """Subscribes to camera ``camera``'s outputs; ``heard`` is what came of it."""

    def __init__(self, camera: str, compressed_input: bool) -> None:
        super().__init__("planner_listener")
        self.heard = Heard()
        self.last_message = time.monotonic()
        self._classes = 0
        self._frames: dict[int, dict[str, Any]] = {}
        self._image_times: dict[int, int] = {}
        self._frame_ids: dict[int, str] = {}
        reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        topics: dict[str, Any] = {
            "semantic/image_raw": Image,
            "semantic/confidence": Image,
            "panoptic/image_raw": Image,
            "semantic/camera_info": CameraInfo,
        }
        if Detection2DArray is not None:
            topics["detections"] = Detection2DArray
            latched = QoSProfile(depth=1, reliability=reliable.reliability, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.create_subscription(LabelInfo, f"{camera}/semantic/label_info", self._on_label_info, latched)
        self._expected = frozenset(topics)
        for topic, kind in topics.items():
            self.create_subscription(kind, f"{camera}/{topic}", self._receiver(topic), reliable)
        source: tuple[Any, str] = (
            (CompressedImage, "image_raw/compressed") if compressed_input else (Image, "image_raw")
        )
        # The image itself is not decoded: only its header and the time at which it was sent are wanted.
        self.create_subscription(source[0], f"{camera}/{source[1]}", self._on_image, reliable, raw=True)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable)

    def _on_image(self, data: bytes, info: dict[str, Any]) -> None:
        sec, nanosec, length = struct.unpack_from("<iII", data, 4)
        stamp = sec * 1_000_000_000 + nanosec
        self._image_times[stamp] = int(info["source_timestamp"])
        self._frame_ids[stamp] = data[16 : 16 + length - 1].decode()
        self.heard.images += 1
        self.last_message = time.monotonic()

    def _on_label_info(self, message: Any) -> None:
        self._classes = len(message.class_map)
        self.heard.label_infos += 1

    def _on_diagnostics(self, message: Any) -> None:
        self.heard.diagnostics = {v.key: v.value for status in message.status for v in status.values}

    def _receiver(self, topic: str) -> Any:
        def receive(message: Any, info: dict[str, Any]) -> None:
            now = time.time_ns()
            stamp = stamp_of(message)
            self.last_message = time.monotonic()
            if topic == REQUIRED[0]:
                if stamp in self._image_times:
                    self.heard.latency[stamp] = (now - self._image_times[stamp]) / 1e9
                self.heard.transport.append((now - int(info["source_timestamp"])) / 1e9)
            frame = self._frames.setdefault(stamp, {})
            frame[topic] = message
            if frame.keys() == self._expected:
                self._check(stamp, self._frames.pop(stamp))
            elif len(self._frames) > KEPT_FRAMES:
                self._frames.pop(next(iter(self._frames)))
                self.heard.incomplete += 1

        return receive

    def _check(self, stamp: int, messages: dict[str, Any]) -> None:
        self.heard.frames += 1
        frame_id = self._frame_ids.get(stamp)
        if frame_id is None:
            self.heard.violations["a mask without an image of its stamp"] += 1
            return
        for rule in violations(messages, self._classes or 255, frame_id):
            self.heard.violations[rule] += 1
        if "detections" in messages:
            for d in messages["detections"].detections:
                centre, best = d.bbox.center.position, d.results[0].hypothesis
                box = [centre.x - d.bbox.size_x / 2, centre.y - d.bbox.size_y / 2, d.bbox.size_x, d.bbox.size_y]
                self.heard.tracks.append(
                    {"stamp": stamp, "id": int(d.id), "class": best.class_id, "score": best.score, "seen": stamp_of(d)}
                    | {"box": [round(v, 1) for v in box]}
                )

    def summary(self) -> dict[str, Any]:
        """Everything heard, as JSON can hold it."""
        heard = self.heard
        return {
            "images": heard.images,
            "frames": heard.frames,
            "incomplete": heard.incomplete + len(self._frames),
            "label_infos": heard.label_infos,
            "classes": self._classes,
            "violations": dict(heard.violations),
            "latency_s": {str(stamp): value for stamp, value in heard.latency.items()},
            "transport_s": heard.transport,
            "tracks": heard.tracks,
            "diagnostics": heard.diagnostics,
        }


def listen(camera: str, *, compressed_input: bool, idle: float, timeout: float) -> dict[str, Any]:
    """Listen until nothing came for ``idle`` seconds after the first message, or for ``timeout`` seconds in all;
    returns the summary.
    """
    rclpy.init()
    node = PlannerListener(camera, compressed_input)
    started = time.monotonic()
    try:
        while time.monotonic() - started < timeout:
            rclpy.spin_once(node, timeout_sec=0.1)
            if node.heard.images and time.monotonic() - node.last_message > idle:
                break
        return node.summary()
    finally:
        node.destroy_node()
        rclpy.shutdown()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``seg_perception listen``."""
    parser.add_argument("camera", help="the camera's namespace, e.g. camera")
    parser.add_argument("--compressed", action="store_true", help="the camera sends image_raw/compressed")
    parser.add_argument("--idle", type=float, default=3.0, metavar="S", help="stop after S seconds of silence")
    parser.add_argument("--timeout", type=float, default=3600.0, metavar="S", help="stop after S seconds in all")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT.json", help="write everything heard")


def command(arguments: argparse.Namespace) -> int:
    """Listen and say what was heard; the exit status is 1 when a rule was broken or nothing came."""
    heard = listen(
        arguments.camera, compressed_input=arguments.compressed, idle=arguments.idle, timeout=arguments.timeout
    )
    if arguments.output:
        arguments.output.write_text(json.dumps(heard, indent=1))
    print(f"{heard['images']} images, {heard['frames']} complete frames, {heard['incomplete']} incomplete")
    for rule, times in heard["violations"].items():
        print(f"broken {times}x: {rule}")
    return 0 if heard["frames"] and not heard["violations"] else 1

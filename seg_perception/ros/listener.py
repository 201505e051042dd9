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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_perception.conformance import REQUIRED, violations
from seg_perception.frames import stamp_of
from seg_perception.ros import memory, transport
from seg_perception.types import NANOSECONDS

try:  # On a robot vision_msgs comes from apt; without it those two topics do not exist.
    from vision_msgs.msg import Detection2DArray, LabelInfo
except ImportError:
    Detection2DArray = LabelInfo = None

CALIBRATION = "semantic/camera_info"

KEPT_FRAMES = 64
"""The newest frames, checked or waiting for their last message; what an older one lacked by then is counted."""


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


@dataclass
class _HeardFrame:
    """What has come of one stamp so far; ``sent`` (nanoseconds) and ``frame_id`` are the image's."""

    stamp: int
    sent: int | None = None
    frame_id: str = ""
    received: int = 0
    messages: dict[str, Any] = field(default_factory=dict)
    checked: bool = False


class PlannerListener(Node):
    """Subscribes to camera ``camera``'s outputs; ``heard`` is what came of it."""

    def __init__(self, camera: str, compressed_input: bool) -> None:
        super().__init__("planner_listener")
        self.heard = Heard()
        self.last_message = time.monotonic()
        self._classes = 0
        self._frames: dict[int, _HeardFrame] = {}
        reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        topics: dict[str, Any] = {
            "semantic/image_raw": Image,
            "semantic/confidence": Image,
            "panoptic/image_raw": Image,
            CALIBRATION: CameraInfo,
        }
        if Detection2DArray is not None:
            topics["detections"] = Detection2DArray
            latched = QoSProfile(depth=1, reliability=reliable.reliability, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.create_subscription(LabelInfo, f"{camera}/semantic/label_info", self._on_label_info, latched)
        # A camera without calibration has no camera_info: it is waited for once it has been heard.
        self._expected = topics.keys() - {CALIBRATION}
        self._unmatched = set(topics)
        for topic, kind in topics.items():
            matched = SubscriptionEventCallbacks(matched=self._matcher(topic))
            receiver = self._receiver(topic)
            self.create_subscription(kind, f"{camera}/{topic}", receiver, reliable, event_callbacks=matched)
        source: tuple[Any, str] = (
            (CompressedImage, "image_raw/compressed") if compressed_input else (Image, "image_raw")
        )
        # The image itself is not decoded: only its header and the time at which it was sent are wanted.
        on_image: Any = self._on_image  # rclpy passes the message's info to a callback that takes two arguments.
        self.create_subscription(source[0], f"{camera}/{source[1]}", on_image, reliable, raw=True)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable)

    @property
    def connected(self) -> bool:
        """Whether everything has found its publisher: what comes from now on is heard."""
        return not self._unmatched

    def _matcher(self, topic: str) -> Any:
        def match(status: Any) -> None:
            (self._unmatched.discard if status.current_count else self._unmatched.add)(topic)

        return match

    def _on_image(self, data: bytes, info: dict[str, Any]) -> None:
        sec, nanosec, length = struct.unpack_from("<iII", data, 4)
        frame = self._frame(sec * NANOSECONDS + nanosec)
        frame.sent = int(info["source_timestamp"])
        frame.frame_id = data[16 : 16 + length - 1].decode()
        self.heard.images += 1
        self._check(frame)

    def _on_label_info(self, message: Any) -> None:
        self._classes = len(message.class_map)
        self.heard.label_infos += 1

    def _on_diagnostics(self, message: Any) -> None:
        self.heard.diagnostics = {v.key: v.value for status in message.status for v in status.values}

    def _receiver(self, topic: str) -> Any:
        def receive(message: Any, info: dict[str, Any]) -> None:
            now = time.time_ns()
            if topic == CALIBRATION:
                self._expected = self._expected | {CALIBRATION}
            frame = self._frame(stamp_of(message))
            frame.messages[topic] = message
            if topic == REQUIRED[0]:
                frame.received = now
                self.heard.transport.append((now - int(info["source_timestamp"])) / 1e9)
            self._check(frame)

        return receive

    def _frame(self, stamp: int) -> _HeardFrame:
        self.last_message = time.monotonic()
        if stamp not in self._frames and len(self._frames) == KEPT_FRAMES:
            self._forget(next(iter(self._frames)))
        return self._frames.setdefault(stamp, _HeardFrame(stamp))

    def _forget(self, stamp: int) -> None:
        frame = self._frames.pop(stamp)
        if frame.checked or not frame.messages:
            return  # An image that was not answered is the node's to count.
        if frame.messages.keys() >= self._expected:
            self.heard.violations["a frame without an image of its stamp"] += 1
        else:
            self.heard.incomplete += 1

    def _check(self, frame: _HeardFrame) -> None:
        if frame.checked or frame.sent is None or not frame.messages.keys() >= self._expected:
            return
        frame.checked = True
        self.heard.frames += 1
        self.heard.latency[frame.stamp] = (frame.received - frame.sent) / 1e9
        for rule in violations(frame.messages, self._classes or 255, frame.frame_id):
            self.heard.violations[rule] += 1
        for d in frame.messages["detections"].detections if "detections" in frame.messages else ():
            centre, best = d.bbox.center.position, d.results[0].hypothesis
            corner = (centre.x - d.bbox.size_x / 2, centre.y - d.bbox.size_y / 2)
            box = [round(v, 1) for v in (*corner, d.bbox.size_x, d.bbox.size_y)]
            track = {"stamp": frame.stamp, "id": int(d.id), "seen": stamp_of(d), "box": box}
            self.heard.tracks.append(track | {"class": best.class_id, "score": best.score})
        frame.messages.clear()

    def summary(self) -> dict[str, Any]:
        """Everything heard, as JSON can hold it."""
        for stamp in list(self._frames):
            self._forget(stamp)
        heard = self.heard
        return {
            "images": heard.images,
            "frames": heard.frames,
            "incomplete": heard.incomplete,
            "label_infos": heard.label_infos,
            "classes": self._classes,
            "violations": dict(heard.violations),
            "latency_s": {str(stamp): value for stamp, value in heard.latency.items()},
            "transport_s": heard.transport,
            "tracks": heard.tracks,
            "diagnostics": heard.diagnostics,
        }


def listen(
    camera: str, *, compressed_input: bool, idle: float, timeout: float, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Listen until nothing came for ``idle`` seconds after the first message, for ``timeout`` seconds in all, or until
    KeyboardInterrupt; returns the summary.
    """
    memory.keep_large_blocks()
    transport.activate()
    # Ctrl-C is how a person ends it: then the context must still be there, and what was heard is told all the same.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = PlannerListener(camera, compressed_input)
    say(f"listening below {node.resolve_topic_name(camera)}")
    started, connected = time.monotonic(), False
    try:
        while time.monotonic() - started < timeout:
            rclpy.spin_once(node, timeout_sec=0.1)
            if node.connected and not connected:
                connected = True
                say(f"every output of {camera} has a publisher")
            if node.heard.images and time.monotonic() - node.last_message > idle:
                break
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.shutdown()
    return node.summary()


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

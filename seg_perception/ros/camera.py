"""One camera's inputs: the newest image waits in a slot until the worker takes it, the calibration is kept.

Callbacks run on the executor's thread and touch no pixel: images arrive as serialised bytes, and those that a newer one
replaces are never decoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_perception.calibration import camera_model
from seg_perception.errors import InputError
from seg_perception.frames import compressed_frame, image_frame
from seg_perception.ros import qos
from seg_perception.ros.parameters import CameraConfig
from seg_perception.ros.statistics import CameraStatistics
from seg_perception.types import CameraModel, Frame

# A message without a sequence number (not every middleware counts) carries the largest one.
_NO_SEQUENCE_NUMBER = 2**64 - 1
# CDR: 4 bytes of encapsulation, then the header's stamp. What comes after decides whether a calibration is a new one.
_AFTER_STAMP = 12


@dataclass(frozen=True, slots=True)
class Received:
    """A serialised image, and when its publisher sent it (nanoseconds, the middleware's source time)."""

    data: bytes
    sent: int


class CameraInput:
    """Subscriptions of camera ``name`` below the node's namespace.

    ``ready`` guards the slot and is notified when an image arrives; ``complain(sentence)`` tells the user once.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        config: CameraConfig,
        statistics: CameraStatistics,
        ready: Condition,
        complain: Callable[[str], None],
    ) -> None:
        compressed = config.image_transport == "compressed"
        self._type, self._decode = (CompressedImage, compressed_frame) if compressed else (Image, image_frame)
        self._node, self._config, self._statistics, self._ready = node, config, statistics, ready
        self._complain = complain
        self.topic = node.resolve_topic_name(f"{name}/image_raw/compressed" if compressed else f"{name}/image_raw")
        self._info_topic = f"{name}/camera_info"
        self._images: Subscription | None = None
        self._retiring: Subscription | None = None
        self._infos: Subscription | None = None
        self._slot: Received | None = None
        self._publishers: frozenset[tuple[int, ...]] = frozenset()
        self._sequence: int | None = None
        self._info = b""
        self._model: CameraModel | None = None
        self._misfit: tuple[int, int] | None = None
        self._overlap: set[int] = set()
        self._last_image = 0.0
        self._silent = False
        self._open = False

    def open(self) -> None:
        """Subscribe."""
        self._last_image, self._silent, self._sequence, self._open = time.monotonic(), False, None, True
        self._infos = self._node.create_subscription(
            CameraInfo, self._info_topic, self._on_info, qos.camera_info_input(), raw=True
        )
        self._subscribe(self._wanted())

    def close(self) -> None:
        """Unsubscribe; an image that still waits is counted as ``inactive``."""
        self._retire()
        for subscription in filter(None, (self._images, self._infos)):
            self._node.destroy_subscription(subscription)
        self._images = self._infos = None
        with self._ready:
            self._open = False
            if self.take() is not None:
                self._statistics.dropped["inactive"] += 1

    def take(self) -> Received | None:
        """The newest image, once; None where there is none. Call it with ``ready`` held."""
        received, self._slot = self._slot, None
        return received

    def frame(self, received: Received) -> Frame:
        """Decode; raises :class:`InputError` for what is no image."""
        return self._decode(deserialize_message(received.data, self._type))

    def model(self, frame: Frame) -> CameraModel | None:
        """The calibration for ``frame``; None where there is none, or one for another size (said once)."""
        model, (height, width) = self._model, frame.image.shape[:2]
        if model is None or (model.width, model.height) == (width, height):
            return model
        if self._misfit != (width, height):
            self._misfit = width, height
            self._bad_calibration(f"the calibration is for {model.width}x{model.height}, the image is {width}x{height}")
        return None

    def watch(self, timeout: float) -> float:
        """Look at the graph again, and warn once when nothing came for ``timeout`` seconds; returns the seconds since
        the last image. Call it about once a second on the executor's thread while open.
        """
        wanted = self._wanted()
        self._retire()
        if self._images is not None and wanted != self._images.qos_profile.reliability:
            # The old subscription goes on until the next look, so that no image falls between the two.
            self._retiring, self._overlap = self._images, set()
            self._subscribe(wanted)
        silence = time.monotonic() - self._last_image
        if silence > timeout and not self._silent:
            self._silent = True
            asked = wanted.name.lower().replace("_", " ")
            self._node.get_logger().warning(
                f"no image on {self.topic} for {silence:.1f} s: {qos.publishers_in_words(self._node, self.topic)}; "
                f"this node asks for {self._type.__name__}, {asked}"
            )
        return silence

    def _wanted(self) -> ReliabilityPolicy:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        endpoints = frozenset(tuple(p.endpoint_gid) for p in publishers)
        if endpoints != self._publishers:
            # Another publisher counts from its own start.
            self._publishers, self._sequence = endpoints, None
        return qos.reliability(self._config.reliability, publishers)

    def _retire(self) -> None:
        if self._retiring is not None:
            self._node.destroy_subscription(self._retiring)
        self._retiring = None

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        profile = qos.image_input(reliability, self._config.depth)
        receive: Any = self._on_image  # rclpy passes the message's info to a callback that takes two arguments.
        self._images = self._node.create_subscription(self._type, self.topic, receive, profile, raw=True)

    def _on_image(self, data: bytes, info: dict[str, Any]) -> None:
        sent = info["source_timestamp"]
        if sent in self._overlap:
            return  # While two subscriptions overlap, most images come twice; the second may wait beyond that.
        if self._retiring is not None:
            self._overlap.add(sent)
        self._last_image = time.monotonic()
        if self._silent:
            self._silent = False
            self._node.get_logger().info(f"images arrive on {self.topic}")
        self._count_gap(info["publication_sequence_number"])
        received = Received(data, sent)
        with self._ready:
            self._statistics.received += 1
            if not self._open:  # It was on its way through the executor when the node was deactivated.
                self._statistics.dropped["inactive"] += 1
                return
            if self._slot is not None:
                self._statistics.dropped["replaced"] += 1
            self._slot = received
            self._ready.notify()

    def _count_gap(self, number: int) -> None:
        # Two publishers on one topic count apart, and a number cannot be told which of them it belongs to.
        if number == _NO_SEQUENCE_NUMBER or len(self._publishers) > 1:
            return
        if self._sequence is not None and number > self._sequence:
            self._statistics.lost_before_node += number - self._sequence - 1
        self._sequence = number

    def _on_info(self, data: bytes) -> None:
        if data[_AFTER_STAMP:] == self._info:
            return
        self._info, self._misfit = data[_AFTER_STAMP:], None
        try:
            self._model = camera_model(deserialize_message(data, CameraInfo))
        except InputError as error:
            self._model = None
            self._bad_calibration(str(error))

    def _bad_calibration(self, why: str) -> None:
        self._statistics.bad_calibrations += 1
        self._complain(f"{self._info_topic}: {why}; semantic/camera_info is not published")

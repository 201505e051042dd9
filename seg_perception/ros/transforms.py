"""TF as it comes over the graph, into the core's own buffer: needs tf2_msgs, and nothing else of tf2."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription

from seg_perception.projection.transforms import TransformBuffer
from seg_perception.ros.messages import message_class

TYPE = "tf2_msgs/msg/TFMessage"
_DEPTH = 100
_MOST_WAITING = 2000


class TransformListener:
    """Keeps ``/tf`` and ``/tf_static`` as bytes until :meth:`update` takes them into ``buffer``: callbacks cost
    nothing, and only the thread that projects touches the buffer.

    Without tf2_msgs (PyPI has none) there are only the transforms given by parameter; ``complain(sentence)`` hears it.
    """

    def __init__(self, node: Node, complain: Callable[[str], None]) -> None:
        self.buffer = TransformBuffer()
        self._node, self._complain = node, complain
        self._moving: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._static: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._subscriptions: list[Subscription] = []
        self._type: Any = None
        try:
            self._type = message_class(TYPE)
        except ImportError:
            complain(
                "tf2_msgs is not installed, so only transforms from the parameter projection.extrinsics are known; on "
                "a robot: apt install ros-<distro>-tf2-msgs"
            )

    def open(self) -> None:
        """Subscribe."""
        if self._type is None:
            return

        def keep(waiting: deque[bytes]) -> Callable[[bytes], None]:
            # rclpy counts a callback's arguments, which a built-in method does not tell.
            return lambda data: waiting.append(data)

        # What tf2's own listener asks for.
        moving = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        static = QoSProfile(
            depth=_DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        self._subscriptions = [
            self._node.create_subscription(self._type, "/tf", keep(self._moving), moving, raw=True),
            self._node.create_subscription(self._type, "/tf_static", keep(self._static), static, raw=True),
        ]

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def update(self) -> None:
        """Take in what came since the last call; bytes that are no message are told, and passed over."""
        for waiting, static in ((self._static, True), (self._moving, False)):
            for _ in range(len(waiting)):
                data = waiting.popleft()
                try:
                    message = deserialize_message(data, self._type)
                except Exception as error:  # rclpy has no class of its own for it
                    self._complain(f"{'/tf_static' if static else '/tf'}: {len(data)} bytes are no TFMessage ({error})")
                    continue
                self.buffer.add_message(message, static=static)

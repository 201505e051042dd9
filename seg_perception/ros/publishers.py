"""One camera's publishers: the table of outputs with a publisher per row."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from seg_perception import outputs, records
from seg_perception.labels import LabelSpace
from seg_perception.outputs import Output, View
from seg_perception.ros import qos
from seg_perception.ros.messages import message_class, to_message

V = TypeVar("V")


class Publishers(Generic[V]):
    """Publishes rows of a table of outputs below camera ``name``.

    Outputs whose message package is not installed are off; :meth:`tell_missing` says so through ``complain(sentence)``.
    """

    def __init__(self, node: Node, name: str, rows: Sequence[Output[V]], complain: Callable[[str], None]) -> None:
        self._node, self._name, self._complain = node, name, complain
        self._missing: dict[str, list[str]] = {}
        made = [(row, self._create(row.type, row.topic, qos.output())) for row in rows]
        self._outputs: list[tuple[Output[V], Publisher]] = [(row, publisher) for row, publisher in made if publisher]

    def tell_missing(self) -> None:
        """Say which outputs are off."""
        for package, topics in self._missing.items():
            apt = f"ros-{os.environ.get('ROS_DISTRO', '<distro>')}-{package.replace('_', '-')}"
            self._complain(
                f"{package} is not installed, so {' and '.join(topics)} are off; on a robot: apt install {apt}"
            )
        self._missing = {}

    def _create(self, type_name: str, topic: str, profile: QoSProfile) -> Publisher | None:
        try:
            kind = message_class(type_name)
        except ImportError:
            self._missing.setdefault(type_name.split("/")[0], []).append(topic)
            return None
        # Every event handler is one more thing that the executor waits for at each image: two dozen publishers with
        # rclpy's default handlers triple the cost of a wake-up.
        return self._node.create_publisher(
            kind,
            f"{self._name}/{topic}",
            profile,
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    @property
    def wanted(self) -> bool:
        """Whether anything would be sent: some output always is, or has a subscriber."""
        return any(row.demand == "always" or publisher.get_subscription_count() for row, publisher in self._outputs)

    def publish(self, view: V) -> int:
        """Build and send what is always sent or has a subscriber; returns how many outputs failed. One that fails does
        not keep the others back.
        """
        failed = 0
        for output, publisher in self._outputs:
            if output.demand == "subscribed" and publisher.get_subscription_count() == 0:
                continue
            try:
                record = output.build(view)
                if record is not None:
                    publisher.publish(to_message(record))
            except Exception as error:
                failed += 1
                self._complain(f"{self._name}/{output.topic} failed: {type(error).__name__}: {error}")
        return failed

    def destroy(self) -> None:
        """Take every topic off the graph."""
        for _, publisher in self._outputs:
            self._node.destroy_publisher(publisher)
        self._outputs = []


class CameraPublishers(Publishers[View]):
    """The masks of camera ``name``: what :func:`seg_perception.outputs.table` lists, and the label information."""

    def __init__(self, node: Node, name: str, labels: LabelSpace, complain: Callable[[str], None]) -> None:
        super().__init__(node, name, outputs.table(labels), complain)
        self._label_info = self._create(records.LabelInfo.TYPE, outputs.LABEL_INFO_TOPIC, qos.latched())
        self.tell_missing()

    def publish_label_info(self, labels: LabelSpace) -> None:
        """Latch the label space's names; its stamp is now: it belongs to no image."""
        if self._label_info is not None:
            stamp = self._node.get_clock().now().nanoseconds
            self._label_info.publish(to_message(outputs.label_info(labels, stamp, self._name)))

    def destroy(self) -> None:
        """Take every topic off the graph."""
        super().destroy()
        if self._label_info is not None:
            self._node.destroy_publisher(self._label_info)
            self._label_info = None

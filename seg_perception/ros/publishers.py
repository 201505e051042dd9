"""One camera's publishers: the table of outputs with a publisher per row."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

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


class CameraPublishers:
    """Publishes what :func:`seg_perception.outputs.table` lists below camera ``name``.

    Outputs whose message package is not installed are off, told through ``complain(sentence)``.
    """

    def __init__(self, node: Node, name: str, labels: LabelSpace, complain: Callable[[str], None]) -> None:
        self._node, self._name, self._complain = node, name, complain
        self._missing: dict[str, list[str]] = {}
        rows = [(output, self._create(output.type, output.topic, qos.output())) for output in outputs.table(labels)]
        self._outputs: list[tuple[Output, Publisher]] = [(output, publisher) for output, publisher in rows if publisher]
        self._label_info = self._create(records.LabelInfo.TYPE, outputs.LABEL_INFO_TOPIC, qos.latched())
        for package, topics in self._missing.items():
            apt = f"ros-{os.environ.get('ROS_DISTRO', '<distro>')}-{package.replace('_', '-')}"
            complain(f"{package} is not installed, so {' and '.join(topics)} are off; on a robot: apt install {apt}")

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

    def publish(self, view: View) -> int:
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

    def publish_label_info(self, labels: LabelSpace) -> None:
        """Latch the label space's names; its stamp is now: it belongs to no image."""
        if self._label_info is not None:
            stamp = self._node.get_clock().now().nanoseconds
            self._label_info.publish(to_message(outputs.label_info(labels, stamp, self._name)))

    def destroy(self) -> None:
        """Take every topic off the graph."""
        publishers: list[Any] = [publisher for _, publisher in self._outputs]
        for publisher in (*publishers, self._label_info):
            if publisher is not None:
                self._node.destroy_publisher(publisher)
        self._outputs, self._label_info = [], None

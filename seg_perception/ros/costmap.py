"""The costmap of all cameras: one latched topic that never says more than is known."""

from __future__ import annotations

import time
from threading import Lock

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.timer import Timer

from seg_perception.labels import LabelSpace
from seg_perception.projection.grid import GridConfig
from seg_perception.projection.projector import Projection
from seg_perception.projection.scene import Costmap
from seg_perception.records import OccupancyGrid
from seg_perception.ros import qos
from seg_perception.ros.messages import message_class, to_message


class CostmapPublisher:
    """Publishes ``costmap``, made while somebody subscribes.

    What is latched would be believed for ever: everything becomes unknown when nothing was projected for ``timeout``
    seconds, when nobody subscribes any more, and on :meth:`close`.
    """

    def __init__(self, node: Node, labels: LabelSpace, config: GridConfig) -> None:
        self._node, self._timeout = node, config.timeout
        self._costmap = Costmap(labels, config)
        self._publisher = node.create_publisher(
            message_class(OccupancyGrid.TYPE),
            "costmap",
            qos.latched(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._lock = Lock()
        self._timer: Timer | None = None
        self._last: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._publisher.get_subscription_count())

    def open(self) -> None:
        """Begin to look for silence."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(self._timeout / 5, self._watch, clock=steady)

    def take(self, projection: Projection) -> None:
        """Write ``projection`` into the grid and publish it; from any thread."""
        with self._lock:
            grid = self._costmap(projection) if self.wanted else None
            if grid is not None:
                self._last = time.monotonic()
                self._publisher.publish(to_message(grid))

    def close(self) -> None:
        """Stop, and leave nothing behind that looks known."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._timer = None
        self._forget()

    def destroy(self) -> None:
        """Take the topic off the graph."""
        self._node.destroy_publisher(self._publisher)

    def _watch(self) -> None:
        last = self._last  # close() may forget it meanwhile, on another thread
        # One tick of the timer early rather than late.
        if last is not None and (not self.wanted or time.monotonic() - last > 0.8 * self._timeout):
            self._forget()

    def _forget(self) -> None:
        with self._lock:
            grid = self._costmap.unknown() if self._last is not None else None
            if grid is not None:
                self._publisher.publish(to_message(grid))
            self._last = None

"""Projection beside the segmentation: depth images, clouds and masks of every camera, on a thread of their own.

Nothing here holds up a mask: masks are handed over as they are, everything else arrives as bytes and is decoded on the
projecting thread, and what nobody subscribes to is not made.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Condition, Thread
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from seg_perception.labels import LabelSpace
from seg_perception.outputs import View
from seg_perception.projection.outputs import table
from seg_perception.projection.pairing import Masks
from seg_perception.projection.projector import Projection, ProjectionConfig, Projector
from seg_perception.projection.transforms import TransformBuffer
from seg_perception.ros import qos
from seg_perception.ros.complaints import Complaints
from seg_perception.ros.costmap import CostmapPublisher
from seg_perception.ros.publishers import Publishers
from seg_perception.ros.transforms import TransformListener

_MOST_WAITING = 4
_TF_PERIOD = 0.01
"""Seconds between two looks for a transform that is late."""


@dataclass(frozen=True)
class Source:
    """A topic below the camera's namespace, and what is done with its messages on the projecting thread."""

    topic: str
    type: Any
    take: Callable[[Any], None]


class Inbox:
    """Subscriptions whose messages wait as bytes; ``received`` is called for each, on the executor's thread.

    Every subscription asks for reliable delivery when all its publishers offer it (see :func:`qos.reliability`);
    :meth:`watch` looks again. More than a few messages are never kept: the oldest gives way, counted in ``replaced``.
    """

    def __init__(self, node: Node, name: str, sources: Sequence[Source], received: Callable[[], None]) -> None:
        self._node, self._sources, self._received = node, sources, received
        self._topics = [node.resolve_topic_name(f"{name}/{source.topic}") for source in sources]
        self._waiting: list[deque[bytes]] = [deque(maxlen=_MOST_WAITING) for _ in sources]
        self._subscriptions: list[tuple[Subscription, ReliabilityPolicy] | None] = [None for _ in sources]
        self.replaced = 0

    def watch(self) -> None:
        """Subscribe, or subscribe anew where publishers offer something else now."""
        for i, source in enumerate(self._sources):
            publishers = self._node.get_publishers_info_by_topic(self._topics[i])
            wanted, old = qos.reliability("auto", publishers), self._subscriptions[i]
            if old is not None and old[1] == wanted:
                continue
            profile = qos.image_input(wanted, _MOST_WAITING)
            made = self._node.create_subscription(
                source.type, self._topics[i], partial(self._on_message, i), profile, raw=True
            )
            self._subscriptions[i] = made, wanted
            if old is not None:
                self._node.destroy_subscription(old[0])

    def close(self) -> None:
        """Unsubscribe and forget what waits."""
        for made in filter(None, self._subscriptions):
            self._node.destroy_subscription(made[0])
        self._subscriptions = [None for _ in self._sources]
        self.clear()

    def clear(self) -> None:
        """Forget what waits."""
        for waiting in self._waiting:
            waiting.clear()

    def empty(self) -> None:
        """Take everything that waits."""
        for source, waiting in zip(self._sources, self._waiting, strict=True):
            while waiting:
                source.take(deserialize_message(waiting.popleft(), source.type))

    def __bool__(self) -> bool:
        return any(self._waiting)

    def _on_message(self, index: int, data: bytes) -> None:
        waiting = self._waiting[index]
        self.replaced += len(waiting) == waiting.maxlen
        waiting.append(data)
        self._received()


class CameraSpace:
    """One camera's projection: inputs, projector, publishers."""

    def __init__(
        self,
        node: Node,
        name: str,
        labels: LabelSpace,
        config: ProjectionConfig,
        transforms: TransformBuffer,
        complain: Complaints,
        received: Callable[[], None],
        costmap: CostmapPublisher,
        masks: Callable[[Callable[[Masks], None]], Sequence[Source]] | None = None,
    ) -> None:
        """``masks``, where masks come over the graph, makes their sources from what takes them."""
        self.name = name
        self._complain, self._costmap = complain, costmap
        self._projector = Projector(labels, config, transforms, lambda sentence: complain(f"{name}: {sentence}"))
        self._publishers: Publishers[Projection] = Publishers(node, name, table(labels, config), complain)
        self._publishers.tell_missing()
        self._views: deque[View] = deque(maxlen=_MOST_WAITING)
        sources = (
            Source("depth/camera_info", CameraInfo, self._projector.add_depth_calibration),
            Source("depth/image_raw", Image, self._projector.add_depth),
            Source("points", PointCloud2, self._projector.add_cloud),
        )
        self.inbox = Inbox(node, name, [*(masks(self._projector.add_masks) if masks else ()), *sources], received)

    def offer(self, view: View) -> None:
        """The masks of the next image; from any thread."""
        self._views.append(view)

    @property
    def counts(self) -> Counter[str]:
        """What was projected, and what could not be, by reason."""
        # The copy is made at one stroke; the sum would be iterating while the projecting thread adds a reason.
        return Counter(self._projector.counts) + Counter(replaced=self.inbox.replaced)

    @property
    def waits(self) -> bool:
        """Whether there is something to do."""
        return bool(self._views or self.inbox)

    @property
    def late(self) -> bool:
        """Whether a transform is waited for."""
        return self._projector.waiting

    def work(self, config: ProjectionConfig) -> None:
        """Take what came, project and publish what is ready. Never raises."""
        try:
            if not (self._publishers.wanted or self._costmap.wanted):
                self.forget()
                return
            self._projector.config = config
            self.inbox.empty()
            while self._views:
                self._projector.add_view(self._views.popleft())
            for projection in self._projector.ready(time.monotonic()):
                self._projector.counts["failed_outputs"] += self._publishers.publish(projection)
                self._costmap.take(projection)
        except Exception as error:
            self._projector.counts["error"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._complain(f"{self.name}: a projection failed with {type(error).__name__}: {error} ({where.name})")

    def forget(self) -> None:
        """Let go of everything that waits: for its turn, for its masks, for a transform."""
        self._views.clear()
        self.inbox.clear()
        self._projector.forget()

    def destroy(self) -> None:
        """Take every topic off the graph."""
        self.inbox.close()
        self._publishers.destroy()


class Space:
    """Projection for ``cameras``, and the thread that does it."""

    def __init__(
        self,
        node: Node,
        cameras: Sequence[str],
        labels: LabelSpace,
        config: Callable[[], ProjectionConfig],
        complain: Complaints,
        masks: Callable[[Callable[[Masks], None]], Sequence[Source]] | None = None,
    ) -> None:
        self._config, self._complain = config, complain
        self._ready, self._running = Condition(), False
        self._thread: Thread | None = None
        self._transforms = TransformListener(node, complain)
        self._costmap = CostmapPublisher(node, labels, config().grid)
        self._cameras: dict[str, CameraSpace] = {}
        try:
            for name in cameras:
                self._cameras[name] = CameraSpace(
                    node, name, labels, config(), self._transforms.buffer, complain, self._notify, self._costmap, masks
                )
        except Exception:
            self.destroy()
            raise

    def open(self) -> None:
        """Subscribe and begin to work."""
        for camera in self._cameras.values():
            camera.forget()  # what was left, or came late, at the last deactivation
        self._transforms.open()
        self._costmap.open()
        self.watch()
        self._running = True
        self._thread = Thread(target=self._run, name="projection")
        self._thread.start()

    def watch(self) -> None:
        """Look at the graph again; call it about once a second on the executor's thread while open."""
        for camera in self._cameras.values():
            camera.inbox.watch()

    def close(self) -> None:
        """Finish what is in hand and unsubscribe."""
        with self._ready:
            self._running = False
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._transforms.close()
        self._costmap.close()
        for camera in self._cameras.values():
            camera.inbox.close()

    def destroy(self) -> None:
        """Take every topic off the graph."""
        for camera in self._cameras.values():
            camera.destroy()
        self._costmap.destroy()
        self._cameras = {}

    def offer(self, camera: str, view: View) -> None:
        """The masks of the next image of ``camera``; returns at once."""
        self._cameras[camera].offer(view)
        self._notify()

    def counts(self, camera: str) -> Mapping[str, int]:
        """See :class:`CameraSpace`; as the keys of ``/diagnostics``."""
        return {f"projection.{reason}": count for reason, count in sorted(self._cameras[camera].counts.items())}

    def _notify(self) -> None:
        with self._ready:
            self._ready.notify()

    def _run(self) -> None:
        while self._wait():
            self._transforms.update()
            for camera in self._cameras.values():
                camera.work(self._config())

    def _wait(self) -> bool:
        with self._ready:
            late = any(camera.late for camera in self._cameras.values())
            while self._running and not any(camera.waits for camera in self._cameras.values()):
                notified = self._ready.wait(_TF_PERIOD if late else None)
                if late and not notified:
                    break
            return self._running

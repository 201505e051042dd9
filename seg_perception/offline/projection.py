"""Carrying masks into space offline: depth images, clouds and transforms of the same bag."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rosbags.serde import SerdeError

from seg_perception.errors import BagError
from seg_perception.interfaces import typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag, Message
from seg_perception.once import Once
from seg_perception.outputs import Output, View
from seg_perception.projection.outputs import table
from seg_perception.projection.projector import Projection, ProjectionConfig, Projector
from seg_perception.projection.scene import Costmap
from seg_perception.projection.transforms import TransformBuffer
from seg_perception.records import CameraInfo, Image, OccupancyGrid, PointCloud2
from seg_perception.types import NANOSECONDS

TF, TF_STATIC = "/tf", "/tf_static"
_AHEAD = 2 * NANOSECONDS
"""Transforms are read this far ahead of the frames: they are recorded a little after what they belong to."""
_MEMORY = 20.0


def projected_outputs(labels: LabelSpace, config: ProjectionConfig) -> tuple[Output[Projection], ...]:
    """Every output in space; in a bag that asks for projection all are wanted."""
    costmap = Output("costmap", OccupancyGrid.TYPE, Costmap(labels, config.grid))
    return (*(replace(output, demand="always") for output in table(labels, config)), costmap)


class BagProjection:
    """Projects the masks of one camera with the bag's ``depth`` and ``points`` topics (either may be None) and its
    transforms; gives each projection to ``write(projection, log time)`` and hears each kind of trouble once, by
    ``say(sentence)``.

    Raises :class:`BagError` for a topic that is not there or of another type.
    """

    def __init__(
        self,
        bag: Bag,
        depth: str | None,
        points: str | None,
        labels: LabelSpace,
        config: ProjectionConfig,
        write: Callable[[Projection, int], object],
        say: Callable[[str], None],
    ) -> None:
        self._say = Once(say)
        self._last = 0
        self._projector = Projector(labels, config, TransformBuffer(_MEMORY), self._say)
        self._write = write
        self._bag = bag
        self._takers: dict[str, Callable[[object], None]] = {}
        if depth is not None:
            topic = _checked(bag, depth, Image.TYPE, "depth images")
            self._takers[topic] = self._projector.add_depth
            info = f"{topic.rpartition('/')[0]}/camera_info"
            if info in bag.topics and bag.topics[info].type == CameraInfo.TYPE:
                self._takers[info] = self._projector.add_depth_calibration
        if points is not None:
            self._takers[_checked(bag, points, PointCloud2.TYPE, "point clouds")] = self._projector.add_cloud
        self._transforms = self._read_transforms()
        self._next: Message | None = next(self._transforms, None)

    @property
    def counts(self) -> Mapping[str, int]:
        """What was projected and what could not be, by reason (:class:`Projector`)."""
        return dict(self._projector.counts)

    @property
    def takers(self) -> Mapping[str, Callable[[Message], None]]:
        """What to do with the bag's messages, by topic."""
        return dict.fromkeys(self._takers, self._take)

    def masks(self, scene: View, log_time: int) -> None:
        """The masks of the next frame."""
        self._projector.add_view(scene)
        self._drain(log_time)

    def finish(self) -> None:
        """What waits for masks that will not come."""
        self._drain(self._last, end=True)

    def _take(self, message: Message) -> None:
        content = self._content(message)
        if content is not None:
            self._takers[message.topic](content)
            self._drain(message.log_time)

    def _content(self, message: Message) -> Any:
        """The message, None (and said) where it is damaged."""
        try:
            return typestore().deserialize_cdr(message.cdr, self._bag.topics[message.topic].type)
        except SerdeError as error:
            self._say(f"{message.topic}: a message is damaged ({error})")
            return None

    def _drain(self, log_time: int, *, end: bool = False) -> None:
        self._last = log_time
        self._feed(log_time + _AHEAD)
        for projection in self._projector.ready(math.inf, end=end):
            self._write(projection, log_time)

    def _feed(self, until: int) -> None:
        while self._next is not None and self._next.log_time <= until:
            message, self._next = self._next, next(self._transforms, None)
            content = self._content(message)
            if content is not None:
                self._projector.transforms.add_message(content, static=message.topic == TF_STATIC)

    def _read_transforms(self) -> Iterator[Message]:
        """All static transforms, whenever they were recorded, then those that move."""
        try:
            for topic in (TF_STATIC, TF):
                if topic in self._bag.topics:
                    for message in self._bag.messages([topic]):
                        yield message._replace(log_time=0) if topic == TF_STATIC else message
        except BagError:
            return  # said when the frames are read


def _checked(bag: Bag, name: str, type_name: str, what: str) -> str:
    name = name if name in bag.topics else f"/{name.lstrip('/')}"
    found = bag.topics.get(name)
    if found is None or found.type != type_name:
        candidates = ", ".join(sorted(t.name for t in bag.topics.values() if t.type == type_name)) or "none"
        wrong = f"has no topic {name}" if found is None else f"{name} is a {found.type}"
        raise BagError(f"{bag.path}: {wrong}, expected {what} ({type_name}); there are: {candidates}")
    return name

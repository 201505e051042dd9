"""The ``projection`` node: masks of a segmentation node, depth images and clouds in, labelled points out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from seg_perception.calibration import camera_model
from seg_perception.errors import InputError
from seg_perception.frames import image_values, stamp_of
from seg_perception.labels import LabelSpace
from seg_perception.projection.pairing import Masks
from seg_perception.projection.projector import ProjectionConfig
from seg_perception.ros import memory, transport
from seg_perception.ros.complaints import Complaints
from seg_perception.ros.diagnostics import Diagnostics
from seg_perception.ros.lifecycle import ManagedNode, run
from seg_perception.ros.parameters import Parameters, checked_names
from seg_perception.ros.space import Source, Space
from seg_perception.schema import option
from seg_perception.types import CameraModel, Int32Array, PanopticMap, UInt8Array

_WATCH_PERIOD = 1.0
_MOST_WAITING = 4


@dataclass(frozen=True)
class ProjectionNodeConfig:
    """Everything about the node."""

    cameras: tuple[str, ...] = option(
        ("camera",), "names of the cameras; each one's topics are below its name", live=False
    )
    autostart: bool = option(
        False, "configure and activate at start; leave it false under a lifecycle manager", live=False
    )
    labels: str = option("navigation", "the label space that the masks are in (a shipped name or a path)", live=False)
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)


class MaskInput:
    """Puts the masks of one image together again from the topics on which they come: the panoptic map and the
    confidence, which have the same stamp, and the calibration of their size, which is repeated with each.
    """

    def __init__(self, take: Callable[[Masks], None], complain: Callable[[str], None]) -> None:
        self._take, self._complain = take, complain
        self._panoptic: dict[int, tuple[str, Int32Array]] = {}
        self._confidence: dict[int, UInt8Array] = {}
        self._model: CameraModel | None = None

    def sources(self) -> Sequence[Source]:
        """The topics, in the order in which they are taken."""
        return (
            Source("semantic/camera_info", CameraInfo, self._on_info),
            Source("semantic/confidence", Image, self._on_confidence),
            Source("panoptic/image_raw", Image, self._on_panoptic),
        )

    def _on_info(self, message: Any) -> None:
        try:
            self._model = camera_model(message)
        except InputError as error:
            self._model = None
            self._complain(f"semantic/camera_info: {error}; masks are not projected")

    def _on_panoptic(self, message: Any) -> None:
        try:
            pixels: Int32Array = image_values(message, {"32SC1": "i4"}).astype(np.int32, copy=False)
            if pixels.min() < 0:
                raise InputError("a pixel is negative, expected id << 16 | class")
        except InputError as error:
            self._complain(f"panoptic/image_raw: {error}; masks are not projected")
            return
        self._panoptic[stamp_of(message)] = message.header.frame_id, pixels
        self._join()

    def _on_confidence(self, message: Any) -> None:
        try:
            self._confidence[stamp_of(message)] = image_values(message, {"mono8": "u1"})
        except InputError as error:
            self._complain(f"semantic/confidence: {error}; masks are not projected")
            return
        self._join()

    def _join(self) -> None:
        for stamp in [stamp for stamp in self._panoptic if stamp in self._confidence]:
            (frame_id, panoptic), confidence = self._panoptic[stamp], self._confidence[stamp]
            height, width = panoptic.shape
            model = self._model
            if (
                model is not None
                and (model.width, model.height) == (width, height)
                and confidence.shape == panoptic.shape
            ):
                del self._panoptic[stamp], self._confidence[stamp]
                semantic = (panoptic & 0xFFFF).astype(np.uint8)
                self._take(Masks(stamp, frame_id, PanopticMap(semantic, confidence, panoptic), model))
        while len(self._confidence) > _MOST_WAITING:
            del self._confidence[next(iter(self._confidence))]
        while len(self._panoptic) > _MOST_WAITING:
            _, pixels = self._panoptic.pop(next(iter(self._panoptic)))
            self._complain(
                f"masks of {pixels.shape[1]}x{pixels.shape[0]} came without semantic/confidence or a "
                "semantic/camera_info of their size; they are not projected"
            )


class ProjectionNode(ManagedNode):
    """Carries the masks of one or several cameras into space, in a process of its own.

    Raises :class:`ConfigError` for a parameter that cannot be used.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("projection", **options)
        self.config = Parameters(self, ProjectionNodeConfig())
        self._names = checked_names(self.config.value.cameras)
        self._space: Space | None = None
        self._active = False
        self._switching = Lock()
        self._diagnostics = Diagnostics(self)
        self.create_timer(_WATCH_PERIOD, self._watch)

    def configure(self) -> None:
        """Load the label space, and put the topics on the graph."""
        config = self.config.value
        complain = Complaints(self.get_logger())
        self._space = Space(
            self,
            self._names,
            LabelSpace.load(config.labels),
            lambda: self.config.value.projection,
            complain,
            lambda take: MaskInput(take, complain).sources(),
        )
        self.get_logger().info(f"label space '{config.labels}'; cameras: {', '.join(self._names)}")

    def activate(self) -> None:
        """Subscribe and begin to work."""
        assert self._space is not None
        with self._switching:
            self._space.open()
            self._active = True

    def deactivate(self) -> None:
        """Finish what is in hand and unsubscribe."""
        with self._switching:
            self._active = False
            if self._space is not None:
                self._space.close()

    def clean_up(self) -> None:
        """Take the topics off the graph."""
        with self._switching:
            space, self._space = self._space, None
        if space is not None:
            space.destroy()

    def _watch(self) -> None:
        with self._switching:
            if self._space is not None:
                if self._active:
                    self._space.watch()
                self._diagnostics.publish_projection(
                    self.state, {name: self._space.counts(name) for name in self._names}
                )


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of ``ros2 run seg_perception projection``."""
    memory.keep_large_blocks()
    transport.activate()
    return run(ProjectionNode, args, lambda node: node.config.value.autostart)


if __name__ == "__main__":
    raise SystemExit(main())

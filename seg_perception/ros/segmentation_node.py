"""The ``segmentation`` node: camera images in, panoptic masks out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Condition, Lock
from typing import Any

import cv2
import numpy as np

from seg_perception.cascade import InstanceWorker
from seg_perception.config import PipelineConfig
from seg_perception.ego import load_ego_mask
from seg_perception.labels import LabelSpace
from seg_perception.pipeline import Looks, Networks, Pipeline
from seg_perception.ros import memory, transport
from seg_perception.ros.complaints import Complaints
from seg_perception.ros.diagnostics import Diagnostics
from seg_perception.ros.lifecycle import ManagedNode, run
from seg_perception.ros.parameters import CameraConfig, NodeConfig, Parameters, checked_names
from seg_perception.ros.space import Space
from seg_perception.ros.stream import CameraStream, Shared
from seg_perception.ros.trace import Trace
from seg_perception.ros.worker import Worker
from seg_perception.types import Frame

Load = Callable[[PipelineConfig, LabelSpace], Looks]

_WATCH_PERIOD = 1.0
_WARM_UP = Frame(0, "", np.zeros((360, 640, 3), np.uint8))


class SegmentationNode(ManagedNode):
    """One or several cameras that share the networks which ``load`` makes.

    The executor's thread only keeps the newest image of each camera; a worker thread decodes, perceives and publishes,
    camera by camera in turn; the instance network looks in a process of its own. Raises :class:`ConfigError` for a
    parameter that cannot be used.
    """

    def __init__(self, load: Load = Networks.load_apart, **options: Any) -> None:
        super().__init__("segmentation", **options)
        self._load = load
        self.config = Parameters(self, NodeConfig())
        self._pipeline = Parameters(self, PipelineConfig())
        names = checked_names(self.config.value.cameras)
        self._cameras = {name: Parameters(self, CameraConfig(), f"{name}.") for name in names}
        self._tell_strangers()
        self._labels: LabelSpace | None = None
        self._trace: Trace | None = None
        self._streams: tuple[CameraStream, ...] = ()
        self._space: Space | None = None
        self._worker: Worker | None = None
        self._instance: InstanceWorker | None = None
        self._ready = Condition()
        self._switching = Lock()
        self._diagnostics = Diagnostics(self)
        self.create_timer(_WATCH_PERIOD, self._watch)

    def _tell_strangers(self) -> None:
        """Say which parameters were set that no part of the node declared: most likely they are misspelt."""
        ours = ("use_sim_time", "start_type_description_service", "qos_overrides.")
        strangers = [n for n in self._parameter_overrides if not self.has_parameter(n) and not n.startswith(ours)]
        if strangers:
            self.get_logger().warning(f"this node has no parameter {', '.join(sorted(strangers))}: set, and ignored")

    def configure(self) -> None:
        """Load label space and networks, run them once, and put the topics on the graph."""
        config = self._pipeline.value
        labels, ego_mask = LabelSpace.load(config.labels), load_ego_mask(config.ego_mask)
        networks = self._load(config, labels)
        if networks.instance is not None:
            self._instance = InstanceWorker(networks.instance)
        try:
            _warm(Pipeline(networks, labels, config))
            complain = Complaints(self.get_logger())
            self._trace = trace = Trace(self.config.value.trace, complain)
            if config.projection.enabled:
                self._space = Space(
                    self, tuple(self._cameras), labels, lambda: self._pipeline.value.projection, complain
                )
            shared = Shared(
                networks, labels, self._pipeline, ego_mask, self._instance, self._ready, complain, trace, self._space
            )
            for name, camera in self._cameras.items():
                self._streams += (CameraStream(self, name, camera.value, shared),)
        except Exception:
            self.clean_up()
            raise
        self._labels = labels
        what = f"label space '{labels.name}' ({labels.version}, {len(labels)} classes)"
        self.get_logger().info(f"{what}; cameras: {', '.join(self._cameras)}")

    def activate(self) -> None:
        """Latch the label information, subscribe, and start to work."""
        assert self._labels is not None
        with self._switching:
            try:
                for stream in self._streams:
                    stream.publishers.publish_label_info(self._labels)
                    stream.input.open()
                if self._space is not None:
                    self._space.open()
                self._worker = Worker(self._streams, self._ready)
            except Exception:
                self._stop()
                raise

    def deactivate(self) -> None:
        """Unsubscribe and finish the image in hand."""
        with self._switching:
            self._stop()

    def _stop(self) -> None:
        for stream in self._streams:
            stream.input.close()
        if self._worker is not None:
            self._worker.stop()
        self._worker = None
        if self._space is not None:
            self._space.close()

    def clean_up(self) -> None:
        """Take the topics off the graph and let the networks go."""
        with self._switching:  # from here on the timer finds none of it, however long the look in hand takes
            streams, space, instance, trace = self._streams, self._space, self._instance, self._trace
            self._streams, self._labels, self._trace, self._instance, self._space = (), None, None, None, None
        for stream in streams:
            stream.publishers.destroy()
        if space is not None:
            space.destroy()
        if instance is not None:
            instance.stop()
        if trace is not None:
            trace.close()

    def _watch(self) -> None:
        timeout = self.config.value.image_timeout
        with self._switching:
            silences = {s.name: s.input.watch(timeout) for s in self._streams} if self._worker else {}
            late = {name: seconds for name, seconds in silences.items() if seconds > timeout}
            if self._worker and self._space is not None:
                self._space.watch()
            self._diagnostics.publish(self.state, self._labels, self._streams, late)


def _warm(pipeline: Pipeline) -> None:
    """Run every network once, so that the first image does not pay for set-up; raises what a network raises."""
    for look in pipeline(_WARM_UP).looks:
        if look.error is not None:
            raise look.error


def main(args: Sequence[str] | None = None, load: Load = Networks.load_apart) -> int:
    """Entry point of ``ros2 run seg_perception segmentation``."""
    memory.keep_large_blocks()
    # OpenCV's own threads wait in a busy loop, on cores that the networks need; nothing here is large enough for them.
    cv2.setNumThreads(1)
    transport.activate()
    return run(lambda: SegmentationNode(load), args, lambda node: node.config.value.autostart)


if __name__ == "__main__":
    raise SystemExit(main())

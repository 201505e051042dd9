"""One camera from received image to published masks, with an account of every image."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Condition

from rclpy.node import Node

from seg_perception.cascade import InstanceWorker
from seg_perception.config import PipelineConfig
from seg_perception.errors import InputError
from seg_perception.labels import LabelSpace
from seg_perception.outputs import view
from seg_perception.pipeline import Looks, Pipeline
from seg_perception.ros.camera import CameraInput, Received
from seg_perception.ros.complaints import Complaints
from seg_perception.ros.parameters import CameraConfig, Parameters
from seg_perception.ros.publishers import CameraPublishers
from seg_perception.ros.space import Space
from seg_perception.ros.statistics import CameraStatistics
from seg_perception.ros.trace import Trace
from seg_perception.timing import StageTimes
from seg_perception.types import BoolArray, LookReport


@dataclass(frozen=True)
class Shared:
    """What the streams of all cameras have in common; ``worker`` runs the instance network, if there is one; ``ready``
    is the condition that their own worker waits for.
    """

    networks: Looks
    labels: LabelSpace
    parameters: Parameters[PipelineConfig]
    ego_mask: BoolArray | None
    worker: InstanceWorker | None
    ready: Condition
    complain: Complaints
    trace: Trace
    space: Space | None


class CameraStream:
    """Everything of camera ``name``: its input, pipeline, publishers and statistics."""

    def __init__(self, node: Node, name: str, camera: CameraConfig, shared: Shared) -> None:
        self.name = name
        self.statistics = CameraStatistics()
        self._logger, self._shared = node.get_logger(), shared
        self._complain = shared.complain
        runner = shared.worker.runner() if shared.worker else None
        self._pipeline = Pipeline(shared.networks, shared.labels, shared.parameters.value, shared.ego_mask, runner)
        self.publishers = CameraPublishers(node, name, shared.labels, shared.complain)
        self.input = CameraInput(node, name, camera, self.statistics, shared.ready, shared.complain)
        self._last_stamp: int | None = None

    @property
    def projection_counts(self) -> Mapping[str, int]:
        """What became of depth images and clouds; empty where masks are not projected in this process."""
        return self._shared.space.counts(self.name) if self._shared.space else {}

    def process(self, received: Received) -> None:
        """Perceive one image and publish the result. Never raises: a frame that fails is counted, told once, and the
        next one is taken.
        """
        try:
            times = StageTimes()
            with times.stage("image"):
                frame = self.input.frame(received)
            self._follow_time(frame.stamp)
            self._pipeline.config = config = self._shared.parameters.value
            result = self._pipeline(frame)
            with times.stage("publish"):
                scene = view(frame, result, self._shared.labels, self.input.model(frame), config.output.size)
                self.statistics.failed_outputs += self.publishers.publish(scene)
            if self._shared.space is not None:
                self._shared.space.offer(self.name, scene)
            seconds, latency = {**result.seconds, **times.seconds}, (time.time_ns() - received.sent) / 1e9
            self.statistics.answered(result, seconds, latency)
            self._shared.trace.write(self.name, result, latency, seconds)
            self._tell(result.looks)
        except InputError as error:
            self.statistics.dropped["bad_image"] += 1
            self._complain(f"{self.input.topic}: {error}")
        except Exception as error:
            self.statistics.dropped["error"] += 1
            self._complain(f"{self.name}: a frame failed with {type(error).__name__}: {error}")
            self._logger.debug(traceback.format_exc())

    def _tell(self, looks: Sequence[LookReport]) -> None:
        for look in looks:
            if look.outcome == "failed":
                self._complain(
                    f"{self.name}: the instance network failed with {type(look.error).__name__}: {look.error}; "
                    "frames go out without its things"
                )
            elif look.outcome == "late":
                self._complain(
                    f"{self.name}: the instance network answered after {look.latency:.1f} s, too late for "
                    "cascade.timeout; where other processes keep the processor busy, set cascade.scheduling to nice"
                )

    def _follow_time(self, stamp: int) -> None:
        last, self._last_stamp = self._last_stamp, stamp
        if last is None or stamp > last:
            return
        if stamp == last:
            self.statistics.standing_stamps += 1
            self._complain(f"{self.input.topic}: images carry the same stamp as the one before; tracks cannot move")
            return
        self.statistics.time_jumps += 1
        self._pipeline.reset()
        self._logger.warning(
            f"{self.input.topic}: time went back by {(last - stamp) / 1e9:.3f} s; tracks of {self.name} start anew",
            throttle_duration_sec=1.0,
        )

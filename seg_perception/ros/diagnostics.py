"""The node's health on /diagnostics: a sentence for people, numbers for scripts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from seg_perception.labels import LabelSpace
from seg_perception.ros import qos, transport
from seg_perception.ros.memory import resident_bytes
from seg_perception.ros.statistics import DROP_REASONS, LOOK_OUTCOMES, CameraStatistics
from seg_perception.ros.stream import CameraStream


class Diagnostics:
    """Publishes one status for the node and one for each camera; call :meth:`publish` once a second."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.output())

    def publish(
        self, state: str, labels: LabelSpace | None, streams: Sequence[CameraStream], late: Mapping[str, float]
    ) -> None:
        """Report ``state`` (the lifecycle's) and every camera; ``late`` has the seconds since the last image of those
        that should have sent one.
        """
        cameras = [self._camera(state, stream, late.get(stream.name)) for stream in streams]
        message = DiagnosticArray(status=[self._own(state, labels), *cameras])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def publish_projection(self, state: str, cameras: Mapping[str, Mapping[str, int]]) -> None:
        """Report ``state`` and each camera's counts, for a node that only projects."""
        found = [self._status(name, DiagnosticStatus.OK, state, counts) for name, counts in cameras.items()]
        message = DiagnosticArray(status=[self._own(state, None), *found])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _status(self, part: str, level: bytes, sentence: str, values: Mapping[str, Any]) -> DiagnosticStatus:
        pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        name = self._node.get_fully_qualified_name().lstrip("/")
        return DiagnosticStatus(level=level, name=f"{name}: {part}", message=sentence, values=pairs)

    def _own(self, state: str, labels: LabelSpace | None) -> DiagnosticStatus:
        values = {
            "state": state,
            "label_space": labels.name if labels else "",
            "label_space_version": labels.version if labels else "",
            "memory_mb": f"{resident_bytes() / 1e6:.1f}",
            "dds_profile": transport.active_profile() or "none",
        }
        return self._status("node", DiagnosticStatus.OK, state, values)

    def _camera(self, state: str, stream: CameraStream, late: float | None) -> DiagnosticStatus:
        statistics = stream.statistics
        rate_in, rate_out = statistics.rates(time.monotonic())
        fresh = statistics.fresh_troubles()
        level, sentence = DiagnosticStatus.OK, f"{rate_in:.1f} images/s in, {rate_out:.1f} masks/s out"
        if state != "active":
            sentence = state
        elif late is not None:
            level, sentence = DiagnosticStatus.WARN, f"no image for {late:.0f} s on {stream.input.topic}"
        elif fresh:
            level, sentence = DiagnosticStatus.WARN, f"{sentence}; {fresh} of the last could not be used, see the log"
        values = {
            "input_hz": f"{rate_in:.2f}",
            "output_hz": f"{rate_out:.2f}",
            **_numbers(statistics),
            **stream.projection_counts,
        }
        return self._status(stream.name, level, sentence, values)


def _numbers(statistics: CameraStatistics) -> dict[str, Any]:
    p50, p95, p99 = (f"{1e3 * seconds:.2f}" for seconds in statistics.latency())
    look_p50, look_p95, _ = (f"{1e3 * seconds:.2f}" for seconds in statistics.look_latency())
    return {
        "received": statistics.received,
        "published": statistics.published,
        "lost_before_node": statistics.lost_before_node,
        **{f"dropped.{reason}": statistics.dropped[reason] for reason in DROP_REASONS},
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "latency_p99_ms": p99,
        **{f"stage_ms.{stage}": f"{1e3 * seconds:.2f}" for stage, seconds in statistics.stages().items()},
        "instance_age_s": f"{statistics.instance_age:.3f}",
        **{f"looks.{outcome}": statistics.looks[outcome] for outcome in LOOK_OUTCOMES},
        "look_latency_p50_ms": look_p50,
        "look_latency_p95_ms": look_p95,
        "standing_stamps": statistics.standing_stamps,
        "time_jumps": statistics.time_jumps,
        "bad_calibrations": statistics.bad_calibrations,
        "failed_outputs": statistics.failed_outputs,
    }

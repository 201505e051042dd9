"""What became of a camera's images: every one that was received is published or counted under a reason.

All state is bounded. Each number has one writer (the executor's thread or the worker's), so that no lock is needed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from seg_perception.types import Perception

DROP_REASONS = ("replaced", "bad_image", "error", "inactive")
"""Why a received image was not answered: a newer one came first; it could not be decoded or does not fit; the pipeline
failed; the node was deactivated before its turn came.
"""

LOOK_OUTCOMES = ("used", "late", "failed")
"""What becomes of a look of the instance network, see :class:`seg_perception.types.LookReport`."""

_WINDOW = 300
_RATE_TICKS = 6


@dataclass
class CameraStatistics:
    """Counts since the node was configured, and the times of the last frames.

    ``received == published + sum(dropped.values())`` but for the image that waits and the one in work;
    ``lost_before_node`` are gaps in the publisher's sequence numbers: images that never arrived. ``looks`` counts those
    of the instance network by what became of them (:data:`LOOK_OUTCOMES`); ``instance_age`` is the last frame's.
    """

    received: int = 0
    published: int = 0
    lost_before_node: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    standing_stamps: int = 0
    time_jumps: int = 0
    bad_calibrations: int = 0
    failed_outputs: int = 0
    looks: Counter[str] = field(default_factory=Counter)
    instance_age: float = float("nan")
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _stages: dict[str, deque[float]] = field(default_factory=dict)
    _ticks: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=_RATE_TICKS))
    _look_latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _troubles: int = 0

    def answered(self, result: Perception, stages: Mapping[str, float], latency: float) -> None:
        """``result`` was published, ``latency`` seconds after its source sent the image; ``stages`` are the seconds
        that each stage of the frame took.
        """
        self.published += 1
        self._latencies.append(latency)
        self._add_times(stages)
        for look in result.looks:
            self.looks[look.outcome] += 1
            self._look_latencies.append(look.latency)
            self._add_times(look.seconds)
        self.instance_age = result.instance_age

    def _add_times(self, stages: Mapping[str, float]) -> None:
        for stage, seconds in stages.items():
            self._stages.setdefault(stage, deque(maxlen=_WINDOW)).append(seconds)

    def latency(self) -> tuple[float, float, float]:
        """Seconds from the image's source time to its last output, p50, p95 and p99 of the last frames; NaN before the
        first.
        """
        return _percentiles(self._latencies)

    def look_latency(self) -> tuple[float, float, float]:
        """Seconds from the start of a look of the instance network to its answer, likewise."""
        return _percentiles(self._look_latencies)

    def stages(self) -> Mapping[str, float]:
        """Mean seconds by stage of the last frames."""
        # A stage that is new to the worker's thread may have no number yet.
        return {stage: sum(seen) / len(seen) for stage, seen in tuple(self._stages.items()) if seen}

    def fresh_troubles(self) -> int:
        """How often something was wrong since the last call; images that a newer one replaced are none."""
        bad = self.dropped["bad_image"] + self.dropped["error"]
        bad += self.looks["late"] + self.looks["failed"]
        troubles = bad + self.bad_calibrations + self.failed_outputs + self.time_jumps + self.standing_stamps
        fresh, self._troubles = troubles - self._troubles, troubles
        return fresh

    def rates(self, now: float) -> tuple[float, float]:
        """Images in and out per second over the last calls; call it about once a second with a steady clock."""
        self._ticks.append((now, self.received, self.published))
        start, received, published = self._ticks[0]
        if now <= start:
            return 0.0, 0.0
        return (self.received - received) / (now - start), (self.published - published) / (now - start)


def _percentiles(seconds: deque[float]) -> tuple[float, float, float]:
    seen = tuple(seconds)
    p50, p95, p99 = np.percentile(seen, (50, 95, 99)).tolist() if seen else (float("nan"),) * 3
    return p50, p95, p99

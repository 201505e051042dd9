"""What became of a camera's images: every one that was received is published or counted under a reason.

All state is bounded. Each number has one writer (the executor's thread or the worker's), so that no lock is needed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

DROP_REASONS = ("replaced", "bad_image", "error", "inactive")
"""Why a received image was not answered: a newer one came first; it could not be decoded or does not fit; the pipeline
failed; the node was deactivated before its turn came.
"""

_WINDOW = 300
_RATE_TICKS = 6


@dataclass
class CameraStatistics:
    """Counts since the node was configured, and the times of the last frames.

    ``received == published + sum(dropped.values())`` but for the image that waits and the one in work;
    ``lost_before_node`` are gaps in the publisher's sequence numbers: images that never arrived.
    """

    received: int = 0
    published: int = 0
    lost_before_node: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    standing_stamps: int = 0
    time_jumps: int = 0
    bad_calibrations: int = 0
    failed_outputs: int = 0
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _stages: dict[str, deque[float]] = field(default_factory=dict)
    _ticks: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=_RATE_TICKS))
    _troubles: int = 0
    _stamp: int = 0
    _instance_stamp: int | None = None

    def answered(self, stamp: int, stages: Mapping[str, float], latency: float) -> None:
        """The frame of ``stamp`` was published, ``latency`` seconds after its source sent the image; ``stages`` are the
        seconds that each stage took.
        """
        self.published += 1
        self._latencies.append(latency)
        for stage, seconds in stages.items():
            self._stages.setdefault(stage, deque(maxlen=_WINDOW)).append(seconds)
        self._stamp = stamp
        if any(stage.startswith("instance") for stage in stages):
            self._instance_stamp = stamp

    def latency(self) -> tuple[float, float, float]:
        """Seconds from the image's source time to its last output, p50, p95 and p99 of the last frames; NaN before the
        first.
        """
        seen = tuple(self._latencies)
        p50, p95, p99 = np.percentile(seen, (50, 95, 99)).tolist() if seen else (float("nan"),) * 3
        return p50, p95, p99

    def stages(self) -> Mapping[str, float]:
        """Mean seconds by stage of the last frames."""
        return {stage: sum(seen) / len(seen) for stage, seen in tuple(self._stages.items())}

    def instance_age(self) -> float:
        """Seconds of image time since the instance network last looked; NaN where it never did."""
        return float("nan") if self._instance_stamp is None else (self._stamp - self._instance_stamp) / 1e9

    def fresh_troubles(self) -> int:
        """How often something was wrong since the last call; images that a newer one replaced are none."""
        bad = self.dropped["bad_image"] + self.dropped["error"]
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

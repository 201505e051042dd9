"""One camera's looks, from the decision to the account of what became of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from seg_perception.cascade.config import CascadeConfig
from seg_perception.cascade.decision import Cascade
from seg_perception.cascade.runners import Finished, Job, Runner
from seg_perception.cascade.scene import Scene
from seg_perception.types import NANOSECONDS, Float32Array, Frame, Look, LookReport


class Watcher:
    """Begins looks at frames of one camera when its :class:`Cascade` says so, and hands over what they found. For every
    frame call :meth:`collect`, then :meth:`consider`.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._cascade = runner, Cascade()
        self._reports: list[LookReport] = []

    def reset(self) -> None:
        """Start anew, as after a backwards time jump: the look that is under way is of no use."""
        self._runner.forget()
        self._cascade.reset()

    def collect(self, frame: Frame, config: CascadeConfig) -> Look | None:
        """What a look has found that came back by ``frame``."""
        return self._worth(self._runner.collect(frame.stamp), frame, config)

    def consider(self, frame: Frame, see: Callable[[], Scene], config: CascadeConfig) -> Look | None:
        """Begin a look at ``frame`` if one is due (``see`` makes its scene); what it found, if answered at once."""
        plan = self._cascade.decide(frame.stamp, self._runner.idle, see, config)
        if plan is None:
            return None
        self._runner.start(Job(frame.stamp, frame.image, plan.regions))
        return self._worth(self._runner.collect(frame.stamp, config.patience), frame, config)

    def reports(self) -> tuple[LookReport, ...]:
        """What became of the looks that came back since the last call."""
        reports, self._reports = tuple(self._reports), []
        return reports

    def _worth(self, back: Finished | None, frame: Frame, config: CascadeConfig) -> Look | None:
        if back is None:
            return None
        job, found = back.job, back.instances
        late = frame.stamp - job.stamp > config.timeout * NANOSECONDS or job.image.shape != frame.image.shape
        outcome: Literal["used", "late", "failed"] = "failed" if found is None else "late" if late else "used"
        self._reports.append(LookReport(job.stamp, back.latency, back.stages, outcome, back.error))
        self._cascade.finished(back.cost, outcome == "used")
        if found is None or late:
            return None
        height, width = job.image.shape[:2]
        return Look(job.stamp, found, whole(width, height) if job.regions is None else job.regions)


def whole(width: int, height: int) -> Float32Array:
    """``(1, 4)`` float32: an image's frame as a region."""
    return np.array([[0, 0, width, height]], np.float32)

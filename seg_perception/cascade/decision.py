"""One camera's decisions: a function of stamps and of the looks that began and ended before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from seg_perception.cascade.config import CascadeConfig
from seg_perception.cascade.policies import NEVER, POLICIES, Situation
from seg_perception.cascade.regions import crops
from seg_perception.cascade.scene import Scene
from seg_perception.types import Float32Array, Int64Array


@dataclass(frozen=True)
class Plan:
    """A look that is to be taken: ``regions`` ``(R, 4)`` float32 are the parts of the frame to be shown to the network,
    None the frame as a whole.
    """

    regions: Float32Array | None = None


class Cascade:
    """Decides frame by frame for one camera, in stamp order. It reads no clock: time is what the stamps say."""

    def __init__(self) -> None:
        self._cost = 0.0
        self.reset()

    def reset(self) -> None:
        """Start anew, as after a backwards time jump."""
        self._started: int | None = None
        self._frames = 0
        self._closely = False
        self._tried: Int64Array = np.full((1, 1), NEVER, np.int64)

    def decide(self, now: int, idle: bool, see: Callable[[], Scene], config: CascadeConfig) -> Plan | None:
        """The look to take at the frame of stamp ``now``, or None. Call it once for every frame.

        ``idle`` is whether the network has returned from its last look: no other begins before. ``see`` makes the
        frame's scene, where the policy asks for it.
        """
        self._frames += 1
        if not idle:
            return None
        plan = Plan()
        if self._started is not None:
            situation = Situation(now, self._started, self._frames, self._cost, see, self._tried)
            if not POLICIES[config.policy](situation, config):
                return None
            plan = Plan(self._where(situation, config))
            if "scene" in vars(situation):
                self._try(now, situation.scene)
        self._started, self._frames, self._closely = now, 0, plan.regions is not None
        return plan

    def finished(self, cost: float, useful: bool) -> None:
        """The look that was decided on has come back, ``cost`` seconds of work; one that was of no use (it failed, or
        came too late) does not count as tried.
        """
        self._cost = cost
        if not useful:
            self._tried[:] = NEVER

    def _where(self, situation: Situation, config: CascadeConfig) -> Float32Array | None:
        """Looks at crops and at the frame take turns."""
        if self._closely or not config.crops:
            return None
        return crops(situation, config.crops, config.zoom, config.staleness)

    def _try(self, now: int, scene: Scene) -> None:
        if self._tried.shape != scene.unexplained.shape:
            self._tried = np.full(scene.unexplained.shape, NEVER, np.int64)
        # What moves by two cells until it is asked for again is the same thing still.
        near = cv2.dilate(scene.unexplained, np.ones((5, 5), np.uint8))
        self._tried[near > 0] = now

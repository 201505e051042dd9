"""When the instance network looks: each policy is a pure function of a :class:`Situation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seg_perception.cascade.config import CascadeConfig
from seg_perception.cascade.scene import Scene
from seg_perception.types import NANOSECONDS, BoolArray, Int64Array

NEVER = -(2**62)
FULL_PRIORITY = 100.0
"""The priority whose things go stale after ``staleness`` seconds."""


@dataclass(frozen=True)
class Situation:
    """All that a policy knows. ``now`` is the frame's stamp, ``started`` that of the last look, ``frames`` how many
    frames ago that was; ``cost`` the seconds that the last look took; ``see`` makes the frame's scene; ``tried``
    ``(rows, columns)`` int64 the stamp of the last look at something that was unexplained in that cell.
    """

    now: int
    started: int
    frames: int
    cost: float
    see: Callable[[], Scene]
    tried: Int64Array

    @cached_property
    def scene(self) -> Scene:
        """What the frame shows; made only where a policy asks."""
        return self.see()

    @property
    def waited(self) -> float:
        """Seconds since the last look began."""
        return (self.now - self.started) / NANOSECONDS

    def stale(self, staleness: float) -> BoolArray:
        """``(N,)`` bool: visible tracks that were not seen for longer than their class allows."""
        tracks, priority = self.scene.tracks, self.scene.priorities[self.scene.tracks.labels]
        return tracks.visible & _overdue(self.now - tracks.seen, priority, staleness)

    def unconfirmed(self) -> BoolArray:
        """``(N,)`` bool: visible tracks that wait for their id."""
        tracks = self.scene.tracks
        waiting: BoolArray = tracks.visible & (tracks.track_ids == 0) & (self.scene.priorities[tracks.labels] > 0)
        return waiting

    def unseen(self, staleness: float) -> BoolArray:
        """``(rows, columns)`` bool: cells that show a thing which no track explains, and at which no look was tried of
        late.
        """
        unexplained = self.scene.unexplained
        # Cells of images of another size are other places.
        tried = self.tried if self.tried.shape == unexplained.shape else np.full(unexplained.shape, NEVER, np.int64)
        return _overdue(self.now - tried, unexplained, staleness)


def _overdue(age: Int64Array, priority: NDArray[np.uint8], staleness: float) -> BoolArray:
    # Priority 0 allows any age.
    return np.asarray(age * priority.astype(np.float64) > staleness * FULL_PRIORITY * NANOSECONDS, np.bool_)


def every(situation: Situation, config: CascadeConfig) -> bool:
    """On every N-th frame."""
    return situation.frames >= config.every


def presence(situation: Situation, config: CascadeConfig) -> bool:
    """When there is something that no fresh track explains, or a track waits for its id; and at every heartbeat."""
    return bool(
        situation.unseen(config.staleness).any()
        or situation.unconfirmed().any()
        or situation.stale(config.staleness).any()
        or situation.waited >= config.heartbeat
    )


def budget(situation: Situation, config: CascadeConfig) -> bool:
    """As often as the budget allows while there is something to see; what went stale is looked at whatever it costs."""
    scene = situation.scene
    if situation.stale(config.staleness).any() or situation.waited >= config.heartbeat:
        return True
    something = bool(scene.unexplained.any() or scene.priorities[scene.tracks.labels].any())
    return something and situation.waited >= max(situation.cost / config.share, 1.0 / config.rate)


POLICIES: Mapping[str, Callable[[Situation, CascadeConfig], bool]] = {
    "every": every,
    "presence": presence,
    "budget": budget,
}

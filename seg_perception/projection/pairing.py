"""Which mask belongs to which depth image and which cloud, from their stamps alone. Everything kept is bounded."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from seg_perception.types import CameraModel, PanopticMap

Kind = Literal["depth", "lidar", "flat"]
T = TypeVar("T")

_MOST_MASKS = 8
_MOST_WAITING = 6


@dataclass(frozen=True, slots=True)
class Masks:
    """The masks of one image and the camera that took it, both at the masks' size."""

    stamp: int
    frame_id: str
    panoptic: PanopticMap
    camera: CameraModel


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """Masks, and the depth image or cloud that belongs to them; for ``flat`` the masks stand alone."""

    kind: Kind
    masks: Masks
    item: T


class Pairing(Generic[T]):
    """Holds the last masks, and depth images and clouds until their masks are there.

    A depth image belongs to the mask of the same image: stamps at most ``depth_offset`` nanoseconds apart. A cloud
    belongs to the nearest mask, at most ``max_offset`` from it. What finds none is in ``unpaired``, by kind.
    """

    def __init__(self, depth_offset: int, max_offset: int) -> None:
        self._offsets: dict[Kind, int] = {"depth": depth_offset, "lidar": max_offset, "flat": 0}
        self._masks: deque[Masks] = deque(maxlen=_MOST_MASKS)
        self._waiting: dict[Kind, deque[tuple[int, T]]] = {kind: deque() for kind in self._offsets}
        self.unpaired: Counter[Kind] = Counter()

    def clear(self) -> None:
        """Forget everything, as after a backwards time jump; what waited has found no masks."""
        self._masks.clear()
        for kind, waiting in self._waiting.items():
            self.unpaired[kind] += len(waiting)
            waiting.clear()

    def goes_back(self, masks: Masks) -> bool:
        """Whether time jumps backwards at ``masks``: :meth:`clear`, before they are added."""
        return bool(self._masks) and masks.stamp < self._masks[-1].stamp

    def add_masks(self, masks: Masks) -> None:
        """Take the masks of the next image."""
        self._masks.append(masks)

    def add(self, kind: Kind, time: int, item: T) -> None:
        """Take a depth image or cloud that was measured at ``time`` (a sweep: at its middle)."""
        waiting = self._waiting[kind]
        waiting.append((time, item))
        if len(waiting) > _MOST_WAITING:
            waiting.popleft()
            self.unpaired[kind] += 1

    def pairs(self, *, end: bool = False) -> Iterator[Pair[T]]:
        """What is settled by now, in the order in which it came; ``end``: no masks will follow."""
        if not self._masks:
            return
        for kind, waiting in self._waiting.items():
            for _ in range(len(waiting)):
                time, item = waiting.popleft()
                masks = min(self._masks, key=lambda masks: abs(masks.stamp - time))
                near = abs(masks.stamp - time) <= self._offsets[kind]
                if near and (end or self._settled(kind, time, masks)):
                    yield Pair(kind, masks, item)
                elif end or self._masks[-1].stamp > time + self._offsets[kind]:
                    self.unpaired[kind] += 1
                else:
                    waiting.append((time, item))

    def _settled(self, kind: Kind, time: int, nearest: Masks) -> bool:
        """Whether no mask to come can be nearer than ``nearest``."""
        newest = self._masks[-1]
        if kind != "lidar" or newest.stamp >= time:
            return True
        period = newest.stamp - self._masks[-2].stamp if len(self._masks) > 1 else 0
        return time - newest.stamp <= period // 2

"""The frames since the instance network last looked: how long ago each was, and how the image has moved since.

Filters stand still between two looks, at the *anchor*: a frame in between asks only where they would be by now. So a
look at an older frame costs nothing but to ask for that frame instead, and nothing has to be undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from seg_perception.types import Float64Array

LONGEST = 512
"""Frames that are remembered when nobody looks; then the anchor moves up to the middle of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame: its ``stamp``, the tracker's own ``time`` in seconds, which never goes back, and the affine motions
    ``(2, 3)`` of the image from the frame before (``step``) and from the anchor (``motion``), None where it is still.
    """

    stamp: int
    time: float
    step: Float64Array | None
    motion: Float64Array | None


class Timeline:
    """The moments from the anchor to now; empty before the first frame."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []

    @property
    def anchor(self) -> Moment:
        """The frame at which the filters stand."""
        return self._moments[0]

    @property
    def now(self) -> Moment:
        """The newest frame."""
        return self._moments[-1]

    def advance(self, stamp: int, step: Float64Array | None) -> None:
        """Add a frame; a ``stamp`` that stands still or goes back takes no time."""
        if not self._moments:
            self._moments.append(Moment(stamp, 0.0, None, None))
            return
        last = self.now
        time = last.time + max(stamp - last.stamp, 0) * 1e-9
        self._moments.append(Moment(stamp, time, step, composed(step, last.motion)))

    def at(self, stamp: int) -> Moment | None:
        """The newest frame that is not newer than ``stamp``; None when it lies before the anchor."""
        for moment in reversed(self._moments):
            if moment.stamp <= stamp:
                return moment
        return None

    @property
    def overfull(self) -> bool:
        """Whether the anchor has to move, for nobody looks."""
        return len(self._moments) > LONGEST

    @property
    def middle(self) -> Moment:
        """The frame half way between the anchor and now."""
        return self._moments[len(self._moments) // 2]

    def rebase(self, anchor: Moment) -> None:
        """Make the moment ``anchor`` the anchor and forget those before it."""
        moments = self._moments
        later = moments[moments.index(anchor) + 1 :] if anchor is not self.now else []
        self._moments = [Moment(anchor.stamp, anchor.time, None, None)]
        for moment in later:
            motion = composed(moment.step, self.now.motion)
            self._moments.append(Moment(moment.stamp, moment.time, moment.step, motion))


def composed(second: Float64Array | None, first: Float64Array | None) -> Float64Array | None:
    """The affine motion ``first`` and then ``second``."""
    if first is None or second is None:
        return second if first is None else first
    motion = second[:, :2] @ first
    motion[:, 2] += second[:, 2]
    return motion

"""The frames since the instance network last looked: how long ago each was, and how the image has moved since.

Filters stand still between two looks, at the *anchor*: a frame in between asks only where they would be by now. So a
look at an older frame costs nothing but to ask for that frame instead, and nothing has to be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seg_perception.tracking.points import NOTHING, Picture, Points, Ways
from seg_perception.types import Float64Array, Int64Array, Mask

LONGEST = 512
"""Frames that are remembered when nobody looks; then the anchor moves up to the middle of them."""

PICTURES = 64
"""Newest frames whose pictures are remembered: older looks are of no use."""

STRIDES = 4
"""In at most so many steps what was seen in an older frame is followed to now: all of them are paid in one frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame: its ``stamp``, the tracker's own ``time`` in seconds, which never goes back, and the affine motions
    ``(2, 3)`` of the image from the frame before (``step``) and from the anchor (``motion``), None where it is still;
    its ``picture``, if there is one, and the ``ways`` of what was seen before it.
    """

    stamp: int
    time: float
    step: Float64Array | None
    motion: Float64Array | None
    picture: Picture | None
    ways: Ways


class Timeline:
    """The moments from the anchor to now; empty before the first frame."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []
        self._points = Points.none()

    @property
    def anchor(self) -> Moment:
        """The frame at which the filters stand."""
        return self._moments[0]

    @property
    def now(self) -> Moment:
        """The newest frame."""
        return self._moments[-1]

    def advance(self, stamp: int, step: Float64Array | None, picture: Picture | None) -> None:
        """Add a frame; a ``stamp`` that stands still or goes back takes no time."""
        if not self._moments:
            self._moments.append(Moment(stamp, 0.0, None, None, picture, NOTHING))
            return
        last = self.now
        time = last.time + max(stamp - last.stamp, 0) * 1e-9
        self._points = points = _followed(self._points, last, time, step, picture)
        self._moments.append(Moment(stamp, time, step, composed(step, last.motion), picture, points.ways()))
        if len(self._moments) > PICTURES:
            self._moments[-PICTURES - 1] = replace(self._moments[-PICTURES - 1], picture=None)

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
        self._moments = [Moment(anchor.stamp, anchor.time, None, None, anchor.picture, anchor.ways)]
        for moment in later:
            self._moments.append(replace(moment, motion=composed(moment.step, self.now.motion)))

    def see(self, masks: Sequence[Mask], numbers: Int64Array, velocity: Float64Array) -> None:
        """Things were seen at the anchor: follow what their ``masks`` show from there to now. ``numbers`` are their
        sightings, increasing, and greater than all before; ``velocity`` ``(S, 2)``, pixels per second, is what is known
        of how they move beside the camera's motion. Frames that are strided over learn nothing of these things.
        """
        before, motion = self.anchor, None
        if before.picture is None:
            return
        points = Points.on(masks, numbers, velocity, before.picture)
        last = len(self._moments) - 1
        stride = max(1, -(-last // STRIDES))
        for i, moment in enumerate(self._moments[1:], start=1):
            motion = composed(moment.step, motion)
            if (last - i) % stride == 0:
                points = _followed(points, before, moment.time, motion, moment.picture)
                self._moments[i] = replace(moment, ways=moment.ways.joined(points.ways()))
                before, motion = moment, None
        self._points = self._points.joined(points)

    def keep(self, numbers: Int64Array) -> None:
        """Follow nothing but the sightings ``numbers`` from now on."""
        kept = np.isin(self._points.numbers, numbers)
        if not kept.all():
            self._points = self._points.take(kept)


def _followed(
    points: Points, before: Moment, time: float, step: Float64Array | None, picture: Picture | None
) -> Points:
    """``points`` from the moment ``before`` on to ``picture``; none where one is missing, or of another size."""
    if not len(points):
        return points
    if before.picture is None or picture is None or before.picture.grey.shape != picture.grey.shape:
        return Points.none()
    return points.followed(before.picture, picture, step, time - before.time)


def composed(second: Float64Array | None, first: Float64Array | None) -> Float64Array | None:
    """The affine motion ``first`` and then ``second``."""
    if first is None or second is None:
        return second if first is None else first
    motion = second[:, :2] @ first
    motion[:, 2] += second[:, 2]
    return motion

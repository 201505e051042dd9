"""Where things are in space, how large, which way they face and how they move: one state per track id.

A camera or LiDAR sees the near side of a thing. What is measured is therefore the near faces of its box; the far ones
follow from a size that begins as the class's usual one and gives way to what is seen as the thing turns or is passed.
When the size or the heading is thought of anew, the box grows at its far side, and its velocity does not feel it.

Everything happens in a frame that stands still and whose z axis points up (REP 105's ``odom`` or ``map``); metres,
metres per second, radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seg_perception.labels import LabelSpace
from seg_perception.projection.boxes import ANGLES, Prior, extents, misfits, priors
from seg_perception.projection.camera import Camera
from seg_perception.projection.clusters import bodies
from seg_perception.projection.ground import MOST, Ground, ground_table
from seg_perception.schema import option
from seg_perception.types import (
    MAX_TRACK_ID,
    NANOSECONDS,
    TIME_JUMP,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
    LabelledPoints,
    PanopticMap,
    UInt8Array,
)

LEAST_POINTS = 3
MOST_POINTS = 400
"""Points of one thing that are measured; more say no more."""

NOISE, NOISE_PER_METRE, NOISE_PER_LENGTH = 0.08, 0.01, 0.05
"""Standard deviation of a measured position, in metres, with its distance and with the thing's usual length: what is
seen of a thing changes with its limbs, the view and the mask.
"""

BEYOND = 0.25
"""Sine of the angle to the view from which on a side is one that the image's border can cut."""

SHARP = 250.0
"""Metres: what is farther away than the root of this times its width is blurred as widely as it is wide (the error of
depth cameras grows with the square of the distance, and beams spread); its size is not learnt there.
"""

GATE = 3.0
"""Standard deviations from where a thing is expected beyond which a look is not believed."""

PATIENCE = 0.35
"""Seconds without a look that is believed after which the next is: the track has gone over to something else."""

SURE = 2.0
"""Standard deviations that a speed must be from zero to say which way a thing faces."""


@dataclass(frozen=True)
class ObjectsConfig:
    """How labelled points become things in space."""

    sizes: str = option("default", "usual sizes of classes (a shipped name or a path)", live=False)
    reach: float = option(40.0, "metres from the camera beyond which points are not used", ge=1.0, le=200.0, live=False)
    clearance: float = option(
        0.12, "metres above the ground from which on points are a thing's", ge=0.0, le=1.0, live=False
    )
    edge: float = option(
        0.25, "metres of a gap that parts a thing from what bled into its mask", ge=0.05, le=2.0, live=False
    )
    edge_per_metre: float = option(
        0.02, "the same for each metre of distance; the larger counts", ge=0.0, le=0.2, live=False
    )
    least_speed: float = option(0.4, "m/s from which on a thing faces where it goes", ge=0.0, le=10.0, live=False)
    max_lost: float = option(
        1.5, "seconds without its mask after which a thing ends (the tracker's own)", ge=0.05, live=False
    )


@dataclass(frozen=True, slots=True)
class Objects:
    """N things at ``stamp`` (nanoseconds) in ``frame_id``, by ascending id.

    ``ids`` ``(N,)`` int32 track ids; ``labels`` ``(N,)`` uint8; ``confidence`` ``(N,)`` float32 0..1; ``centre``
    ``(N, 3)`` of the box, ``velocity`` ``(N, 3)``, ``size`` ``(N, 3)`` length, width, height, ``yaw`` ``(N,)`` (the
    length's direction, from x towards y), all float64; ``seen`` ``(N, 2)`` float64 the part 0..1 of length and width
    that was measured: the rest is the class's usual size; ``near`` ``(N, 2)`` int8 which end along length and width is
    the near face that was seen (-1 low, 1 high); ``deviation`` ``(N, 2)`` float64 standard deviations of position and
    velocity in the plane; ``last`` ``(N,)`` int64 stamp of the last points.
    """

    stamp: int
    frame_id: str
    ids: Int32Array
    labels: UInt8Array
    confidence: Float32Array
    centre: Float64Array
    velocity: Float64Array
    size: Float64Array
    yaw: Float64Array
    seen: Float64Array
    near: NDArray[np.int8]
    deviation: Float64Array
    last: Int64Array

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class _Look:
    """The points of one thing at one stamp: ``xy`` ``(n, 2)`` on the ground plane, ``view`` ``(2,)`` the unit direction
    from the camera, ``distance`` from it; ``ground`` and ``top`` are heights; ``cut`` says whether the image's left or
    right border ends the thing, ``whole`` whether its top and foot are in the image.
    """

    xy: Float64Array
    view: Float64Array
    distance: float
    ground: float
    top: float
    cut: tuple[bool, bool]
    whole: bool


class _Thing:
    """The state of one track."""

    def __init__(self, prior: Prior, look: _Look, stamp: int) -> None:
        self.prior = prior
        self.stamp = self.last = self.painted = stamp
        self.label, self.confidence = 0, 0.0
        self.yaw = float(np.arctan2(look.view[1], look.view[0]))
        self.size = np.array((prior.length, prior.width))
        self.span = np.zeros(2)
        self.measured = np.zeros(2)
        self.near = np.zeros(2)
        self.votes = np.zeros(len(ANGLES))
        self.ground, self.top = look.ground, look.top - look.ground
        self.looks = 0
        self.cut = look.cut
        noise = self._noise(look)
        self.pp, self.pv, self.vv = noise, 0.0, prior.speed**2
        self.velocity = np.zeros(2)
        self.position = look.xy.mean(axis=0)

    def predict(self, stamp: int) -> None:
        """Move on to ``stamp``; white acceleration, as in :mod:`seg_perception.tracking.kalman`."""
        dt = (stamp - self.stamp) / NANOSECONDS
        self.stamp = stamp
        if dt <= 0:
            return
        q = self.prior.agility**2
        self.position = self.position + dt * self.velocity
        self.pp += dt * (2 * self.pv + dt * self.vv + dt * dt / 3 * q)
        self.pv += dt * (self.vv + dt / 2 * q)
        self.vv += dt * q

    def observe(self, look: _Look, config: ObjectsConfig) -> bool:
        """Correct the state by a look at its own stamp; False for one that is too far off to be of this thing."""
        measured = self._centre(look, self.yaw, self.size, self.cut)
        if self.looks and not self._correct(measured - self.position, self._noise(look)):
            return False
        yaw = self._heading(look, config)
        self._remember(look, yaw)
        size = self._sizes()
        better = self._centre(look, yaw, size, look.cut)
        # A better idea of size, heading or what the border cuts moves the box, but is no motion.
        self.position = self.position + better - measured if self.looks else better
        self.yaw, self.size, self.cut, self.last = yaw, size, look.cut, self.stamp
        self.looks += 1
        return True

    def _noise(self, look: _Look) -> float:
        """Variance of a measured position."""
        return (NOISE + NOISE_PER_METRE * look.distance + NOISE_PER_LENGTH * self.prior.length) ** 2

    def _correct(self, innovation: Float64Array, noise: float) -> bool:
        if innovation @ innovation > GATE**2 * (self.pp + noise):
            return False
        gain, velocity_gain = self.pp / (self.pp + noise), self.pv / (self.pp + noise)
        self.position = self.position + gain * innovation
        self.velocity = self.velocity + velocity_gain * innovation
        self.vv -= velocity_gain * self.pv
        self.pv *= 1 - gain
        self.pp *= 1 - gain
        return True

    def _centre(self, look: _Look, yaw: float, size: Float64Array, cuts: tuple[bool, bool]) -> Float64Array:
        """Where the box's centre is when its near faces are where the points are, and the image's border ends it where
        ``cuts`` says so.
        """
        axes = _axes(yaw)
        low, high = extents(look.xy @ axes.T)
        middle, along = (low + high) / 2, axes @ look.view
        # Across the view both ends of a thing are seen, along it only the near one.
        depth = _ramp(np.abs(along))
        missing = np.maximum(size * (self.prior.solid, 1.0) - (high - low), 0.0)
        shift = np.sign(along) * depth * missing / 2
        left = axes @ np.array((-look.view[1], look.view[0]))
        for side, cut in zip((1.0, -1.0), cuts, strict=True):
            if cut and not all(cuts):  # it goes on beyond the image's border
                beyond = side * np.sign(left)
                # Where that takes the near end away, the far one is all that is left, and it is not seen well: the box
                # stays where it is expected as long as it holds the points.
                kept = np.clip(axes @ self.position - middle, -missing / 2, missing / 2)
                unsure = depth * (beyond != np.sign(along))
                gone = unsure * kept + (1 - unsure) * beyond * missing / 2
                shift = np.where(np.abs(left) > BEYOND, gone, shift)
        self.near = -np.sign(along)
        return np.asarray((middle + shift) @ axes)

    def _heading(self, look: _Look, config: ObjectsConfig) -> float:
        speed = float(np.hypot(*self.velocity))
        if self.prior.boxy:
            self.votes = 0.95 * self.votes + misfits(look.xy)
        if speed > max(config.least_speed, SURE * np.sqrt(self.vv)):
            return float(np.arctan2(self.velocity[1], self.velocity[0]))
        if not self.prior.boxy:
            return self.yaw
        angle = float(ANGLES[self.votes.argmin()])
        low, high = extents(look.xy @ _axes(angle).T)
        span = high - low
        if span.max() < 0.6 * self.prior.length and self.prior.length > 1.5 * self.prior.width:
            # Too short for a side: it is the front or the rear, and the length leads away from the camera.
            across = abs(np.cos(angle - np.arctan2(look.view[1], look.view[0]))) < np.sqrt(0.5)
        elif self.looks > 1 and abs(span[0] - span[1]) < 0.2 * self.prior.length:
            across = abs(np.cos(angle - self.yaw)) < np.sqrt(0.5)
        else:
            across = span[1] > span[0]
        yaw = angle + np.pi / 2 * across
        return _wrapped(yaw + np.pi * (np.cos(yaw - self.yaw) < 0))

    def _remember(self, look: _Look, yaw: float) -> None:
        """What was seen of the sizes: the largest extents, with a slow ear for outliers."""
        if abs(np.cos(yaw - self.yaw)) < np.sqrt(0.5):
            self.span, self.measured = self.span[::-1].copy(), self.measured[::-1].copy()
        axes = _axes(yaw)
        low, high = extents(look.xy @ axes.T)
        whole = 1 - _ramp(np.abs(axes @ look.view)) if not any(look.cut) else np.zeros(2)
        more = high - low - self.span
        # Along the view a round thing shows no face; what seems to have depth there is noise.
        told = np.ones(2) if self.prior.boxy else whole
        told = told * (look.distance**2 < SHARP * self.prior.width)
        self.span = self.span + np.where(more > 0, told * (1.0 if self.looks < 3 else 0.3), 0.05 * whole) * more
        self.measured = np.maximum(0.98 * self.measured, whole)
        self.ground += 0.3 * (look.ground - self.ground)
        higher = look.top - look.ground - self.top
        self.top += (0.3 if higher > 0 else 0.02 * look.whole) * higher

    def _sizes(self) -> Float64Array:
        prior = self.prior
        scale = min(max(self.top / prior.height, 0.5), 2.5)
        usual = np.array((prior.length, prior.width)) * scale
        return np.asarray(np.maximum(self.span, usual * (1 - prior.firm * self.measured)))

    @property
    def seen(self) -> Float64Array:
        """Part of length and width that was measured."""
        return np.asarray(np.minimum(self.span / self.size, 1.0))


class ObjectMemory:
    """The things of one camera. :meth:`update` once per labelled cloud or depth image, in the order of stamps."""

    def __init__(self, labels: LabelSpace, sizes: str = "default") -> None:
        """Raises :class:`ConfigError` for a file of sizes that cannot be used."""
        self._priors = priors(labels, sizes)
        self._ground = ground_table(labels)
        self._things: dict[int, _Thing] = {}
        self._frame, self._stamp = "", 0

    def update(
        self,
        stamp: int,
        points: LabelledPoints,
        to_fixed: Float64Array,
        frame_id: str,
        panoptic: PanopticMap,
        config: ObjectsConfig,
        camera: Camera | None = None,
    ) -> Objects:
        """All live things at ``stamp``: those that ``points`` (in the camera's optical frame) belong to are corrected,
        the others carried on.

        ``to_fixed`` ``(4, 4)`` is the camera's pose in ``frame_id``; ``panoptic`` the masks that the points were
        labelled by, seen by ``camera``: they say how high a thing reaches between two beams of a LiDAR (without one,
        its highest point does). Ids that have not been painted for ``max_lost`` seconds end. When ``frame_id`` changes
        or time jumps back, all begin anew; what comes a little late changes nothing.
        """
        if frame_id != self._frame or stamp < self._stamp - TIME_JUMP:
            self._things.clear()
            self._frame, self._stamp = frame_id, stamp
        if stamp < self._stamp:
            return self._objects(self._stamp, frame_id)
        self._stamp = stamp
        for thing in self._things.values():
            thing.predict(stamp)
        looks = self._looks(points, to_fixed, panoptic, config, camera)
        for number, (label, confidence, look) in looks.items():
            prior = self._priors[label]
            assert prior is not None
            thing = self._things.setdefault(number, _Thing(prior, look, stamp))
            thing.prior = prior
            if not thing.observe(look, config) and stamp - thing.last > PATIENCE * NANOSECONDS:
                thing = self._things[number] = _Thing(prior, look, stamp)
                thing.observe(look, config)
            thing.label, thing.confidence = label, confidence
        for number in _painted(panoptic):
            if number in self._things:
                self._things[number].painted = stamp
        oldest = stamp - round(config.max_lost * NANOSECONDS)
        self._things = {n: t for n, t in self._things.items() if max(t.painted, t.last) >= oldest}
        return self._objects(stamp, frame_id)

    def _looks(
        self,
        points: LabelledPoints,
        to_fixed: Float64Array,
        panoptic: PanopticMap,
        config: ObjectsConfig,
        camera: Camera | None,
    ) -> dict[int, tuple[int, float, _Look]]:
        rotation, origin = to_fixed[:3, :3], to_fixed[:3, 3]
        chosen = np.flatnonzero(points.instances > 0)
        xyz, numbers = points.xyz[chosen], points.instances[chosen]
        # The distance check drops NaN as well.
        kept = np.flatnonzero(np.einsum("ij,ij->i", xyz, xyz) < config.reach**2)
        chosen, numbers = chosen[kept], numbers[kept]
        place = xyz[kept].astype(np.float64) @ rotation.T + origin
        ids, first, thing = np.unique(numbers, return_index=True, return_inverse=True)
        if not len(ids):
            return {}
        labels = points.labels[chosen[first]]
        known = [self._priors[label] for label in labels.tolist()]
        reaches = np.array([0.0 if p is None else 0.6 * p.length for p in known])
        ground = self._ground_points(points, rotation, origin)
        order = np.argsort(thing, kind="stable")
        bounds = np.searchsorted(thing[order], np.arange(len(ids) + 1))
        parts = [order[start:end] for start, end in pairwise(bounds.tolist())]
        middles = np.array([np.median(place[part, :2], axis=0) for part in parts])
        heights = [ground.height(middle) for middle in middles]
        floors = np.array([place[part, 2].min() if h is None else h for part, h in zip(parts, heights, strict=True)])
        above = np.flatnonzero(place[:, 2] > (floors + config.clearance)[thing])
        distances = np.hypot(*(middles - origin[:2]).T)
        edges = np.maximum(config.edge, config.edge_per_metre * distances)
        above = above[bodies(place[above, :2], thing[above], edges, reaches)]
        cuts = _cut(panoptic)
        rises = None if camera is None else _rises(panoptic, ids, camera, rotation)
        found: dict[int, tuple[int, float, _Look]] = {}
        for row, number in enumerate(ids.tolist()):
            own = above[thing[above] == row]
            if len(own) < LEAST_POINTS or known[row] is None:
                continue
            own = own[:: -(-len(own) // MOST_POINTS)]
            seen = place[own]
            middle = seen[:, :2].mean(axis=0) - origin[:2]
            distance = float(np.hypot(*middle))
            left, right, top, foot = (number in border for border in cuts)
            highest = _top(seen[:, 2])
            if rises is not None and not top:
                highest = max(highest, float(origin[2] + distance * rises[row]))
            look = _Look(
                seen[:, :2], middle / distance, distance, float(floors[row]), highest,
                (left, right), not (top or foot),
            )  # fmt: skip
            confidence = float(points.confidence[chosen[own]].mean()) / 255
            found[number] = int(labels[row]), confidence, look
        return found

    def _ground_points(self, points: LabelledPoints, rotation: Float64Array, origin: Float64Array) -> Ground:
        rows = np.flatnonzero(self._ground[points.labels])
        xyz = points.xyz[rows[:: -(-len(rows) // MOST) or 1]]
        return Ground(xyz[np.isfinite(xyz[:, 0])].astype(np.float64) @ rotation.T + origin)

    def _objects(self, stamp: int, frame_id: str) -> Objects:
        ids = sorted(self._things)
        things = [self._things[number] for number in ids]
        n = len(ids)
        heights = [t.top for t in things]
        return Objects(
            stamp,
            frame_id,
            np.array(ids, np.int32),
            np.array([t.label for t in things], np.uint8),
            np.array([t.confidence for t in things], np.float32),
            np.array([(*t.position, t.ground + h / 2) for t, h in zip(things, heights, strict=True)]).reshape(n, 3),
            np.array([(*t.velocity, 0.0) for t in things]).reshape(n, 3),
            np.array([(*t.size, h) for t, h in zip(things, heights, strict=True)]).reshape(n, 3),
            np.array([t.yaw for t in things]),
            np.array([t.seen for t in things]).reshape(n, 2),
            np.array([t.near for t in things], np.int8).reshape(n, 2),
            np.array([(t.pp, t.vv) for t in things]).reshape(n, 2) ** 0.5,
            np.array([t.last for t in things], np.int64),
        )


def _top(z: Float64Array) -> float:
    """The height of the highest points, without the outermost hundredth."""
    return float(np.partition(z, -(1 + len(z) // 100))[-(1 + len(z) // 100)])


def _rises(panoptic: PanopticMap, ids: NDArray[np.integer], camera: Camera, rotation: Float64Array) -> Float64Array:
    """How far the view over the upper edge of each thing's mask rises on a metre along the ground, ``(N,)``."""
    height, width = panoptic.panoptic.shape
    numbers = (panoptic.panoptic >> 16).ravel()
    row_of = np.full(MAX_TRACK_ID + 1, -1)
    row_of[ids] = np.arange(len(ids))
    pixels = np.flatnonzero(numbers)
    thing = row_of[numbers[pixels]]
    pixels, thing = pixels[thing >= 0], thing[thing >= 0]
    row, column = np.divmod(pixels, width)
    count = np.bincount(thing, minlength=len(ids))
    by_row = np.bincount(thing * height + row, minlength=len(ids) * height).reshape(len(ids), height)
    # Without the outermost hundredth, as of points.
    upper = (np.cumsum(by_row, axis=1) > 0.01 * count[:, None]).argmax(axis=1)
    middle = np.bincount(thing, column + 0.5, minlength=len(ids)) / np.maximum(count, 1)
    x, y = camera.directions(middle, upper.astype(np.float64))
    ray = np.column_stack((x, y, np.ones_like(x))) @ rotation.T
    return np.asarray(ray[:, 2] / np.hypot(ray[:, 0], ray[:, 1]))


def _axes(yaw: float) -> Float64Array:
    """Rows: the unit vectors along length and width."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array(((cos, sin), (-sin, cos)))


def _ramp(along: Float64Array) -> Float64Array:
    """0 for a side that is seen from end to end, 1 for one that is seen from its end alone, by |cosine| to the view."""
    return np.asarray(np.clip((along - 0.4) / 0.4, 0.0, 1.0))


def _wrapped(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def _painted(panoptic: PanopticMap) -> list[int]:
    present = np.zeros(MAX_TRACK_ID + 1, np.bool_)
    present[panoptic.panoptic >> 16] = True
    return [int(n) for n in np.flatnonzero(present) if n]


def _cut(panoptic: PanopticMap) -> tuple[set[int], set[int], set[int], set[int]]:
    """The ids that touch the image's left, right, upper and lower border."""
    p = panoptic.panoptic
    return tuple(set((part >> 16).ravel().tolist()) for part in (p[:, :2], p[:, -2:], p[:2], p[-2:]))  # type: ignore[return-value]

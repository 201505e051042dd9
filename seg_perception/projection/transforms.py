"""Where frames were relative to each other, from TF messages: a buffer without ROS, the same online and for bags.

A pose is a ``(4, 4)`` float64 matrix that takes points of the source frame into the target frame. Between two
samples of one edge the translation is interpolated linearly and the rotation spherically (slerp), as tf2 does. What
cannot be answered raises :class:`TransformError`, whose ``reason`` a caller can count and, for ``late``, wait for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import SegPerceptionError
from seg_perception.frames import stamp_of
from seg_perception.types import NANOSECONDS, TIME_JUMP

Matrix = NDArray[np.float64]
Reason = Literal["missing", "late", "extrapolated", "jumped"]

REASONS: tuple[Reason, ...] = ("missing", "late", "extrapolated", "jumped")
"""Why a pose is not known: the frames are not connected; the newest sample is older than what was asked for (it may
still come); the oldest is newer (it was forgotten, or never sent); the samples around it are too far apart to be one
motion.
"""

MAX_SPEED = 60.0
"""Metres per second between two samples; faster is a jump (a localisation that corrected itself)."""
MAX_TURN = 20.0
"""Radians per second, likewise."""


class TransformError(SegPerceptionError):
    """A pose that is not known, and why."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason


@dataclass
class _Edge:
    """The samples of one child in its parent, by stamp; ``static`` ones hold for ever."""

    parent: str
    static: bool
    stamps: list[int] = field(default_factory=list)
    samples: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)


class TransformBuffer:
    """The frames of a robot over the last ``memory`` seconds of stamps. Not thread-safe.

    Samples may come out of order; one that is more than ``memory`` older than the newest of its edge is a clock that
    went back: that edge starts anew. ``time_jumps`` counts those.
    """

    def __init__(self, memory: float = 10.0) -> None:
        self._memory = round(memory * NANOSECONDS)
        self._edges: dict[str, _Edge] = {}
        self.time_jumps = 0
        self.refused = 0
        """Samples that could not be used: not finite, no rotation, a frame in itself."""

    def rewind(self, stamp: int) -> None:
        """Forget what moved before time jumped back to ``stamp``: every edge with samples of more than a second later.
        Those that began anew since stay, as static ones do.
        """
        ended = stamp + TIME_JUMP
        self._edges = {child: edge for child, edge in self._edges.items() if edge.static or edge.stamps[-1] <= ended}

    def add_message(self, message: Any, *, static: bool) -> None:
        """Every transform of a ``tf2_msgs/TFMessage`` (rclpy's or a bag's); ``static`` as on ``/tf_static``."""
        for t in message.transforms:
            p, q = t.transform.translation, t.transform.rotation
            self.add(
                t.header.frame_id, t.child_frame_id, stamp_of(t), (p.x, p.y, p.z), (q.x, q.y, q.z, q.w), static=static
            )

    def add(
        self,
        parent: str,
        child: str,
        stamp: int,
        translation: tuple[float, float, float],
        rotation: tuple[float, float, float, float],
        *,
        static: bool = False,
    ) -> None:
        """One sample: the pose of ``child`` in ``parent``; ``rotation`` is a quaternion x, y, z, w of any length."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        position, turn = np.array(translation, np.float64), np.array(rotation, np.float64)
        norm = float(np.linalg.norm(turn))
        if parent == child or not (np.isfinite(position).all() and np.isfinite(norm) and norm > 1e-6):
            self.refused += 1
            return
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static:
            edge = self._edges[child] = _Edge(parent, static)
        if static:
            edge.stamps, edge.samples = [0], [(position, turn / norm)]
            return
        if edge.stamps and stamp < edge.stamps[-1] - self._memory:
            self.time_jumps += 1
            edge.stamps.clear()
            edge.samples.clear()
        at = bisect_left(edge.stamps, stamp)
        if at < len(edge.stamps) and edge.stamps[at] == stamp:
            edge.samples[at] = (position, turn / norm)
            return
        edge.stamps.insert(at, stamp)
        edge.samples.insert(at, (position, turn / norm))
        keep = bisect_left(edge.stamps, edge.stamps[-1] - self._memory)
        # In batches: taking one sample from the front of a list moves all others.
        if keep > 256 or keep > len(edge.stamps) // 2:
            del edge.stamps[:keep], edge.samples[:keep]

    @property
    def frames(self) -> set[str]:
        """Every frame that is known."""
        return set(self._edges) | {edge.parent for edge in self._edges.values()}

    def fixed_frame(self, frame: str) -> str:
        """A frame that stands still in the world while ``frame`` moves: ``odom`` where it is above ``frame`` (it never
        jumps, REP 105), else the root above it.
        """
        chain = [name for name, _ in self._chain(frame.lstrip("/"))]
        return "odom" if "odom" in chain else chain[-1]

    def lookup(self, target: str, source: str, stamp: int) -> Matrix:
        """The pose of ``source`` in ``target`` at ``stamp``; raises :class:`TransformError`."""
        target, source = target.lstrip("/"), source.lstrip("/")
        if target == source:
            return np.eye(4)
        up_target, up_source = list(self._chain(target)), list(self._chain(source))
        above = {name: depth for depth, (name, _) in enumerate(up_target)}
        meeting = next((depth for depth, (name, _) in enumerate(up_source) if name in above), None)
        if meeting is None:
            raise TransformError("missing", self._unconnected(target, source))
        common = up_source[meeting][0]
        to_common = _chained(up_source[:meeting], stamp)
        from_target = _chained(up_target[: above[common]], stamp)
        return inverse(from_target) @ to_common

    def _chain(self, frame: str) -> Iterator[tuple[str, _Edge | None]]:
        """``frame`` and every frame above it, each with the edge that leads further up (None for the root)."""
        seen: set[str] = set()
        edge = self._edges.get(frame)
        while edge is not None and frame not in seen:
            yield frame, edge
            seen.add(frame)
            frame = edge.parent
            edge = self._edges.get(frame)
        yield frame, None

    def _unconnected(self, target: str, source: str) -> str:
        unknown = [name for name in (source, target) if name not in self.frames]
        if unknown:
            known = ", ".join(sorted(self.frames)[:12]) or "none"
            return (
                f"no transform names the frame '{unknown[0]}' (known frames: {known}); publish it on /tf or /tf_static"
            )
        return f"the frames '{source}' and '{target}' are not connected by transforms; publish the one between them"


def _chained(edges: list[tuple[str, _Edge | None]], stamp: int) -> Matrix:
    pose = np.eye(4)
    for child, edge in edges:
        assert edge is not None  # only the root has none, and it is never climbed from
        pose = _at(child, edge, stamp) @ pose
    return pose


def _at(child: str, edge: _Edge, stamp: int) -> Matrix:
    if edge.static:
        return matrix(*edge.samples[0])
    name = f"'{child}' in '{edge.parent}'"
    if stamp > edge.stamps[-1]:
        behind = (stamp - edge.stamps[-1]) / NANOSECONDS
        raise TransformError("late", f"the transform of {name} ends {behind:.3f} s before the stamp asked for")
    if stamp < edge.stamps[0]:
        ahead = (edge.stamps[0] - stamp) / NANOSECONDS
        raise TransformError("extrapolated", f"the transform of {name} begins {ahead:.3f} s after the stamp asked for")
    after = bisect_left(edge.stamps, stamp)
    if edge.stamps[after] == stamp:
        return matrix(*edge.samples[after])
    start, end = edge.stamps[after - 1], edge.stamps[after]
    (p0, q0), (p1, q1) = edge.samples[after - 1], edge.samples[after]
    seconds = (end - start) / NANOSECONDS
    distance, angle = float(np.linalg.norm(p1 - p0)), _angle(q0, q1)
    if distance > MAX_SPEED * seconds or angle > MAX_TURN * seconds:
        raise TransformError(
            "jumped",
            f"the transform of {name} jumps by {distance:.2f} m and {np.degrees(angle):.0f} degrees within "
            f"{seconds:.3f} s; nothing in between is known",
        )
    part = (stamp - start) / (end - start)
    return matrix(p0 + part * (p1 - p0), slerp(q0, q1, part))


def _angle(q0: NDArray[np.float64], q1: NDArray[np.float64]) -> float:
    return float(2 * np.arccos(min(abs(float(q0 @ q1)), 1.0)))


def slerp(q0: NDArray[np.float64], q1: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    """The unit quaternion ``part`` (0..1) of the shorter way from ``q0`` to ``q1`` (Shoemake, SIGGRAPH 1985)."""
    cosine = float(q0 @ q1)
    if cosine < 0:
        q1, cosine = -q1, -cosine
    if cosine > 1 - 1e-10:  # the sine would vanish, and the straight line is as good
        mixed = (1 - part) * q0 + part * q1
    else:
        angle = np.arccos(cosine)
        mixed = (np.sin((1 - part) * angle) * q0 + np.sin(part * angle) * q1) / np.sin(angle)
    return np.asarray(mixed / np.linalg.norm(mixed))


def matrix(position: NDArray[np.float64], rotation: NDArray[np.float64]) -> Matrix:
    """``(4, 4)`` from a position and a unit quaternion x, y, z, w."""
    x, y, z, w = rotation.tolist()
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = position
    return pose


def inverse(pose: Matrix) -> Matrix:
    """Of a rigid motion."""
    turned = np.eye(4)
    turned[:3, :3] = pose[:3, :3].T
    turned[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return turned

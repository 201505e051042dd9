"""The things in space as messages: boxes for planners, one point per thing for those without vision_msgs, and markers
for people.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seg_perception import records
from seg_perception.labels import LabelSpace
from seg_perception.projection.objects import Objects
from seg_perception.rendering import shade
from seg_perception.types import NANOSECONDS

UNSEEN = 0.25
"""Standard deviation of a size that was assumed, as a part of it."""

LIFETIME = records.Duration(1, 0)
"""How long a viewer keeps showing things when nothing follows."""

_FLOAT32, _UINT32 = 7, 6
STATE = tuple(
    records.PointField(name, 4 * at, _UINT32 if name in ("label", "instance") else _FLOAT32, 1)
    for at, name in enumerate(
        ("x", "y", "z", "vx", "vy", "vz", "length", "width", "height", "yaw", "label", "instance", "confidence", "age")
    )
)
"""The fields of ``objects/state``."""

_CORNERS = np.array([[x, y, z] for z in (-0.5, 0.5) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))])
_EDGES = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)])
_FACES = {(0, -1): (0, 3, 7, 4), (0, 1): (1, 2, 6, 5), (1, -1): (0, 1, 5, 4), (1, 1): (3, 2, 6, 7)}
"""Corners of the box's side at the low (-1) and high (1) end of its length (0) and width (1)."""


def detections_3d(things: Objects, labels: LabelSpace) -> records.Detection3DArray:
    """``detections_3d``: box, class and score of every thing; each one's own header has the stamp of its last points.

    The covariance of ``results[0].pose`` says how much of the box is assumed: along the length and width that were not
    seen the position is as uncertain as the class's usual size.
    """
    found = []
    for i, number in enumerate(things.ids.tolist()):
        pose = _pose(things, i)
        hypothesis = records.ObjectHypothesis(labels.classes[things.labels[i]].name, float(things.confidence[i]))
        uncertain = records.PoseWithCovariance(pose, _covariance(things, i))
        found.append(
            records.Detection3D(
                records.Header.of(int(things.last[i]), things.frame_id),
                (records.ObjectHypothesisWithPose(hypothesis, uncertain),),
                records.BoundingBox3D(pose, records.Vector3(*things.size[i].tolist())),
                str(number),
            )
        )
    return records.Detection3DArray(_header(things), tuple(found))


def state_cloud(things: Objects) -> records.PointCloud2:
    """``objects/state``: one point per thing, with the fields :data:`STATE`; x y z is the box's centre, age the seconds
    since its last points.
    """
    n = len(things)
    data = np.empty((n, len(STATE)), np.float32)
    data[:, 0:3], data[:, 3:6], data[:, 6:9], data[:, 9] = things.centre, things.velocity, things.size, things.yaw
    data[:, 10:12].view(np.uint32)[:] = np.column_stack((things.labels, things.ids))
    data[:, 12], data[:, 13] = things.confidence, (things.stamp - things.last) / NANOSECONDS
    step = 4 * len(STATE)
    flat = data.view(np.uint8).reshape(-1)
    return records.PointCloud2(_header(things), 1, n, STATE, sys.byteorder == "big", step, step * n, flat, True)


def markers(things: Objects, labels: LabelSpace) -> records.MarkerArray:
    """``objects``: for every thing the edges of its box, the sides that were seen as faces, its name, and where it will
    be in a second. The first marker takes away those of the message before.
    """
    header = _header(things)
    made = [records.Marker(header, action=records.Marker.DELETEALL)]
    for i, number in enumerate(things.ids.tolist()):
        entry = labels.classes[things.labels[i]]
        red, green, blue = (channel / 255 for channel in shade(entry.colour, number))
        corners = corners_of(things, i)
        base = records.Marker(header, id=number, lifetime=LIFETIME)
        centre = things.centre[i]
        top = centre + np.array((0.0, 0.0, things.size[i, 2] / 2 + 0.3))
        lines = [*corners[_EDGES].reshape(-1, 3)]
        if np.hypot(*things.velocity[i, :2]) > 2 * things.deviation[i, 1]:
            lines += [centre, centre + things.velocity[i]]
        made += [
            _marker(base, "box", records.Marker.LINE_LIST, lines, (red, green, blue, 1.0), (0.03, 0.0, 0.0)),
            _marker(base, "seen", records.Marker.TRIANGLE_LIST, _seen(things, i, corners), (red, green, blue, 0.4)),
            _marker(
                base, "name", records.Marker.TEXT_VIEW_FACING, (), (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.3),
                records.Pose(records.Point(*top.tolist())), f"{entry.name} #{number}",
            ),
        ]  # fmt: skip
    return records.MarkerArray(tuple(made))


def corners_of(things: Objects, i: int) -> NDArray[np.float64]:
    """``(8, 3)``: the corners of box ``i``, the lower four first, counter-clockwise seen from above."""
    cos, sin = np.cos(things.yaw[i]), np.sin(things.yaw[i])
    turn = np.array(((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0)))
    return np.asarray((_CORNERS * things.size[i]) @ turn.T + things.centre[i])


def seen_sides(things: Objects, i: int) -> list[tuple[int, ...]]:
    """The near sides of box ``i``, each as four of its corners (:func:`corners_of`)."""
    return [_FACES[axis, end] for axis in (0, 1) if (end := int(things.near[i, axis]))]


def _seen(things: Objects, i: int, corners: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [corners[side[k]] for side in seen_sides(things, i) for k in (0, 1, 2, 0, 2, 3)]


def _header(things: Objects) -> records.Header:
    return records.Header.of(things.stamp, things.frame_id)


def _pose(things: Objects, i: int) -> records.Pose:
    half = float(things.yaw[i]) / 2
    turn = records.Quaternion(0.0, 0.0, float(np.sin(half)), float(np.cos(half)))
    return records.Pose(records.Point(*things.centre[i].tolist()), turn)


def _covariance(things: Objects, i: int) -> NDArray[np.float64]:
    """Row-major 6x6 over x y z and rotations about them, as geometry_msgs/PoseWithCovariance has it."""
    cos, sin = np.cos(things.yaw[i]), np.sin(things.yaw[i])
    turn = np.array(((cos, -sin), (sin, cos)))
    assumed = np.square(UNSEEN * (1 - things.seen[i]) * things.size[i, :2])
    covariance = np.zeros((6, 6))
    covariance[:2, :2] = turn @ np.diag(assumed) @ turn.T + np.eye(2) * things.deviation[i, 0] ** 2
    covariance[2, 2] = things.deviation[i, 0] ** 2
    covariance[5, 5] = (np.pi / 8) ** 2
    return covariance.reshape(-1)


def _marker(
    base: records.Marker,
    namespace: str,
    kind: int,
    points: Sequence[NDArray[np.float64]],
    colour: tuple[float, float, float, float],
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0),
    pose: records.Pose | None = None,
    text: str = "",
) -> records.Marker:
    placed = tuple(records.Point(*p.tolist()) for p in points)
    return records.Marker(
        base.header, namespace, base.id, kind, records.Marker.ADD, pose or records.Pose(), records.Vector3(*scale),
        records.ColorRGBA(*colour), base.lifetime, points=placed, text=text,
    )  # fmt: skip

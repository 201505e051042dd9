"""What goes out for one projection: the table from topic to message for everything in space.

As :mod:`seg_perception.outputs` for masks: the node walks it with publishers, the offline runner with a bag writer. A
builder answers None where its topic is not made from that source.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from seg_perception import records
from seg_perception.labels import LabelSpace
from seg_perception.outputs import Output
from seg_perception.projection.clouds import labelled_cloud, packed_colours, xyz_cloud
from seg_perception.projection.pairing import Kind
from seg_perception.projection.projector import Projection, ProjectionConfig
from seg_perception.projection.scene import Scene
from seg_perception.types import UNLABELLED, UInt8Array


def table(labels: LabelSpace, config: ProjectionConfig) -> tuple[Output[Projection], ...]:
    """Every output in space for a label space, below the camera's namespace; one call per camera: some rows remember
    what came before. Raises :class:`ConfigError` for a group that the label space has not.
    """
    scene = Scene(labels, config)
    kind, colours = records.PointCloud2.TYPE, packed_colours(labels.colours)
    return (
        Output("semantic/points", kind, partial(_labelled, ("depth", "flat"), colours), "subscribed"),
        Output("semantic/lidar_points", kind, partial(_labelled, ("lidar",), colours), "subscribed"),
        Output("obstacles/points", kind, partial(_members, _known(labels, config.obstacles)), "subscribed"),
        Output("clearing/points", kind, partial(_members, _known(labels, config.clearing)), "subscribed"),
        Output("detections_3d", records.Detection3DArray.TYPE, scene.detections_3d, "subscribed"),
        Output("objects/state", kind, scene.state, "subscribed"),
        Output("objects", records.MarkerArray.TYPE, scene.markers, "subscribed"),
    )


def _known(labels: LabelSpace, group: str) -> UInt8Array:
    """The group's table without unlabelled: a point that the camera did not see is neither an obstacle nor free."""
    members = labels.group_table(group)
    members[UNLABELLED] = 0
    return members


def _labelled(
    kinds: tuple[Kind, ...], colours: NDArray[np.uint32], projection: Projection
) -> records.PointCloud2 | None:
    if projection.kind not in kinds:
        return None
    return labelled_cloud(projection.header, projection.points, colours, projection.shape)


def _members(members: UInt8Array, projection: Projection) -> records.PointCloud2 | None:
    if not projection.leading:
        return None
    points = projection.points
    chosen = np.flatnonzero(members[points.labels])
    xyz = points.xyz[chosen]
    return xyz_cloud(projection.header, xyz[np.isfinite(xyz[:, 0])])

"""What is remembered of a camera's surroundings from one projection to the next, and the messages made of it."""

from __future__ import annotations

from dataclasses import replace

from seg_perception import records
from seg_perception.labels import LabelSpace
from seg_perception.projection.grid import Grid, GridConfig, GridMemory, occupancy
from seg_perception.projection.objects import ObjectMemory, Objects
from seg_perception.projection.projector import Projection, ProjectionConfig
from seg_perception.projection.things import detections_3d, markers, state_cloud
from seg_perception.types import LabelledPoints


class Scene:
    """The rows of one camera's table that remember. Each makes its message of a projection, or None where transforms do
    not say where the camera stood, or things are made from another source.

    Raises :class:`ConfigError` for sizes that cannot be used.
    """

    def __init__(self, labels: LabelSpace, config: ProjectionConfig) -> None:
        self._labels, self._config = labels, config
        self._objects = ObjectMemory(labels, config.objects.sizes)
        self._last: tuple[Projection, Objects] | None = None

    def detections_3d(self, projection: Projection) -> records.Detection3DArray | None:
        """``detections_3d``."""
        things = self._things(projection)
        return None if things is None else detections_3d(things, self._labels)

    def state(self, projection: Projection) -> records.PointCloud2 | None:
        """``objects/state``."""
        things = self._things(projection)
        return None if things is None else state_cloud(things)

    def markers(self, projection: Projection) -> records.MarkerArray | None:
        """``objects``."""
        things = self._things(projection)
        return None if things is None else markers(things, self._labels)

    def _things(self, projection: Projection) -> Objects | None:
        # Flat ground has feet of things on it, and no things.
        if projection.to_fixed is None or not projection.leading or projection.kind == "flat":
            return None
        # Several rows ask for the same projection in turn; it must be counted once.
        if self._last is None or self._last[0] is not projection:
            things = self._objects.update(
                projection.masks.stamp,
                _standing(projection),
                projection.to_fixed,
                projection.fixed_frame,
                projection.masks.panoptic,
                self._config.objects,
                projection.camera,
            )
            self._last = projection, things
        return self._last[1]


class Costmap:
    """The grid of everything that is projected, as ``costmap``; several cameras may share one.

    Raises :class:`ConfigError` for a grid that cannot be used.
    """

    def __init__(self, labels: LabelSpace, config: GridConfig) -> None:
        self._config = config
        self._memory = GridMemory(labels, config)
        self._last: Grid | None = None

    def __call__(self, projection: Projection) -> records.OccupancyGrid | None:
        """With ``projection`` written into it; None where transforms do not say where the camera stood, or the grid is
        made from another source.
        """
        if projection.to_fixed is None or not projection.leading:
            return None
        self._last = self._memory.update(
            projection.masks.stamp,
            _standing(projection),
            projection.to_fixed,
            projection.fixed_frame,
            self._config,
        )
        return occupancy(self._last)

    def unknown(self) -> records.OccupancyGrid | None:
        """Everything unknown, of the same place and size and with the last stamp; None where nothing was ever known."""
        if self._last is None:
            return None
        return occupancy(self._memory.unknown(self._last.stamp))


def _standing(projection: Projection) -> LabelledPoints:
    """The points where they were, seen from the camera, when the image was taken."""
    return replace(projection.points, xyz=projection.optical)

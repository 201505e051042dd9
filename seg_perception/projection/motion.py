"""From where a point was measured, at its own time, to where the camera would see it when the image was taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seg_perception.projection.camera import moved
from seg_perception.projection.clouds import Cloud
from seg_perception.projection.transforms import TransformBuffer, inverse
from seg_perception.types import Float32Array, Int64Array

_KNOT = 10_000_000
"""Nanoseconds between poses that are looked up; in between they are interpolated."""
_BIN = 1_000_000
"""Nanoseconds that share one pose: at 1 rad/s half of it is half a milliradian."""


def seen_from(
    cloud: Cloud, transforms: TransformBuffer, camera_frame: str, image_stamp: int, fixed_frame: str
) -> Float32Array:
    """The points of ``cloud`` in ``camera_frame`` as it was at ``image_stamp``, ``(N, 3)`` float32, NaN where they are
    missing, for a world that stands still in ``fixed_frame`` while sensors move. Where the points have times, each is
    taken from where the sensor was then.

    Raises :class:`TransformError` where a pose is not known.
    """
    if not len(cloud):
        return cloud.xyz

    into_camera = inverse(transforms.lookup(fixed_frame, camera_frame, image_stamp))

    def pose(stamp: int) -> NDArray[np.float64]:
        return into_camera @ transforms.lookup(fixed_frame, cloud.frame_id, stamp)

    if cloud.times is None or not cloud.times.any():
        return np.asarray(moved(cloud.xyz, pose(cloud.stamp)[:3]))
    first, last = int(cloud.times.min()), int(cloud.times.max())
    knots = np.linspace(first, last, 2 + (last - first) // _KNOT)
    poses = np.stack([pose(cloud.stamp + round(t))[:3] for t in knots.tolist()])
    return _by_time(cloud.xyz, cloud.times, knots, poses)


def _by_time(
    xyz: Float32Array, times: Int64Array, knots: NDArray[np.float64], poses: NDArray[np.float64]
) -> Float32Array:
    """Each point moved by the pose of its time; ``poses`` ``(K, 3, 4)`` are those at ``knots`` ``(K,)``."""
    bins = ((times - round(knots[0])) // _BIN).astype(np.int32)
    # Most drivers send points as they come; the others' are brought into that order and back.
    order = None if (bins[1:] >= bins[:-1]).all() else np.argsort(bins.astype(np.int16), kind="stable")
    if order is not None:
        xyz, bins = xyz[order], bins[order]
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    middles = knots[0] + (bins[starts] + 0.5) * _BIN
    out = np.empty_like(xyz)
    for start, end, affine in zip(starts, [*starts[1:], len(xyz)], _interpolated(knots, poses, middles), strict=True):
        moved(xyz[start:end], affine, out[start:end])
    if order is None:
        return out
    back = np.empty_like(out)
    back[order] = out
    return back


def _interpolated(
    knots: NDArray[np.float64], poses: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Poses between knots, element by element: over 10 ms a rotation is straight to a part in ten thousand."""
    after = np.clip(np.searchsorted(knots, at), 1, len(knots) - 1)
    part = np.clip((at - knots[after - 1]) / np.maximum(knots[after] - knots[after - 1], 1), 0, 1)[:, None, None]
    return np.asarray((1 - part) * poses[after - 1] + part * poses[after])

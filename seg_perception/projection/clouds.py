"""Point clouds as they come in messages, and as they go out.

Reading takes whatever a driver may send (``sensor_msgs/PointCloud2``): any order of fields, padding, float64,
big-endian, organised or not. Writing fills columns of one 32-bit array, which is the message's data.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.frames import stamp_of
from seg_perception.records import Header, PointCloud2, PointField
from seg_perception.types import NANOSECONDS, BoolArray, Float32Array, Int64Array, LabelledPoints, UInt8Array

TIME_FIELDS = ("t", "time", "timestamp", "offset_time", "time_offset", "time_stamp", "point_time_offset")
"""Names under which drivers (Ouster, Velodyne, Hesai, RoboSense, Livox, ...) give each point its time."""

LONGEST_SWEEP = 2 * NANOSECONDS
"""A point's time that is further than this from the cloud's stamp was misread."""

_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_UINT32, _FLOAT32 = 6, 7


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud: ``xyz`` ``(N, 3)`` float32 metres in ``frame_id``, row by row as in the message and NaN where a point
    is missing; ``times`` ``(N,)`` int64 nanoseconds from ``stamp`` to each point's own time, None where the cloud has
    none: all are of ``stamp``.
    """

    stamp: int
    frame_id: str
    xyz: Float32Array
    times: Int64Array | None

    def __len__(self) -> int:
        return len(self.xyz)


def read_cloud(message: Any, *, times: bool = True) -> Cloud:
    """The points of a ``sensor_msgs/PointCloud2`` (rclpy's, a bag's or a record); ``times`` False ignores their own.

    A float time is in seconds, a whole number in nanoseconds, from the cloud's stamp or from the epoch. Raises
    :class:`InputError` for a cloud without x, y or z, for fields that lie outside a point, for data of another length
    than announced, and for times that are nowhere near the stamp.
    """
    m = message
    stamp = stamp_of(m)
    said = f"point cloud of {m.width}x{m.height}"
    flat = np.frombuffer(m.data, np.uint8)
    row = m.width * m.point_step
    if m.row_step < row and m.height > 1:
        raise InputError(f"{said}: its row_step is {m.row_step}, expected at least width x point_step = {row}")
    stride = m.row_step if m.height > 1 else row
    if flat.size < stride * m.height:
        raise InputError(f"{said}: it holds {flat.size} bytes, expected height x row_step = {m.height} x {stride}")
    columns = {field.name: _column(said, message, field, flat, stride) for field in m.fields}
    missing = [name for name in "xyz" if name not in columns]
    if missing:
        raise InputError(f"{said}: it has no field '{missing[0]}', only {', '.join(columns) or 'none'}")
    xyz = np.empty((m.height * m.width, 3), np.float32)
    grid = xyz.reshape(m.height, m.width, 3)
    for axis, name in enumerate("xyz"):
        grid[..., axis] = columns[name]
    # Some drivers write infinity where nothing came back.
    xyz[~_finite(xyz)] = np.nan
    timed = next((columns[name] for name in TIME_FIELDS if name in columns), None) if times else None
    return Cloud(stamp, m.header.frame_id, xyz, None if timed is None else _offsets(said, timed.ravel(), stamp, xyz))


def _column(said: str, message: Any, field: Any, flat: UInt8Array, stride: int) -> NDArray[Any]:
    """One field of all points, ``(height, width)``, as a view of ``flat``."""
    kind = _DTYPES.get(field.datatype)
    if kind is None:
        raise InputError(f"{said}: its field '{field.name}' has the datatype {field.datatype}, expected 1 to 8")
    dtype = np.dtype(f"{'>' if message.is_bigendian else '<'}{kind}")
    if field.offset + dtype.itemsize > message.point_step:
        raise InputError(
            f"{said}: its field '{field.name}' ends at byte {field.offset + dtype.itemsize} of a point, but a point "
            f"has {message.point_step}"
        )
    if not (message.height and message.width):
        return np.zeros((message.height, message.width), dtype)
    return np.ndarray(
        (message.height, message.width), dtype, flat, offset=field.offset, strides=(stride, message.point_step)
    )


def _offsets(said: str, values: NDArray[Any], stamp: int, xyz: Float32Array) -> Int64Array:
    """Nanoseconds from ``stamp``; 0 for points that are missing, whose times drivers leave as they were."""
    there = _finite(xyz)
    if values.dtype.kind == "f":
        values = np.where(there & np.isfinite(values), values, 0.0)
        # Nanoseconds since the epoch are 1.7e18, seconds 1.7e9; the longest offset is a few seconds.
        most = float(np.abs(values).max(initial=0.0))
        seconds = values.astype(np.float64) / (NANOSECONDS if most > 1e14 else 1)
        if most > 1e6:
            seconds = np.where(there, seconds - stamp / NANOSECONDS, 0.0)
        offsets = (seconds * NANOSECONDS).astype(np.int64)
    else:
        offsets = values.astype(np.int64)
        if int(np.abs(offsets).max(initial=0)) > 10**15:
            offsets -= stamp
        offsets = np.where(there, offsets, 0)
    # The least whole number, to which what is too large is cast, has no absolute value.
    furthest = max(int(offsets.max(initial=0)), -int(offsets.min(initial=0)))
    if furthest > LONGEST_SWEEP:
        raise InputError(
            f"{said}: a point's time is {furthest / NANOSECONDS:.3g} s from the cloud's stamp, expected at most "
            f"{LONGEST_SWEEP / NANOSECONDS:g}; set projection.point_times to false if they cannot be used"
        )
    return offsets


def _finite(xyz: Float32Array) -> BoolArray:
    """Which points have three finite coordinates; numpy's sum over an axis of three takes 400 times as long."""
    if not len(xyz):
        return np.zeros(0, np.bool_)
    return np.isfinite(cv2.transform(xyz[:, None], np.ones((1, 3), np.float32)).ravel())


_LABELLED = tuple(
    PointField(name, 4 * at, kind, 1)
    for at, (name, kind) in enumerate(
        (
            ("x", _FLOAT32),
            ("y", _FLOAT32),
            ("z", _FLOAT32),
            ("rgb", _FLOAT32),
            ("label", _UINT32),
            ("instance", _UINT32),
            ("confidence", _FLOAT32),
        )
    )
)
_XYZ = _LABELLED[:3]
_CONFIDENCE = (np.arange(256, dtype=np.float32) / np.float32(255)).view(np.uint32)


def packed_colours(colours: UInt8Array) -> NDArray[np.uint32]:
    """A table ``(256, 3)`` of RGB as PCL packs them into a float: ``0x00RRGGBB``, ``(256,)`` uint32."""
    r, g, b = colours.astype(np.uint32).T
    return np.asarray(r << 16 | g << 8 | b, np.uint32)


def labelled_cloud(
    header: Header, points: LabelledPoints, colours: NDArray[np.uint32], shape: tuple[int, int] | None = None
) -> PointCloud2:
    """``points`` as x y z rgb label instance confidence (0..1), coloured by class with :func:`packed_colours`;
    organised where ``shape`` (height, width) says so.
    """
    data = np.empty((len(points), 1, len(_LABELLED)), np.int32)
    if len(points):
        columns = (
            np.ascontiguousarray(points.xyz, np.float32),
            cv2.LUT(points.labels, colours.view(np.int32)),
            points.labels.astype(np.int32),
            points.instances,
            cv2.LUT(points.confidence, _CONFIDENCE.view(np.int32)),
        )
        # OpenCV's tables and interleaving of channels, as 32-bit words whatever they mean: numpy takes twice as long
        # column by column, and five times with a structured array.
        words = [column.view(np.int32).reshape(len(points), 1, -1) for column in columns]
        cv2.mixChannels(words, [data], [i for channel in range(len(_LABELLED)) for i in (channel, channel)])
    dense = shape is None and bool(_finite(points.xyz).all())
    return _cloud(header, _LABELLED, data[:, 0], shape, dense)


def xyz_cloud(header: Header, xyz: Float32Array) -> PointCloud2:
    """``xyz`` ``(N, 3)``, all finite, as a cloud of positions alone."""
    return _cloud(header, _XYZ, np.ascontiguousarray(xyz, np.float32), None, True)


def _cloud(
    header: Header, fields: tuple[PointField, ...], data: NDArray[Any], shape: tuple[int, int] | None, dense: bool
) -> PointCloud2:
    height, width = (1, len(data)) if shape is None else shape
    step = 4 * len(fields)
    flat = data.view(np.uint8).reshape(-1)
    return PointCloud2(header, height, width, fields, sys.byteorder == "big", step, step * width, flat, dense)

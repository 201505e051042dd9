"""A camera's images as they come in messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.images import MAX_SIDE, decode_compressed, decode_image
from seg_perception.types import NANOSECONDS, Frame, UInt8Array


def image_frame(message: Any) -> Frame:
    """A ``sensor_msgs/Image`` (rclpy's, a bag's or a record); raises :class:`InputError` for one that is none."""
    m = message
    return _frame(m, decode_image(m.height, m.width, m.encoding, bool(m.is_bigendian), m.step, m.data))


def compressed_frame(message: Any) -> Frame:
    """The same for a ``sensor_msgs/CompressedImage``."""
    return _frame(message, decode_compressed(message.format, message.data))


def image_values(message: Any, encodings: Mapping[str, str]) -> NDArray[Any]:
    """The numbers of a ``sensor_msgs/Image`` of one channel as a view ``(H, W)`` of its data, padding left out;
    ``encodings`` has numpy's kind (``u2``) for each that is expected, the byte order is the message's.

    Raises :class:`InputError` for another encoding, and for a size, step or amount of data that do not fit together.
    """
    m = message
    said = f"image of {m.width}x{m.height} {m.encoding}"
    if m.encoding not in encodings:
        raise InputError(f"{said}: expected one of {', '.join(encodings)}")
    if not (0 < m.width <= MAX_SIDE and 0 < m.height <= MAX_SIDE):
        raise InputError(f"{said}: expected 1 to {MAX_SIDE} pixels on each side")
    dtype = np.dtype(f"{'>' if m.is_bigendian else '<'}{encodings[m.encoding]}")
    row = m.width * dtype.itemsize
    flat = np.frombuffer(m.data, np.uint8)
    if m.step < row:
        raise InputError(f"{said}: its step is {m.step} bytes, expected at least {row}")
    if flat.size != m.height * m.step:
        raise InputError(f"{said}: it holds {flat.size} bytes, expected height x step = {m.height} x {m.step}")
    return np.ndarray((m.height, m.width), dtype, flat, strides=(m.step, dtype.itemsize))


def stamp_of(message: Any) -> int:
    """The header's stamp in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def _frame(message: Any, image: UInt8Array) -> Frame:
    return Frame(stamp_of(message), message.header.frame_id, image)

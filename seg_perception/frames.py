"""A camera's images as they come in messages."""

from __future__ import annotations

from typing import Any

from seg_perception.images import decode_compressed, decode_image
from seg_perception.records import NANOSECONDS
from seg_perception.types import Frame, UInt8Array


def image_frame(message: Any) -> Frame:
    """A ``sensor_msgs/Image`` (rclpy's, a bag's or a record); raises :class:`InputError` for one that is none."""
    m = message
    return _frame(m, decode_image(m.height, m.width, m.encoding, bool(m.is_bigendian), m.step, m.data))


def compressed_frame(message: Any) -> Frame:
    """The same for a ``sensor_msgs/CompressedImage``."""
    return _frame(message, decode_compressed(message.format, message.data))


def stamp_of(message: Any) -> int:
    """The header's stamp in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def _frame(message: Any, image: UInt8Array) -> Frame:
    return Frame(stamp_of(message), message.header.frame_id, image)

"""Between ROS messages and the core's values: records out, images and calibrations in."""

from __future__ import annotations

import array
import dataclasses
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from seg_perception.errors import InputError
from seg_perception.types import CameraModel

_DISTORTION_LENGTHS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}


@cache
def message_class(type_name: str) -> Any:
    """The rclpy class of a ROS type such as ``sensor_msgs/msg/Image``; raises :class:`ImportError` where its package is
    not installed.
    """
    package, kind, name = type_name.split("/")
    return getattr(import_module(f"{package}.{kind}"), name)


def to_message(record: Any) -> Any:
    """The rclpy message of a value of :mod:`seg_perception.records`, field by field.

    Arrays go byte-wise into the ``array.array`` or numpy array that a fresh message already holds: assigning to the
    field instead would visit every element.
    """
    message = message_class(record.TYPE)()
    for name in _field_names(type(record)):
        value = getattr(record, name)
        if isinstance(value, np.ndarray):
            _fill(getattr(message, name), value)
        elif isinstance(value, tuple):
            setattr(message, name, [to_message(element) for element in value])
        else:
            setattr(message, name, to_message(value) if dataclasses.is_dataclass(value) else value)
    return message


@cache
def _field_names(record_class: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(record_class))


def _fill(target: array.array[Any] | NDArray[Any], value: NDArray[Any]) -> None:
    if isinstance(target, np.ndarray):
        target[:] = value
    else:
        target.frombytes(memoryview(np.ascontiguousarray(value, target.typecode)).cast("B"))


def camera_model(info: CameraInfo) -> CameraModel:
    """The calibration in a CameraInfo; raises :class:`InputError` for one that cannot be used: no size, numbers that
    are not finite, no focal length (an uncalibrated camera sends zeros), or too few or too many distortion
    coefficients for their model.
    """
    d, k, r, p = (np.array(values, np.float64) for values in (info.d, info.k, info.r, info.p))
    if not (info.width and info.height):
        raise InputError(f"the calibration is for a {info.width}x{info.height} image; expected the camera's size")
    for name, values in (("D", d), ("K", k), ("R", r), ("P", p)):
        if not np.isfinite(values).all():
            raise InputError(f"the calibration's {name} holds NaN or infinity; calibrate the camera again")
    if k[0] <= 0 or k[4] <= 0:
        raise InputError(
            f"the calibration's focal lengths are {k[0]:g} and {k[4]:g}, expected more than 0: calibrate the camera"
        )
    lengths = _DISTORTION_LENGTHS.get(info.distortion_model)
    if lengths and len(d) not in (0, *lengths):
        expected = " or ".join(map(str, lengths))
        raise InputError(
            f"the calibration has {len(d)} distortion coefficients, expected {expected} for '{info.distortion_model}'"
        )
    return CameraModel(
        info.width, info.height, info.distortion_model, k.reshape(3, 3), d, r.reshape(3, 3), p.reshape(3, 4)
    )

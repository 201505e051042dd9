"""The core's records as rclpy messages."""

from __future__ import annotations

import array
import dataclasses
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    for name in _field_names(record.__class__):
        value = getattr(record, name)
        if isinstance(value, np.ndarray):
            _fill(getattr(message, name), value)
        elif isinstance(value, tuple):
            setattr(message, name, [to_message(element) for element in value])
        else:
            setattr(message, name, to_message(value) if dataclasses.is_dataclass(value) else value)
    return message


@cache
def _field_names(record_class: Any) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(record_class))


def _fill(target: array.array[Any] | NDArray[Any], value: NDArray[Any]) -> None:
    if isinstance(target, np.ndarray):
        target[:] = value
    else:
        target.frombytes(np.ascontiguousarray(value, target.typecode).data.cast("B"))

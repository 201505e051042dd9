"""A camera's calibration as it comes in a message."""

from __future__ import annotations

from typing import Any

import numpy as np

from seg_perception.errors import InputError
from seg_perception.types import CameraModel

_DISTORTION_LENGTHS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}


def camera_model(info: Any) -> CameraModel:
    """The calibration in a ``sensor_msgs/CameraInfo`` (rclpy's, a bag's or a record); raises :class:`InputError` for
    one that cannot be used: no size, numbers that are not finite, no focal length (an uncalibrated camera sends zeros),
    or too few or too many distortion coefficients for their model.
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

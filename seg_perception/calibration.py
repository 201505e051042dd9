"""A camera's calibration as it comes in a message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from seg_perception.errors import InputError
from seg_perception.types import CameraModel

_DISTORTION_LENGTHS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}


def camera_model(info: Any) -> CameraModel:
    """The calibration in a ``sensor_msgs/CameraInfo`` (rclpy's, a bag's or a record) for the image that comes with it:
    of the region of interest, after binning.

    Raises :class:`InputError` for one that cannot be used: no size, numbers that are not finite, no focal length (an
    uncalibrated camera sends zeros), too few or too many distortion coefficients for their model, or a region outside
    the image.
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
    full = CameraModel(
        info.width, info.height, info.distortion_model, k.reshape(3, 3), d, r.reshape(3, 3), p.reshape(3, 4)
    )
    return _as_delivered(full, info)


def _as_delivered(full: CameraModel, info: Any) -> CameraModel:
    """``full`` for the pixels that the camera sends: a part of its sensor (an all-zero region is the whole), of which
    each ``binning_x`` by ``binning_y`` pixels are one (0 counts as 1).
    """
    roi, bx, by = info.roi, max(info.binning_x, 1), max(info.binning_y, 1)
    width, height = roi.width or full.width, roi.height or full.height
    if roi.x_offset + width > full.width or roi.y_offset + height > full.height:
        raise InputError(
            f"the calibration's region of interest is {width}x{height} at {roi.x_offset}, {roi.y_offset}, outside of "
            f"its {full.width}x{full.height} image"
        )
    if (width, height, bx, by) == (full.width, full.height, 1, 1):
        return full
    # Centres are at integers: the middle of a bin is half a bin, less half a pixel, from its first pixel.
    part = np.array(
        [
            [1 / bx, 0, (0.5 - roi.x_offset) / bx - 0.5],
            [0, 1 / by, (0.5 - roi.y_offset) / by - 0.5],
            [0, 0, 1],
        ]
    )
    return replace(full, width=width // bx, height=height // by, k=part @ full.k, p=part @ full.p)

"""Sizes and distances by which things are told apart, where the numbers of all of them hide who is found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.types import BoolArray

DISTANCES = ((0.0, 5.0), (5.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, float("inf")))
"""Metres: the bands by which pixels and things are told apart where depth is known."""

SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, float("inf")))
"""Pixels of a thing: COCO's. What has just the pixels of a limit belongs to both sides of it, as in pycocotools."""

BY_SIZE, BY_DISTANCE = range(1, 1 + len(SIZES)), range(1 + len(SIZES), 1 + len(SIZES) + len(DISTANCES))
"""The positions of both among :func:`bands`."""


def bands(area: NDArray[Any], distance: NDArray[Any]) -> BoolArray:
    """``(1 + sizes + distances, N)`` bool: to which bands things of ``area`` ``(N,)`` pixels at ``distance`` ``(N,)``
    metres (NaN: unknown, so to none) belong; all of them to the first.
    """
    rows = [np.ones(len(area), np.bool_)]
    rows += [(area >= low) & (area <= high) for _, low, high in SIZES]
    return np.stack(rows + [(distance >= low) & (distance < high) for low, high in DISTANCES])

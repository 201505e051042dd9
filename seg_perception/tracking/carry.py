"""Masks between two looks of the instance network: moved and scaled with the track's box."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.types import Mask

NOTHING = Mask(0, 0, np.zeros((0, 0), np.bool_))


def rectangles(masks: list[Mask]) -> NDArray[np.float64]:
    """``(N, 4)`` float64 x0 y0 x1 y1: where each mask's crop lies in the image."""
    shapes = [(m.x, m.y, m.x + m.bits.shape[1], m.y + m.bits.shape[0]) for m in masks]
    return np.array(shapes, np.float64).reshape(-1, 4)


def moved(mask: Mask, rectangle: NDArray[np.intp], size: tuple[int, int]) -> Mask:
    """``mask`` stretched (nearest pixel centre) to the integer ``rectangle`` x0 y0 x1 y1 and clipped to an image of
    ``size`` (width, height).
    """
    x0, y0, x1, y1 = rectangle.tolist()
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, size[0]), min(y1, size[1])
    if right <= left or bottom <= top or not mask.bits.size:
        return NOTHING
    bits = mask.bits
    if bits.shape != (y1 - y0, x1 - x0):
        stretched = cv2.resize(
            np.ascontiguousarray(bits).view(np.uint8), (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST_EXACT
        )
        bits = stretched.view(np.bool_)
    return Mask(left, top, bits[top - y0 : bottom - y0, left - x0 : right - x0])

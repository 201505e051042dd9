"""Masks between two looks of the instance network: moved and scaled with the track's box."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.types import Mask

NOTHING = Mask(0, 0, np.zeros((0, 0), np.bool_))


def rectangles(masks: Sequence[Mask]) -> NDArray[np.float64]:
    """``(N, 2, 2)`` float64 [[x0, y0], [x1, y1]]: where the crop of each mask lies in the image."""
    corners = [(m.x, m.y, m.x + m.bits.shape[1], m.y + m.bits.shape[0]) for m in masks]
    return np.array(corners, np.float64).reshape(-1, 2, 2)


def moved(masks: Sequence[Mask], places: NDArray[np.float64], size: tuple[int, int]) -> list[Mask]:
    """Each mask stretched (nearest pixel centre) to its rectangle in ``places`` ``(N, 2, 2)``, rounded to whole
    pixels, and clipped to an image of ``size`` (width, height).
    """
    corners = np.rint(places).astype(np.intp)
    clipped = np.clip(corners, 0, np.array(size))
    return [
        _moved(mask, *corner, *clip)
        for mask, corner, clip in zip(
            masks, corners.reshape(-1, 4).tolist(), clipped.reshape(-1, 4).tolist(), strict=True
        )
    ]


def _moved(mask: Mask, x0: int, y0: int, x1: int, y1: int, left: int, top: int, right: int, bottom: int) -> Mask:
    bits = mask.bits
    if right <= left or bottom <= top or not bits.size:
        return NOTHING
    if bits.shape != (y1 - y0, x1 - x0):
        pixels = np.ascontiguousarray(bits).view(np.uint8)
        bits = cv2.resize(pixels, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST_EXACT).view(np.bool_)
    return Mask(left, top, bits[top - y0 : bottom - y0, left - x0 : right - x0])

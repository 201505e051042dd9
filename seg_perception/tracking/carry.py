"""Masks between two looks of the instance network: moved and scaled with the track's box."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.types import Mask

NOTHING = Mask(0, 0, np.zeros((0, 0), np.bool_))

HALF = 128
"""Of 255: from here on a pixel is in."""


def rectangles(masks: Sequence[Mask]) -> NDArray[np.float64]:
    """``(N, 2, 2)`` float64 [[x0, y0], [x1, y1]]: where the crop of each mask lies in the image."""
    corners = [(m.x, m.y, m.x + m.bits.shape[1], m.y + m.bits.shape[0]) for m in masks]
    return np.array(corners, np.float64).reshape(-1, 2, 2)


def moved(masks: Sequence[Mask], places: NDArray[np.float64], size: tuple[int, int]) -> list[Mask]:
    """Each mask stretched to its rectangle in ``places`` ``(N, 2, 2)``, to fractions of a pixel, and clipped to an
    image of ``size`` (width, height): bilinear between pixels' centres; what is at least half covered is in.
    """
    corners = np.clip(np.rint(places), 0.0, size).astype(np.intp).reshape(-1, 4)
    return [_moved(mask, place, *corner) for mask, place, corner in zip(masks, places, corners.tolist(), strict=True)]


def _moved(mask: Mask, place: NDArray[np.float64], left: int, top: int, right: int, bottom: int) -> Mask:
    height, width = mask.bits.shape
    if right <= left or bottom <= top or not mask.bits.size:
        return NOTHING
    (x0, y0), (x1, y1) = place.tolist()
    across, along = width / (x1 - x0), height / (y1 - y0)  # pixels of the mask per pixel of the image
    # OpenCV counts from pixels' centres, we from edges.
    back = np.array(
        [[across, 0.0, (left + 0.5 - x0) * across - 0.5], [0.0, along, (top + 0.5 - y0) * along - 0.5]], np.float64
    )
    whole = np.multiply(mask.bits, np.uint8(255), dtype=np.uint8)
    shown = cv2.warpAffine(whole, back, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return Mask(left, top, np.asarray(shown) >= HALF)

"""Image to network input: crop, resize while it is still bytes, then one table look-up per channel writes the
normalised float planes where they belong.
"""

from __future__ import annotations

import cv2
import numpy as np

from seg_perception.models.geometry import View
from seg_perception.models.manifest import Manifest
from seg_perception.types import Float32Array, UInt8Array


class Preparer:
    """Fills inputs as one manifest wants them.

    Resizing is ``cv2.INTER_LINEAR`` on uint8 (what these networks were trained with); an image that already has the
    size of its place is not touched. The table holds :meth:`Manifest.normalisation`.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._tables = manifest.normalisation()
        self._planes = (0, 1, 2) if manifest.input.channels == "rgb" else (2, 1, 0)
        self._pad = self._tables[:, manifest.input.pad]

    def fill(self, image: UInt8Array, view: View, planes: Float32Array) -> None:
        """Write what ``view`` shows of ``image`` ``(H, W, 3)`` RGB into ``planes`` ``(3, h, w)``."""
        y, x = view.y, view.x
        part = image[y.start : y.start + y.length, x.start : x.start + x.length]
        if part.shape[:2] != (y.shown, x.shown):
            part = np.asarray(cv2.resize(part, (x.shown, y.shown), interpolation=cv2.INTER_LINEAR), np.uint8)
        channels = cv2.split(part)
        top, bottom, left, right = y.placed, y.placed + y.shown, x.placed, x.placed + x.shown
        for plane, channel, table, pad in zip(planes, self._planes, self._tables, self._pad, strict=True):
            plane[:top] = pad
            plane[bottom:] = pad
            plane[top:bottom, :left] = pad
            plane[top:bottom, right:] = pad
            cv2.LUT(channels[channel], table, dst=plane[top:bottom, left:right])

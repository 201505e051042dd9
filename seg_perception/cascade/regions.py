"""Where the instance network looks: crops of the frame around what is small.

What is six pixels wide for a network that sees the whole frame is twelve in a crop of half its width and height, at the
same cost. Looks at the frame and looks at crops take turns: the frame tells what is large and what is new, the crops
what is small.
"""

from __future__ import annotations

import numpy as np

from seg_perception.cascade.policies import Situation
from seg_perception.cascade.scene import CELL
from seg_perception.types import SMALL, Float32Array, Float64Array

_MARGIN = 8.0
"""Pixels around a box that must be in a crop, so that it is not taken for cut."""


def crops(situation: Situation, most: int, zoom: float, staleness: float) -> Float32Array | None:
    """At most ``most`` crops ``(R, 4)`` float32 x0 y0 x1 y1, each ``1 / zoom`` of the frame's width and height, around
    small visible tracks and cells that show a thing which no track explains; None where there is nothing small.

    One by one the crop is taken that shows most that no crop before it has shown, by priority.
    """
    boxes, weights = _interests(situation, staleness)
    size = np.array(situation.scene.size, np.float64)
    window = size / zoom
    fits = ((boxes[:, 2:] - boxes[:, :2]) + 2 * _MARGIN <= window).all(axis=1)
    boxes, weights = boxes[fits], weights[fits]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2.0
    corner = np.clip(centres - window / 2.0, 0.0, size - window)
    # inside[i, j]: the crop around i shows all of j, with a margin unless the frame ends there.
    low = np.minimum(boxes[:, :2] - _MARGIN, size)
    high = boxes[:, 2:] + _MARGIN
    begins, ends = corner[:, None] <= np.maximum(low, 0.0), corner[:, None] + window >= np.minimum(high, size)
    inside = np.asarray((begins & ends).all(axis=-1), np.bool_)
    chosen: list[Float64Array] = []
    left = weights.copy()
    for _ in range(most):
        gain = inside @ left
        if not len(gain) or gain.max() <= 0.0:
            break
        best = int(gain.argmax())
        chosen.append(np.concatenate((corner[best], corner[best] + window)))
        left[inside[best]] = 0.0
    return np.array(chosen, np.float32) if chosen else None


def _interests(situation: Situation, staleness: float) -> tuple[Float64Array, Float64Array]:
    """Boxes ``(N, 4)`` that a crop could show, and what each is worth."""
    scene = situation.scene
    tracks, priority = scene.tracks, scene.priorities[scene.tracks.labels]
    sides = tracks.boxes[:, 2:] - tracks.boxes[:, :2]
    small = tracks.visible & (priority > 0) & (sides.prod(axis=1) < SMALL**2)
    rows, columns = np.nonzero(situation.unseen(staleness))
    corners = np.stack((columns, rows), axis=1).astype(np.float64) * CELL
    cells = np.concatenate((corners, np.minimum(corners + CELL, scene.size)), axis=1)
    boxes = np.concatenate((tracks.boxes[small].astype(np.float64), cells))
    return boxes, np.concatenate((priority[small], scene.unexplained[rows, columns])).astype(np.float64)

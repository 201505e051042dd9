"""Eight instance masks at their places in a 720p image: ours beside torchvision's paste_masks_in_image.

    python benchmarks/paste.py [--json OUT]

Both get 28 x 28 mask probabilities and boxes and threshold at 0.5. Ours makes box-cropped masks, which is all that
fusion needs; torchvision makes full-size images. torchvision pads each mask by a pixel and rounds its box outwards, so
the masks are alike and not equal: ``iou`` is the mean overlap of the two.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from side_by_side import OURS, options, report, timed, with_one_thread
from torchvision.models.detection.roi_heads import paste_masks_in_image

from seg_perception.models.geometry import Span, axis, bilinear
from seg_perception.types import Mask

HEIGHT, WIDTH, COUNT, GRID = 720, 1280, 8, 28


def ours(grids: np.ndarray, boxes: np.ndarray) -> list[Mask]:
    """What the decoder does with a prototype window, here with a grid that covers the box."""
    masks = []
    for grid, (x0, y0, x1, y1) in zip(grids, boxes, strict=True):
        rows = axis(Span(0, y1 - y0, 0, GRID, 0, y1 - y0), 0, y1 - y0, GRID, GRID)
        columns = axis(Span(0, x1 - x0, 0, GRID, 0, x1 - x0), 0, x1 - x0, GRID, GRID)
        masks.append(Mask(x0, y0, bilinear(grid, rows, columns) > 0.5))
    return masks


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Mask probabilities ``(N, 28, 28)`` float32 and their boxes ``(N, 4)`` in whole pixels."""
    rng = np.random.default_rng(0)
    noise = rng.random((COUNT, 7, 7)).astype(np.float32)
    grids = np.stack([cv2.resize(n, (GRID, GRID), interpolation=cv2.INTER_CUBIC) for n in noise])
    size = rng.integers(60, 320, (COUNT, 2))
    corner = np.stack([rng.integers(0, WIDTH - size[:, 0]), rng.integers(0, HEIGHT - size[:, 1])], axis=1)
    return grids, np.concatenate([corner, corner + size], axis=1)


def overlap(cropped: list[Mask], full: np.ndarray) -> float:
    """Mean intersection over union of box-cropped masks and full-size ones."""
    overlaps = []
    for mask, other in zip(cropped, full, strict=True):
        mine = np.zeros_like(other)
        mine[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
        overlaps.append((other & mine).sum() / (other | mine).sum())
    return float(np.mean(overlaps))


def main() -> None:
    arguments = options(__doc__, runs=40)
    grids, boxes = masks()
    places = boxes.tolist()
    tensors = torch.from_numpy(grids)[:, None], torch.from_numpy(boxes.astype(np.float32))

    def torchs() -> torch.Tensor:
        return paste_masks_in_image(*tensors, (HEIGHT, WIDTH))[:, 0] > 0.5

    iou = overlap(ours(grids, places), torchs().numpy())
    peers = {OURS: lambda: ours(grids, places), **with_one_thread({"torchvision": torchs})}
    row = {"case": "28 x 28", "ms": timed(peers, arguments.runs), "iou": f"{iou:.3f}"}
    report("paste 8 masks into 720p", [row], arguments.json)


if __name__ == "__main__":
    main()

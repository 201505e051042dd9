"""Eight instance masks at their places in a 720p image: ours beside torchvision's paste_masks_in_image.

    python benchmarks/paste.py [--json OUT]

Both get what Mask R-CNN's heads give, 28 x 28 mask probabilities and boxes, and threshold at 0.5. Ours is the whole
decoder, which makes box-cropped masks: all that fusion needs; torchvision makes full-size images by the same rule.
``iou`` is the mean overlap of the two.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from side_by_side import OURS, options, report, timed, with_one_thread
from torchvision.models.detection.roi_heads import paste_masks_in_image

from seg_perception.models.decoders import rcnn
from seg_perception.models.geometry import Span, View
from seg_perception.types import Mask

HEIGHT, WIDTH, COUNT, GRID = 720, 1280, 8, 28
VIEW = View(Span(0, HEIGHT, 0, HEIGHT, 0, HEIGHT), Span(0, WIDTH, 0, WIDTH, 0, WIDTH))
TABLE = np.arange(256, dtype=np.uint8)


def ours(grids: np.ndarray, boxes: np.ndarray) -> tuple[Mask, ...]:
    """What the decoder does; the network saw the image as it is."""
    scores, labels = np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.float32)
    return rcnn.decode(boxes, scores, labels, grids, VIEW, TABLE, score=0.5).masks


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Mask probabilities ``(N, 28, 28)`` and their boxes ``(N, 4)`` in pixels, both float32."""
    rng = np.random.default_rng(0)
    noise = rng.random((COUNT, 7, 7)).astype(np.float32)
    grids = np.stack([cv2.resize(n, (GRID, GRID), interpolation=cv2.INTER_CUBIC) for n in noise])
    size = rng.integers(60, 320, (COUNT, 2))
    corner = np.stack([rng.integers(0, WIDTH - size[:, 0]), rng.integers(0, HEIGHT - size[:, 1])], axis=1)
    # Boxes that end between pixels, as a network's do.
    return grids, (np.concatenate([corner, corner + size], axis=1) + 0.3).astype(np.float32)


def overlap(cropped: tuple[Mask, ...], full: np.ndarray) -> float:
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
    tensors = torch.from_numpy(grids)[:, None], torch.from_numpy(boxes)

    def torchs() -> torch.Tensor:
        return paste_masks_in_image(*tensors, (HEIGHT, WIDTH))[:, 0] > 0.5

    iou = overlap(ours(grids, boxes), torchs().numpy())
    peers = {OURS: lambda: ours(grids, boxes), **with_one_thread({"torchvision": torchs})}
    row = {"case": "28 x 28", "ms": timed(peers, arguments.runs), "iou": f"{iou:.3f}"}
    report("paste 8 masks into 720p", [row], arguments.json)


if __name__ == "__main__":
    main()

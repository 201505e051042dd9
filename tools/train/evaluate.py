"""Scores on single views: IoU by class, and AP50 of masks by class. The evaluation proper works on bags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tools.train.data import Shards, plain_batch
from tools.train.networks import InstanceNetwork, Network
from tools.world.variants import CLASSES, THINGS


@dataclass(frozen=True)
class Scores:
    """``iou`` by class, ``ap50`` by thing class (NaN where there is none), each 0..1."""

    iou: dict[str, float]
    ap50: dict[str, float]

    @property
    def miou(self) -> float:
        """Mean over the classes that occur."""
        return float(np.nanmean(list(self.iou.values())))

    @property
    def map50(self) -> float:
        """Mean over the thing classes that occur."""
        return float(np.nanmean(list(self.ap50.values())))

    def __str__(self) -> str:
        parts = [f"mIoU {self.miou:.3f}  " + " ".join(f"{k} {v:.2f}" for k, v in self.iou.items())]
        parts += [f"AP50 {self.map50:.3f}  " + " ".join(f"{k} {v:.2f}" for k, v in self.ap50.items())]
        return "\n".join(parts)


@dataclass(frozen=True)
class Found:
    """Instances of one picture after non-maximum suppression: scores, labels, masks ``(n, H / 2, W / 2)`` bool."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


@torch.no_grad()
def score(network: Network, shards: Shards, size: tuple[int, int], limit: int, smallest: int = 144) -> Scores:
    """On the first ``limit`` views. Things with fewer than ``smallest`` pixels (of 512x288) are not asked for."""
    network.eval()
    instances = InstanceNetwork(network)
    counts = np.zeros((len(CLASSES), len(CLASSES)))
    hits: list[tuple[int, float, bool]] = []
    wanted = np.zeros(len(THINGS))
    least = smallest * size[0] * size[1] / (512 * 288)
    for first in range(0, min(limit, len(shards)), 8):
        batch = plain_batch(shards, range(first, min(first + 8, limit, len(shards))), size)
        logits = network.semantic(network.features(batch.image)[1])
        labels = torch.nn.functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False).argmax(
            1
        )
        pairs = batch.semantic.numpy() * len(CLASSES) + labels.numpy()
        counts += np.bincount(pairs.ravel(), minlength=counts.size).reshape(counts.shape)
        rows, prototypes = instances(batch.image)
        for p in range(len(batch.image)):
            found = decode(rows[p].numpy().T, prototypes[p].numpy())
            truth = batch.thing[p, ::2, ::2].numpy()
            kind = batch.semantic[p].numpy() - (len(CLASSES) - len(THINGS))
            _match(found, truth, batch.thing[p].numpy(), kind, least, hits, wanted)
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    iou = {c: float(np.diag(counts)[i] / union[i]) if union[i] else float("nan") for i, c in enumerate(CLASSES)}
    return Scores(iou, {name: _average_precision(hits, k, wanted[k]) for k, name in enumerate(THINGS)})


def decode(rows: NDArray[np.float32], prototypes: NDArray[np.float32], least: float = 0.05, most: int = 60) -> Found:
    """``rows`` ``(A, 42)`` of the instance network → instances; greedy suppression at IoU 0.6 within a class."""
    scores, labels = rows[:, 4:10].max(1), rows[:, 4:10].argmax(1)
    order = np.argsort(-scores)
    order = order[scores[order] > least][:300]
    low, high = rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2
    kept: list[int] = []
    for i in order:
        same = [k for k in kept if labels[k] == labels[i]]
        if same:
            common = np.clip(np.minimum(high[same], high[i]) - np.maximum(low[same], low[i]), 0, None).prod(1)
            areas = (high[same] - low[same]).prod(1) + (high[i] - low[i]).prod()
            if (common / (areas - common)).max() > 0.6:
                continue
        kept.append(int(i))
        if len(kept) == most:
            break
    height, width = prototypes.shape[1:]
    masks = (rows[kept, 10:] @ prototypes.reshape(len(prototypes), -1)).reshape(-1, height, width) > 0
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    across = (x > low[kept, :1] / 2) & (x < high[kept, :1] / 2)
    down = (y > low[kept, 1:] / 2) & (y < high[kept, 1:] / 2)
    masks &= down[:, :, None] & across[:, None, :]
    return Found(scores[kept], labels[kept], masks)


def _match(
    found: Found,
    truth: NDArray[np.int64],
    full: NDArray[np.int64],
    kind: NDArray[np.int64],
    least: float,
    hits: list[tuple[int, float, bool]],
    wanted: NDArray[np.float64],
) -> None:
    """Add this picture's hits and misses. What lies mostly on a thing too small to be asked for counts as neither."""
    sizes = np.bincount(full.ravel())
    numbers = [int(n) for n in np.flatnonzero(sizes) if n]
    labels = {n: int(kind[full == n][0]) for n in numbers}
    for n in numbers:
        wanted[labels[n]] += sizes[n] >= least
    taken: set[int] = set()
    for value, label, mask in zip(found.scores, found.labels, found.masks, strict=True):
        area = mask.sum()
        if not area:
            hits.append((int(label), float(value), False))
            continue
        common = np.bincount(truth[mask], minlength=len(sizes))
        best, best_iou, small = 0, 0.0, 0
        for n in numbers:
            if sizes[n] < least:
                small += common[n]
            elif labels[n] == label and n not in taken:
                overlap = common[n] / (area + (truth == n).sum() - common[n])
                if overlap > best_iou:
                    best, best_iou = n, overlap
        if best_iou >= 0.5:
            taken.add(best)
            hits.append((int(label), float(value), True))
        elif small <= 0.3 * area:
            hits.append((int(label), float(value), False))


def _average_precision(hits: list[tuple[int, float, bool]], label: int, wanted: float) -> float:
    if not wanted:
        return float("nan")
    right = np.array([h[2] for h in sorted((h for h in hits if h[0] == label), key=lambda h: -h[1])], float)
    if not len(right):
        return 0.0
    recall = right.cumsum() / wanted
    precision = np.maximum.accumulate((right.cumsum() / (np.arange(len(right)) + 1))[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * precision).sum())

"""Batches from the shards that ``python -m tools.world shards`` writes, cropped, flipped and spoilt at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tools.train.variety import PART_LIMIT, camera, patterns, repaint
from tools.world.variants import CLASS_ID, THINGS

Pixels = NDArray[np.uint8]

SMALLEST = 24
"""Things with fewer visible pixels in the crop teach nothing: their cells are left out of the loss."""
SCALES = (0.75, 1.35)
"""How much larger than they were drawn varied views are shown."""
_FIRST_THING = CLASS_ID[THINGS[0]]


@dataclass(frozen=True)
class Batch:
    """``image`` ``(B, 3, H, W)`` float 0..1; ``semantic`` and ``thing`` ``(B, H, W)`` long; the things to find,
    padded to the most of any picture: ``number`` ``(B, M)`` long (0 pads), ``label`` ``(B, M)`` long 0..5, ``box``
    ``(B, M, 4)`` corners in pixels.
    """

    image: Tensor
    semantic: Tensor
    thing: Tensor
    number: Tensor
    label: Tensor
    box: Tensor


class Shards:
    """All views of a folder, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        self._arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))]
        if not self._arrays:
            raise FileNotFoundError(f"{folder}: no shards; make them with python -m tools.world shards")
        self._index = [(a, row) for a, array in enumerate(self._arrays) for row in range(len(array))]

    def __len__(self) -> int:
        return len(self._index)

    def view(self, index: int) -> Pixels:
        """``(288, 512, 5)`` red, green, blue, class, thing."""
        array, row = self._index[index]
        return np.asarray(self._arrays[array][row])


def training_batch(
    shards: Shards, rng: np.random.Generator, count: int, size: tuple[int, int], closest: float
) -> Batch:
    """``count`` random views, a random part of each (down to ``closest`` of its width) shown at ``size`` (w, h)."""
    parts = [_augment(shards.view(int(rng.integers(len(shards)))), rng, size, closest) for _ in range(count)]
    return _collate(parts)


class VariedBatches:
    """As :func:`training_batch`, of views made more varied by :mod:`tools.train.variety`: shown larger or smaller
    (``scales`` of how they were drawn), repainted, seen by other cameras, and a share of them put together by four.
    """

    def __init__(self, size: tuple[int, int], scales: tuple[float, float] = SCALES, fours: float = 0.15) -> None:
        self._size, self._scales, self._fours, self._patterns = size, scales, fours, patterns()

    def draw(self, pools: Sequence[Shards], rng: np.random.Generator, count: int) -> Batch:
        """``count`` pictures, as many from each of the ``pools`` on average."""
        return _collate([self._picture(pools[int(rng.integers(len(pools)))], rng) for _ in range(count)])

    def _picture(self, shards: Shards, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        width, height = self._size
        if rng.random() >= self._fours:
            return self._part(shards, rng, self._size)
        x, y = int(width * rng.uniform(0.3, 0.7)), int(height * rng.uniform(0.3, 0.7))
        image, truth = np.empty((height, width, 3), np.uint8), np.empty((height, width, 2), np.uint8)
        for number, (left, top) in enumerate([(0, 0), (x, 0), (0, y), (x, y)]):
            w, h = (width - x if left else x), (height - y if top else y)
            pixels, labels = self._part(shards, rng, (w, h))
            labels[..., 1] += ((labels[..., 1] > 0) * PART_LIMIT * number).astype(np.uint8)
            image[top : top + h, left : left + w], truth[top : top + h, left : left + w] = pixels, labels
        return image, truth

    def _part(self, shards: Shards, rng: np.random.Generator, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
        view = shards.view(int(rng.integers(len(shards))))
        height, width = view.shape[:2]
        # The smallest scale at which the view still fills the picture.
        least = max(size[0] / width, size[1] / height)
        scale = max(least, float(np.exp(rng.uniform(*np.log(self._scales)))))
        stretch = float(np.exp(rng.uniform(-0.1, 0.1)))
        w, h = min(width, round(size[0] / scale)), min(height, round(size[1] / scale * stretch))
        x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        image, truth = _resize(view[y : y + h, x : x + w], size)
        if rng.random() < 0.5:
            image, truth = image[:, ::-1], truth[:, ::-1]
        image, truth = np.ascontiguousarray(image), np.ascontiguousarray(truth)
        truth[..., 1] %= PART_LIMIT
        if rng.random() < 0.75:
            image = repaint(image, truth, shards.view(int(rng.integers(len(shards)))), self._patterns, rng)
        return camera(_recolour(image, rng), rng), truth


def plain_batch(shards: Shards, indices: range, size: tuple[int, int]) -> Batch:
    """Whole views as they are, resized."""
    return _collate([_resize(shards.view(i), size) for i in indices])


def _resize(view: Pixels, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    kind = cv2.INTER_AREA if view.shape[1] > size[0] else cv2.INTER_LINEAR
    image = cv2.resize(np.ascontiguousarray(view[..., :3]), size, interpolation=kind)
    truth = cv2.resize(np.ascontiguousarray(view[..., 3:]), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(image, np.uint8), np.asarray(truth, np.uint8)


def _augment(view: Pixels, rng: np.random.Generator, size: tuple[int, int], closest: float) -> tuple[Pixels, Pixels]:
    height, width = view.shape[:2]
    w = width * float(np.exp(rng.uniform(np.log(closest), 0.0)))
    h = min(height, w * size[1] / size[0] * float(np.exp(rng.uniform(-0.12, 0.12))))
    x, y = int(rng.integers(width - int(w) + 1)), int(rng.integers(height - int(h) + 1))
    image, truth = _resize(view[y : y + int(h), x : x + int(w)], size)
    if rng.random() < 0.5:
        image, truth = image[:, ::-1], truth[:, ::-1]
    return _recolour(np.ascontiguousarray(image), rng), truth


def _recolour(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Another camera: mixed channels, contrast, gamma, blur, now and then no colour at all."""
    mix = np.eye(3) * rng.uniform(0.75, 1.25, 3) + rng.uniform(-0.12, 0.12, (3, 3))
    if rng.random() < 0.08:
        mix = np.full((3, 3), 1 / 3)
    mixed = cv2.transform(image, mix)
    ramp = np.clip((np.arange(256) / 255 - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + rng.uniform(-0.15, 0.15), 0, 1)
    mixed = cv2.LUT(mixed, (255 * ramp ** rng.uniform(0.75, 1.35)).astype(np.uint8))
    if rng.random() < 0.2:
        mixed = cv2.GaussianBlur(mixed, (0, 0), float(rng.uniform(0.3, 1.2)))
    return np.asarray(mixed, np.uint8)


def _collate(parts: list[tuple[Pixels, Pixels]]) -> Batch:
    images = torch.from_numpy(np.stack([image for image, _ in parts])).permute(0, 3, 1, 2)
    truth = torch.from_numpy(np.stack([np.ascontiguousarray(truth) for _, truth in parts])).long()
    found = [_things(part[1]) for part in parts]
    most = max(1, *(len(f) for f in found))
    table = np.zeros((len(parts), most, 6), np.float32)
    for row, things in zip(table, found, strict=True):
        row[: len(things)] = things
    numbers = torch.from_numpy(table)
    return Batch(
        images.float().div_(255).contiguous(memory_format=torch.channels_last),
        truth[..., 0],
        truth[..., 1],
        numbers[..., 0].long(),
        numbers[..., 1].long(),
        numbers[..., 2:],
    )


def _things(truth: Pixels) -> NDArray[np.float32]:
    """``(n, 6)``: number, label, box of every thing that is large enough."""
    rows = []
    for number in np.flatnonzero(np.bincount(truth[..., 1].ravel()) >= SMALLEST):
        if number == 0:
            continue
        y, x = np.nonzero(truth[..., 1] == number)
        rows.append((number, truth[y[0], x[0], 0] - _FIRST_THING, x.min(), y.min(), x.max() + 1, y.max() + 1))
    return np.array(rows, np.float32).reshape(-1, 6)

"""Where the pixels of an image fall in a network's input, and where those fall in its outputs.

All coordinates have pixel edges at integers (see :mod:`seg_perception.types`), so every step is one scale and one
shift per axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from seg_perception.models.manifest import Input
from seg_perception.types import Float32Array


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a view: the image pixels ``start .. start + length`` are shown as the input pixels ``placed ..
    placed + shown``; of them the view alone decides ``own_start .. own_stop`` (tiles share their overlap).
    """

    start: int
    length: int
    placed: int
    shown: int
    own_start: int
    own_stop: int

    @property
    def scale(self) -> float:
        """Input pixels per image pixel."""
        return self.shown / self.length

    def to_image(self, coordinate: Float32Array) -> Float32Array:
        """Input coordinates as image coordinates."""
        return ((coordinate - self.placed) / self.scale + self.start).astype(np.float32)


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle of the image as one input of the network."""

    y: Span
    x: Span

    @property
    def own(self) -> tuple[slice, slice]:
        """The image pixels that this view alone decides."""
        return slice(self.y.own_start, self.y.own_stop), slice(self.x.own_start, self.x.own_stop)

    @property
    def scale(self) -> float:
        """Input pixels per image pixel along the coarser axis."""
        return min(self.x.scale, self.y.scale)


def views(spec: Input, height: int, width: int) -> tuple[View, ...]:
    """The views that together show an image of that size: one for ``stretch`` and ``letterbox``; for ``tiles`` the
    tiles row by row, then the whole image if ``tiles.whole`` asks for it and there is more than one tile.
    """
    if spec.resize == "stretch":
        rows, columns = (Span(0, n, 0, size, 0, n) for n, size in zip((height, width), spec.size, strict=True))
        return (View(rows, columns),)
    if spec.resize == "letterbox":
        return (_letterboxed((0, height, 0, height), (0, width, 0, width), spec.size, (height, width)),)
    tiles = tuple(
        _letterboxed(row, column, spec.size, spec.tiles.size)
        for row in _tile_axis(height, spec.tiles.size[0], spec.tiles.overlap)
        for column in _tile_axis(width, spec.tiles.size[1], spec.tiles.overlap)
    )
    if spec.tiles.whole and len(tiles) > 1:
        tiles += (_letterboxed((0, height, 0, height), (0, width, 0, width), spec.size, (height, width)),)
    return tiles


def region_views(spec: Input, regions: Float32Array, height: int, width: int) -> tuple[View, ...]:
    """A view of each of ``regions`` ``(R, 4)`` x0 y0 x1 y1 of an image of that size, rounded to whole pixels and as
    large as the network's input allows.
    """
    shown: list[View] = []
    for x0, y0, x1, y1 in np.rint(regions).astype(np.intp).tolist():
        left, top = max(0, min(x0, width - 1)), max(0, min(y0, height - 1))
        right, bottom = max(left + 1, min(x1, width)), max(top + 1, min(y1, height))
        size = (bottom - top, right - left)
        shown.append(_letterboxed((top, bottom, top, bottom), (left, right, left, right), spec.size, size))
    return tuple(shown)


def _letterboxed(
    row: tuple[int, int, int, int], column: tuple[int, int, int, int], size: tuple[int, int], fitted: tuple[int, int]
) -> View:
    """A view of ``row`` x ``column`` (start, stop, own start, own stop) in the middle of an input of ``size``, at the
    scale at which ``fitted`` (height, width) just fits in.
    """
    scale = min(size[0] / fitted[0], size[1] / fitted[1])

    def span(part: tuple[int, int, int, int], room: int) -> Span:
        start, stop, own_start, own_stop = part
        shown = min(room, max(1, round((stop - start) * scale)))
        return Span(start, stop - start, (room - shown) // 2, shown, own_start, own_stop)

    return View(span(row, size[0]), span(column, size[1]))


def _tile_axis(length: int, tile: int, overlap: float) -> list[tuple[int, int, int, int]]:
    """``length`` pixels cut into tiles as (start, stop, own start, own stop): evenly spread, neighbours share at least
    ``overlap`` of a tile and split it in its middle.
    """
    if length <= tile:
        return [(0, length, 0, length)]
    count = ceil((length - overlap * tile) / ((1 - overlap) * tile))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    seams = [0, *((a + tile + b) // 2 for a, b in pairwise(starts)), length]
    return [(s, s + tile, *own) for s, own in zip(starts, pairwise(seams), strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Bilinear interpolation along one axis: output ``i`` is ``grid[low[i]] * (1 - weight[i]) + grid[high[i]] *
    weight[i]``.

    ``cell`` is the grid gap that output ``i`` lies in: 0 before the first grid point, ``g`` between the points ``g-1``
    and ``g``, up to ``size`` after the last, where ``size`` is the number of grid points. It never falls. Unclamped,
    output ``i`` lies at grid position ``scale * i + offset`` (grid points at integers).
    """

    size: int
    scale: float
    offset: float
    cell: NDArray[np.intp]
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: Float32Array

    def __len__(self) -> int:
        return len(self.cell)

    def part(self, start: int, stop: int) -> tuple[slice, Axis]:
        """The grid points that the outputs ``start .. stop`` need, and the axis from those alone to these outputs."""
        low, high = int(self.low[start]), int(self.high[stop - 1]) + 1
        cut = slice(start, stop)
        axis = Axis(
            high - low,
            self.scale,
            self.offset + self.scale * start - low,
            self.cell[cut] - low,
            self.low[cut] - low,
            self.high[cut] - low,
            self.weight[cut],
        )
        return slice(low, high), axis

    @property
    def identity(self) -> bool:
        """Every output is the grid point of its own index."""
        return len(self) == self.size and not self.weight.any() and bool((self.low == np.arange(self.size)).all())


def axis(span: Span, start: int, stop: int, input_size: int, grid_size: int) -> Axis:
    """How the image pixels ``start .. stop`` of a view fall on a grid of ``grid_size`` points that covers the
    network's input of ``input_size`` pixels.

    Half-pixel centres, clamped at the borders: for a view that is the whole image this is ``torch.nn.functional.
    interpolate(mode="bilinear", align_corners=False)``, its float32 coordinates included.
    """
    grid_per_input = grid_size / input_size
    scale = np.float32(span.scale * grid_per_input)
    offset = np.float32(span.placed * grid_per_input - 0.5)
    position = np.arange(start - span.start, stop - span.start, dtype=np.float32)
    position += np.float32(0.5)
    position *= scale
    position += offset
    # A mask's axes are a good part of its time: ufuncs with few temporaries, not np.clip.
    cell = np.floor(position).astype(np.intp)
    cell += 1
    np.minimum(np.maximum(cell, 0, out=cell), grid_size, out=cell)
    low = np.maximum(cell - 1, 0)
    high = np.minimum(cell, grid_size - 1)
    weight = position - low.astype(np.float32)
    weight[low == high] = 0
    return Axis(grid_size, float(scale), float(position[0]), cell, low, high, weight)


@lru_cache(maxsize=256)
def lasting_axis(span: Span, start: int, stop: int, input_size: int, grid_size: int) -> Axis:
    """:func:`axis`, remembered: a camera's views are the same in every frame."""
    return axis(span, start, stop, input_size, grid_size)


class Cells:
    """The output pixels of each cell of one axis (see :class:`Axis`), as tables of equal length: ``index[p, cell]`` and
    ``weight[p, cell]`` of the p-th of ``count[cell]``, the last one repeated where a cell has fewer. Cell ``i`` lies
    between the grid points ``low[i]`` and ``high[i]``.
    """

    def __init__(self, along: Axis) -> None:
        cells = along.size + 1
        self.count = np.bincount(along.cell, minlength=cells)
        first = np.cumsum(self.count) - self.count
        step = np.minimum(np.arange(max(int(self.count.max()), 1))[:, None], np.maximum(self.count - 1, 0))
        self.index: NDArray[np.intp] = np.minimum(first + step, len(along) - 1)
        self.weight: Float32Array = along.weight[self.index]
        self.low = np.maximum(np.arange(cells) - 1, 0)
        self.high = np.minimum(np.arange(cells), along.size - 1)


@lru_cache(maxsize=256)
def lasting_cells(along: Axis) -> Cells:
    """The cells of an axis, remembered as :func:`lasting_axis` is."""
    return Cells(along)


def bilinear(grid: Float32Array, rows: Axis, columns: Axis) -> Float32Array:
    """``(..., h, w)`` values interpolated to ``(..., len(rows), len(columns))``, first along columns."""
    wide = np.take(grid, columns.low, axis=-1)
    wide *= 1 - columns.weight
    right = np.take(grid, columns.high, axis=-1)
    right *= columns.weight
    wide += right
    return lerp_rows(wide, rows)


def lerp_rows(grid: Float32Array, rows: Axis) -> Float32Array:
    """``(..., h, w)`` values interpolated to ``(..., len(rows), w)``."""
    upper = np.take(grid, rows.low, axis=-2)
    upper *= (1 - rows.weight)[:, None]
    lower = np.take(grid, rows.high, axis=-2)
    lower *= rows.weight[:, None]
    upper += lower
    return upper

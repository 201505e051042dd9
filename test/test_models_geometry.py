"""Views cover the image, and axes are torch's bilinear coordinates."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.models.geometry import Axis, Span, axis, bilinear, views
from seg_perception.models.manifest import Input, Tiles

SIZES = st.integers(1, 700)


def reference_axis(outputs: int, grid: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The published rule of align_corners=False, pixel by pixel, in float64."""
    position = np.maximum((np.arange(outputs) + 0.5) * grid / outputs - 0.5, 0)
    low = np.minimum(np.floor(position).astype(int), grid - 1)
    return low, np.minimum(low + 1, grid - 1), np.clip(position - low, 0, 1)


def whole(outputs: int, grid: int) -> Axis:
    return axis(Span(0, outputs, 0, grid, 0, outputs), 0, outputs, grid, grid)


@settings(deadline=None)
@given(SIZES, st.integers(1, 200))
def test_axis_is_the_published_rule(outputs: int, grid: int) -> None:
    mine, (low, high, weight) = whole(outputs, grid), reference_axis(outputs, grid)
    values = np.random.default_rng(outputs).random(grid)
    ours = values[mine.low] * (1 - mine.weight) + values[mine.high] * mine.weight
    np.testing.assert_allclose(ours, values[low] * (1 - weight) + values[high] * weight, atol=2e-4)


@settings(deadline=None)
@given(st.integers(2, 300), st.integers(1, 60), st.data())
def test_a_part_of_an_axis_interpolates_the_same(outputs: int, grid: int, data: st.DataObject) -> None:
    mine = whole(outputs, grid)
    start = data.draw(st.integers(0, outputs - 1))
    stop = data.draw(st.integers(start + 1, outputs))
    values = np.random.default_rng(0).random((1, grid)).astype(np.float32)
    rows = whole(1, 1)
    source, part = mine.part(start, stop)
    np.testing.assert_array_equal(
        bilinear(values[:, source], rows, part)[0], bilinear(values, rows, mine)[0, start:stop]
    )
    assert part.cell.min() >= 0
    assert part.cell.max() <= part.size


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "tiles"])
@settings(deadline=None)
@given(height=SIZES, width=SIZES, tile=st.tuples(st.integers(8, 400), st.integers(8, 400)), overlap=st.floats(0, 0.8))
def test_every_pixel_is_decided_by_one_view(
    resize: str, height: int, width: int, tile: tuple[int, int], overlap: float
) -> None:
    spec = Input(name="x", size=(64, 96), resize=resize, tiles=Tiles(tile, overlap))  # type: ignore[arg-type]
    count = np.zeros((height, width), int)
    for view in views(spec, height, width):
        count[view.own] += 1
        for span, size, image in ((view.y, 64, height), (view.x, 96, width)):
            assert span.start <= span.own_start < span.own_stop <= span.start + span.length <= image
            assert span.placed >= 0
            assert span.shown >= 1
            assert span.placed + span.shown <= size
    assert (count == 1).all()


def test_tiles_share_at_least_the_overlap_and_the_whole_image_comes_last() -> None:
    spec = Input(name="x", size=(320, 320), resize="tiles", tiles=Tiles((448, 448), 0.4, whole=True))
    shown = views(spec, 375, 1242)
    assert len(shown) == 5
    for left, right in pairwise(shown[:4]):
        assert left.x.start + left.x.length - right.x.start >= 0.4 * 448 - 1
    assert shown[0].x.start == 0
    assert shown[3].x.start + shown[3].x.length == 1242
    assert (shown[4].x.length, shown[4].y.length) == (1242, 375)


def test_letterbox_keeps_the_aspect_and_coordinates_come_back() -> None:
    (view,) = views(Input(name="x", size=(512, 1024), resize="letterbox"), 375, 1242)
    assert (view.x.placed, view.x.shown) == (0, 1024)
    assert (view.y.placed, view.y.shown) == (101, 309)
    np.testing.assert_allclose(view.y.to_image(np.float32([101, 410])), [0, 375])
    np.testing.assert_allclose(view.x.to_image(np.float32([0, 1024])), [0, 1242])

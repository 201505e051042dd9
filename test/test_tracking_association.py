"""Overlaps against plain loops, the assignment against all permutations, carried masks, ids."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.tracking.association import Pairs, assign, grown, overlapping
from seg_perception.tracking.carry import moved, rectangles
from seg_perception.tracking.ids import IdCounter
from seg_perception.types import MAX_TRACK_ID, Mask

SEEDS = st.integers(0, 2**32 - 1)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@settings(deadline=None)
@given(SEEDS, st.integers(0, 6), st.integers(0, 6))
def test_overlapping_equals_a_plain_loop(seed: int, tracks: int, detections: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (tracks + detections, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(1, 60, corner.shape)), axis=1)
    a, b = boxes[:tracks], boxes[tracks:]
    expected = {(i, j): iou(a[i], b[j]) for i in range(tracks) for j in range(detections)}
    pairs = overlapping(a.T, b.T, 0.25)
    found = dict(zip(zip(pairs.tracks.tolist(), pairs.detections.tolist(), strict=True), pairs.overlap, strict=True))
    for pair, value in expected.items():
        if abs(value - 0.25) > 1e-5:
            assert (pair in found) == (value > 0.25)
    for pair, value in found.items():
        assert value == pytest.approx(expected[pair], abs=1e-5)
    assert list(found) == sorted(found)


@settings(deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 5), st.floats(0.2, 1.0))
def test_assignment_is_optimal(seed: int, tracks: int, detections: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random((tracks, detections)) < density, rng.uniform(0.01, 1, (tracks, detections)), 0.0)
    rows, columns = np.nonzero(gain)
    weights = gain[rows, columns]
    chosen, partners = assign(Pairs(rows, columns, weights), weights)
    assert len(set(chosen)) == len(set(partners)) == len(chosen)
    assert (gain[chosen, partners] > 0).all()
    wide = gain if tracks <= detections else gain.T
    best = max(
        sum(wide[i, j] for i, j in enumerate(order)) for order in permutations(range(wide.shape[1]), wide.shape[0])
    )
    assert gain[chosen, partners].sum() == pytest.approx(best)


def test_grown_boxes_keep_their_centre_and_gain_on_every_side() -> None:
    boxes = np.array([[10.0, 20.0, 30.0, 60.0], [0.0, 0.0, 1.0, 2.0]]).T
    np.testing.assert_allclose(grown(boxes, 0.5).T, [[0.0, 0.0, 40.0, 80.0], [-0.5, -1.0, 1.5, 3.0]])
    np.testing.assert_array_equal(grown(boxes, 0.0), boxes)


def random_mask(rng: np.random.Generator) -> Mask:
    height, width = (int(v) for v in rng.integers(1, 20, 2))
    return Mask(int(rng.integers(0, 20)), int(rng.integers(0, 20)), rng.random((height, width)) < 0.6)


def drawn(mask: Mask, dx: int = 0, dy: int = 0) -> np.ndarray:
    """The mask in a picture that has 40 pixels of margin around the origin."""
    picture = np.zeros((120, 120), np.bool_)
    height, width = mask.bits.shape
    picture[40 + mask.y + dy :, 40 + mask.x + dx :][:height, :width] = mask.bits
    return picture


@settings(deadline=None)
@given(SEEDS, st.floats(0.4, 2.5), st.floats(-30, 30), st.floats(-30, 30))
def test_moved_masks_lie_inside_the_image(seed: int, scale: float, dx: float, dy: float) -> None:
    mask = random_mask(np.random.default_rng(seed))
    place = rectangles([mask]) * scale + np.array([dx, dy])
    (out,) = moved([mask], place, (30, 25))
    height, width = out.bits.shape
    assert out.x >= 0
    assert out.y >= 0
    assert out.x + width <= 30
    assert out.y + height <= 25
    assert out.bits.dtype == np.bool_


def test_moved_by_whole_pixels_is_a_shift() -> None:
    mask = random_mask(np.random.default_rng(3))
    (out,) = moved([mask], rectangles([mask]) + np.array([4.2, -3.3]), (100, 100))
    expected = drawn(mask, 4, -3)[40:, 40:]
    picture = np.zeros_like(expected)
    picture[out.y :, out.x :][: out.bits.shape[0], : out.bits.shape[1]] = out.bits
    np.testing.assert_array_equal(picture, expected)


@settings(deadline=None)
@given(SEEDS, st.floats(0.5, 3.0), st.floats(0.5, 3.0), st.floats(0, 40), st.floats(0, 40))
def test_moved_masks_hold_what_is_covered_by_half(seed: int, wide: float, high: float, dx: float, dy: float) -> None:
    mask = random_mask(np.random.default_rng(seed))
    place = rectangles([mask])[0] * (wide, high) + np.array([dx, dy])
    (out,) = moved([mask], place[None], (200, 200))
    picture = np.zeros((200, 200), np.bool_)
    picture[out.y :, out.x :][: out.bits.shape[0], : out.bits.shape[1]] = out.bits
    # How much of each pixel is covered: the mask is 1 at its pixels' centres, 0 at those around it.
    spots = [(np.arange(200) + 0.5 - start) / by - 0.5 for start, by in zip(place[0], (wide, high), strict=True)]
    across, along = (
        np.maximum(1.0 - np.abs(at[:, None] - np.arange(n)), 0.0)
        for at, n in zip(spots, mask.bits.shape[::-1], strict=True)
    )
    covered = along @ mask.bits.astype(float) @ across.T
    # OpenCV's weights have 32 steps along each axis.
    sure = np.abs(covered - 0.5) > 0.07
    np.testing.assert_array_equal(picture[sure], covered[sure] > 0.5)


def test_moved_to_double_size_repeats_every_pixel() -> None:
    mask = Mask(2, 3, np.array([[True, False], [False, True]]))
    (out,) = moved([mask], rectangles([mask]) * 2, (100, 100))
    assert (out.x, out.y) == (4, 6)
    np.testing.assert_array_equal(out.bits, np.kron(mask.bits, np.ones((2, 2), bool)).astype(bool))


def test_ids_count_up_and_wrap_past_live_ones() -> None:
    ids = IdCounter()
    assert [ids.next(()) for _ in range(3)] == [1, 2, 3]
    ids = IdCounter(MAX_TRACK_ID - 1)
    live = {1, 2, 4}
    given_out = []
    for _ in range(4):
        given_out.append(ids.next(live))
        live.add(given_out[-1])
    assert given_out == [MAX_TRACK_ID, 3, 5, 6]

"""Overlaps of panoptic maps: every pixel counted once, whatever the ids and types; sums are those of the video."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seg_perception.errors import InputError
from seg_perception.evaluation.segments import Overlap, Segments, numbered, overlap
from seg_perception.types import UNLABELLED

THINGS = np.isin(np.arange(256), (11, 13))
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
IDS = st.one_of(st.integers(0, 3), st.sampled_from([-(2**31), -1, 255, 5 << 16 | 11, 32767 << 16 | 19, 2**31 - 1]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    maps = hnp.arrays(np.int32, shape, elements=IDS, fill=IDS)
    return draw(maps), draw(maps)


def brute(pair: tuple[np.ndarray, np.ndarray]) -> Counter[tuple[int, int]]:
    return Counter(zip(pair[0].ravel().tolist(), pair[1].ravel().tolist(), strict=True))


def counted(pair: Overlap) -> Counter[tuple[int, int]]:
    rows, columns = np.nonzero(pair.pixels)
    return Counter(
        {
            (int(pair.truth[r]), int(pair.predicted[c])): int(pair.pixels[r, c])
            for r, c in zip(rows, columns, strict=True)
        }
    )


@given(pairs())
def test_every_pixel_counts_once(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = overlap(*pair)
    assert counted(found) == brute(pair)
    assert (found.truth_area > 0).all()
    assert (found.predicted_area > 0).all()
    for ids in (found.truth, found.predicted):
        assert (np.diff(ids) > 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_any_integer_type(dtype: type) -> None:
    truth = np.array([[0, 0, 7], [7, 7, 100]], dtype)
    found = overlap(truth, truth[::-1].astype(np.int32))
    assert counted(found) == {(0, 7): 2, (7, 100): 1, (7, 0): 2, (100, 7): 1}


def test_views_are_maps_too() -> None:
    big = np.arange(48, dtype=np.int32).reshape(6, 8) // 5
    assert counted(overlap(big[::2, 1:-1], big[::2, 1:-1])) == {
        (k, k): n for k, n in Counter((big[::2, 1:-1]).ravel().tolist()).items()
    }


@given(st.lists(pairs(), max_size=3))
def test_overlaps_of_frames_add_up_to_that_of_the_video(frames: list[tuple[np.ndarray, np.ndarray]]) -> None:
    total = sum((overlap(*pair) for pair in frames), Overlap.empty())
    assert counted(total) == sum((brute(pair) for pair in frames), Counter())


@given(hnp.arrays(np.int32, st.integers(1, 40), elements=st.integers(-(2**31), 2**31 - 1)))
def test_numbered_is_unique_with_its_inverse(values: np.ndarray) -> None:
    ids, index = numbered(values)
    expected_ids, expected = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(index, expected.reshape(-1))


@pytest.mark.parametrize("values", [np.arange(1 << 16), np.arange(1 << 17), np.arange(0, 1 << 30, 1 << 12)])
def test_numbered_with_more_values_than_its_tables_hold(values: np.ndarray) -> None:
    ids, index = numbered(np.append(values, values[:5]))
    np.testing.assert_array_equal(ids, values)
    np.testing.assert_array_equal(index, np.append(np.arange(len(values)), np.arange(5)))


def test_maps_of_two_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="truth is 4 x 3 and the prediction 3 x 4"):
        overlap(np.zeros((3, 4), np.int32), np.zeros((4, 3), np.int32))


def test_noise_is_no_panoptic_map() -> None:
    noise = np.arange(10_000, dtype=np.int32).reshape(100, 100)
    with pytest.raises(InputError, match="10000 and 10000 segments"):
        overlap(noise, noise)


def test_no_pixels() -> None:
    assert overlap(np.zeros((0, 4), np.int32), np.zeros((0, 4), np.int32)).pixels.size == 0


def test_the_encoding_of_ids() -> None:
    ids = np.array([3, 11, 255, 7 << 16 | 11, -1])
    truth = Segments.truth(ids, THINGS)
    assert truth.classes.tolist() == [3, 11, UNLABELLED, 11, UNLABELLED]
    assert truth.crowd.tolist() == [False, True, False, False, False]
    predicted = Segments.predicted(ids, THINGS)
    assert predicted.classes.tolist() == [3, UNLABELLED, UNLABELLED, 11, UNLABELLED]
    assert not predicted.crowd.any()


def test_what_is_not_listed_is_void() -> None:
    segments = Segments(np.array([9, 4]), np.array([2, 1], np.uint8), np.array([True, False]))
    found = segments.of(np.array([4, 5, 9]))
    assert found.classes.tolist() == [1, UNLABELLED, 2]
    assert found.crowd.tolist() == [False, False, True]


def test_small_things_and_rare_stuff_become_void() -> None:
    # Stuff 3 in two ids of 60 pixels each is 120 in all; stuff 4 has 99; the crowd of 11 stays.
    ids = np.array([3, 1 << 16 | 3, 4, 11, 7 << 16 | 11, 8 << 16 | 11])
    pixels = np.array([60, 60, 99, 5, 49, 50])
    found = Segments.truth(ids, THINGS).without_small(pixels, THINGS, min_thing=50, min_stuff=100)
    assert found.classes.tolist() == [3, 3, UNLABELLED, 11, UNLABELLED, 11]
    assert Segments.truth(ids, THINGS).without_small(pixels, THINGS, 0, 0).classes.tolist() == [3, 3, 4, 11, 11, 11]


def test_void_counts_for_no_union() -> None:
    pair = overlap(np.array([[1, 1, 0, 0]]), np.array([[2, 2, 2, 3]]))
    np.testing.assert_allclose(pair.iou(np.array([False, False])), [[1 / 4, 1 / 2], [2 / 3, 0]])
    np.testing.assert_allclose(pair.iou(np.array([True, False])), [[0, 0], [1, 0]])

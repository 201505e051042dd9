"""The confusion matrix: worked by hand, held against a count pixel by pixel and against torchmetrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seg_perception.errors import InputError
from seg_perception.evaluation.confusion import Confusion, confusion, folded
from seg_perception.evaluation.segments import overlap
from seg_perception.types import UNLABELLED

CLASSES = 4
LABELS = st.sampled_from([0, 1, 2, 3, UNLABELLED])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=10))
    maps = hnp.arrays(np.uint8, shape, elements=LABELS)
    return draw(maps), draw(maps)


def test_worked_by_hand() -> None:
    truth = np.array([[0, 0, 0, 1], [1, 1, UNLABELLED, 2]], np.uint8)
    predicted = np.array([[0, 0, 1, 1], [1, UNLABELLED, 3, 0]], np.uint8)
    found = confusion(truth, predicted, CLASSES)
    assert found.counts.tolist() == [
        [2, 1, 0, 0, 0],
        [0, 2, 0, 0, 1],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0],
    ]
    # 0: 2 of 3 true and 3 predicted; 1: 2 of 3 and 3; 2: never right; 3: only where the truth is void.
    np.testing.assert_array_equal(found.iou, [2 / 4, 2 / 4, 0, np.nan])
    assert found.miou == pytest.approx(1 / 3)
    assert found.pixel_accuracy == pytest.approx(4 / 7)


@given(pairs())
def test_every_pixel_counts_once(pair: tuple[np.ndarray, np.ndarray]) -> None:
    expected = np.zeros((CLASSES + 1, CLASSES + 1), np.int64)
    for t, p in zip(*(image.ravel().tolist() for image in pair), strict=True):
        expected[min(t, CLASSES), min(p, CLASSES)] += 1
    np.testing.assert_array_equal(confusion(*pair, CLASSES).counts, expected)
    joint = overlap(*pair)
    np.testing.assert_array_equal(folded(joint.pixels, joint.truth, joint.predicted, CLASSES).counts, expected)


@given(pairs(), pairs())
def test_frames_add_up(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> None:
    both = [np.concatenate([a.ravel(), b.ravel()])[None] for a, b in zip(one, other, strict=True)]
    total = confusion(*one, CLASSES) + confusion(*other, CLASSES) + Confusion.zero(CLASSES)
    np.testing.assert_array_equal(total.counts, confusion(*both, CLASSES).counts)


def test_counts_are_exact_beyond_what_a_float_counts() -> None:
    image = np.zeros((4100, 4100), np.uint8)  # 16,810,000 pixels; float32 counts to 16,777,216
    image[0, 0] = 1
    assert confusion(image, image, 2).counts.tolist() == [[4100 * 4100 - 1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_nothing_to_score() -> None:
    void = np.full((2, 2), UNLABELLED, np.uint8)
    found = confusion(void, np.zeros((2, 2), np.uint8), CLASSES)
    assert np.isnan(found.miou)
    assert np.isnan(found.pixel_accuracy)


def test_maps_of_two_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="one size"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


@pytest.fixture(scope="module")
def jaccard_index() -> Callable[..., Any]:
    return pytest.importorskip("torchmetrics.functional").jaccard_index


@given(pairs())
def test_equals_torchmetrics(jaccard_index: Callable[..., Any], pair: tuple[np.ndarray, np.ndarray]) -> None:
    import torch

    # It knows void in the truth only.
    truth, predicted = pair[0], np.where(pair[1] == UNLABELLED, 0, pair[1])
    found = confusion(truth, predicted, CLASSES)
    tensors = torch.from_numpy(predicted.astype(np.int64)), torch.from_numpy(truth.astype(np.int64))
    options = {"task": "multiclass", "num_classes": CLASSES, "ignore_index": UNLABELLED}
    by_class = jaccard_index(*tensors, average="none", **options)
    np.testing.assert_allclose(np.nan_to_num(found.iou), by_class, rtol=1e-6)
    if not np.isnan(found.miou):
        assert found.miou == pytest.approx(float(jaccard_index(*tensors, average="macro", **options)), rel=1e-6)

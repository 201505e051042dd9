"""Borders: worked by hand, and equal to the definitions pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seg_perception.evaluation.boundary import Boundary, boundary, boundary_width
from seg_perception.types import UNLABELLED

CLASSES = 2


def band(mask: np.ndarray, width: int) -> np.ndarray:
    """The pixels of ``mask`` from which a step of ``width`` or less leads out of it, or out of the image."""
    outside = ~np.pad(mask, width)
    found = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        found[y, x] = outside[y : y + 2 * width + 1, x : x + 2 * width + 1].any()
    return found


def near(edge: np.ndarray, width: int) -> np.ndarray:
    points = np.argwhere(edge)
    grid = np.argwhere(np.ones_like(edge))
    distances = np.linalg.norm(grid[:, None] - points[None], axis=2)
    return (distances <= width).any(1).reshape(edge.shape)


@settings(deadline=None)
@given(st.data(), st.integers(1, 3))
def test_equals_the_definition(data: st.DataObject, width: int) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=9))
    maps = hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 0, 1, UNLABELLED]))
    truth, predicted = data.draw(maps), data.draw(maps)
    found = boundary(truth, predicted, CLASSES, width)
    judged = truth < CLASSES
    for label in range(CLASSES):
        t, p = truth == label, (predicted == label) & judged
        true_band, found_band, true_edge, found_edge = band(t, width), band(p, width), band(t, 1), band(p, 1)
        assert found.intersection[label] == (true_band & found_band).sum()
        assert found.union[label] == (true_band | found_band).sum()
        assert (found.predicted[label], found.true[label]) == (found_edge.sum(), true_edge.sum())
        assert found.precise[label] == (found_edge & near(true_edge, width)).sum()
        assert found.recalled[label] == (true_edge & near(found_edge, width)).sum()


def test_a_square_moved_by_one_pixel() -> None:
    truth, predicted = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    truth[5:11, 5:11], predicted[5:11, 6:12] = 1, 1
    found = boundary(truth, predicted, CLASSES, 1)
    # Rings of 20 pixels that share five above, five below, and none at the sides.
    assert (found.intersection[1], found.union[1]) == (10, 30)
    assert found.iou[1] == pytest.approx(1 / 3)
    assert found.f1[1] == 1.0
    total = found + found + Boundary.zero(CLASSES)
    assert total.true[1] == 40
    assert total.iou[1] == found.iou[1]


def test_a_class_that_is_nowhere_and_one_that_is_missed() -> None:
    truth = np.full((6, 6), UNLABELLED, np.uint8)
    truth[:, :3] = 1
    found = boundary(truth, np.zeros_like(truth), 3, 2)
    assert np.isnan(found.iou[2])
    assert np.isnan(found.f1[2])
    assert (found.iou[1], found.f1[1]) == (0.0, 0.0)


def test_the_width_of_the_band() -> None:
    assert boundary_width(720, 1280) == 29
    assert boundary_width(10, 10) == 1

"""Components of voxels: what is joined, what is kept apart, and which component is the thing itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import connected_components

from seg_perception.errors import InputError
from seg_perception.projection.clusters import bodies, components


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = {tuple(p) for p in zip(a.tolist(), b.tolist(), strict=True)}
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


def by_hand(points: np.ndarray, edge: float) -> np.ndarray:
    """The definition: voxels touch when no axis is more than one apart."""
    cells = np.floor((points - points.min(axis=0)) / np.float64(edge)).astype(int)
    touching = (np.abs(cells[:, None] - cells[None]).max(axis=2) <= 1).astype(int)
    return connected_components(touching, directed=False)[1]


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 40), st.sampled_from((2, 3))), elements=st.floats(-4, 4, width=32)),
    st.sampled_from((0.25, 0.5, 1.0)),
)
def test_components_are_those_of_the_definition(points: np.ndarray, edge: float) -> None:
    assert same_partition(components(points, edge), by_hand(points, edge))


def test_groups_stay_apart_and_missing_points_belong_to_none() -> None:
    points = np.array([[0, 0, 0], [0.1, 0, 0], [np.nan, 0, 0], [0.1, 0, 0.1]], np.float32)
    found = components(points, 0.5, np.array([0, 0, 0, 1]))
    assert found[0] == found[1] >= 0
    assert found[2] == -1
    assert found[3] not in found[:3]


def test_no_points_and_too_far_points() -> None:
    assert components(np.zeros((0, 3), np.float32), 0.2).tolist() == []
    with pytest.raises(InputError, match="spread too far"):
        components(np.array([[0, 0, 0], [1e9, 1e9, 1e9]]), 0.01)


def test_what_bled_over_the_border_goes_and_what_a_pole_parts_stays() -> None:
    rng = np.random.default_rng(0)
    person = rng.uniform(-0.2, 0.2, (200, 2))
    wall = rng.uniform(-0.2, 0.2, (20, 2)) + np.array((4.0, 0.0))
    left, right = rng.uniform(-1, 1, (150, 2)) + np.array((10, 3)), rng.uniform(-1, 1, (90, 2)) + np.array((10, 5.7))
    xy = np.concatenate((person, wall, left, right))
    things = np.repeat((0, 0, 1, 1), (200, 20, 150, 90))
    own = bodies(xy, things, np.array([0.25, 0.25]), np.array([0.6, 3.0]))
    assert own[:200].all()
    assert not own[200:220].any()
    assert own[220:].all()
    assert bodies(xy[:0], things[:0], np.zeros(0), np.zeros(0)).tolist() == []

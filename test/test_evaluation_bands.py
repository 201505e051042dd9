"""To which sizes and distances a thing belongs."""

from __future__ import annotations

import numpy as np
import pytest

from seg_perception.evaluation.bands import BY_DISTANCE, BY_SIZE, DISTANCES, SIZES, bands


@pytest.mark.parametrize(
    ("area", "sizes"),
    [(1, ["small"]), (1023, ["small"]), (1024, ["small", "medium"]), (1025, ["medium"]), (9216, ["medium", "large"]),
     (9217, ["large"])],
)  # fmt: skip
def test_a_size_on_a_limit_belongs_to_both_sides(area: int, sizes: list[str]) -> None:
    found = bands(np.array([area]), np.array([np.nan]))
    assert found[0].all()
    assert [name for (name, *_), member in zip(SIZES, found[BY_SIZE, 0], strict=True) if member] == sizes
    assert not found[BY_DISTANCE].any()  # nobody knows how far it is


@pytest.mark.parametrize(("metres", "low"), [(0.0, 0.0), (4.99, 0.0), (5.0, 5.0), (39.9, 20.0), (400.0, 40.0)])
def test_a_thing_is_at_one_distance(metres: float, low: float) -> None:
    found = bands(np.array([100]), np.array([metres]))
    assert [least for (least, _), member in zip(DISTANCES, found[BY_DISTANCE, 0], strict=True) if member] == [low]

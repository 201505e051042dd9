"""The world's LiDAR against its own truth: which points take the class of the surface that they hit."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="reads a bag")

from tools.world.labelling import agreement


def test_lidar_points_of_the_world_take_the_class_of_the_surface_that_they_hit() -> None:
    """The shipped bag: 16 beams, a turn of 100 ms, a robot that moves; the camera's depth image says what is hidden."""
    found = agreement(Path(__file__).parents[1] / "demo" / "street.mcap", every=12)
    shares = found.shares()
    assert found.visible > 3000
    assert shares["inner: right"] >= 0.99
    assert shares["visible: right"] >= 0.97
    assert shares["visible: unlabelled"] <= 0.02
    assert shares["hidden: wrong"] < 0.2

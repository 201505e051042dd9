"""What broken, odd or sudden input does to the core: it is refused with a reason, counted, or made up for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from test_cascade import BOX, PERSON, SPACE, street
from test_projection_clouds import message
from test_projection_grid import at, points
from test_projection_projector import START, cloud, depth, masks

from seg_perception.cascade import Cascade, CascadeConfig, Scene
from seg_perception.errors import ConfigError, InputError
from seg_perception.projection.clouds import read_cloud
from seg_perception.projection.grid import GridConfig, GridMemory
from seg_perception.projection.projector import ProjectionConfig, Projector
from seg_perception.projection.transforms import TransformBuffer
from seg_perception.types import SemanticMap, Tracks


@pytest.mark.parametrize("config", [CascadeConfig(policy="presence"), CascadeConfig(policy="budget", crops=2)])
def test_images_that_change_their_size_do_not_stop_the_cascade(config: CascadeConfig) -> None:
    cascade, small = Cascade(), street((PERSON, BOX))
    large = SemanticMap(np.tile(small.labels, (2, 2)), np.tile(small.confidence, (2, 2)))
    looked = []
    for number, semantic in enumerate((small, small, small, large, large, small, small)):
        see = lambda s=semantic: Scene.of(s, Tracks.empty(), SPACE)  # noqa: E731
        looked.append(cascade.decide(number * 2 * 10**9, True, see, config) is not None)
        cascade.finished(0.0, True)
    assert all(looked)


@pytest.mark.parametrize("line", ["base lidar 0 0 0 0 0 0 0", "base base 0 0 0 0 0 0 1", "base /base 0 0 0 0 0 0"])
def test_extrinsics_that_are_no_pose_are_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Projector(SPACE, ProjectionConfig(extrinsics=(line,)), TransformBuffer(), print)


@pytest.mark.parametrize("stamp", [0, 10**18])
def test_a_grid_that_is_told_to_forget_knows_nothing_whatever_the_stamps(stamp: int) -> None:
    memory, config = GridMemory(SPACE, GridConfig()), GridConfig()
    grid = memory.update(stamp, points((1.0, 0.0, 0.0, SPACE.id("road"))), at(), "odom", config)
    assert (grid.cost != -1).any()
    assert (memory.unknown(stamp).cost == -1).all()


@pytest.mark.parametrize(("kind", "value"), [("f8", 1e300), ("f8", -1e300)])
def test_times_that_no_clock_shows_are_refused(kind: str, value: float) -> None:
    row = np.zeros((1, 4), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("t", f"<{kind}")])
    row["t"] = value
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="from the cloud's stamp"):
        read_cloud(message(row))


def test_what_a_time_jump_forgets_is_counted() -> None:
    projector = Projector(SPACE, ProjectionConfig(), TransformBuffer(), lambda sentence: None)
    projector.add_masks(masks(5))
    projector.add_depth(depth(6))
    projector.add_cloud(cloud(START + 700_000_000))
    list(projector.ready(0.0))
    projector.add_masks(masks(1))
    list(projector.ready(0.0))
    assert projector.counts == Counter(time_jumps=1, unpaired_depth=1, unpaired_lidar=1)


def test_a_cloud_of_no_width_stops_nothing() -> None:
    projector = Projector(SPACE, ProjectionConfig(), TransformBuffer(), lambda sentence: None)
    projector.add_cloud(replace(cloud(START, xyz=()), height=3))
    projector.add_masks(masks(0))
    list(projector.ready(np.inf, end=True))
    assert projector.counts["empty_cloud"] == 1

"""The grid: cells are places, the newest sight counts, and what is not seen is forgotten."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seg_perception.labels import LabelSpace
from seg_perception.projection.grid import Grid, GridConfig, GridMemory, occupancy
from seg_perception.types import NANOSECONDS, LabelledPoints

LABELS = LabelSpace.load("navigation")
ROAD, SIDEWALK, WALL, PERSON, SKY = (LABELS.id(n) for n in ("road", "sidewalk", "wall", "person", "sky"))
CONFIG = GridConfig(resolution=0.1, size=20.0)


def points(*rows: tuple[float, float, float, int]) -> LabelledPoints:
    table = np.array(rows, np.float64).reshape(-1, 4)
    labels = table[:, 3].astype(np.uint8)
    return LabelledPoints(
        table[:, :3].astype(np.float32), labels, np.zeros(len(table), np.int32), np.full(len(table), 200, np.uint8)
    )


def at(x: float = 0.0, y: float = 0.0) -> np.ndarray:
    pose = np.eye(4)
    pose[:2, 3] = x, y
    return pose


def cost(grid: Grid, x: float, y: float) -> int:
    column, row = ((v - o) / grid.resolution for v, o in zip((x, y), grid.origin, strict=True))
    return int(grid.cost[math.floor(row), math.floor(column)])


def blocked(grid: Grid, x: float, y: float) -> bool:
    """A place on the border of two cells belongs to either."""
    return any(cost(grid, x + dx, y + dy) == 100 for dx in (-1e-6, 1e-6) for dy in (-1e-6, 1e-6))


def write(memory: GridMemory, time: float, pose: np.ndarray, *rows, config: GridConfig = CONFIG) -> Grid:
    return memory.update(round(time * NANOSECONDS), points(*rows), pose, "odom", config)


def test_classes_become_costs_at_their_places() -> None:
    grid = write(
        GridMemory(LABELS, CONFIG), 0.0, at(), (3.05, 1.05, 0, ROAD), (3.05, -2.05, 0, SIDEWALK), (5.05, 0.05, 1, WALL),
        (5.05, 0.05, 0, ROAD), (4.05, 0.05, 0, SKY), (4.05, 1.05, 0, 255), (np.nan, 0, 0, WALL),
    )  # fmt: skip
    assert [cost(grid, *p) for p in ((3.05, 1.05), (3.05, -2.05), (5.05, 0.05))] == [0, 20, 100]
    assert np.count_nonzero(grid.cost != -1) == 3
    assert grid.cost.shape == (200, 200)
    assert grid.cost.dtype == np.int8


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.sampled_from((0.05, 0.1, 0.15, 0.25)))
def test_cells_are_the_same_places_wherever_the_robot_goes(x: float, y: float, resolution: float) -> None:
    config = GridConfig(resolution=resolution, size=10.0)
    memory = GridMemory(LABELS, config)
    grid = write(memory, 0.0, at(x, y), (1.0, 2.0, 0.5, WALL), config=config)
    # As Nav2's static layer computes it, from the message's 32-bit resolution.
    for origin in grid.origin:
        assert abs(math.fmod(origin, float(np.float32(grid.resolution)))) < 1e-5
    assert blocked(grid, 1.0 + x, 2.0 + y)
    moved = write(memory, 0.1, at(x + 1.234, y - 0.77), config=config)
    assert np.count_nonzero(moved.cost == 100) == 1
    assert blocked(moved, 1.0 + x, 2.0 + y)


def test_what_is_beyond_reach_is_not_written() -> None:
    config = GridConfig(reach=4.0)
    grid = write(GridMemory(LABELS, config), 0.0, at(), (3.95, 0.05, 0, ROAD), (4.15, 0.05, 0, ROAD), config=config)
    assert cost(grid, 3.95, 0.05) == 0
    assert np.count_nonzero(grid.cost != -1) == 1


def test_what_leaves_the_grid_is_forgotten() -> None:
    memory = GridMemory(LABELS, CONFIG)
    write(memory, 0.0, at(), (3.0, 1.0, 0.5, WALL))
    assert (write(memory, 0.1, at(500.0, 3.0)).cost == -1).all()
    assert (write(memory, 0.2, at()).cost == -1).all()


def test_the_newest_sight_counts_and_memory_ends_things_first() -> None:
    memory = GridMemory(LABELS, CONFIG)
    rows = ((3.05, 1.05, 0.5, WALL), (3.05, 3.05, 0.5, PERSON), (2.05, 0.05, 0.0, SIDEWALK))
    write(memory, 0.0, at(), *rows)
    assert cost(write(memory, 0.1, at(), (3.05, 3.05, 0.0, ROAD)), 3.05, 3.05) == 0
    write(memory, 0.2, at(), *rows)
    grid = write(memory, 0.2 + CONFIG.thing_memory + 0.1, at())
    assert [cost(grid, *p) for p in ((3.05, 1.05), (3.05, 3.05), (2.05, 0.05))] == [100, -1, 20]
    assert (write(memory, 0.2 + CONFIG.memory + 0.1, at()).cost == -1).all()


def test_what_is_overhead_is_not_in_the_way() -> None:
    ground = [(x, y, 0.05 * x, ROAD) for x in np.arange(1, 8, 0.5) for y in np.arange(-3, 3, 0.5)]
    grid = write(GridMemory(LABELS, CONFIG), 0.0, at(), *ground, (4.05, 0.05, 2.6, WALL), (4.05, 1.05, 1.9, WALL))
    assert cost(grid, 4.05, 0.05) in (0, -1)
    assert cost(grid, 4.05, 1.05) == 100


def test_a_few_stray_points_do_not_block_a_cell_that_is_mostly_road() -> None:
    stray = [(3.05, 1.05, 0.0, ROAD)] * 20 + [(3.05, 1.05, 0.3, WALL)]
    assert cost(write(GridMemory(LABELS, CONFIG), 0.0, at(), *stray), 3.05, 1.05) == 0


def test_what_a_slower_camera_says_late_is_written_where_nothing_was_seen_since() -> None:
    memory = GridMemory(LABELS, CONFIG)
    write(memory, 100.0, at(), (3.05, 1.05, 0.5, WALL))
    late = write(memory, 99.5, at(3.0), (0.05, 1.05, 0.0, ROAD), (-1.05, 1.05, 0.5, PERSON))
    assert late.stamp == 100 * NANOSECONDS
    assert [cost(late, x, 1.05) for x in (3.05, 1.95)] == [100, 100]
    assert late.origin == write(memory, 100.0, at()).origin, "the newest sight says where the robot is"
    gone = write(memory, 99.5 + CONFIG.thing_memory + 0.1, at())
    assert [cost(gone, x, 1.05) for x in (3.05, 1.95)] == [100, -1], "memory counts from when it was seen"


def test_another_frame_and_a_jump_back_forget_all() -> None:
    memory = GridMemory(LABELS, CONFIG)
    write(memory, 100.0, at(), (3.05, 1.05, 0.5, WALL))
    assert (write(memory, 1.0, at()).cost == -1).all()
    write(memory, 2.0, at(), (3.05, 1.05, 0.5, WALL))
    assert (memory.update(3 * NANOSECONDS, points(), at(), "map", CONFIG).cost == -1).all()


def test_unknown_keeps_size_and_place() -> None:
    memory = GridMemory(LABELS, CONFIG)
    known = write(memory, 0.0, at(5.0, 6.0), (3.05, 1.05, 0.5, WALL))
    grid = memory.unknown(known.stamp + 1)
    assert (grid.cost == -1).all()
    assert (grid.origin, grid.resolution, grid.cost.shape) == (known.origin, known.resolution, known.cost.shape)


def test_the_message_has_rows_along_x_from_the_origin() -> None:
    grid = write(GridMemory(LABELS, CONFIG), 1.5, at(5.0, 6.0), (3.05, 1.05, 0.5, WALL))
    message = occupancy(grid)
    assert (message.info.width, message.info.height) == (200, 200)
    assert message.header.frame_id == "odom"
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1, NANOSECONDS // 2)
    index = message.data.tolist().index(100)
    x = message.info.origin.position.x + (index % 200 + 0.5) * message.info.resolution
    y = message.info.origin.position.y + (index // 200 + 0.5) * message.info.resolution
    assert (x, y) == (pytest.approx(8.05, abs=0.051), pytest.approx(7.05, abs=0.051))


@pytest.mark.parametrize("stamp", [0, 10**18])
def test_a_grid_that_is_told_to_forget_knows_nothing_whatever_the_stamps(stamp: int) -> None:
    memory, config = GridMemory(LABELS, GridConfig()), GridConfig()
    grid = memory.update(stamp, points((1.0, 0.0, 0.0, LABELS.id("road"))), at(), "odom", config)
    assert (grid.cost != -1).any()
    assert (memory.unknown(stamp).cost == -1).all()

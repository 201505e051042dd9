"""The costmap over real DDS: latched, made while somebody subscribes, and unknown as soon as nothing backs it."""

from __future__ import annotations

import numpy as np
from nav_msgs.msg import OccupancyGrid
from test_consumers import projection

from seg_perception.labels import LabelSpace
from seg_perception.projection.grid import GridConfig
from seg_perception.ros import qos
from seg_perception.ros.costmap import CostmapPublisher

pytest_plugins = ("ros_fixtures",)

CONFIG = GridConfig(size=12.0, timeout=0.5)


def known(message: OccupancyGrid) -> int:
    return int(np.count_nonzero(np.asarray(message.data, np.int8) != -1))


def test_a_costmap_is_latched_and_turns_unknown_when_nothing_comes(robot) -> None:
    costmap = CostmapPublisher(robot.node, LabelSpace.load("navigation"), CONFIG)
    costmap.open()
    costmap.take(projection())
    assert not costmap.wanted
    heard = robot.hear("costmap", OccupancyGrid, qos.latched(), connect=True)
    robot.until(lambda: costmap.wanted, "the publisher's end of the match")
    costmap.take(projection())
    robot.until(lambda: heard, "a costmap")
    assert known(heard[0]) > 20
    robot.until(lambda: known(heard[-1]) == 0, "the time-out")
    assert (heard[-1].info.width, heard[-1].info.origin) == (heard[0].info.width, heard[0].info.origin)
    assert heard[-1].header == heard[0].header
    before = len(heard)
    robot.hear("costmap", OccupancyGrid, qos.latched())  # who comes later gets what is latched
    robot.until(lambda: len(heard) > before, "the latched costmap")
    assert known(heard[-1]) == 0
    costmap.close()
    costmap.destroy()


def test_deactivation_leaves_nothing_known(robot) -> None:
    costmap = CostmapPublisher(robot.node, LabelSpace.load("navigation"), GridConfig(size=12.0, timeout=60.0))
    costmap.open()
    heard = robot.hear("costmap", OccupancyGrid, qos.latched(), connect=True)
    robot.until(lambda: costmap.wanted, "the publisher's end of the match")
    costmap.take(projection())
    robot.until(lambda: heard, "a costmap")
    costmap.close()
    robot.until(lambda: len(heard) > 1, "the last costmap")
    assert known(heard[0]) > 20
    assert known(heard[1]) == 0
    costmap.destroy()

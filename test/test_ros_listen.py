"""``seg_perception listen`` at the node's end of the road, over real DDS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ros_support import camera_info, image
from sensor_msgs.msg import CameraInfo, Image

pytest_plugins = ("ros_fixtures",)


@pytest.mark.parametrize("calibrated", [False, True])
def test_every_frame_is_heard_and_checked(start, robot, domain: int, tmp_path: Path, calibrated: bool) -> None:
    start()
    out = tmp_path / "heard.json"
    words = ["listen", "camera", "--idle", "2", "--timeout", "60", "-o", str(out)]
    listener = subprocess.Popen(
        [sys.executable, "-m", "seg_perception", *words],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain), "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    calibrations, images = (
        robot.publisher("/camera/camera_info", CameraInfo),
        robot.publisher("/camera/image_raw", Image),
    )

    def subscribed() -> set[str]:  # not how often: for a second the node may do so twice
        return {info.node_name for info in robot.node.get_subscriptions_info_by_topic(images.topic_name)}

    robot.until(lambda: subscribed() == {"segmentation", "planner_listener"}, "node and listener")
    masks = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    for topic in ("semantic/image_raw", "semantic/confidence", "panoptic/image_raw"):
        robot.until(lambda t=topic: robot.node.count_subscribers(f"/camera/{t}") > 0, f"a reader of {topic}")
    time.sleep(1.0)  # The node's end of a match may lag behind the graph, and it does not repeat what was before it.
    for i in range(5):
        if calibrated:
            calibrations.publish(camera_info(161, 90))
        images.publish(image(10**9 + i * 10**8, np.zeros((90, 161, 3), np.uint8)))
        robot.until(lambda seen=i: len(masks) > seen, f"frame {i}")
    said, _ = listener.communicate(timeout=60)
    assert listener.returncode == 0, said
    heard = json.loads(out.read_text())
    assert (heard["images"], heard["frames"], heard["incomplete"]) == (5, 5, 0), heard
    assert heard["violations"] == {}
    assert len(heard["latency_s"]) == 5
    assert all(0 < seconds < 60 for seconds in heard["latency_s"].values())

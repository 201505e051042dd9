"""What consumers receive from the node over DDS: a test per rule that their sources hold us to."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest
from ros_support import LATCHED, camera_info, compressed, image
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_perception.conformance import pixels, violations
from seg_perception.frames import stamp_of
from seg_perception.labels import LabelSpace

pytest_plugins = ("ros_fixtures",)

vision_msgs = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is neither installed nor built here")
Detection2DArray, LabelInfo = vision_msgs.Detection2DArray, vision_msgs.LabelInfo

CITYSCAPES = LabelSpace.load("cityscapes")
PERSON = 11
MASKS = {"semantic/image_raw": Image, "semantic/confidence": Image, "panoptic/image_raw": Image}


def scene(shift: int = 0) -> np.ndarray:
    """Road, sky, a person, and a strip that is unlabelled."""
    picture = np.zeros((90, 161, 3), np.uint8)
    picture[:30, :, 0] = 10
    picture[40:80, 20 + shift : 40 + shift, 0] = PERSON
    picture[85:, :, 0] = 200
    return picture


def drive(robot, frames=4, topics=MASKS, info=None):
    """Send a few frames one by one, waiting for each answer; returns the messages of the last by topic."""
    heard = {topic: robot.hear(f"/camera/{topic}", kind, connect=True) for topic, kind in topics.items()}
    calibration = robot.publisher("/camera/camera_info", CameraInfo) if info else None
    images = robot.publisher("/camera/image_raw", Image)
    for i in range(frames):
        if calibration:
            calibration.publish(info)
        before = {topic: len(messages) for topic, messages in heard.items()}
        images.publish(image(1_000_000_000 + i * 100_000_000, scene(i)))
        # The first calibration may come after the first image.
        expected = [topic for topic in heard if i > 0 or not topic.endswith("info")]
        robot.until(partial(_grew, heard, before, expected), f"frame {i}")
    return {topic: messages[-1] for topic, messages in heard.items()}


def _grew(heard, before, topics):
    return all(len(heard[topic]) > before[topic] for topic in topics)


def test_every_frame_keeps_every_rule(start, robot):
    start()
    topics = {**MASKS, "detections": Detection2DArray}
    last = drive(robot, 5, topics)
    for i in range(5):
        frame = {topic: robot.heard[f"/camera/{topic}"][i] for topic in topics}
        assert violations(frame, len(CITYSCAPES), "camera_optical") == []
        assert stamp_of(frame["semantic/image_raw"]) == 1_000_000_000 + i * 100_000_000
    expected = scene(4)[..., 0]
    assert np.array_equal(pixels(last["semantic/image_raw"]), np.where(expected < 19, expected, 255))


def test_nav2_reads_masks_by_width_and_confidence_first(start, robot):
    """Nav2 indexes v*width+u, and picks a tile's most confident pixel before asking whether its class is known."""
    start()
    last = drive(robot)
    mask, confidence = last["semantic/image_raw"], last["semantic/confidence"]
    assert (mask.encoding, mask.step, mask.width) == ("mono8", 161, 161)
    assert (confidence.encoding, confidence.step) == ("mono8", 161)
    assert np.array_equal(pixels(confidence) == 0, pixels(mask) == 255)
    assert (pixels(mask) == 255).any()


def test_hydra_reads_ids_that_fit_16_bits(start, robot):
    start()
    last = drive(robot, topics={**MASKS, "detections": Detection2DArray})
    panoptic = pixels(last["panoptic/image_raw"])
    assert last["panoptic/image_raw"].encoding == "32SC1"
    assert np.array_equal(panoptic & 0xFFFF, pixels(last["semantic/image_raw"]))
    person = panoptic[60, 30]
    assert person & 0xFFFF == PERSON
    (detection,) = last["detections"].detections
    assert int(detection.id) == person >> 16
    assert 1 <= int(detection.id) <= 32767
    assert detection.results[0].hypothesis.class_id == "person"


def test_label_info_reaches_a_late_joiner(start, robot):
    start()
    drive(robot, 1)
    late = robot.hear("/camera/semantic/label_info", LabelInfo, LATCHED)
    robot.until(lambda: late, "label_info")
    assert [(c.class_id, c.class_name) for c in late[0].class_map] == [(c.id, c.name) for c in CITYSCAPES.classes]


def test_image_transport_decodes_the_compressed_mask_lossless(start, robot):
    start()
    last = drive(robot, topics={**MASKS, "semantic/image_raw/compressed": CompressedImage})
    message = last["semantic/image_raw/compressed"]
    # image_transport's subscriber takes the target encoding from before the first ';'.
    assert message.format == "mono8; png compressed mono8"
    decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded, pixels(last["semantic/image_raw"]))


@pytest.mark.parametrize(("group", "unlabelled"), [("drivable", 0), ("obstacle", 255)])
def test_group_masks_are_0_or_255_and_say_what_unlabelled_is(start, robot, group, unlabelled):
    start()
    last = drive(robot, topics={**MASKS, f"masks/{group}": Image})
    mask, semantic = pixels(last[f"masks/{group}"]), pixels(last["semantic/image_raw"])
    assert np.array_equal(mask, CITYSCAPES.group_table(group)[semantic])
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[semantic == 255] == unlabelled).all()


def test_rviz_shows_the_overlay(start, robot):
    start()
    last = drive(robot, topics={"overlay/image_raw": Image, "overlay/image_raw/compressed": CompressedImage})
    raw = last["overlay/image_raw"]
    assert (raw.encoding, raw.step, raw.height) == ("rgb8", 161 * 3, 90)
    assert last["overlay/image_raw/compressed"].format.startswith("rgb8; jpeg")


def test_masks_of_another_size_come_with_their_calibration(start, robot):
    start(output__width=80, output__height=45)
    topics = {**MASKS, "semantic/camera_info": CameraInfo}
    last = drive(robot, 4, topics, camera_info(161, 90))
    mask, info = last["semantic/image_raw"], last["semantic/camera_info"]
    assert (mask.width, mask.height, mask.step) == (80, 45, 80)
    assert (info.width, info.height) == (80, 45)
    scale = 80 / 161
    assert info.k[0] == pytest.approx(500 * scale)
    assert info.k[2] == pytest.approx((161 / 2) * scale - 0.5)
    assert stamp_of(info) in {stamp_of(m) for m in robot.heard["/camera/semantic/image_raw"]}


def test_a_compressed_camera(start, robot):
    start(camera__image_transport="compressed")
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw/compressed", CompressedImage)
    png = cv2.imencode(".png", scene()[..., ::-1])[1].tobytes()
    images.publish(compressed(7, png, "rgb8; png compressed bgr8"))
    robot.until(lambda: heard, "a mask")
    assert stamp_of(heard[0]) == 7
    assert np.array_equal(pixels(heard[0])[:85], scene()[:85, :, 0])

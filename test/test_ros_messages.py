"""Records become rclpy messages field by field."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rclpy.serialization import deserialize_message, serialize_message

from seg_perception import records
from seg_perception.calibration import camera_model
from seg_perception.frames import image_frame
from seg_perception.labels import LabelSpace
from seg_perception.outputs import View, label_info, table
from seg_perception.ros.messages import message_class, to_message
from seg_perception.types import CameraModel, Frame, Mask, PanopticMap, Tracks

HEADER = records.Header.of(12_000_000_034, "camera_optical")
CITYSCAPES = LabelSpace.load("cityscapes")


def equal(record, message) -> bool:
    """Whether every field of ``record`` is in ``message``, and ``message`` has no other."""
    if not dataclasses.is_dataclass(record):
        return record == message
    names = [f.name for f in dataclasses.fields(record)]
    assert names == list(message.get_fields_and_field_types())
    for name in names:
        ours, theirs = getattr(record, name), getattr(message, name)
        if isinstance(ours, np.ndarray):
            same = np.array_equal(ours, np.asarray(theirs, ours.dtype))
        elif isinstance(ours, tuple):
            same = len(ours) == len(theirs) and all(map(equal, ours, theirs))
        else:
            same = equal(ours, theirs)
        if not same:
            return False
    return True


def scene() -> View:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    semantic = np.full((4, 6), 7, np.uint8)
    semantic[0] = 255
    confidence = np.where(semantic == 255, 0, 100).astype(np.uint8)
    tracks = Tracks(
        np.array([3, 0], np.int32),
        np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32),
        np.array([0.5, 0.25], np.float32),
        np.array([11, 13], np.uint8),
        (Mask(0, 0, np.ones((2, 2), np.bool_)), Mask(1, 1, np.ones((2, 2), np.bool_))),
        np.array([11_000_000_000, 12_000_000_000]),
        np.array([True, True]),
    )
    panoptic = PanopticMap(semantic, confidence, semantic.astype(np.int32))
    k = np.array([[500.0, 0, 3], [0, 500.0, 2], [0, 0, 1]])
    camera = CameraModel(6, 4, "plumb_bob", k, np.arange(5.0), np.eye(3), np.eye(3, 4))
    return View(Frame(12_000_000_034, "camera_optical", image), panoptic, tracks, CITYSCAPES, camera)


@pytest.mark.parametrize("output", table(CITYSCAPES), ids=lambda output: output.topic)
def test_every_output_crosses_the_wire_unchanged(output):
    record = output.build(scene())
    message = to_message(record)
    assert isinstance(message, message_class(output.type))
    assert equal(record, deserialize_message(serialize_message(message), type(message)))


def test_label_info_crosses_the_wire_unchanged():
    message = to_message(label_info(CITYSCAPES, 5, "camera"))
    assert equal(label_info(CITYSCAPES, 5, "camera"), deserialize_message(serialize_message(message), type(message)))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), st.integers(0, 2**31 * 10**9 - 1))
def test_an_image_comes_back_as_the_frame_it_was(pixels, stamp):
    record = records.Image.of(records.Header.of(stamp, "c"), "rgb8", pixels)
    frame = image_frame(to_message(record))
    assert (frame.stamp, frame.frame_id) == (stamp, "c")
    assert np.array_equal(frame.image, pixels)


def test_a_non_contiguous_array_is_copied_in_its_order():
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6).T
    assert bytes(to_message(records.Image.of(HEADER, "mono8", pixels)).data) == pixels.tobytes()


def test_a_calibration_comes_back_as_it_was():
    camera = scene().camera
    (output,) = (o for o in table(CITYSCAPES) if o.topic == "semantic/camera_info")
    back = camera_model(to_message(output.build(scene())))
    for name in ("k", "d", "r", "p"):
        assert np.array_equal(getattr(back, name), getattr(camera, name))
    assert (back.width, back.height, back.distortion_model) == (6, 4, "plumb_bob")


def test_a_package_that_is_missing_is_an_import_error():
    with pytest.raises(ImportError):
        message_class("no_such_msgs/msg/Nothing")

"""Each rule of the interface, broken once: the check must say so, and only that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seg_perception.conformance import violations
from seg_perception.labels import LabelSpace
from seg_perception.outputs import table, view
from seg_perception.records import Header, Image
from seg_perception.types import CameraModel, Frame, Mask, PanopticMap, Perception, Tracks

LABELS = LabelSpace.load("cityscapes")
PERSON = 11


def frame() -> dict[str, object]:
    semantic = np.zeros((4, 6), np.uint8)
    semantic[0], semantic[1, 1] = 255, PERSON
    panoptic = semantic.astype(np.int32)
    panoptic[1, 1] |= 7 << 16
    confidence = np.where(semantic == 255, 0, 99).astype(np.uint8)
    tracks = Tracks(
        np.array([7], np.int32),
        np.array([[1, 1, 2, 2]], np.float32),
        np.array([0.9], np.float32),
        np.array([PERSON], np.uint8),
        (Mask(1, 1, np.ones((1, 1), np.bool_)),),
        np.array([5], np.int64),
        np.array([True]),
    )
    camera = CameraModel(6, 4, "plumb_bob", np.eye(3), np.zeros(5), np.eye(3), np.eye(3, 4))
    source = Frame(5, "optical", np.zeros((4, 6, 3), np.uint8))
    result = Perception(5, "optical", PanopticMap(semantic, confidence, panoptic), tracks, {})
    scene = view(source, result, LABELS, camera, None)
    return {output.topic: output.build(scene) for output in table(LABELS) if output.demand == "always"}


def repainted(message: Image, row: int, column: int, value: int) -> Image:
    pixels = message.data.view({"mono8": np.uint8, "32SC1": np.int32}[message.encoding]).copy()
    pixels[row * message.width + column] = value
    return replace(message, data=pixels.view(np.uint8))


def test_a_good_frame_breaks_no_rule() -> None:
    assert violations(frame(), len(LABELS), "optical") == []


@pytest.mark.parametrize(
    ("topic", "change", "expected"),
    [
        ("semantic/image_raw", lambda m: replace(m, encoding="8UC1"), "encoding 8UC1, not mono8"),
        ("semantic/image_raw", lambda m: replace(m, step=8), "step 8, not 6"),
        ("panoptic/image_raw", lambda m: replace(m, data=m.data[:-4]), "92 bytes"),
        ("panoptic/image_raw", lambda m: replace(m, is_bigendian=1), "big-endian"),
        ("semantic/confidence", lambda m: replace(m, header=Header.of(6, "optical")), "another stamp"),
        ("detections", lambda m: replace(m, header=Header.of(5, "map")), "frame_id 'map', not 'optical'"),
        ("semantic/confidence", lambda m: repainted(m, 0, 0, 1), "not 0 exactly where semantic is 255"),
        ("semantic/confidence", lambda m: repainted(m, 2, 2, 0), "not 0 exactly where semantic is 255"),
        ("panoptic/image_raw", lambda m: repainted(m, 2, 2, 1), "low 16 bits differ"),
        ("panoptic/image_raw", lambda m: repainted(m, 1, 1, -32768 << 16 | PERSON), "a track id outside 0..32767"),
        ("panoptic/image_raw", lambda m: repainted(m, 1, 1, 8 << 16 | PERSON), "painted ids [8] are not listed"),
        ("semantic/camera_info", lambda m: replace(m, width=7), "another size than the mask"),
        ("detections", lambda m: replace(m, detections=m.detections * 2), "one id twice"),
    ],
)
def test_a_broken_rule_is_named(topic: str, change, expected: str) -> None:
    messages = frame()
    messages[topic] = change(messages[topic])
    found = violations(messages, len(LABELS), "optical")
    assert found
    assert expected in " ".join(found)


def test_a_class_outside_the_label_space_and_a_missing_mask_are_named() -> None:
    messages = frame()
    assert "outside the label space" in violations(messages, PERSON, "optical")[0]
    del messages["semantic/confidence"]
    assert violations(messages, len(LABELS), "optical") == ["semantic/confidence is missing"]

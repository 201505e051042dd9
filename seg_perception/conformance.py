"""The rules that consumers read our topics by, as checks on one frame's messages.

Works on anything with the ROS fields (rclpy messages, rosbags messages, :mod:`seg_perception.records`), so that a test,
the planner-side listener and a bag are held to the same words. Each rule names the consumer whose source it was read
off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.frames import stamp_of
from seg_perception.types import MAX_TRACK_ID, UNLABELLED

REQUIRED = ("semantic/image_raw", "semantic/confidence", "panoptic/image_raw")
"""Topics that every frame has; ``semantic/camera_info`` and ``detections`` are checked where they are there."""


def pixels(message: Any) -> NDArray[Any]:
    """``(H, W)`` array of a ``mono8`` or ``32SC1`` image without row padding."""
    dtype = {"mono8": np.uint8, "32SC1": np.int32}[message.encoding]
    flat = np.frombuffer(memoryview(message.data), dtype)
    return flat.reshape(message.height, message.width)


def violations(messages: Mapping[str, Any], classes: int, frame_id: str) -> list[str]:
    """Every rule that one frame's ``messages`` (topic below the camera -> message) break, in plain words; empty is
    good.

    ``classes`` is the number of classes of the label space, ``frame_id`` the source image's.
    """
    missing = [topic for topic in REQUIRED if topic not in messages]
    if missing:
        return [f"{topic} is missing" for topic in missing]
    found: list[str] = []

    def expect(holds: bool, what: str) -> None:
        if not holds:
            found.append(what)

    semantic, confidence, panoptic = (messages[topic] for topic in REQUIRED)
    for topic, message in messages.items():
        expect(stamp_of(message) == stamp_of(semantic), f"{topic}: another stamp than semantic/image_raw")
        expect(message.header.frame_id == frame_id, f"{topic}: frame_id '{message.header.frame_id}', not '{frame_id}'")
    layouts = [
        ("semantic/image_raw", "mono8", 1),
        ("semantic/confidence", "mono8", 1),
        ("panoptic/image_raw", "32SC1", 4),
    ]
    for topic, encoding, size in layouts:
        image = messages[topic]
        # Nav2's semantic_segmentation_layer indexes v * width + u and ignores step.
        expect(image.encoding == encoding, f"{topic}: encoding {image.encoding}, not {encoding}")
        expect(image.step == image.width * size, f"{topic}: step {image.step}, not {image.width * size}")
        expect(len(image.data) == image.height * image.step, f"{topic}: {len(image.data)} bytes")
        expect(not image.is_bigendian, f"{topic}: big-endian")
        expect((image.height, image.width) == (semantic.height, semantic.width), f"{topic}: another size than the mask")
    if found:
        return found
    s, c, p = pixels(semantic), pixels(confidence), pixels(panoptic)
    expect(bool(((s < classes) | (s == UNLABELLED)).all()), "semantic/image_raw: a class id outside the label space")
    # Nav2 picks a tile's winning pixel by confidence before it asks whether the class is known.
    expect(bool(((c == 0) == (s == UNLABELLED)).all()), "semantic/confidence: not 0 exactly where semantic is 255")
    expect(bool((p & 0xFFFF == s).all()), "panoptic/image_raw: low 16 bits differ from semantic")
    # Hydra stores instance ids as int16.
    ids = p >> 16
    expect(bool((ids >= 0).all() and (ids <= MAX_TRACK_ID).all()), "panoptic/image_raw: a track id outside 0..32767")
    if "semantic/camera_info" in messages:
        info = messages["semantic/camera_info"]
        expect((info.height, info.width) == s.shape, "semantic/camera_info: another size than the mask")
    if "detections" in messages:
        listed = {int(d.id) for d in messages["detections"].detections}
        expect(len(listed) == len(messages["detections"].detections), "detections: one id twice")
        expect(0 not in listed, "detections: an unconfirmed track (id 0)")
        painted = set(np.unique(ids).tolist()) - {0}
        expect(painted <= listed, f"detections: painted ids {sorted(painted - listed)} are not listed")
        for detection in messages["detections"].detections:
            expect(stamp_of(detection) <= stamp_of(semantic), f"detections: #{detection.id} was seen after the image")
            expect(len(detection.results) >= 1, f"detections: #{detection.id} has no class")
    return found

"""Our field lists and bytes against ROS's own: type hashes from the rosidl generator, CDR from rclpy."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_perception import records
from seg_perception.interfaces import VISION_MSGS, definition, serialised, type_hash, typestore

HEADER = records.Header.of(1_700_000_000_123_456_789, "camera")


def detections(count: int, name: str = "car") -> records.Detection2DArray:
    hypothesis = records.ObjectHypothesisWithPose(records.ObjectHypothesis(name, 0.75))
    box = records.BoundingBox2D(records.Pose2D(records.Point2D(10.5, 20.25)), 30.0, 40.0)
    return records.Detection2DArray(
        HEADER, tuple(records.Detection2D(records.Header.of(7, "c"), (hypothesis,), box, str(i)) for i in range(count))
    )


BOX = records.BoundingBox3D(records.Pose(records.Point(1.0, 2.0, 0.5)), records.Vector3(4.5, 1.8, 1.5))
HYPOTHESIS = records.ObjectHypothesisWithPose(records.ObjectHypothesis("car", 0.75))
LINES = records.Marker(
    HEADER,
    "box",
    7,
    records.Marker.LINE_LIST,
    scale=records.Vector3(0.03),
    color=records.ColorRGBA(1.0, 0.5, 0.0, 1.0),
    lifetime=records.Duration(1, 5),
    points=(records.Point(1.0, 2.0, 3.0), records.Point()),
    text="car #7",
)
GRID = records.MapMetaData(HEADER.stamp, 0.125, 3, 2, records.Pose(records.Point(-1.5, 2.0, 0.0)))

EXAMPLES = [
    records.Image.of(HEADER, "mono8", np.arange(15, dtype=np.uint8).reshape(3, 5)),
    records.Image.of(HEADER, "32SC1", np.arange(6, dtype=np.int32).reshape(2, 3) - 3),
    records.CompressedImage(HEADER, "jpeg", np.arange(5, dtype=np.uint8)),
    records.CameraInfo(HEADER, 4, 6, "plumb_bob", np.arange(5.0), np.arange(9.0), np.eye(3).ravel(), np.arange(12.0)),
    records.LabelInfo(HEADER, (records.VisionClass(0, "road"), records.VisionClass(1, "sidewalk")), 0.5),
    detections(0),
    detections(3),
    records.Detection3DArray(HEADER, ()),
    records.Detection3DArray(HEADER, (records.Detection3D(HEADER, (HYPOTHESIS,), BOX, "7"),) * 2),
    records.MarkerArray((records.Marker(HEADER, action=records.Marker.DELETEALL), LINES)),
    records.OccupancyGrid(HEADER, GRID, np.array([-1, 0, 100, 20, 50, -1], np.int8)),
]


def test_every_message_of_vision_msgs_is_there() -> None:
    names = {path.stem for path in VISION_MSGS.glob("*.msg")}
    assert len(names) == 16
    for name in names:
        assert type_hash(f"vision_msgs/msg/{name}").startswith("RIHS01_")


def test_hashes_are_those_that_rosidl_computes() -> None:
    compared = 0
    for package in ("sensor_msgs", "vision_msgs"):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            pytest.skip(f"{package} is not installed")
        prefix = Path(spec.origin).parents[4]  # <prefix>/lib/python3.x/site-packages/<package>/__init__.py
        for path in sorted((prefix / "share" / package / "msg").glob("*.json")):
            name = f"{package}/msg/{path.stem}"
            if name in typestore().fielddefs:
                entries = {e["type_name"]: e["hash_string"] for e in json.loads(path.read_text())["type_hashes"]}
                assert type_hash(name) == entries[name], name
                compared += 1
    assert compared >= 16 + 20


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)
def test_bytes_equal_rclpys(record: records.Record) -> None:
    serialization = pytest.importorskip("rclpy.serialization", reason="ROS 2 is not installed")
    pytest.importorskip(record.TYPE.partition("/")[0], reason="the message package is not installed")
    from seg_perception.ros.messages import to_message

    theirs, ours = serialization.serialize_message(to_message(record)), serialised(record.TYPE, record)
    assert len(ours) == len(theirs)
    # Fast CDR leaves padding as it finds it: what must be equal is what either reads from the other's bytes.
    assert serialization.deserialize_message(ours, type(to_message(record))) == to_message(record)
    assert serialised(record.TYPE, typestore().deserialize_cdr(theirs, record.TYPE)) == ours


@given(st.integers(0, 5), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9))
def test_detections_come_back(count: int, name: str) -> None:
    record = detections(count, name)
    back = typestore().deserialize_cdr(serialised(record.TYPE, record), record.TYPE)
    assert [d.id for d in back.detections] == [str(i) for i in range(count)]
    assert all(d.results[0].hypothesis.class_id == name and d.bbox.size_y == 40.0 for d in back.detections)
    assert serialised(record.TYPE, back) == serialised(record.TYPE, record)


def test_label_info_comes_back() -> None:
    record = records.LabelInfo(HEADER, (records.VisionClass(0, "a"), records.VisionClass(253, "bc")), 0.0)
    back = typestore().deserialize_cdr(serialised(record.TYPE, record), record.TYPE)
    assert [(c.class_id, c.class_name) for c in back.class_map] == [(0, "a"), (253, "bc")]


def test_a_definition_names_every_type_within_it() -> None:
    text = definition("vision_msgs/msg/Detection2DArray")
    parts = text.split("=" * 80 + "\n")
    assert parts[0] == "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n"
    inside = {part.splitlines()[0] for part in parts[1:]}
    assert {"MSG: std_msgs/Header", "MSG: vision_msgs/Pose2D", "MSG: geometry_msgs/Quaternion"} <= inside

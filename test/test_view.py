"""The picture of a processed bag: points where the eye sees them, and clear words where there is nothing to show."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from test_consumers import projection, space_table

from seg_perception.cli import REFUSED, main
from seg_perception.errors import BagError
from seg_perception.interfaces import serialised, typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline.view import draw
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.projection.picture import Eye, Picture
from seg_perception.projection.projector import ProjectionConfig

LABELS = LabelSpace.load("navigation")
EYE = Eye(np.array((0.0, 0.0, 1.0)), np.array((10.0, 0.0, 1.0)), width=200, height=100)


def test_points_appear_where_the_eye_sees_them_and_the_nearest_wins() -> None:
    picture = Picture(EYE)
    xyz = np.array([(10, 0, 1), (5, 0, 1), (10, 2, 1), (10, 0, 2), (-5, 0, 1)], float)
    red, green, blue, white, pink = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (255, 0, 255)
    picture.points(xyz, np.array((red, green, blue, white, pink), np.uint8))
    rows = {colour: np.argwhere((picture.image == colour).all(axis=2)) for colour in (red, green, blue, white, pink)}
    assert len(rows[red]) == len(rows[pink]) == 0
    assert np.abs(rows[green] - (50, 100)).max() <= 1
    assert rows[blue][0][1] < 100  # what is to the left in the world is to the left in the picture
    assert rows[white][0][0] < 50


def test_lines_and_faces_behind_the_eye_are_left_out() -> None:
    picture = Picture(EYE)
    empty = picture.image.copy()
    picture.lines(np.array([[(-1.0, 0, 1), (5, 0, 1)]]), (255, 0, 0))
    picture.faces(np.array([[(-1.0, 0, 1), (5, 0, 1), (5, 1, 1)]]), (255, 0, 0), 0.5)
    picture.text(np.array((-1.0, 0, 1)), "behind")
    assert (picture.image == empty).all()
    picture.lines(np.array([[(5.0, -1, 1), (5, 1, 1)]]), (255, 0, 0))
    assert (picture.image != empty).any()


def processed(path: Path, *, transforms: bool) -> Path:
    rows = space_table(LABELS, ProjectionConfig())
    types = typestore().types
    with BagWriter(path) as writer:
        for row in rows:
            writer.add_topic(f"/camera/{row.topic}", row.type, [qos()])
        writer.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", [qos(latched=True)])
        made = {row.topic: row.build(projection("lidar")) for row in rows}
        for topic, record in made.items():
            if record is not None:
                writer.write(f"/camera/{topic}", serialised(record.TYPE, record), 0)
        if transforms:
            header = made["semantic/lidar_points"].header
            header = type(header)(header.stamp, "map")
            pose = types["geometry_msgs/msg/Transform"](
                translation=types["geometry_msgs/msg/Vector3"](x=5.0, y=2.0, z=1.2),
                rotation=types["geometry_msgs/msg/Quaternion"](x=-0.5, y=0.5, z=-0.5, w=0.5),
            )
            stamped = types["geometry_msgs/msg/TransformStamped"](header=header, child_frame_id="lidar", transform=pose)
            message = types["tf2_msgs/msg/TFMessage"](transforms=[stamped])
            writer.write("/tf_static", serialised("tf2_msgs/msg/TFMessage", message), 0)
    return path


def test_a_processed_bag_becomes_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = processed(tmp_path / "out.mcap", transforms=True)
    assert main(["view", str(bag), "-o", str(tmp_path / "out.png")]) == 0
    assert "1280x720" in capsys.readouterr().out
    image = cv2.imread(str(tmp_path / "out.png"))[..., ::-1]
    for name in ("road", "person"):
        assert (image == LABELS.classes[LABELS.id(name)].colour).all(axis=2).any(), name
    for wrong in (["--at", "nan"], ["--at", "-1"], ["--memory", "inf"], ["-o", str(tmp_path / "out.text")]):
        assert main(["view", str(bag), "-o", str(tmp_path / "second.png"), *wrong]) == REFUSED
        assert "expected" in capsys.readouterr().err


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="--source"):
        draw(processed(tmp_path / "no_tf.mcap", transforms=False), None, 0.0)
    with BagWriter(tmp_path / "empty.mcap") as writer:
        writer.add_topic("/tf", "tf2_msgs/msg/TFMessage", [qos()])
    with pytest.raises(BagError, match="seg_perception run"):
        draw(tmp_path / "empty.mcap", None, 0.0)

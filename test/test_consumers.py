"""What each consumer's source does with our bytes, and the parameter files that go with it (docs/consumers).

Every test reads messages as its consumer does: from CDR, with the consumer's arithmetic. Nobody's code is run here.
"""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from seg_perception.interfaces import serialised, typestore
from seg_perception.labels import LabelSpace
from seg_perception.outputs import label_info, table, view
from seg_perception.projection.camera import Camera
from seg_perception.projection.grid import GridConfig
from seg_perception.projection.labelling import LabellingConfig, label_pixels
from seg_perception.projection.outputs import table as space_table
from seg_perception.projection.pairing import Masks
from seg_perception.projection.projector import Projection, ProjectionConfig
from seg_perception.projection.scene import Costmap
from seg_perception.types import CameraModel, Frame, LabelledPoints, Mask, PanopticMap, Perception, Tracks

ROOT = Path(__file__).resolve().parents[1]
CONSUMERS = ROOT / "config" / "consumers"
LABELS = LabelSpace.load("navigation")
ROAD, PERSON, SKY = (LABELS.id(name) for name in ("road", "person", "sky"))
WIDTH, HEIGHT, STAMP = 40, 24, 1_700_000_000_123_456_789
TO_MAP = np.array([[0.0, 0, 1, 5.0], [-1, 0, 0, 2.0], [0, -1, 0, 1.2], [0, 0, 0, 1]])


Scene = tuple[Frame, Perception, CameraModel, np.ndarray]


def scene() -> Scene:
    """A person on a road under the sky, with depth: the optical points are row by row, NaN in the sky."""
    semantic = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    semantic[13:] = ROAD
    semantic[8:20, 18:22] = PERSON
    semantic[0] = 255
    panoptic = semantic.astype(np.int32)
    panoptic[8:20, 18:22] |= 7 << 16
    confidence = np.where(semantic == 255, 0, 200).astype(np.uint8)
    camera = CameraModel(WIDTH, HEIGHT, "plumb_bob", np.array([[30.0, 0, 19.5], [0, 30, 11.5], [0, 0, 1]]), np.zeros(5),
                         np.eye(3), np.array([[30.0, 0, 19.5, 0], [0, 30, 11.5, 0], [0, 0, 1, 0]]))  # fmt: skip
    v, u = np.indices((HEIGHT, WIDTH))
    with np.errstate(divide="ignore"):
        depth = np.where(semantic == ROAD, 1.2 * 30 / (v - 11.5), np.nan)
    depth[semantic == PERSON] = 4.3
    optical = np.stack(((u - 19.5) / 30 * depth, (v - 11.5) / 30 * depth, depth), -1).reshape(-1, 3).astype(np.float32)
    tracks = Tracks(
        np.array([7], np.int32), np.array([[18, 8, 22, 20]], np.float32), np.array([0.9], np.float32),
        np.array([PERSON], np.uint8), (Mask(18, 8, np.ones((12, 4), np.bool_)),), np.array([STAMP]), np.array([True]),
    )  # fmt: skip
    frame = Frame(STAMP, "camera_optical", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return (
        frame,
        Perception(STAMP, "camera_optical", PanopticMap(semantic, confidence, panoptic), tracks, {}),
        camera,
        optical,
    )


def projection(kind: str = "depth", points: LabelledPoints | None = None) -> Projection:
    frame, result, camera, optical = scene()
    labelled = label_pixels(optical, result.panoptic, LabellingConfig()) if points is None else points
    shape = (HEIGHT, WIDTH) if kind == "depth" else None
    frame_id = "camera_optical" if kind == "depth" else "lidar"
    masks = Masks(STAMP, frame.frame_id, result.panoptic, camera)
    seen_by = Camera(camera, rectified=True)
    return Projection(kind, STAMP, frame_id, labelled, shape, labelled.xyz, masks, seen_by, LABELS, "map", TO_MAP, True)


def over_the_wire(record: Any) -> Any:
    """As a subscriber gets it."""
    return typestore().deserialize_cdr(serialised(record.TYPE, record), record.TYPE)


@pytest.fixture(scope="module")
def messages() -> dict[str, Any]:
    frame, result, camera, _ = scene()
    made: dict[str, Any] = {"semantic/label_info": label_info(LABELS, STAMP, "camera_optical")}
    shown = view(frame, result, LABELS, camera, None)
    made |= {output.topic: output.build(shown) for output in table(LABELS)}
    rows = space_table(LABELS, ProjectionConfig())
    for source in (projection("depth"), projection("lidar")):
        made |= {row.topic: record for row in rows if (record := row.build(source)) is not None}
    made["costmap"] = Costmap(LABELS, GridConfig(size=12.0))(projection("depth"))
    return {topic: over_the_wire(record) for topic, record in made.items() if record is not None}


def fields(cloud: Any) -> dict[str, tuple[int, int]]:
    return {f.name: (f.offset, f.datatype) for f in cloud.fields}


def column(cloud: Any, name: str, code: str) -> np.ndarray:
    """One field, point by point as ``PointCloud2Iterator`` steps: by point_step, whatever row_step says."""
    offset, data = fields(cloud)[name][0], bytes(cloud.data)
    return np.array(
        [struct.unpack_from(code, data, i * cloud.point_step + offset)[0] for i in range(cloud.width * cloud.height)]
    )


def parameters(name: str) -> Any:
    return yaml.safe_load((CONSUMERS / name).read_text(encoding="utf-8"))


def test_semantic_segmentation_layer(messages: dict[str, Any]) -> None:
    mask, sure, cloud, info = (
        messages[t] for t in ("semantic/image_raw", "semantic/confidence", "semantic/points", "semantic/label_info")
    )
    assert mask.width * mask.height == cloud.width * cloud.height
    assert len(mask.data) >= mask.width * mask.height
    assert mask.header.stamp == sure.header.stamp == cloud.header.stamp
    assert (cloud.width, cloud.height) == (mask.width, mask.height)
    x, y, z = (column(cloud, axis, "<f") for axis in "xyz")
    layer = parameters("nav2_semantic_segmentation_layer.yaml")["local_costmap"]["local_costmap"]["ros__parameters"]
    source = layer["semantic_segmentation_layer"]["camera"]
    named = [name for kind in source["class_types"] for name in source[kind]["classes"]]
    assert sorted(named) == sorted(c.class_name for c in info.class_map), "the layer logs an error for every other"
    costs = {c.class_id: source[kind]["max_cost"] for kind in source["class_types"] for c in info.class_map
             if c.class_name in source[kind]["classes"]}  # fmt: skip
    tiles: dict[tuple[int, int], int] = {}
    for pixel in np.flatnonzero(np.isfinite(z)).tolist():  # it leaves out what is not finite, and walks all in step
        place = TO_MAP[:3, :3] @ (x[pixel], y[pixel], z[pixel]) + TO_MAP[:3, 3]
        tile = (math.floor(place[0] / 0.1), math.floor(place[1] / 0.1))
        best = tiles.get(tile)
        if best is None or costs.get(mask.data[pixel], 0) > costs.get(mask.data[best], 0):
            tiles[tile] = pixel
    seen = {int(mask.data[pixel]) for pixel in tiles.values()}
    assert seen == {ROAD, PERSON}
    assert all(sure.data[pixel] > 0 for pixel in tiles.values())
    marked = [tile for tile, pixel in tiles.items() if costs[mask.data[pixel]] == 254]
    assert {round(tx / 10) for tx, _ in marked} == {round(4.3 + 5.0)}


@pytest.mark.parametrize(("topic", "label"), [("obstacles/points", PERSON), ("clearing/points", ROAD)])
def test_obstacle_and_voxel_layer(messages: dict[str, Any], topic: str, label: int) -> None:
    cloud = messages[topic]
    assert {name: kind for name, (_, kind) in fields(cloud).items()} == {"x": 7, "y": 7, "z": 7}
    assert cloud.header.frame_id in ("camera_optical", "lidar"), "rays begin at the frame's origin"
    layer = parameters("nav2_obstacle_layer.yaml")["local_costmap"]["local_costmap"]["ros__parameters"][
        "obstacle_layer"
    ]
    source = layer[topic.partition("/")[0]]
    assert source["data_type"] == "PointCloud2"
    z = column(cloud, "z", "<f")
    x, y = column(cloud, "x", "<f"), column(cloud, "y", "<f")
    height = (np.stack((x, y, z), 1) @ TO_MAP[:3, :3].T + TO_MAP[:3, 3])[:, 2]
    kept = (height >= source["min_obstacle_height"]) & (height <= source["max_obstacle_height"])
    assert np.isfinite(z).all()
    expected = np.count_nonzero(scene()[1].panoptic.semantic == label)
    assert len(z) == expected
    assert kept.mean() > 0.9
    assert source["marking"] == (label == PERSON)
    empty = LabelledPoints(
        np.full((4, 3), np.nan, np.float32), *(np.zeros(4, t) for t in (np.uint8, np.int32, np.uint8))
    )
    rows = {row.topic: row for row in space_table(LABELS, ProjectionConfig())}
    nothing = over_the_wire(rows[topic].build(projection("lidar", empty)))
    assert (nothing.width, len(nothing.data)) == (0, 0), "a source that sends nothing counts as silent"


def static_layer(value: int, given: dict[str, Any]) -> int:
    """What it makes of one cell: 0..254, 255 unknown."""
    byte = value & 0xFF
    if byte == given["unknown_cost_value"]:
        return 255 if given["track_unknown_space"] else 0
    if byte == 99:
        return 253
    if byte >= given["lethal_cost_threshold"]:
        return 254
    return 0 if given["trinary_costmap"] else int(byte / given["lethal_cost_threshold"] * 254)


def test_static_layer(messages: dict[str, Any]) -> None:
    grid = messages["costmap"]
    assert grid.header.frame_id
    assert grid.info.width * grid.info.height == len(grid.data) > 0
    assert max(grid.info.width, grid.info.height) <= 32767
    q = grid.info.origin.orientation
    assert (q.x, q.y, q.z, q.w) == (0, 0, 0, 1)
    resolution = float(np.float32(grid.info.resolution))
    for corner in (grid.info.origin.position.x, grid.info.origin.position.y):
        assert abs(math.fmod(corner, resolution)) < 1e-5
    given = parameters("nav2_static_layer.yaml")["local_costmap"]["local_costmap"]["ros__parameters"]
    values = {int(v) for v in np.asarray(grid.data)}
    assert values == {-1, 0, 100}
    assert {v: static_layer(v, given) for v in values} == {-1: 255, 0: 0, 100: 254}
    assert given["semantic_layer"]["map_subscribe_transient_local"]
    costs = {c.cost for c in LABELS.classes}
    assert 99 not in costs, "it would be the cost of what touches an obstacle"
    assert len({static_layer(cost, given) for cost in costs}) == len(costs), "every cost of ours is one of its own"


def test_hydra(messages: dict[str, Any]) -> None:
    assert messages["semantic/image_raw"].encoding == "mono8"
    for topic in ("semantic/points", "semantic/lidar_points"):
        cloud = messages[topic]
        kinds = {name: kind for name, (_, kind) in fields(cloud).items()}
        assert [kinds[axis] for axis in "xyz"] == [7, 7, 7]
        assert kinds["rgb"] in (6, 7)
        assert kinds["label"] in (1, 2, 3, 4, 5, 6), "a float label is refused"
        assert "ring" not in kinds, "it would be read as the label"
        pixel = 10 * WIDTH + 20
        at = (pixel // cloud.width) * cloud.row_step + (pixel % cloud.width) * cloud.point_step
        data = bytes(cloud.data)
        offset = at + fields(cloud)["rgb"][0]
        assert (data[offset + 2], data[offset + 1], data[offset]) == LABELS.classes[PERSON].colour
        assert struct.unpack_from("<I", data, at + fields(cloud)["label"][0])[0] == PERSON
        assert 0 < struct.unpack_from("<I", data, at + fields(cloud)["instance"][0])[0] <= 32767
    space = parameters("hydra.yaml")["label_space"]
    assert space["total_semantic_labels"] == len(LABELS)
    assert {e["label"]: e["name"] for e in space["label_names"]} == {c.id: c.name for c in LABELS.classes}
    groups = ("dynamic_labels", "invalid_labels", "object_labels", "surface_places_labels")
    listed = [label for group in groups for label in space[group]]
    assert len(set(listed)) == len(listed)
    assert 255 in space["invalid_labels"], "an error would be logged for every unlabelled point"
    assert all(LABELS.classes[label].kind == "thing" for label in space["dynamic_labels"] + space["object_labels"])


def test_elevation_mapping(messages: dict[str, Any]) -> None:
    given = parameters("elevation_mapping.yaml")
    for topic in ("semantic/points", "semantic/lidar_points"):
        cloud = messages[topic]
        names = [f.name for f in cloud.fields]
        assert names[:3] == ["x", "y", "z"]
        assert cloud.row_step == cloud.width * cloud.point_step
        offsets = sorted(offset for offset, _ in fields(cloud).values())
        assert all(b - a >= 4 for a, b in zip(offsets, [*offsets[1:], cloud.point_step], strict=True)), (
            "it copies 4 bytes"
        )
        for name, fusion in given["pointcloud_channel_fusions"].items():
            assert fields(cloud)[name][1] == 7, f"{name} is read as a float"
            assert fusion == "color" or np.isfinite(column(cloud, name, "<f")).all()
    assert given["subscribers"]["front"]["topic_name"].endswith("semantic/points")


def test_rviz_and_foxglove(messages: dict[str, Any]) -> None:
    shown = messages["objects"].markers
    assert shown[0].action == 3
    assert len({(m.ns, m.id) for m in shown[1:]}) == len(shown) - 1, "two of one name would replace each other"
    for marker in shown[1:]:
        numbers = [marker.scale.x, marker.scale.y, marker.scale.z, marker.color.a]
        numbers += [v for p in marker.points for v in (p.x, p.y, p.z)]
        assert np.isfinite(numbers).all()
        q = marker.pose.orientation
        assert math.hypot(q.x, q.y, q.z, q.w) == pytest.approx(1)
        assert len(marker.points) % {5: 2, 9: 1, 11: 3}[marker.type] == 0
        assert marker.points or marker.text
        assert marker.lifetime.sec + marker.lifetime.nanosec > 0
        assert marker.header.frame_id == "map"
    displays = yaml.safe_load((ROOT / "rviz" / "perception.rviz").read_text())["Visualization Manager"]["Displays"]
    topics = {d["Topic"]["Value"]: d["Topic"] for d in displays}
    layout = json.loads((CONSUMERS / "foxglove.json").read_text(encoding="utf-8"))["configById"]
    ours = {f"/camera/{topic}" for topic in messages} | {"/costmap"}
    assert set(topics) <= ours
    assert set(layout["3D!space"]["topics"]) <= ours
    assert topics["/costmap"]["Durability Policy"] == "Transient Local"
    assert {v["imageMode"]["imageTopic"] for k, v in layout.items() if k.startswith("Image!")} <= ours


def test_every_parameter_file_has_its_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "consumers").glob("*.md")}
    assert {path.stem for path in CONSUMERS.iterdir()} | {"rviz"} == pages
    for path in (ROOT / "docs" / "consumers").glob("*.md"):
        for link in re.findall(r"\]\((\.\./[^)]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).resolve().exists(), f"{path.name}: {link}"

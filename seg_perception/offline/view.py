"""``seg_perception view BAG``: labelled points, boxes and trajectories of a processed bag, as a picture.

Draws what a 3D viewer would show at one moment: the labelled clouds of the last seconds in their class colours, the
markers of ``objects`` (edges, seen sides, names), and every thing's way so far.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import BagError, ConfigError
from seg_perception.frames import stamp_of
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag
from seg_perception.projection.picture import Colour, Eye, Picture
from seg_perception.projection.things import STATE
from seg_perception.projection.transforms import TransformBuffer, TransformError
from seg_perception.records import Marker, MarkerArray, PointCloud2
from seg_perception.rendering import shade
from seg_perception.types import NANOSECONDS, UNLABELLED, Float32Array, UInt8Array

CLOUDS = ("semantic/lidar_points", "semantic/points")
BEHIND, ABOVE, AHEAD = 6.0, 4.5, 9.0
"""Metres: the eye stands behind and above the sensor and looks at the ground ahead of it."""

_STATE = np.dtype([(field.name, {6: "<u4", 7: "<f4"}[field.datatype]) for field in STATE])
_CLOUD = np.dtype([(n, t) for n, t in zip(("x", "y", "z", "rgb", "label", "instance", "confidence"),
                                          ("<f4", "<f4", "<f4", "<u4", "<u4", "<u4", "<f4"), strict=True)])  # fmt: skip


def draw(
    processed: Path, source: Path | None, at: float, *, camera: str = "/camera", memory: float = 3.0
) -> UInt8Array:
    """The picture, ``(720, 1280, 3)`` uint8 RGB, of the moment ``at`` seconds after the first objects of the bag
    ``processed``; its clouds stay for ``memory`` seconds. Transforms are those of ``source``, or of the bag itself.

    Raises :class:`BagError` for a bag without objects, or without transforms where it has clouds.
    """
    with Bag(processed) as bag:
        topics = {name: f"{camera}/{name}" for name in ("objects", "objects/state", *CLOUDS)}
        types = {topic: found.type for topic, found in bag.topics.items()}
        if types.get(topics["objects"]) != MarkerArray.TYPE or types.get(topics["objects/state"]) != PointCloud2.TYPE:
            raise BagError(
                f"{processed}: has no {topics['objects']} and {topics['objects/state']} to show; make them with "
                "seg_perception run --points TOPIC or --depth TOPIC"
            )
        states = list(bag.contents(topics["objects/state"]))
        if not states:
            raise BagError(f"{processed}: {topics['objects/state']} has no messages")
        moment = min(stamp_of(states[0]) + round(at * NANOSECONDS), stamp_of(states[-1]))
        states = [state for state in states if stamp_of(state) <= moment]
        fixed = states[-1].header.frame_id
        shown = [m for m in bag.contents(topics["objects"]) if m.markers and stamp_of(m.markers[0]) <= moment][-1]
        oldest = moment - round(memory * NANOSECONDS)
        clouds = [
            cloud
            for name in CLOUDS
            if topics[name] in types
            for cloud in bag.contents(topics[name])
            if oldest <= stamp_of(cloud) <= moment
        ][-60:]
    transforms = _transforms(source or processed)
    xyz, colours, place, ahead = _points(clouds, transforms, fixed, processed)
    picture = Picture(Eye(place - BEHIND * ahead + (0, 0, ABOVE), place + AHEAD * ahead))
    picture.points(xyz, colours)
    for marker in shown.markers:
        _draw_marker(picture, marker)
    for number, label, way in _ways(states):
        colour = shade(LabelSpace.load("navigation").classes[label].colour, number)
        picture.lines(np.stack((way[:-1], way[1:]), axis=1), colour, 2)
    return picture.image


def _transforms(source: Path) -> TransformBuffer:
    buffer = TransformBuffer(1e6)
    with Bag(source) as bag:
        for topic in ("/tf_static", "/tf"):
            if topic in bag.topics:
                for message in bag.contents(topic):
                    buffer.add_message(message, static=topic == "/tf_static")
    return buffer


def _points(
    clouds: list[Any], transforms: TransformBuffer, fixed: str, bag: Path
) -> tuple[Float32Array, UInt8Array, NDArray[np.float64], NDArray[np.float64]]:
    """All points in the fixed frame with their colours; things only of the last cloud, for they move. And where the
    last sensor stood, and which way its points lie.
    """
    if not clouds:
        raise BagError(f"{bag}: has no labelled points at that moment")
    parts: list[tuple[NDArray[np.float64], UInt8Array]] = []
    last = clouds[-1]
    for cloud in clouds:
        rows = np.frombuffer(bytes(cloud.data), _CLOUD)
        kept = (rows["label"] != UNLABELLED) & np.isfinite(rows["x"])
        if cloud is not last:
            kept &= rows["instance"] == 0
        rows = rows[kept]
        try:
            pose = transforms.lookup(fixed, cloud.header.frame_id, stamp_of(cloud))
        except TransformError as error:
            raise BagError(f"{bag}: {error}; name the bag that has /tf and /tf_static with --source") from error
        xyz = np.column_stack([rows[axis] for axis in "xyz"]).astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
        colours = np.column_stack([(rows["rgb"] >> shift) & 255 for shift in (16, 8, 0)]).astype(np.uint8)
        parts.append((xyz, colours))
    everything = np.concatenate([xyz for xyz, _ in parts]).astype(np.float32)
    towards = np.append(np.median(parts[-1][0][:, :2], axis=0) - pose[:2, 3], 0.0)
    return everything, np.concatenate([colours for _, colours in parts]), pose[:3, 3], towards / np.hypot(*towards[:2])


def _ways(states: list[Any]) -> list[tuple[int, int, NDArray[np.float64]]]:
    """Id, class and way ``(n, 3)`` on the ground of every thing that is there at the end."""
    rows = [np.frombuffer(bytes(state.data), _STATE) for state in states]
    ways = []
    for now in rows[-1]:
        mine = [row[row["instance"] == now["instance"]] for row in rows]
        places = np.array([(r["x"][0], r["y"][0], r["z"][0] - r["height"][0] / 2) for r in mine if len(r)], np.float64)
        if len(places) > 1:
            ways.append((int(now["instance"]), int(now["label"]), places))
    return ways


def _draw_marker(picture: Picture, marker: Any) -> None:
    colour: Colour = tuple(round(255 * c) for c in (marker.color.r, marker.color.g, marker.color.b))
    points = np.array([(p.x, p.y, p.z) for p in marker.points], np.float64)
    if marker.type == Marker.LINE_LIST and len(points):
        picture.lines(points.reshape(-1, 2, 3), colour)
    elif marker.type == Marker.TRIANGLE_LIST and len(points):
        picture.faces(points.reshape(-1, 3, 3), colour, float(marker.color.a))
    elif marker.type == Marker.TEXT_VIEW_FACING:
        place = marker.pose.position
        picture.text(np.array((place.x, place.y, place.z)), marker.text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception view``."""
    parser.add_argument("bag", type=Path, help="what `seg_perception run` wrote with --points or --depth")
    parser.add_argument("-o", "--output", type=Path, default=Path("view.png"), metavar="OUT.png", help="the picture")
    parser.add_argument("--source", type=Path, metavar="BAG", help="the bag it was made of, for its transforms")
    parser.add_argument("--at", type=float, default=1e9, metavar="SECONDS", help="the moment; the bag's end")
    parser.add_argument("--memory", type=float, default=3.0, metavar="SECONDS", help="how long clouds stay")
    parser.add_argument("--camera", default="/camera", help="namespace of the topics")


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception view``; returns the exit status."""
    camera = f"/{arguments.camera.strip('/')}"
    for name in ("at", "memory"):
        if not 0 <= vars(arguments)[name] < math.inf:
            raise ConfigError(f"--{name} {vars(arguments)[name]:g}: expected seconds from 0 on")
    image = draw(arguments.bag, arguments.source, arguments.at, camera=camera, memory=arguments.memory)
    try:
        written = cv2.imwrite(str(arguments.output), image[..., ::-1])
    except cv2.error as error:  # OpenCV knows no picture of that suffix
        raise ConfigError(f"{arguments.output}: is not named as a picture; expected OUT.png") from error
    if not written:
        raise ConfigError(f"{arguments.output}: cannot be written; is its folder there?")
    print(f"{arguments.output}: {image.shape[1]}x{image.shape[0]}")
    return 0

"""``python -m tools.world.space BAG...``: how good the objects and grids are that are made of the world's bags.

    python -m tools.world.space /data/val/*.mcap --perceived /data/perceived --source lidar     # networks' masks
    python -m tools.world.space /data/val/*.mcap --source depth --grid                          # the truth's masks

Masks (those that ``seg_perception run`` wrote into the bags of the same names in ``--perceived``, or the true ones) are
carried onto LiDAR or depth by the same code as on a robot, and everything is held against the truth of the frame's
stamp. A thing counts where its mask overlaps the true one of its class by half or more, within ``--reach`` metres.
``--grid`` also looks straight down into the scene and compares every known cell (needs MuJoCo).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.calibration import camera_model
from seg_perception.conformance import pixels
from seg_perception.frames import stamp_of
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag
from seg_perception.projection.grid import GridMemory
from seg_perception.projection.objects import ObjectMemory, Objects
from seg_perception.projection.pairing import Kind, Masks
from seg_perception.projection.projector import Projection, ProjectionConfig, Projector
from seg_perception.projection.transforms import TransformBuffer
from seg_perception.types import NANOSECONDS, Float64Array, Int32Array, LabelledPoints, PanopticMap

TRUE_OBJECT = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "vx", "vy", "vz", "length", "width", "height", "yaw")]
    + [("label", "<u4"), ("instance", "<u4"), ("confidence", "<f4"), ("age", "<f4")]
)
SETTLED = NANOSECONDS
"""How long a thing must have been known before its velocity counts."""

MEASURES = ("iou", "centre", "near", "velocity", "yaw", "length", "width", "height")


def projections(truth: Path, perceived: Path | None, source: Kind) -> Iterator[tuple[Projection, Int32Array, Any]]:
    """Every projection of the bag, with the true panoptic map and objects of its masks' stamp."""
    labels = LabelSpace.load("navigation")
    config = replace(ProjectionConfig(), source=source)
    with Bag(truth) as bag:
        transforms = TransformBuffer(1e6)
        for topic in ("/tf_static", "/tf"):
            for message in bag.contents(topic):
                transforms.add_message(message, static=topic == "/tf_static")
        projector = Projector(labels, config, transforms, lambda sentence: None)
        camera = camera_model(next(bag.contents("/camera/camera_info")))
        projector.add_depth_calibration(next(bag.contents("/camera/depth/camera_info")))
        true = {stamp_of(m): pixels(m) for m in bag.contents("/truth/panoptic")}
        objects = {stamp_of(m): np.frombuffer(bytes(m.data), TRUE_OBJECT) for m in bag.contents("/truth/objects")}
        maps = true if perceived is None else _perceived(perceived)
        clouds = {"depth": "/camera/depth/image_raw", "lidar": "/lidar/points"}[source]
        messages = list(bag.contents(clouds))
        for stamp, panoptic in maps.items():
            semantic = (panoptic & 0xFFFF).astype(np.uint8)
            # Confidences are not recorded with every bag; what is certain here is certain.
            certain = np.where(semantic == 255, 0, 200).astype(np.uint8)
            projector.add_masks(Masks(stamp, "camera_optical_frame", PanopticMap(semantic, certain, panoptic), camera))
            while messages and stamp_of(messages[0]) <= stamp:
                message = messages.pop(0)
                (projector.add_depth if source == "depth" else projector.add_cloud)(message)
            for projection in projector.ready(math.inf):
                if projection.kind == source:
                    yield projection, true[projection.masks.stamp], objects[projection.masks.stamp]


def _perceived(path: Path) -> dict[int, Int32Array]:
    with Bag(path) as bag:
        return {stamp_of(m): pixels(m) for m in bag.contents("/camera/panoptic/image_raw")}


def standing(projection: Projection) -> LabelledPoints:
    """The points in the camera's frame at the masks' stamp."""
    return replace(projection.points, xyz=projection.optical)


def matched(true: Int32Array, found: Int32Array) -> dict[int, int]:
    """Found id -> true number where masks of one class overlap by half or more."""
    things = (true >> 16 > 0) | (found >> 16 > 0)
    pairs, counts = np.unique(true[things].astype(np.int64) << 32 | found[things], return_counts=True)
    own = {"true": {}, "found": {}}  # type: dict[str, dict[int, int]]
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        for side, key in (("true", pair >> 32), ("found", pair & 0xFFFFFFFF)):
            own[side][key] = own[side].get(key, 0) + count
    matches = {}
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        a, b = pair >> 32, pair & 0xFFFFFFFF
        same = a >> 16 and b >> 16 and a & 0xFFFF == b & 0xFFFF
        if same and count >= 0.5 * (own["true"][a] + own["found"][b] - count):
            matches[b >> 16] = a >> 16
    return matches


def rectangle(x: float, y: float, length: float, width: float, yaw: float) -> NDArray[np.float32]:
    """The four corners of a footprint, ``(4, 2)``."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    half = np.array(((1, 1), (-1, 1), (-1, -1), (1, -1))) * (length / 2, width / 2)
    return np.asarray(half @ np.array(((cos, sin), (-sin, cos))) + (x, y), np.float32)


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two convex footprints."""
    both = float(cv2.intersectConvexConvex(a - a[0], b - a[0])[0])
    return both / (float(cv2.contourArea(a - a[0])) + float(cv2.contourArea(b - b[0])) - both)


def distance(x: float, y: float, length: float, width: float, yaw: float, eye: Float64Array) -> float:
    """From ``eye`` to the nearest point of a footprint."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    dx, dy = eye[0] - x, eye[1] - y
    return float(
        np.hypot(max(abs(cos * dx + sin * dy) - length / 2, 0.0), max(abs(cos * dy - sin * dx) - width / 2, 0.0))
    )


@dataclass
class ObjectScores:
    """What was measured, by class: rows of :data:`MEASURES`, and how many matched things had no object."""

    rows: dict[str, list[tuple[float, ...]]]
    missed: dict[str, int]

    def add(self, things: Objects, matches: Mapping[int, int], true: Any, born: Mapping[int, int], eye: Float64Array,
            reach: float, labels: LabelSpace) -> None:  # fmt: skip
        """One frame; ``born`` is the stamp at which each id was first known."""
        index = {int(number): i for i, number in enumerate(things.ids)}
        by_number = {int(row["instance"]): row for row in true}
        for number, true_number in matches.items():
            row = by_number[true_number]
            x, y, length, width, yaw = (float(row[k]) for k in ("x", "y", "length", "width", "yaw"))
            if np.hypot(x - eye[0], y - eye[1]) > reach:
                continue
            name = labels.classes[int(row["label"])].name
            i = index.get(number)
            if i is None:
                self.missed[name] = self.missed.get(name, 0) + 1
                continue
            (cx, cy), (cl, cw), cyaw = things.centre[i, :2].tolist(), things.size[i, :2].tolist(), float(things.yaw[i])
            box = (cx, cy, cl, cw, cyaw)
            settled = things.stamp - born[number] >= SETTLED
            velocity = np.hypot(*(things.velocity[i, :2] - (row["vx"], row["vy"]))) if settled else np.nan
            self.rows.setdefault(name, []).append(
                (
                    overlap(rectangle(*box), rectangle(x, y, length, width, yaw)),
                    float(np.hypot(box[0] - x, box[1] - y)),
                    distance(*box, eye) - distance(x, y, length, width, yaw, eye),
                    float(velocity),
                    abs((box[4] - yaw + np.pi / 2) % np.pi - np.pi / 2),
                    box[2] / length,
                    box[3] / width,
                    float(things.size[i, 2] / row["height"]),
                )
            )

    def summary(self) -> dict[str, dict[str, float]]:
        """By class and for all: medians, and the ninth decile of the velocity's error."""
        named = {**self.rows, "all": [row for rows in self.rows.values() for row in rows]}
        missed = {**self.missed, "all": sum(self.missed.values())}
        return {name: _summary(np.array(rows), missed.get(name, 0)) for name, rows in named.items() if rows}


def _summary(rows: Float64Array, missed: int) -> dict[str, float]:
    iou, centre, near, velocity, yaw, length, width, height = rows.T
    velocity = velocity[np.isfinite(velocity)]
    return {
        "frames": len(rows),
        "found": len(rows) / (len(rows) + missed),
        "iou": float(np.median(iou)),
        "centre": float(np.median(centre)),
        "near": float(np.median(np.abs(near))),
        "velocity": float(np.median(velocity)) if len(velocity) else math.nan,
        "velocity_p90": float(np.quantile(velocity, 0.9)) if len(velocity) else math.nan,
        "yaw_degrees": float(np.degrees(np.median(yaw))),
        "length": float(np.median(length)),
        "width": float(np.median(width)),
        "height": float(np.median(height)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Score every bag of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.world.space", description=__doc__.split("\n\n")[0])
    parser.add_argument("bags", type=Path, nargs="+", help="bags of the world")
    parser.add_argument(
        "--perceived", type=Path, help="folder of what `seg_perception run` made of them; else the truth"
    )
    parser.add_argument("--source", choices=("lidar", "depth"), default="lidar")
    parser.add_argument("--reach", type=float, default=15.0, help="metres")
    parser.add_argument("--grid", action="store_true", help="compare grids with the scene as well (needs MuJoCo)")
    parser.add_argument("--json", type=Path, help="write the scores to this file")
    chosen = parser.parse_args(arguments)
    labels, config = LabelSpace.load("navigation"), ProjectionConfig()
    scores, cells = ObjectScores({}, {}), np.zeros(3, np.int64)
    for path in chosen.bags:
        memory, grids = ObjectMemory(labels, config.objects.sizes), GridMemory(labels, config.grid)
        born: dict[int, int] = {}
        surface = _surface(path) if chosen.grid else None
        perceived = chosen.perceived / path.name if chosen.perceived else None
        for count, (projection, true, objects) in enumerate(projections(path, perceived, chosen.source)):
            assert projection.to_fixed is not None
            stamp, points = projection.masks.stamp, standing(projection)
            common = (projection.to_fixed, projection.fixed_frame)
            masks = projection.masks.panoptic
            things = memory.update(stamp, points, *common, masks, config.objects, projection.camera)
            born = {int(n): born.get(int(n), stamp) for n in things.ids}
            matches = matched(true, masks.panoptic)
            scores.add(things, matches, objects, born, projection.to_fixed[:2, 3], chosen.reach, labels)
            if surface is not None:
                grid = grids.update(stamp, points, *common, config.grid)
                if count % 10 == 9:
                    cells += surface.compare(grid, config.grid)
        print(f"{path.name}: {sum(map(len, scores.rows.values()))} so far", flush=True)
    summary = scores.summary()
    print(f"{'':10}" + "".join(f"{key:>13}" for key in next(iter(summary.values()))))
    for name, values in summary.items():
        print(f"{name:10}" + "".join(f"{value:13.2f}" for value in values.values()))
    if chosen.grid:
        known, agreed, strictly = cells.tolist()
        share = f"{agreed / known:.1%} agree, {strictly / known:.1%} with the cell's middle"
        print(f"grid: {known} of the known cells compared, {share}")
    if chosen.json:
        content = {"objects": summary, "grid": cells.tolist()}
        chosen.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _surface(bag: Path) -> Any:
    from tools.world.surface import Surface  # MuJoCo only where it is asked for

    return Surface.of(bag)


if __name__ == "__main__":
    main()

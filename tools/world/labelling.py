"""``python -m tools.world.labelling BAG...``: do LiDAR points take the class of the surface that they hit?

The true masks are carried onto every sweep by the same code as on a robot, and each point's label is held against what
the beam hit. A point is visible to the camera unless it lies behind the depth image by more than that one's error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from seg_perception.frames import stamp_of
from seg_perception.offline.bags import Bag
from seg_perception.projection.depth import depth_metres
from seg_perception.types import UNLABELLED
from tools.world.space import projections


@dataclass(frozen=True)
class Agreement:
    """Numbers of points: in view, ``visible``, of these ``inner`` (more than a pixel from a mask's border), how many
    of either have a label and the right one, and ``hidden`` ones with a wrong one.
    """

    view: int = 0
    visible: int = 0
    visible_labelled: int = 0
    visible_right: int = 0
    inner: int = 0
    inner_labelled: int = 0
    inner_right: int = 0
    hidden: int = 0
    hidden_wrong: int = 0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def shares(self) -> dict[str, float]:
        """What the table says, 0..1."""
        return {
            "inner, labelled ones: right": self.inner_right / max(self.inner_labelled, 1),
            "inner: right": self.inner_right / max(self.inner, 1),
            "visible, labelled ones: right": self.visible_right / max(self.visible_labelled, 1),
            "visible: right": self.visible_right / max(self.visible, 1),
            "visible: unlabelled": 1 - self.visible_labelled / max(self.visible, 1),
            "hidden: wrong": self.hidden_wrong / max(self.hidden, 1),
        }


def agreement(bag: Path, every: int = 1) -> Agreement:
    """Of the ``every``-th sweeps of a world bag."""
    with Bag(bag) as opened:
        depths = {stamp_of(m): m for m in opened.contents("/camera/depth/image_raw")}
        hits = {stamp_of(m): m for m in opened.contents("/truth/points")}
    total, around = Agreement(), np.ones((3, 3), np.uint8)
    for number, (projection, true, _) in enumerate(projections(bag, None, "lidar")):
        if number % every:
            continue
        camera = projection.camera
        u, v, z = camera.project(projection.optical)
        seen = np.flatnonzero((u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height))
        column, row, z = u[seen].astype(int), v[seen].astype(int), z[seen]
        metres = depth_metres(depths[projection.masks.stamp])
        surface = cv2.dilate(np.where(np.isfinite(metres), metres, np.float32(1000)), around)
        step = camera.height // len(metres)
        visible = z <= surface[row // step, column // step] + 0.15 + 0.003 * z * z
        segments = true.astype(np.float32)
        inner = visible & (cv2.dilate(segments, around) == cv2.erode(segments, around))[row, column]
        truth = np.frombuffer(bytes(hits[projection.stamp].data), np.uint32).reshape(-1, 2)[seen, 0]
        found = projection.points.labels[seen]
        labelled, right = found != UNLABELLED, found == truth
        sets = (
            visible | True, visible, visible & labelled, visible & right, inner, inner & labelled, inner & right,
            ~visible, ~visible & labelled & ~right,
        )  # fmt: skip
        total += Agreement(*(int(np.count_nonzero(chosen)) for chosen in sets))
    return total


def main(arguments: Sequence[str] | None = None) -> None:
    """Score every bag of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.world.labelling", description=__doc__.split("\n\n")[0])
    parser.add_argument("bags", type=Path, nargs="+", help="bags of the world")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at every N-th sweep")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    chosen = parser.parse_args(arguments)
    total = Agreement()
    for path in chosen.bags:
        found = agreement(path, chosen.every)
        total += found
        print(f"{path.name}: " + ", ".join(f"{name} {share:.2%}" for name, share in found.shares().items()), flush=True)
    print(", ".join(f"{field.name} {getattr(total, field.name)}" for field in fields(total)))
    for name, share in total.shares().items():
        print(f"{name:32}{share:8.2%}")
    if chosen.json:
        chosen.json.write_text(json.dumps(total.shares(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

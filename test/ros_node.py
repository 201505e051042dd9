"""The segmentation node with small networks made of Python: the point of these tests is what is around them.

The semantic network reads the class off the red channel, so that a test knows the answer; the instance network finds
one thing where the red channel says person.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from seg_perception.errors import ModelError
from seg_perception.pipeline import Networks
from seg_perception.ros.segmentation_node import main
from seg_perception.types import Instances, Mask, SemanticMap

CLASSES = 19
PERSON = 11
POISON = 254


class RedChannel:
    """Class ids as the red channel has them, 255 from 19 on; takes ``seconds``; fails on an image that is poison."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, image, times):
        with times.stage("semantic/forward"):
            time.sleep(self._seconds)
        labels = image[..., 0].copy()
        if labels[0, 0] == POISON:
            raise RuntimeError("the network broke")
        labels[labels >= CLASSES] = 255
        return SemanticMap(labels, np.where(labels == 255, 0, 200).astype(np.uint8))


class People:
    """One person where the red channel says so; fails on an image whose blue channel is poison; does not answer while
    the file ``hold`` is there.
    """

    def __init__(self, hold: Path | None) -> None:
        self._hold = hold

    def __call__(self, image, times, regions=None):
        with times.stage("instance/forward"):
            while self._hold and self._hold.exists():
                time.sleep(0.01)
            if image[0, 0, 2] == POISON:
                raise RuntimeError("the instance network broke")
            rows, columns = np.nonzero(image[..., 0] == PERSON)
        if not len(rows):
            return Instances.empty()
        x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        mask = Mask(int(x0), int(y0), np.ones((y1 - y0, x1 - x0), np.bool_))
        box = np.array([[x0, y0, x1, y1]], np.float32)
        return Instances(box, np.array([0.9], np.float32), np.array([PERSON], np.uint8), (mask,))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0, help="that the semantic network takes")
    parser.add_argument("--load", type=float, default=0.0, help="seconds that loading takes")
    parser.add_argument("--weights", type=Path, help="loading fails while this file is missing")
    parser.add_argument("--hold", type=Path, help="the instance network does not answer while this file is there")
    parser.add_argument("--without", help="a package that is made not importable")
    options, ros = parser.parse_known_args()
    if options.without:
        sys.modules[options.without] = None

    def load(config, labels):
        time.sleep(options.load)
        if options.weights and not options.weights.exists():
            raise ModelError(f"{options.weights}: the weights are missing; put them there")
        return Networks(RedChannel(options.seconds), People(options.hold))

    raise SystemExit(main(ros, load))

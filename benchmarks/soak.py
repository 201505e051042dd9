"""Ten thousand frames through `seg_perception run`: what the process holds in memory at 500, 1000, ... frames.

    python benchmarks/soak.py [--frames 10000] [--every 10] [--width 320] [--bag demo/street.mcap] [--json OUT]

The images of the bag, made smaller, follow each other again and again with growing stamps, so that a drive of minutes
has a cut every few seconds, at which all tracks are new. Both shipped networks run with one thread, the instance
network on every tenth frame, and every output that is always made is written. The memory is the process's resident set
(Linux). The last line is what counts: how much more is held at the end than at frame 500. Needs rosbags, mcap and
OpenVINO.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from side_by_side import write

from seg_perception.cascade import CascadeConfig
from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.images import decode_compressed
from seg_perception.interfaces import serialised, typestore
from seg_perception.offline.bags import Bag
from seg_perception.offline.run import run_bag
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.pipeline import Looks, Networks
from seg_perception.records import CompressedImage, Header
from seg_perception.timing import StageTimes
from seg_perception.types import NANOSECONDS

TOPIC = "/camera/image_raw/compressed"
RATE = 30
STEP = 500
ROOT = Path(__file__).resolve().parents[1]


def small(bag: Path, width: int) -> list[bytes]:
    """The bag's images as JPEG of ``width`` pixels."""
    images = []
    with Bag(bag) as source:
        for message in source.messages([TOPIC]):
            content: Any = typestore().deserialize_cdr(message.cdr, CompressedImage.TYPE)
            image = decode_compressed(content.format, content.data)
            height = round(image.shape[0] * width / image.shape[1])
            shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            images.append(cv2.imencode(".jpg", cv2.cvtColor(shrunk, cv2.COLOR_RGB2BGR))[1].tobytes())
    return images


def looped(images: list[bytes], frames: int, out: Path) -> None:
    """A bag of so many frames."""
    with BagWriter(out, compress=False) as bag:
        bag.add_topic(TOPIC, CompressedImage.TYPE, [qos()])
        for number, data in enumerate(islice(cycle(images), frames)):
            stamp = NANOSECONDS + number * NANOSECONDS // RATE
            message = CompressedImage(Header.of(stamp, "camera_optical"), "jpeg", np.frombuffer(data, np.uint8))
            bag.write(TOPIC, serialised(message.TYPE, message), stamp)


class Counted:
    """Networks that note the memory held at every :data:`STEP`-th frame."""

    def __init__(self, networks: Looks) -> None:
        self._networks, self._frames, self._start = networks, 0, time.perf_counter()
        self.loaded, self.instance = networks.loaded, networks.instance
        self.held: dict[int, float] = {}

    def look(self, image: Any, times: StageTimes) -> Any:
        """See :class:`Looks`."""
        self._frames += 1
        if self._frames % STEP == 0:
            self.held[self._frames] = resident()
            seconds = time.perf_counter() - self._start
            print(f"{self._frames:8} {self.held[self._frames]:10.1f} {seconds:8.0f}", flush=True)
        return self._networks.look(image, times)


def resident() -> float:
    """Megabytes (10^6) of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Make the bag, run, print and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=10, help="the instance network sees every N-th frame")
    parser.add_argument("--width", type=int, default=320, help="of the images, in pixels")
    parser.add_argument("--bag", type=Path, default=ROOT / "demo" / "street.mcap")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.frames < 2 * STEP:
        parser.error(f"--frames is {chosen.frames}; expected at least {2 * STEP}")
    models = ModelsConfig(semantic="world_semantic", instance="world_instance", threads=1)
    config = replace(PipelineConfig(), models=models, cascade=CascadeConfig(every=chosen.every))
    cv2.setNumThreads(1)
    counted: list[Counted] = []

    def load(*of: Any) -> Counted:
        counted.append(Counted(Networks.load(*of)))
        return counted[0]

    print(f"{'frame':>8} {'MB held':>10} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        bag = Path(scratch) / "looped.mcap"
        looped(small(chosen.bag, chosen.width), chosen.frames, bag)
        report = run_bag(bag, Path(scratch) / "out.mcap", config, load=load, progress=False)
    held = counted[0].held
    grown = list(held.values())[-1] - held[STEP]
    print(f"from frame {STEP} to {max(held)}: {grown:+.1f} MB; {report.written} frames, looks {dict(report.looks)}")
    write("soak", [{"case": f"{report.written} frames", "held_mb": held, "grown_mb": grown}], chosen.json)


if __name__ == "__main__":
    main()

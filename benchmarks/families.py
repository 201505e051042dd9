"""Every family of networks through the whole package on real frames: from its library into a bag of masks, in torch and
as a graph, and the masks compared pixel by pixel.

    python benchmarks/families.py [--json OUT] [--frames 40] [NAME ...]

For each network: a manifest and weights (nobody trained them: see zoo.py), ``seg_perception models export``, then
``seg_perception run`` over a bag of KITTI's left colour camera (1242 x 375, made by scripts/make_bags.py) in torch,
onnxruntime and OpenVINO, all in f32. *alone* is the part of all pixels of all frames whose class is torch's in what
the network says of each frame by itself (its things painted); *bag* the part in the masks of the bag,
which tracks have carried from frame to frame, *panoptic* the part whose class and thing is the same there. Inputs are
small (640 x 192), so that the large networks take seconds a frame, not minutes. Mask R-CNN tells things alone and runs
beside LR-ASPP; the masks are those of both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zoo
from side_by_side import DATA, machine

from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, Manifest, load_semantic
from seg_perception.models.bench import answers
from seg_perception.models.bench.answers import labels_agree
from seg_perception.offline.bags import Bag
from seg_perception.timing import StageTimes
from seg_perception.types import PanopticMap

SIZE = (192, 640)
TEACHER = "espnet_cityscapes_wide"
BESIDE = {"mask_rcnn": "lraspp"}
RUNTIMES = ("torch", "onnxruntime", "openvino")
TOPICS = ("semantic/image_raw", "panoptic/image_raw")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@dataclass(frozen=True)
class Row:
    """One network in one runtime: ``frames`` in its bag; the part of the pixels whose class is that of torch, by the
    network alone and in the bag, and whose class and thing is (``panoptic``); the number of ``classes`` and
    ``things`` seen; or why there is no bag.
    """

    network: str
    runtime: str
    frames: int = 0
    network_agrees: float = 0.0
    bag_agrees: float = 0.0
    panoptic: float = 0.0
    classes: int = 0
    things: int = 0
    refused: str = ""


def compare(bag: Path, frames: Sequence[Path], network: str, runtimes: Sequence[str], folder: Path) -> list[Row]:
    """Run ``bag``, made of ``frames``, through ``NETWORK.yaml`` of ``folder`` in all ``runtimes``, torch first."""
    names = [n for n in (BESIDE.get(network), network) if n]
    alone: list[PanopticMap] = []
    refused = {name: export(folder, name) for name in names}
    rows = []
    for runtime in runtimes:
        reason = "" if runtime == "torch" else " ".join(filter(None, refused.values()))
        out = folder / f"{network}_{runtime}.mcap"
        reason = reason or run(bag, out, [manifest(folder, name, runtime) for name in names], runtime)
        if reason:
            rows.append(Row(network, runtime, refused=reason))
            continue
        said = maps(manifest(folder, network, runtime), runtime, frames)
        alone = alone or said
        rows.append(judged(network, runtime, folder, labels_agree(said, alone)))
    return rows


def maps(path: Path, runtime: str, frames: Sequence[Path]) -> list[PanopticMap]:
    """What the network says of each frame by itself."""
    found, labels = Manifest.load(path), LabelSpace.load("navigation")
    network = answers.load(found, labels, Execution(runtime=runtime, threads=1))
    images = (np.ascontiguousarray(cv2.imread(str(file))[..., ::-1]) for file in frames)
    return [answers.as_map(network(image, StageTimes()), image, labels) for image in images]


def manifest(folder: Path, name: str, runtime: str) -> Path:
    """What the network is called for ``runtime``."""
    return folder / (f"{name}.yaml" if runtime == "torch" else f"{name}_graph.yaml")


def export(folder: Path, name: str) -> str:
    """Write the network's graph, unless it is there; what the command said if it could not."""
    graph = manifest(folder, name, "onnxruntime").with_suffix(".onnx")
    return "" if graph.is_file() else command("models", "export", str(folder / f"{name}.yaml"), str(graph))


def run(bag: Path, out: Path, manifests: Sequence[Path], runtime: str) -> str:
    """One bag to another; what the command said if it could not."""
    keys = ("models.semantic", "models.instance")
    settings = [f"{key}={path}" for key, path in zip(keys, manifests, strict=False)]
    settings += [f"models.runtime={runtime}", "models.precision=f32", "models.threads=1"]
    return command("run", str(bag), "-o", str(out), "--topics", *TOPICS, "--set", *settings)


def command(*words: str) -> str:
    """``seg_perception WORDS``; nothing, or what it said where it failed."""
    done = subprocess.run([sys.executable, "-m", "seg_perception", *words], capture_output=True, text=True)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def judged(network: str, runtime: str, folder: Path, alone: float) -> Row:
    """The bag of ``runtime`` beside that of torch; ``alone`` is how far the network's own answers agree."""
    equal, seen = np.zeros(2), [set[int](), set[int]()]
    pixels = frames = 0
    mine, theirs = (masks(folder / f"{network}_{name}.mcap") for name in (runtime, "torch"))
    for one, other in zip(mine, theirs, strict=True):
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            equal[number] += np.count_nonzero(a == b)
            seen[number] |= set(np.unique(a).tolist())
        pixels, frames = pixels + one[0].size, frames + 1
    agree, panoptic = (equal / pixels).tolist()
    things = {value >> 16 for value in seen[1]} - {0}
    return Row(network, runtime, frames, alone, agree, panoptic, len(seen[0] - {255}), len(things))


def masks(bag: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The classes and the panoptic ids of every frame of a bag."""
    with Bag(bag) as source:
        topics = [next(name for name in source.topics if name.endswith(topic)) for topic in TOPICS]
        for pair in zip(*(source.contents(topic) for topic in topics), strict=True):
            yield tuple(pixels(image) for image in pair)


def pixels(image: Any) -> np.ndarray:
    """The content of a mono8 or 32SC1 message."""
    kind = {"mono8": np.uint8, "32SC1": np.int32}[image.encoding]
    return np.frombuffer(image.data, kind).reshape(image.height, image.width)


def bag_of(pictures: Sequence[Path], folder: Path) -> Path:
    """KITTI's frames as a bag."""
    sys.path.insert(0, str(SCRIPTS))
    from make_bags import kitti

    few = folder / "kitti_seq"
    (few / "image_02").mkdir(parents=True)
    (few / "calib.txt").symlink_to(DATA / "kitti_seq" / "calib.txt")
    for picture in pictures:
        (few / "image_02" / picture.name).symlink_to(picture)
    kitti(few, folder / "kitti.mcap")
    return folder / "kitti.mcap"


def pictures() -> list[Path]:
    """KITTI's frames."""
    return sorted((DATA / "kitti_seq" / "image_02").glob("*.jpg"))


def lessons(count: int = 4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Some of the frames, and what a trained network says of them."""
    teacher, times = load_semantic(TEACHER, LabelSpace.load("cityscapes"), Execution(threads=1)), StageTimes()
    files = pictures()
    images = [np.ascontiguousarray(cv2.imread(str(file))[..., ::-1]) for file in files[:: len(files) // count]]
    return images, [teacher(image, times).labels for image in images]


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = [
        "| network | runtime | frames | alone | bag | panoptic | classes | things |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = f"{row.frames} | {row.network_agrees:.4%} | {row.bag_agrees:.4%} | {row.panoptic:.4%}"
        numbers += f" | {row.classes} | {row.things}"
        lines.append(f"| {row.network} | {row.runtime} | {row.refused or numbers} |")
    return "\n".join(lines)


def main() -> int:
    """0, or 1 where a network did not run, or said something else than in torch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(zoo.NETWORKS)}; default: all")
    parser.add_argument("--frames", type=int, default=40, help="of the bag; default 40, all")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="networks, graphs and bags, for the next time")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        frames = pictures()[: arguments.frames]
        bag, (images, labels) = bag_of(frames, Path(temporary)), lessons()
        for name in arguments.names or zoo.NETWORKS:
            for needed in filter(None, (name, BESIDE.get(name))):
                if not (folder / f"{needed}.yaml").is_file():
                    zoo.write(folder, needed, SIZE, images, labels)
            rows += compare(bag, frames, name, RUNTIMES, folder)
            print(table(rows[-len(RUNTIMES) :]), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"machine": machine(), "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    return int(any(row.refused or min(row.network_agrees, row.bag_agrees) < 0.999 for row in rows))


if __name__ == "__main__":
    sys.exit(main())

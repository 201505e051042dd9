"""Networks of torchvision, transformers and segmentation-models-pytorch, from an image to labels of its size: eager, as
a user of the library writes it, beside ours in torch and in the runtimes that run the exported graph.

    python benchmarks/networks.py [--json OUT] [--frames 12] [--heights 360 720] [--precisions f32 bf16] [--int8]
        [NAME ...]

Images are parts of a Cityscapes frame, and the networks' inputs have the images' size (U-Net's is the next multiple of
32 below). Nobody trained the weights: see zoo.py. ``labels agree`` is the part of the pixels whose label is that of
torch in f32; of bf16 and int8 it says little, since nobody trained these networks to be sure. int8 is calibrated on
other parts of the frame, each brought to the images' size. The table is that of
``seg_perception models bench``, which takes any manifest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import zoo
from side_by_side import DATA

from seg_perception.models.bench import Settings, bench
from seg_perception.models.bench.runs import RUNTIMES
from seg_perception.models.bench.table import as_json, table
from seg_perception.models.manifest import Manifest

FRAME = DATA / "cityscapes_frame"
CORNERS = [(0, 0), (0, 768), (304, 0), (304, 768)]  # of 1280 x 720 in 2048 x 1024
OTHERS = [(y, x) for y in (0, 160, 320) for x in (0, 320, 640, 960)]  # of 1088 x 612
MULTIPLE = {"unet_mobilenet_v2": 32}


def scenes() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images of 1280 x 720 (RGB), and the class of every pixel."""
    image = cv2.imread(str(next(FRAME.glob("*leftImg8bit.png"))))[..., ::-1]
    labels = cv2.imread(str(next(FRAME.glob("*TrainIds*.png"))), cv2.IMREAD_UNCHANGED)
    cuts = [np.s_[y : y + 720, x : x + 1280] for y, x in CORNERS]
    return [np.ascontiguousarray(image[cut]) for cut in cuts], [np.ascontiguousarray(labels[cut]) for cut in cuts]


def others() -> list[np.ndarray]:
    """Other parts of the same frame, brought to 1280 x 720 (RGB)."""
    image = cv2.imread(str(next(FRAME.glob("*leftImg8bit.png"))))[..., ::-1]
    return [cv2.resize(image[y : y + 612, x : x + 1088], (1280, 720)) for y, x in OTHERS]


def written(folder: Path, images: list[np.ndarray], height: int) -> tuple[Path, ...]:
    """``images`` at that height as PNG files."""
    files = tuple(folder / f"{number}_{height}.png" for number in range(len(images)))
    for image, file in zip(images, files, strict=True):
        small = cv2.resize(image, (height * 16 // 9, height), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(file), small[..., ::-1])
    return files


def input_size(name: str, height: int) -> tuple[int, int]:
    """What the network is given for images of that height."""
    multiple = MULTIPLE.get(name, 1)
    return height // multiple * multiple, height * 16 // 9


def fitted(folder: Path, name: str, images: list[np.ndarray], labels: list[np.ndarray]) -> Path:
    """The manifest of the network that is kept in ``folder``, made at 360p if it is not there yet."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        small = [cv2.resize(image, (640, 360), interpolation=cv2.INTER_AREA) for image in images]
        zoo.write(folder, name, input_size(name, 360), small, labels)
    return path


def in_integers(folder: Path, path: Path, height: int) -> Path:
    """The manifest of the network at ``path`` as a graph in 8-bit integers, calibrated on images of that height, which
    is kept in ``folder``.
    """
    from seg_perception.models.export import export
    from seg_perception.models.quantize import quantize

    made = folder / f"{path.stem}_{height}_int8.onnx"
    if not made.is_file():
        with tempfile.TemporaryDirectory() as temporary:
            graph = export(Manifest.load(path), Path(temporary) / "graph.onnx").manifest
            quantize(Manifest.load(graph), written(Path(temporary), others(), height), made)
    return made.with_suffix(".yaml")


def main() -> int:
    """0, or 1 where there are no images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(zoo.NETWORKS)}; default: the semantic")
    parser.add_argument("--frames", type=int, default=12, help="to time; default 12")
    parser.add_argument("--threads", type=int, default=0, help="default 0: one per core")
    parser.add_argument("--heights", type=int, nargs="+", default=[360, 720], help="of images and inputs")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--int8", action="store_true", help="also the graph with its convolutions in 8-bit integers")
    parser.add_argument("--weights", type=Path, help="a folder to keep the networks in for the next time")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(zoo.NETWORKS)):
        parser.error(f"no network is called {', '.join(unknown)}; there are {', '.join(zoo.NETWORKS)}")
    if not FRAME.is_dir():
        print(f"networks: no image at {FRAME}; set SEG_PERCEPTION_DATA to the folder of real data", file=sys.stderr)
        return 1
    images, labels = scenes()
    rows, notes = [], []
    with tempfile.TemporaryDirectory() as temporary:
        kept = arguments.weights or Path(temporary)
        for name in arguments.names or [n for n, (_, task) in zoo.NETWORKS.items() if task is zoo.SEMANTIC]:
            path = fitted(kept, name, images, labels)
            for height in arguments.heights:
                zoo.resized(path, input_size(name, height))
                settings = Settings(
                    runtimes=tuple(arguments.runtimes),
                    precisions=tuple(arguments.precisions),
                    frames=arguments.frames,
                    threads=arguments.threads,
                    images=written(Path(temporary), images, height),
                    beside=(in_integers(kept, path, height),) if arguments.int8 else (),
                )
                found, said = bench([path], settings)
                print(table(found, arguments.markdown), flush=True)
                rows += found
                notes += said
    print("\n".join(dict.fromkeys(notes)))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(as_json(rows, notes, settings) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

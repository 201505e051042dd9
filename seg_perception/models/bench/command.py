"""The command line of ``seg_perception models bench``."""

from __future__ import annotations

import argparse
from pathlib import Path

from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.models.bench import scenes
from seg_perception.models.bench.runs import RUNTIMES, Settings, bench
from seg_perception.models.bench.table import as_json, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked."""
    parser.add_argument("models", nargs="+", metavar="model", help="shipped names, or paths of manifests")
    parser.add_argument(
        "--runtimes",
        nargs="+",
        choices=RUNTIMES,
        default=list(RUNTIMES),
        help="default: all; 'eager' is a library's own model in the library's own way, to compare with",
    )
    parser.add_argument("--precisions", nargs="+", choices=("f32", "bf16", "f16"), default=["f32"])
    parser.add_argument("--frames", type=int, default=20, help="to time; default 20")
    parser.add_argument("--threads", type=int, default=0, help="of each network; default 0: one per core")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what torch computes on")
    parser.add_argument(
        "--beside",
        nargs="+",
        type=Path,
        default=[],
        metavar="MANIFEST",
        help="take turns with each model and are compared with it, as a quantised graph with what it was made from",
    )
    parser.add_argument("--images", type=Path, help="a file or a folder to look at; default: an image of blobs at 720p")
    parser.add_argument("--truth", type=Path, help="a file or a folder of PNGs with the class ids of these images")
    parser.add_argument(
        "--panoptic", type=Path, metavar="TRUTH.json", help="COCO's panoptic format, its PNGs in the folder TRUTH/"
    )
    parser.add_argument("--labels", default="", help="the label space of the truth; needed with one")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")


def run(arguments: argparse.Namespace) -> tuple[str, bool]:
    """The table of what networks cost here, and whether there is any row."""
    if arguments.json and not arguments.json.parent.is_dir():
        raise ConfigError(f"--json: there is no folder {arguments.json.parent} to write {arguments.json.name} into")
    images = scenes.files(arguments.images, "--images")
    settings = Settings(
        tuple(arguments.runtimes),
        tuple(arguments.precisions),
        arguments.frames,
        arguments.threads,
        arguments.device,
        images,
        arguments.labels,
        _truth(arguments, images),
        tuple(arguments.beside),
    )
    rows, notes = bench(arguments.models, settings)
    if arguments.json:
        arguments.json.write_text(as_json(rows, notes, settings) + "\n", encoding="utf-8")
    return "\n\n".join(filter(None, (table(rows, arguments.markdown), *dict.fromkeys(notes)))), bool(rows)


def _truth(arguments: argparse.Namespace, images: tuple[Path, ...]) -> scenes.Truth | None:
    for name, given in (("--truth", arguments.truth), ("--panoptic", arguments.panoptic)):
        if given and not (images and arguments.labels):
            raise ConfigError(f"{name}: of what, in which label space? expected --images and --labels too")
    if not (arguments.truth or arguments.panoptic):
        return None
    space, truths = LabelSpace.load(arguments.labels), scenes.files(arguments.truth, "--truth")
    return scenes.Truth(
        space,
        scenes.semantic(scenes.of_images(truths, images)) if truths else (),
        scenes.panoptic(arguments.panoptic, images, space) if arguments.panoptic else (),
    )

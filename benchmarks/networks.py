"""Networks of torchvision, transformers and segmentation-models-pytorch on camera frames: torch eager beside the
runtimes that run their exported graphs.

    python benchmarks/networks.py [--json OUT] [--frames 15] [--precisions f32 bf16] [NAME ...]

Nobody trained the weights: speed does not depend on them. So that labels vary and can be compared all the same, the
batch norms are given the statistics of the frames and no class is ahead by itself. ``labels agree`` is the part of the
pixels whose label is torch's in f32. What is printed is what ``seg_perception models bench`` prints, which takes any
manifest, and the ratio of torch's forward pass to the quickest other runtime's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from side_by_side import DATA

from seg_perception import bench
from seg_perception.models import families
from seg_perception.models.geometry import views
from seg_perception.models.manifest import Manifest
from seg_perception.models.prepare import Preparer

SEMANTIC = {"task": "semantic", "decoder": "dense_logits", "labels": "cityscapes"}
IMAGENET = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SIZE = (352, 640)  # of 360p what every one of these networks takes: a multiple of 32
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lraspp": ({"library": "torchvision", "name": "lraspp_mobilenet_v3_large"}, SEMANTIC),
    "deeplabv3": ({"library": "torchvision", "name": "deeplabv3_mobilenet_v3_large"}, SEMANTIC),
    "segformer_b0": ({"library": "transformers", "name": "SegformerForSemanticSegmentation"}, SEMANTIC),
    "unet_mobilenet_v2": (
        {"library": "smp", "name": "Unet", "arguments": {"encoder_name": "mobilenet_v2"}},
        SEMANTIC,
    ),
    "mask_rcnn_100": (
        {
            "library": "torchvision",
            "name": "maskrcnn_resnet50_fpn",
            "arguments": {"rpn_post_nms_top_n_test": 100, "box_detections_per_img": 20, "box_score_thresh": 0.0},
        },
        {"task": "instance", "decoder": "rcnn", "labels": "voc", "void": ["background"], "score": 0.0},
    ),
}


def write(folder: Path, name: str, frames: list[np.ndarray]) -> Path:
    """The manifest of one network, its weights beside it."""
    network, task = NETWORKS[name]
    content = {
        "name": name,
        "runtime": "torch",
        "input": {"name": "images", "size": list(SIZE), "resize": "stretch", **IMAGENET},
        **task,
    }
    manifest = Manifest.parse({**content, "network": {**network, "pretrained": "random"}}, name, folder)
    module = families.build(manifest, None)
    planes = np.empty((len(frames), *manifest.input_shape), np.float32)
    for frame, place in zip(frames, planes, strict=True):
        Preparer(manifest).fill(frame, views(manifest.input, *frame.shape[:2])[0], place)
    if manifest.task == "semantic":
        settle(module, torch.from_numpy(planes), len(manifest.channels()))
    torch.save(module.model.state_dict(), folder / f"{name}.pth")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**content, "network": network, "weights": {"file": f"{name}.pth"}}))
    return path


def settle(module: Any, images: torch.Tensor, classes: int) -> None:
    """Make random weights tell classes apart."""
    with torch.no_grad():
        module.train()
        for _ in range(3):
            module(images)
        module.eval()
        last = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d) and m.out_channels == classes][-1]
        last.bias -= module(images)[0].mean((0, 2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; default: all")
    parser.add_argument("--frames", type=int, default=15, help="to time; default 15")
    parser.add_argument("--threads", type=int, default=0, help="default 0: one per core")
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    arguments = parser.parse_args()
    images = tuple(sorted((DATA / "kitti_seq" / "image_02").glob("*.jpg"))[::10])
    frames = [np.ascontiguousarray(cv2.imread(str(p))[..., ::-1]) for p in images] or [bench.blobs()] * 2
    settings = bench.Settings(
        precisions=tuple(arguments.precisions), frames=arguments.frames, threads=arguments.threads, images=images
    )
    rows, notes = [], []
    for name in arguments.names or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            found, said = bench.bench([write(Path(folder), name, frames)], settings)
        print(bench.table(found, arguments.markdown))
        eager = [row.forward_p50 for row in found if (row.runtime, row.precision) == ("torch", "f32")]
        others = [row for row in found if row.runtime != "torch"]
        if eager and others:
            best = min(others, key=lambda row: row.forward_p50)
            print(
                f"torch eager f32 / {best.runtime} {best.precision}: {eager[0] / best.forward_p50:.1f}x\n", flush=True
            )
        rows += found
        notes += said
    print("\n".join(notes))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(bench.as_json(rows, notes, settings) + "\n")


if __name__ == "__main__":
    main()

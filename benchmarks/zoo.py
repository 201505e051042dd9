"""Networks of three libraries for the benchmarks, with weights that nobody trained but that tell classes apart.

Speed does not depend on the weights, but what follows the network does, and so does whether agreement of labels means
anything: random numbers alone call a whole image one class, by a hair. So batch norms get the statistics of given
images, the last layer of a semantic network is fitted to given labels, and the scores of the others are spread out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from torch import nn
from torch.nn import functional

from seg_perception.models import families
from seg_perception.models.geometry import views
from seg_perception.models.manifest import Manifest
from seg_perception.models.prepare import Preparer
from seg_perception.types import UNLABELLED

IMAGENET = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SEMANTIC = {"task": "semantic", "decoder": "dense_logits", "labels": "cityscapes"}
THINGS = {"task": "instance", "decoder": "rcnn", "labels": "voc", "void": ["background"], "score": 0.3}
PANOPTIC = {"task": "panoptic", "decoder": "queries", "labels": "coco_panoptic", "score": 0.3, "share": 0.5}
SWIN_TINY = {"model_type": "swin", "out_features": ["stage1", "stage2", "stage3", "stage4"]}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lraspp": ({"library": "torchvision", "name": "lraspp_mobilenet_v3_large"}, SEMANTIC),
    "deeplabv3": ({"library": "torchvision", "name": "deeplabv3_mobilenet_v3_large"}, SEMANTIC),
    "segformer_b0": ({"library": "transformers", "name": "SegformerForSemanticSegmentation"}, SEMANTIC),
    "unet_mobilenet_v2": (
        {"library": "smp", "name": "Unet", "arguments": {"encoder_name": "mobilenet_v2"}},
        SEMANTIC,
    ),
    "mask_rcnn": (
        {
            "library": "torchvision",
            "name": "maskrcnn_resnet50_fpn",
            "arguments": {"rpn_post_nms_top_n_test": 100, "box_detections_per_img": 20},
        },
        THINGS,
    ),
    "mask2former": (
        {
            "library": "transformers",
            "name": "Mask2FormerForUniversalSegmentation",
            "arguments": {"backbone_config": SWIN_TINY},
        },
        PANOPTIC,
    ),
}
"""What builds each, and what the rest of its manifest says. Segformer's defaults are B0, Swin's are Swin-T."""

STEPS = 24
SPREAD = 2.0


def write(
    folder: Path,
    name: str,
    size: tuple[int, int],
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    arguments: dict[str, Any] | None = None,
) -> Path:
    """The manifest of network ``name`` for inputs of ``size`` (height, width), its weights beside it, made to tell
    classes apart on ``images`` (RGB), whose ``labels`` are Cityscapes' ids. ``arguments`` change the library's.
    """
    network, task = NETWORKS[name]
    network = {**network, "arguments": {**network.get("arguments", {}), **(arguments or {})}}
    content = {
        "name": name,
        "runtime": "torch",
        "input": {"name": "images", "size": list(size), "resize": "stretch", **IMAGENET},
        **task,
    }
    manifest = Manifest.parse({**content, "network": {**network, "pretrained": "random"}}, name, folder)
    module = families.build(manifest, None)
    planes = np.empty((len(images), *manifest.input_shape), np.float32)
    for image, place in zip(images, planes, strict=True):
        Preparer(manifest).fill(image, views(manifest.input, *image.shape[:2])[0], place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        SETTLE[task["decoder"]](module, torch.from_numpy(planes), labels)
    torch.save(module.model.state_dict(), folder / f"{name}.pth")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**content, "network": network, "weights": {"file": f"{name}.pth"}}))
    return path


def resized(path: Path, size: tuple[int, int]) -> Path:
    """The manifest at ``path`` for another input ``size``."""
    content = yaml.safe_load(path.read_text())
    content["input"]["size"] = list(size)
    path.write_text(yaml.safe_dump(content))
    return path


def fit(module: Any, images: torch.Tensor, labels: Sequence[np.ndarray]) -> None:
    """A semantic network: the statistics of ``images`` for its batch norms, then its last layer by gradient."""
    measure(module, lambda: module(images))
    module.requires_grad_(False)
    classes = module(images[:1])[0].shape[1]
    last = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.out_channels == classes]
    trained = [p.requires_grad_() for m in last for p in m.parameters()]
    rule = torch.optim.Adam(trained, lr=0.02)
    for step in range(STEPS):
        one = step % len(images)
        (logits,) = module(images[one : one + 1])
        wanted = cv2.resize(labels[one], logits.shape[:1:-1], interpolation=cv2.INTER_NEAREST)
        target = torch.from_numpy(np.where(wanted < classes, wanted, UNLABELLED).astype(np.int64))[None]
        rule.zero_grad()
        functional.cross_entropy(logits, target, ignore_index=UNLABELLED).backward()
        rule.step()
    module.requires_grad_(False)


def with_blobs(images: torch.Tensor) -> torch.Tensor:
    """``images`` and one of coarse noise, like the one that an export is checked on: its scores are not to saturate."""
    small = torch.randn((1, 3, *(-(-n // 16) for n in images.shape[2:])))
    return torch.cat([images, functional.interpolate(small, size=images.shape[2:])])


@torch.no_grad()
def spread_things(module: Any, images: torch.Tensor, _: object) -> None:
    """Mask R-CNN: proposals, classes and masks with something to choose between."""
    model, images = module.model, with_blobs(images)
    measure(model.backbone, lambda: model.backbone(images))
    spread(model.rpn.head.cls_logits, lambda: module(images))
    spread(model.rpn.head.bbox_pred, lambda: module(images), 0.3)
    predictor = model.roi_heads.box_predictor
    spread(predictor.cls_score, lambda: module(images), 5.0)  # else every best score lies about the threshold
    spread(predictor.bbox_pred, lambda: module(images), 0.5)
    spread(model.roi_heads.mask_predictor.mask_fcn_logits, lambda: module(images))


@torch.no_grad()
def spread_queries(module: Any, images: torch.Tensor, _: object) -> None:
    """Mask2Former: pixels, classes and masks with something to choose between."""
    model, images = module.model, with_blobs(images)
    measure(module, lambda: module(images))
    for layer in model.model.transformer_module.decoder.layers:  # or all queries would end up as one
        for part in (layer.self_attn.out_proj, layer.cross_attn.out_proj, layer.fc2):
            part.weight *= 0.1
    spread(model.model.pixel_level_module.decoder.mask_projection, lambda: module(images), 1.0)
    spread(model.class_predictor, lambda: module(images), 5.0, last=True)  # the layers before it are for training


SETTLE: dict[str, Callable[[Any, torch.Tensor, Sequence[np.ndarray]], None]] = {
    "dense_logits": fit,
    "rcnn": spread_things,
    "queries": spread_queries,
}


@torch.no_grad()
def measure(module: nn.Module, run: Callable[[], object]) -> None:
    """Give the batch norms in ``module`` the statistics of what ``run`` shows them."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all that it sees
        norm.train()
    run()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def spread(layer: Any, run: Callable[[], object], to: float = SPREAD, *, last: bool = False) -> None:
    """Scale and shift ``layer`` so that each of its channels has mean 0 and deviation ``to`` over what ``run`` shows
    it, or shows it ``last``.
    """
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, out: seen.append(out))
    run()
    hook.remove()
    axis = -1 if isinstance(layer, nn.Linear) else 1
    flat = torch.cat([out.movedim(axis, 0).flatten(1) for out in (seen[-1:] if last else seen)], 1)
    factor = to / flat.std(1).clamp_min(1e-6)
    layer.weight *= factor.reshape(-1, *[1] * (layer.weight.dim() - 1))
    layer.bias.copy_((layer.bias - flat.mean(1)) * factor)

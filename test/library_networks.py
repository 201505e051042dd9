"""Small networks of torchvision, transformers and segmentation-models-pytorch for the tests: manifests, random weights,
and what reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from seg_perception.labels import LabelSpace
from seg_perception.models import Manifest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

CAMVID = LabelSpace.load("camvid")
SIZE = (64, 96)
IMAGENET = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SWIN = {
    "model_type": "swin",
    "embed_dim": 12,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 2, 2, 4],
    "window_size": 4,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
CONVNEXT = {
    "model_type": "convnext",
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [1, 1, 1, 1],
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
SEGFORMER = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
SMALL = {"encoder_feedforward_dim": 32, "encoder_layers": 1, "num_attention_heads": 2, "dim_feedforward": 32}
QUERIES: dict[str, dict[str, Any]] = {
    "Mask2FormerForUniversalSegmentation": {
        "feature_size": 32,
        "mask_feature_size": 32,
        "hidden_dim": 32,
        "decoder_layers": 2,
        **SMALL,
    },
    "MaskFormerForInstanceSegmentation": {"fpn_feature_size": 32, "mask_feature_size": 32},
    "OneFormerForUniversalSegmentation": {
        "conv_dim": 32,
        "mask_dim": 32,
        "hidden_dim": 32,
        "decoder_layers": 2,
        **SMALL,
    },
}
"""Families that answer queries, with few and narrow layers; :func:`queries` says how many queries."""

RCNN = {"rpn_post_nms_top_n_test": 20, "box_score_thresh": 0.0, "box_detections_per_img": 12}
FOUND = {"task": "instance", "decoder": "rcnn", "labels": "voc", "map": {"background": "person"}, "score": 0.0}


def queries(family: str, count: int) -> dict[str, Any]:
    """The arguments of such a network with ``count`` queries."""
    own = {"num_queries": count}
    if family.startswith("MaskFormer"):
        own = {"decoder_config": {"model_type": "detr", "d_model": 32, "decoder_layers": 1, "num_queries": count}}
    return {"backbone_config": SWIN, **QUERIES[family], **own}


def content(library: str, name: str, arguments: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A manifest of a network with random weights; the test is skipped where its library is not installed."""
    package = {"smp": "segmentation_models_pytorch"}.get(library, library)
    pytest.importorskip(package)
    return {
        "name": "made",
        "task": "semantic",
        "decoder": "dense_logits",
        "runtime": "torch",
        "network": {"library": library, "name": name, "arguments": arguments or {}, "pretrained": "random"},
        "input": {"name": "images", "size": list(SIZE), "resize": "stretch", **IMAGENET},
        "labels": "camvid",
        **changes,
    }


def write(folder: Path, *given: Any, **changes: Any) -> Path:
    """:func:`content` as a file."""
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(content(*given, **changes)))
    return path


def lraspp(folder: Path, pretrained: str = "", **changes: Any) -> Path:
    """A manifest of an LR-ASPP whose weights come from ``pretrained``, or from a file."""
    made = content("torchvision", "lraspp_mobilenet_v3_large", **changes)
    made["network"]["pretrained"] = pretrained
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def picture(height: int, width: int) -> np.ndarray:
    """An image of smooth blobs."""
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def prepared(manifest: Manifest, image: np.ndarray) -> Any:
    """What the network is shown of an image that has its input's size."""
    tables = manifest.normalisation()
    return torch.from_numpy(np.stack([tables[c][image[..., c]] for c in range(3)])[None])


def library_model(network: Any) -> Any:
    """The library's own model in a loaded network."""
    return network._engine.backend._network.model

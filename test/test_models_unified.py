"""Mask2Former, MaskFormer and OneFormer of few layers with random numbers, run by torch, against transformers' own
road: its image processor, its model, its post-processing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from library_networks import SIZE, queries, write

from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, PanopticNetwork, commands, load_panoptic
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.timing import StageTimes
from seg_perception.types import Frame

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
transformers = pytest.importorskip("transformers")

COCO = LabelSpace.load("coco_panoptic")
QUERIES = 30
FAMILIES = {
    "Mask2FormerForUniversalSegmentation": (transformers.Mask2FormerImageProcessor, [384, 384]),
    "MaskFormerForInstanceSegmentation": (transformers.MaskFormerImageProcessor, [0, 0]),
    "OneFormerForUniversalSegmentation": (transformers.OneFormerImageProcessor, [0, 0]),
}
RULE = {"task": "panoptic", "decoder": "queries", "labels": "coco_panoptic", "score": 0.3, "share": 0.3}


def made(folder: Path, family: str) -> Path:
    """The manifest of a small network."""
    return write(folder, "transformers", family, queries(family, QUERIES), mask_grid=FAMILIES[family][1], **RULE)


def sharpened(network: PanopticNetwork) -> Any:
    """The wrapper in ``network``, with a model that takes sides: with random numbers all queries say much the same."""

    noise = 3 * torch.randn((QUERIES, len(COCO) + 1), generator=torch.Generator().manual_seed(0))

    def take_sides(_: Any, __: Any, found: Any) -> Any:
        masks = found.masks_queries_logits
        found.class_queries_logits = found.class_queries_logits + noise
        offset, spread = masks.mean(dim=(2, 3), keepdim=True), masks.std(dim=(2, 3), keepdim=True)
        sides = torch.tensor([5.0, -5.0]).repeat(masks.shape[1])[: masks.shape[1], None, None]
        found.masks_queries_logits = sides * (masks - offset) / spread
        return found

    wrapper = network._engine.backend._network  # type: ignore[attr-defined]
    wrapper.model.register_forward_hook(take_sides)
    return wrapper


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [SIZE, (150, 310)])
def test_both_halves_are_those_of_transformers(tmp_path: Path, family: str, size: tuple[int, int]) -> None:
    network = load_panoptic(made(tmp_path, family), COCO, Execution(threads=1))
    wrapper, kind = sharpened(network), FAMILIES[family][0]
    blocks = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    image = cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST)
    read = transformers.MaskFormerImageProcessor(do_resize=False)  # all three normalise alike
    pixels = read(cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_LINEAR), return_tensors="pt")["pixel_values"]
    task = {"task_inputs": wrapper.tokens} if "OneFormer" in family else {}
    with torch.inference_mode():
        said = wrapper.model(pixel_values=pixels, **task)
    processor = kind.__new__(kind)  # to read outputs it needs nothing, least of all OneFormer's file of class names
    semantic = processor.post_process_semantic_segmentation(said, [size], return_segmentation_scores=True)[0]
    panoptic = processor.post_process_panoptic_segmentation(
        said, 0.3, overlap_mask_area_threshold=0.3, label_ids_to_fuse=set(), target_sizes=[size]
    )[0]

    ours, things = network(image, StageTimes())
    first, second = semantic.segmentation_scores.topk(2, dim=0).values.numpy()
    sure = first - second > 1e-4 * first
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(ours.labels[sure], semantic.segmentation.numpy()[sure])
    assert len(np.unique(ours.labels)) > 1

    infos = [s for s in panoptic["segments_info"] if COCO.things[s["label_id"]]]
    assert len(panoptic["segments_info"]) > 0
    order = sorted(range(len(infos)), key=lambda i: -infos[i]["score"])
    assert things.labels.tolist() == [infos[i]["label_id"] for i in order]
    np.testing.assert_allclose(things.scores, [infos[i]["score"] for i in order], atol=1e-4)
    for mask, i in zip(things.masks, order, strict=True):
        theirs = panoptic["segmentation"].numpy() == infos[i]["id"]
        mine = np.zeros(size, np.bool_)
        mine[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
        assert (mine != theirs).mean() < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pipeline_runs_it_alone(tmp_path: Path, family: str) -> None:
    config = PipelineConfig(labels="coco_panoptic", models=ModelsConfig(semantic=str(made(tmp_path, family))))
    networks = Networks.load(config, COCO)
    sharpened(networks.loaded[0])  # type: ignore[arg-type]
    perceive = Pipeline(networks, COCO, config)
    image = np.random.default_rng(2).integers(0, 256, (48, 80, 3), np.uint8)
    for number in range(3):
        result = perceive(Frame(number * 10**8, "camera", image))
        np.testing.assert_array_equal(result.panoptic.panoptic & 0xFFFF, result.panoptic.semantic)
        np.testing.assert_array_equal(result.panoptic.confidence == 0, result.panoptic.semantic == 255)


@pytest.mark.parametrize("family", FAMILIES)
def test_its_graph_says_the_same(tmp_path: Path, family: str) -> None:
    for package in ("onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    assert "any batch" in commands.export(made(tmp_path, family), tmp_path / "graph.onnx")
    image = np.random.default_rng(2).integers(0, 256, (*SIZE, 3), np.uint8)
    paths = {"torch": tmp_path / "made.yaml", **dict.fromkeys(("onnxruntime", "openvino"), tmp_path / "graph.yaml")}
    said = {
        runtime: load_panoptic(path, COCO, Execution(runtime, threads=1))(image, StageTimes())[0].confidence
        for runtime, path in paths.items()
    }
    for runtime in ("onnxruntime", "openvino"):  # labels of random weights are ties; the probabilities are not
        np.testing.assert_allclose(said[runtime].astype(int), said["torch"].astype(int), atol=1)

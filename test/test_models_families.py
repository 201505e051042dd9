"""Networks that a library builds: what comes out is what the library itself would say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from library_networks import (
    CAMVID,
    CONVNEXT,
    FOUND,
    QUERIES,
    RCNN,
    SEGFORMER,
    SIZE,
    content,
    library_model,
    picture,
    prepared,
    queries,
    write,
)

from seg_perception.errors import ConfigError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, Manifest, families, load_instance, load_semantic
from seg_perception.models.decoders import rcnn
from seg_perception.models.geometry import views
from seg_perception.models.networks import Shown
from seg_perception.timing import StageTimes

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

DENSE = [
    ("torchvision", "fcn_resnet50", {}),
    ("torchvision", "deeplabv3_mobilenet_v3_large", {}),
    ("torchvision", "lraspp_mobilenet_v3_large", {}),
    ("transformers", "SegformerForSemanticSegmentation", SEGFORMER),
    (
        "transformers",
        "UperNetForSemanticSegmentation",
        {"backbone_config": CONVNEXT, "hidden_size": 16, "use_auxiliary_head": False},
    ),
    ("smp", "Unet", {"encoder_name": "mobilenet_v2"}),
    ("smp", "UnetPlusPlus", {"encoder_name": "timm-regnetx_002"}),
    ("smp", "FPN", {"encoder_name": "tu-hrnet_w18_small"}),
    ("smp", "DeepLabV3Plus", {"encoder_name": "mit_b0"}),
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def settle(network: Any, images: Any) -> None:
    """Make random weights tell classes apart: statistics of noise for the batch norms, and no class ahead by itself."""
    network.train()
    with torch.no_grad():
        for _ in range(10):
            network(torch.cat([images, images + torch.rand_like(images)]))
        network.eval()
        last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.out_channels == len(CAMVID)][-1]
        last.bias -= network(images)[0].mean((0, 2, 3))


def assert_same_labels(found: np.ndarray, logits: Any) -> None:
    """The labels are the argmax of ``logits`` ``(1, C, H, W)``, except where the best two are equal up to rounding."""
    expected = logits.argmax(1)[0].numpy()
    best = logits[0].topk(2, dim=0).values
    tie = ((best[0] - best[1]) <= 1e-5 * logits.abs().max()).numpy()
    np.testing.assert_array_equal(found[~tie], expected[~tie])
    assert tie.mean() < 0.01
    assert len(np.unique(found)) > 1  # or it would prove little


@pytest.mark.parametrize(("library", "name", "arguments"), DENSE)
def test_labels_are_those_of_the_library(tmp_path: Path, library: str, name: str, arguments: dict[str, Any]) -> None:
    network = load_semantic(write(tmp_path, library, name, arguments), CAMVID, Execution(threads=1))
    model, image = library_model(network), picture(*SIZE)
    settle(network._engine.backend._network, prepared(network.manifest, image))
    found = network(image, StageTimes()).labels
    with torch.inference_mode():
        said = model(prepared(network.manifest, image))
    if library == "transformers":
        transformers = pytest.importorskip("transformers")
        processor = transformers.SegformerImageProcessor()
        (labels,) = processor.post_process_semantic_segmentation(said, target_sizes=[SIZE])
        logits = functional.interpolate(said.logits, size=SIZE, mode="bilinear", align_corners=False)
        np.testing.assert_array_equal(labels.numpy(), logits.argmax(1)[0].numpy())
    else:
        logits = said["out"] if library == "torchvision" else said
    assert_same_labels(found, logits)


@pytest.mark.parametrize("name", QUERIES)
def test_queries_are_named_and_those_of_the_library(tmp_path: Path, name: str) -> None:
    given = content("transformers", name, queries(name, 9))
    manifest = Manifest.parse(given, "made.yaml", tmp_path)
    network = families.build(manifest, None)
    images = torch.rand(2, 3, *SIZE)
    task = {"task_inputs": network.tokens.expand(2, -1)} if "OneFormer" in name else {}
    with torch.inference_mode():
        classes, masks = network(images)
        said = network.model(pixel_values=images, **task)
    assert network.names == ("class_queries_logits", "masks_queries_logits")
    torch.testing.assert_close(classes, said.class_queries_logits)
    torch.testing.assert_close(masks, said.masks_queries_logits)
    assert classes.shape == (2, masks.shape[1], len(CAMVID) + 1)


def dense_masks(instances: Any, height: int, width: int) -> np.ndarray:
    full = np.zeros((len(instances), height, width), np.bool_)
    for image, mask in zip(full, instances.masks, strict=True):
        rows, columns = mask.bits.shape
        image[mask.y : mask.y + rows, mask.x : mask.x + columns] = mask.bits
    return full


def assert_same_masks(found: np.ndarray, probabilities: np.ndarray) -> None:
    """Masks are those of ``probabilities``, except where these are 0.5 up to rounding."""
    tie = np.abs(probabilities - 0.5) < 1e-4
    np.testing.assert_array_equal(found[~tie], (probabilities > 0.5)[~tie])


def test_things_are_those_of_torchvision(tmp_path: Path) -> None:
    path = write(tmp_path, "torchvision", "maskrcnn_resnet50_fpn", {**RCNN, "min_size": 64, "max_size": 96}, **FOUND)
    network = load_instance(path, LabelSpace.load("voc"), Execution(threads=1))
    model, image = library_model(network), picture(*SIZE)
    found = network._engine([Shown(image)], StageTimes())
    ((_, view, outputs),) = found
    instances = rcnn.decode(*outputs, view, np.arange(256, dtype=np.uint8), score=0.0)
    model.transform.image_mean, model.transform.image_std = [0.0] * 3, [1.0] * 3  # the manifest has done that
    with torch.inference_mode():
        (said,) = model(list(prepared(network.manifest, image)))
    seen = [i for i in range(len(said["masks"])) if (said["masks"][i] > 0.5).any()]
    assert len(seen) == len(instances) > 0
    np.testing.assert_allclose(instances.boxes, said["boxes"][seen].numpy(), atol=1e-3)
    np.testing.assert_allclose(instances.scores, said["scores"][seen].numpy(), atol=1e-5)
    np.testing.assert_array_equal(instances.labels, said["labels"][seen].numpy())
    assert_same_masks(dense_masks(instances, *SIZE), said["masks"][seen, 0].numpy())
    assert len(network(image, StageTimes())) <= len(instances)


@pytest.mark.parametrize("size", [SIZE, (128, 192), (75, 241), (31, 40)])
def test_masks_are_pasted_as_torchvision_pastes_them(tmp_path: Path, size: tuple[int, int]) -> None:
    from torchvision.models.detection.roi_heads import paste_masks_in_image
    from torchvision.models.detection.transform import resize_boxes

    rng = np.random.default_rng(size[0])
    corners = rng.uniform(0, 1, (40, 2, 2)) * SIZE[::-1]
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1).astype(np.float32)
    boxes[0], boxes[1], boxes[2] = (0, 0, *SIZE[::-1]), (5, 5, 5, 9), (1.5, 2, 9.5, 10)
    masks = np.stack([cv2.resize(rng.random((5, 5)).astype(np.float32), (28, 28)) for _ in boxes])
    scores, labels = rng.random(40).astype(np.float32), rng.integers(1, 9, 40).astype(np.float32)
    spec = Manifest.parse(content("torchvision", "maskrcnn_resnet50_fpn", **FOUND), "made.yaml", tmp_path).input
    (view,) = views(spec, *size)
    found = rcnn.decode(boxes, scores, labels, masks, view, np.arange(256, dtype=np.uint8), score=0.0)
    placed = resize_boxes(torch.from_numpy(boxes), list(SIZE), list(size))
    said = paste_masks_in_image(torch.from_numpy(masks)[:, None], placed, size)[:, 0].numpy()
    seen = [i for i in range(40) if (said[i] > 0.5).any()]
    assert len(found) == len(seen)
    np.testing.assert_allclose(found.boxes, placed.numpy()[seen], rtol=1e-5, atol=1e-4)
    assert_same_masks(dense_masks(found, *size), said[seen])


def test_things_that_do_not_count_are_left_out() -> None:
    boxes = np.array([[1, 1, 9, 9]] * 3 + [[np.nan, 1, 9, 9], [0, 0, 0, 0]] + [[1, 1, 9, 9]] * 3, np.float32)
    scores = np.array([0.9, 0.2, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9], np.float32)
    labels = np.array([1, 1, 2, 1, 1, np.nan, -1, 300], np.float32)
    masks = np.ones((8, 28, 28), np.float32)
    masks[4] = 0
    table = np.full(256, 255, np.uint8)
    table[1] = 7
    spec = Manifest.parse(content("torchvision", "maskrcnn_resnet50_fpn", **FOUND), "made.yaml", Path()).input
    (view,) = views(spec, *SIZE)
    found = rcnn.decode(boxes, scores, labels, masks, view, table, score=0.5)
    assert (found.labels.tolist(), found.scores.tolist()) == ([7], [pytest.approx(0.9)])


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no class of transformers .* expected one that ends in ForSemantic"):
        load_semantic(write(tmp_path, "transformers", "BertModel"), CAMVID)
    with pytest.raises(ConfigError, match=r"smp has no 'UNet'; expected .*Unet"):
        load_semantic(write(tmp_path, "smp", "UNet"), CAMVID)


def test_an_argument_that_torchvision_would_pass_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torchvision's lraspp_mobilenet_v3_large takes no 'aux'"):
        load_semantic(write(tmp_path, "torchvision", "lraspp_mobilenet_v3_large", {"aux": True}), CAMVID)
    wrong = {**RCNN, "rpn_post_nms_top_n": 20}
    with pytest.raises(ConfigError, match=r"maskrcnn_resnet50_fpn takes no 'rpn_post_nms_top_n'$"):
        load_instance(write(tmp_path, "torchvision", "maskrcnn_resnet50_fpn", wrong, **FOUND), LabelSpace.load("voc"))


def test_another_number_of_classes_than_the_manifest_names(tmp_path: Path) -> None:
    path = write(tmp_path, "torchvision", "maskrcnn_resnet50_fpn", {**RCNN, "num_classes": 25}, **FOUND)
    with pytest.raises(ModelError, match="the network has 25 classes, the manifest names 21"):
        load_instance(path, LabelSpace.load("voc"))

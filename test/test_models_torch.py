"""Networks that a library builds, in the torch runtime: what comes out is what the library itself would say."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.errors import ConfigError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, Manifest, families, load_instance, load_semantic
from seg_perception.models.decoders import rcnn
from seg_perception.models.geometry import views
from seg_perception.models.networks import Engine
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.timing import StageTimes
from seg_perception.types import Frame

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
from torch.nn import functional  # noqa: E402

from seg_perception.models.families import base  # noqa: E402

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
QUERIES = [
    (
        "Mask2FormerForUniversalSegmentation",
        {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "decoder_layers": 2, "num_queries": 9, **SMALL},
    ),
    (
        "MaskFormerForInstanceSegmentation",
        {
            "fpn_feature_size": 32,
            "mask_feature_size": 32,
            "decoder_config": {"model_type": "detr", "d_model": 32, "decoder_layers": 1, "num_queries": 9},
        },
    ),
    (
        "OneFormerForUniversalSegmentation",
        {"conv_dim": 32, "mask_dim": 32, "hidden_dim": 32, "decoder_layers": 2, "num_queries": 9, **SMALL},
    ),
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def content(library: str, name: str, arguments: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
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
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def prepared(manifest: Manifest, image: np.ndarray) -> Any:
    """What the network is shown of an image that has its input's size."""
    tables = manifest.normalisation()
    return torch.from_numpy(np.stack([tables[c][image[..., c]] for c in range(3)])[None])


def settle(network: Any, images: Any) -> None:
    """Make random weights tell classes apart: statistics of noise for the batch norms, and no class ahead by itself."""
    network.train()
    with torch.no_grad():
        for _ in range(10):
            network(torch.cat([images, images + torch.rand_like(images)]))
        network.eval()
        last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.out_channels == len(CAMVID)][-1]
        last.bias -= network(images)[0].mean((0, 2, 3))


def library_model(network: Any) -> Any:
    return network._engine.backend._network.model


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


def test_random_weights_are_the_same_at_every_load_and_leave_the_process_alone(tmp_path: Path) -> None:
    path = lraspp(tmp_path, "random")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two = (library_model(load_semantic(path, CAMVID)).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(("name", "arguments"), QUERIES)
def test_queries_are_named_and_those_of_the_library(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    given = content("transformers", name, {"backbone_config": SWIN, **arguments})
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


RCNN = {"rpn_post_nms_top_n_test": 20, "box_score_thresh": 0.0, "box_detections_per_img": 12}
FOUND = {"task": "instance", "decoder": "rcnn", "labels": "voc", "map": {"background": "person"}, "score": 0.0}


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
    found = network._engine(image, StageTimes())
    ((view, outputs),) = found
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


# Where the weights come from.


@pytest.fixture
def state() -> dict[str, Any]:
    return dict(
        torchvision.models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=11
        ).state_dict()
    )


@pytest.mark.parametrize("form", ["plain", "wrapped", "parallel", "safetensors"])
def test_a_state_dict_is_loaded_and_its_checksum_counts(tmp_path: Path, state: dict[str, Any], form: str) -> None:
    file = tmp_path / ("made.safetensors" if form == "safetensors" else "made.pth")
    if form == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, file)
    else:
        named = {f"module.{k}": v for k, v in state.items()} if form == "parallel" else state
        torch.save({"state_dict": named, "epoch": 3} if form == "wrapped" else named, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    network = load_semantic(lraspp(tmp_path, weights={"file": file.name, "sha256": digest}), CAMVID)
    loaded = library_model(network).state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert network.describe()["sha256"] == digest
    with pytest.raises(ModelError, match="the file is damaged or another version"):
        load_semantic(lraspp(tmp_path, weights={"file": file.name, "sha256": "0" * 64}), CAMVID)


def test_another_networks_state_dict_is_named_tensor_by_tensor(tmp_path: Path, state: dict[str, Any]) -> None:
    state["surplus"] = torch.zeros(1)
    del state["classifier.low_classifier.bias"]
    state["classifier.high_classifier.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "made.pth")
    with pytest.raises(ModelError, match="another network's") as caught:
        load_semantic(lraspp(tmp_path, weights={"file": "made.pth"}), CAMVID)
    sentence = str(caught.value)
    assert "misses 1 tensors (classifier.low_classifier.bias)" in sentence
    assert "has beyond the network's 1 tensors (surplus)" in sentence
    assert "classifier.high_classifier.bias (7,) for (11,)" in sentence
    assert "\n" not in sentence


class Harmful:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the pickle ran",))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda path: torch.save({"weights": Harmful()}, path), "are refused: they hold more than tensors"),
        (lambda path: path.write_bytes(pickle.dumps(Harmful())), "are refused: they hold more than tensors"),
        (lambda path: torch.save([1, 2], path), "hold no state dict: expected tensors by name, found list"),
        (lambda path: path.write_bytes(b""), "cannot be read by torch"),
        (lambda path: path.write_bytes(b"junk\n"), "cannot be read by torch"),
    ],
)
def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path, made: Any, sentence: str) -> None:
    made(tmp_path / "made.pth")
    with pytest.raises(ModelError, match=sentence):
        load_semantic(lraspp(tmp_path, weights={"file": "made.pth"}), CAMVID)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network: an empty cache of torch's, proxies that nobody serves, Hugging Face's hub told so."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "torch"


ENUM = "COCO_WITH_VOC_LABELS_V1"


def test_torchvisions_weights_are_taken_from_its_cache(tmp_path: Path, offline: Path) -> None:
    made = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    file = offline / "hub" / "checkpoints" / "lraspp_mobilenet_v3_large-d234d4ea.pth"
    file.parent.mkdir(parents=True)
    torch.save(made.state_dict(), file)
    network = load_semantic(lraspp(tmp_path, ENUM, labels="voc"), LabelSpace.load("voc"))
    assert torch.equal(library_model(network).classifier.low_classifier.weight, made.classifier.low_classifier.weight)
    assert network.describe()["pretrained"] == ENUM
    with pytest.raises(ModelError, match="has 21 classes, the manifest names 11"):
        load_semantic(lraspp(tmp_path, ENUM), CAMVID)


def test_offline_torchvision_says_what_to_fetch_and_where_to_put_it(tmp_path: Path, offline: Path) -> None:
    with pytest.raises(ModelError, match="on a connected machine and put it there") as caught:
        load_semantic(lraspp(tmp_path, ENUM, labels="voc"), LabelSpace.load("voc"))
    sentence = str(caught.value)
    assert "fetch https://download.pytorch.org/models/lraspp_mobilenet_v3_large-d234d4ea.pth" in sentence
    assert str(offline / "hub" / "checkpoints" / "lraspp_mobilenet_v3_large-d234d4ea.pth") in sentence
    assert "\n" not in sentence
    with pytest.raises(ConfigError, match=f"'V9' is none of torchvision's weights .* expected {ENUM}"):
        load_semantic(lraspp(tmp_path, "V9"), CAMVID)


def from_pretrained(folder: Path, library: str, name: str, pretrained: str) -> Path:
    made = content(library, name)
    made["network"]["pretrained"] = pretrained
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def test_from_pretrained_takes_a_folder_beside_the_manifest(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    name = "SegformerForSemanticSegmentation"
    model = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(num_labels=11, **SEGFORMER))
    model.save_pretrained(tmp_path / "mine")
    path = from_pretrained(tmp_path, "transformers", name, "mine")
    loaded = library_model(load_semantic(path, CAMVID)).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in model.state_dict().items())

    from safetensors.torch import load_file, save_file

    file = tmp_path / "mine" / "model.safetensors"
    tensors = load_file(file)
    del tensors["decode_head.classifier.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 tensors of Segformer\w+ \(decode_head.classifier.weight"):
        load_semantic(path, CAMVID)
    with pytest.raises(ModelError, match=r"there is no folder .*/nowhere"):
        load_semantic(from_pretrained(tmp_path, "transformers", name, "./nowhere"), CAMVID)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"the folder .*/empty does not hold such a model"):
        load_semantic(from_pretrained(tmp_path, "transformers", name, "empty"), CAMVID)


def test_smp_takes_a_folder_beside_the_manifest(tmp_path: Path) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    model = smp.FPN("mobilenet_v2", encoder_weights=None, classes=11)
    model.save_pretrained(tmp_path / "mine")
    loaded = library_model(load_semantic(from_pretrained(tmp_path, "smp", "FPN", "mine"), CAMVID)).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(("library", "name"), [("transformers", "SegformerForSemanticSegmentation"), ("smp", "Unet")])
def test_offline_the_hub_says_what_to_fetch(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="run 'hf download nobody/none --local-dir FOLDER'") as caught:
        load_semantic(from_pretrained(tmp_path, library, name, "nobody/none"), CAMVID)
    assert "\n" not in str(caught.value)


# What cannot be.


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"runtime": "onnxruntime"}, "runtime 'torch' and the section 'network:'"),
        ({"weights": {"file": "made.pth"}}, "the weights come from one place"),
        ({"weights": {"sha256": "0" * 64}}, "belong to a 'file'"),
        ({"network": {"library": "torchvision", "name": "fcn_resnet50"}}, "the weights come from one place"),
        ({"network": {"library": "keras", "name": "unet"}}, "'keras' is not one of torchvision, transformers, smp"),
        ({"network": {"library": "torchvision", "name": "resnet50", "pretrained": "random"}}, "no 'resnet50' that"),
        (
            {
                "network": {
                    "library": "torchvision",
                    "name": "fcn_resnet50",
                    "pretrained": "random",
                    "arguments": {"num_classes": "many"},
                }
            },
            r"torchvision cannot make fcn_resnet50 from its 'arguments:' \(num_classes\): ",
        ),
        ({"input": {"name": "x", "size": [8, 8], "resize": "stretch", "reshape": True}}, "for graphs of a fixed size"),
    ],
)
def test_a_manifest_that_cannot_be(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    path = write(tmp_path, "torchvision", "fcn_resnet50", **changes)
    with pytest.raises(ConfigError, match=sentence):
        load_semantic(path, CAMVID)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no class of transformers .* expected one that ends in ForSemantic"):
        load_semantic(write(tmp_path, "transformers", "BertModel"), CAMVID)
    with pytest.raises(ConfigError, match=r"smp has no 'UNet'; expected .*Unet"):
        load_semantic(write(tmp_path, "smp", "UNet"), CAMVID)


def test_a_size_that_the_network_cannot_take(tmp_path: Path) -> None:
    odd = {"name": "images", "size": [65, 96], "resize": "stretch"}
    path = write(tmp_path, "smp", "UnetPlusPlus", {"encoder_name": "mobilenet_v2"}, input=odd)
    with pytest.raises(ModelError, match=r"cannot take an input of 3 x 65 x 96 .* Wrong input shape"):
        load_semantic(path, CAMVID)


def test_runtimes_precisions_and_devices_that_do_not_go_together(tmp_path: Path) -> None:
    path = lraspp(tmp_path, "random")
    with pytest.raises(ConfigError, match="seg_perception models export"):
        load_semantic(path, CAMVID, Execution(runtime="onnxruntime"))
    with pytest.raises(ConfigError, match="f16 on device 'cuda'"):
        load_semantic(path, CAMVID, Execution(precision="f16"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="finds no CUDA device here; use device 'cpu'"):
            load_semantic(path, CAMVID, Execution(device="cuda"))


def test_bf16_is_what_it_says(tmp_path: Path) -> None:
    path = write(tmp_path, "torchvision", "maskrcnn_resnet50_fpn", RCNN, **FOUND)
    network = load_instance(path, LabelSpace.load("voc"), Execution(precision="bf16"))
    assert network.describe()["precision"] == "bf16"
    assert library_model(network).backbone.body.conv1.weight.dtype == torch.bfloat16
    semantic = load_semantic(lraspp(tmp_path, "random"), CAMVID, Execution(precision="bf16"))
    assert {p.dtype for p in library_model(semantic).parameters()} == {torch.bfloat16}
    semantic.warm(*SIZE)


@pytest.mark.parametrize("device", ["cuda"])
def test_a_gpu_says_what_the_cpu_says(tmp_path: Path, device: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    path, image = lraspp(tmp_path, "random"), picture(*SIZE)
    here, there = (
        load_semantic(path, CAMVID, Execution(device=d))(image, StageTimes()).labels for d in ("cpu", device)
    )
    assert (here == there).mean() >= 0.999


def test_the_engine_batches_tiles_for_torch_too(tmp_path: Path) -> None:
    tiles = {"name": "images", "size": list(SIZE), "resize": "tiles", "tiles": {"size": list(SIZE)}, **IMAGENET}
    manifest = Manifest.load(write(tmp_path, "torchvision", "lraspp_mobilenet_v3_large", input=tiles))
    engine = Engine(manifest, Execution(threads=1))
    shown = [outputs[0].shape for _, outputs in engine(picture(100, 150), StageTimes())]
    assert shown == [(11, 8, 12)] * 4


def test_seeds_are_not_left_behind() -> None:
    before = torch.random.get_rng_state()
    with base.seeded():
        torch.rand(1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_pipeline_runs_both_halves_in_torch_on_real_frames(tmp_path: Path, data: Path) -> None:
    for folder in ("semantic", "instance"):
        (tmp_path / folder).mkdir()
    things = {**FOUND, "map": {}, "void": ["background"]}
    models = ModelsConfig(
        semantic=str(lraspp(tmp_path / "semantic", "random")),
        instance=str(write(tmp_path / "instance", "torchvision", "maskrcnn_resnet50_fpn", RCNN, **things)),
        threads=1,
    )
    config, labels = PipelineConfig(models=models), LabelSpace.load("navigation")
    pipeline = Pipeline(Networks.load(config, labels), labels, config)
    for number, path in enumerate(sorted((data / "kitti_seq" / "image_02").glob("*.jpg"))[:2]):
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        seen = pipeline(Frame(number * 100_000_000, "camera", image))
        assert seen.panoptic.semantic.shape == image.shape[:2]
        assert ((seen.panoptic.panoptic & 0xFFFF) == seen.panoptic.semantic).all()
        assert {"semantic/forward", "instance/forward"} <= set(seen.seconds)

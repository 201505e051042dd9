"""The torch runtime: what it refuses, precisions, devices, batches, and a pipeline whose networks run in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from library_networks import CAMVID, FOUND, IMAGENET, RCNN, SIZE, library_model, lraspp, picture, write

from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.errors import ConfigError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, Manifest, load_instance, load_semantic
from seg_perception.models.networks import Engine, Shown
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.timing import StageTimes
from seg_perception.types import Frame

torch = pytest.importorskip("torch")

from seg_perception.models.backends.torch_backend import Labels, TorchBackend  # noqa: E402
from seg_perception.models.families import base  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


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
    shown = [outputs[0].shape for _, _, outputs in engine([Shown(picture(100, 150))], StageTimes())]
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
        (look,) = seen.looks
        assert look.outcome == "used"
        assert "semantic/forward" in seen.seconds
        assert "instance/forward" in look.seconds


def test_labels_made_on_the_device_are_the_decoders(tmp_path: Path) -> None:
    network = load_semantic(lraspp(tmp_path, "random"), CAMVID, Execution(threads=1))
    backend, image = network._engine.backend, picture(50, 70)
    assert isinstance(backend, TorchBackend)
    assert backend.label is None  # on a CPU the decoder is quicker
    decoded = network(image, StageTimes())
    (logits,) = backend.outputs
    backend.label = Labels(lambda batch: backend.forward(batch)[logits.name], logits.shape[2:])
    made = network(image, StageTimes())
    same = made.labels == decoded.labels
    assert same.mean() > 0.999
    np.testing.assert_array_equal(made.confidence[same], decoded.confidence[same])

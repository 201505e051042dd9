"""Where the weights of a library's network come from: a state dict, the library's cache, a folder; and what is said
where they are not.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from library_networks import CAMVID, SEGFORMER, content, library_model, lraspp

from seg_perception.errors import ConfigError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import load_semantic

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")


def test_random_weights_are_the_same_at_every_load_and_leave_the_process_alone(tmp_path: Path) -> None:
    path = lraspp(tmp_path, "random")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two = (library_model(load_semantic(path, CAMVID)).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[key], two[key]) for key in one)


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

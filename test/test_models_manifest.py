"""Manifests: what is shipped loads, and what is wrong is said in one sentence."""

from __future__ import annotations

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from seg_perception import resources
from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.models import Manifest

GOOD: dict[str, Any] = {
    "name": "tiny",
    "task": "instance",
    "decoder": "yolo",
    "runtime": "onnxruntime",
    "weights": {"file": "tiny.onnx"},
    "input": {"name": "images", "size": [32, 64], "resize": "letterbox"},
    "labels": "coco",
}


def parse(**changes: Any) -> Manifest:
    content = copy.deepcopy(GOOD)
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        node = content
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return Manifest.parse(content, where="tiny.yaml", folder=Path())


@pytest.mark.parametrize("name", resources.names("models"))
def test_shipped_manifests_load_and_speak_the_default_space(name: str) -> None:
    manifest, navigation = Manifest.load(name), LabelSpace.load("navigation")
    assert manifest.name == name
    assert manifest.weights.sha256 or manifest.network
    assert manifest.licence
    table = manifest.table(navigation)
    silent = {manifest.channels()[c] for c in manifest.kept() if table[c] == 255}
    assert silent == set(manifest.void)


SEMANTIC = {"task": "semantic", "decoder": "dense_logits"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"input__sizes": [1, 2]}, "input: unknown key 'sizes'"),
        ({"input__size": [32]}, "input: size: expected 2 values, found 1"),
        ({"input__size": [0, 32]}, "outside 1..inf"),
        ({"input__size": "big"}, "expected a list"),
        ({"input__resize": "crop"}, "'crop' is not one of stretch, letterbox, tiles"),
        ({"input__resize": "tiles"}, "needs tiles: size"),
        ({"input__std": [1, 0, 1]}, "outside"),
        ({"input__pad": 300}, "outside 0..255"),
        ({"input__batch": 10**6}, "outside 1..256"),
        ({"decoder": "dense_logits"}, "serves task 'semantic', not 'instance'"),
        ({"runtime": "tflite"}, "'tflite' is not one of"),
        ({"weights__sha256": "abc"}, "is not 64 lower-case hex digits"),
        ({"weights__url": "https://example.org/tiny.onnx"}, "a url needs the file's sha256"),
        ({"labels": "mars"}, "no 'mars' among the shipped ones"),
        ({"classes": ["person", "unicorn"]}, "unicorn"),
        ({"keep": ["person", "unicorn"]}, "keep: 'unicorn' is not one of the model's 80 classes"),
        ({"void": ["nothing"]}, "void: 'nothing' is not one of"),
        ({"map": {"unicorn": "horse"}}, "map: 'unicorn' is not one of"),
        ({"score": 1.5}, "score: 1.5 is outside 0..1"),
        ({"score": float("nan")}, "outside 0..1"),
        ({**SEMANTIC, "keep": ["person"]}, "'keep' is for instance networks"),
        ({**SEMANTIC, "input__tiles": {"size": [9, 9], "whole": True}}, "'whole' is for instance networks"),
    ],
)
def test_each_mistake_is_one_sentence_that_names_file_and_key(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(**changes)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "tiny.yaml" in str(caught.value) or "mars" in sentence


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: [unclosed")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        Manifest.load(path)


def test_keep_void_and_map_decide_the_table() -> None:
    manifest = parse(keep=["person", "truck", "stop sign"], void=["stop sign"], map={"truck": "object"})
    navigation = LabelSpace.load("navigation")
    table, names = manifest.table(navigation), manifest.channels()
    homes = {names[c]: navigation.classes[table[c]].name for c in range(len(names)) if table[c] != 255}
    assert homes == {"person": "person", "truck": "object"}
    assert (table[len(names) :] == 255).all()
    assert "truck" in {LabelSpace.load("coco").classes[i].name for i in manifest.table(LabelSpace.load("coco"))[[7]]}


def test_a_class_without_a_home_is_named() -> None:
    with pytest.raises(ConfigError, match="unusual"):
        parse(keep=["giraffe"], name="unusual").table(LabelSpace.load("camvid"))


def test_normalisation_is_what_it_says() -> None:
    manifest = parse(input__scale=1 / 255, input__mean=[0.5, 0.4, 0.3], input__std=[0.2, 0.3, 0.4])
    expected = (np.arange(256) / 255 - np.array([[0.5], [0.4], [0.3]])) / np.array([[0.2], [0.3], [0.4]])
    np.testing.assert_allclose(manifest.normalisation(), expected, rtol=1e-6, atol=1e-6)
    assert manifest.normalisation().dtype == np.float32


def test_the_worked_example_of_the_documentation_is_a_manifest() -> None:
    page = (resources.share() / "docs" / "models.md").read_text(encoding="utf-8")
    example = yaml.safe_load(page.split("```yaml")[1].split("```")[0])
    manifest = Manifest.parse(example, where="docs/models.md", folder=Path())
    assert len(manifest.channels()) == 4


def test_every_key_of_a_manifest_is_documented() -> None:
    page = (resources.share() / "docs" / "models.md").read_text(encoding="utf-8")
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    keys = {spec.name for spec in dataclasses.fields(Manifest) if spec.init}
    assert keys <= set(re.findall(r"`(\w+)`", rows))

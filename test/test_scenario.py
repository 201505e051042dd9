"""Configuration files and ``--set``."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg_perception import scenario
from seg_perception.config import PipelineConfig
from seg_perception.errors import ConfigError

PLAIN = """
labels: cityscapes
models: {semantic: espnet_cityscapes, instance: yolov8n_seg}
cascade: {every: 3}
"""
ROS = """
/**:
  ros__parameters:
    use_sim_time: true
    cameras: [front]
    front: {image_transport: compressed}
    labels: cityscapes
    models:
      semantic: espnet_cityscapes
      instance: yolov8n_seg
    cascade.every: 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scenario.yaml"


def test_nothing_given_is_the_defaults() -> None:
    assert scenario.load() == PipelineConfig()


def test_plain_file_and_ros_parameter_file_say_the_same(file: Path) -> None:
    file.write_text(PLAIN)
    plain = scenario.load(file)
    file.write_text(ROS)
    assert scenario.load(file) == plain
    assert (plain.labels, plain.models.instance, plain.cascade.every) == ("cityscapes", "yolov8n_seg", 3)


@pytest.mark.parametrize("node", ["segmentation", "/segmentation", "/robot/segmentation", "/**", "/*/segmentation"])
def test_parameters_of_our_node_count(file: Path, node: str) -> None:
    file.write_text(f"{node}: {{ros__parameters: {{labels: voc}}}}\n")
    assert scenario.load(file).labels == "voc"


def test_namespaces_may_nest(file: Path) -> None:
    file.write_text("robot: {segmentation: {ros__parameters: {labels: voc}}}\n")
    assert scenario.load(file).labels == "voc"


def test_later_entries_win_and_other_nodes_do_not_count(file: Path) -> None:
    file.write_text(
        "/**: {ros__parameters: {labels: voc}}\n"
        "segmentation: {ros__parameters: {labels: camvid}}\n"
        "other: {ros__parameters: {labels: coco}}\n"
    )
    assert scenario.load(file).labels == "camvid"


def test_a_file_for_other_nodes_only_changes_nothing(file: Path) -> None:
    file.write_text("other: {ros__parameters: {labels: coco}}\n")
    assert scenario.load(file) == PipelineConfig()


def test_an_empty_file_changes_nothing(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert scenario.load(file) == PipelineConfig()


def test_settings_come_last_and_are_typed_like_yaml(file: Path) -> None:
    file.write_text(PLAIN)
    config = scenario.load(file, ["cascade.every=5", "models.instance=", "fusion.max_overlap=1"])
    assert (config.cascade.every, config.models.instance, config.fusion.max_overlap) == (5, "", 1.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("cascade: {evry: 3}\n", "cascade.evry"),
        ("labls: voc\n", "labls"),
        ("/**: {ros__parameters: {cascade: {evry: 3}}}\n", "cascade.evry"),
        ("cascade: {every: 0}\n", "outside 1..1000"),
        ("- voc\n", "expected keys and values"),
        ("labels: [\n", "cannot be read as YAML"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(file: Path, content: str, words: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        scenario.load(file)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("setting", ["cascade.every", "=3", "cascade.evry=3", "cascade.every=many", "cascade.every=["])
def test_a_wrong_setting_is_named(setting: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        scenario.load(settings=[setting])

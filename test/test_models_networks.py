"""Networks as a whole: small graphs made here, and the real ones where the test data is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from seg_perception.errors import ConfigError, InputError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, backends, commands, load_instance, load_semantic
from seg_perception.timing import StageTimes
from seg_perception.types import UNLABELLED

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

CAMVID = LabelSpace.load("camvid")


@pytest.fixture(params=backends.GRAPH_RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def colour_network(
    path: Path, classes: int = 11, batch: int | str = 1, stride: int = 1, size: tuple[int, int] = (8, 16)
) -> None:
    """A graph whose logit c is larger the nearer the pixel is to the grey value 20 c."""
    centres = 20.0 * np.arange(classes)
    weight = np.repeat(2 * centres[:, None, None, None] / 3, 3, axis=1).astype(np.float32) / 100
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["logits"], strides=[stride, stride])]
    height, width = size
    shape = [batch, classes, height // stride, width // stride]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array((-(centres**2) / 100).astype(np.float32), "b"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write(folder: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "name": "colours",
        "task": "semantic",
        "decoder": "dense_logits",
        "runtime": "onnxruntime",
        "weights": {"file": "colours.onnx"},
        "input": {"name": "x", "size": [8, 16], "resize": "stretch"},
        "labels": "camvid",
    }
    content.update(changes)
    path = folder / "colours.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def greys(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of blocks in class colours, and the classes."""
    classes = np.random.default_rng(1).integers(0, 11, (height, width))
    return np.repeat((20 * classes).astype(np.uint8)[..., None], 3, axis=2), classes


@pytest.mark.parametrize("batch", [1, 3, "n"])
def test_labels_come_out(tmp_path: Path, runtime: str, batch: int | str) -> None:
    colour_network(tmp_path / "colours.onnx", batch=batch)
    network = load_semantic(write(tmp_path), CAMVID, Execution(runtime=runtime, threads=1))
    image, classes = greys(8, 16)
    times = StageTimes()
    found = network(image, times)
    np.testing.assert_array_equal(found.labels, classes)
    assert set(times.seconds) == {"semantic/prepare", "semantic/forward", "semantic/decode"}
    assert network.describe()["runtime"] == runtime
    assert network.describe()["threads"] == 1
    network.warm(30, 40)


@pytest.mark.parametrize("size", [(8, 16), (9, 16), (33, 50), (5, 7)])
@pytest.mark.parametrize(("shown", "stride"), [((8, 16), 1), ((8, 16), 2), ((300, 400), 1)])
def test_labels_made_in_the_runtime_are_the_decoders(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int], stride: int
) -> None:
    pytest.importorskip("openvino")
    colour_network(tmp_path / "colours.onnx", stride=stride, size=shown)
    spec = {"name": "x", "size": list(shown), "resize": "stretch"}
    network = load_semantic(write(tmp_path, input=spec), CAMVID, Execution(runtime="openvino", threads=1))
    backend = network._engine.backend
    assert backend.label is not None
    assert backend.label.grid == (shown[0] // stride, shown[1] // stride)
    image = np.random.default_rng(3).integers(0, 255, (*size, 3), np.uint8)  # no two logits are equal
    made = network(image, StageTimes())
    backend.label = None
    decoded = network(image, StageTimes())
    np.testing.assert_array_equal(made.labels, decoded.labels)
    np.testing.assert_array_equal(made.confidence, decoded.confidence)


@pytest.mark.parametrize("batch", [1, 2])
def test_tiles_show_every_pixel_once_whatever_the_batch(tmp_path: Path, runtime: str, batch: int) -> None:
    colour_network(tmp_path / "colours.onnx", batch=batch)
    spec = {"name": "x", "size": [8, 16], "resize": "tiles", "tiles": {"size": [8, 16], "overlap": 0.25}}
    network = load_semantic(write(tmp_path, input=spec), CAMVID, Execution(runtime=runtime))
    image, classes = greys(21, 50)
    np.testing.assert_array_equal(network(image, StageTimes()).labels, classes)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 16), np.uint8),
        np.zeros((8, 16, 4), np.uint8),
        np.zeros((8, 16, 3), np.float32),
        np.zeros((0, 16, 3), np.uint8),
    ],
)
def test_another_kind_of_image_is_refused_and_the_next_one_works(tmp_path: Path, image: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    colour_network(tmp_path / "colours.onnx")
    network = load_semantic(write(tmp_path), CAMVID)
    with pytest.raises(InputError, match="uint8 RGB"):
        network(image, StageTimes())
    network.warm(9, 9)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"input": {"name": "y", "size": [8, 16], "resize": "stretch"}}, "input is called 'x', the manifest says 'y'"),
        ({"input": {"name": "x", "size": [16, 16], "resize": "stretch"}}, "input 'x' is 1 x 3 x 8 x 16"),
        ({"input": {"name": "x", "size": [8, 16], "resize": "stretch", "batch": 4}}, "'x' takes 1 in a pass, always"),
        ({"classes": ["sky", "road"]}, "has 11 classes, the manifest names 2"),
        ({"outputs": ["scores"]}, "output 'scores' is not in the graph, which has logits"),
        ({"task": "instance", "decoder": "yolo"}, "decoder yolo reads anchors"),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says(
    tmp_path: Path, runtime: str, changes: dict[str, Any], sentence: str
) -> None:
    colour_network(tmp_path / "colours.onnx")
    load = load_instance if changes.get("task") == "instance" else load_semantic
    with pytest.raises(ModelError, match="is not what its manifest says") as caught:
        load(write(tmp_path, **changes), CAMVID, Execution(runtime=runtime))
    assert sentence in str(caught.value)


def test_a_fixed_graph_takes_another_size_where_the_manifest_says_so(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    colour_network(tmp_path / "colours.onnx")
    wider = {"name": "x", "size": [8, 32], "resize": "stretch"}
    image = np.repeat(np.arange(32, dtype=np.uint8) // 4 * 20, 3).reshape(1, 32, 3).repeat(8, axis=0)
    manifest = write(tmp_path, input={**wider, "reshape": True})
    network = load_semantic(manifest, CAMVID, Execution(runtime="openvino"))
    np.testing.assert_array_equal(network(image, StageTimes()).labels, image[..., 0] // 20)
    with pytest.raises(ConfigError, match="as it is; 'input: reshape: true' needs openvino"):
        load_semantic(manifest, CAMVID, Execution(runtime="onnxruntime"))
    with pytest.raises(ModelError, match="input 'x' is 1 x 3 x 8 x 16"):
        load_semantic(write(tmp_path, input=wider), CAMVID, Execution(runtime="openvino"))


def test_a_corrupt_file_is_named(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "colours.onnx").write_bytes(b"not a network" * 100)
    with pytest.raises(ModelError, match=rf"colours.onnx cannot be loaded by {runtime}") as caught:
        load_semantic(write(tmp_path), CAMVID, Execution(runtime=runtime))
    assert "\n" not in str(caught.value)


def test_auto_takes_bf16_where_it_can_and_says_which(tmp_path: Path, runtime: str) -> None:
    colour_network(tmp_path / "colours.onnx")
    network = load_semantic(write(tmp_path), CAMVID, Execution(runtime=runtime, precision="auto"))
    expected = "bf16" if runtime == "openvino" and backends.has_bf16() else "f32"
    assert network.describe()["precision"] == expected
    assert backends.resolved_precision("f32", "openvino") == "f32"


def test_the_wrong_task_runtime_or_precision_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    colour_network(tmp_path / "colours.onnx")
    path = write(tmp_path)
    with pytest.raises(ModelError, match="cannot be the instance network"):
        load_instance(path, CAMVID)
    with pytest.raises(ConfigError, match="not available in this version"):
        load_semantic(path, CAMVID, Execution(runtime="tensorrt"))
    with pytest.raises(ConfigError, match="device 'cuda' needs runtime 'torch'"):
        load_semantic(path, CAMVID, Execution(device="cuda"))
    with pytest.raises(ConfigError, match="no runtime 'abacus'"):
        load_semantic(path, CAMVID, Execution(runtime="abacus"))
    with pytest.raises(ConfigError, match="precision 'bf16'"):
        load_semantic(path, CAMVID, Execution(runtime="onnxruntime", precision="bf16"))


def test_check_reports_what_works(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    colour_network(tmp_path / "colours.onnx")
    digest = hashlib.sha256((tmp_path / "colours.onnx").read_bytes()).hexdigest()
    text, works = commands.check(write(tmp_path, weights={"file": "colours.onnx", "sha256": digest}))
    assert works
    assert "sha256 as the manifest says" in text
    assert "fits the manifest" in text
    text, works = commands.check(write(tmp_path, classes=["sky", "road"]))
    assert not works
    assert "the manifest names 2" in text


def test_list_and_info_name_every_shipped_model_and_class() -> None:
    listed = commands.list_models()
    for name in ("espnet_camvid", "espnet_cityscapes", "yolov8n_seg"):
        assert name in listed
    text = commands.info("espnet_camvid")
    for name in ("Pedestrian", "person", "unlabelled", "MIT"):
        assert name in text


@pytest.fixture
def real(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEG_PERCEPTION_WEIGHTS", str(data / "weights"))
    return data


def rgb(path: Path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def test_camvid_labels_are_those_of_the_graph_run_directly(real: Path, runtime: str) -> None:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(real / "weights" / "espnet_p2q8_camvid_360x480.onnx"))
    network = load_semantic("espnet_camvid", CAMVID, Execution(runtime=runtime))
    for path in sorted((real / "camvid_val" / "images").glob("*.png"))[::25]:
        image = rgb(path)
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        direct = session.run(None, {"image_rgb_0_255": batch})[0][0].argmax(axis=0)
        direct[direct == 11] = UNLABELLED
        assert (network(image, StageTimes()).labels == direct).mean() >= 0.9999


def test_two_loads_and_two_runs_give_the_same_bytes(real: Path, runtime: str) -> None:
    navigation = LabelSpace.load("navigation")
    image = rgb(sorted((real / "kitti_seq").rglob("*.jpg"))[7])
    runs = []
    for _ in range(2):
        semantic = load_semantic("espnet_camvid", navigation, Execution(runtime=runtime, threads=2))
        instance = load_instance("yolov8n_seg", navigation, Execution(runtime=runtime, threads=2))
        for _ in range(2):
            dense, things = semantic(image, StageTimes()), instance(image, StageTimes())
            masks = b"".join(m.bits.tobytes() for m in things.masks)
            arrays = (dense.labels, dense.confidence, things.boxes, things.scores, things.labels)
            runs.append((*(a.tobytes() for a in arrays), masks))
    assert all(run == runs[0] for run in runs)


def test_kitti_cars_are_found_once(real: Path) -> None:
    """Frame 0 shows, by eye, a car at the left, a lorry behind it, a car in the middle and a lorry at the right."""
    pytest.importorskip("openvino")
    navigation = LabelSpace.load("navigation")
    network = load_instance("yolov8n_seg", navigation)
    image = rgb(sorted((real / "kitti_seq").rglob("*.jpg"))[0])
    found = network(image, StageTimes())
    for x, y in ((200, 280), (420, 190), (620, 250), (1000, 200)):
        covering = [
            m
            for m in found.masks
            if 0 <= y - m.y < m.bits.shape[0] and 0 <= x - m.x < m.bits.shape[1] and m.bits[y - m.y, x - m.x]
        ]
        assert len(covering) == 1, (x, y)
    assert (found.labels == navigation.id("vehicle")).sum() >= 4


def test_the_class_names_of_the_real_yolo_are_our_coco(real: Path) -> None:
    graph = onnx.load(str(real / "weights" / "yolov8n-seg_320_fp32.onnx"), load_external_data=False)
    names = yaml.safe_load({p.key: p.value for p in graph.metadata_props}["names"])
    space = LabelSpace.load("coco")
    assert [space.id(names[i]) for i in range(len(names))] == list(range(80))

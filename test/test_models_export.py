"""From a library's network to a graph: the same labels in every runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, Manifest, commands, load_instance, load_semantic
from seg_perception.timing import StageTimes

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from seg_perception.models import complexity  # noqa: E402

SIZE = (64, 96)


def write(folder: Path, name: str, **changes: Any) -> Path:
    """A manifest of a torchvision network with random weights."""
    content: dict[str, Any] = {
        "name": "made",
        "task": "semantic",
        "decoder": "dense_logits",
        "runtime": "torch",
        "network": {"library": "torchvision", "name": name, "pretrained": "random"},
        "input": {"name": "images", "size": list(SIZE), "resize": "stretch", "scale": 0.02, "mean": [2.5, 2.5, 2.5]},
        "labels": "voc",
        **changes,
    }
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def picture(height: int = 75, width: int = 110) -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("torchvision")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    return pytest.importorskip("torch")


def test_a_semantic_network_says_the_same_as_a_graph(tmp_path: Path, torch: Any) -> None:
    voc, image = LabelSpace.load("voc"), picture()
    path = write(tmp_path, "lraspp_mobilenet_v3_large", void=["background"])
    text = commands.export(path, tmp_path / "out.onnx")
    assert "any batch" in text
    written = Manifest.load(tmp_path / "out.yaml")
    assert (written.void, written.input, written.network) == (("background",), Manifest.load(path).input, None)
    said = load_semantic(path, voc, Execution(threads=1))(image, StageTimes()).labels
    for runtime in ("onnxruntime", "openvino"):
        pytest.importorskip(runtime)
        found = load_semantic(tmp_path / "out.yaml", voc, Execution(runtime=runtime, threads=1))(
            image, StageTimes()
        ).labels
        assert (found == said).mean() >= 0.999
    here, there = complexity.complexity(Manifest.load(path)), complexity.complexity(written)
    assert here.macs == pytest.approx(there.macs, rel=0.01)  # folded batch norms count nowhere
    assert here.parameters == pytest.approx(there.parameters, rel=0.02)
    for existing in ("out.onnx", "made.onnx"):  # the second would write over the manifest that it is made from
        with pytest.raises(ConfigError, match="exists and is not overwritten"):
            commands.export(path, tmp_path / existing)
    with pytest.raises(ConfigError, match="is a file with a graph already"):
        commands.export(tmp_path / "out.yaml", tmp_path / "again.onnx")


def test_mask_rcnn_says_the_same_as_a_graph(tmp_path: Path, torch: Any) -> None:
    voc, image = LabelSpace.load("voc"), picture()
    arguments = {"rpn_post_nms_top_n_test": 20, "box_score_thresh": 0.0, "box_detections_per_img": 12}
    network = {"library": "torchvision", "name": "maskrcnn_resnet50_fpn", "pretrained": "random"}
    path = write(
        tmp_path,
        "maskrcnn_resnet50_fpn",
        task="instance",
        decoder="rcnn",
        void=["background"],
        score=0.0,
        network={**network, "arguments": arguments},
        input={"name": "images", "size": list(SIZE), "resize": "stretch", "scale": 0.02, "batch": 2},
    )
    assert "one image at a time" in commands.export(path, tmp_path / "out.onnx")
    assert (Manifest.load(path).input.batch, Manifest.load(tmp_path / "out.yaml").input.batch) == (2, 1)
    said = load_instance(path, voc, Execution(threads=1))(image, StageTimes())
    assert len(said) > 0
    for runtime in ("onnxruntime", "openvino"):
        pytest.importorskip(runtime)
        found = load_instance(tmp_path / "out.yaml", voc, Execution(runtime=runtime, threads=1))(image, StageTimes())
        np.testing.assert_array_equal(found.labels, said.labels)
        np.testing.assert_allclose(found.boxes, said.boxes, atol=0.05)
        np.testing.assert_allclose(found.scores, said.scores, atol=1e-4)
        differs = [
            a.bits.shape != b.bits.shape or (a.bits != b.bits).mean() > 0.01
            for a, b in zip(found.masks, said.masks, strict=True)
        ]
        assert sum(differs) <= 1  # a box that ends on a whole pixel may be one pixel larger


def test_a_graph_is_counted_by_hand(tmp_path: Path) -> None:
    weights = {"w": (4, 3, 3, 3), "t": (4, 2, 2, 2), "m": (16, 5)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("ConvTranspose", ["a", "t"], ["b"], strides=[2, 2]),
        helper.make_node("MatMul", ["b", "m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "counted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2, 8, 5])],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "x.onnx")
    found = complexity.of_graph(tmp_path / "x.onnx", (3, 8, 16))
    assert found.parameters == 108 + 32 + 80
    assert found.macs == 4 * 4 * 8 * 27 + 4 * 4 * 8 * 2 * 4 + 2 * 8 * 5 * 16

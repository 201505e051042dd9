"""Graphs in 8-bit integers: what they say, what runs them, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from seg_perception import resources
from seg_perception.cli import INTERRUPTED, REFUSED, main
from seg_perception.errors import ConfigError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, Manifest, backends, complexity, load_semantic, weights, writing
from seg_perception.timing import StageTimes

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from seg_perception.models import quantize  # noqa: E402

SIZE = (32, 48)
NAVIGATION = LabelSpace.load("navigation")


def network(path: Path, size: tuple[int, int] = SIZE, node: str = "Conv") -> None:
    """Five random layers of convolutions, or of something else, to logits of four classes."""
    rng, tensors, nodes, last = np.random.default_rng(0), [], [], "pixels"
    channels = (3, 8, 16, 16, 8, 4)
    for number, (given, made) in enumerate(pairwise(channels)):
        name = "logits" if made == 4 else f"x{number}"
        if node == "Conv":
            weight = rng.normal(0, (2 / (9 * given)) ** 0.5, (made, given, 3, 3)).astype(np.float32)
            tensors.append(numpy_helper.from_array(weight, f"w{number}"))
            nodes.append(helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], pads=[1] * 4))
            last = f"c{number}"
        nodes.append(helper.make_node("LeakyRelu", [last], [name]))
        last = name
    shape = [1, 4 if node == "Conv" else 3, *size]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write(folder: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "name": "small",
        "task": "semantic",
        "decoder": "dense_logits",
        "runtime": "onnxruntime",
        "weights": {"file": "small.onnx"},
        "input": {"name": "pixels", "size": list(SIZE), "resize": "stretch", "scale": 1 / 64, "mean": [2.0, 2.0, 2.0]},
        "labels": "navigation",
        "classes": ["terrain", "person", "vehicle", "background"],
        "void": ["background"],
        "licence": "none",
        **changes,
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def picture(seed: int, height: int = 64, width: int = 96) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a small network and seven pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for seed in range(7):
        cv2.imwrite(f"pictures/{seed}.png", picture(seed))
    network(tmp_path / "small.onnx")
    write(tmp_path)
    return tmp_path


def said(path: str | Path, image: np.ndarray, runtime: str, labels: LabelSpace = NAVIGATION) -> np.ndarray:
    return load_semantic(path, labels, Execution(runtime, threads=1))(image, StageTimes()).labels


def test_a_network_of_integers_says_much_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "quantize", "small.yaml", "pictures", "pictures/3.png"]) == 0
    printed = capsys.readouterr().out
    assert "small_int8.onnx" in printed
    assert "on 5 images" in printed, "the third is one of the folder's, and counts once"
    assert "of the pixels, on 2 images held back" in printed
    before, after = Manifest.load("small.yaml"), Manifest.load("small_int8.yaml")
    assert (after.weights.file, after.weights.quantized) == ("small_int8.onnx", "int8")
    assert after.weights.sha256 == weights.checksum(here / "small_int8.onnx")
    for key in ("name", "task", "decoder", "runtime", "input", "labels", "classes", "void", "outputs", "licence"):
        assert getattr(after, key) == getattr(before, key)
    nodes = onnx.load("small_int8.onnx").graph.node
    operations = [node.op_type for node in nodes]
    assert next(node for node in nodes if node.op_type == "Conv").input[0] == "pixels", "the first stays"
    assert operations.count("Conv") == 5
    assert operations.count("DequantizeLinear") >= 8, "of numbers and weights of all but the first"
    assert complexity.complexity(after).macs == complexity.complexity(before).macs
    image = picture(9)
    for runtime in backends.GRAPH_RUNTIMES:
        pytest.importorskip(runtime)
        equal = said("small_int8.yaml", image, runtime) == said("small.yaml", image, runtime)
        assert 0.9 <= equal.mean() < 1, "integers are not floats"


@pytest.mark.parametrize("runtime", backends.GRAPH_RUNTIMES)
def test_the_precision_is_named(here: Path, runtime: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(runtime)
    quantize.quantize(Manifest.load("small.yaml"), sorted(here.glob("pictures/*")), here / "out.onnx")
    network = load_semantic("out.yaml", NAVIGATION, Execution(runtime, threads=1))
    assert network.describe()["precision"] == "int8+f32"
    words = ["--runtimes", runtime, "--frames", "1", "--threads", "1"]
    assert main(["models", "bench", "out.yaml", "--images", "pictures", *words]) == 0
    assert "int8+f32" in capsys.readouterr().out
    assert main(["models", "check", "out.yaml"]) == 0
    assert "int8+f32, " in capsys.readouterr().out


def test_beside_what_it_was_made_from(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "quantize", "small.yaml", "pictures"]) == 0
    words = ["--beside", "small_int8.yaml", "--runtimes", "onnxruntime", "--frames", "1", "--threads", "1"]
    capsys.readouterr()
    assert main(["models", "bench", "small.yaml", "--images", "pictures", *words, "--json", "out.json"]) == 0
    rows = json.loads((here / "out.json").read_text())["rows"]
    assert [row["precision"] for row in rows] == ["f32", "int8+f32"]
    assert rows[0]["agrees"] is None
    assert 0.9 <= rows[1]["agrees"] < 1, "compared with the floats, not with itself"
    assert rows[0]["macs"] == rows[1]["macs"]


def test_the_example_of_the_documentation_works(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    page = (resources.share() / "docs" / "models.md").read_text(encoding="utf-8")
    section = page.partition("## In 8-bit integers")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    write(here).rename("yard.yaml")
    Path("pictures").rename("frames")
    for line in block.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert (program, main(words)) == ("seg_perception", 0)
    printed = capsys.readouterr().out
    assert re.search(r"graph +yard_int8.onnx, [\d.]+ MB of [\d.]+", printed)
    assert "int8+f32" in printed


def test_the_shipped_networks(tmp_path: Path) -> None:
    files = []
    for seed in range(4):
        files.append(tmp_path / f"{seed}.png")
        cv2.imwrite(str(files[-1]), picture(seed, 360, 640))
    semantic = quantize.quantize(Manifest.load("world_semantic"), files, tmp_path / "semantic.onnx")
    assert (semantic.calibrated, semantic.judged, semantic.held_back) == (4, 4, False)
    assert semantic.labels_agree is not None
    assert semantic.labels_agree > 0.8
    assert semantic.things_agree is None
    assert semantic.size < 0.7 * semantic.size_before
    things = quantize.quantize(Manifest.load("world_instance"), files, tmp_path / "things.onnx")
    assert things.labels_agree is None
    assert things.things_agree is not None


def test_a_graph_for_another_size(here: Path) -> None:
    pytest.importorskip("openvino")
    network(here / "small.onnx", (16, 16))
    shown = {"name": "pixels", "size": list(SIZE), "resize": "stretch", "scale": 1 / 64, "mean": [2.0, 2.0, 2.0]}
    write(here, input={**shown, "reshape": True, "batch": 2}, runtime="openvino")
    assert main(["models", "quantize", "small.yaml", "pictures", "-o", "out.onnx"]) == 0
    assert not Manifest.load("out.yaml").input.reshape, "the graph has that size now"
    image = picture(9)
    wanted = said("small.yaml", image, "openvino")
    for runtime in backends.GRAPH_RUNTIMES:
        assert (said("out.yaml", image, runtime) == wanted).mean() > 0.9


def test_a_graph_as_old_exporters_write_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an opset without scales for each channel, and with its weights among the inputs."""
    model = onnx.load("small.onnx")
    model.ir_version, model.opset_import[0].version = 3, 11
    (pixels,) = model.graph.input
    del model.graph.input[:]
    tensors = [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.dims) for t in model.graph.initializer]
    model.graph.input.extend([*tensors, pixels])
    onnx.save(model, "small.onnx")
    assert main(["models", "quantize", "small.yaml", "pictures/1.png"]) == 0
    assert "on 1 image of these" in capsys.readouterr().out
    image = picture(9)
    for runtime in backends.GRAPH_RUNTIMES:
        pytest.importorskip(runtime)
        assert (said("small_int8.yaml", image, runtime) == said("small.yaml", image, runtime)).mean() > 0.9


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says; one sentence, and nothing is left behind."""
    before = sorted(Path().iterdir())
    assert main(["models", "quantize", *words]) == REFUSED
    assert sorted(Path().iterdir()) == before
    printed = capsys.readouterr().err
    assert printed.startswith("seg_perception: ")
    assert printed.count("\n") == 1
    return printed


def test_what_cannot_be_quantised(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "quantise torchvision_lraspp_graph.yaml" in refused(["torchvision_lraspp", "pictures"], capsys)
    assert "there is no nowhere, or no PNG or JPEG file in it" in refused(["small.yaml", "nowhere"], capsys)
    (here / "text.png").write_text("no picture")
    assert "image text.png cannot be read" in refused(["small.yaml", "pictures", "text.png"], capsys)
    assert "expected a name that ends in .onnx" in refused(["small.yaml", "pictures", "-o", "out"], capsys)
    assert "there is no folder" in refused(["small.yaml", "pictures", "-o", "no/out.onnx"], capsys)
    assert "small.onnx exists and is not overwritten" in refused(["small.yaml", "pictures", "-o", "small.onnx"], capsys)
    assert "cannot be written: File name too long" in refused(
        ["small.yaml", "pictures", "-o", f"{'x' * 300}.onnx"], capsys
    )
    assert main(["models", "quantize", "small.yaml", "pictures/1.png"]) == 0
    assert "integers already" in refused(["small_int8.yaml", "pictures", "-o", "again.onnx"], capsys)
    network(here / "none.onnx", node="none")
    write(here, weights={"file": "none.onnx"}, classes=["terrain", "person", "background"])
    assert "has no convolutions that are worth" in refused(["small.yaml", "pictures", "-o", "out.onnx"], capsys)
    (here / "broken.onnx").write_bytes(b"no graph")
    write(here, weights={"file": "broken.onnx"})
    assert "broken.onnx cannot be loaded by onnxruntime" in refused(
        ["small.yaml", "pictures", "-o", "out.onnx"], capsys
    )
    (here / "broken.onnx").write_bytes(b"")
    assert "broken.onnx cannot be loaded by onnxruntime" in refused(
        ["small.yaml", "pictures", "-o", "out.onnx"], capsys
    )
    (here / "small.xml").write_text("<net/>")
    write(here, weights={"file": "small.xml"})
    assert "only ONNX files" in refused(["small.yaml", "pictures", "-o", "out.onnx"], capsys)
    write(here, input={"name": "images", "size": list(SIZE), "resize": "stretch"})
    assert "the graph's input is called 'pixels', the manifest says 'images'" in refused(
        ["small.yaml", "pictures", "-o", "out.onnx"], capsys
    )
    write(here)
    with pytest.raises(ConfigError, match="there are none"):
        quantize.quantize(Manifest.load("small.yaml"), [], here / "out.onnx")


def test_a_package_that_is_missing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "seg_perception.models.quantize")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "needs onnx, which is not installed; pip install onnx" in refused(["small.yaml", "pictures"], capsys)


def test_nothing_is_left_of_what_was_interrupted(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        assert (here / "small_int8.onnx").is_file()
        assert (here / "small_int8.yaml").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize, "_judge", interrupted)
    before = sorted(here.iterdir())
    assert main(["models", "quantize", "small.yaml", "pictures"]) == INTERRUPTED
    assert sorted(here.iterdir()) == before


def test_the_name_is_taken_while_it_is_written(here: Path) -> None:
    with writing.written(Path("out.onnx")) as beside:
        with pytest.raises(ConfigError, match=r"out.onnx exists and is not overwritten"):
            quantize.quantize(Manifest.load("small.yaml"), [Path("pictures/1.png")], Path("out.onnx"))
        assert Path("out.onnx").is_file(), "the other's is not taken away"
        assert beside.is_file()


def test_words_in_a_file_are_no_operations(here: Path) -> None:
    model = onnx.load("small.onnx")
    model.doc_string, model.graph.node[0].name = "QuantizeLinear comes later", "/head/DequantizeLinear"
    onnx.save(model, "small.onnx")
    assert not weights.is_quantized(here / "small.onnx")
    (here / "small.xml").write_text('<layer id="4" name="FakeQuantize" type="Convolution" version="opset1">')
    assert not weights.is_quantized(here / "small.xml")
    (here / "small.xml").write_text('<layer id="4" name="x" type="FakeQuantize" version="opset1">')
    assert weights.is_quantized(here / "small.xml")


def test_manifest_and_graph_say_the_same(here: Path) -> None:
    assert main(["models", "quantize", "small.yaml", "pictures/1.png"]) == 0
    silent = write(here, weights={"file": "small_int8.onnx"})
    with pytest.raises(ModelError, match=r"8-bit integers, which the manifest is to say: 'weights: quantized: int8'"):
        load_semantic(silent, NAVIGATION, Execution("onnxruntime"))
    boasting = write(here, weights={"file": "small.onnx", "quantized": "int8"})
    with pytest.raises(ModelError, match=r"small.onnx computes in floats, the manifest says"):
        load_semantic(boasting, NAVIGATION, Execution("onnxruntime"))
    with pytest.raises(ConfigError, match=r"quantized: 'int4' is not one of none, int8"):
        Manifest.load(write(here, weights={"file": "small.onnx", "quantized": "int4"}))
    library = {"library": "torchvision", "name": "lraspp_mobilenet_v3_large"}
    with pytest.raises(ConfigError, match="'quantized' is for files with a graph"):
        Manifest.load(write(here, runtime="torch", network=library, weights={"file": "x", "quantized": "int8"}))

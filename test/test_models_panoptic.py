"""One network for classes and things: a small graph made here, alone and on the pipeline's road."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from seg_perception.cascade import CascadeConfig
from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.errors import ConfigError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, Manifest, load_instance, load_panoptic, load_semantic
from seg_perception.offline.report import provenance
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.timing import StageTimes
from seg_perception.types import Frame

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

NAVIGATION = LabelSpace.load("navigation")
SIZE = (24, 32)
CLASSES = ("person", "car", "road", "sky-other-merged", "banner")
QUERIES = {0: "road", 40: "person", 80: "person", 120: "car", 160: "sky-other-merged", 200: "banner"}
"""What each query holds, by the grey value of its pixels; a last one holds nothing."""


def save(path: Path, classes: int = len(CLASSES), size: tuple[int, int] = SIZE) -> None:
    """A graph with a query for every grey value: its mask is where the image has that."""
    logits = np.zeros((1, len(QUERIES) + 1, classes + 1), np.float32)
    for query, name in enumerate(QUERIES.values()):
        logits[0, query, CLASSES.index(name)] = 9
    logits[0, -1, -1] = 9
    centres = np.array([*QUERIES, 240], np.float32).reshape(1, -1, 1, 1)
    constants = {
        "mean": np.full((1, 3, 1, 1), 1 / 3, np.float32),
        "centres": centres,
        "reach": np.float32(10).reshape(1, 1, 1, 1),
        "constant": logits,
    }
    nodes = [
        helper.make_node("Conv", ["x", "mean"], ["grey"]),
        helper.make_node("Sub", ["grey", "centres"], ["offset"]),
        helper.make_node("Abs", ["offset"], ["distance"]),
        helper.make_node("Sub", ["reach", "distance"], ["masks_queries_logits"]),
        helper.make_node("Identity", ["constant"], ["class_queries_logits"]),
    ]
    shapes = {"class_queries_logits": logits.shape, "masks_queries_logits": (1, centres.size, *size)}
    graph = helper.make_graph(
        nodes,
        "queries",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, *size))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write(folder: Path, **changes: Any) -> Path:
    save(folder / "grey.onnx")
    content: dict[str, Any] = {
        "name": "grey",
        "task": "panoptic",
        "decoder": "queries",
        "runtime": "onnxruntime",
        "weights": {"file": "grey.onnx"},
        "input": {"name": "x", "size": list(SIZE), "resize": "stretch"},
        "labels": "coco_panoptic",
        "classes": list(CLASSES),
        "score": 0.5,
    }
    content.update(changes)
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def street(shift: int = 0) -> np.ndarray:
    """A road below a sky, two people side by side, a car and a banner."""
    grey = np.zeros(SIZE, np.uint8)
    grey[:10] = 160
    grey[8:20, 3 + shift : 6 + shift] = 40
    grey[8:20, 6 + shift : 9 + shift] = 80
    grey[12:18, 15:27] = 120
    grey[2:6, 20:30] = 200
    return np.repeat(grey[..., None], 3, axis=2)


def homes(image: np.ndarray) -> np.ndarray:
    """What the street is in the active label space; a banner is an object."""
    names = {0: "road", 40: "person", 80: "person", 120: "vehicle", 160: "sky", 200: "object"}
    table = np.zeros(256, np.uint8)
    for grey, name in names.items():
        table[grey] = NAVIGATION.id(name)
    return table[image[..., 0]]


def test_one_pass_tells_every_pixel_and_every_thing(tmp_path: Path) -> None:
    network, times = load_panoptic(write(tmp_path), NAVIGATION, Execution(threads=1)), StageTimes()
    semantic, found = network(street(), times)
    assert set(times.seconds) == {"panoptic/prepare", "panoptic/forward", "panoptic/decode"}
    np.testing.assert_array_equal(semantic.labels, homes(street()))
    assert (semantic.confidence > 200).all()
    # The banner is stuff to the model: however many there are, it says where banners are, not which is which.
    things = sorted(zip(NAVIGATION_NAMES[found.labels], found.boxes.tolist(), strict=True))
    assert things == [
        ("person", [3, 8, 6, 20]),
        ("person", [6, 8, 9, 20]),
        ("vehicle", [15, 12, 27, 18]),
    ]
    assert all(mask.bits.all() for mask in found.masks)
    assert (found.scores > 0.99).all()


NAVIGATION_NAMES = np.array([c.name for c in NAVIGATION.classes])


@pytest.mark.parametrize("height", [24, 57])
def test_the_same_outputs_serve_each_half_alone(tmp_path: Path, height: int) -> None:
    image = np.repeat(street(), -(-height // 24), axis=0)[:height]
    both = load_panoptic(write(tmp_path), NAVIGATION)(image, StageTimes())
    semantic = load_semantic(write(tmp_path, task="semantic"), NAVIGATION)(image, StageTimes())
    np.testing.assert_array_equal(both[0].labels, semantic.labels)
    np.testing.assert_array_equal(both[0].confidence, semantic.confidence)
    instance = load_instance(write(tmp_path, task="instance", keep=["person", "car"]), NAVIGATION)(image, StageTimes())
    assert sorted(instance.labels) == sorted(both[1].labels)


def test_tiles_show_a_thing_at_their_seam_once(tmp_path: Path) -> None:
    tiles = {"name": "x", "size": list(SIZE), "resize": "tiles", "tiles": {"size": list(SIZE), "overlap": 0.5}}
    network = load_panoptic(write(tmp_path, input=tiles), NAVIGATION)
    image = np.zeros((24, 70, 3), np.uint8)
    image[8:20, 28:44] = 120
    semantic, found = network(image, StageTimes())
    np.testing.assert_array_equal(semantic.labels, homes(image))
    assert found.boxes.tolist() == [[28, 8, 44, 20]]


def test_a_unified_model_is_tracked_and_fused_as_a_cascade_is(tmp_path: Path) -> None:
    config = PipelineConfig(models=ModelsConfig(semantic=str(write(tmp_path))))
    networks = Networks.load(config, NAVIGATION)
    perceive = Pipeline(networks, NAVIGATION, config)
    ids = []
    for number in range(5):
        image = street(number)
        result = perceive(Frame(number * 10**8, "camera", image))
        panoptic = result.panoptic
        np.testing.assert_array_equal(panoptic.panoptic & 0xFFFF, panoptic.semantic)
        np.testing.assert_array_equal(panoptic.semantic, homes(image))
        things = NAVIGATION.things[panoptic.semantic] & (image[..., 0] != 200)
        assert ((panoptic.panoptic >> 16 > 0) == (things & (number > 0))).all()  # an id after two looks
        ids.append([int(panoptic.panoptic[y, x]) >> 16 for y, x in ((9, 3 + number), (9, 6 + number), (14, 20))])
        assert set(result.seconds) == {
            "panoptic/prepare",
            "panoptic/forward",
            "panoptic/decode",
            "motion",
            "track",
            "fuse",
        }
    assert len(set(ids[-1])) == 3
    assert all(later == ids[1] for later in ids[1:])
    models = provenance(tmp_path, "/image", config, NAVIGATION, networks)["models"]
    assert [m["model"] for m in models] == ["grey"]


def test_a_unified_model_may_be_named_for_both(tmp_path: Path) -> None:
    path = str(write(tmp_path))
    networks = Networks.load(PipelineConfig(models=ModelsConfig(semantic=path, instance=path)), NAVIGATION)
    assert len(networks.loaded) == 1


def test_what_makes_no_sense_beside_a_unified_model_is_said(tmp_path: Path) -> None:
    path = str(write(tmp_path))
    with pytest.raises(ConfigError, match=r"instance is 'yolov8n_seg', but .* leave instance empty"):
        Networks.load(PipelineConfig(models=ModelsConfig(semantic=path, instance="yolov8n_seg")), NAVIGATION)
    config = PipelineConfig(models=ModelsConfig(semantic=path))
    with pytest.raises(ConfigError, match=r"every is 3, but .* sees every frame: set them to"):
        Networks.load(PipelineConfig(models=config.models, cascade=CascadeConfig(every=3)), NAVIGATION)
    semantic = str(write(tmp_path, name="classes", task="semantic"))
    with pytest.raises(ModelError, match="is for task 'panoptic', so it cannot be the instance network"):
        Networks.load(PipelineConfig(models=ModelsConfig(semantic=semantic, instance=path)), NAVIGATION)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"decoder": "dense_logits"}, "decoder 'dense_logits' serves task 'semantic', not 'panoptic'"),
        ({"decoder": "yolo"}, "decoder 'yolo' serves task 'instance', not 'panoptic'"),
        ({"keep": ["person"]}, "list a panoptic network's classes under 'void'"),
        ({"mask_grid": [384, 0]}, r"mask_grid \[384, 0\] must be two positive numbers"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Manifest.load(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"classes": ["person", "car", "road"]}, "has 5 classes, the manifest names 3"),
        ({"outputs": ["masks_queries_logits", "class_queries_logits"]}, "in this order under 'outputs:'"),
        ({"outputs": ["masks_queries_logits"]}, "decoder queries reads class logits"),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match="is not what its manifest says") as caught:
        load_panoptic(write(tmp_path, **changes), NAVIGATION)
    assert sentence in str(caught.value)


def test_merging_one_view_keeps_every_segment(tmp_path: Path) -> None:
    network = load_panoptic(write(tmp_path), NAVIGATION)
    image = street()
    image[8:20, 3:6] = 80  # one person beside and below another, of one class
    image[10:12, 4:5] = 40
    _, found = network(image, StageTimes())
    assert sorted(NAVIGATION_NAMES[found.labels]) == ["person", "person", "vehicle"]

"""scripts/demo.py on a bag and networks small enough for a test: both roads whole, and each piece by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from seg_perception import records, scenario
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.models import weights
from seg_perception.models.manifest import Manifest
from seg_perception.offline.bags import Bag
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.outputs import encoded
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.rendering import contact_sheet
from seg_perception.types import UNLABELLED, Frame, UInt8Array

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
SPACE = LabelSpace.load("navigation")
ROAD, SKY, PERSON = (SPACE.id(name) for name in ("road", "sky", "person"))
HEIGHT, WIDTH, FRAMES = 64, 96, 8
BOX = (30, 20, 54, 48)
GREYS = {"road": 20.0, "sky": 120.0, "person": 220.0}


@pytest.fixture(autouse=True)
def _scripts_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(autouse=True)
def _signals_stay_pytests() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def truth() -> np.ndarray[Any, np.dtype[np.int32]]:
    """Road below, sky above, person #1 where :data:`BOX` says."""
    classes = np.full((HEIGHT, WIDTH), ROAD, np.int32)
    classes[: HEIGHT // 2] = SKY
    x0, y0, x1, y1 = BOX
    classes[y0:y1, x0:x1] = 1 << 16 | PERSON
    return classes


def picture() -> UInt8Array:
    """The same as a camera sees it: a grey for each class."""
    greys = np.zeros(256, np.uint8)
    for name, grey in GREYS.items():
        greys[SPACE.id(name)] = int(grey)
    return np.repeat(greys[truth() & 0xFF][..., None], 3, axis=2)


def write_bag(path: Path, frames: int = FRAMES, broken: int = 0) -> Path:
    """``frames`` images at 10 Hz with truth; the last ``broken`` of them are no JPEG."""
    with BagWriter(path) as bag:
        bag.add_topic("/camera/image_raw/compressed", records.CompressedImage.TYPE, [qos()])
        bag.add_topic("/camera/camera_info", records.CameraInfo.TYPE, [qos()])
        bag.add_topic("/truth/panoptic", records.Image.TYPE, [qos()])
        k, eye = np.array([50.0, 0, 48, 0, 50, 32, 0, 0, 1]), np.eye(3).ravel()
        projection = np.array([50.0, 0, 48, 0, 0, 50, 32, 0, 0, 0, 1, 0])
        for number in range(frames):
            stamp = 2 * 10**18 + number * 10**8
            header = records.Header.of(stamp, "camera")
            data = np.zeros(9, np.uint8) if number >= frames - broken else encoded(".jpg", picture())
            image = records.CompressedImage(header, "rgb8; jpeg compressed bgr8", data)
            info = records.CameraInfo(header, HEIGHT, WIDTH, "plumb_bob", np.zeros(5), k, eye, projection)
            labels = records.Image.of(header, "32SC1", truth())
            for topic, message in (
                ("/camera/image_raw/compressed", image),
                ("/camera/camera_info", info),
                ("/truth/panoptic", labels),
            ):
                bag.write(topic, serialised(message.TYPE, message), stamp)
    return path


def save(path: Path, nodes: list[Any], outputs: dict[str, list[int]], arrays: dict[str, Any]) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A scenario with two networks: a class for each grey, and one person, always at the same place."""
    pytest.importorskip("onnxruntime")
    centres = np.array(list(GREYS.values()))
    weight = np.repeat(2 * centres[:, None, None, None] / 3, 3, axis=1)
    conv = helper.make_node("Conv", ["x", "w", "b"], ["logits"])
    save(tmp_path / "semantic.onnx", [conv], {"logits": [1, 3, HEIGHT, WIDTH]}, {"w": weight, "b": -(centres**2)})
    x0, y0, x1, y1 = BOX
    row = np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.9, 1.0]).reshape(1, 6, 1)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing4"]),
        helper.make_node("Squeeze", ["nothing4"], ["nothing"]),
        helper.make_node("Add", ["row", "nothing"], ["output0"]),
        helper.make_node("Add", ["mask", "nothing"], ["output1"]),
    ]
    arrays = {"row": row, "mask": np.full((1, 1, HEIGHT // 2, WIDTH // 2), 5.0), "zero": 0.0}
    save(
        tmp_path / "instance.onnx",
        nodes,
        {"output0": [1, 6, 1], "output1": [1, 1, HEIGHT // 2, WIDTH // 2]},
        arrays,
    )
    models: dict[str, tuple[str, list[str]]] = {
        "semantic": ("dense_logits", list(GREYS)),
        "instance": ("yolo", ["person"]),
    }
    for task, (decoder, classes) in models.items():
        content = {
            "name": task,
            "task": task,
            "decoder": decoder,
            "runtime": "onnxruntime",
            "weights": {"file": f"{task}.onnx"},
            "input": {"name": "x", "size": [HEIGHT, WIDTH], "resize": "stretch"},
            "labels": "navigation",
            "classes": classes,
        }
        (tmp_path / f"{task}.yaml").write_text(yaml.safe_dump(content))
    path = tmp_path / "perception.yaml"
    parameters = {"labels": "navigation", "models": {task: str(tmp_path / f"{task}.yaml") for task in models}}
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    return path


def check_outcome(out: Path, frames_in: int, frames_out: int) -> dict[str, Any]:
    """What both roads leave behind."""
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    assert (summary["frames_in"], summary["frames_out"]) == (frames_in, frames_out)
    assert summary["frames_out"] + sum(summary["dropped"].values()) == frames_in
    assert set(summary["latency_ms"]) == {"p50", "p95", "p99"}
    assert summary["miou"] > 0.97
    assert (summary["sq"], summary["id_switches"]) == (pytest.approx(1, abs=0.03), 0)
    assert 0 < summary["pq"] <= summary["rq"] <= 1
    assert summary["idf1"] > 0.5  # the id comes with the second look
    assert set(summary["classes"]) >= set(GREYS)
    assert summary["machine"]["cores"] >= 1
    assert summary["versions"]["numpy"] == np.__version__
    assert cv2.imread(str(out / "contact_sheet.png")) is not None
    video = cv2.VideoCapture(str(out / "overlay.webm"))
    assert sum(video.read()[0] for _ in range(frames_in)) >= frames_out
    return summary


def test_offline(tmp_path: Path, config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from demo import NEXT, main

    bag, out = write_bag(tmp_path / "tiny.mcap"), tmp_path / "out"
    assert main(["--offline", "--bag", str(bag), "--config", str(config), "--out", str(out)]) == 0
    summary = check_outcome(out, FRAMES, FRAMES)
    assert summary["road"] == "offline"
    assert summary["failures"] == []
    said = capfd.readouterr()
    assert said.out.endswith(f"{NEXT}\n")
    assert "8 in, 8 out; dropped: none" in said.out
    assert len(NEXT.splitlines()) == 3


def test_offline_counts_what_cannot_be_read(tmp_path: Path, config: Path) -> None:
    from demo import main

    bag, out = write_bag(tmp_path / "tiny.mcap", broken=2), tmp_path / "out"
    assert main(["--offline", "--bag", str(bag), "--config", str(config), "--out", str(out)]) == 0
    summary = check_outcome(out, FRAMES, FRAMES - 2)
    assert summary["frames_scored"] == FRAMES - 2
    assert list(summary["dropped"].values()) == [2]


def test_over_dds(tmp_path: Path, config: Path) -> None:
    pytest.importorskip("rclpy", reason="the road over DDS needs ROS 2")
    from demo import main

    bag, out = write_bag(tmp_path / "tiny.mcap"), tmp_path / "out"
    assert main(["--bag", str(bag), "--config", str(config), "--out", str(out)]) == 0
    summary = check_outcome(out, FRAMES, json.loads((out / "summary.json").read_text())["frames_out"])
    assert summary["road"] == "dds"
    assert summary["frames_scored"] == summary["frames_out"]
    assert left_behind(out) == []


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, config: Path) -> None:
    pytest.importorskip("rclpy", reason="the road over DDS needs ROS 2")
    bag, out = write_bag(tmp_path / "long.mcap", frames=600), tmp_path / "out"
    words = [SCRIPTS / "demo.py", "--bag", bag, "--config", config, "--out", out]
    script = subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not ((out / "node_trace.jsonl").is_file() and (out / "node_trace.jsonl").stat().st_size):
        assert script.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(left_behind(out)) == 4  # player, node, listener, recorder
    script.send_signal(signal.SIGINT)
    _, said = script.communicate(timeout=60)
    assert script.returncode == 130
    assert said.strip() == "demo: interrupted; its processes have ended"
    assert left_behind(out) == []


def left_behind(out: Path) -> list[str]:
    """Command lines of the processes that the demo started for ``out`` and that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(out.parent) in line and " seg_perception " in line and process.name != str(os.getpid()):
            found.append(line)
    return found


def test_a_node_that_fails_is_said_at_once(tmp_path: Path, config: Path) -> None:
    pytest.importorskip("rclpy", reason="the road over DDS needs ROS 2")
    from over_dds import replay

    bag = write_bag(tmp_path / "tiny.mcap")
    with pytest.raises(SystemExit, match="the node ended before its work was done"):
        replay(bag, tmp_path / "out", "camera", node=["--no-such-thing"])
    assert left_behind(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bag", "{0}/none.mcap"], "there is no such bag"),
        (["--config", "{0}/none.yaml"], "none.yaml"),
        (["--out", __file__], "cannot be made a folder"),
    ],
)
def test_what_is_missing_is_one_sentence(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    from demo import main

    given = ["--config", str(config), *(word.format(tmp_path) for word in arguments)]
    assert main(["--offline", "--out", str(tmp_path / "out"), *given]) == 2
    said = capsys.readouterr().err
    assert said.startswith("demo: ")
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_an_image_that_is_not_accounted_for_is_a_failure() -> None:
    from demo import Account

    def failures(frames_out: int, dropped: dict[str, int], broken: dict[str, int] | None = None) -> list[str]:
        return list(Account(10, frames_out, dropped, {}, {}, broken or {}).failures())

    assert failures(10, {}) == []
    assert failures(7, {"replaced": 2, "bad_image": 1}) == []
    assert "1 of 10 images were neither answered nor counted" in failures(7, {"replaced": 2})[0]
    assert "not one of 10 images was answered" in failures(0, {"replaced": 10})[0]
    assert "a rule of the interface was broken 3 times: step" in failures(10, {}, {"step": 3})[0]


def test_a_video_has_its_frames_and_colours(tmp_path: Path) -> None:
    from pictures import write_video

    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    frames = [np.full((64, 96, 3), colour, np.uint8) for colour in colours]
    write_video(tmp_path / "v.webm", iter(frames), 10.0)
    video = cv2.VideoCapture(str(tmp_path / "v.webm"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    for colour in colours:
        read, shown = video.read()
        assert read
        assert np.abs(shown[..., ::-1].reshape(-1, 3).mean(0) - colour).max() < 12
    assert not video.read()[0]
    assert (tmp_path / "v.webm").read_bytes()[:4] == b"\x1a\x45\xdf\xa3"  # EBML, as every WebM begins


def test_a_video_of_nothing_is_refused(tmp_path: Path) -> None:
    from pictures import write_video

    with pytest.raises(SystemExit, match="no frames"):
        write_video(tmp_path / "v.webm", iter(()), 10.0)


def test_the_truth_is_drawn_like_what_is_perceived() -> None:
    from pictures import captioned, truth_overlay

    drawn = truth_overlay(picture(), truth(), SPACE, smallest=1)
    unnamed = truth_overlay(picture(), truth(), SPACE, smallest=10_000)
    x0, _, x1, y1 = BOX
    inside = slice(y1 - 6, y1 - 2), slice(x0 + 2, x1 - 2)
    assert (drawn[inside] != unnamed[inside]).any()  # the shade of its number
    assert (drawn[-3:, -3:] == unnamed[-3:, -3:]).all()
    sheet = contact_sheet([captioned(drawn, "truth"), drawn], 2)
    assert (drawn == truth_overlay(picture(), truth(), SPACE, smallest=1)).all()  # a caption is on a copy
    assert sheet.shape[1] > 2 * WIDTH


def test_the_default_configuration_loads_its_networks() -> None:
    config = scenario.load(ROOT / "config" / "perception.yaml")
    manifests = [Manifest.load(name) for name in (config.models.semantic, config.models.instance)]
    assert [manifest.task for manifest in manifests] == ["semantic", "instance"]
    if any(weights.find(manifest) is None for manifest in manifests):
        pytest.skip("the shipped weights are not in this checkout")
    labels = LabelSpace.load(config.labels)
    pipeline = Pipeline(Networks.load(config, labels), labels, config)
    result = pipeline(Frame(1, "camera", np.full((360, 640, 3), 128, np.uint8)))
    assert result.panoptic.semantic.shape == (360, 640)
    assert set(np.unique(result.panoptic.semantic)) <= {c.id for c in labels.classes} | {UNLABELLED}


def test_the_demo_bag_is_as_described() -> None:
    from demo import BAG, IMAGES, TRUTH

    if not BAG.is_file():
        pytest.skip("the demo's bag is not in this checkout")
    assert BAG.stat().st_size <= 20e6
    with Bag(BAG) as bag:
        assert {topic: bag.topics[topic].count for topic in (IMAGES, TRUTH)} == {IMAGES: 120, TRUTH: 120}
        assert {"/camera/depth/image_raw", "/lidar/points", "/tf", "/tf_static"} <= set(bag.topics)

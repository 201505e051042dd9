"""The pipeline over every frame of a bag: what comes out, that it repeats, and what becomes of bad input."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from seg_perception import records
from seg_perception.cascade import CascadeConfig
from seg_perception.config import ModelsConfig, OutputConfig, PipelineConfig
from seg_perception.conformance import pixels, violations
from seg_perception.errors import BagError, ConfigError
from seg_perception.interfaces import serialised, typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag
from seg_perception.offline.run import run_bag, select
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.outputs import table
from seg_perception.pipeline import Networks
from seg_perception.projection.ground import FlatConfig
from seg_perception.projection.projector import ProjectionConfig
from seg_perception.timing import StageTimes
from seg_perception.types import Instances, Mask, SemanticMap, UInt8Array

HEIGHT, WIDTH = 24, 32
TOPIC, INFO = "/front/image_raw", "/front/camera_info"
CONFIG = PipelineConfig(labels="camvid")
SPACE = LabelSpace.load("camvid")


@dataclass(frozen=True)
class Brightness:
    """A network of one weight: the class is the red channel, bright green is unlabelled."""

    def describe(self) -> dict[str, str | int]:
        return {"model": "brightness"}

    def __call__(self, image: UInt8Array, times: StageTimes) -> SemanticMap:
        with times.stage("semantic/forward"):
            labels = (image[..., 0] % len(SPACE)).astype(np.uint8)
            labels[image[..., 1] > 200] = 255
        return SemanticMap(labels, np.where(labels == 255, 0, 200).astype(np.uint8))


def load(config: PipelineConfig, labels: LabelSpace) -> Networks:
    return Networks(Brightness(), None)  # type: ignore[arg-type]


def picture(seed: int) -> records.Image:
    shown = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    return records.Image.of(records.Header.of(10**18 + seed * 10**8, "front_optical"), "rgb8", shown)


def calibration(stamp: int, **changes: Any) -> records.CameraInfo:
    k = np.array([30.0, 0, 15.5, 0, 30.0, 11.5, 0, 0, 1])
    p = np.array([30.0, 0, 15.5, 2.0, 0, 30.0, 11.5, 0, 0, 0, 1, 0])
    header = records.Header.of(stamp, "front_optical")
    info = records.CameraInfo(header, HEIGHT, WIDTH, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), p)
    return replace(info, **changes)


def make(path: Path, frames: Iterable[Any], info: records.CameraInfo | None = None, topic: str = TOPIC) -> Path:
    """A bag of ``frames``: records, or bytes as they are."""
    compressed = topic.endswith("/compressed")
    with BagWriter(path) as bag:
        bag.add_topic(topic, records.CompressedImage.TYPE if compressed else records.Image.TYPE, [qos()])
        bag.add_topic(INFO, records.CameraInfo.TYPE, [qos()])
        for number, frame in enumerate(frames):
            log_time = 2 * 10**18 + number * 10**8
            bag.write(topic, frame if isinstance(frame, bytes) else serialised(frame.TYPE, frame), log_time)
            if info is not None:
                bag.write(INFO, serialised(info.TYPE, info), log_time + 1000)
    return path


def run(bag: Path, out: Path, config: PipelineConfig = CONFIG, **options: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    report = run_bag(bag, out, config, load=load, say=said.append, progress=False, **options)
    return report, said


def contents(path: Path) -> dict[str, list[Any]]:
    """Every message by topic."""
    found: dict[str, list[Any]] = defaultdict(list)
    with Bag(path) as bag:
        for message in bag.messages(list(bag.topics)):
            found[message.topic].append(typestore().deserialize_cdr(message.cdr, bag.topics[message.topic].type))
    return found


def test_every_frame_comes_out_as_the_interface_says(tmp_path: Path) -> None:
    frames = [picture(i) for i in range(5)]
    bag = make(tmp_path / "in.mcap", frames, calibration(5))
    report, said = run(bag, tmp_path / "out.mcap", outputs=["*"])
    assert (report.read, report.written, dict(report.refused), said) == (5, 5, {}, [])
    found = contents(tmp_path / "out.mcap")
    for i, frame in enumerate(frames):
        messages = {
            topic.removeprefix("/front/"): of_topic[i]
            for topic, of_topic in found.items()
            if topic != "/front/semantic/label_info"
        }
        assert set(messages) == {output.topic for output in table(SPACE)}
        per_frame = {t: m for t, m in messages.items() if not t.startswith("overlay")}
        assert violations(per_frame, len(SPACE), "front_optical") == []
        stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in messages.values()}
        assert stamps == {(frame.header.stamp.sec, frame.header.stamp.nanosec)}
        assert {m.header.frame_id for m in messages.values()} == {"front_optical"}
        shown = frame.data.reshape(HEIGHT, WIDTH, 3)
        expected = np.where(shown[..., 1] > 200, 255, shown[..., 0] % len(SPACE))
        assert np.array_equal(pixels(messages["semantic/image_raw"]), expected)
    (info,) = found["/front/semantic/label_info"]
    assert [c.class_name for c in info.class_map] == [c.name for c in SPACE.classes]


def test_label_info_comes_first_and_log_times_are_the_sources(tmp_path: Path) -> None:
    bag = make(tmp_path / "in.mcap", [picture(i) for i in range(3)])
    run(bag, tmp_path / "out.mcap")
    with Bag(tmp_path / "out.mcap") as out:
        messages = list(out.messages(list(out.topics)))
        assert out.topics["/front/semantic/label_info"].profiles[0].durability.name == "TRANSIENT_LOCAL"
    assert messages[0].topic == "/front/semantic/label_info"
    assert sorted({m.log_time for m in messages}) == [2 * 10**18 + i * 10**8 for i in range(3)]


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    bag = make(tmp_path / "in.mcap", [picture(i) for i in range(8)], calibration(5))
    for name in ("a", "b"):
        run(bag, tmp_path / f"{name}.mcap", outputs=["*"])
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_the_json_says_what_the_result_depends_on_and_how_long_it_took(tmp_path: Path) -> None:
    run(make(tmp_path / "in.mcap", [picture(i) for i in range(4)]), tmp_path / "out.mcap")
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["frames"] == {"read": 4, "written": 4, "refused": {}}
    assert content["labels"] == {"name": "camvid", "version": SPACE.version}
    assert content["models"] == [{"model": "brightness"}]
    assert content["config"]["labels"] == "camvid"
    assert content["source"] == {"bag": "in.mcap", "topic": TOPIC}
    for stage in ("read", "image", "semantic/forward", "fuse", "write"):
        times = content["milliseconds"][stage]
        assert 0 <= times["p50"] <= times["p95"] <= times["p99"]
        assert times["frames"] == 4


def jpeg(number: int, kept: float = 1.0) -> records.CompressedImage:
    data = cv2.imencode(".jpg", picture(number).data.reshape(HEIGHT, WIDTH, 3))[1].reshape(-1)
    return records.CompressedImage(picture(number).header, "jpeg", data[: round(len(data) * kept)])


def test_compressed_images_are_read(tmp_path: Path) -> None:
    topic = f"{TOPIC}/compressed"
    report, _ = run(make(tmp_path / "in.mcap", [jpeg(i) for i in range(3)], topic=topic), tmp_path / "out.mcap")
    assert report.written == 3
    assert len(contents(tmp_path / "out.mcap")["/front/semantic/image_raw"]) == 3


def broken(change: Callable[[records.Image], records.Image | bytes]) -> Callable[[int], records.Image | bytes]:
    return lambda number: change(picture(number))


BAD_FRAMES = {
    "size": broken(lambda image: replace(image, height=HEIGHT + 1)),
    "step": broken(lambda image: replace(image, step=WIDTH)),
    "encoding": broken(lambda image: replace(image, encoding="plaid8")),
    "zero bytes": broken(lambda image: replace(image, data=np.zeros(0, np.uint8))),
    "cut message": broken(lambda image: serialised(image.TYPE, image)[:200]),
    "no message": broken(lambda image: b""),
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_a_bad_frame_is_counted_and_said_once(tmp_path: Path, kind: str) -> None:
    frames = [picture(0), BAD_FRAMES[kind](1), picture(2), BAD_FRAMES[kind](3), picture(4)]
    report, said = run(make(tmp_path / "in.mcap", frames), tmp_path / "out.mcap")
    assert (report.read, report.written, sum(report.refused.values())) == (5, 3, 2)
    assert len(said) == len(report.refused) == 1
    assert TOPIC in said[0]
    assert "\n" not in said[0]


def test_a_truncated_jpeg_is_counted(tmp_path: Path) -> None:
    frames = [jpeg(0), jpeg(1, kept=0.02), jpeg(2)]
    report, said = run(make(tmp_path / "in.mcap", frames, topic=f"{TOPIC}/compressed"), tmp_path / "out.mcap")
    assert (report.read, report.written, len(said)) == (3, 2, 1)


def test_stamps_that_stand_or_go_back_are_counted(tmp_path: Path) -> None:
    frames = [picture(i) for i in (0, 1, 2, 2, 3, 1, 2)]
    report, said = run(make(tmp_path / "in.mcap", frames), tmp_path / "out.mcap")
    assert (report.written, report.time_jumps, report.standing_stamps) == (7, 1, 1)
    assert len(said) == 2
    stamps = [m.header.stamp.nanosec // 10**8 for m in contents(tmp_path / "out.mcap")["/front/semantic/image_raw"]]
    assert stamps == [0, 1, 2, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("changes", "said_about"),
    [({"k": np.full(9, math.nan)}, "K holds NaN"), ({"height": 48, "width": 64}, "is for 64x48, the image is 32x24")],
)
def test_a_calibration_that_cannot_be_used_costs_only_itself(
    tmp_path: Path, changes: dict[str, Any], said_about: str
) -> None:
    bag = make(tmp_path / "in.mcap", [picture(i) for i in range(3)], calibration(5, **changes))
    report, said = run(bag, tmp_path / "out.mcap")
    assert (report.written, len(said)) == (3, 1)
    assert said_about in said[0]
    found = contents(tmp_path / "out.mcap")
    assert len(found["/front/semantic/image_raw"]) == 3
    assert "/front/semantic/camera_info" not in found


def test_masks_of_another_size_bring_their_calibration(tmp_path: Path) -> None:
    config = replace(CONFIG, output=OutputConfig(width=WIDTH // 2, height=HEIGHT // 2))
    run(make(tmp_path / "in.mcap", [picture(0), picture(1)], calibration(5)), tmp_path / "out.mcap", config)
    found = contents(tmp_path / "out.mcap")
    info = found["/front/semantic/camera_info"][0]
    assert (info.width, info.height, info.k[0], info.k[2]) == (16, 12, 15.0, 16.0 / 2 - 0.5)
    assert info.p[3] == 1.0
    assert found["/front/panoptic/image_raw"][1].width == 16
    with pytest.raises(ConfigError, match="expected both"):
        run(tmp_path / "in.mcap", tmp_path / "out.mcap", replace(CONFIG, output=OutputConfig(width=16)))


def test_a_truncated_bag_gives_what_it_holds_and_says_so(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mcap", [picture(i) for i in range(3000)]).read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    report, said = run(cut, tmp_path / "out.mcap")
    assert 0 < report.written == report.read < 3000
    assert report.damage is not None
    assert said == [report.damage]
    assert f"{report.read} messages on {TOPIC}" in report.damage
    assert len(contents(tmp_path / "out.mcap")["/front/semantic/image_raw"]) == report.written
    assert json.loads((tmp_path / "out.json").read_text())["damage"] == report.damage


def test_nothing_is_written_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    two = tmp_path / "two.mcap"
    with BagWriter(two) as bag:
        bag.add_topic(TOPIC, records.Image.TYPE, [qos()])
        bag.add_topic("/rear/image_raw", records.Image.TYPE, [qos()])
    none = make(tmp_path / "none.mcap", [])
    bad = make(tmp_path / "bad.mcap", [BAD_FRAMES["encoding"](number) for number in range(3)])
    for bag_path, what in (
        (two, "2 image topics"),
        (none, "has no messages"),
        (bad, "no frame of /front/image_raw can be used, 3 of 3: .*plaid8"),
        (tmp_path / "no", "no such bag"),
    ):
        with pytest.raises(BagError, match=what):
            run(bag_path, tmp_path / "out.mcap")
    with pytest.raises(BagError, match="would overwrite"):
        run(none, none)
    with pytest.raises(ConfigError, match="--camera a b"):
        run(bad, tmp_path / "out.mcap", camera="a b")
    assert {path.name for path in tmp_path.iterdir()} == {"two.mcap", "none.mcap", "bad.mcap"}


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    bag = make(tmp_path / "in.mcap", [picture(1)])
    (tmp_path / "out.json").mkdir()
    with pytest.raises(BagError, match=r"out\.json: cannot be written \(Is a directory\); .*out\.mcap is whole"):
        run(bag, tmp_path / "out.mcap")


def test_outputs_are_chosen_by_name_and_pattern() -> None:
    outputs = table(SPACE)
    assert all(output.demand == "always" for output in select(outputs, []))
    assert {o.topic for o in select(outputs, ["masks/*"])} == {f"masks/{group}" for group in SPACE.groups}
    assert [o.topic for o in select(outputs, ["overlay/image_raw", "detections"])] == [
        "detections",
        "overlay/image_raw",
    ]
    with pytest.raises(ConfigError, match="there is no output 'mask'; expected semantic/image_raw"):
        select(outputs, ["mask"])


# Real frames, real weights


@pytest.fixture(scope="session")
def make_bags() -> Any:
    path = Path(__file__).parents[1] / "scripts" / "make_bags.py"
    spec = importlib.util.spec_from_file_location("make_bags", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def _weights(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEG_PERCEPTION_WEIGHTS", os.environ.get("SEG_PERCEPTION_WEIGHTS", str(data / "weights")))


def mean_iou(counts: NDArray[np.int64]) -> float:
    """Over 11 classes; truth by answer, the 12th is void: what is labelled and called void is a miss of its class."""
    hits, truth, answers = np.diag(counts)[:11], counts.sum(1)[:11], counts.sum(0)[:11]
    return float(np.mean(hits / (truth + answers - hits)))


@pytest.mark.usefixtures("_weights")
def test_camvid_as_good_as_its_network(data: Path, tmp_path: Path, make_bags: Any) -> None:
    """The same ONNX run directly with argmax: mIoU within 0.2 points, the same label on 99.99 % of the pixels."""
    onnxruntime = pytest.importorskip("onnxruntime")
    bag, out = tmp_path / "camvid.mcap", tmp_path / "out.mcap"
    assert make_bags.camvid(data / "camvid_val", bag) == 101
    config = PipelineConfig(labels="camvid", models=ModelsConfig(semantic="espnet_camvid"))
    report = run_bag(bag, out, config, topic="/camera/image_raw", progress=False)
    assert (report.written, dict(report.refused)) == (101, {})
    session = onnxruntime.InferenceSession(
        data / "weights/espnet_p2q8_camvid_360x480.onnx", providers=["CPUExecutionProvider"]
    )
    ours, theirs = np.zeros((12, 12), np.int64), np.zeros((12, 12), np.int64)
    same = total = 0
    with Bag(bag) as source, Bag(out) as result:
        frames = source.messages(["/camera/image_raw"])
        truths = source.messages(["/truth/semantic"])
        masks = result.messages(["/camera/semantic/image_raw"])
        for frame, truth, mask in zip(frames, truths, masks, strict=True):
            image, true, found = (typestore().deserialize_cdr(m.cdr, records.Image.TYPE) for m in (frame, truth, mask))
            shown = image.data.reshape(image.height, image.width, 3)
            logits = session.run(None, {"image_rgb_0_255": shown.transpose(2, 0, 1)[None].astype(np.float32)})[0]
            direct = logits[0].argmax(0).astype(np.uint8)
            labels, expected = np.minimum(pixels(found), 11), pixels(true)
            same += int((labels == direct).sum())
            total += direct.size
            known = expected != 255
            for counts, answer in ((ours, labels), (theirs, direct)):
                pairs = 12 * expected[known].astype(np.int64) + answer[known]
                counts += np.bincount(pairs, minlength=144).reshape(12, 12)
    scores = [100 * mean_iou(counts) for counts in (ours, theirs)]
    print(f"mIoU {scores[0]:.3f}, directly {scores[1]:.3f}, equal labels {100 * same / total:.4f} %")
    assert abs(scores[0] - scores[1]) <= 0.2
    assert abs(scores[0] - 68.65) <= 0.2
    assert same / total >= 0.9999


@pytest.mark.usefixtures("_weights")
def test_kitti_with_instances_repeats_to_the_byte(data: Path, tmp_path: Path, make_bags: Any) -> None:
    folder = tmp_path / "kitti"
    (folder / "image_02").mkdir(parents=True)
    (folder / "velodyne").symlink_to(data / "kitti_seq" / "velodyne")
    (folder / "calib.txt").symlink_to(data / "kitti_seq" / "calib.txt")
    for picture_file in sorted((data / "kitti_seq" / "image_02").iterdir())[:4]:
        (folder / "image_02" / picture_file.name).symlink_to(picture_file)
    bag = tmp_path / "kitti.mcap"
    assert make_bags.kitti(folder, bag, points=True) == 4
    config = PipelineConfig(
        labels="navigation", models=ModelsConfig(semantic="espnet_cityscapes", instance="yolov8n_seg", threads=1)
    )
    for name in ("a", "b"):
        run_bag(bag, tmp_path / f"{name}.mcap", config, outputs=["*"], progress=False)
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    found = contents(tmp_path / "a.mcap")
    assert found["/image_02/detections"][-1].detections
    for i in range(4):
        frame = {t.removeprefix("/image_02/"): m[i] for t, m in found.items() if not t.endswith("label_info")}
        # A detection's own header is of the frame in which it was last seen; the array's is this frame's.
        assert violations(frame, len(LabelSpace.load("navigation")), make_bags.KITTI_FRAME) == []
    info = found["/image_02/semantic/camera_info"][0]
    assert np.allclose(info.p[[3, 7, 11]], [44.85728, 0.2163791, 0.002745884])


def test_a_lidar_point_lands_where_kitti_says(data: Path, tmp_path: Path, make_bags: Any) -> None:
    """tf_static and CameraInfo of our bag together project as P2 R0_rect Tr_velo_to_cam does."""
    from scipy.spatial.transform import Rotation

    bag = tmp_path / "kitti.mcap"
    make_bags.kitti(data / "kitti_seq", bag, points=True)
    numbers = {
        line.split(":")[0]: np.array(line.split(":")[1].split(), float)
        for line in (data / "kitti_seq" / "calib.txt").read_text().splitlines()
        if ":" in line
    }
    found = contents(bag)
    (transform,) = found["/tf_static"][0].transforms
    rotation, shift = transform.transform.rotation, transform.transform.translation
    assert (transform.header.frame_id, transform.child_frame_id) == (make_bags.KITTI_FRAME, "velodyne")
    cloud = found["/velodyne/points"][0]
    points = cloud.data.view(np.float32).reshape(-1, 4)[:500, :3].astype(float)
    assert np.array_equal(points, np.load(data / "kitti_seq/velodyne/000000.npz")["points"][:500, :3])
    in_camera = Rotation.from_quat([rotation.x, rotation.y, rotation.z, rotation.w]).apply(points)
    in_camera += [shift.x, shift.y, shift.z]
    ours = np.c_[in_camera, np.ones(500)] @ found["/image_02/camera_info"][0].p.reshape(3, 4).T
    tr = numbers["R0_rect"].reshape(3, 3) @ numbers["Tr_velo_to_cam"].reshape(3, 4) @ np.c_[points, np.ones(500)].T
    theirs = np.r_[tr, np.ones((1, 500))].T @ numbers["P2"].reshape(3, 4).T
    ahead = theirs[:, 2] > 1.0
    assert ahead.sum() > 100
    assert np.allclose((ours[:, :2] / ours[:, 2:])[ahead], (theirs[:, :2] / theirs[:, 2:])[ahead], atol=0.01)


@dataclass(frozen=True)
class GreenThing:
    """An instance network of one thing: a box whose place follows the green channel."""

    def describe(self) -> dict[str, str | int]:
        return {"model": "green"}

    def __call__(self, image: UInt8Array, times: StageTimes, regions: Any = None) -> Instances:
        with times.stage("instance/forward"):
            x, y = int(image[0, 0, 1]) % 16, int(image[0, 1, 1]) % 8
        if image[0, 2, 1] > 230:
            raise RuntimeError("too green")
        mask = Mask(x, y, np.ones((12, 12), np.bool_))
        box = np.array([[x, y, x + 12, y + 12]], np.float32)
        return Instances(box, np.array([0.9], np.float32), np.array([SPACE.id("car")], np.uint8), (mask,))


@pytest.mark.parametrize("latency", [(0.0,), (0.25,), (0.08, 0.31, 0.17)])
def test_runs_with_a_slow_instance_network_write_the_same_bytes_on_every_machine(
    tmp_path: Path, latency: tuple[float, ...]
) -> None:
    bag = make(tmp_path / "in.mcap", [picture(i) for i in range(30)])
    cascade = CascadeConfig(instance_latency=latency)
    config = replace(CONFIG, cascade=cascade)
    slow = iter(np.random.default_rng(0).uniform(0, 0.02, 100).tolist())

    class Slow(GreenThing):
        def __call__(self, image: UInt8Array, times: StageTimes, regions: Any = None) -> Instances:
            time.sleep(next(slow))  # what the machine does must not matter
            return super().__call__(image, times, regions)

    for name, network in (("a", GreenThing()), ("b", Slow())):
        run_bag(
            bag, tmp_path / f"{name}.mcap", config, load=lambda c, s, n=network: Networks(Brightness(), n),
            say=lambda sentence: None, progress=False,
        )  # fmt: skip
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    content = json.loads((tmp_path / "b.json").read_text())
    assert content["config"]["cascade"]["instance_latency"] == list(latency)
    assert content["looks"]["used"] > 0
    assert content["instance_age_ms"]["p50"] == pytest.approx(0.0 if max(latency) == 0 else 300.0, abs=150)


def test_an_instance_network_that_fails_is_said_once_and_counted(tmp_path: Path) -> None:
    frames = [picture(i) for i in range(30)]
    bad = sum(int(f.data.reshape(HEIGHT, WIDTH, 3)[0, 2, 1]) > 230 for f in frames)
    bag = make(tmp_path / "in.mcap", frames)
    said: list[str] = []
    report = run_bag(
        bag, tmp_path / "out.mcap", CONFIG, load=lambda c, s: Networks(Brightness(), GreenThing()),  # type: ignore[arg-type]
        say=said.append, progress=False,
    )  # fmt: skip
    assert bad > 1
    assert (report.written, report.looks["failed"], report.looks["used"]) == (30, bad, 30 - bad)
    assert said == ["the instance network failed with RuntimeError: too green"]


def test_transforms_that_are_damaged_are_said_and_cost_only_themselves(tmp_path: Path) -> None:
    source, cloud = tmp_path / "in.mcap", records.PointCloud2.TYPE
    with BagWriter(source) as bag:
        for topic, kind in ((TOPIC, records.Image.TYPE), ("/tf", "tf2_msgs/msg/TFMessage"), ("/points", cloud)):
            bag.add_topic(topic, kind, [qos()])
        bag.write("/tf", b"\x00\x01\x00\x00\x07\x00\x00\x00\x01", 2 * 10**18)
        bag.write(TOPIC, serialised(records.Image.TYPE, picture(0)), 2 * 10**18)
    report, said = run(source, tmp_path / "out.mcap", points="/points")
    assert report.written == 1
    assert any("/tf: a message is damaged" in sentence for sentence in said)


def test_trouble_of_every_frame_is_said_once_and_counted(tmp_path: Path) -> None:
    bag = make(tmp_path / "in.mcap", [picture(i) for i in range(4)], calibration(5))
    report, said = run(bag, tmp_path / "out.mcap", replace(CONFIG, projection=ProjectionConfig(source="flat")))
    assert (report.written, report.projection["tf_missing"]) == (4, 4)
    assert len(said) == 1
    assert "no transform names the frame" in said[0]


def test_without_depth_masks_are_laid_onto_flat_ground_where_the_configuration_says_so(tmp_path: Path) -> None:
    bag = make(tmp_path / "in.mcap", [picture(i) for i in range(3)], calibration(5))
    flat = ProjectionConfig(source="flat", flat=FlatConfig(height=1.0, pitch=0.2))
    report, said = run(bag, tmp_path / "out.mcap", replace(CONFIG, projection=flat))
    assert (report.written, report.projection, said) == (3, {"flat": 3}, [])
    found = contents(tmp_path / "out.mcap")
    for number, (cloud, grid) in enumerate(zip(found["/front/semantic/points"], found["/front/costmap"], strict=True)):
        assert (cloud.height, cloud.width, cloud.header.frame_id) == (HEIGHT, WIDTH, "front_optical")
        assert cloud.header == found["/front/panoptic/image_raw"][number].header
        assert grid.header.frame_id == "base_footprint"
        assert np.any(np.asarray(grid.data) >= 0)

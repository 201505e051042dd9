"""What networks cost and how good they are: a row for every runtime, the library's own way among them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from seg_perception.cli import main
from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, load_semantic
from seg_perception.models.bench import scenes
from seg_perception.timing import StageTimes
from seg_perception.types import PanopticMap

pytest.importorskip("onnx")

LRASPP: dict[str, Any] = {
    "name": "made",
    "task": "semantic",
    "decoder": "dense_logits",
    "runtime": "torch",
    "network": {"library": "torchvision", "name": "lraspp_mobilenet_v3_large", "pretrained": "random"},
    "input": {"name": "images", "size": [64, 96], "resize": "stretch", "scale": 0.02, "mean": [2.5, 2.5, 2.5]},
    "labels": "voc",
}


def picture(height: int = 75, width: int = 110) -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_a_row_for_every_runtime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    images, truths = tmp_path / "images", tmp_path / "truths"
    images.mkdir()
    truths.mkdir()
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(LRASPP))
    said = load_semantic(path, LabelSpace.load("voc"))(picture(), StageTimes()).labels
    for number in range(2):
        cv2.imwrite(str(images / f"{number}.png"), picture()[..., ::-1])
        cv2.imwrite(str(truths / f"{number}.png"), said)
    words = ["models", "bench", str(path), "--frames", "2", "--threads", "1", "--markdown", "--images", str(images)]
    assert main([*words, "--truth", str(truths), "--labels", "voc", "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert {row["runtime"] for row in rows} >= {"eager", "torch", "onnxruntime"}
    for row in rows:
        assert row["precision"] == "f32"
        assert row["miou"] >= 0.99
        assert row["agrees"] is None or row["agrees"] >= 0.999
        assert row["to_eager"] > 0
        assert 0 < row["forward_p50"] <= row["frame_p50"] <= row["frame_p95"]
        assert row["peak"] > 10
        assert f"| made  | {row['runtime']}" in printed
    assert main([*words, "--truth", str(truths)]) == 2
    assert "expected --images and --labels too" in capsys.readouterr().err
    assert main([*words, "--truth", str(truths / "0.png"), "--labels", "voc"]) == 2
    assert "none of its 1 files is called 1.png, as 1 of 2 images need" in capsys.readouterr().err


def test_eager_is_for_a_semantic_network_of_a_library(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    from seg_perception.models.bench.eager import EagerNetwork

    voc, path = LabelSpace.load("voc"), tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump({**LRASPP, "void": ["background"]}))
    said = EagerNetwork(path, voc, Execution(threads=1))(picture(), StageTimes()).labels
    ours = load_semantic(path, voc, Execution(threads=1))(picture(), StageTimes()).labels
    assert (said == ours).mean() >= 0.999
    with pytest.raises(ConfigError, match="eager computes in f32"):
        EagerNetwork(path, voc, Execution(precision="bf16"))
    path.write_text(yaml.safe_dump({**LRASPP, "input": {**LRASPP["input"], "resize": "letterbox"}}))
    with pytest.raises(ConfigError, match="'made': eager is for a semantic network that a library builds"):
        EagerNetwork(path, voc, Execution())


NAVIGATION = LabelSpace.load("navigation")


def panoptic_map(person: int, road: int) -> PanopticMap:
    """Two people on a road, below an unknown sky."""
    ids = np.full((40, 60), 255, np.int32)
    ids[20:] = road
    ids[15:35, 5:15] = 1 << 16 | person
    ids[15:35, 30:40] = 2 << 16 | person
    return PanopticMap((ids & 0xFFFF).astype(np.uint8), np.zeros(ids.shape, np.uint8), ids)


def as_coco(folder: Path, named: dict[str, PanopticMap], space: LabelSpace, crowd: Sequence[int] = ()) -> Path:
    """Panoptic maps as a truth in COCO's format; its ids are others, as are those of its categories."""
    (folder / "truth").mkdir(exist_ok=True)
    entries = []
    for name, one in named.items():
        numbers = [n for n in np.unique(one.panoptic).tolist() if n & 0xFFFF != 255]
        ids = {number: 1000 * k + 77 for k, number in enumerate(numbers)}
        colours = np.vectorize(lambda n, ids=ids: ids.get(n, 0))(one.panoptic)
        planes = [colours >> 16, colours >> 8 & 255, colours & 255]  # BGR, as OpenCV writes it
        cv2.imwrite(str(folder / "truth" / f"{name}.png"), np.stack(planes, -1).astype(np.uint8))
        infos = [{"id": i, "category_id": (n & 0xFFFF) + 500, "iscrowd": int(n in crowd)} for n, i in ids.items()]
        entries.append({"file_name": f"{name}.png", "segments_info": infos})
    categories = [{"id": c.id + 500, "name": c.name} for c in space.classes]
    (folder / "truth.json").write_text(json.dumps({"annotations": entries, "categories": categories}))
    return folder / "truth.json"


def test_panoptic_quality_against_a_truth_in_cocos_format(tmp_path: Path) -> None:
    person, road = NAVIGATION.id("person"), NAVIGATION.id("road")
    true = panoptic_map(person, road)
    path = as_coco(tmp_path, {"a": true}, NAVIGATION)
    truth = scenes.Truth(NAVIGATION, panoptic=scenes.panoptic(path, [Path("x/a.jpg")], NAVIGATION))
    assert truth.pq([true], things=False) == pytest.approx(1)
    ids = true.panoptic.copy()
    ids[ids == (2 << 16 | person)] = road
    one_missed = PanopticMap((ids & 0xFFFF).astype(np.uint8), true.confidence, ids)
    assert truth.pq([one_missed], things=True) == pytest.approx(1 / 1.5)
    assert truth.pq([one_missed], things=False) == pytest.approx((1 / 1.5 + 900 / 1100) / 2)
    crowd = as_coco(tmp_path, {"a": true}, NAVIGATION, crowd=[2 << 16 | person])
    truth = scenes.Truth(NAVIGATION, panoptic=scenes.panoptic(crowd, [Path("a.jpg")], NAVIGATION))
    assert truth.pq([one_missed], things=True) == pytest.approx(1)


def test_a_panoptic_truth_that_cannot_be_used(tmp_path: Path) -> None:
    path = as_coco(tmp_path, {"a": panoptic_map(NAVIGATION.id("person"), NAVIGATION.id("road"))}, NAVIGATION)
    with pytest.raises(ConfigError, match=r"says nothing of b.png, one of 2 images"):
        scenes.panoptic(path, [Path("a.png"), Path("b.png")], NAVIGATION)
    with pytest.raises(ConfigError, match="is no class of the label space 'voc'"):
        scenes.panoptic(path, [Path("a.png")], LabelSpace.load("voc"))
    (tmp_path / "truth" / "a.png").unlink()
    with pytest.raises(ConfigError, match=r"truth/a.png cannot be read"):
        scenes.panoptic(path, [Path("a.png")], NAVIGATION)
    path.write_text("[]")
    with pytest.raises(ConfigError, match="is not a panoptic truth in COCO's format"):
        scenes.panoptic(path, [Path("a.png")], NAVIGATION)


def test_things_are_judged_by_a_panoptic_truth_too(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("SEG_PERCEPTION_WEIGHTS", str(data / "weights"))
    folder, out = data / "coco_panoptic", tmp_path / "out.json"
    words = ["models", "bench", "yolov8n_seg", "--runtimes", "openvino", "--frames", "1", "--json", str(out)]
    words += ["--panoptic", str(folder / "panoptic_examples.json")]
    assert main(words) == 2
    assert "--panoptic: of what, in which label space?" in capsys.readouterr().err
    assert main([*words, "--images", str(folder / "input_images"), "--labels", "coco_panoptic"]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert 0 < row["pq"] < 1
    assert row["miou"] is None

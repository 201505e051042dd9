"""Mining: each reason on arrays, the choice among frames, COCO's formats, and the whole on bags with real networks."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seg_perception import cli, records
from seg_perception.errors import ConfigError
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.mining import coco, scores
from seg_perception.mining.commands import Wish
from seg_perception.mining.selection import Candidates, audit, select
from seg_perception.offline.bags import Bag
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.types import BoolArray, Instances, Mask

SPACE = LabelSpace.load("navigation")
ROAD, PERSON, VEHICLE = (SPACE.id(name) for name in ("road", "person", "vehicle"))
SIZE = (40, 60)


def thing(box: tuple[int, int, int, int], label: int = PERSON, score: float = 0.9) -> tuple[Any, ...]:
    x0, y0, x1, y1 = box
    return box, score, label, Mask(x0, y0, np.ones((y1 - y0, x1 - x0), np.bool_))


def found(*things: tuple[Any, ...]) -> Instances:
    if not things:
        return Instances.empty()
    boxes, values, labels, masks = zip(*things, strict=True)
    return Instances(np.array(boxes, np.float32), np.array(values, np.float32), np.array(labels, np.uint8), masks)


def semantic(*boxes: tuple[int, int, int, int], label: int = PERSON) -> np.ndarray[Any, np.dtype[np.uint8]]:
    labels = np.full(SIZE, ROAD, np.uint8)
    for x0, y0, x1, y1 in boxes:
        labels[y0:y1, x0:x1] = label
    return labels


# The reasons


def test_networks_that_agree_and_that_do_not() -> None:
    box = (10, 10, 30, 30)
    assert scores.disagreement(semantic(box), found(thing(box)), SPACE.things) == 0
    assert scores.disagreement(semantic(), found(thing(box)), SPACE.things) == 1
    assert scores.disagreement(semantic(box), found(), SPACE.things) == 1
    assert scores.disagreement(semantic(box), found(thing(box, VEHICLE)), SPACE.things) == 1
    assert scores.disagreement(semantic(box), found(thing((10, 10, 30, 20))), SPACE.things) == 0.5
    assert scores.disagreement(semantic(), found(thing(box, score=0.2)), SPACE.things) == 0
    # The better one is on top, and a quarrel about four pixels is not the whole picture's.
    pair = found(thing(box, VEHICLE, 0.6), thing(box, PERSON, 0.8))
    assert scores.disagreement(semantic(box), pair, SPACE.things) == 0
    assert scores.disagreement(semantic(), found(thing((0, 0, 2, 2))), SPACE.things) == pytest.approx(4 / 24)
    assert scores.disagreement(semantic(), found(), SPACE.things) == 0


def test_doubt_is_the_part_below_half() -> None:
    confidence = np.array([[0, 127, 128, 255]], np.uint8)
    assert scores.doubt(confidence) == 0.5


def test_flicker_counts_what_stood_still() -> None:
    before, after = semantic(), semantic((0, 0, 30, 40))
    grey = np.full(SIZE, 90, np.uint8)
    assert scores.flicker(after, before, grey, grey) == 0.5
    moved = grey.copy()
    moved[:, :15] = 200
    assert scores.flicker(after, before, moved, grey) == 0.25
    assert scores.flicker(before, before, grey, grey) == 0


def test_small_and_hidden_things_are_counted() -> None:
    small, large = thing((0, 0, 10, 10)), thing((10, 0, 50, 40))
    assert scores.small(found(small, large)) == 1
    assert scores.small(found(thing((0, 0, 10, 10), score=0.1))) == 0
    hidden = np.zeros((20, 20), np.bool_)
    hidden[:, :10] = True  # its right half is behind another
    behind = ((0, 0, 20, 20), 0.9, PERSON, Mask(0, 0, hidden))
    assert scores.occluded(found(behind, thing((10, 0, 30, 20)))) == 1
    assert scores.occluded(found(thing((0, 0, 10, 10)), thing((20, 0, 30, 10)))) == 0
    assert scores.occluded(found()) == 0


def test_a_class_that_half_the_frames_have_is_one_bit() -> None:
    pixels = np.array([[500, 0], [500, 200], [500, 99], [500, 300]])
    assert scores.surprise(pixels).tolist() == [[0, 0], [0, 1], [0, 0], [0, 1]]


def test_alike_pictures_have_alike_hashes() -> None:
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    other = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)
    hashes = np.array([scores.appearance(p) for p in (picture, noisy, other)], np.uint64)
    bits = scores.differing_bits(hashes, int(hashes[0]))
    assert bits[0] == 0
    assert bits[1] <= 4
    assert bits[2] >= 12


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_bits_that_differ_are_counted(values: list[int]) -> None:
    counted = scores.differing_bits(np.array(values, np.uint64), values[0]).tolist()
    assert counted == [(value ^ values[0]).bit_count() for value in values]


# The choice


def candidates(reasons: dict[str, list[float]], bag: list[int] | None = None, looks: int = 64) -> Candidates:
    """Frames half a second apart; ``looks`` many of them look like no other."""
    count = len(next(iter(reasons.values())))
    hashes = np.random.default_rng(1).integers(0, 2**63, count).astype(np.uint64)
    hashes[looks:] = hashes[0]
    values = {name: np.array(scored, float) for name, scored in reasons.items()}
    return Candidates(np.array(bag or [0] * count), np.arange(count) * 500_000_000, hashes, values)


def test_reasons_take_turns_and_say_how_special_a_frame_is() -> None:
    frames = candidates({"a": [0.1, 0.2, 0.3, 0.4], "b": [4, 1, 0, 9]})
    chosen = select(frames, 3, gap=0, alike=0)
    assert [(c.frame, c.reason, c.score, c.above) for c in chosen] == [
        (3, "a", 0.4, 0.75),
        (0, "b", 4.0, 0.5),
        (2, "a", 0.3, 0.5),
    ]
    assert len(select(frames, 9, gap=0, alike=0)) == 4
    assert select(frames, 0, gap=0, alike=0) == []


def test_nothing_is_taken_for_a_score_of_zero() -> None:
    assert select(candidates({"a": [0, 0, 0]}), 3, gap=0, alike=0) == []


def test_near_duplicates_are_passed_over() -> None:
    values = {"a": [9.0, 8, 7, 6, 5, 4]}
    assert [c.frame for c in select(candidates(values), 6, gap=1.0, alike=0)] == [0, 2, 4]
    other_bag = candidates(values, bag=[0, 1, 0, 1, 0, 1])
    assert [c.frame for c in select(other_bag, 6, gap=1.0, alike=0)] == [0, 1, 2, 3, 4, 5]
    assert [c.frame for c in select(candidates(values, looks=4), 6, gap=0, alike=3)] == [0, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 20), st.floats(0, 3), st.integers(0, 30), st.integers(0, 9))
def test_no_two_chosen_frames_are_alike(count: int, wanted: int, gap: float, alike: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = Candidates(
        rng.integers(0, 2, count),
        np.arange(count) * 400_000_000,
        rng.integers(0, 2**40, count).astype(np.uint64),
        {name: rng.random(count) for name in "abc"},
    )
    chosen = [c.frame for c in select(frames, wanted, gap, alike)]
    assert len(chosen) <= wanted
    for i in chosen:
        for j in chosen:
            if i != j:
                assert scores.differing_bits(frames.hashes[[i]], int(frames.hashes[j]))[0] > alike
                apart = abs(int(frames.stamps[i] - frames.stamps[j])) / 1e9
                assert frames.bag[i] != frames.bag[j] or apart >= gap


def test_lots_depend_on_nothing_but_seed_and_frame() -> None:
    keys = [f"frame {i}" for i in range(200)]
    drawn = audit(keys, 0.05, seed=1)
    assert len(drawn) == 10
    assert {keys[i] for i in drawn} == {keys[199 - i] for i in audit(keys[::-1], 0.05, seed=1)}
    more = {i for i in audit([*keys, *(f"new {i}" for i in range(200))], 0.05, seed=1) if i < 200}
    assert len(more) == 20 - len([i for i in audit([*keys, *(f"new {i}" for i in range(200))], 0.05, 1) if i >= 200])
    assert more <= set(audit(keys, 0.5, seed=1))
    assert audit(keys, 0.05, seed=2) != drawn
    assert audit(keys, 0, seed=1) == []
    assert len(audit(keys, 0.001, seed=1)) == 1
    assert audit([], 0.5, seed=1) == []


def test_a_wish_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"count": -1}, {"audit": 1.5}, {"gap": -1.0}, {"gap": float("nan")}, {"alike": 65}):
        with pytest.raises(ConfigError, match="expected count >= 0"):
            Wish(**wrong)  # type: ignore[arg-type]


# COCO


def masks() -> st.SearchStrategy[BoolArray]:
    shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))
    return shapes.flatmap(lambda shape: arrays(np.bool_, shape)).filter(lambda mask: bool(mask.any()))


@settings(max_examples=150, deadline=None)
@given(masks())
def test_polygons_are_the_mask_to_the_pixel(mask: BoolArray) -> None:
    """As pycocotools fills them: with holes, specks and parts that touch at corners."""
    rle = pytest.importorskip("pycocotools.mask")
    height, width = mask.shape
    filled = rle.decode(rle.merge(rle.frPyObjects(coco.polygons(mask, 0, speck=1), height, width)))
    assert np.array_equal(filled > 0, mask)


def test_simplified_polygons_are_near_and_short() -> None:
    rle = pytest.importorskip("pycocotools.mask")
    mask = np.zeros((120, 160), np.uint8)
    cv2.ellipse(mask, (80, 60), (50, 30), 20, 0, 360, 1, cv2.FILLED)
    cv2.circle(mask, (80, 60), 8, 0, cv2.FILLED)
    mask[5:7, 5:7] = 1  # a speck
    polygons = coco.polygons(mask > 0)
    filled = rle.decode(rle.merge(rle.frPyObjects(polygons, 120, 160)))
    assert np.count_nonzero(filled & mask) / np.count_nonzero(filled | mask) > 0.95
    assert filled[5, 5] == 0
    assert sum(len(polygon) for polygon in polygons) < 150
    assert coco.polygons(mask[:10, :10] > 0) == [[5.0, 5.0, 5.0, 7.0, 7.0, 7.0, 7.0, 5.0]]


def test_segments_are_numbered_by_image_and_say_what_the_picture_shows() -> None:
    panoptic = np.full(SIZE, ROAD, np.int32)
    panoptic[:5] = 255
    panoptic[10:20, 10:20] = 40 << 16 | PERSON
    panoptic[10:20, 30:40] = 7 << 16 | VEHICLE
    panoptic[30:32, 30:40] = VEHICLE
    picture, infos = coco.segments(panoptic, SPACE)
    ids = picture.astype(int) @ (1, 256, 65536)
    assert {info["id"]: info["area"] for info in infos} == {
        number: np.count_nonzero(ids == number) for number in np.unique(ids).tolist() if number
    }
    assert np.array_equal(ids == 0, panoptic == 255)
    person, vehicle = (next(i for i in infos if i["bbox"] == [x, 10, 10, 10]) for x in (10, 30))
    assert (person["category_id"], vehicle["category_id"]) == (PERSON + 1, VEHICLE + 1)
    assert [(i["category_id"], i["area"]) for i in infos if i["iscrowd"]] == [(VEHICLE + 1, 20)]
    things = list(coco.instances(panoptic, SPACE))
    assert [(t["category_id"], t["track_id"], t["iscrowd"]) for t in things] == [
        (VEHICLE + 1, 0, 1),
        (VEHICLE + 1, 7, 0),
        (PERSON + 1, 40, 0),
    ]
    assert {c["id"]: c["name"] for c in coco.categories(SPACE)}[PERSON + 1] == "person"


def test_more_segments_than_a_byte_counts() -> None:
    panoptic = (np.arange(600, dtype=np.int32) + 1).reshape(20, 30).repeat(2, 0).repeat(2, 1) << 16 | PERSON
    picture, infos = coco.segments(panoptic, SPACE)
    assert len(infos) == 600
    assert sorted(np.unique(picture.astype(int) @ (1, 256, 65536)).tolist()) == list(range(1, 601))


# The whole


def make(path: Path, seed: int, frames: int = 4) -> Path:
    """JPEG images of coloured rectangles that move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with BagWriter(path) as bag:
        bag.add_topic("/cam/image_raw/compressed", records.CompressedImage.TYPE, [qos()])
        for number in range(frames):
            shown = np.full((90, 160, 3), 60 + seed, np.uint8)
            shown[40:80, 10 * number + 20 : 10 * number + 50] = (200, 30, 60)
            data = cv2.imencode(".jpg", shown)[1].reshape(-1)
            stamp = 10**18 + number * 10**9
            image = records.CompressedImage(records.Header.of(stamp, "cam"), "jpeg", data)
            bag.write("/cam/image_raw/compressed", serialised(image.TYPE, image), stamp)
    return path


def mine(bags: Path, out: Path, *options: str) -> int:
    models = ["models.semantic=world_semantic", "models.instance=world_instance"]
    return cli.main(["mine", str(bags), "-o", str(out), "--threads", "1", *options, "--set", *models])


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags")
    for seed in range(2):
        make(folder / f"drive_{'ab'[seed]}.mcap", 40 * seed)
    return folder


def test_a_data_set_says_why_and_can_be_made_again(
    bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mine(bags, tmp_path / "one", "--count", "4", "--audit", "20", "--alike", "0") == 0
    assert "2 audit" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "one/frames.csv").open()))
    listed = json.loads((tmp_path / "one/frames.json").read_text())
    assert [row["image"] for row in rows] == [frame["image"] for frame in listed]
    assert 4 <= len(rows) <= 6
    assert sum("audit" in row["reasons"] for row in rows) == 2
    assert all(row["why"] for row in rows)
    manifest = json.loads((tmp_path / "one/manifest.json").read_text())
    assert set(manifest["bags"]) == {"drive_a", "drive_b"}
    assert manifest["labels"]["version"] == SPACE.version
    assert set(manifest["weights"]) == {"world_semantic", "world_instance"}
    for name, content in manifest["files"].items():
        assert hashlib.sha256((tmp_path / "one" / name).read_bytes()).hexdigest() == content
    instances = json.loads((tmp_path / "one/annotations/instances_default.json").read_text())
    panoptic = json.loads((tmp_path / "one/annotations/panoptic_default.json").read_text())
    assert instances["images"] == panoptic["images"]
    for image, annotation in zip(panoptic["images"], panoptic["annotations"], strict=True):
        assert annotation["image_id"] == image["id"]
        shown = cv2.imread(str(tmp_path / "one/images/default" / image["file_name"]))
        painted = cv2.imread(str(tmp_path / "one/annotations/panoptic_default" / annotation["file_name"]))
        assert shown.shape == painted.shape == (image["height"], image["width"], 3)
        ids = painted[..., ::-1].astype(int) @ (1, 256, 65536)
        assert {i["id"]: i["area"] for i in annotation["segments_info"]} == {
            int(n): int(np.count_nonzero(ids == n)) for n in np.unique(ids) if n
        }
    # Once more from the bags, and once more from what is left of the first time.
    assert mine(bags, tmp_path / "two", "--count", "4", "--audit", "20", "--alike", "0") == 0
    shutil.copytree(tmp_path / "one", tmp_path / "three")
    assert mine(bags, tmp_path / "three", "--count", "4", "--audit", "20", "--alike", "0") == 0
    for again in ("two", "three"):
        assert (tmp_path / again / "manifest.json").read_bytes() == (tmp_path / "one/manifest.json").read_bytes()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_workers_make_the_same_data_set(bags: Path, tmp_path: Path) -> None:
    options = ["--count", "4", "--audit", "20"]
    assert mine(bags, tmp_path / "serial", *options) == 0
    assert mine(bags, tmp_path / "ray", *options, "--workers", "2") == 0
    # It holds the hashes of all other files.
    assert (tmp_path / "ray/manifest.json").read_bytes() == (tmp_path / "serial/manifest.json").read_bytes()


def test_pycocotools_reads_the_pre_labels(bags: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip("pycocotools.coco")
    mine(bags, tmp_path, "--count", "0", "--audit", "100")
    read = reader.COCO(str(tmp_path / "annotations/instances_default.json"))
    assert len(read.getImgIds()) == 8
    for annotation in read.loadAnns(read.getAnnIds()):
        assert read.annToMask(annotation).any()


def test_a_bad_bag_is_said_and_left_out(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bags").mkdir()
    shutil.copy(bags / "drive_a.mcap", tmp_path / "bags/good.mcap")
    (tmp_path / "bags/bad.mcap").write_bytes(b"nothing")
    assert mine(tmp_path / "bags", tmp_path / "out", "--count", "2", "--audit", "0") == 1
    assert "bad: failed" in capsys.readouterr().out
    assert set(json.loads((tmp_path / "out/manifest.json").read_text())["bags"]) == {"good"}
    (tmp_path / "bags/good.mcap").unlink()
    assert mine(tmp_path / "bags", tmp_path / "none") == cli.REFUSED
    assert "none of 1 bags could be read" in capsys.readouterr().err


def test_frames_of_one_log_time_are_told_apart_by_their_stamps(bags: Path, tmp_path: Path) -> None:
    (tmp_path / "bags").mkdir()
    with BagWriter(tmp_path / "bags/flat.mcap") as copy, Bag(bags / "drive_a.mcap") as bag:
        topic = bag.image_topic()
        copy.add_topic(topic.name, topic.type, [qos()])
        for message in bag.messages([topic.name]):
            copy.write(topic.name, message.cdr, 10**18)
    assert mine(tmp_path / "bags", tmp_path / "out", "--count", "0", "--audit", "100") == 0
    frames = json.loads((tmp_path / "out/frames.json").read_text())
    assert [frame["stamp"] for frame in frames] == [10**18 + number * 10**9 for number in range(4)]
    pictures = [(tmp_path / "out/images/default" / frame["image"]).read_bytes() for frame in frames]
    assert len(set(pictures)) == 4


def test_frames_that_nothing_tells_apart_are_refused(
    bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with BagWriter(tmp_path / "twice.mcap") as copy, Bag(bags / "drive_a.mcap") as bag:
        topic = bag.image_topic()
        copy.add_topic(topic.name, topic.type, [qos()])
        for message in bag.messages([topic.name]):
            for _ in range(2):
                copy.write(topic.name, message.cdr, message.log_time)
    assert mine(tmp_path / "twice.mcap", tmp_path / "out") == cli.REFUSED
    assert "4 of its 8 frames have both the log time and the stamp of another" in capsys.readouterr().out


def test_folders_of_others_are_not_replaced(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine/images").mkdir(parents=True)
    (tmp_path / "mine/images/holiday.jpg").write_bytes(b"dear")
    assert mine(bags, tmp_path / "mine") == cli.REFUSED
    assert "has a folder 'images' that `mine` did not write" in capsys.readouterr().err
    assert (tmp_path / "mine/images/holiday.jpg").is_file()
    assert mine(bags, bags / "out") == cli.REFUSED
    assert "a later start would take its results for bags" in capsys.readouterr().err
    assert not (bags / "out").exists()

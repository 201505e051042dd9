"""Labelled frames from bags and folders: each format read as its definition says, and every misfit said."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags need rosbags")
pytest.importorskip("mcap", reason="bags need mcap")

from seg_perception import records
from seg_perception.errors import BagError, InputError
from seg_perception.evaluation.evaluating import find_pictures
from seg_perception.evaluation.panoptic import panoptic_quality
from seg_perception.evaluation.segments import Segments, overlap
from seg_perception.evaluation.sources import Labelled
from seg_perception.evaluation.sources.bags import BagDepth, BagPictures, BagSource, metres
from seg_perception.evaluation.sources.cityscapes import LABEL_IDS, CityscapesFolder
from seg_perception.evaluation.sources.coco import CocoFolder
from seg_perception.evaluation.sources.folders import PlainFolder, name_of
from seg_perception.evaluation.sources.opening import open_source
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.outputs import label_info

SPACE = LabelSpace.load("navigation")
ROAD, PERSON = SPACE.id("road"), SPACE.id("person")
START = 10**18


def image(stamp: int, encoding: str, pixels: np.ndarray) -> bytes:
    message = records.Image.of(records.Header.of(stamp, "camera"), encoding, pixels)
    return serialised(message.TYPE, message)


def detections(stamp: int, scores: dict[int, float]) -> bytes:
    header = records.Header.of(stamp, "camera")
    box = records.BoundingBox2D(records.Pose2D(records.Point2D(2.0, 2.0)), 4.0, 4.0)
    found = tuple(
        records.Detection2D(
            header, (records.ObjectHypothesisWithPose(records.ObjectHypothesis("person", score)),), box, str(track)
        )
        for track, score in scores.items()
    )
    return serialised(records.Detection2DArray.TYPE, records.Detection2DArray(header, found))


def frame() -> np.ndarray:
    panoptic = np.full((6, 8), ROAD, np.int32)
    panoptic[1:4, 2:5] = 3 << 16 | PERSON
    return panoptic


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Three frames of masks with confidence and detections, the camera's pictures, truth and depth."""
    path = tmp_path / "all.mcap"
    with BagWriter(path) as writer:
        for topic in ("/front/image_raw", "/front/semantic/image_raw", "/front/semantic/confidence",
                      "/front/panoptic/image_raw", "/truth/panoptic", "/front/depth/image_raw"):  # fmt: skip
            writer.add_topic(topic, records.Image.TYPE, [qos()])
        writer.add_topic("/front/detections", records.Detection2DArray.TYPE, [qos()])
        for k in range(3):
            stamp, panoptic = START + k, frame()
            semantic = (panoptic & 0xFF).astype(np.uint8)
            writer.write("/front/image_raw", image(stamp, "rgb8", np.full((6, 8, 3), k, np.uint8)), stamp)
            writer.write("/truth/panoptic", image(stamp, "32SC1", panoptic), stamp)
            writer.write("/front/depth/image_raw", image(stamp, "16UC1", np.full((6, 8), 1500, np.uint16)), stamp)
            writer.write("/front/semantic/confidence", image(stamp, "mono8", np.full((6, 8), 200 + k, np.uint8)), stamp)
            writer.write("/front/detections", detections(stamp, {3: 0.5 + 0.1 * k}), stamp)
            writer.write("/front/semantic/image_raw", image(stamp, "mono8", semantic), stamp)
            writer.write("/front/panoptic/image_raw", image(stamp, "32SC1", panoptic), stamp + 7)
    return path


def read(source: BagSource | PlainFolder | CityscapesFolder | CocoFolder) -> list[Labelled]:
    return list(source.read(set(source.keys)))


def test_a_bag_gives_the_panoptic_masks_with_all_that_belongs_to_them(bag: Path) -> None:
    source = BagSource(bag, truth=False)
    assert source.keys == [START, START + 1, START + 2]
    assert source.topic == "/front/panoptic/image_raw"
    assert (source.facts.video, source.facts.instances) == (True, True)
    last = read(source)[2]
    np.testing.assert_array_equal(last.panoptic, frame())
    assert last.confidence is not None
    assert last.confidence[0, 0] == 202
    assert last.scores == pytest.approx({3: 0.7})
    assert last.received == START + 9
    assert [found.key for found in source.read({START + 1})] == [START + 1]


@pytest.mark.parametrize("recorded", ["navigation", "camvid"])
def test_a_recorded_bag_says_by_its_label_info_which_space_it_is_in(tmp_path: Path, recorded: str) -> None:
    info, mask = label_info(LabelSpace.load(recorded), START, "cam"), image(START, "mono8", np.zeros((6, 8), np.uint8))
    with BagWriter(tmp_path / "recorded.mcap") as writer:
        writer.add_topic("/front/semantic/label_info", info.TYPE, [qos()])
        writer.add_topic("/front/semantic/image_raw", records.Image.TYPE, [qos()])
        writer.write("/front/semantic/label_info", serialised(info.TYPE, info), START)
        writer.write("/front/semantic/image_raw", mask, START)
    found = BagSource(tmp_path / "recorded.mcap", truth=False).labels
    assert found is not None
    assert found.name == recorded
    said = "lists 11 classes, 11 of which the label space 'navigation' has otherwise"
    if recorded == "camvid":
        with pytest.raises(InputError, match=said):
            BagSource(tmp_path / "recorded.mcap", truth=False, labels=SPACE)


def test_truth_pictures_and_depth_of_the_same_bag(bag: Path) -> None:
    truth = BagSource(bag, truth=True)
    assert truth.topic == "/truth/panoptic"
    assert read(truth)[0].scores is None
    pictures = BagPictures.find(bag, truth.keys)
    assert pictures is not None
    assert pictures.topic == "/front/image_raw"
    assert [(key, int(picture[0, 0, 0])) for key, picture in pictures.read({START + 2})] == [(START + 2, 2)]
    assert BagPictures.find(bag, [7]) is None
    depth = BagDepth.find(bag)
    assert depth is not None
    np.testing.assert_allclose(next(depth.read({START}))[1], 1.5)


def test_depth_that_says_nothing_is_nan() -> None:
    np.testing.assert_array_equal(metres(np.array([[0, 65535, 2000]], np.uint16)), [[np.nan, np.nan, 2.0]])
    np.testing.assert_array_equal(metres(np.array([[np.inf, -1.0, 0.5]], np.float32)), [[np.nan, np.nan, 0.5]])


def test_a_topic_by_name_and_none_to_choose(bag: Path, tmp_path: Path) -> None:
    semantic = BagSource(bag, truth=False, topic="/front/semantic/image_raw")
    assert not semantic.facts.instances
    np.testing.assert_array_equal(read(semantic)[0].panoptic, frame() & 0xFFFF)
    with BagWriter(tmp_path / "two.mcap") as writer:
        for camera in ("left", "right"):
            writer.add_topic(f"/{camera}/panoptic/image_raw", records.Image.TYPE, [qos()])
    with pytest.raises(BagError, match=r"has 2 topics of masks, /left/.*; choose one with --prediction-topic"):
        BagSource(tmp_path / "two.mcap", truth=False)
    with pytest.raises(BagError, match=r"holds no masks: none of its 2 topics below /truth ends in"):
        BagSource(tmp_path / "two.mcap", truth=True)


def test_one_stamp_twice_is_taken_once_and_said(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "again.mcap") as writer:
        writer.add_topic("/semantic/image_raw", records.Image.TYPE, [qos()])
        for k, stamp in enumerate((START, START, START + 1)):
            pixels = np.full((2, 2), k, np.uint8)
            writer.write("/semantic/image_raw", image(stamp, "mono8", pixels), stamp)
    source = BagSource(tmp_path / "again.mcap", truth=False)
    assert source.keys == [START, START + 1]
    assert source.facts.notes == (
        "again.mcap: 1 message carries a stamp that /semantic/image_raw had before; the first of each is taken",
    )
    assert [int(found.panoptic[0, 0]) for found in read(source)] == [0, 2]


def test_masks_as_png(tmp_path: Path) -> None:
    png = cv2.imencode(".png", np.arange(6, dtype=np.uint8).reshape(2, 3))[1].reshape(-1)
    message = records.CompressedImage(records.Header.of(START, "camera"), "mono8; png compressed mono8", png)
    with BagWriter(tmp_path / "png.mcap") as writer:
        writer.add_topic("/semantic/image_raw/compressed", message.TYPE, [qos()])
        writer.write("/semantic/image_raw/compressed", serialised(message.TYPE, message), START)
    np.testing.assert_array_equal(
        read(BagSource(tmp_path / "png.mcap", truth=False))[0].panoptic, [[0, 1, 2], [3, 4, 5]]
    )


def write(folder: Path, name: str, pixels: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), pixels)


def test_plain_ids_of_8_and_16_bits(tmp_path: Path) -> None:
    write(tmp_path / "a", "x.png", np.array([[0, 11, 255]], np.uint8))
    (found,) = read(PlainFolder(tmp_path / "a", SPACE, void=[11]))
    assert (found.key, found.panoptic.tolist()) == ("x", [[0, 255, 255]])
    write(tmp_path / "b", "x.png", np.array([[1, 2007, 65535]], np.uint16))
    source = PlainFolder(tmp_path / "b", SPACE)
    assert source.facts.instances
    assert read(source)[0].panoptic.tolist() == [[0 | 1 << 16, 2 | 7 << 16, 255]]


def test_files_named_by_stamps_are_a_video(tmp_path: Path) -> None:
    for stamp in (START + 5, START):
        write(tmp_path, f"{stamp}.png", np.zeros((2, 2), np.uint8))
    source = PlainFolder(tmp_path, SPACE)
    assert (source.keys, source.facts.video) == ([START, START + 5], True)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("frankfurt_000001_058914_gtFine_labelTrainIds.png", "frankfurt_000001_058914"),
        ("frankfurt_000001_058914_leftImg8bit.png", "frankfurt_000001_058914"),
        ("0016E5_07959_L.png", "0016E5_07959"),
        ("000000142238.jpg", "000000142238"),
    ],
)
def test_a_frame_is_named_without_what_says_the_format(file: str, name: str) -> None:
    assert name_of(file) == name


def test_cityscapes_instances_labels_and_train_ids(tmp_path: Path) -> None:
    person, road = LABEL_IDS[11], LABEL_IDS[0]
    write(tmp_path / "i/city", "a_gtFine_instanceIds.png", np.array([[road, person, 1000 * person + 2, 1]], np.uint16))
    write(tmp_path / "l", "a_gtFine_labelIds.png", np.array([[road, person, 1]], np.uint8))
    write(tmp_path / "t", "a_gtFine_labelTrainIds.png", np.array([[0, 11, 255]], np.uint8))
    both = read(CityscapesFolder(tmp_path / "i"))[0]
    assert (both.key, both.panoptic.tolist()) == ("a", [[0, 11, 3 << 16 | 11, 255]])
    for folder in ("l", "t"):
        source = open_source(tmp_path / folder, truth=True)
        assert isinstance(source, CityscapesFolder)
        assert next(iter(source.read({"a"}))).panoptic.tolist() == [[0, 11, 255]]


def test_coco_panoptic_with_a_crowd_and_scores(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 300, 70000]])
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    write(tmp_path / "truth", "1.png", rgb[..., ::-1])
    segments = [
        {"id": 1, "category_id": 1, "iscrowd": 0, "score": 0.5},
        {"id": 300, "category_id": 1, "iscrowd": 1, "score": 0.25},
        {"id": 70000, "category_id": 9, "iscrowd": 0, "score": 1.0},
    ]
    categories = [{"id": 1, "name": "person", "isthing": 1}, {"id": 9, "name": "river", "isthing": 0}]
    content = {"annotations": [{"file_name": "1.png", "segments_info": segments}], "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    source = CocoFolder(tmp_path / "truth.json")
    assert source.labels is not None
    assert source.labels.name == "coco_panoptic"
    person, river = source.labels.id("person"), source.labels.id("river")
    (found,) = read(source)
    void, one, crowd, stuff = found.panoptic[0].tolist()
    assert (void, crowd, stuff) == (255, person, river)
    assert (one & 0xFFFF, found.scores[one >> 16] if found.scores else None) == (person, 0.5)
    content["annotations"] = [{"file_name": "1.png", "segments_info": segments[:2]}]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"shows 1 id that truth.json does not list, such as 70000"):
        read(CocoFolder(tmp_path / "truth.json"))


def test_categories_of_ones_own_make_a_label_space(tmp_path: Path) -> None:
    write(tmp_path / "own", "1.png", np.zeros((2, 2, 3), np.uint8) + np.array([5, 0, 0], np.uint8)[::-1])
    content = {
        "annotations": [{"file_name": "1.png", "segments_info": [{"id": 5, "category_id": 40}]}],
        "categories": [{"id": 40, "name": "forklift", "isthing": 1, "color": [1, 2, 3]}],
    }
    (tmp_path / "own.json").write_text(json.dumps(content))
    source = CocoFolder(tmp_path / "own.json")
    assert [c.name for c in source.labels.classes] == ["forklift"]  # type: ignore[union-attr]
    assert set(np.unique(read(source)[0].panoptic)) == {1 << 16}


def test_the_coco_sample_is_its_own_perfect_prediction(data: Path) -> None:
    source = open_source(data / "coco_panoptic" / "panoptic_examples.json", truth=True)
    frames = list(source.read(set(source.keys)))
    assert [found.key for found in frames] == ["000000142238", "000000439180"]
    described = json.loads((data / "coco_panoptic" / "panoptic_examples.json").read_text())["annotations"]
    things = source.labels.things  # type: ignore[union-attr]
    for found, entry in zip(frames, described, strict=True):
        pair = overlap(found.panoptic, found.panoptic)
        quality = panoptic_quality(
            pair, Segments.truth(pair.truth, things), Segments.predicted(pair.predicted, things), 133
        )
        crowds = sum(s["iscrowd"] for s in entry["segments_info"])
        assert int(quality.tp.sum()) == len(entry["segments_info"]) - crowds
        assert (int(quality.fp.sum()), int(quality.fn.sum())) == (0, 0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, r"is empty: no \*\.png"),
        (lambda folder: (folder / "a.png").write_bytes(b"nothing"), "is no PNG that can be read"),
        (lambda folder: write(folder, "a.png", np.zeros((2, 2, 3), np.uint8)), "expected one channel"),
    ],
)
def test_what_is_no_folder_of_labels_is_said(tmp_path: Path, make: object, said: str) -> None:
    make(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError, match=said):
        read(PlainFolder(tmp_path, SPACE))


def test_a_palette_is_refused(tmp_path: Path) -> None:
    # 1 x 1 pixel, colour type 3: signature, IHDR, PLTE, IDAT, IEND
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 3, 0, 0, 0))
    png += chunk(b"PLTE", b"\0\0\0") + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    with pytest.raises(InputError, match="is a PNG with a palette"):
        read(PlainFolder(tmp_path, SPACE))


def test_bits_that_opencv_would_scale_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.eye(8, dtype=np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])
    with pytest.raises(InputError, match="is a PNG of 1 bits, whose samples OpenCV scales"):
        read(PlainFolder(tmp_path, SPACE))


def test_files_of_two_kinds_are_counted(tmp_path: Path) -> None:
    for name, kind in (("a", np.uint8), ("b", np.uint16), ("c", np.uint16)):
        write(tmp_path, f"{name}.png", np.zeros((2, 2), kind))
    with pytest.raises(InputError, match=r"of several kinds \(1 of 8 bits, 2 of 16 bits\)"):
        PlainFolder(tmp_path, SPACE)


def test_cityscapes_ids_that_are_none_and_frames_without_instances_are_said(tmp_path: Path) -> None:
    for ending, value, limit in (("labelIds", 34, 33), ("labelTrainIds", 19, 18)):
        write(tmp_path / ending, f"a_{ending}.png", np.array([[0, value, 255]], np.uint8))
        with pytest.raises(InputError, match=rf"has 1 id such as {value}, expected 0\.\.{limit} and 255"):
            read(CityscapesFolder(tmp_path / ending))
    write(tmp_path / "i", "a_gtFine_instanceIds.png", np.array([[7]], np.uint16))
    for name in "abc":
        write(tmp_path / "i", f"{name}_gtFine_labelIds.png", np.array([[7]], np.uint8))
    (note,) = CityscapesFolder(tmp_path / "i").facts.notes
    assert note == "i: 2 frames have no *_instanceIds.png, of 3, and are left out (the first is b)"


def test_coco_files_that_contradict_themselves_are_said(tmp_path: Path) -> None:
    write(tmp_path / "a", "1.png", np.array([[[0, 0, 1]]], np.uint8))
    person = {"category_id": 1, "iscrowd": 0}

    def source(*segments: dict[str, object], times: int = 1) -> CocoFolder:
        annotations = [{"file_name": "1.png", "segments_info": segments}] * times
        content = {"annotations": annotations, "categories": [{"id": 1, "name": "person", "isthing": 1}]}
        (tmp_path / "a.json").write_text(json.dumps(content))
        return CocoFolder(tmp_path / "a.json")

    with pytest.raises(InputError, match="lists 2 annotations of only 1 frame;"):
        source({"id": 1, **person}, times=2)
    with pytest.raises(InputError, match="1 of 2 scores are no numbers, such as 'high'"):
        source({"id": 1, **person, "score": 0.5}, {"id": 2, **person, "score": "high"})
    with pytest.raises(InputError, match=r"shows nothing of 1 segment that a\.json lists, such as 2"):
        read(source({"id": 1, **person}, {"id": 2, **person}))
    some = source({"id": 1, **person, "score": 0.5}, {"id": 2, **person})
    assert some.facts.notes == ("a.json: 1 of 2 segments have a score; none of them is taken",)


def test_pictures_that_belong_to_no_frame_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "labels", "0001.png", np.zeros((4, 6), np.uint8))
    labels = PlainFolder(tmp_path / "labels", SPACE)
    write(tmp_path / "pictures", "0001.png", np.zeros((4, 6, 3), np.uint8))
    assert find_pictures(labels, labels, tmp_path / "pictures") is not None
    write(tmp_path / "others", "frame_1.png", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(InputError, match="others: has no picture with the name of a frame"):
        find_pictures(labels, labels, tmp_path / "others")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such bag, folder or JSON file"):
        open_source(tmp_path / "absent")

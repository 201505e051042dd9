"""Reading bags that ROS 2's own tools wrote and bags that are broken, writing bags that others open."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from seg_perception import records
from seg_perception.errors import BagError
from seg_perception.interfaces import serialised, typestore
from seg_perception.offline.bags import Bag, namespace
from seg_perception.offline.writer import BagWriter, qos

IMAGE, INFO = "/cam/image_raw", "/cam/camera_info"


def image(stamp: int, value: int = 0) -> bytes:
    pixels = np.random.default_rng(value).integers(0, 255, (32, 40, 3), np.uint8)
    record = records.Image.of(records.Header.of(stamp, "cam"), "rgb8", pixels)
    return serialised(record.TYPE, record)


def write(path: Path, topics: dict[str, str], frames: int) -> Path:
    with BagWriter(path) as bag:
        for topic, kind in topics.items():
            bag.add_topic(topic, kind, [qos()])
        for number in range(frames):
            for topic, kind in topics.items():
                if kind == records.Image.TYPE:
                    bag.write(topic, image(number, number), 1000 * number)
    return path


def write_sqlite(folder: Path, frames: int) -> Path:
    with Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as bag:
        connection = bag.add_connection(IMAGE, records.Image.TYPE, typestore=typestore())
        for number in range(frames):
            bag.write(connection, 1000 * number, image(number, number))
    return folder


def read(path: Path, topic: str = IMAGE) -> tuple[int, str]:
    """How many messages could be read, and what was said about the rest."""
    count = 0
    with Bag(path) as bag:
        try:
            for _ in bag.messages([topic]):
                count += 1
        except BagError as error:
            return count, str(error)
    return count, ""


# What ROS 2's own tools wrote


def ros_bags(data: Path) -> list[Path]:
    return sorted(path.parent for path in (data / "ros2_bags_small").rglob("metadata.yaml"))


def test_every_message_of_ros_own_bags_is_read(data: Path) -> None:
    total = 0
    for folder in ros_bags(data):
        if folder.name == "wrong_rmw_test":
            continue
        information = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        expected = {t["topic_metadata"]["name"]: t["message_count"] for t in information["topics_with_message_count"]}
        with Bag(folder) as bag:
            found = dict.fromkeys(bag.topics, 0)
            last = 0
            for message in bag.messages(list(bag.topics)):
                assert message.log_time >= last or len(information["relative_file_paths"]) > 1
                last = message.log_time
                found[message.topic] += 1
        assert found == expected, folder
        total += sum(found.values())
    assert total > 10_000


def test_a_split_bag_without_metadata_is_read_in_order(data: Path, tmp_path: Path) -> None:
    for storage, suffix in (("mcap", "mcap"), ("sqlite3", "db3")):
        folder = data / f"ros2_bags_small/rosbag2_py/test/resources/{storage}/reindex_test_bags/multiple_files"
        assert not (folder / "metadata.yaml").exists()
        with Bag(folder) as bag:
            times = [message.log_time for message in bag.messages(list(bag.topics))]
        assert len(times) == 3177
        assert times == sorted(times)
        # Ten comes after two, not before it.
        shutil.copytree(folder, tmp_path / storage)
        (tmp_path / storage / f"multiple_files_2.{suffix}").rename(tmp_path / storage / f"multiple_files_10.{suffix}")
        with Bag(tmp_path / storage) as bag:
            assert [message.log_time for message in bag.messages(list(bag.topics))] == times


@pytest.mark.parametrize("mode", [CompressionMode.MESSAGE, CompressionMode.FILE])
def test_a_bag_that_ros2_bag_compressed_is_read(tmp_path: Path, mode: CompressionMode) -> None:
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(IMAGE, records.Image.TYPE, typestore=typestore())
        for number in range(4):
            writer.write(connection, 1000 * number, image(number, number))
    with Bag(tmp_path / "bag") as bag:
        assert [message.cdr for message in bag.messages([IMAGE])] == [image(number, number) for number in range(4)]


def test_a_topic_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "one.mcap", {IMAGE: records.Image.TYPE}, 1)
    with Bag(path) as bag, pytest.raises(BagError, match=r"has no topic /left; its topics: /cam/image_raw"):
        next(bag.messages(["/left"]))


def test_another_serialisation_is_refused(data: Path) -> None:
    folder = data / "ros2_bags_small/rosbag2_tests/resources/mcap/wrong_rmw_test"
    with Bag(folder) as bag, pytest.raises(BagError, match="serialised as 'wrong_format', expected cdr"):
        list(bag.messages(["/test_topic"]))


def test_a_missing_part_is_named(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "ros2_bags_small/rosbag2_py/test/resources/mcap/wbag", tmp_path / "bag")
    (tmp_path / "bag" / "wbag_3.mcap").unlink()
    with pytest.raises(BagError, match=r"1 of the bag's 5 files missing, among them wbag_3\.mcap"):
        Bag(tmp_path / "bag")


@pytest.mark.parametrize("listed", ["", "7", "{a: b}"])
def test_a_list_of_files_that_is_none_is_passed_over(tmp_path: Path, listed: str) -> None:
    with BagWriter(tmp_path / "bag.mcap") as writer:
        writer.add_topic(IMAGE, records.Image.TYPE, [qos()])
        writer.write(IMAGE, image(1), 1)
    (tmp_path / "metadata.yaml").write_text(f"rosbag2_bagfile_information:\n  relative_file_paths: {listed}\n")
    with Bag(tmp_path) as bag:
        assert len(list(bag.messages([IMAGE]))) == 1


# Which topic


def test_the_only_image_topic_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "one.mcap", {IMAGE: records.Image.TYPE, INFO: records.CameraInfo.TYPE}, 2)
    with Bag(path) as bag:
        topic = bag.image_topic()
        assert topic.name == IMAGE
        info = bag.camera_info_topic(topic)
        assert info is not None
        assert info.name == INFO
        assert bag.image_topic("cam/image_raw") == topic
        with pytest.raises(BagError, match=r"/cam/camera_info is a sensor_msgs/msg/CameraInfo, expected an image"):
            bag.image_topic(INFO)


def compressed(form: str, pixels: np.ndarray, suffix: str, before: bytes = b"") -> bytes:
    data = np.frombuffer(before + cv2.imencode(suffix, pixels)[1].tobytes(), np.uint8)
    return serialised(records.CompressedImage.TYPE, records.CompressedImage(records.Header.of(1, "cam"), form, data))


def test_the_only_one_in_colour_is_the_cameras(tmp_path: Path) -> None:
    colour, grey = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    depth = records.Image.of(records.Header.of(1, "cam"), "16UC1", np.zeros((8, 8), np.uint16))
    mask = records.Image.of(records.Header.of(1, "cam"), "mono8", grey)
    beside = {
        "/cam/depth/image_raw": serialised(depth.TYPE, depth),
        "/truth/semantic": serialised(mask.TYPE, mask),
        "/cam/semantic/image_raw/compressed": compressed("mono8; png compressed mono8", grey, ".png"),
        "/cam/depth/image_raw/compressedDepth": compressed("16UC1; compressedDepth png", grey, ".png", bytes(12)),
        "/cam/overlay/image_raw/compressed": compressed("rgb8; jpeg compressed bgr8", colour, ".jpg"),
    }
    cameras = {IMAGE: image(1), "/rear/image_raw/compressed": compressed("jpeg", colour, ".jpg")}
    for number, (name, content) in enumerate(cameras.items()):
        path = tmp_path / f"{number}.mcap"
        with BagWriter(path) as writer:
            for topic, data in {**beside, name: content}.items():
                kind = records.CompressedImage.TYPE if "compressed" in topic else records.Image.TYPE
                writer.add_topic(topic, kind, [qos()])
                writer.write(topic, data[:20], 0)  # broken
                writer.write(topic, data, 1)
        with Bag(path) as bag:
            assert bag.image_topic().name == name


def test_two_image_topics_are_listed(tmp_path: Path) -> None:
    kinds = {IMAGE: records.Image.TYPE, "/rear/image_raw": records.Image.TYPE}
    with Bag(write(tmp_path / "two.mcap", kinds, 1)) as bag:
        with pytest.raises(
            BagError,
            match=r"2 image topics, 2 of them in colour, choose one with --topic: /cam/image_raw .*/rear/image_raw",
        ):
            bag.image_topic()
        with pytest.raises(BagError, match=r"has no topic /left; its image topics: /cam"):
            bag.image_topic("/left")


def test_a_bag_without_images_says_what_it_has(data: Path) -> None:
    folder = data / "ros2_bags_small/rosbag2_py/test/resources/mcap/talker"
    with Bag(folder) as bag, pytest.raises(BagError, match=r"holds no images; its topics: .*/topic \(std_msgs"):
        bag.image_topic()


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("/a/b/image_raw", "/a/b"), ("/a/image_raw/compressed", "/a"), ("/image_raw", ""), ("/image/compressed", "")],
)
def test_namespace(topic: str, expected: str) -> None:
    assert namespace(topic) == expected


# Broken bags


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_mcap_is_read_up_to_the_damage(tmp_path: Path, kept: float) -> None:
    whole = write(tmp_path / "whole.mcap", {IMAGE: records.Image.TYPE}, 6000).read_bytes()
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(whole[: int(len(whole) * kept)])
    count, said = read(broken)
    assert 0 < count < 6000 * kept + 1
    assert count > 6000 * kept - 2500  # at most the chunk in which it breaks
    assert "the file ends too early" in said
    assert f"read up to there: {count} messages on {IMAGE}" in said


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "flipped.mcap", {IMAGE: records.Image.TYPE}, 4000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    count, said = read(path)
    assert count < 4000
    assert "the bag is damaged (" in said
    assert f"{count} messages on {IMAGE}" in said


def test_a_database_without_its_end_is_read_up_to_there(tmp_path: Path) -> None:
    folder = write_sqlite(tmp_path / "bag", 50)
    database = folder / "bag.db3"
    page = int.from_bytes(database.read_bytes()[16:18], "big")
    pages = database.stat().st_size // page
    database.write_bytes(database.read_bytes()[: page * (pages // 2)])
    count, said = read(folder)
    assert 10 < count < 30
    assert f"read up to there: {count} messages" in said
    with Bag(folder) as bag:
        messages = bag.messages([IMAGE])
        assert [next(messages).cdr for _ in range(count)] == [image(number, number) for number in range(count)]


def test_half_a_page_is_not_taken_for_pixels(tmp_path: Path) -> None:
    folder = write_sqlite(tmp_path / "bag", 50)
    database = folder / "bag.db3"
    database.write_bytes(database.read_bytes()[:100_001])
    with pytest.raises(BagError, match="ends in the middle of a page"):
        Bag(folder)


def test_the_log_of_a_killed_recorder_is_part_of_the_bag(tmp_path: Path) -> None:
    folder = write_sqlite(tmp_path / "bag", 5)
    recorder = sqlite3.connect(folder / "bag.db3")
    recorder.execute("PRAGMA journal_mode=WAL")
    recorder.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (1, 5000, ?)", (image(5, 5),))
    recorder.commit()
    # The recorder is killed here: what it leaves is copied while it is still open.
    shutil.copytree(folder, tmp_path / "left")
    recorder.close()
    assert (tmp_path / "left" / "bag.db3-wal").stat().st_size > 0
    assert read(tmp_path / "left") == (6, "")


def test_a_broken_part_does_not_hide_the_parts_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    write(folder / "split_0.mcap", {IMAGE: records.Image.TYPE}, 5)
    write(folder / "split_1.mcap", {IMAGE: records.Image.TYPE}, 5)
    content = (folder / "split_1.mcap").read_bytes()
    (folder / "split_1.mcap").write_bytes(content[: len(content) // 2])
    count, said = read(folder)
    assert count == 5
    assert "read up to there: 5 messages" in said
    (folder / "split_1.mcap").write_bytes(content)
    assert read(folder) == (10, "")


@pytest.mark.parametrize("name", ["empty.mcap", "noise.mcap", "noise.db3", "picture.png", "nothing.mcap", "."])
def test_what_is_no_bag_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("empty"):
        path.touch()
    elif name != "." and not name.startswith("nothing"):
        path.write_bytes(np.random.default_rng(1).bytes(8192))
    with pytest.raises(BagError) as caught:
        Bag(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# Writing


def test_the_same_messages_give_the_same_bytes(tmp_path: Path) -> None:
    kinds = {IMAGE: records.Image.TYPE, INFO: records.CameraInfo.TYPE}
    assert write(tmp_path / "a.mcap", kinds, 20).read_bytes() == write(tmp_path / "b.mcap", kinds, 20).read_bytes()


def test_others_open_what_we_write(tmp_path: Path) -> None:
    path = write(tmp_path / "bag.mcap", {IMAGE: records.Image.TYPE}, 3)
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()], validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        decoded = [message for _, _, _, message in reader.iter_decoded_messages()]
        summary = reader.get_summary()
    assert [m.header.stamp.nanosec for m in decoded] == [0, 1, 2]
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == 3
    assert [schema.encoding for schema in summary.schemas.values()] == ["ros2msg"]
    (channel,) = summary.channels.values()
    assert set(channel.metadata) == {"offered_qos_profiles", "topic_type_hash"}


def test_what_is_latched_comes_back_latched(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag.mcap") as bag:
        bag.add_topic("/latched", records.LabelInfo.TYPE, [qos(latched=True, depth=1)])
        bag.add_topic("/fast", records.Image.TYPE, [qos(reliable=False)])
    with Bag(tmp_path / "bag.mcap") as bag:
        (latched,), (fast,) = bag.topics["/latched"].profiles, bag.topics["/fast"].profiles
    assert (latched.durability, latched.depth) == (QosDurability.TRANSIENT_LOCAL, 1)
    assert (fast.reliability, fast.durability) == (QosReliability.BEST_EFFORT, QosDurability.VOLATILE)


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with BagWriter(tmp_path / "out.mcap") as bag:
            bag.add_topic(IMAGE, records.Image.TYPE, [qos()])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    bag = write(tmp_path / "in.mcap", {IMAGE: records.Image.TYPE}, 1)
    content = bag.read_bytes()
    (tmp_path / "link.mcap").symlink_to(bag)
    folder = write_sqlite(tmp_path / "folder", 1)
    for out, source in ((bag, bag), (tmp_path / "link.mcap", bag), (folder / "more.mcap", folder)):
        with pytest.raises(BagError, match="would overwrite or extend the input bag"):
            BagWriter(out, [source])
    assert bag.read_bytes() == content


def test_an_output_must_be_an_mcap_file_in_a_folder_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"must end in \.mcap"):
        BagWriter(tmp_path / "out.db3")
    with pytest.raises(BagError, match="cannot be written"):
        BagWriter(tmp_path / "no" / "out.mcap")


def test_a_disk_without_room_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond a few kB."""
    out = tmp_path / "out.mcap"
    program = f"""
import resource
from pathlib import Path
from seg_perception.errors import BagError
from seg_perception.offline.writer import BagWriter, qos
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    with BagWriter(Path({str(out)!r})) as writer:
        writer.add_topic("/image", "sensor_msgs/msg/Image", [qos()])
        writer.note("source", {{"bag": "a" * 100_000}})
except BagError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cannot be written any further (File too large)" in result.stdout
    assert list(tmp_path.iterdir()) == []

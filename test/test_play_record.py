"""The player and the recorder, in processes of their own, over real DDS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from mcap.reader import make_reader
from rosbags.interfaces import QosDurability, QosReliability

from seg_perception import records
from seg_perception.errors import BagError
from seg_perception.interfaces import definition, serialised, typestore
from seg_perception.offline.bags import Bag, Message
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.ros.play import PlayOptions, play
from seg_perception.ros.record import _Recorder

IMAGE, INFO, LATCHED = "/cam/image_raw", "/cam/camera_info", "/cam/latched_info"
START, PERIOD = 1_700_000_000 * 10**9, 20_000_000
RUNNING: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, domain: int) -> Iterator[None]:
    """A ROS domain for this test process and its children alone; no child outlives its test."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    yield
    while RUNNING:
        process = RUNNING.pop()
        if process.poll() is None:
            process.terminate()
            process.wait(10)


def start(what: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seg_perception", what, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    RUNNING.append(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    )
    return RUNNING[-1]


def finish(process: subprocess.Popen[str], expected: int = 0) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == expected, said
    return said


def frame(number: int) -> bytes:
    pixels = np.full((24, 32, 3), number, np.uint8)
    record = records.Image.of(records.Header.of(START + number * PERIOD, "optical"), "rgb8", pixels)
    return serialised(record.TYPE, record)


def info(number: int) -> bytes:
    header = records.Header.of(START + number * PERIOD, "optical")
    record = records.CameraInfo(header, 24, 32, "plumb_bob", np.zeros(5), np.ones(9), np.ones(9), np.ones(12))
    return serialised(record.TYPE, record)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two latched messages, 25 images and as many calibrations at 50 Hz, and one of a type that nobody has."""
    path = tmp_path_factory.mktemp("play") / "bag.mcap"
    with BagWriter(path) as writer:
        writer.add_topic(LATCHED, records.CameraInfo.TYPE, [qos(latched=True, depth=2)])
        writer.add_topic(IMAGE, records.Image.TYPE, [qos()])
        writer.add_topic(INFO, records.CameraInfo.TYPE, [qos(reliable=False)])
        writer.add_topic("/strange", "no_such_msgs/msg/Thing", [], "uint8 a\n", "")
        writer.write(LATCHED, info(100), START)
        writer.write(LATCHED, info(101), START)
        writer.write("/strange", b"\0\1\0\0\7", START)
        for number in range(25):
            writer.write(IMAGE, frame(number), START + number * PERIOD)
            writer.write(INFO, info(number), START + number * PERIOD)
    return path


def assert_same(messages: Iterator[Message], sent: list[bytes]) -> None:
    """RTPS fills a payload up to a multiple of four; otherwise what arrives is what was sent."""
    received = [m.cdr for m in messages]
    assert [cdr[: len(bytes_)] for cdr, bytes_ in zip(received, sent, strict=True)] == sent
    assert all(len(cdr) - len(bytes_) < 4 for cdr, bytes_ in zip(received, sent, strict=True))


def recorded(path: Path, topic: str) -> Iterator[Message]:
    with Bag(path) as found:
        yield from found.messages([topic])


def test_what_is_played_is_recorded_byte_for_byte(bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mcap"
    recorder = start("record", IMAGE, INFO, LATCHED, "/nobody", "-o", out, "--count", 52)
    said = finish(start("play", bag, "--wait", 30))
    assert "/strange: not played, no_such_msgs/msg/Thing has no Python support here" in said
    assert said.count("not played") == 1
    assert "played 52 messages" in said
    heard = finish(recorder)
    assert "/nobody: not recorded, nobody published it" in heard
    assert "52 messages" in heard
    assert " lost" not in heard
    assert_same(recorded(out, IMAGE), [frame(i) for i in range(25)])
    assert_same(recorded(out, INFO), [info(i) for i in range(25)])
    assert_same(recorded(out, LATCHED), [info(100), info(101)])
    times = [m.log_time for m in recorded(out, IMAGE)]
    assert times == sorted(times)
    with Bag(out) as found:
        profiles = {name: topic.profiles[0] for name, topic in found.topics.items()}
    with out.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert {s.name: s.data.decode() for s in summary.schemas.values()} == {
        kind: definition(kind) for kind in (records.Image.TYPE, records.CameraInfo.TYPE)
    }
    assert profiles[LATCHED].durability == QosDurability.TRANSIENT_LOCAL
    assert (profiles[INFO].reliability, profiles[IMAGE].reliability) == (
        QosReliability.BEST_EFFORT,
        QosReliability.RELIABLE,
    )


def test_part_of_a_bag_under_other_names_with_a_clock(bag: Path, tmp_path: Path) -> None:
    """From 0.1 s for 0.2 s at half speed: images 5 to 14; what was latched before comes too."""
    out = tmp_path / "out.mcap"
    recorder = start("record", "-a", "-o", out)
    options = ["--start", 0.1, "--duration", 0.2, "--rate", 0.5, "--clock", 100, "--wait", 30]
    options += ["--topics", "/cam/image*", "/cam/latched_info", "--remap", f"{IMAGE}:=/other/image_raw"]
    said = finish(start("play", bag, *options))
    assert "played 12 messages" in said
    recorder.send_signal(signal.SIGINT)
    heard = finish(recorder)
    assert "/other/image_raw: recording (sensor_msgs/msg/Image)" in heard
    assert_same(recorded(out, "/other/image_raw"), [frame(i) for i in range(5, 15)])
    assert_same(recorded(out, LATCHED), [info(100), info(101)])
    clocks = [typestore().deserialize_cdr(m.cdr, "rosgraph_msgs/msg/Clock").clock for m in recorded(out, "/clock")]
    stamps = [c.sec * 10**9 + c.nanosec for c in clocks]
    assert len(stamps) > 10
    assert stamps == sorted(stamps)
    assert all(START <= stamp <= START + 15 * PERIOD for stamp in stamps)


def test_a_loop_goes_on_until_it_is_interrupted(bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mcap"
    player = start("play", bag, "--loop", "--topics", IMAGE, "--rate", 5)
    said = finish(start("record", IMAGE, "-o", out, "--count", 60))
    assert "60 messages" in said
    player.send_signal(signal.SIGINT)
    assert "at most" in finish(player)
    numbers = [m.cdr[-1] for m in recorded(out, IMAGE)]
    assert all(after == (before + 1) % 25 for before, after in pairwise(numbers))


def test_missing_subscribers_are_said_and_a_damaged_bag_is_an_error(bag: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    with BagWriter(cut, compress=False) as writer:
        writer.add_topic(IMAGE, records.Image.TYPE, [qos()])
        for number in range(3000):
            writer.write(IMAGE, frame(number % 256), START + number)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    said = finish(start("play", cut, "--wait", 0.2), expected=2)
    assert f"{IMAGE}: 0 of 1 subscribers after 0.2 s; playing anyway" in said
    assert "the bag is damaged (the file ends too early" in said


def test_gaps_in_sequence_numbers_are_losses(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "out.mcap")
    writer.add_topic(IMAGE, records.Image.TYPE, [qos()])
    recorder = _Recorder(None, writer, {IMAGE}, print)
    recorder._recorded.lost[IMAGE] = 0
    for sequence in (7, 8, 11, 1, 2):  # two lost; then the publisher starts anew
        times = {"publication_sequence_number": sequence, "source_timestamp": 5, "received_timestamp": 9}
        recorder._write(IMAGE, frame(sequence), times)
    writer.close()
    assert recorder.result({IMAGE}).lost == {IMAGE: 2}
    assert recorder.result({IMAGE}).counts == {IMAGE: 5}


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (PlayOptions(topics=("/left",)), "has no topic /left; it has /cam/camera_info"),
        (PlayOptions(remap={"/left": "/right"}), "has no topic /left to remap"),
        (PlayOptions(start=1e6, loop=True), "has no message to play in the part"),
        (PlayOptions(subscribers={"/left": 1}), "/left is not published, so nobody subscribes"),
        (PlayOptions(topics=(IMAGE,), remap={IMAGE: "/a b"}), "none of its topics can be published here"),
        (PlayOptions(topics=("/strange",)), "none of its topics can be published here"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_sentence(bag: Path, options: PlayOptions, what: str) -> None:
    with pytest.raises(BagError, match=what):
        play(bag, options, say=lambda sentence: None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rate", "nan"], "rate nan: expected a number above 0"),
        (["--rate", "0"], "rate 0: expected a number above 0"),
        (["--duration", "-1"], "duration -1: expected 0 or more"),
        (["--clock", "-1"], "clock -1: expected 0 or more"),
        (["--subscribers", "/cam=many"], "expected TOPIC=N with a whole number N"),
    ],
)
def test_an_option_of_play_that_makes_no_sense_is_refused(bag: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in finish(start("play", bag, *arguments), expected=2)


@pytest.mark.parametrize("arguments", [["--duration", "nan"], ["--count", "-1"]])
def test_a_limit_of_record_that_makes_no_sense_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    out = tmp_path / "out.mcap"
    assert "expected 0 (no limit) or more" in finish(start("record", "/x", "-o", out, *arguments), expected=2)
    assert not out.exists()


def test_a_topic_is_remapped_with_or_without_its_slash(bag: Path) -> None:
    said = finish(start("play", bag, "--topics", IMAGE, "--remap", f"{IMAGE.lstrip('/')}:=elsewhere", "--rate", 100))
    assert "  /elsewhere: " in said


def test_ctrl_c_ends_the_listener_with_what_it_heard(bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "heard.json"
    listener = start("listen", "cam", "--idle", 600, "-o", out)
    finish(start("play", bag, "--topics", IMAGE, "--wait", 30))
    listener.send_signal(signal.SIGINT)
    assert "25 images, 0 complete frames" in finish(listener, expected=1)
    assert json.loads(out.read_text())["images"] == 25


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.mcap"
    out.write_bytes(b"precious")
    said = finish(start("record", "-a", "-o", out), expected=2)
    assert "exists already" in said
    assert out.read_bytes() == b"precious"

"""The node as a process: lifecycle, parameters, bad input, and the account of every image."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import DescribeParameters
from rclpy.qos import ReliabilityPolicy
from ros_support import BEST_EFFORT, RELIABLE, camera_info, compressed, image, set_parameters, values
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_perception.frames import stamp_of
from seg_perception.types import NANOSECONDS

pytest_plugins = ("ros_fixtures",)

ROAD = np.zeros((36, 64, 3), np.uint8)


def accounted(numbers):
    """Images in, minus those that are published or counted under a reason."""
    dropped = sum(int(v) for k, v in numbers.items() if k.startswith("dropped."))
    return int(numbers["received"]) - int(numbers["published"]) - dropped


def segments(node):
    """The shared-memory segments that the node has open; ports are shared with other processes, and theirs too."""
    return {Path(p) for p in re.findall(r"/dev/shm/fastrtps_(?!port)\S+", Path(f"/proc/{node.pid}/maps").read_text())}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_and_leaves_nothing_in_shared_memory(start, robot, number):
    older = set(Path("/dev/shm").iterdir())  # A process that was killed leaves files that nobody removes.
    node = start()
    robot.publisher("/camera/image_raw", Image)
    opened = segments(node) - older
    assert opened
    assert node.stop(number) == 0
    assert "Traceback" not in node.text()
    robot.close()  # A port's file goes when the last who used it does.
    assert not {path for path in opened if path.exists()}


def test_lifecycle_by_a_manager(start, robot):
    start(autostart=False)
    heard = robot.hear("/camera/semantic/image_raw", Image)
    assert robot.state() == "unconfigured"
    assert robot.change("configure")
    assert robot.state() == "inactive"
    assert robot.node.count_subscribers("/camera/image_raw") == 0
    assert robot.change("activate")
    images = robot.publisher("/camera/image_raw", Image)
    images.publish(image(1 * NANOSECONDS, ROAD))
    robot.until(lambda: heard, "a mask")
    assert robot.change("deactivate")
    robot.until(lambda: images.get_subscription_count() == 0, "the node to unsubscribe")
    assert robot.change("cleanup")
    robot.until(lambda: robot.node.count_publishers("/camera/semantic/image_raw") == 0, "no masks on the graph")
    assert robot.change("configure")
    assert robot.change("activate")
    robot.until(lambda: images.get_subscription_count() == 1, "the node to subscribe again")
    robot.until(lambda: robot.node.count_publishers("/camera/semantic/image_raw") == 1, "masks on the graph")
    time.sleep(0.3)
    images.publish(image(2 * NANOSECONDS, ROAD))
    robot.until(lambda: len(heard) == 2, "a mask")
    assert stamp_of(heard[1]) == 2 * NANOSECONDS


def test_a_failed_transition_says_why_and_can_be_tried_again(start, robot, tmp_path):
    weights = tmp_path / "weights"
    node = start("--weights", str(weights), autostart=False)
    assert not robot.change("configure")
    assert node.said(r"cannot configure: .*weights: the weights are missing; put them there") == 1
    assert robot.state() == "unconfigured"
    weights.touch()
    assert robot.change("configure")
    assert robot.change("activate")


def test_an_impossible_transition_is_refused_and_the_node_lives(start, robot):
    node = start(autostart=False)
    assert not robot.change("activate")
    assert node.said("not possible from the state 'unconfigured'") == 1
    assert robot.change("configure")


def test_a_node_that_its_manager_has_shut_down_still_ends_by_signal(start, robot):
    node = start()
    robot.publisher("/camera/image_raw", Image)
    assert robot.change("active_shutdown")
    assert robot.state() == "finalized"
    assert node.stop() == 0
    assert "Traceback" not in node.text()


def test_a_signal_while_a_model_loads_ends_the_node_afterwards(start, robot):
    node = start("--load", "3", autostart=False)
    client = robot.node.create_client(ChangeState, "/segmentation/change_state")
    assert client.wait_for_service(20.0)
    client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    robot.until(lambda: robot.state() == "configuring", "the node to configure")
    assert node.stop() == 0
    assert "Traceback" not in node.text()


def test_a_manager_that_asks_during_autostart_waits_for_it(start, robot):
    node = start("--load", "4", autostart=True)
    robot.until(lambda: robot.state() == "configuring", "the node to configure")
    assert not robot.change("configure")
    assert robot.state() == "active"
    assert node.stop() == 0


def test_the_node_answers_while_a_model_loads(start, robot):
    start("--load", "3", autostart=True)
    seen = set()
    while (state := robot.state()) != "active":
        seen.add(state)
    assert "configuring" in seen


def test_nothing_is_made_from_images_of_an_inactive_node(start, robot):
    start("--seconds", "0.3")
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    for i in range(4):
        images.publish(image(i * NANOSECONDS, ROAD))
        time.sleep(0.02)
    assert robot.change("deactivate")
    numbers = robot.diagnostics()
    assert numbers["received"] == "4"
    assert accounted(numbers) == 0
    assert len(heard) == int(numbers["published"])
    assert numbers["dropped.inactive"] == "1"


def test_live_parameters_change_together_or_not_at_all(start, robot):
    start()
    (good,) = set_parameters(robot, True, tracker__high_score=0.6, tracker__low_score=0.2)
    assert good.successful
    (bad,) = set_parameters(robot, True, tracker__high_score=0.7, tracker__low_score=1.5)
    assert not bad.successful
    assert "tracker.low_score" in bad.reason
    assert "1.5" in bad.reason
    assert robot.parameter("tracker.high_score") == 0.6


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tracker__high_score", float("nan"), "out of range"),
        ("cascade__every", 0, "out of range"),
        ("cascade__every", 2.5, "Wrong parameter type"),
        ("models__semantic", "another", "read-only"),
        ("labels", "voc", "read-only"),
        ("cameras", ["a"], "read-only"),
        ("image_timeout", -1.0, "out of range"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(start, robot, name, value, reason):
    start(autostart=False)
    (result,) = set_parameters(robot, **{name: value})
    assert not result.successful
    assert reason in result.reason


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("tracker__high_score", 7.0, r"tracker.high_score.* Min: 0.0, Max: 1.0"),
        ("cascade__every", "often", r"cascade.every.* expecting type 'INTEGER'"),
        ("cameras", "[front, front]", "none twice"),
        ("cameras", "[front camera]", "'front camera' becomes part of topic names"),
        ("models__runtime", "abacus", "'abacus' is not one of auto"),
    ],
)
def test_a_bad_value_at_start_ends_the_process_with_one_sentence(start, name, value, sentence):
    node = start(**{name: value})
    assert node.wait() == 1
    assert re.search(sentence, node.text())
    assert "Traceback" not in node.text()


@pytest.mark.parametrize("arguments", [("--params-file", "/nowhere.yaml"), ("-r", "no rule")])
def test_ros_arguments_that_cannot_be_used_are_said_in_one_sentence(arguments):
    program = [sys.executable, "-m", "seg_perception", "node", "--ros-args", *arguments]
    result = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith("the ROS arguments cannot be used: ")
    assert arguments[1] in sentence
    assert "Traceback" not in result.stderr


def test_every_parameter_is_described(start, robot):
    start(autostart=False)
    names = ["tracker.high_score", "cascade.every", "models.semantic", "cameras", "camera.image_transport"]
    request = DescribeParameters.Request(names=names)
    score, every, model, cameras, transport = robot.call(
        "/segmentation/describe_parameters", DescribeParameters, request
    ).descriptors
    assert all(d.description for d in (score, every, model, cameras, transport))
    assert (score.floating_point_range[0].from_value, score.floating_point_range[0].to_value) == (0.0, 1.0)
    assert every.integer_range[0].from_value == 1
    assert (score.read_only, model.read_only, cameras.read_only) == (False, True, True)
    assert "raw, compressed" in transport.additional_constraints


def wrong_size():
    message = image(0, ROAD)
    message.height = 5000
    return message


def wrong_step():
    message = image(0, ROAD)
    message.step = 3
    return message


def wrong_encoding():
    return image(0, ROAD, encoding="plaid8")


def no_bytes():
    return Image(encoding="rgb8")


@pytest.mark.parametrize("make", [wrong_size, wrong_step, wrong_encoding, no_bytes])
def test_a_bad_image_is_told_once_counted_and_survived(start, robot, make):
    node = start()
    survives(robot, node, Image, "/camera/image_raw", lambda stamp: image(stamp, ROAD), make)


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_truncated_jpeg_is_told_once_counted_and_survived(start, robot, kept):
    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    assert len(jpeg) > 4000
    node = start(camera__image_transport="compressed")
    survives(
        robot,
        node,
        CompressedImage,
        "/camera/image_raw/compressed",
        lambda stamp: compressed(stamp, jpeg),
        lambda: compressed(0, jpeg[:kept]),
    )


def survives(robot, node, kind, topic, good, bad):
    """Good, bad, bad, good: the good ones are answered, the bad ones counted, and the log has one sentence."""
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher(topic, kind)
    images.publish(good(1 * NANOSECONDS))
    robot.until(lambda: len(heard) == 1, "the first mask")
    for i in range(2):
        images.publish(bad())
        robot.until(lambda i=i: robot.diagnostics()["dropped.bad_image"] == str(i + 1), "the count of bad images")
    images.publish(good(2 * NANOSECONDS))
    robot.until(lambda: len(heard) == 2, "the next mask")
    numbers = robot.diagnostics()
    assert accounted(numbers) == 0
    assert (numbers["received"], numbers["published"]) == ("4", "2")
    assert node.said(rf"WARN.*{topic}: .*said once") == 1
    assert "Traceback" not in node.text()


def test_a_network_that_fails_costs_one_frame(start, robot):
    node = start()
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    for i in range(3):
        images.publish(image((2 * i + 1) * NANOSECONDS, np.full_like(ROAD, 254)))
        images_before = len(heard)
        robot.until(lambda i=i: robot.diagnostics()["dropped.error"] == str(i + 1), "the count of errors")
        images.publish(image((2 * i + 2) * NANOSECONDS, ROAD))
        robot.until(lambda n=images_before: len(heard) == n + 1, "the next mask")
    assert accounted(robot.diagnostics()) == 0
    assert node.said("a frame failed with RuntimeError: the network broke") == 1


def test_frames_are_answered_while_the_instance_network_is_not_done(start, robot, tmp_path):
    hold = tmp_path / "hold"
    start("--hold", str(hold), cascade__patience=0.0)
    heard = robot.hear("/camera/panoptic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    person = ROAD.copy()
    person[10:30, 10:20, 0] = 11

    def send(count):
        for _ in range(count):
            before = len(heard)
            images.publish(image((before + 1) * NANOSECONDS // 30, person))
            robot.until(lambda n=before: len(heard) > n, "a mask")
        return [int(np.frombuffer(m.data, np.int32).reshape(36, 64)[20, 15] >> 16) for m in heard[-count:]]

    hold.touch()
    assert set(send(30)) == {0}, "nobody knows which person it is, and nobody waits"
    numbers = robot.diagnostics()
    assert (numbers["published"], numbers["looks.used"], numbers["instance_age_s"]) == ("30", "0", "nan")
    hold.unlink()
    robot.until(lambda: send(1)[0] > 0, "the person's id")
    hold.touch()
    send(3)  # the last look that was let through comes back with one of these
    settled = robot.diagnostics()["looks.used"]
    assert set(send(9)) == {1}, "the person is carried on"
    numbers = robot.diagnostics()
    assert numbers["looks.used"] == settled
    assert float(numbers["instance_age_s"]) > 0.2
    assert accounted(numbers) == 0
    hold.unlink()


def test_an_answer_that_comes_too_late_is_dropped_and_told_once(start, robot):
    node = start(cascade__timeout=0.5, cascade__patience=0.0)
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)

    def send():
        before = len(heard)
        images.publish(image((2 * before + 1) * NANOSECONDS, ROAD))  # by the stamps, whatever comes back is 2 s old
        robot.until(lambda: len(heard) > before, "a mask")
        return int(robot.diagnostics()["looks.late"])

    robot.until(lambda: send() >= 2, "the account of late answers", 60.0)
    assert robot.diagnostics()["looks.used"] == "0"
    assert node.said("too late for cascade.timeout") == 1


def test_an_instance_network_that_fails_costs_no_frame(start, robot):
    node = start(cascade__patience=0.0)
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    poison = ROAD.copy()
    poison[..., 2] = 254
    for n in range(1, 11):
        images.publish(image(n * NANOSECONDS // 10, poison))
        robot.until(lambda n=n: len(heard) == n, "a mask")
        time.sleep(0.05)
    robot.until(lambda: int(robot.diagnostics()["looks.failed"]) >= 2, "the account of failures")
    assert robot.diagnostics()["published"] == "10"
    assert node.said("the instance network failed with RuntimeError: the instance network broke") == 1


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda info: info.k.__setitem__(0, float("nan")), "K holds NaN"),
        (lambda info: info.k.__setitem__(slice(None), 0.0), "focal lengths are 0 and 0"),
        (lambda info: info.d.append(0.0), "6 distortion coefficients"),
        (lambda info: setattr(info, "width", 0), "0x36 image"),
        (lambda info: setattr(info, "width", 65), "for 65x36, the image is 64x36"),
    ],
)
def test_a_bad_calibration_costs_camera_info_only(start, robot, spoil, sentence):
    node = start()
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    infos = robot.hear("/camera/semantic/camera_info", CameraInfo, connect=True)
    calibration = robot.publisher("/camera/camera_info", CameraInfo)
    images = robot.publisher("/camera/image_raw", Image)
    info = camera_info(64, 36)
    spoil(info)
    for i in range(3):
        calibration.publish(info)
        time.sleep(0.1)
        images.publish(image(i * NANOSECONDS, ROAD))
        robot.until(lambda i=i: len(heard) == i + 1, "a mask")
    assert node.said(sentence) == 1
    assert not infos
    for i in range(3, 100):  # Calibrations are asked for as best effort: one of them may get lost.
        calibration.publish(camera_info(64, 36))
        time.sleep(0.1)
        images.publish(image(i * NANOSECONDS, ROAD))
        robot.until(lambda i=i: len(heard) == i + 1, "a mask")
        if infos:
            break
    robot.until(lambda: infos, "a good calibration")
    assert int(robot.diagnostics()["bad_calibrations"]) >= 1


def test_stamps_that_go_back_start_the_tracks_anew_and_are_told(start, robot):
    node = start()
    heard = robot.hear("/camera/panoptic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    person = ROAD.copy()
    person[10:30, 10:20, 0] = 11
    ids = []
    for stamp in (10.0, 10.1, 10.2, 3.0, 3.1, 3.2):
        images.publish(image(int(stamp * NANOSECONDS), person))
        robot.until(lambda: len(heard) > len(ids), "a mask")
        ids.append(int(np.frombuffer(heard[-1].data, np.int32).reshape(36, 64)[20, 15] >> 16))
    assert ids[3] == 0, "the frame after the jump starts a new, unconfirmed track"
    assert ids[5] > ids[2] > 0, "ids go on counting"
    assert node.said("time went back by 7.200 s") == 1
    assert robot.diagnostics()["time_jumps"] == "1"


def test_stamps_that_stand_still_are_answered_and_counted(start, robot):
    node = start()
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    for i in range(3):
        images.publish(image(NANOSECONDS, ROAD))
        robot.until(lambda i=i: len(heard) == i + 1, "a mask")
    assert robot.diagnostics()["standing_stamps"] == "2"
    assert node.said("the same stamp") == 1


def test_two_cameras_take_fair_turns(start, robot):
    start("--seconds", "0.05", cameras="[front, rear]")
    front = robot.hear("/front/semantic/image_raw", Image, connect=True)
    rear = robot.hear("/rear/semantic/image_raw", Image, connect=True)
    streams = [robot.publisher(f"/{name}/image_raw", Image) for name in ("front", "rear")]
    for i in range(80):  # The first camera sends twice as often as both together can be answered.
        streams[0].publish(image((i + 1) * NANOSECONDS, ROAD))
        if i % 2:
            streams[1].publish(image((i + 1) * NANOSECONDS, ROAD))
        time.sleep(0.025)
    numbers = {name: robot.diagnostics(name) for name in ("front", "rear")}
    assert {name: accounted(n) for name, n in numbers.items()} == {"front": 0, "rear": 0}
    assert abs(len(front) - len(rear)) <= max(len(front), len(rear)) / 4


def asked(robot):
    return [s.qos_profile.reliability for s in robot.node.get_subscriptions_info_by_topic("/camera/image_raw")]


def test_auto_reliability_follows_the_graph(start, robot):
    start(camera__reliability="auto")
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    sensor = robot.publisher("/camera/image_raw", Image, BEST_EFFORT)
    robot.until(lambda: sensor.publish(image(1 * NANOSECONDS, ROAD)) or heard, "a mask of a best-effort image")
    assert asked(robot) == [ReliabilityPolicy.BEST_EFFORT]
    robot.node.destroy_publisher(sensor)
    reliable = robot.node.create_publisher(Image, "/camera/image_raw", RELIABLE)
    robot.until(lambda: asked(robot) == [ReliabilityPolicy.RELIABLE], "a reliable subscription")
    robot.until(
        lambda: reliable.publish(image(2 * NANOSECONDS, ROAD)) or stamp_of(heard[-1]) == 2 * NANOSECONDS,
        "a mask of a reliable image",
    )
    robot.node.create_publisher(Image, "/camera/image_raw", BEST_EFFORT)
    robot.until(lambda: asked(robot) == [ReliabilityPolicy.BEST_EFFORT], "a best-effort subscription again")


def test_no_image_is_told_once_with_who_publishes_what(start, robot):
    node = start(image_timeout=0.5)
    robot.publisher("/camera/image_raw", Image, RELIABLE)
    robot.until(lambda: node.said(r"WARN.*no image on /camera/image_raw for [\d.]+ s"), "the warning")
    assert robot.until(lambda: "no image" in status_sentence(robot), "the status")
    time.sleep(1.5)
    assert node.said("no image on") == 1


def status_sentence(robot):
    return next(
        (s.message for m in robot.heard["/diagnostics"][-1:] for s in m.status if s.name.endswith(": camera")), ""
    )


def test_no_publisher_at_all_is_told(start, robot):
    node = start(image_timeout=0.5)
    robot.until(lambda: node.said("nobody publishes it"), "the warning")


def test_diagnostics_say_what_a_person_asks_for(start, robot):
    start("--seconds", "0.01")
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    for i in range(50):
        images.publish(image(i * NANOSECONDS // 20, ROAD))
        time.sleep(0.05)
    numbers = robot.diagnostics()
    own = values(robot.heard["/diagnostics"][-1], "node")
    assert float(numbers["input_hz"]) > 0
    assert float(numbers["output_hz"]) > 0
    assert (
        10 <= float(numbers["latency_p50_ms"]) <= float(numbers["latency_p95_ms"]) <= float(numbers["latency_p99_ms"])
    )
    assert float(numbers["stage_ms.semantic/forward"]) >= 10
    assert float(numbers["instance_age_s"]) == 0.0
    assert own["label_space"] == "cityscapes"
    assert re.fullmatch("[0-9a-f]{12}", own["label_space_version"])
    assert float(own["memory_mb"]) > 20
    assert own["dds_profile"].endswith("fastdds.xml")
    assert len(heard) == int(numbers["published"])


def test_without_vision_msgs_two_outputs_are_off_and_the_rest_goes_on(start, robot):
    node = start("--without", "vision_msgs", cameras="[front, rear]", front__reliability="reliable")
    heard = robot.hear("/front/semantic/image_raw", Image, connect=True)
    robot.publisher("/front/image_raw", Image).publish(image(NANOSECONDS, ROAD))
    robot.until(lambda: heard, "a mask")
    assert node.said("vision_msgs is not installed, so detections and semantic/label_info are off") == 1
    assert robot.node.count_publishers("/front/detections") == 0
    assert robot.diagnostics("front")["failed_outputs"] == "0"


def test_the_trace_has_a_line_per_published_frame(start, robot, tmp_path):
    path = tmp_path / "trace.jsonl"
    node = start(trace=str(path))
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    for i in range(3):
        images.publish(image(i * NANOSECONDS, ROAD))
        robot.until(lambda: len(heard) > i, "a mask")  # noqa: B023
    assert node.stop() == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["camera"], line["stamp"]) for line in lines] == [("camera", i * NANOSECONDS) for i in range(3)]
    assert "semantic/forward" in lines[0]["seconds"]
    assert [(line["looked"], len(line["looks"])) for line in lines] == [(i * NANOSECONDS, 1) for i in range(3)]
    assert "instance/forward" in lines[0]["looks"][0]["seconds"]


def test_a_trace_that_finds_no_room_costs_nothing_else(start, robot):
    node = start(trace="/dev/full")
    heard = robot.hear("/camera/semantic/image_raw", Image, connect=True)
    images = robot.publisher("/camera/image_raw", Image)
    for i in range(3):
        images.publish(image(i * NANOSECONDS, ROAD))
        robot.until(lambda: len(heard) > i, "a mask")  # noqa: B023
    numbers = robot.diagnostics()
    assert numbers["published"] == numbers["received"] == "3"
    assert accounted(numbers) == 0
    assert node.said("/dev/full cannot be written: No space left on device; the trace ends") == 1
    assert robot.change("deactivate")
    assert robot.change("cleanup")


def test_troubles_of_the_past_are_not_told_after_a_new_start(start, robot):
    start()
    images = robot.publisher("/camera/image_raw", Image)
    bad = image(NANOSECONDS, ROAD)
    bad.step = 3
    for _ in range(3):
        images.publish(bad)
        time.sleep(0.05)
    robot.until(lambda: robot.diagnostics()["dropped.bad_image"] == "3", "the account")
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert robot.change(transition)
    before = len(robot.heard["/diagnostics"])
    robot.until(lambda: len(robot.heard["/diagnostics"]) > before + 3, "diagnostics")
    told = [s.message for m in robot.heard["/diagnostics"][before:] for s in m.status]
    assert not [sentence for sentence in told if "could not be used" in sentence]


def test_a_misspelt_parameter_is_told(start, robot):
    node = start(autostart=False, tracker__max_lots=1.0, use_sim_time=False)
    robot.state()
    assert node.said(r"no parameter tracker.max_lots: set, and ignored") == 1

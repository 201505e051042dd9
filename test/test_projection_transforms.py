"""The transform buffer: what it answers, and in what words it does not."""

from __future__ import annotations

from types import SimpleNamespace as Thing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from seg_perception.projection.transforms import TransformBuffer, TransformError, inverse, matrix

SECOND = 10**9
IDENTITY = (0.0, 0.0, 0.0, 1.0)
QUATERNION = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)
POSITION = st.tuples(*[st.floats(-50, 50)] * 3)


def unit(q: tuple[float, ...]) -> np.ndarray:
    return np.array(q) / np.linalg.norm(q)


@settings(max_examples=60, deadline=None)
@given(POSITION, QUATERNION)
def test_matrices_are_scipys(position: tuple[float, ...], q: tuple[float, ...]) -> None:
    pose = matrix(np.array(position), unit(q))
    np.testing.assert_allclose(pose[:3, :3], Rotation.from_quat(q).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(inverse(pose) @ pose, np.eye(4), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(POSITION, POSITION, QUATERNION, QUATERNION, st.floats(0, 1))
def test_between_samples_it_moves_straight_and_turns_evenly(
    p0: tuple[float, ...], p1: tuple[float, ...], q0: tuple[float, ...], q1: tuple[float, ...], part: float
) -> None:
    buffer = TransformBuffer(100)
    buffer.add("odom", "base", 0, p0, q0)
    buffer.add("odom", "base", 10 * SECOND, p1, q1)
    stamp = round(part * 10 * SECOND)
    found = buffer.lookup("odom", "base", stamp)
    turn = Slerp([0, 10 * SECOND], Rotation.from_quat([q0, q1]))(stamp)
    halfway = abs(unit(q0) @ unit(q1)) < 1e-6  # both ways round are as short
    if not halfway:
        np.testing.assert_allclose(found[:3, :3], turn.as_matrix(), atol=1e-6)
    expected = np.array(p0) + (np.array(p1) - p0) * (stamp / (10 * SECOND))
    np.testing.assert_allclose(found[:3, 3], expected, atol=1e-9)


def robot() -> TransformBuffer:
    buffer = TransformBuffer(5.0)
    buffer.add("base", "camera", 0, (0.2, 0, 1), (-0.5, 0.5, -0.5, 0.5), static=True)
    buffer.add("base", "lidar", 0, (0, 0, 1.5), IDENTITY, static=True)
    for tick in range(11):
        buffer.add("odom", "base", SECOND + tick * SECOND // 10, (tick * 0.1, 0, 0), IDENTITY)
    return buffer


def test_frames_on_two_branches_meet_at_their_common_parent() -> None:
    pose = robot().lookup("camera", "lidar", 0)  # no stamp of odom is asked for
    np.testing.assert_allclose(pose @ [5, 0, 0, 1], [0, -0.5, 4.8, 1], atol=1e-12)
    np.testing.assert_array_equal(robot().lookup("/camera", "camera", 0), np.eye(4))


@pytest.mark.parametrize(
    ("target", "source", "stamp", "reason", "words"),
    [
        ("camera", "radar", 1.5, "missing", "no transform names the frame 'radar' .known frames: base, camera"),
        ("odom", "base", 2.1, "late", "'base' in 'odom' ends 0.100 s before"),
        ("odom", "camera", 0.5, "extrapolated", "'base' in 'odom' begins 0.500 s after"),
    ],
)
def test_what_is_not_known_is_said(target: str, source: str, stamp: float, reason: str, words: str) -> None:
    with pytest.raises(TransformError, match=words) as caught:
        robot().lookup(target, source, round(stamp * SECOND))
    assert caught.value.reason == reason


def test_two_trees_are_not_connected() -> None:
    buffer = robot()
    buffer.add("world", "arm", 0, (0, 0, 0), IDENTITY, static=True)
    with pytest.raises(TransformError, match="'arm' and 'camera' are not connected"):
        buffer.lookup("camera", "arm", 0)


@pytest.mark.parametrize(
    ("position", "turn"), [((30.0, 0, 0), IDENTITY), ((1.0, 0, 0), (0.0, 0.0, 1.0, 0.0))], ids=["leap", "spin"]
)
def test_a_jump_is_no_motion(position: tuple[float, float, float], turn: tuple[float, float, float, float]) -> None:
    buffer = robot()
    buffer.add("odom", "base", 2 * SECOND + SECOND // 10, position, turn)
    with pytest.raises(TransformError, match="jumps by") as caught:
        buffer.lookup("odom", "base", 2 * SECOND + SECOND // 20)
    assert caught.value.reason == "jumped"
    assert buffer.lookup("odom", "base", 2 * SECOND + SECOND // 10)[0, 3] == position[0]


def test_samples_may_come_out_of_order_and_twice() -> None:
    buffer = TransformBuffer()
    for stamp in (3, 1, 2, 2):
        buffer.add("odom", "base", stamp * SECOND, (float(stamp), 0, 0), IDENTITY)
    assert buffer.lookup("odom", "base", 3 * SECOND // 2)[0, 3] == pytest.approx(1.5)


def test_memory_is_bounded_and_what_is_remembered_is_exact() -> None:
    buffer = TransformBuffer(2.0)
    for tick in range(20_000):
        buffer.add("odom", "base", tick * SECOND // 100, (tick / 100, 0, 0), IDENTITY)
    edge = buffer._edges["base"]
    assert len(edge.stamps) == len(edge.samples) < 600
    assert buffer.lookup("odom", "base", 198 * SECOND + 5)[0, 3] == pytest.approx(198.0)


def test_a_clock_that_goes_back_starts_anew() -> None:
    buffer = robot()
    buffer.add("odom", "base", 100 * SECOND, (1, 0, 0), IDENTITY)
    buffer.add("odom", "base", 1 * SECOND, (7, 0, 0), IDENTITY)
    assert buffer.time_jumps == 1
    assert buffer.lookup("odom", "base", SECOND)[0, 3] == 7


def test_time_that_jumps_back_ends_what_moved_later_and_nothing_else() -> None:
    buffer = robot()
    buffer.add("odom", "base", 100 * SECOND, (1, 0, 0), IDENTITY)
    buffer.add("map", "odom", 5 * SECOND, (2, 0, 0), IDENTITY)
    buffer.rewind(99 * SECOND)  # one camera's image came out of order
    assert buffer.lookup("odom", "base", 100 * SECOND)[0, 3] == 1
    buffer.rewind(5 * SECOND)
    with pytest.raises(TransformError, match="'base' and 'odom' are not connected"):
        buffer.lookup("odom", "base", 100 * SECOND)
    assert buffer.lookup("map", "odom", 5 * SECOND)[0, 3] == 2, "it began anew before"
    buffer.lookup("camera", "lidar", 0)  # static ones stay


@pytest.mark.parametrize(
    ("parent", "position", "turn"),
    [("odom", (np.nan, 0, 0), IDENTITY), ("odom", (0, 0, 0), (0.0, 0, 0, 0)), ("base", (0, 0, 0), IDENTITY)],
)
def test_nonsense_is_counted_and_changes_nothing(
    parent: str, position: tuple[float, float, float], turn: tuple[float, float, float, float]
) -> None:
    buffer = robot()
    buffer.add(parent, "base", 2 * SECOND, position, turn)
    assert buffer.refused == 1
    assert buffer.lookup("odom", "base", 2 * SECOND)[0, 3] == pytest.approx(1.0)


def test_circles_end() -> None:
    buffer = TransformBuffer()
    buffer.add("a", "b", 0, (0, 0, 0), IDENTITY, static=True)
    buffer.add("b", "a", 0, (0, 0, 0), IDENTITY, static=True)
    with pytest.raises(TransformError, match="'c'"):
        buffer.lookup("c", "a", 0)


def test_the_fixed_frame_is_odom_or_the_root() -> None:
    buffer = robot()
    assert buffer.fixed_frame("camera") == "odom"
    buffer.add("map", "odom", 0, (0, 0, 0), IDENTITY)
    assert buffer.fixed_frame("camera") == "odom"
    assert TransformBuffer().fixed_frame("camera") == "camera"


def test_messages_are_taken_as_they_are() -> None:
    stamp = Thing(sec=1, nanosec=5)
    turn = Thing(translation=Thing(x=1.0, y=2.0, z=3.0), rotation=Thing(x=0.0, y=0.0, z=0.0, w=2.0))
    entry = Thing(header=Thing(stamp=stamp, frame_id="/map"), child_frame_id="base", transform=turn)
    buffer = TransformBuffer()
    buffer.add_message(Thing(transforms=[entry]), static=False)
    np.testing.assert_allclose(buffer.lookup("map", "base", SECOND + 5)[:3, 3], [1, 2, 3])

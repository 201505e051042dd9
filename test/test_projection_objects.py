"""Things in space from points whose truth is known: where they are, how large, how fast, and when they end."""

from __future__ import annotations

import numpy as np
import pytest

from seg_perception.errors import ConfigError
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.projection.boxes import ANGLES, misfits, priors
from seg_perception.projection.camera import Camera
from seg_perception.projection.ground import Ground
from seg_perception.projection.objects import ObjectMemory, Objects, ObjectsConfig
from seg_perception.projection.things import STATE, corners_of, detections_3d, markers, state_cloud
from seg_perception.types import NANOSECONDS, CameraModel, LabelledPoints, PanopticMap

LABELS = LabelSpace.load("navigation")
PERSON, VEHICLE, CONE, ROAD = (LABELS.id(name) for name in ("person", "vehicle", "cone", "road"))
OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""From the optical frame to a body that looks along x."""


def pose(x: float = 0.0, y: float = 0.0, height: float = 1.2, yaw: float = 0.0) -> np.ndarray:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    turn[:3, 3] = x, y, height
    return turn @ OPTICAL


def faces(centre: tuple[float, float], size: tuple[float, float, float], yaw: float, eye: np.ndarray) -> np.ndarray:
    """Points on the sides of a box that ``eye`` sees, 5 cm apart, in the map."""
    length, width, height = size
    steps = {s: np.arange(-s / 2, s / 2 + 1e-9, 0.05) for s in (length, width)}
    axes = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    sides = []
    for axis, (own, other) in enumerate(((length, width), (width, length))):
        for end in (-1.0, 1.0):
            middle = np.array(centre) + end * own / 2 * axes[axis]
            if (eye - middle) @ (end * axes[axis]) > 0:
                sides.append(middle + steps[other][:, None] * axes[1 - axis])
    xy = np.concatenate(sides)
    z = np.arange(0.0, height + 1e-9, 0.1)
    return np.column_stack((np.repeat(xy, len(z), axis=0), np.tile(z, len(xy))))


def look(
    to_fixed: np.ndarray, *things: tuple[int, int, np.ndarray], border: int = 0
) -> tuple[LabelledPoints, PanopticMap]:
    """What the camera at ``to_fixed`` reports of things (id, class, points in the map) and of flat ground."""
    x, y = np.meshgrid(np.arange(-5, 30, 0.5), np.arange(-10, 10, 0.5))
    ground = np.column_stack((x.ravel(), y.ravel(), np.zeros(x.size)))
    parts = [(0, ROAD, ground), *things]
    xyz = np.concatenate([points for _, _, points in parts])
    inverse = np.linalg.inv(to_fixed)
    counts = [len(points) for _, _, points in parts]
    points = LabelledPoints(
        (xyz @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.float32),
        np.repeat([label for _, label, _ in parts], counts).astype(np.uint8),
        np.repeat([number for number, _, _ in parts], counts).astype(np.int32),
        np.full(len(xyz), 204, np.uint8),
    )
    panoptic = np.zeros((20, 40), np.int32)
    for row, (number, label, _) in enumerate(things):
        panoptic[row + 5, 3 if border == 0 else 0] = number << 16 | label
    semantic = (panoptic & 0xFFFF).astype(np.uint8)
    return points, PanopticMap(semantic, np.full(semantic.shape, 200, np.uint8), panoptic)


def step(memory: ObjectMemory, time: float, to_fixed: np.ndarray, *things: tuple[int, int, np.ndarray]) -> Objects:
    points, panoptic = look(to_fixed, *things)
    return memory.update(round(time * NANOSECONDS), points, to_fixed, "map", panoptic, ObjectsConfig())


def test_a_parked_car_seen_at_its_corner_is_measured_and_stands() -> None:
    memory, size, centre, yaw = ObjectMemory(LABELS), (4.2, 1.8, 1.5), (9.0, 2.0), 0.4
    for i in range(12):
        camera = pose(0.05 * i)
        things = step(memory, 0.1 * i, camera, (7, VEHICLE, faces(centre, size, yaw, camera[:2, 3])))
    assert things.ids.tolist() == [7]
    assert things.labels.tolist() == [VEHICLE]
    assert abs((things.yaw[0] - yaw + np.pi / 2) % np.pi - np.pi / 2) < np.radians(4)
    np.testing.assert_allclose(things.size[0], size, atol=0.25)
    np.testing.assert_allclose(things.centre[0], (*centre, 0.75), atol=0.15)
    assert np.hypot(*things.velocity[0, :2]) < 0.2
    assert (things.seen[0] > 0.9).all()


def test_a_car_seen_from_behind_has_its_class_s_length_and_says_that_it_is_assumed() -> None:
    memory, size = ObjectMemory(LABELS), (4.2, 1.8, 1.6)
    for i in range(5):
        things = step(memory, 0.1 * i, pose(), (7, VEHICLE, faces((10.0, 0.0), size, 0.0, np.zeros(2))))
    assert things.size[0, 0] == pytest.approx(4.6, abs=0.3)
    assert things.seen[0, 0] < 0.3
    assert things.seen[0, 1] > 0.8
    near = things.centre[0, 0] - things.size[0, 0] / 2
    assert near == pytest.approx(10.0 - 2.1, abs=0.1)
    assert things.near[0].tolist()[0] == -1
    covariance = np.reshape(detections_3d(things, LABELS).detections[0].results[0].pose.covariance, (6, 6))
    assert covariance[0, 0] > 4 * covariance[1, 1]
    np.testing.assert_array_equal(covariance, covariance.T)
    assert (np.linalg.eigvalsh(covariance) >= 0).all()


@pytest.mark.parametrize(("label", "speed", "size"), [(PERSON, 1.4, (0.5, 0.5, 1.7)), (VEHICLE, 6.0, (4.5, 1.8, 1.5))])
def test_velocity_within_a_second_while_the_robot_moves_and_turns(label: int, speed: float, size) -> None:
    memory = ObjectMemory(LABELS)
    for i in range(16):
        time = 0.1 * i
        camera = pose(0.1 * i, 0.02 * i, yaw=0.02 * i)
        centre = (12.0, -3.0 + speed * time)
        things = step(memory, time, camera, (3, label, faces(centre, size, np.pi / 2, camera[:2, 3])))
    np.testing.assert_allclose(things.velocity[0], (0, speed, 0), atol=0.25)
    np.testing.assert_allclose(things.centre[0, :2], centre, atol=0.3)
    assert things.yaw[0] == pytest.approx(np.pi / 2, abs=0.1)


def test_points_that_bled_over_the_border_and_the_ground_under_it_do_not_move_a_box() -> None:
    size = (0.4, 0.4, 0.8)
    clean = faces((6.0, 0.0), size, 0.0, np.zeros(2))
    wall = np.column_stack((np.full(60, 9.0), np.linspace(-0.3, 0.3, 60), np.linspace(0.5, 1.5, 60)))
    floor = np.column_stack((np.linspace(5, 8, 40), np.zeros(40), np.full(40, 0.01)))
    a, b = (ObjectMemory(LABELS) for _ in range(2))
    expected = step(a, 0.0, pose(), (1, CONE, clean))
    found = step(b, 0.0, pose(), (1, CONE, np.concatenate((clean, wall, floor))))
    np.testing.assert_allclose(found.centre, expected.centre, atol=0.02)
    np.testing.assert_allclose(found.size, expected.size, atol=0.02)


def test_a_thing_is_carried_on_while_hidden_and_ends_with_its_track() -> None:
    memory, config = ObjectMemory(LABELS), ObjectsConfig()
    for i in range(10):
        person = faces((8.0, 0.1 * i), (0.4, 0.4, 1.7), 0.0, np.zeros(2))
        things = step(
            memory, 0.1 * i, pose(), (1, PERSON, person), (2, CONE, faces((5, 2), (0.4, 0.4, 0.7), 0, np.zeros(2)))
        )
    assert things.ids.tolist() == [1, 2]
    before = things.centre[0, 1]
    for i in range(10, 15):
        things = step(memory, 0.1 * i, pose(), (2, CONE, faces((5, 2), (0.4, 0.4, 0.7), 0, np.zeros(2))))
    assert things.ids.tolist() == [1, 2]
    assert things.centre[0, 1] == pytest.approx(before + 0.5, abs=0.15)
    assert (things.stamp - things.last).tolist() == [5 * 10**8, 0]
    things = step(memory, 0.9 + config.max_lost + 0.1, pose())
    assert 1 not in things.ids


def test_what_reaches_above_the_last_beam_is_as_high_as_its_mask() -> None:
    k = np.array([[100.0, 0, 99.5], [0, 100, 59.5], [0, 0, 1]])
    camera = Camera(
        CameraModel(200, 120, "", k, np.zeros(5), np.eye(3), np.column_stack((k, np.zeros(3)))), rectified=True
    )
    person = faces((8.0, 1.0), (0.4, 0.4, 1.7), 0.0, np.zeros(2))
    beams = np.isclose(person[:, 2], 0.3, atol=0.04) | np.isclose(person[:, 2], 1.0, atol=0.04)
    points, _ = look(pose(), (1, PERSON, person[beams]))
    u, v, _ = camera.project(np.column_stack((person, np.ones(len(person)))) @ np.linalg.inv(pose())[:3].T)
    panoptic = np.full((120, 200), ROAD, np.int32)
    panoptic[round(float(v.min())) : round(float(v.max())), int(u.min()) : int(u.max()) + 1] = 1 << 16 | PERSON
    semantic = (panoptic & 0xFFFF).astype(np.uint8)
    masks = PanopticMap(semantic, np.full(semantic.shape, 200, np.uint8), panoptic)
    for seen_by, expected in ((None, 1.0), (camera, 1.7)):
        things = ObjectMemory(LABELS).update(0, points, pose(), "map", masks, ObjectsConfig(), seen_by)
        assert things.size[0, 2] == pytest.approx(expected, abs=0.1)


def test_a_track_that_goes_over_to_another_thing_begins_anew_there() -> None:
    memory, speeds = ObjectMemory(LABELS), []
    for i in range(30):
        x, y = (8.0, 0.1 * i) if i < 12 else (5.0, 3.0 - 0.05 * (i - 12))
        person = faces((x, y), (0.4, 0.4, 1.7), 0.0, np.zeros(2))
        things = step(memory, 0.1 * i, pose(), (1, PERSON, person))
        speeds.append(np.hypot(*things.velocity[0, :2]))
        if i == 13:
            assert things.centre[0, 0] == pytest.approx(8.0, abs=0.3), "a look that is far off is not believed at once"
        if i == 17:
            np.testing.assert_allclose(things.centre[0, :2], (x, y), atol=0.3)
            assert things.deviation[0, 1] > 0.5, "how fast it is here is not known yet"
    assert max(speeds) < 1.6
    np.testing.assert_allclose(things.velocity[0, :2], (0, -0.5), atol=0.2)


def test_a_mask_that_lies_on_something_else_for_a_moment_does_not_move_a_box() -> None:
    memory = ObjectMemory(LABELS)
    for i in range(20):
        x = 8.0 if i not in (12, 13) else 12.0
        car = faces((x, 0.0), (4.2, 1.8, 1.5), 0.0, np.zeros(2))
        things = step(memory, 0.1 * i, pose(), (1, VEHICLE, car))
        if i > 3:
            assert things.centre[0, 0] == pytest.approx(8.0, abs=0.4)
            assert np.hypot(*things.velocity[0, :2]) < 0.3
    assert things.stamp == things.last[0]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_parked_car_that_leaves_the_image_as_it_is_passed_stands_still(side: float) -> None:
    memory, size, centre = ObjectMemory(LABELS), (4.2, 1.8, 1.5), (12.0, side * 3.0)
    for i in range(140):
        camera = pose(0.1 * i)
        car = faces(centre, size, 0.0, camera[:2, 3])
        car = car[car[:, 0] < 12.0 + 0.5 * np.sin(i)]  # the far end is seen badly
        inside = np.abs(np.arctan2(car[:, 1], car[:, 0] - camera[0, 3])) < np.radians(35)
        if np.count_nonzero(inside) < 20:
            break
        points, panoptic = look(camera, (7, VEHICLE, car[inside]))
        if not inside.all():
            panoptic.panoptic[5, 0 if side > 0 else -1] = 7 << 16 | VEHICLE
        things = memory.update(round(0.1 * i * NANOSECONDS), points, camera, "map", panoptic, ObjectsConfig())
        if i > 10:
            assert np.hypot(*things.velocity[0, :2]) < 0.5, i
            assert np.hypot(*(things.centre[0, :2] - centre)) < 0.7, i
    assert i < 139, "it was passed"


def test_state_is_bounded_and_a_jump_back_in_time_begins_anew() -> None:
    memory = ObjectMemory(LABELS)
    cone = faces((5.0, 0.0), (0.4, 0.4, 0.7), 0.0, np.zeros(2))
    for i in range(200):
        things = step(memory, 0.1 * i, pose(), (i + 1, CONE, cone))
    assert len(things) <= 17
    assert things.ids[-1] == 200
    late = step(memory, 19.8, pose(), (900, CONE, cone))
    assert 900 not in late.ids
    assert late.stamp == things.stamp
    assert step(memory, 1.0, pose(), (5, CONE, cone)).ids.tolist() == [5]


def test_no_ground_no_points_and_points_that_are_not_numbers() -> None:
    memory = ObjectMemory(LABELS)
    empty = LabelledPoints(np.zeros((0, 3), np.float32), *(np.zeros(0, t) for t in (np.uint8, np.int32, np.uint8)))
    nothing = PanopticMap(*(np.zeros((4, 4), t) for t in (np.uint8, np.uint8, np.int32)))
    assert len(memory.update(0, empty, pose(), "map", nothing, ObjectsConfig())) == 0
    inverse = np.linalg.inv(pose())
    cone = faces((5.0, 0.0), (0.4, 0.4, 0.7), 0.0, np.zeros(2)) @ inverse[:3, :3].T + inverse[:3, 3]
    cone[::3] = np.nan
    n = len(cone)
    points = LabelledPoints(
        cone.astype(np.float32), np.full(n, CONE, np.uint8), np.full(n, 4, np.int32), np.full(n, 9, np.uint8)
    )
    things = memory.update(10**8, points, pose(), "map", nothing, ObjectsConfig())
    assert things.ids.tolist() == [4]
    assert np.isfinite(things.centre).all()


def test_sizes_of_classes_come_from_themselves_or_their_ancestors() -> None:
    cityscapes = LabelSpace.load("cityscapes")
    known = dict(zip((c.name for c in cityscapes.classes), priors(cityscapes, "default"), strict=True))
    assert known["car"] == known["truck"] == priors(LABELS, "default")[VEHICLE]
    assert known["road"] is None
    with pytest.raises(ConfigError, match="sizes"):
        priors(LABELS, "nonsense")
    for name in ("navigation", "cityscapes", "coco", "voc"):
        space = LabelSpace.load(name)
        things = [
            c.name for c, p in zip(space.classes, priors(space, "default"), strict=True) if c.kind == "thing" and p
        ]
        assert len(things) == sum(c.kind == "thing" for c in space.classes)


def test_the_direction_of_two_faces_is_found() -> None:
    for yaw in np.radians((0, 10, 33, 61, 85)):
        xy = faces((8.0, 1.0), (4.0, 1.8, 0.1), yaw, np.zeros(2))[:, :2]
        found = ANGLES[misfits(xy).argmin()]
        assert abs((found - yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4) < np.radians(2.6)


def test_the_height_of_the_ground_follows_a_slope_and_a_kerb() -> None:
    x, y = (a.ravel() for a in np.meshgrid(np.arange(0, 10, 0.4), np.arange(-5, 5, 0.4)))
    ground = Ground(np.column_stack((x, y, 0.1 * x + 0.12 * (y > 0))))
    assert ground.height(np.array((5.0, -3.0))) == pytest.approx(0.5, abs=0.05)
    assert ground.height(np.array((5.0, 3.0))) == pytest.approx(0.62, abs=0.05)
    assert ground.height(np.array((20.0, -3.0))) == pytest.approx(2.0, abs=0.2)
    assert Ground(np.zeros((3, 3))).height(np.zeros(2)) is None


def test_messages_say_what_the_objects_say() -> None:
    memory = ObjectMemory(LABELS)
    camera = pose()
    for i in range(12):
        person = faces((8.0, 0.15 * i), (0.4, 0.4, 1.7), 0.0, np.zeros(2))
        car = faces((12.0, 3.0), (4.0, 1.8, 1.5), 0.3, np.zeros(2))
        things = step(memory, 0.1 * i, camera, (3, PERSON, person), (5, VEHICLE, car))
    boxes, cloud, shown = detections_3d(things, LABELS), state_cloud(things), markers(things, LABELS)
    assert [d.id for d in boxes.detections] == ["3", "5"]
    assert [d.results[0].hypothesis.class_id for d in boxes.detections] == ["person", "vehicle"]
    assert boxes.header.frame_id == "map"
    assert {d.header.frame_id for d in boxes.detections} == {"map"}
    size = boxes.detections[1].bbox.size
    np.testing.assert_allclose((size.x, size.y, size.z), things.size[1])
    turn = boxes.detections[1].bbox.center.orientation
    assert 2 * np.arctan2(turn.z, turn.w) == pytest.approx(things.yaw[1])
    assert [f.name for f in cloud.fields] == [f.name for f in STATE]
    assert [f.offset for f in cloud.fields] == list(range(0, 4 * 14, 4))
    types = np.dtype([(f.name, {6: "<u4", 7: "<f4"}[f.datatype]) for f in cloud.fields])
    rows = np.frombuffer(cloud.data.tobytes(), types)
    assert (rows["instance"].tolist(), rows["label"].tolist()) == ([3, 5], [PERSON, VEHICLE])
    np.testing.assert_allclose(rows["vy"], things.velocity[:, 1], atol=1e-6)
    np.testing.assert_allclose(rows["confidence"], 0.8)
    np.testing.assert_allclose(rows["age"], 0.0)
    kinds = [(m.ns, m.id, m.action) for m in shown.markers]
    assert kinds[0] == ("", 0, 3)
    assert len(set(kinds)) == len(kinds) == 1 + 3 * 2
    assert {m.text for m in shown.markers} == {"", "person #3", "vehicle #5"}
    edges = np.array([(p.x, p.y, p.z) for p in shown.markers[1].points])
    assert len(edges) == 26  # twelve edges and where it goes
    np.testing.assert_allclose(edges[-1], things.centre[0] + things.velocity[0])
    np.testing.assert_allclose(edges[:24].min(axis=0), corners_of(things, 0).min(axis=0))
    for message in (boxes, cloud, shown):
        assert serialised(message.TYPE, message)

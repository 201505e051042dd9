"""The world's truth agrees with itself: pixels, depth, LiDAR, boxes, velocities, ids."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "1")
pytest.importorskip("mujoco", reason="the world is rendered by MuJoCo: pip install mujoco")

from tools.world import drives, mesh, textures, variants
from tools.world.camera import rotation
from tools.world.lidar import Lidar
from tools.world.motion import Along, Loop, Straight
from tools.world.motion import Path as Movement
from tools.world.place import Bend
from tools.world.scatter import stills
from tools.world.sequence import Moment, Sequence
from tools.world.variants import CLASS_ID, CLASSES, STUFF

SEEDS = (1_000_901, 2_000_901)
FRAMES, RATE = 12, 10


@pytest.fixture(scope="session", autouse=True)
def _display() -> None:
    import mujoco

    try:
        mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8).close()
    except Exception as error:  # what it raises depends on the driver
        pytest.skip(f"MuJoCo cannot render here ({error}); on Debian: apt-get install libegl1 libgl1-mesa-dri")


@pytest.fixture(scope="module", params=SEEDS)
def played(request: pytest.FixtureRequest) -> tuple[Sequence, list[Moment]]:
    sequence = Sequence(request.param, FRAMES, RATE)
    return sequence, list(sequence.moments())


def test_pixels_of_a_thing_have_its_class_and_stuff_has_no_number(played: tuple[Sequence, list[Moment]]) -> None:
    sequence, moments = played
    label_of = np.array([0] + [CLASS_ID[t.label] for t in sequence.scene.things])
    for moment in moments:
        thing, semantic = moment.view.thing, moment.view.semantic
        assert set(np.unique(semantic)) <= set(range(len(CLASSES)))
        np.testing.assert_array_equal(thing > 0, semantic >= len(STUFF))
        np.testing.assert_array_equal(semantic[thing > 0], label_of[thing[thing > 0]])
    assert any(np.any(m.view.thing) for m in moments)


def test_depth_ends_exactly_where_the_sky_begins(played: tuple[Sequence, list[Moment]]) -> None:
    for moment in played[1]:
        np.testing.assert_array_equal(np.isinf(moment.view.depth), moment.view.semantic == CLASS_ID["sky"])
        assert moment.view.depth.min() > 0.05


def test_depth_camera_measures_the_depth(played: tuple[Sequence, list[Moment]]) -> None:
    for moment in played[1]:
        true = moment.view.depth[::2, ::2]
        known = moment.depth > 0
        assert not known[true > 26].any()
        assert known[(true > 0.3) & (true < 20)].all()
        assert np.all(np.abs(moment.depth[known] / 1000 - true[known]) < 0.002 + 0.0008 * 6 * true[known] ** 2)


def test_pixels_of_a_thing_lie_in_its_box(played: tuple[Sequence, list[Moment]]) -> None:
    sequence, moments = played
    k = sequence.scene.lens.k
    checked = 0
    for moment in moments:
        pose = sequence.scene.camera_pose(moment.time)
        for box in moment.boxes:
            v, u = np.nonzero(moment.view.thing == box.number)
            z = moment.view.depth[v, u]
            near = z < 30  # the depth buffer's resolution falls off with distance
            ray = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], np.ones(len(u))], 1)
            points = (ray * z[:, None])[near] @ pose[:3, :3].T + pose[:3, 3]
            inside = np.abs((points - box.centre) @ rotation(box.yaw)) <= box.size / 2 + 0.05
            assert inside.all(), (box.number, box.label)
            checked += len(points)
    assert checked > 1000


def test_what_is_called_visible_is_seen(played: tuple[Sequence, list[Moment]]) -> None:
    for moment in played[1]:
        assert {b.number for b in moment.boxes if b.visible} == set(np.unique(moment.view.thing)) - {0}


def test_lidar_points_land_on_what_they_hit(played: tuple[Sequence, list[Moment]]) -> None:
    sequence, moments = played
    scene, k = sequence.scene, sequence.scene.lens.k
    for moment in moments[::4]:
        sweep = sequence.sweep(moment.time, Lidar(period=1e-9, error=0.0))  # the world stands still for this turn
        to_camera = np.linalg.inv(scene.camera_pose(moment.time)) @ scene.lidar_pose(moment.time)
        points = sweep.points @ to_camera[:3, :3].T + to_camera[:3, 3]
        ahead = points[:, 2] > 0.3
        u, v = (
            np.round(k[i, i] * points[:, i] / np.where(ahead, points[:, 2], 1) + k[i, 2]).astype(int) for i in (0, 1)
        )
        seen = ahead & (u > 0) & (u < scene.lens.width - 1) & (v > 0) & (v < scene.lens.height - 1)
        u, v, z, geom = u[seen], v[seen], points[seen, 2], sweep.geom[seen]
        around = np.stack([moment.view.geom[v + dv, u + du] for dv in (-1, 0, 1) for du in (-1, 0, 1)])
        inner = (around == around[4]).all(0)
        # The LiDAR sits above the camera: what it sees over an edge is hidden from the camera, and nearer there.
        hidden = moment.view.depth[v, u] < 0.97 * z - 0.05
        ask = inner & ~hidden
        assert ask.sum() > 200
        assert hidden.mean() < 0.3
        np.testing.assert_array_equal(geom[ask], moment.view.geom[v, u][ask])


def test_lidar_times_run_through_one_turn(played: tuple[Sequence, list[Moment]]) -> None:
    sweep = played[0].sweep(0.0, Lidar())
    assert 0 <= sweep.time.min() < 0.011
    assert 0.089 < sweep.time.max() <= 0.1
    azimuth = np.arctan2(sweep.points[:, 1], sweep.points[:, 0])
    np.testing.assert_allclose(azimuth, np.pi - 2 * np.pi * sweep.time / 0.1, atol=2 * np.pi / 10)


def test_ids_and_boxes_persist_while_hidden(played: tuple[Sequence, list[Moment]]) -> None:
    for before, after in pairwise(played[1]):
        assert [(b.number, b.label) for b in before.boxes] == [(b.number, b.label) for b in after.boxes]
        for old, new in zip(before.boxes, after.boxes, strict=True):
            np.testing.assert_array_equal(old.size, new.size)
            speed = max(np.linalg.norm(old.velocity), np.linalg.norm(new.velocity))
            assert np.linalg.norm((new.centre - old.centre)[:2]) <= (speed + 0.3) / RATE


def test_some_thing_is_hidden_and_comes_back() -> None:
    moments = list(Sequence(2_000_901, 40, 5).moments())
    returned = 0
    for index in range(len(moments[0].boxes)):
        seen = "".join("1" if m.boxes[index].visible else "0" for m in moments)
        returned += "01" in seen.lstrip("0")
    assert returned > 0


def test_velocities_are_the_derivative_of_positions() -> None:
    sequence = Sequence(2_000_901, 60, 30)
    tracks = [[sequence.boxes(t, set())[i] for t in sequence.times] for i in range(len(sequence.boxes(0.0, set())))]
    for track in tracks:
        centres, velocities = np.array([b.centre for b in track]), np.array([b.velocity for b in track])
        np.testing.assert_allclose((centres[2:] - centres[:-2])[:, :2] * 15, velocities[1:-1, :2], atol=0.03)


def test_one_seed_gives_one_sequence() -> None:
    first, second = (list(Sequence(1_000_902, 2, 10).moments()) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.view.thing, b.view.thing)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal([x.centre for x in a.boxes], [x.centre for x in b.boxes])


def test_another_seed_gives_another_sequence(played: tuple[Sequence, list[Moment]]) -> None:
    other = next(Sequence(1_000_902, 1, 10).moments())
    assert np.mean(other.view.semantic != played[1][0].view.semantic) > 0.05


def test_stills_have_consistent_truth() -> None:
    views = list(stills(1_000_903, 3, (256, 144)))
    assert len(views) == 3
    for view in views:
        assert view.image.shape == (144, 256, 3)
        np.testing.assert_array_equal(view.thing > 0, view.semantic >= len(STUFF))
    assert np.mean(views[0].semantic != views[1].semantic) > 0.05


def test_drives_are_bolder_sequences_with_consistent_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drives, "SCENES", 2)
    monkeypatch.setattr(drives, "VIEWS", 2)
    drives.write_drives(tmp_path / "a", 0, 1)
    drives.write_drives(tmp_path / "b", 0, 1)
    views = np.load(tmp_path / "a" / "00000.npy")
    assert views.shape == (4, 360, 640, 5)
    np.testing.assert_array_equal(views[..., 4] > 0, views[..., 3] >= len(STUFF))
    np.testing.assert_array_equal(views, np.load(tmp_path / "b" / "00000.npy"))
    assert variants.split_of(drives.SEEDS + 100_000) == "train"


@pytest.mark.parametrize("kind", sorted(textures.PATTERNS))
def test_a_free_surface_can_be_painted_for_every_kind(kind: str) -> None:
    for seed in range(12):
        picture = textures.free(np.random.default_rng(seed), kind)
        assert picture.dtype == np.uint8
        assert (
            picture.shape
            == textures.PATTERNS[kind][variants.TRAIN_VARIANTS[kind][0]](np.random.default_rng(seed)).shape
        )


def test_a_bag_holds_the_sequence_and_is_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("mcap", reason="bags need mcap and rosbags")
    reader = pytest.importorskip("mcap.reader")
    from tools.world.bag import write_bag

    for name in ("a.mcap", "b.mcap"):
        write_bag(tmp_path / name, 1_000_904, 3, 10, True, Lidar(beams=4, columns=90))
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    with (tmp_path / "a.mcap").open("rb") as file:
        summary = reader.make_reader(file).get_summary()
    counts = {summary.channels[c].topic: n for c, n in summary.statistics.channel_message_counts.items()}
    for topic in ("/camera/image_raw/compressed", "/camera/camera_info", "/camera/depth/image_raw", "/lidar/points",
                  "/truth/semantic", "/truth/panoptic", "/truth/objects", "/truth/points"):  # fmt: skip
        assert counts[topic] == 3, topic
    assert counts["/tf"] > 20
    assert counts["/tf_static"] == 1


# The parts


def test_splits_share_neither_seeds_nor_variants() -> None:
    assert [variants.split_of(s) for s in (0, 999_999, 1_000_000, 1_999_999, 2_000_000)] == [
        "train",
        "train",
        "val",
        "val",
        "test",
    ]
    assert variants.TRAIN_VARIANTS.keys() == variants.TEST_VARIANTS.keys()
    for kind, names in variants.TRAIN_VARIANTS.items():
        assert names
        assert variants.TEST_VARIANTS[kind]
        assert not set(names) & set(variants.TEST_VARIANTS[kind]), kind
    with pytest.raises(ValueError, match="negative"):
        variants.split_of(-1)


@pytest.mark.parametrize("kind", sorted(textures.PATTERNS))
def test_every_variant_can_be_painted(kind: str) -> None:
    names = set(variants.TRAIN_VARIANTS[kind]) | set(variants.TEST_VARIANTS[kind])
    assert names == set(textures.PATTERNS[kind])
    for name in sorted(names):
        picture = textures.PATTERNS[kind][name](np.random.default_rng(0))
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert picture.std() > 1


def _volume(shape: mesh.Mesh) -> float:
    a, b, c = (shape.vertices[shape.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("shape", "volume"),
    [
        (mesh.slab(2, 3, 1, 2), 6.0),
        (mesh.gable(4, 2, 0, 1, overhang=0), 4.0),
        (mesh.lathe([(1, 0), (1, 2)], sides=60), 2 * np.pi),
        (mesh.loft([(0, 0, 2, 1), (3, 0, 2, 1)], roundness=1.0, sides=60), 3 * np.pi),
        (mesh.blob(np.random.default_rng(0), 0.0, rings=40), 4 / 3 * np.pi),
    ],
)
def test_meshes_are_closed_and_face_outwards(shape: mesh.Mesh, volume: float) -> None:
    assert _volume(shape) == pytest.approx(volume, rel=0.02)


_paths = st.one_of(
    st.builds(
        Straight,
        st.floats(-50, 50),
        st.floats(-50, 50),
        st.floats(-3, 3),
        st.floats(0.3, 9),
        st.floats(0, 0.2),
        st.floats(3, 6),
    ),
    st.builds(
        Along,
        st.builds(Bend, st.floats(0, 6), st.floats(25, 60), st.floats(0, 6)),
        st.floats(-50, 50),
        st.floats(-9, 9),
        st.floats(0.3, 9),
    ),
    st.builds(
        Loop,
        st.floats(-50, 50),
        st.floats(-50, 50),
        st.floats(1, 5),
        st.floats(1, 3),
        st.floats(0.1, 1),
        st.floats(0, 6),
        st.floats(0, 6),
    ),
)


@given(_paths, st.floats(0, 12))
def test_a_paths_velocity_is_its_derivative_and_its_heading(path: Movement, time: float) -> None:
    before, now, after = (path.at(time + d) for d in (-1e-3, 0.0, 1e-3))
    assert (after.x - before.x) / 2e-3 == pytest.approx(now.vx, abs=1e-3)
    assert (after.y - before.y) / 2e-3 == pytest.approx(now.vy, abs=1e-3)
    assert np.arctan2(now.vy, now.vx) == pytest.approx(now.yaw)
    assert after.travelled > before.travelled


@given(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3))
def test_rotations_and_quaternions_agree(yaw: float, pitch: float, roll: float) -> None:
    pytest.importorskip("rosbags", reason="bags need rosbags")
    from tools.world.bag import quaternion

    turn = rotation(yaw, pitch, roll)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    x, y, z, w = quaternion(turn)
    back = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    np.testing.assert_allclose(back, turn, atol=1e-7)


def test_noise_tiles_without_a_seam() -> None:
    field = textures.noise(np.random.default_rng(3), 1.5)
    seam, inside = np.abs(field[0] - field[-1]).mean(), np.abs(np.diff(field, axis=0)).mean()
    assert seam < 2 * inside

"""Clouds: whatever a driver may send is read, and what goes out is what consumers read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seg_perception import records
from seg_perception.errors import InputError
from seg_perception.interfaces import serialised, typestore
from seg_perception.labels import LabelSpace
from seg_perception.projection.clouds import labelled_cloud, packed_colours, read_cloud, xyz_cloud
from seg_perception.types import LabelledPoints

STAMP = 1_767_225_600_000_000_000
HEADER = records.Header.of(STAMP, "lidar")
DATATYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def message(points: NDArray[Any], big: bool = False, row_padding: int = 0) -> records.PointCloud2:
    """A structured array ``(h, w)`` as a cloud, each row followed by ``row_padding`` bytes."""
    fields = tuple(
        records.PointField(name, entry[1], DATATYPES[entry[0].str[1:]], 1)
        for name, entry in (points.dtype.fields or {}).items()
    )
    height, width = points.shape
    rows = np.zeros((height, width * points.dtype.itemsize + row_padding), np.uint8)
    rows[:, : width * points.dtype.itemsize] = np.ascontiguousarray(points).view(np.uint8).reshape(height, -1)
    step = points.dtype.itemsize
    return records.PointCloud2(HEADER, height, width, fields, big, step, rows.shape[1], rows.ravel(), False)


def driver_cloud(
    names: list[str], kinds: dict[str, str], gaps: list[int], big: bool, shape: tuple[int, int], seed: int
) -> tuple[NDArray[Any], np.ndarray]:
    """A cloud with fields in this order and ``gaps`` bytes between them, and its xyz."""
    offsets, at = [], 0
    for name, gap in zip(names, gaps, strict=False):
        offsets.append(at + gap)
        at = offsets[-1] + np.dtype(kinds[name]).itemsize
    order = ">" if big else "<"
    dtype = np.dtype(
        {"names": names, "formats": [order + kinds[n] for n in names], "offsets": offsets, "itemsize": at + gaps[-1]}
    )
    rng = np.random.default_rng(seed)
    points = np.zeros(shape, dtype)
    for name in names:
        points[name] = rng.integers(0, 100, shape) if kinds[name][0] in "iu" else rng.normal(0, 30, shape)
    return points, np.stack([points[n].astype(np.float32) for n in "xyz"], -1).reshape(-1, 3)


@settings(max_examples=60, deadline=None)
@given(
    names=st.permutations(["x", "y", "z", "intensity", "ring"]),
    kind=st.sampled_from(["f4", "f8"]),
    gaps=st.lists(st.integers(0, 5), min_size=6, max_size=6),
    big=st.booleans(),
    shape=st.tuples(st.integers(1, 4), st.integers(0, 9)),
    padding=st.integers(0, 7),
    seed=st.integers(0, 99),
)
def test_any_order_padding_width_and_endianness(
    names: list[str], kind: str, gaps: list[int], big: bool, shape: tuple[int, int], padding: int, seed: int
) -> None:
    kinds = {"x": kind, "y": kind, "z": kind, "intensity": "u1", "ring": "u2"}
    points, xyz = driver_cloud(names, kinds, gaps, big, shape, seed)
    cloud = read_cloud(message(points, big, padding if shape[0] > 1 else 0))
    np.testing.assert_array_equal(cloud.xyz, xyz)
    assert (cloud.stamp, cloud.frame_id, cloud.times) == (STAMP, "lidar", None)
    assert cloud.xyz.dtype == np.float32


def test_points_that_are_missing_are_nan_whatever_the_driver_writes() -> None:
    points = np.zeros((1, 4), [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    points["x"], points["z"] = [1, np.nan, np.inf, -np.inf], [1, 1, 1, np.inf]
    cloud = read_cloud(message(points))
    np.testing.assert_array_equal(np.isfinite(cloud.xyz), [[True] * 3, *[[False] * 3] * 3])


OFFSETS = np.array([0, 25_000_000, 99_500_000])


@pytest.mark.parametrize(
    ("name", "kind", "values", "tolerance"),
    [
        ("time", "<f4", OFFSETS / 1e9, 10),  # Velodyne
        ("t", "<u4", OFFSETS, 0),  # Ouster
        ("offset_time", "<u4", OFFSETS, 0),  # Livox
        ("timestamp", "<f8", STAMP / 1e9 + OFFSETS / 1e9, 300),  # Hesai, RoboSense
        ("timestamp", "<f8", STAMP + OFFSETS, 300),  # Livox ROS driver 2
        ("time", "<f4", (OFFSETS - 99_500_000) / 1e9, 10),  # stamped at the sweep's end
        ("timestamp", ">f8", OFFSETS / 1e9, 1),
    ],
)
def test_point_times_as_drivers_write_them(name: str, kind: str, values: np.ndarray, tolerance: int) -> None:
    points = np.zeros((1, 3), [("x", kind[0] + "f4"), ("y", kind[0] + "f4"), ("z", kind[0] + "f4"), (name, kind)])
    points[name] = values
    times = read_cloud(message(points, big=kind[0] == ">")).times
    assert times is not None
    expected = OFFSETS + (round(values[0] * 1e9) if values[0] < 0 else 0)
    np.testing.assert_allclose(times, expected, atol=tolerance)
    assert read_cloud(message(points, big=kind[0] == ">"), times=False).times is None


def test_times_that_mean_something_else_are_refused() -> None:
    points = np.zeros((1, 3), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("timestamp", "<f8")])
    points["timestamp"] = STAMP / 1e9 - 3600
    with pytest.raises(InputError, match=r"3\.6e\+03 s from the cloud's stamp.*point_times"):
        read_cloud(message(points))
    points["x"] = np.nan  # a missing point's time says nothing
    assert not read_cloud(message(points)).times.any()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields": ()}, "has no field 'x', only none"),
        ({"data": np.zeros(40, np.uint8)}, "holds 40 bytes, expected height x row_step = 1 x 48"),
        ({"fields": (records.PointField("x", 0, 9, 1),)}, "'x' has the datatype 9"),
        ({"fields": (records.PointField("x", 10, 8, 1),)}, "'x' ends at byte 18 of a point, but a point has 12"),
        ({"height": 2, "width": 2, "row_step": 20}, "row_step is 20, expected at least"),
    ],
)
def test_what_cannot_be_read_is_said(changes: dict[str, Any], words: str) -> None:
    good = message(np.zeros((1, 4), [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]))
    with pytest.raises(InputError, match=words):
        read_cloud(replace(good, **changes))


def labelled(count: int) -> LabelledPoints:
    rng = np.random.default_rng(count)
    xyz = rng.normal(0, 10, (count, 3)).astype(np.float32)
    xyz[::5] = np.nan
    return LabelledPoints(
        xyz,
        rng.choice(np.array([0, 3, 11, 255], np.uint8), count),
        rng.integers(0, 32767, count, np.int32),
        rng.integers(0, 256, count).astype(np.uint8),
    )


def test_labelled_clouds_carry_what_consumers_read() -> None:
    """Hydra: integer labels; Nav2: organised like the mask; RViz and PCL: rgb as a packed float."""
    space, points = LabelSpace.load("navigation"), labelled(12)
    cloud = labelled_cloud(HEADER, points, packed_colours(space.colours), (3, 4))
    assert [(f.name, f.offset, f.datatype) for f in cloud.fields] == [
        ("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("rgb", 12, 7), ("label", 16, 6), ("instance", 20, 6),
        ("confidence", 24, 7),
    ]  # fmt: skip
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (3, 4, 28, 112)
    assert not cloud.is_dense
    names = ["x", "y", "z", "rgb", "label", "instance", "confidence"]
    read = cloud.data.view(np.dtype([(n, "<f4" if n not in ("rgb", "label", "instance") else "<u4") for n in names]))
    np.testing.assert_array_equal(np.stack([read[n] for n in "xyz"], -1), points.xyz)
    np.testing.assert_array_equal(read["label"], points.labels)
    np.testing.assert_array_equal(read["instance"], points.instances)
    np.testing.assert_allclose(read["confidence"], points.confidence / 255)
    red, green, blue = (read["rgb"] >> 16) & 255, (read["rgb"] >> 8) & 255, read["rgb"] & 255
    np.testing.assert_array_equal(np.stack([red, green, blue], -1), space.colours[points.labels])


@pytest.mark.parametrize("count", [0, 7])
def test_clouds_survive_the_bag(count: int) -> None:
    xyz = np.ones((count, 3), np.float32)
    for cloud in (xyz_cloud(HEADER, xyz), labelled_cloud(HEADER, labelled(count), np.zeros(256, np.uint32))):
        read = typestore().deserialize_cdr(serialised(cloud.TYPE, cloud), cloud.TYPE)
        assert (read.height, read.width) == (1, count)
        again = read_cloud(read)
        assert len(again) == count


@pytest.mark.parametrize(("kind", "value"), [("f8", 1e300), ("f8", -1e300)])
def test_times_that_no_clock_shows_are_refused(kind: str, value: float) -> None:
    row = np.zeros((1, 4), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("t", f"<{kind}")])
    row["t"] = value
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="from the cloud's stamp"):
        read_cloud(message(row))

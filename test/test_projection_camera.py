"""Cameras: equal to OpenCV for every lens model, and back again."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception import records
from seg_perception.calibration import camera_model
from seg_perception.errors import InputError
from seg_perception.projection.camera import Camera
from seg_perception.types import CameraModel

WIDTH, HEIGHT = 64, 48
FOCAL = st.floats(25.0, 90.0)
OFFSET = st.floats(-6.0, 6.0)


def coefficients(*bounds: float) -> st.SearchStrategy[list[float]]:
    return st.tuples(*(st.floats(-b, b) for b in bounds)).map(list)


PLUMB_BOB = coefficients(0.4, 0.2, 0.02, 0.02, 0.1)
RATIONAL = coefficients(0.4, 0.2, 0.02, 0.02, 0.1, 0.3, 0.1, 0.05)
FULL = coefficients(0.4, 0.2, 0.02, 0.02, 0.1, 0.3, 0.1, 0.05, 0.02, 0.02, 0.02, 0.02, 0.1, 0.1)
FISHEYE = coefficients(0.2, 0.1, 0.05, 0.02)
LENSES = st.one_of(
    st.tuples(st.just("plumb_bob"), PLUMB_BOB),
    st.tuples(st.just("rational_polynomial"), st.one_of(RATIONAL, FULL)),
    st.tuples(st.just("equidistant"), FISHEYE),
)


def model(name: str, d: list[float], fx: float, fy: float, ox: float, oy: float) -> CameraModel:
    k = np.array([[fx, 0, WIDTH / 2 - 0.5 + ox], [0, fy, HEIGHT / 2 - 0.5 + oy], [0, 0, 1]])
    return CameraModel(WIDTH, HEIGHT, name, k, np.array(d), np.eye(3), np.column_stack([k, np.zeros(3)]))


CAMERAS = st.builds(lambda lens, *rest: model(*lens, *rest), LENSES, FOCAL, FOCAL, OFFSET, OFFSET)


def opencv(camera: CameraModel, points: np.ndarray) -> np.ndarray:
    """Where OpenCV puts them, pixel centres at integers."""
    shaped, zero = points.reshape(-1, 1, 3), np.zeros(3)
    if camera.distortion_model == "equidistant":
        return cv2.fisheye.projectPoints(shaped, zero, zero, camera.k, camera.d)[0].reshape(-1, 2)
    return cv2.projectPoints(shaped, zero, zero, camera.k, camera.d)[0].reshape(-1, 2)


def cloud(seed: int, spread: float = 0.9, count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.3, 40, count)
    return np.column_stack([rng.uniform(-spread, spread, count) * z, rng.uniform(-spread, spread, count) * z, z])


@settings(max_examples=60, deadline=None)
@given(CAMERAS, st.integers(0, 1000))
def test_points_land_where_opencv_puts_them(lens: CameraModel, seed: int) -> None:
    camera, points = Camera(lens, rectified=False), cloud(seed)
    u, v, depth = camera.project(points)
    described = np.hypot(points[:, 0], points[:, 1]) < camera.limit * points[:, 2]
    assert (np.isfinite(u) == described).all()
    expected = opencv(lens, points) + 0.5
    np.testing.assert_allclose(np.column_stack([u, v])[described], expected[described], rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(depth, points[:, 2])


@settings(max_examples=60, deadline=None)
@given(CAMERAS, st.integers(0, 1000))
def test_single_precision_is_good_to_a_thousandth_of_a_pixel(lens: CameraModel, seed: int) -> None:
    camera, points = Camera(lens, rectified=False), cloud(seed)
    fine, coarse = camera.project(points), camera.project(points.astype(np.float32))
    both = np.isfinite(fine.u) & np.isfinite(coarse.u) & (np.abs(fine.u) < 1000) & (np.abs(fine.v) < 1000)
    assert np.abs(fine.u - coarse.u)[both].max(initial=0) < 1e-3
    assert coarse.u.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(CAMERAS)
def test_every_pixel_with_a_direction_comes_back_to_itself(lens: CameraModel) -> None:
    camera = Camera(lens, rectified=False)
    points = camera.back_project(np.full((HEIGHT, WIDTH), 7.0, np.float32)).reshape(-1, 3)
    there = np.isfinite(points[:, 0])
    u, v, _ = camera.project(points[there])
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    np.testing.assert_allclose(u, x.ravel()[there], atol=1e-3)
    np.testing.assert_allclose(v, y.ravel()[there], atol=1e-3)
    assert camera.blind == pytest.approx(1 - there.mean())


@settings(max_examples=60, deadline=None)
@given(CAMERAS, st.integers(0, 1000))
def test_points_in_the_image_come_back_to_themselves(lens: CameraModel, seed: int) -> None:
    camera, points = Camera(lens, rectified=False), cloud(seed)
    u, v, _ = camera.project(points)
    # Just before its limit a lens squeezes all directions into one pixel: nothing comes back from there.
    inside = (u >= 0) & (v >= 0) & (u < WIDTH) & (v < HEIGHT)
    inside &= np.hypot(points[:, 0], points[:, 1]) < 0.95 * min(camera.limit, 15) * points[:, 2]
    x, y = camera.directions(u[inside], v[inside])
    again = camera.project(np.column_stack([x, y, np.ones_like(x)]))
    found = np.isfinite(x)
    assert found.all() or (lens.distortion_model != "equidistant" and found.mean() > 0.9)
    np.testing.assert_allclose(again.u[found], u[inside][found], atol=1e-3)
    np.testing.assert_allclose(again.v[found], v[inside][found], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "d", "share"),
    [
        ("plumb_bob", [-0.3, 0.1, 0.001, -0.0005, 0.0], 0.0),
        ("plumb_bob", [-0.45, 0.0, 0.0, 0.0, 0.0], 0.75),
        ("rational_polynomial", [0.2, 0.05, 0.0005, 0.0003, 0.005, 0.45, 0.1, 0.02], 0.0),
        ("equidistant", [-0.02, 0.005, -0.003, 0.0005], 0.0),
    ],
)
def test_lenses_as_they_are_calibrated(name: str, d: list[float], share: float) -> None:
    """Real coefficients are invertible all over the image; where a model is not, those pixels have no direction."""
    camera = Camera(model(name, d, 30.0, 30.0, 1.0, -2.0), rectified=False)
    assert camera.blind <= share
    if share:
        assert camera.blind > 0.05
        assert camera.limit == pytest.approx(np.sqrt(1 / (3 * 0.45)))
        assert np.isnan(camera.project(np.array([[0.9, 0.0, 1.0]])).u).all()


def test_rectified_images_are_projected_with_p_and_its_baseline() -> None:
    lens = model("plumb_bob", [0.3, 0.1, 0.01, 0.01, 0.0], 40.0, 41.0, 0.0, 0.0)
    p = np.array([[50.0, 0, 31, -6.0], [0, 50.0, 22, 0.25], [0, 0, 1, 0.003]])
    camera, points = Camera(replace(lens, p=p), rectified=True), cloud(3)
    w = np.column_stack([points, np.ones(len(points))]) @ p.T
    u, v, depth = camera.project(points)
    np.testing.assert_allclose(u, w[:, 0] / w[:, 2] + 0.5)
    np.testing.assert_allclose(v, w[:, 1] / w[:, 2] + 0.5)
    np.testing.assert_allclose(depth, w[:, 2])
    back = camera.back_project(points[:, 2], np.column_stack(camera.directions(u, v)))
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_raw_images_of_a_stereo_camera_are_seen_from_the_rectified_frame() -> None:
    """A point on a pixel of the rectified image lies on the raw pixel that OpenCV's rectification takes it from."""
    lens = model("plumb_bob", [-0.2, 0.05, 0.001, 0.002, 0.0], 40.0, 40.0, 0.5, -0.5)
    turn = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
    p = np.array([[38.0, 0, 31, -4.0], [0, 38.0, 23, 0], [0, 0, 1, 0]])
    lens = replace(lens, r=turn, p=p)
    points = cloud(4, spread=0.4)
    across, down = cv2.initUndistortRectifyMap(lens.k, lens.d, turn, p[:, :3], (WIDTH, HEIGHT), cv2.CV_32FC1)
    rectified, raw = Camera(lens, rectified=True).project(points), Camera(lens, rectified=False).project(points)
    u, v = rectified.u - 0.5, rectified.v - 0.5
    inside = (u > 1) & (v > 1) & (u < WIDTH - 2) & (v < HEIGHT - 2)
    for found, expected in ((raw.u, across), (raw.v, down)):
        taken = cv2.remap(expected, u[inside].astype(np.float32), v[inside].astype(np.float32), cv2.INTER_LINEAR)
        np.testing.assert_allclose(found[inside], taken.ravel() + 0.5, atol=0.05)


def test_points_behind_and_missing_points_land_nowhere() -> None:
    for name, d in (("plumb_bob", [0.0] * 5), ("plumb_bob", [0.1, 0, 0, 0, 0]), ("equidistant", [0.01, 0, 0, 0])):
        camera = Camera(model(name, d, 40, 40, 0, 0), rectified=False)
        points = np.array([[0, 0, -1.0], [np.nan, 1, 2], [1, 1, 0.0]], np.float32)
        u, v, _ = camera.project(points)
        assert np.isnan(u).all()
        assert np.isnan(v).all()
        assert len(camera.project(np.zeros((0, 3), np.float32)).u) == 0


def test_what_cannot_be_used_is_said() -> None:
    lens = model("plumb_bob", [0.1, 0, 0, 0, 0], 40, 40, 0, 0)
    with pytest.raises(InputError, match=r"P is all zeros.*input_rectified"):
        Camera(replace(lens, p=np.zeros((3, 4))), rectified=True)
    with pytest.raises(InputError, match=r"'mei'.*equidistant"):
        Camera(replace(lens, distortion_model="mei"), rectified=False)
    Camera(replace(lens, p=np.zeros((3, 4)), r=np.zeros((3, 3))), rectified=False)
    Camera(replace(lens, d=np.zeros(5), p=np.zeros((3, 4))), rectified=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 20), st.integers(0, 20))
def test_region_and_binning_see_what_the_whole_image_sees(bx: int, by: int, left: int, top: int) -> None:
    k = np.array([40.0, 0, 30.2, 0, 41.0, 22.7, 0, 0, 1])
    p = np.array([39.0, 0, 31.0, 1.0, 0, 39.5, 23.0, 0, 0, 0, 1, 0])
    roi = records.RegionOfInterest(left, top, 24, 36)
    header = records.Header.of(0, "optical")
    whole = records.CameraInfo(header, HEIGHT, WIDTH, "plumb_bob", np.full(5, 0.01), k, np.eye(3).ravel(), p)
    part = camera_model(replace(whole, binning_x=bx, binning_y=by, roi=roi))
    assert (part.width, part.height) == (36 // bx, 24 // by)
    for rectified in (True, False):
        points = cloud(1, 0.3)
        u, v, _ = Camera(camera_model(whole), rectified=rectified).project(points)
        a, b, _ = Camera(part, rectified=rectified).project(points)
        np.testing.assert_allclose(a, (u - left) / bx)
        np.testing.assert_allclose(b, (v - top) / by)


def test_a_region_outside_the_image_is_refused() -> None:
    k = np.array([40.0, 0, 30.2, 0, 41.0, 22.7, 0, 0, 1])
    info = records.CameraInfo(
        records.Header.of(0, ""), HEIGHT, WIDTH, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), np.zeros(12),
        roi=records.RegionOfInterest(60, 0, 10, 10),
    )  # fmt: skip
    with pytest.raises(InputError, match="region of interest is 10x10 at 60, 0"):
        camera_model(info)

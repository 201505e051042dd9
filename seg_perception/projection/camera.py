"""Cameras as OpenCV models them: points to pixels and back.

Pixels here have their *edges* at integers (:mod:`seg_perception.types`), half a pixel more than OpenCV and ROS say.
Points lie in the camera's optical frame (z forward, x right, y down). Where a calibration has a rectification R or a
baseline in P, that frame is the rectified one of the stereo pair's first camera: so image_geometry and
stereo_image_proc read it, whose clouds carry the same frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.types import CameraModel, Float32Array

Array = NDArray[np.float64]
Distort = Callable[[Array, Array], tuple[Array, Array]]

_ROUNDS = 12
_STEP = 1e-6


class Projected(NamedTuple):
    """Where N points land: ``u``, ``v`` pixels and ``depth`` along the optical axis, ``(N,)`` each, of the points'
    float type; NaN in ``u`` and ``v`` for points behind the camera and outside of what its lens model describes.
    """

    u: NDArray[np.floating]
    v: NDArray[np.floating]
    depth: NDArray[np.floating]


@dataclass(frozen=True)
class _Lens:
    """A distortion model: ``distort`` takes ideal ``x / z, y / z`` to distorted ones; ``radial`` says how far from the
    axis a point at radius r lands when only the symmetric terms count, and up to ``limit`` that distance grows with r.
    """

    distort: Distort
    radial: Callable[[Array], Array]
    limit: float


class Camera:
    """One camera at one image size. ``rectified`` says which half of the calibration holds: P, for images that were
    undistorted, or K with D and R, for images as the sensor delivers them.

    Raises :class:`InputError` for a calibration that has not what is needed.
    """

    def __init__(self, model: CameraModel, *, rectified: bool) -> None:
        self.width, self.height = model.width, model.height
        self._lens: _Lens | None = None
        usable = bool(model.p[0, 0] > 0 and model.p[1, 1] > 0)
        distorted = bool(model.d.any()) or model.distortion_model == "equidistant"
        if rectified and not usable and distorted:
            raise InputError(
                "the calibration's P is all zeros, expected the projection of the rectified image; set input_rectified "
                "to false for images that are not rectified"
            )
        if rectified:
            p = model.p if usable else np.column_stack([model.k, np.zeros(3)])
            self._linear, pose = p[:, :3], np.column_stack([np.eye(3), np.linalg.solve(p[:, :3], p[:, 3])])
        else:
            turn = _rotation(model.r)
            shift = np.linalg.solve(model.p[:, :3], model.p[:, 3]) if usable else np.zeros(3)
            self._linear, pose = model.k, turn.T @ np.column_stack([np.eye(3), shift])
            if distorted:
                self._lens = _lens(model)
        self._pose = np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])

    @property
    def limit(self) -> float:
        """Largest ``tan`` of the angle from the optical axis at which the lens model can be inverted: beyond it two
        directions would share a pixel, and points are out of view. Infinite for most.
        """
        return np.inf if self._lens is None else self._lens.limit

    @cached_property
    def blind(self) -> float:
        """Which part of the image (0..1) has no direction, because it lies beyond :attr:`limit`."""
        return float(np.isnan(self.rays[..., 0]).mean())

    def project(self, points: NDArray[np.floating]) -> Projected:
        """Where ``points`` ``(N, 3)`` land; the result has their float type. It may lie outside the image; NaN points
        give NaN.
        """
        if self._lens is None:
            # One product for frame and lens; the last row of the linear part is 0 0 1, so the third is the depth.
            u, v, depth = _columns(points, self._linear @ self._pose[:3])
            with np.errstate(divide="ignore", invalid="ignore"):
                scale = np.reciprocal(depth)
                np.putmask(scale, ~(depth > 0), np.nan)
                for column in (u, v):
                    column *= scale
                    column += points.dtype.type(0.5)
            return Projected(u, v, depth)
        x, y, depth = _columns(points, self._pose[:3])
        return self._project_distorted(self._lens, x, y, depth)

    def _project_distorted(
        self, lens: _Lens, x: NDArray[np.floating], y: NDArray[np.floating], depth: NDArray[np.floating]
    ) -> Projected:
        u, v = np.full(depth.shape, np.nan, depth.dtype), np.full(depth.shape, np.nan, depth.dtype)
        # Of a turning LiDAR most points are not ahead; the polynomials are for those that are.
        with np.errstate(over="ignore", invalid="ignore"):
            ahead = np.flatnonzero((depth > 0) & (x * x + y * y < np.square(self.limit * depth)))
        z = depth[ahead]
        x, y = lens.distort(x[ahead] / z, y[ahead] / z)
        k = self._linear.astype(depth.dtype)
        half = depth.dtype.type(0.5)
        u[ahead] = k[0, 0] * x + k[0, 1] * y + (k[0, 2] + half)
        v[ahead] = k[1, 1] * y + (k[1, 2] + half)
        return Projected(u, v, depth)

    def directions(self, u: Array, v: Array) -> tuple[Array, Array]:
        """``x`` and ``y`` at z = 1 of the directions that pixels ``u, v`` look in, seen from the camera itself and
        turned like the optical frame; NaN beyond :attr:`limit`.
        """
        k = self._linear
        y = (v - 0.5 - k[1, 2]) / k[1, 1]
        x = (u - 0.5 - k[0, 2] - k[0, 1] * y) / k[0, 0]
        if self._lens is not None:
            x, y = _undistorted(self._lens, x, y)
        turn = self._pose[:3, :3]
        if np.array_equal(turn, np.eye(3)):
            return x, y
        across, down, ahead = turn.T @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(ahead > 0, 1 / ahead, np.nan)
        return (across * scale).reshape(x.shape), (down * scale).reshape(y.shape)

    @cached_property
    def rays(self) -> Float32Array:
        """``(H, W, 2)`` float32: :meth:`directions` of every pixel's centre."""
        v, u = np.mgrid[: self.height, : self.width] + 0.5
        return np.stack(self.directions(u, v), -1).astype(np.float32)

    def back_project(self, depth: Float32Array, rays: NDArray[np.floating] | None = None) -> NDArray[np.floating]:
        """The points ``(..., 3)`` at ``depth`` (metres along z in the optical frame) on ``rays`` ``(..., 2)``, or for a
        whole image ``(H, W)`` on its pixels' own.
        """
        rays = self.rays if rays is None else rays
        sx, sy, sz = (self._pose[:3, :3].T @ self._pose[:3, 3]).tolist()
        points = np.empty((*depth.shape, 3), rays.dtype)
        reach = depth + rays.dtype.type(sz) if sz else depth
        np.multiply(rays[..., 0], reach, out=points[..., 0])
        np.multiply(rays[..., 1], reach, out=points[..., 1])
        if sx or sy:
            points[..., 0] -= sx
            points[..., 1] -= sy
        points[..., 2] = depth
        return points


def _columns(points: NDArray[np.floating], affine: Array) -> Sequence[NDArray[np.floating]]:
    """The three components of ``affine`` ``(3, 4)`` applied to ``points`` ``(N, 3)``, each contiguous."""
    # OpenCV's loop over small matrices: BLAS takes a hundred times as long where its threads have to wait for a core.
    return (
        [column.ravel() for column in cv2.split(moved(points, affine)[:, None])]
        if len(points)
        else [points[:, 0].copy()] * 3
    )


def moved(points: NDArray[np.floating], affine: Array, out: NDArray[np.floating] | None = None) -> Any:
    """``affine`` (the upper three rows of a pose) applied to ``points`` ``(N, 3)``, N > 0, in their float type."""
    result = cv2.transform(points[:, None], affine, dst=None if out is None else out.reshape(-1, 1, 3))
    return result.reshape(-1, 3)


def _rotation(r: Array) -> Array:
    """R of a calibration; drivers that do not rectify may leave it all zeros."""
    return r if r.any() else np.eye(3)


def _lens(model: CameraModel) -> _Lens:
    name = model.distortion_model
    if name in ("plumb_bob", "rational_polynomial"):
        return _polynomial(np.pad(model.d, (0, max(0, 14 - len(model.d)))))
    if name == "equidistant":
        return _equidistant(np.pad(model.d, (0, 4 - len(model.d))))
    raise InputError(
        f"the calibration's distortion model is '{name}', expected plumb_bob, rational_polynomial or equidistant; "
        "rectify the image and set input_rectified to true"
    )


def _polynomial(d: Array) -> _Lens:
    """OpenCV's model of 4 to 14 coefficients: k1 k2 p1 p2 k3, k4 k5 k6, s1 .. s4 (thin prism), tx ty (tilt)."""
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tx, ty = d.tolist()
    tilt = _tilt(tx, ty) if tx or ty else None

    def radial(r: Array) -> Array:
        s = r * r
        return np.asarray(r * (1 + s * (k1 + s * (k2 + s * k3))) / (1 + s * (k4 + s * (k5 + s * k6))))

    def distort(x: Array, y: Array) -> tuple[Array, Array]:
        s = x * x + y * y
        scale = 1 + s * (k1 + s * (k2 + s * k3))
        if k4 or k5 or k6:
            scale = scale / (1 + s * (k4 + s * (k5 + s * k6)))
        xy = 2 * x * y
        a = x * scale + p1 * xy + p2 * (s + 2 * x * x)
        b = y * scale + p1 * (s + 2 * y * y) + p2 * xy
        if s1 or s2 or s3 or s4:
            a, b = a + s * (s1 + s2 * s), b + s * (s3 + s4 * s)
        if tilt is not None:
            t = tilt.astype(a.dtype)
            w = t[2, 0] * a + t[2, 1] * b + t[2, 2]
            a, b = (t[0, 0] * a + t[0, 1] * b + t[0, 2]) / w, (t[1, 0] * a + t[1, 1] * b + t[1, 2]) / w
        return a, b

    above, below = Polynomial([1, k1, k2, k3]), Polynomial([1, k4, k5, k6])
    # With s = r^2: the slope of r above / below vanishes where this does, and below's zeros are poles.
    slope = above * below + 2 * Polynomial([0, 1]) * (above.deriv() * below - above * below.deriv())
    limit = np.sqrt(min(_first_root(slope), _first_root(below)))
    return _Lens(distort, radial, float(limit))


def _equidistant(d: Array) -> _Lens:
    """OpenCV's fisheye model (Kannala and Brandt, 2006): k1 .. k4 of the angle from the axis."""
    k1, k2, k3, k4 = d.tolist()

    def bent(angle: Array) -> Array:
        s = angle * angle
        return np.asarray(angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))))

    def radial(r: Array) -> Array:
        return bent(np.arctan(r))

    def distort(x: Array, y: Array) -> tuple[Array, Array]:
        r = np.sqrt(x * x + y * y)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(r > 1e-8, bent(np.arctan(r)) / r, 1.0)
        return x * scale, y * scale

    slope = Polynomial([1, 3 * k1, 5 * k2, 7 * k3, 9 * k4])
    angle = min(float(np.sqrt(_first_root(slope))), np.pi / 2 - 1e-3)
    return _Lens(distort, radial, float(np.tan(angle)))


def _tilt(tx: float, ty: float) -> Array:
    """OpenCV's projection onto a tilted sensor (Scheimpflug), angles in radians."""
    cx, sx, cy, sy = np.cos(tx), np.sin(tx), np.cos(ty), np.sin(ty)
    turn = np.array([[cy, sy * sx, -sy * cx], [0, cx, sx], [sy, -cy * sx, cy * cx]])
    return np.asarray(np.array([[turn[2, 2], 0, -turn[0, 2]], [0, turn[2, 2], -turn[1, 2]], [0, 0, 1]]) @ turn)


def _first_root(polynomial: Polynomial) -> float:
    """The smallest positive real root, infinity where there is none (or none that matters)."""
    roots = polynomial.trim(1e-12).roots()
    real = roots.real[(abs(roots.imag) < 1e-9 * (1 + abs(roots))) & (roots.real > 0)]
    return float(real.min()) if len(real) else np.inf


def _undistorted(lens: _Lens, x: Array, y: Array) -> tuple[Array, Array]:
    """The ideal ``x / z, y / z`` that ``lens`` takes to ``x, y``; NaN where none within its limit does.

    The symmetric part is inverted by table, the rest by Newton's method with differences for derivatives.
    """
    shape, x, y = x.shape, x.ravel(), y.ravel()
    reach = min(lens.limit, 20.0)
    r = reach * np.linspace(0, 1, 4097)[:-1]
    distorted = np.hypot(x, y)
    scale = np.interp(distorted, lens.radial(r), r) / np.maximum(distorted, 1e-12)
    a, b = x * scale, y * scale
    wrong = np.full(x.shape, np.inf)
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            da, db = lens.distort(a, b)
            ex, ey = x - da, y - db
            wrong = np.hypot(ex, ey)
            if not (wrong > 1e-10).any():
                break
            (xa, ya), (xb, yb) = lens.distort(a + _STEP, b), lens.distort(a, b + _STEP)
            j00, j10, j01, j11 = (xa - da) / _STEP, (ya - db) / _STEP, (xb - da) / _STEP, (yb - db) / _STEP
            det = j00 * j11 - j01 * j10
            a, b = a + (j11 * ex - j01 * ey) / det, b + (j00 * ey - j10 * ex) / det
        lost = ~(wrong < 1e-7) | ~(np.hypot(a, b) < lens.limit)
    a[lost] = b[lost] = np.nan
    return a.reshape(shape), b.reshape(shape)

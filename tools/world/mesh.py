"""Shapes as triangle meshes with texture coordinates, made from a few numbers.

Axes as in REP 103: x forward, y left, z up; metres. Texture coordinates are in metres too (a material's ``texrepeat``
says how many repetitions a metre has), except where a function says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Mesh:
    """``vertices`` ``(n, 3)``, ``faces`` ``(m, 3)`` counter-clockwise from outside, ``uv`` ``(n, 2)``."""

    vertices: FloatArray
    faces: IntArray
    uv: FloatArray

    def __add__(self, other: Mesh) -> Mesh:
        return Mesh(
            np.concatenate([self.vertices, other.vertices]),
            np.concatenate([self.faces, other.faces + len(self.vertices)]),
            np.concatenate([self.uv, other.uv]),
        )

    def turned_up(self) -> Mesh:
        """The x axis becomes z (a loft that lay now stands)."""
        x, y, z = self.vertices.T
        return Mesh(np.stack([-z, y, x], 1), self.faces, self.uv)


def quads(corners: FloatArray, uv: FloatArray) -> Mesh:
    """``corners`` ``(n, 4, 3)`` counter-clockwise from outside, ``uv`` ``(n, 4, 2)``: one flat quad each."""
    first = 4 * np.arange(len(corners))[:, None, None]
    faces = (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3), faces, uv.reshape(-1, 2))


def walls(length: float, width: float, height: float, uv_scale: tuple[float, float]) -> Mesh:
    """The four walls of a house that stands centred on the origin; texture repeats every ``uv_scale`` metres across and
    up, a whole number of times on each wall.
    """
    x, y = length / 2, width / 2
    plan = np.array([[x, -y], [x, y], [-x, y], [-x, -y]])
    corners, uv = [], []
    for a, b in zip(plan, np.roll(plan, -1, axis=0), strict=True):
        across = max(1.0, round(float(np.linalg.norm(b - a)) / uv_scale[0]))
        up = max(1.0, round(height / uv_scale[1]))
        corners.append([[*a, 0], [*b, 0], [*b, height], [*a, height]])
        uv.append([[0, up], [across, up], [across, 0], [0, 0]])
    return quads(np.array(corners, float), np.array(uv, float))


def slab(length: float, width: float, bottom: float, top: float) -> Mesh:
    """A box that lies centred on the z axis between two heights."""
    side = walls(length, width, top - bottom, (1.0, 1.0))
    x, y, h = length / 2, width / 2, top - bottom
    lid = np.array([[[-x, -y, h], [x, -y, h], [x, y, h], [-x, y, h]], [[-x, y, 0], [x, y, 0], [x, -y, 0], [-x, -y, 0]]])
    both = side + quads(lid, lid[..., :2])
    return Mesh(both.vertices + np.array([0, 0, bottom]), both.faces, both.uv)


def gable(length: float, width: float, bottom: float, rise: float, overhang: float = 0.3) -> Mesh:
    """A saddle roof along x."""
    x, y, z, t = length / 2 + overhang, width / 2 + overhang, bottom, bottom + rise
    corners = np.array(
        [
            [[-x, -y, z], [x, -y, z], [x, 0, t], [-x, 0, t]],
            [[x, y, z], [-x, y, z], [-x, 0, t], [x, 0, t]],
            [[x, -y, z], [x, y, z], [x, 0, t], [x, 0, t]],
            [[-x, y, z], [-x, -y, z], [-x, 0, t], [-x, 0, t]],
            [[-x, y, z], [x, y, z], [x, -y, z], [-x, -y, z]],
        ]
    )
    run = float(np.hypot(y, rise))
    flat = np.array([[0, run], [2 * x, run], [2 * x, 0], [0, 0]])
    return quads(corners, np.broadcast_to(flat, (5, 4, 2)).copy())


def loft(sections: Sequence[tuple[float, float, float, float]], roundness: float = 0.35, sides: int = 16) -> Mesh:
    """A closed hull through cross-sections along x: each ``(x, bottom, top, half width)``; ``roundness`` 1 gives
    ellipses, towards 0 boxes.
    """
    angle = 2 * np.pi * np.arange(sides) / sides
    cos, sin = np.cos(angle), np.sin(angle)
    power = max(roundness, 0.08)
    ring = np.stack([np.sign(cos) * np.abs(cos) ** power, np.sign(sin) * np.abs(sin) ** power], 1)
    rings = [
        np.column_stack([np.full(sides, x), half * ring[:, 0], (bottom + top) / 2 + (top - bottom) / 2 * ring[:, 1]])
        for x, bottom, top, half in sections
    ]
    vertices = np.concatenate(rings)
    n = len(sections)
    a = (sides * np.arange(n - 1)[:, None] + np.arange(sides)).ravel()
    b = (sides * np.arange(n - 1)[:, None] + (np.arange(sides) + 1) % sides).ravel()
    side = np.concatenate([np.column_stack([a, b, b + sides]), np.column_stack([a, b + sides, a + sides])])
    fan = np.arange(1, sides - 1)
    back = np.column_stack([np.zeros_like(fan), fan + 1, fan])
    front = np.column_stack([np.zeros_like(fan), fan, fan + 1]) + sides * (n - 1)
    return Mesh(vertices, np.concatenate([side, back, front]), vertices[:, [0, 2]].copy())


def lathe(profile: Sequence[tuple[float, float]], sides: int = 14) -> Mesh:
    """A body of revolution about z through ``(radius, height)`` points, bottom first, closed at both ends. Its texture
    runs from 0 at the bottom to 1 at the top, and once around.
    """
    low, high = profile[0][1], profile[-1][1]
    closed = [(1e-3, low), *profile, (1e-3, high)]
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    vertices = np.concatenate(
        [np.column_stack([r * np.cos(angle), r * np.sin(angle), np.full(sides + 1, z)]) for r, z in closed]
    )
    uv = np.concatenate(
        [np.column_stack([angle / (2 * np.pi), np.full(sides + 1, 1 - (z - low) / (high - low))]) for _, z in closed]
    )
    a = ((sides + 1) * np.arange(len(closed) - 1)[:, None] + np.arange(sides)).ravel()
    up = a + sides + 1
    return Mesh(vertices, np.concatenate([np.column_stack([a, a + 1, up + 1]), np.column_stack([a, up + 1, up])]), uv)


def blob(rng: np.random.Generator, roughness: float, rings: int = 9) -> Mesh:
    """A lumpy ball of about unit radius: tree crowns, bushes, stones. Its texture goes around like a map's."""
    sides = 2 * rings
    polar, around = np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, sides + 1)
    theta, phi = (a.ravel() for a in np.meshgrid(polar, around, indexing="ij"))
    unit = np.column_stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    radius = np.ones(len(unit))
    for _ in range(14):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        radius += roughness * rng.uniform(-0.6, 1.0) * np.exp(-((1 - unit @ direction) * rng.uniform(4, 14)))
    vertices = unit * radius[:, None]
    a = ((sides + 1) * np.arange(rings)[:, None] + np.arange(sides)).ravel()
    down = a + sides + 1
    faces = np.concatenate([np.column_stack([a, down, down + 1]), np.column_stack([a, down + 1, a + 1])])
    return Mesh(vertices, faces, np.column_stack([3 * phi / np.pi, 3 * theta / np.pi]))


def strip(centre: Callable[[FloatArray], FloatArray], xs: FloatArray, right: float, left: float, z: float) -> Mesh:
    """A band of ground that follows ``y = centre(x)`` between two offsets, facing up, with a 0.3 m skirt for kerbs.
    Texture: u runs 0..1 from right to left, v in metres along x.
    """
    y = centre(xs)
    right_edge, left_edge = (
        np.column_stack([xs, y + right, np.full_like(xs, z)]),
        np.column_stack([xs, y + left, np.full_like(xs, z)]),
    )
    down = np.array([0, 0, 0.3])
    top = np.stack([right_edge[:-1], right_edge[1:], left_edge[1:], left_edge[:-1]], 1)
    right_skirt = np.stack([right_edge[:-1] - down, right_edge[1:] - down, right_edge[1:], right_edge[:-1]], 1)
    left_skirt = np.stack([left_edge[1:] - down, left_edge[:-1] - down, left_edge[:-1], left_edge[1:]], 1)
    v0, v1 = xs[:-1], xs[1:]
    zero, one = np.zeros_like(v0), np.ones_like(v0)
    uv = np.stack([np.stack([zero, v0], 1), np.stack([zero, v1], 1), np.stack([one, v1], 1), np.stack([one, v0], 1)], 1)
    return quads(np.concatenate([top, right_skirt, left_skirt]), np.concatenate([uv, uv * [0, 1], uv * [0, 1]]))


def wheel(radius: float, tube: float, sides: int = 18) -> Mesh:
    """A thin ring (a bicycle's tyre) that stands in the x-z plane around the origin."""
    angle = 2 * np.pi * np.arange(sides) / sides
    section = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]]) * tube
    vertices = np.concatenate(
        [
            np.column_stack([(radius + dr) * np.cos(angle), np.full(sides, dy), (radius + dr) * np.sin(angle)])
            for dr, dy in section
        ]
    )
    faces = []
    for k in range(4):
        a, b = k * sides + np.arange(sides), (k + 1) % 4 * sides + np.arange(sides)
        nxt = (np.arange(sides) + 1) % sides
        c, d = (k + 1) % 4 * sides + nxt, k * sides + nxt
        faces += [np.column_stack([a, b, c]), np.column_stack([a, c, d])]
    return Mesh(vertices, np.concatenate(faces), vertices[:, [0, 2]].copy())

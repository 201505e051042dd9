"""Cars, vans, buses and trucks: a hull, a glass house with a roof on it, wheels and lights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.world.kit import Builder, Kit
from tools.world.limbs import Joint
from tools.world.mesh import loft
from tools.world.textures import any_colour, grey, hsv


@dataclass(frozen=True)
class _Shape:
    """Hull and glass as cross-sections ``(x, bottom, top)``, fractions of length and height; true length, width, height
    in metres.
    """

    hull: tuple[tuple[float, float, float], ...]
    glass: tuple[tuple[float, float, float], ...]
    size: tuple[float, float, float]


_SHAPES = {
    "sedan": _Shape(
        hull=(
            (-0.5, 0.3, 0.58),
            (-0.47, 0.22, 0.64),
            (-0.2, 0.18, 0.66),
            (0.2, 0.18, 0.66),
            (0.46, 0.22, 0.56),
            (0.5, 0.28, 0.48),
        ),
        glass=((-0.36, 0.62, 0.7), (-0.2, 0.62, 0.98), (0.07, 0.62, 1.0), (0.24, 0.6, 0.68)),
        size=(4.5, 1.8, 1.45),
    ),
    "hatchback": _Shape(
        hull=((-0.5, 0.26, 0.6), (-0.47, 0.2, 0.66), (0.2, 0.18, 0.66), (0.44, 0.22, 0.56), (0.5, 0.28, 0.46)),
        glass=((-0.47, 0.62, 0.72), (-0.38, 0.62, 0.97), (0.05, 0.62, 1.0), (0.25, 0.6, 0.68)),
        size=(3.9, 1.75, 1.5),
    ),
    "suv": _Shape(
        hull=((-0.5, 0.28, 0.62), (-0.48, 0.2, 0.66), (0.2, 0.18, 0.67), (0.46, 0.2, 0.6), (0.5, 0.28, 0.52)),
        glass=((-0.48, 0.62, 0.8), (-0.42, 0.62, 0.99), (0.08, 0.62, 1.0), (0.22, 0.62, 0.7)),
        size=(4.5, 1.9, 1.8),
    ),
    "van": _Shape(
        hull=(
            (-0.5, 0.16, 0.98),
            (-0.48, 0.12, 1.0),
            (0.2, 0.12, 1.0),
            (0.34, 0.12, 0.8),
            (0.46, 0.14, 0.52),
            (0.5, 0.2, 0.45),
        ),
        glass=((0.17, 0.55, 0.96), (0.25, 0.55, 0.94), (0.38, 0.52, 0.72), (0.43, 0.5, 0.56)),
        size=(5.2, 2.0, 2.2),
    ),
    "minibus": _Shape(
        hull=((-0.5, 0.16, 0.96), (-0.47, 0.12, 1.0), (0.32, 0.12, 1.0), (0.44, 0.12, 0.6), (0.5, 0.2, 0.45)),
        glass=((-0.44, 0.55, 0.88), (-0.4, 0.55, 0.9), (0.3, 0.55, 0.93), (0.43, 0.52, 0.62)),
        size=(5.8, 2.05, 2.5),
    ),
    "bus": _Shape(
        hull=((-0.5, 0.1, 0.97), (-0.49, 0.08, 1.0), (0.48, 0.08, 1.0), (0.5, 0.12, 0.95)),
        glass=((-0.49, 0.42, 0.8), (-0.48, 0.4, 0.82), (0.49, 0.4, 0.84), (0.502, 0.4, 0.84)),
        size=(10.5, 2.5, 3.1),
    ),
    "pickup": _Shape(
        hull=((-0.5, 0.3, 0.58), (-0.48, 0.24, 0.62), (0.2, 0.22, 0.62), (0.46, 0.24, 0.58), (0.5, 0.3, 0.5)),
        glass=((-0.12, 0.58, 0.72), (-0.08, 0.58, 0.98), (0.1, 0.58, 1.0), (0.22, 0.58, 0.66)),
        size=(5.3, 1.9, 1.8),
    ),
}


def vehicle(build: Builder) -> tuple[list[Joint], float]:
    """A car, van, bus or truck."""
    kit, variant = build.kit, build.kit.variant("vehicle")
    if variant == "truck":
        return _truck(build)
    shape = _SHAPES[variant]
    if kit.bold():
        shape = _bent(kit, shape)
    cabin = shape.glass
    length, width, height = (size * kit.uniform(0.85, 1.15) for size in shape.size)
    paint = kit.flat(_paint(kit), 0.7)
    glass = kit.flat(hsv(kit.uniform(0.5, 0.65), kit.uniform(0, 0.3), kit.uniform(0.05, 0.35)), 0.9)
    half = width / 2

    def sections(
        rows: tuple[tuple[float, float, float], ...], narrow: float
    ) -> list[tuple[float, float, float, float]]:
        return [
            (x * length, bottom * height, top * height, half * narrow * (0.93 if abs(x) > 0.45 else 1.0))
            for x, bottom, top in rows
        ]

    tumblehome = 0.86 if variant in ("sedan", "hatchback", "suv", "pickup") else 0.985
    build.shape(paint, loft(sections(shape.hull, 1.0 if tumblehome < 0.9 else 0.97), 0.3, 20), smooth=True)
    build.shape(glass, loft(sections(cabin, tumblehome), 0.35, 20))
    if tumblehome < 0.9:
        front, back = cabin[2], cabin[1]
        roof = [
            (back[0] * length, 0.95 * height, 1.0 * height, half * 0.84),
            (front[0] * length, 0.955 * height, 1.01 * height, half * 0.84),
        ]
        build.shape(paint, loft(roof, 0.3, 16))
        middle = (front[0] + back[0]) / 2 * length
        for x in (middle, back[0] * length):
            for side in (-1, 1):
                build.box(paint, (x, side * half * 0.85, 0.8 * height), (0.09, 0.03, 0.4 * height))
    else:
        for x in np.arange(cabin[1][0] + 0.08, cabin[2][0], 0.16):
            build.box(
                paint,
                (x * length, 0, (cabin[1][1] + cabin[1][2]) / 2 * height),
                (0.12, width * 0.99, (cabin[1][2] - cabin[1][1]) * height * 1.1),
            )
    if variant == "pickup":
        build.box(
            kit.flat(grey(kit.rng, 0.05, 0.2)), (-0.31 * length, 0, 0.615 * height), (0.34 * length, width * 0.8, 0.03)
        )
    _wheels_and_lights(build, length, width, height, 0.22 * min(height, 1.9), (-0.31, 0.31))
    return [], 0.0


def _bent(kit: Kit, shape: _Shape) -> _Shape:
    """The same kind of car, longer here and lower there."""
    rise, size = kit.rng.normal(0, 0.05, 4), np.exp(kit.rng.normal(0, 0.12, 3))

    def bent(rows: tuple[tuple[float, float, float], ...]) -> tuple[tuple[float, float, float], ...]:
        return tuple((x, low, high + float(np.interp(x, (-0.5, -0.2, 0.2, 0.5), rise))) for x, low, high in rows)

    return _Shape(bent(shape.hull), bent(shape.glass), tuple(np.multiply(shape.size, size).tolist()))


def _paint(kit: Kit) -> np.ndarray:
    return grey(kit.rng, 0.05, 0.95) if kit.rng.random() < 0.5 else any_colour(kit.rng, (0.3, 0.95), (0.15, 0.9))


def _wheels_and_lights(
    build: Builder, length: float, width: float, height: float, radius: float, axles: tuple[float, ...]
) -> None:
    kit = build.kit
    tyre, hub = kit.flat(grey(kit.rng, 0.03, 0.12)), kit.flat(grey(kit.rng, 0.3, 0.8), 0.6)
    for x in axles:
        for side in (-1, 1):
            y = side * width / 2
            build.cylinder(tyre, (x * length, y * 0.78, radius), (x * length, y * 1.005, radius), radius)
            build.cylinder(hub, (x * length, y * 0.98, radius), (x * length, y * 1.015, radius), 0.58 * radius)
    lamp = kit.flat((0.95, 0.93, 0.8), 0.8)
    rear = kit.flat((kit.uniform(0.5, 0.9), 0.05, 0.05), 0.5)
    plate, bumper = kit.flat((0.9, 0.9, 0.8)), kit.flat(grey(kit.rng, 0.05, 0.4))
    z = 0.44 * height if height < 2 else 0.9
    for side in (-1, 1):
        build.ellipsoid(lamp, (0.478 * length, side * 0.36 * width, z), (0.09 * min(length, 5), 0.16 * width, 0.13))
        build.box(rear, (-0.488 * length, side * 0.39 * width, z + 0.1), (0.05 * min(length, 3), 0.13 * width, 0.16))
    build.box(bumper, (0.487 * length, 0, 0.55 * z), (0.13, 0.86 * width, 0.16))
    build.box(bumper, (-0.487 * length, 0, 0.6 * z), (0.13, 0.86 * width, 0.16))
    build.box(plate, (-0.50 * length, 0, 0.8 * z), (0.03, 0.5, 0.12))
    build.box(plate, (0.502 * length, 0, 0.6 * z), (0.03, 0.5, 0.12))


def _truck(build: Builder) -> tuple[list[Joint], float]:
    kit = build.kit
    length, width, height = (size * kit.uniform(0.85, 1.15) for size in (7.5, 2.4, 3.0))
    cab, cargo = kit.flat(_paint(kit), 0.6), kit.flat(_paint(kit), 0.2)
    glass = kit.flat(hsv(0.6, 0.2, kit.uniform(0.05, 0.3)), 0.9)
    frame = kit.flat(grey(kit.rng, 0.05, 0.25))
    build.shape(
        cab,
        loft(
            [
                (0.26 * length, 0.5, 0.82 * height, width / 2),
                (0.45 * length, 0.5, 0.82 * height, width / 2),
                (0.5 * length, 0.45, 0.5 * height, width / 2.05),
            ],
            0.2,
        ),
        smooth=True,
    )
    build.shape(
        glass,
        loft(
            [
                (0.34 * length, 0.5 * height, 0.74 * height, width / 1.98),
                (0.44 * length, 0.5 * height, 0.77 * height, width / 1.98),
                (0.492 * length, 0.5 * height, 0.56 * height, width / 2.15),
            ],
            0.2,
        ),
    )
    build.box(frame, (0, 0, 0.7), (0.98 * length, 0.5 * width, 0.3))
    if kit.rng.random() < 0.7:
        build.box(cargo, (-0.13 * length, 0, 0.85 + (height - 0.85) / 2), (0.74 * length, width, height - 0.85))
    else:
        build.box(cargo, (-0.13 * length, 0, 1.15), (0.74 * length, width, 0.6))
    _wheels_and_lights(build, length, width, height, 0.48, (-0.36, -0.24, 0.36))
    return [], 0.0

"""The moving things: people, vehicles, riders, animals, cones and boxes, built from primitives and lofts.

Each builder makes one variant with sizes random by 20 % around the true ones, on a body whose origin is on the ground,
and returns the joints that move when it moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.world import textures
from tools.world.kit import Builder, Kit, pitch_quaternion
from tools.world.mesh import Mesh, lathe, loft, wheel
from tools.world.textures import any_colour, grey, hsv


@dataclass(frozen=True)
class Joint:
    """A hinge about the body's y axis that swings while the thing walks: its angle is
    ``offset + amplitude * sin(stride phase + phase)``, and for a knee never below ``offset``.
    """

    name: str
    offset: float
    amplitude: float
    phase: float
    knee: bool = False

    def angle(self, stride: float) -> float:
        """Radians at a stride phase."""
        wave = np.sin(stride + self.phase)
        return self.offset + self.amplitude * float(max(wave, 0.0) if self.knee else wave)


@dataclass(frozen=True)
class Thing:
    """A countable thing: its number (its track id, from 1), class, body, joints, and radians of stride per metre."""

    number: int
    label: str
    body: str
    joints: tuple[Joint, ...] = ()
    stride: float = 0.0


def make_thing(kit: Kit, label: str, number: int) -> Thing:
    """Build a random variant of the class ``label`` as a body that can be put anywhere."""
    body = kit.spec.worldbody.add_body(name=f"thing{number}")
    body.add_freejoint(name=f"thing{number}")
    joints, stride = _BUILDERS[label](Builder(kit, body, label, number))
    return Thing(number, label, body.name, tuple(joints), stride)


def _limb(build: Builder, root: Any, pos: tuple[float, float, float], lengths: tuple[float, float], radii: tuple[float, float],
          materials: tuple[str, str], bend: float, swing: Joint, knee: Joint) -> tuple[list[Joint], Builder]:  # fmt: skip
    """Two links that hang from ``pos``, hinged at both; ``bend`` is the lower link's rest angle. Returns the joints and
    a builder for the lower link, whose origin is the knee.
    """
    upper = root.add_body(pos=pos)
    upper.add_joint(name=swing.name, axis=[0, 1, 0])
    Builder(build.kit, upper, build.label, build.thing).capsule(materials[0], (0, 0, 0), (0, 0, -lengths[0]), radii[0])
    lower = upper.add_body(pos=[0, 0, -lengths[0]], quat=pitch_quaternion(bend))
    lower.add_joint(name=knee.name, axis=[0, 1, 0])
    below = Builder(build.kit, lower, build.label, build.thing)
    below.capsule(materials[1], (0, 0, 0), (0, 0, -lengths[1]), radii[1])
    return [swing, knee], below


def _skin(kit: Kit) -> str:
    return kit.flat(hsv(kit.uniform(0.03, 0.09), kit.uniform(0.25, 0.65), kit.uniform(0.25, 0.95)))


def _cloth(kit: Kit) -> str:
    return kit.cloth()[0]


def _torso(kit: Kit, width: float, depth: float, height: float) -> Mesh:
    return loft(
        [
            (0.0, -0.42 * depth, 0.42 * depth, 0.40 * width),
            (0.3 * height, -0.46 * depth, 0.44 * depth, 0.38 * width),
            (0.75 * height, -0.5 * depth, 0.5 * depth, 0.48 * width),
            (0.93 * height, -0.42 * depth, 0.40 * depth, 0.47 * width),
            (height, -0.25 * depth, 0.25 * depth, 0.2 * width),
        ],
        0.75,
        12,
    ).turned_up()


def _upper_body(build: Builder, height: float, hip: float, lean: float, variant: str, arm: tuple[float, float], swing: float, phase: float) -> list[Joint]:
    """Torso, head and arms on a waist at ``hip``; ``arm`` are the rest angles of shoulder and elbow."""
    kit, bulk = build.kit, build.kit.uniform(0.85, 1.25)
    skin, (shirt, bodice), hair = _skin(kit), kit.cloth(), kit.flat(hsv(kit.uniform(0.03, 0.12), kit.uniform(0, 0.6), kit.uniform(0.05, 0.7)))
    tall, width, depth = 0.30 * height, 0.25 * height * bulk, 0.14 * height * bulk
    waist = build.body.add_body(pos=[0, 0, hip], quat=pitch_quaternion(lean))
    top = Builder(kit, waist, build.label, build.thing)
    top.shape(bodice, _torso(kit, width, depth, tall), smooth=True)
    head, neck = 0.13 * height, tall + 0.02 * height
    top.capsule(skin, (0, 0, tall - 0.03), (0, 0, neck + 0.03), 0.032 * height)
    centre = neck + 0.62 * head
    top.ellipsoid(skin, (0.01, 0, centre), (head * 0.85, head * 0.72, head * 1.1))
    if variant != "bare" or kit.rng.random() < 0.8:
        top.ellipsoid(hair, (-0.018, 0, centre + 0.14 * head), (head * 0.92, head * 0.82, head * 1.0))
    if variant == "cap":
        cap = kit.flat(any_colour(kit.rng))
        top.ellipsoid(cap, (0, 0, centre + 0.25 * head), (head * 0.98, head * 0.88, head * 0.7))
        top.box(cap, (0.55 * head, 0, centre + 0.2 * head), (0.5 * head, 0.6 * head, 0.02))
    if variant == "hat":
        hat = kit.flat(any_colour(kit.rng))
        top.cylinder(hat, (0, 0, centre + 0.25 * head), (0, 0, centre + 0.3 * head), 0.95 * head)
        top.ellipsoid(hat, (0, 0, centre + 0.35 * head), (head, head * 0.9, head * 0.9))
    if variant == "long_hair":
        top.ellipsoid(hair, (-0.4 * head, 0, centre - 0.4 * head), (0.5 * head, 0.85 * head, 2.0 * head))
    if variant == "helmet":
        top.ellipsoid(kit.flat(any_colour(kit.rng), 0.6), (-0.01, 0, centre + 0.2 * head), (head * 1.15, head * 1.0, head * 0.95))
    if variant == "backpack":
        top.box(_cloth(kit), (-0.5 * depth - 0.07, 0, 0.6 * tall), (0.16, 0.75 * width, 0.7 * tall))
    joints = []
    sleeve = shirt if kit.rng.random() < 0.6 else skin
    for side, sign in (("l", 1), ("r", -1)):
        name = f"{build.body.name}{side}"
        moves, hand = _limb(
            top, waist, (0, sign * (0.5 * width + 0.02 * height), 0.88 * tall), (0.16 * height, 0.14 * height),
            (0.028 * height * bulk, 0.022 * height), (shirt, sleeve), 0.0,
            Joint(f"{name}shoulder", arm[0], swing, phase + (np.pi if sign > 0 else 0)),
            Joint(f"{name}elbow", arm[1], 0.3 * swing, phase),
        )  # fmt: skip
        hand.ellipsoid(skin, (0, 0, -0.16 * height), (0.05, 0.04, 0.1))
        joints += moves
        if variant == "suitcase" and sign > 0:
            hand.box(kit.flat(any_colour(kit.rng)), (0, 0, -0.16 * height - 0.2), (0.5, 0.16, 0.36))
    return joints


def person(build: Builder) -> tuple[list[Joint], float]:
    """Somebody who walks, 1.15 m (a child) to 1.95 m."""
    kit, variant = build.kit, build.kit.variant("person")
    height = 1.7 * kit.uniform(0.85, 1.15) if kit.rng.random() < 0.85 else kit.uniform(1.1, 1.4)
    hip, phase, swing = 0.5 * height, kit.uniform(0, 2 * np.pi), kit.uniform(0.35, 0.6)
    trousers, shoe, skin = _cloth(kit), kit.flat(any_colour(kit.rng, value=(0.05, 0.9))), _skin(kit)
    shin = trousers if kit.rng.random() < 0.7 else skin
    joints = _upper_body(build, height, hip - 0.02, kit.uniform(0, 0.12), variant, (kit.uniform(-0.1, 0.1), -kit.uniform(0.1, 0.6)), swing, phase)
    thick = kit.uniform(0.85, 1.2)
    for side, sign in (("l", 1), ("r", -1)):
        name, own = f"{build.body.name}{side}", phase + (0 if sign > 0 else np.pi)
        moves, foot = _limb(
            build, build.body, (0, sign * 0.052 * height, hip), (0.245 * height, 0.215 * height),
            (0.047 * height * thick, 0.034 * height * thick), (trousers, shin), 0.0,
            Joint(f"{name}hip", 0.0, -swing, own), Joint(f"{name}knee", 0.05, 1.6 * swing, own - 1.9, knee=True),
        )  # fmt: skip
        foot.ellipsoid(shoe, (0.05, 0, -0.22 * height), (0.15 * height, 0.055 * height, 0.05 * height))
        joints += moves
    if variant == "coat" or (variant == "long_hair" and kit.rng.random() < 0.5):
        skirt = lathe([(0.13 * height, 0), (0.11 * height, 0.12 * height), (0.085 * height, 0.24 * height)], 10)
        build.shape(kit.cloth()[1], skirt, (0, 0, hip - 0.2 * height), smooth=True)
    return joints, 2 * np.pi / (0.85 * height)


# Vehicles: a lower hull, a glass house with a roof on it, wheels, lights. Sections are fractions of length and height.

_HULL = {
    "sedan": ([(-0.5, 0.30, 0.58), (-0.47, 0.22, 0.64), (-0.2, 0.18, 0.66), (0.2, 0.18, 0.66), (0.46, 0.22, 0.56), (0.5, 0.28, 0.48)],
              [(-0.36, 0.62, 0.70), (-0.2, 0.62, 0.98), (0.07, 0.62, 1.0), (0.24, 0.60, 0.68)], 4.5, 1.8, 1.45),
    "hatchback": ([(-0.5, 0.26, 0.60), (-0.47, 0.2, 0.66), (0.2, 0.18, 0.66), (0.44, 0.22, 0.56), (0.5, 0.28, 0.46)],
                  [(-0.47, 0.62, 0.72), (-0.38, 0.62, 0.97), (0.05, 0.62, 1.0), (0.25, 0.60, 0.68)], 3.9, 1.75, 1.5),
    "suv": ([(-0.5, 0.28, 0.62), (-0.48, 0.2, 0.66), (0.2, 0.18, 0.67), (0.46, 0.2, 0.60), (0.5, 0.28, 0.52)],
            [(-0.48, 0.62, 0.80), (-0.42, 0.62, 0.99), (0.08, 0.62, 1.0), (0.22, 0.62, 0.70)], 4.5, 1.9, 1.8),
    "van": ([(-0.5, 0.16, 0.98), (-0.48, 0.12, 1.0), (0.2, 0.12, 1.0), (0.34, 0.12, 0.80), (0.46, 0.14, 0.52), (0.5, 0.2, 0.45)],
            [(0.17, 0.55, 0.96), (0.25, 0.55, 0.94), (0.38, 0.52, 0.72), (0.43, 0.50, 0.56)], 5.2, 2.0, 2.2),
    "minibus": ([(-0.5, 0.16, 0.96), (-0.47, 0.12, 1.0), (0.32, 0.12, 1.0), (0.44, 0.12, 0.6), (0.5, 0.2, 0.45)],
                [(-0.44, 0.55, 0.88), (-0.4, 0.55, 0.9), (0.3, 0.55, 0.93), (0.43, 0.52, 0.62)], 5.8, 2.05, 2.5),
    "bus": ([(-0.5, 0.1, 0.97), (-0.49, 0.08, 1.0), (0.48, 0.08, 1.0), (0.5, 0.12, 0.95)],
            [(-0.49, 0.42, 0.8), (-0.48, 0.4, 0.82), (0.49, 0.4, 0.84), (0.502, 0.4, 0.84)], 10.5, 2.5, 3.1),
    "pickup": ([(-0.5, 0.30, 0.58), (-0.48, 0.24, 0.62), (0.2, 0.22, 0.62), (0.46, 0.24, 0.58), (0.5, 0.3, 0.5)],
               [(-0.12, 0.58, 0.72), (-0.08, 0.58, 0.98), (0.1, 0.58, 1.0), (0.22, 0.58, 0.66)], 5.3, 1.9, 1.8),
}  # fmt: skip
"""Variant -> hull sections, glass sections (x, bottom, top), true length, width, height in metres."""


def vehicle(build: Builder) -> tuple[list[Joint], float]:
    """A car, van, bus or truck."""
    kit, variant = build.kit, build.kit.variant("vehicle")
    if variant == "truck":
        return _truck(build)
    hull, cabin, *true = _HULL[variant]
    length, width, height = (size * kit.uniform(0.85, 1.15) for size in true)
    paint = kit.flat(_paint(kit), 0.7)
    glass = kit.flat(hsv(kit.uniform(0.5, 0.65), kit.uniform(0, 0.3), kit.uniform(0.05, 0.35)), 0.9)
    half = width / 2

    def sections(rows: list[tuple[float, float, float]], narrow: float) -> list[tuple[float, float, float, float]]:
        return [(x * length, bottom * height, top * height, half * narrow * (0.93 if abs(x) > 0.45 else 1.0)) for x, bottom, top in rows]

    tumblehome = 0.86 if variant in ("sedan", "hatchback", "suv", "pickup") else 0.985
    build.shape(paint, loft(sections(hull, 1.0 if tumblehome < 0.9 else 0.97), 0.3, 20), smooth=True)
    build.shape(glass, loft(sections(cabin, tumblehome), 0.35, 20))
    if tumblehome < 0.9:
        front, back = cabin[2], cabin[1]
        roof = [(back[0] * length, 0.95 * height, 1.0 * height, half * 0.84), (front[0] * length, 0.955 * height, 1.01 * height, half * 0.84)]
        build.shape(paint, loft(roof, 0.3, 16))
        middle = (front[0] + back[0]) / 2 * length
        for x in (middle, back[0] * length):
            for side in (-1, 1):
                build.box(paint, (x, side * half * 0.85, 0.8 * height), (0.09, 0.03, 0.4 * height))
    else:
        for x in np.arange(cabin[1][0] + 0.08, cabin[2][0], 0.16):
            build.box(paint, (x * length, 0, (cabin[1][1] + cabin[1][2]) / 2 * height), (0.12, width * 0.99, (cabin[1][2] - cabin[1][1]) * height * 1.1))
    if variant == "pickup":
        build.box(kit.flat(grey(kit.rng, 0.05, 0.2)), (-0.31 * length, 0, 0.615 * height), (0.34 * length, width * 0.8, 0.03))
    _wheels_and_lights(build, length, width, height, 0.22 * min(height, 1.9), (-0.31, 0.31))
    return [], 0.0


def _paint(kit: Kit) -> np.ndarray:
    return grey(kit.rng, 0.05, 0.95) if kit.rng.random() < 0.5 else any_colour(kit.rng, (0.3, 0.95), (0.15, 0.9))


def _wheels_and_lights(build: Builder, length: float, width: float, height: float, radius: float, axles: tuple[float, ...]) -> None:
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
    build.shape(cab, loft([(0.26 * length, 0.5, 0.82 * height, width / 2), (0.45 * length, 0.5, 0.82 * height, width / 2), (0.5 * length, 0.45, 0.5 * height, width / 2.05)], 0.2), smooth=True)
    build.shape(glass, loft([(0.34 * length, 0.5 * height, 0.74 * height, width / 1.98), (0.44 * length, 0.5 * height, 0.77 * height, width / 1.98), (0.492 * length, 0.5 * height, 0.56 * height, width / 2.15)], 0.2))
    build.box(frame, (0, 0, 0.7), (0.98 * length, 0.5 * width, 0.3))
    if kit.rng.random() < 0.7:
        build.box(cargo, (-0.13 * length, 0, 0.85 + (height - 0.85) / 2), (0.74 * length, width, height - 0.85))
    else:
        build.box(cargo, (-0.13 * length, 0, 1.15), (0.74 * length, width, 0.6))
    _wheels_and_lights(build, length, width, height, 0.48, (-0.36, -0.24, 0.36))
    return [], 0.0


def rider(build: Builder) -> tuple[list[Joint], float]:
    """Somebody on a bicycle, scooter or motorbike; rider and machine are one thing."""
    kit, variant = build.kit, build.kit.variant("rider")
    scale = kit.uniform(0.85, 1.15)
    powered = variant in ("scooter", "motorbike")
    radius = (0.34 if not powered else 0.27 if variant == "scooter" else 0.32) * scale
    base = (0.52 if not powered else 0.62) * scale
    paint, dark = kit.flat(any_colour(kit.rng), 0.5), kit.flat(grey(kit.rng, 0.03, 0.25))
    ring = kit.mesh(wheel(radius * (0.93 if not powered else 0.8), 0.025 if not powered else 0.06))
    for x in (-base, base):
        build.mesh(dark, ring, (x, 0, radius))
        if powered:
            build.cylinder(dark, (x, -0.03, radius), (x, 0.03, radius), 0.6 * radius)
        else:
            for turn in range(3):
                a = turn * np.pi / 3
                dx, dz = radius * 0.9 * np.cos(a), radius * 0.9 * np.sin(a)
                build.capsule(dark, (x - dx, 0, radius - dz), (x + dx, 0, radius + dz), 0.006)
    seat, bar = (-0.2 * scale, 0, (0.95 if not powered else 0.78) * scale), (0.38 * scale, 0, 1.02 * scale)
    crank = (-0.02, 0, radius * 0.95)
    tube = 0.022 if not powered else 0.05
    for a, b in (((-base, 0, radius), seat), ((-base, 0, radius), crank), (crank, seat), (crank, (0.3 * scale, 0, 0.8 * scale)),
                 (seat, (0.32 * scale, 0, 0.85 * scale)), ((base, 0, radius), bar)):  # fmt: skip
        build.capsule(paint, a, b, tube)
    build.capsule(dark, (bar[0], -0.27, bar[2]), (bar[0], 0.27, bar[2]), 0.018)
    build.ellipsoid(dark, (seat[0], 0, seat[2] + 0.03), (0.3 if not powered else 0.6, 0.16 if not powered else 0.28, 0.1))
    if powered:
        build.ellipsoid(paint, (0.12, 0, 0.55 * scale), (0.6, 0.3, 0.4))
        build.box(paint, (0.36 * scale, 0, 0.62 * scale), (0.1, 0.4, 0.6), pitch_quaternion(-0.3))
    if variant == "city_bike":
        build.box(dark, (bar[0] + 0.18, 0, bar[2] - 0.12), (0.3, 0.36, 0.24))
    height = 1.72 * kit.uniform(0.9, 1.1)
    lean = kit.uniform(0.1, 0.55) if not powered else kit.uniform(0.0, 0.3)
    hip, phase = seat[2] + 0.08, kit.uniform(0, 2 * np.pi)
    waist = build.body.add_body(pos=[seat[0], 0, 0])
    waist.name = f"{build.body.name}rider"
    torso = Builder(kit, waist, build.label, build.thing)
    joints = _upper_body(torso, height, hip, lean, "helmet" if powered or kit.rng.random() < 0.5 else "bare", (-0.75 - lean, -0.35), 0.0, 0.0)
    trousers, shoe = _cloth(kit), kit.flat(any_colour(kit.rng))
    pedal = 0.0 if powered else 0.32
    for side, sign in (("l", 1), ("r", -1)):
        name, own = f"{waist.name}{side}", phase + (0 if sign > 0 else np.pi)
        moves, foot = _limb(
            torso, waist, (0, sign * 0.1, hip), (0.235 * height, 0.22 * height), (0.047 * height, 0.034 * height), (trousers, trousers), 0.0,
            Joint(f"{name}hip", -1.05 if not powered else -1.15, pedal, own), Joint(f"{name}knee", 1.2, 0.9 * pedal, own + 2.0),
        )  # fmt: skip
        foot.ellipsoid(shoe, (0.05, 0, -0.23 * height), (0.26, 0.1, 0.09))
        joints += moves
    return joints, 1.2


_ANIMAL = {  # body length, body height, body width, shoulder height, neck, snout
    "dog": (0.62, 0.26, 0.22, 0.55, 0.2, 0.14),
    "sheep": (0.95, 0.55, 0.45, 0.8, 0.22, 0.16),
    "goat": (0.9, 0.42, 0.32, 0.8, 0.35, 0.16),
    "deer": (1.2, 0.45, 0.35, 1.1, 0.6, 0.2),
    "cow": (1.8, 0.75, 0.6, 1.4, 0.5, 0.35),
    "horse": (1.7, 0.65, 0.5, 1.5, 0.8, 0.38),
}


def animal(build: Builder) -> tuple[list[Joint], float]:
    """A four-legged animal that walks."""
    kit, variant = build.kit, build.kit.variant("animal")
    scale = kit.uniform(0.8, 1.2)
    length, deep, wide, shoulder, neck, snout = (scale * size for size in _ANIMAL[variant])
    (hide, flank), dark = kit.skin(textures.hide(kit.rng)), kit.flat(grey(kit.rng, 0.03, 0.3, 0.4))
    back = shoulder - deep / 2
    trunk = loft(
        [
            (-0.5 * length, -0.15 * deep, 0.35 * deep, 0.22 * wide),
            (-0.42 * length, -0.38 * deep, 0.48 * deep, 0.45 * wide),
            (0.0, -0.5 * deep, 0.42 * deep, 0.5 * wide),
            (0.36 * length, -0.48 * deep, 0.46 * deep, 0.44 * wide),
            (0.5 * length, -0.2 * deep, 0.4 * deep, 0.24 * wide),
        ],
        0.9,
    )
    build.shape(flank, trunk, (0, 0, back), smooth=True)
    rise = kit.uniform(0.3, 1.1)
    poll = (0.42 * length + neck * np.cos(rise), 0.0, back + 0.2 * deep + neck * np.sin(rise))
    build.capsule(hide, (0.40 * length, 0, back + 0.12 * deep), poll, 0.2 * deep if variant != "sheep" else 0.3 * deep)
    build.ellipsoid(hide, (poll[0] + 0.1 * snout, 0, poll[2]), (1.6 * snout, 0.9 * snout, 1.0 * snout))
    build.ellipsoid(dark if kit.rng.random() < 0.4 else hide, (poll[0] + 0.9 * snout, 0, poll[2] - 0.3 * snout), (1.4 * snout, 0.55 * snout, 0.6 * snout))
    for side in (-1, 1):
        build.ellipsoid(hide, (poll[0] - 0.3 * snout, side * 0.45 * snout, poll[2] + 0.5 * snout), (0.25 * snout, 0.3 * snout, 0.7 * snout))
        if variant in ("goat", "deer") or (variant == "cow" and kit.rng.random() < 0.5):
            build.capsule(dark, (poll[0] - 0.2 * snout, side * 0.3 * snout, poll[2] + 0.5 * snout), (poll[0] - 0.5 * snout, side * 0.8 * snout, poll[2] + 1.8 * snout), 0.02)
    tail = kit.uniform(-0.5, 0.9) if variant == "dog" else -1.2
    build.capsule(hide, (-0.48 * length, 0, back + 0.25 * deep), (-0.48 * length - 0.4 * deep * np.cos(tail), 0, back + 0.25 * deep + deep * np.sin(tail)), 0.07 * deep)
    joints, phase, leg = [], kit.uniform(0, 2 * np.pi), shoulder - 0.7 * deep
    stocking = hide if kit.rng.random() < 0.6 else dark
    for index, (x, y) in enumerate([(0.36, 1), (0.36, -1), (-0.38, 1), (-0.38, -1)]):
        own = phase + (0 if index in (0, 3) else np.pi)
        name = f"{build.body.name}leg{index}"
        moves, _ = _limb(
            build, build.body, (x * length, y * 0.3 * wide, leg), (0.5 * leg, 0.46 * leg), (0.16 * deep, 0.085 * deep), (hide, stocking), 0.0,
            Joint(f"{name}hip", 0.0, -0.4, own), Joint(f"{name}knee", 0.0, 0.5, own - 1.9, knee=True),
        )  # fmt: skip
        joints += moves
    return joints, 2 * np.pi / (1.1 * shoulder)


def cone(build: Builder) -> tuple[list[Joint], float]:
    """A traffic cone."""
    kit, variant = build.kit, build.kit.variant("cone")
    scale = kit.uniform(0.8, 1.2)
    height, foot = {"classic": (0.7, 0.17), "tall": (1.0, 0.17), "wide": (0.55, 0.2), "double": (0.75, 0.16)}[variant]
    height, foot = height * scale, foot * scale
    body = lathe([(foot, 0.03), (0.6 * foot, 0.45 * height), (0.17 * foot, height)], 16)
    build.shape(kit.surface("cone", variant), body, smooth=True)
    base = kit.flat(grey(kit.rng, 0.03, 0.3) if kit.rng.random() < 0.6 else hsv(0.04, 0.85, 0.8))
    build.box(base, (0, 0, 0.02), (2.5 * foot, 2.5 * foot, 0.04))
    return [], 0.0


def box(build: Builder) -> tuple[list[Joint], float]:
    """A carton, crate or bin, or two cartons on top of each other."""
    kit, variant = build.kit, build.kit.variant("box")
    size = np.array([kit.uniform(0.3, 0.9), kit.uniform(0.3, 0.9), kit.uniform(0.3, 0.9)]) * kit.uniform(0.8, 1.2)
    material = kit.surface("box", variant, wrapped=True)
    if variant == "bin":
        size = np.array([0.55, 0.6, 1.05]) * kit.uniform(0.8, 1.2)
        build.box(kit.flat(any_colour(kit.rng)), (0, 0, size[2] + 0.03), (*(size[:2] * 1.08), 0.06))
    build.box(material, (0, 0, size[2] / 2), size)
    if variant in ("carton", "parcel") and kit.rng.random() < 0.35:
        second = size * kit.uniform(0.5, 0.9)
        build.box(kit.surface("box", variant, wrapped=True), (0.05, 0.03, size[2] + second[2] / 2), second)
    return [], 0.0


_BUILDERS: dict[str, Callable[[Builder], tuple[list[Joint], float]]] = {
    "person": person,
    "vehicle": vehicle,
    "rider": rider,
    "animal": animal,
    "cone": cone,
    "box": box,
}



"""People on foot, and on two wheels."""

from __future__ import annotations

import numpy as np

from tools.world.kit import Builder, Kit, pitch_quaternion
from tools.world.limbs import Bones, Joint, hang_limb
from tools.world.mesh import Mesh, lathe, loft, wheel
from tools.world.textures import any_colour, grey, hsv


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


def _upper_body(
    build: Builder,
    height: float,
    hip: float,
    lean: float,
    variant: str,
    arm: tuple[float, float],
    swing: float,
    phase: float,
) -> list[Joint]:
    """Torso, head and arms on a waist at ``hip``; ``arm`` are the rest angles of shoulder and elbow."""
    kit, bulk = build.kit, build.kit.uniform(0.85, 1.25)
    skin, (shirt, bodice) = _skin(kit), kit.cloth()
    hair = kit.flat(hsv(kit.uniform(0.03, 0.12), kit.uniform(0, 0.6), kit.uniform(0.05, 0.7)))
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
        top.ellipsoid(
            kit.flat(any_colour(kit.rng), 0.6), (-0.01, 0, centre + 0.2 * head), (head * 1.15, head * 1.0, head * 0.95)
        )
    if variant == "backpack":
        top.box(_cloth(kit), (-0.5 * depth - 0.07, 0, 0.6 * tall), (0.16, 0.75 * width, 0.7 * tall))
    if kit.bold(0.6):
        size = kit.rng.uniform(0.08, 0.45, 3).tolist()  # something worn or carried
        place = (kit.uniform(-0.25, 0.25), kit.uniform(-0.25, 0.25), kit.uniform(0, 1.5 * tall))
        (top.box if kit.rng.random() < 0.5 else top.ellipsoid)(kit.flat(any_colour(kit.rng)), place, size)
    joints = []
    sleeve = shirt if kit.rng.random() < 0.6 else skin
    for side, sign in (("l", 1), ("r", -1)):
        name = f"{build.body.name}{side}"
        moves, hand = hang_limb(
            top,
            waist,
            (0, sign * (0.5 * width + 0.02 * height), 0.88 * tall),
            Bones((0.16 * height, 0.14 * height), (0.028 * height * bulk, 0.022 * height), (shirt, sleeve)),
            Joint(f"{name}shoulder", arm[0], swing, phase + (np.pi if sign > 0 else 0)),
            Joint(f"{name}elbow", arm[1], 0.3 * swing, phase),
        )
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
    joints = _upper_body(
        build,
        height,
        hip - 0.02,
        kit.uniform(0, 0.12),
        variant,
        (kit.uniform(-0.1, 0.1), -kit.uniform(0.1, 0.6)),
        swing,
        phase,
    )
    thick = kit.uniform(0.85, 1.2)
    for side, sign in (("l", 1), ("r", -1)):
        name, own = f"{build.body.name}{side}", phase + (0 if sign > 0 else np.pi)
        moves, foot = hang_limb(
            build,
            build.body,
            (0, sign * 0.052 * height, hip),
            Bones((0.245 * height, 0.215 * height), (0.047 * height * thick, 0.034 * height * thick), (trousers, shin)),
            Joint(f"{name}hip", 0.0, -swing, own),
            Joint(f"{name}knee", 0.05, 1.6 * swing, own - 1.9, knee=True),
        )
        foot.ellipsoid(shoe, (0.05, 0, -0.22 * height), (0.15 * height, 0.055 * height, 0.05 * height))
        joints += moves
    if variant == "coat" or (variant == "long_hair" and kit.rng.random() < 0.5):
        skirt = lathe([(0.13 * height, 0), (0.11 * height, 0.12 * height), (0.085 * height, 0.24 * height)], 10)
        build.shape(kit.cloth()[1], skirt, (0, 0, hip - 0.2 * height), smooth=True)
    return joints, 2 * np.pi / (0.85 * height)


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
    hub, fork, head = (-base, 0.0, radius), (base, 0.0, radius), (0.32 * scale, 0.0, 0.85 * scale)
    down = (0.3 * scale, 0.0, 0.8 * scale)
    for start, end in ((hub, seat), (hub, crank), (crank, seat), (crank, down), (seat, head), (fork, bar)):
        build.capsule(paint, start, end, tube)
    build.capsule(dark, (bar[0], -0.27, bar[2]), (bar[0], 0.27, bar[2]), 0.018)
    build.ellipsoid(
        dark, (seat[0], 0, seat[2] + 0.03), (0.3 if not powered else 0.6, 0.16 if not powered else 0.28, 0.1)
    )
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
    joints = _upper_body(
        torso,
        height,
        hip,
        lean,
        "helmet" if powered or kit.rng.random() < 0.5 else "bare",
        (-0.75 - lean, -0.35),
        0.0,
        0.0,
    )
    trousers, shoe = _cloth(kit), kit.flat(any_colour(kit.rng))
    pedal = 0.0 if powered else 0.32
    for side, sign in (("l", 1), ("r", -1)):
        name, own = f"{waist.name}{side}", phase + (0 if sign > 0 else np.pi)
        moves, foot = hang_limb(
            torso,
            waist,
            (0, sign * 0.1, hip),
            Bones((0.235 * height, 0.22 * height), (0.047 * height, 0.034 * height), (trousers, trousers)),
            Joint(f"{name}hip", -1.05 if not powered else -1.15, pedal, own),
            Joint(f"{name}knee", 1.2, 0.9 * pedal, own + 2.0),
        )
        foot.ellipsoid(shoe, (0.05, 0, -0.23 * height), (0.26, 0.1, 0.09))
        joints += moves
    return joints, 1.2

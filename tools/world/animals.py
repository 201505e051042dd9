"""Four-legged animals."""

from __future__ import annotations

import numpy as np

from tools.world import textures
from tools.world.kit import Builder, Kit
from tools.world.limbs import Bones, Joint, hang_limb
from tools.world.mesh import loft
from tools.world.textures import grey

_ANIMAL = {  # body length, body height, body width, shoulder height, neck, snout
    "dog": (0.62, 0.26, 0.22, 0.55, 0.2, 0.14),
    "sheep": (0.95, 0.55, 0.45, 0.8, 0.22, 0.16),
    "goat": (0.9, 0.42, 0.32, 0.8, 0.35, 0.16),
    "deer": (1.2, 0.45, 0.35, 1.1, 0.6, 0.2),
    "cow": (1.8, 0.75, 0.6, 1.4, 0.5, 0.35),
    "horse": (1.7, 0.65, 0.5, 1.5, 0.8, 0.38),
}


def _build(kit: Kit, variant: str) -> np.ndarray:
    """The measures of a kind of animal, or of something between all kinds that the split may use."""
    own = np.array(_ANIMAL[variant])
    if not kit.bold():
        return own
    other = np.array(_ANIMAL[kit.variant("animal")])
    share = kit.uniform(0, 1)
    return np.asarray(own**share * other ** (1 - share) * np.exp(kit.rng.normal(0, 0.12, len(own))))


def animal(build: Builder) -> tuple[list[Joint], float]:
    """A four-legged animal that walks."""
    kit, variant = build.kit, build.kit.variant("animal")
    scale = kit.uniform(0.8, 1.2)
    length, deep, wide, shoulder, neck, snout = (scale * size for size in _build(kit, variant))
    coat = textures.free(kit.rng, "cloth") if kit.bold(0.5) else textures.hide(kit.rng)
    (hide, flank), dark = kit.skin(coat), kit.flat(grey(kit.rng, 0.03, 0.3, 0.4))
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
    build.ellipsoid(
        dark if kit.rng.random() < 0.4 else hide,
        (poll[0] + 0.9 * snout, 0, poll[2] - 0.3 * snout),
        (1.4 * snout, 0.55 * snout, 0.6 * snout),
    )
    for side in (-1, 1):
        build.ellipsoid(
            hide,
            (poll[0] - 0.3 * snout, side * 0.45 * snout, poll[2] + 0.5 * snout),
            (0.25 * snout, 0.3 * snout, 0.7 * snout),
        )
        if variant in ("goat", "deer") or (variant == "cow" and kit.rng.random() < 0.5) or kit.bold(0.2):
            build.capsule(
                dark,
                (poll[0] - 0.2 * snout, side * 0.3 * snout, poll[2] + 0.5 * snout),
                (poll[0] - 0.5 * snout, side * 0.8 * snout, poll[2] + 1.8 * snout),
                0.02,
            )
    tail = kit.uniform(-0.5, 0.9) if variant == "dog" else -1.2
    build.capsule(
        hide,
        (-0.48 * length, 0, back + 0.25 * deep),
        (-0.48 * length - 0.4 * deep * np.cos(tail), 0, back + 0.25 * deep + deep * np.sin(tail)),
        0.07 * deep,
    )
    joints, phase, leg = [], kit.uniform(0, 2 * np.pi), shoulder - 0.7 * deep
    stocking = hide if kit.rng.random() < 0.6 else dark
    for index, (x, y) in enumerate([(0.36, 1), (0.36, -1), (-0.38, 1), (-0.38, -1)]):
        own = phase + (0 if index in (0, 3) else np.pi)
        name = f"{build.body.name}leg{index}"
        moves, _ = hang_limb(
            build,
            build.body,
            (x * length, y * 0.3 * wide, leg),
            Bones((0.5 * leg, 0.46 * leg), (0.16 * deep, 0.085 * deep), (hide, stocking)),
            Joint(f"{name}hip", 0.0, -0.4, own),
            Joint(f"{name}knee", 0.0, 0.5, own - 1.9, knee=True),
        )
        joints += moves
    return joints, 2 * np.pi / (1.1 * shoulder)

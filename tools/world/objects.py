"""Cones, and boxes of all kinds."""

from __future__ import annotations

import numpy as np

from tools.world.kit import Builder
from tools.world.limbs import Joint
from tools.world.mesh import lathe
from tools.world.textures import any_colour, grey, hsv


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
    build.box(material, (0, 0, size[2] / 2), size.tolist())
    if variant in ("carton", "parcel") and kit.rng.random() < 0.35:
        second = size * kit.uniform(0.5, 0.9)
        build.box(kit.surface("box", variant, wrapped=True), (0.05, 0.03, size[2] + second[2] / 2), second.tolist())
    return [], 0.0

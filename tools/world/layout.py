"""Streets, yards and parks: which bands of ground, and what stands where."""

from __future__ import annotations

import numpy as np

from tools.world.kit import Kit
from tools.world.place import EXTENT, Band, Bend, Place
from tools.world.scenery import Scenery


def make_place(kit: Kit) -> Place:
    """Build a random street, yard or park."""
    kind = str(kit.rng.choice(["street", "street", "yard", "park"]))
    amplitude = kit.uniform(0, 6) if kit.rng.random() < 0.7 else 0.0
    bend = Bend(amplitude, kit.uniform(25, 60), kit.uniform(0, 2 * np.pi))
    place = Place(kind, bend, _bands(kit, kind))
    scenery = Scenery(kit, place)
    scenery.ground()
    right, left = min(b.right for b in place.bands), max(b.left for b in place.bands)
    _furnish(kit, scenery, kind, right, left)
    scenery.hills()
    return place


def _bands(kit: Kit, kind: str) -> list[Band]:
    bands = []
    kerb = kit.uniform(0.03, 0.14)
    if kind == "street":
        half = kit.uniform(2.8, 5.0)
        bands += [Band("road", -half, half, 0.0)]
        for side in (-1, 1):
            edge = half
            if kit.rng.random() < 0.25:
                verge = kit.uniform(0.8, 2.5)
                bands.append(_side(side, "terrain", edge, edge + verge, kerb))
                edge += verge
            if kit.rng.random() < 0.9:
                width = kit.uniform(1.4, 4.0)
                bands.append(_side(side, "sidewalk", edge, edge + width, kerb))
                edge += width
            if kit.rng.random() < 0.4:
                bands.append(_side(side, "terrain", edge, edge + kit.uniform(1, 5), 0.02))
    elif kind == "yard":
        half = kit.uniform(5, 12)
        bands += [Band("road", -half, half, 0.0)]
        for side in (-1, 1):
            if kit.rng.random() < 0.7:
                bands.append(_side(side, "sidewalk", half, half + kit.uniform(1.5, 4), kerb))
    else:
        half = kit.uniform(1.0, 2.5)
        bands += [Band("sidewalk", -half, half, 0.01)]
        if kit.rng.random() < 0.6:
            gap = kit.uniform(3, 8)
            side = int(kit.rng.choice([-1, 1]))
            bands.append(_side(side, "road", half + gap, half + gap + kit.uniform(4, 7), 0.0))
    return bands


def _side(side: int, label: str, near: float, far: float, z: float) -> Band:
    return Band(label, near, far, z) if side > 0 else Band(label, -far, -near, z)


def _furnish(kit: Kit, scenery: Scenery, kind: str, right: float, left: float) -> None:
    chance = kit.rng.random
    for side, edge in ((-1, -right), (1, left)):
        built = chance() < {"street": 0.85, "yard": 0.85, "park": 0.4}[kind]
        gap = kit.uniform(0.5, 5) if kind != "park" else kit.uniform(5, 20)
        if built:
            scenery.row_of_houses(side, edge + gap)
        elif chance() < 0.5:
            scenery.hedge(
                side * (edge + kit.uniform(0.8, 5)), kit.uniform(-40, 40), kit.uniform(10, 40), kit.uniform(0.6, 2.0)
            )
        if chance() < 0.35:
            scenery.fence(side * (edge + kit.uniform(0.3, 0.5 + gap * 0.5)), kit.uniform(-40, 40), kit.uniform(6, 30))
        if kind != "park":
            spacing, offset = kit.uniform(5, 16), edge - kit.uniform(0.3, 0.8)
            if chance() < 0.9:
                for x in np.arange(-EXTENT + kit.uniform(5, 20), EXTENT, spacing):
                    scenery.pole(*scenery.spot(side * offset, x), -side)
            if chance() < 0.5:
                spacing = kit.uniform(6, 16)
                for x in np.arange(-EXTENT + kit.uniform(5, 20), EXTENT, spacing):
                    scenery.tree(*scenery.spot(side * (edge + kit.uniform(0.4, 0.4 + 0.3 * gap)), x))
        wild = (8, 30) if not built else (0, 10)
        for _ in range(int(kit.rng.integers(*wild)) + (15 if kind == "park" else 0)):
            at = scenery.spot(side * (edge + kit.uniform(1.2, 6 if built else 45)))
            if scenery.place.free(*at, 0.8):
                (scenery.tree if chance() < 0.6 else scenery.bush)(*at)
    if kind != "street":
        for _ in range(int(kit.rng.integers(6, 16))):
            offset = kit.uniform(right - 2, left + 2)
            if abs(offset) > 2.0:
                scenery.pole(*scenery.spot(offset), 1)

"""Single views for training: in every view the camera and all things stand somewhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.world.camera import OPTICAL, Eye, FloatArray, Lens, View, rotation, transform
from tools.world.motion import State
from tools.world.scene import Scene
from tools.world.sensors import Optics, expose
from tools.world.variants import CLASSES, STUFF

CAST = (
    ["person"] * 9 + ["vehicle"] * 6 + ["rider"] * 5 + ["animal"] * 5 + ["cone"] * 4 + ["box"] * 4
)  # fmt: skip
"""The things of one scene of single views."""

NEAREST, FARTHEST = 1.8, 35.0


@dataclass(frozen=True)
class Still:
    """One training example: ``image`` ``(H, W, 3)`` uint8 as the camera delivers it, ``semantic`` ``(H, W)`` uint8,
    ``thing`` ``(H, W)`` uint8 number of the thing, 0 for stuff.
    """

    image: NDArray[np.uint8]
    semantic: NDArray[np.uint8]
    thing: NDArray[np.uint8]


def stills(seed: int, count: int, size: tuple[int, int]) -> Iterator[Still]:
    """``count`` views of the scene that ``seed`` gives, each with another camera, pose and arrangement; ``size`` is
    width, height. Dull views are left out and replaced.
    """
    scene = Scene(seed, CAST, size)
    rng = np.random.default_rng([seed, 2])
    lens = Lens.of(*size, np.radians(rng.uniform(58, 95)))
    with Eye(scene.model, lens, scene.labels, scene.numbers) as eye:
        made = 0
        while made < count:
            pose = _camera(scene, rng)
            scene.arrange(_arrange(scene, rng, pose, lens))
            view = eye.look(scene.data, pose, scene.light.sun)
            if _dull(view):
                continue
            air = replace(scene.light, haze=scene.light.haze * float(rng.uniform(0.3, 1.7)))
            yield Still(
                expose(rng, view.rgb, view.depth, air, Optics.random(rng)), view.semantic, view.thing.astype(np.uint8)
            )
            made += 1


def _camera(scene: Scene, rng: np.random.Generator) -> FloatArray:
    place = scene.place
    for _ in range(100):
        x, band = rng.uniform(-70, 70), place.bands[int(rng.integers(len(place.bands)))]
        y = place.bend.y(x) + rng.uniform(band.right, band.left)
        if place.free(x, y, 0.6):
            break
    along = np.arctan(place.bend.slope(x)) + (np.pi if rng.random() < 0.5 else 0.0)
    yaw = along + (rng.normal(0, 0.5) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi))
    look = rotation(yaw, rng.uniform(-0.03, 0.22), rng.normal(0, 0.02)) @ OPTICAL
    return transform(look, np.array([x, y, rng.uniform(0.4, 1.8)]))


def _arrange(scene: Scene, rng: np.random.Generator, pose: FloatArray, lens: Lens) -> list[State | None]:
    """Things at log-uniform distances in the view, on free ground, a random share of them."""
    heading, half = np.arctan2(pose[1, 2], pose[0, 2]), np.arctan(lens.width / 2 / lens.focal)
    taken: list[tuple[float, float, float]] = []
    states: list[State | None] = []
    share = rng.uniform(0.1, 0.65)
    for thing, extent in zip(scene.things, scene.extents, strict=True):
        states.append(None)
        if rng.random() > share:
            continue
        for _ in range(12):
            nearest = NEAREST + 1.2 * extent.radius
            distance = float(np.exp(rng.uniform(np.log(nearest), np.log(FARTHEST))))
            bearing = heading + rng.uniform(-1.1, 1.1) * half
            x, y = pose[0, 3] + distance * np.cos(bearing), pose[1, 3] + distance * np.sin(bearing)
            if not _fits(scene, thing.label, x, y, rng):
                continue
            if not scene.place.free(x, y, 0.8 * extent.radius):
                continue
            if all(np.hypot(x - ox, y - oy) > 0.75 * (extent.radius + r) for ox, oy, r in taken):
                yaw = rng.uniform(-np.pi, np.pi)
                if thing.label == "vehicle" and rng.random() < 0.6:
                    yaw = np.arctan(scene.place.bend.slope(x)) + (np.pi if rng.random() < 0.5 else 0.0)
                states[-1] = State(x, y, float(yaw), 0.0, 0.0, float(rng.uniform(0, 10)))
                taken.append((x, y, extent.radius))
                break
    return states


def _fits(scene: Scene, label: str, x: float, y: float, rng: np.random.Generator) -> bool:
    """Vehicles mostly keep to the road where there is one."""
    if label != "vehicle" or rng.random() < 0.15:
        return True
    band = scene.place.band(x, y)
    return (band is not None and band.label == "road") or all(b.label != "road" for b in scene.place.bands)


def _dull(view: View) -> bool:
    share = np.bincount(view.semantic.ravel(), minlength=len(CLASSES)) / view.semantic.size
    return bool(
        share.max() > 0.7
        or share[len(STUFF) :].sum() < 0.004
        or np.count_nonzero(share > 0.005) < 4
        or np.min(view.depth) < 0.35
    )

"""The countable things: people, vehicles, riders, animals, cones and boxes.

A builder makes one random variant, with sizes up to 20 % around the true ones, on a body whose origin is on the ground
and whose x axis points ahead. It returns the joints that swing when the thing moves, and how far it swings per metre.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.world.animals import animal
from tools.world.kit import Builder, Kit
from tools.world.limbs import Joint
from tools.world.objects import box, cone
from tools.world.people import person, rider
from tools.world.vehicles import vehicle

_BUILDERS: dict[str, Callable[[Builder], tuple[list[Joint], float]]] = {
    "person": person,
    "vehicle": vehicle,
    "rider": rider,
    "animal": animal,
    "cone": cone,
    "box": box,
}


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

"""Joints and limbs: how things move when they walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.world.kit import Builder


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
class Bones:
    """The two links of a limb: their lengths, radii and materials, upper first."""

    lengths: tuple[float, float]
    radii: tuple[float, float]
    materials: tuple[str, str]


def hang_limb(
    build: Builder, body: Any, pos: tuple[float, float, float], bones: Bones, swing: Joint, knee: Joint
) -> tuple[list[Joint], Builder]:
    """Two links that hang from ``pos`` of ``body``, hinged at both. Returns the joints and a builder for the lower
    link, whose origin is the knee.
    """
    upper = body.add_body(pos=pos)
    upper.add_joint(name=swing.name, axis=[0, 1, 0])
    above = Builder(build.kit, upper, build.label, build.thing)
    above.capsule(bones.materials[0], (0, 0, 0), (0, 0, -bones.lengths[0]), bones.radii[0])
    lower = upper.add_body(pos=[0, 0, -bones.lengths[0]])
    lower.add_joint(name=knee.name, axis=[0, 1, 0])
    below = Builder(build.kit, lower, build.label, build.thing)
    below.capsule(bones.materials[1], (0, 0, 0), (0, 0, -bones.lengths[1]), bones.radii[1])
    return [swing, knee], below

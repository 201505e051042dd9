"""What builders build with: materials, meshes and geoms of one scene, under names that carry the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np

from tools.world import textures
from tools.world.mesh import Mesh
from tools.world.variants import Split, choose

GEOM = mujoco.mjtGeom
IDENTITY = (1.0, 0.0, 0.0, 0.0)


def yaw_quaternion(yaw: float) -> tuple[float, float, float, float]:
    """A turn about z as w x y z."""
    return (float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2)))


def pitch_quaternion(pitch: float) -> tuple[float, float, float, float]:
    """A turn about y as w x y z."""
    return (float(np.cos(pitch / 2)), 0.0, float(np.sin(pitch / 2)), 0.0)


@dataclass
class Kit:
    """The MuJoCo specification of a scene in the making, and the generator that all its random numbers come from."""

    spec: Any
    rng: np.random.Generator
    split: Split
    boldness: float = 0.0
    """Chance of a surface, a colour or a shape that follows none of the variants."""
    _count: int = field(default=0, init=False)

    def name(self, prefix: str) -> str:
        """A name that no other element has."""
        self._count += 1
        return f"{prefix}{self._count}"

    def uniform(self, low: float, high: float) -> float:
        """One number."""
        return float(self.rng.uniform(low, high))

    def variant(self, kind: str) -> str:
        """One of the variants that the scene's split may use."""
        return choose(self.rng, self.split, kind)

    def bold(self, share: float = 1.0) -> bool:
        """Whether to leave the variants this time. Draws no number where the scene keeps to them."""
        return self.boldness > 0 and bool(self.rng.random() < share * self.boldness)

    def flat(self, colour: Sequence[float] | np.ndarray, shine: float = 0.1) -> str:
        """A material of one colour (0..1)."""
        name = self.name("flat")
        if self.bold(0.35):
            colour = textures.any_colour(self.rng, (0, 0.95), (0.03, 0.97))
        rgba = [*np.clip(colour, 0, 1), 1.0]
        self.spec.add_material(name=name, rgba=rgba, specular=shine, shininess=0.2 + 0.6 * shine)
        return name

    def surface(self, kind: str, variant: str = "", wrapped: bool = False) -> str:
        """A textured material: ``kind`` and ``variant`` name a pattern (a random one of the split's if empty).
        ``wrapped`` around a primitive, else for meshes with texture coordinates.
        """
        if self.bold():
            return self.picture(textures.free(self.rng, kind), wrapped)
        pattern = textures.PATTERNS[kind][variant or self.variant(kind)]
        return self.picture(pattern(self.rng), wrapped)

    def picture(self, pixels: textures.Picture, wrapped: bool = False) -> str:
        """A material from a picture; see :meth:`surface`."""
        name = self.name("picture")
        if wrapped:
            pixels = np.concatenate([pixels] * 6)
        kind = mujoco.mjtTexture.mjTEXTURE_CUBE if wrapped else mujoco.mjtTexture.mjTEXTURE_2D
        height, width = pixels.shape[:2]
        texture = self.spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
        texture.data = pixels.tobytes()
        material = self.spec.add_material(name=name, specular=0.05, shininess=0.1)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        return name

    def skin(self, pixels: textures.Picture) -> tuple[str, str]:
        """One picture as two materials: for primitives and for meshes."""
        return self.picture(pixels, wrapped=True), self.picture(pixels)

    def cloth(self) -> tuple[str, str]:
        """A random cloth; see :meth:`skin`."""
        if self.bold():
            return self.skin(textures.free(self.rng, "cloth"))
        return self.skin(textures.PATTERNS["cloth"][self.variant("cloth")](self.rng))

    def mesh(self, shape: Mesh, smooth: bool = False) -> str:
        """Register a mesh; the name serves any number of geoms."""
        name = self.name("mesh")
        mesh = self.spec.add_mesh(name=name)
        mesh.uservert = shape.vertices.ravel()
        mesh.userface = shape.faces.ravel()
        mesh.usertexcoord = shape.uv.ravel()
        mesh.smoothnormal = smooth
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        return name


@dataclass
class Builder:
    """Adds the geoms of one class, of one thing (its number) or of the static surroundings (0), to a body."""

    kit: Kit
    body: Any
    label: str
    thing: int = 0

    def _add(self, **values: Any) -> None:
        self.body.add_geom(
            name=self.kit.name(f"{self.label}/{self.thing}/"), contype=0, conaffinity=0, mass=1.0, **values
        )

    def box(self, material: str, pos: Sequence[float], size: Sequence[float], quat: Sequence[float] = IDENTITY) -> None:
        """``size`` full lengths."""
        self._add(type=GEOM.mjGEOM_BOX, material=material, pos=pos, size=np.asarray(size) / 2, quat=quat)

    def ellipsoid(
        self, material: str, pos: Sequence[float], size: Sequence[float], quat: Sequence[float] = IDENTITY
    ) -> None:
        """``size`` full lengths."""
        self._add(type=GEOM.mjGEOM_ELLIPSOID, material=material, pos=pos, size=np.asarray(size) / 2, quat=quat)

    def capsule(self, material: str, a: Sequence[float], b: Sequence[float], radius: float) -> None:
        """From ``a`` to ``b``, with round ends beyond them."""
        self._add(type=GEOM.mjGEOM_CAPSULE, material=material, fromto=[*a, *b], size=[radius, 0, 0])

    def cylinder(self, material: str, a: Sequence[float], b: Sequence[float], radius: float) -> None:
        """From ``a`` to ``b``."""
        self._add(type=GEOM.mjGEOM_CYLINDER, material=material, fromto=[*a, *b], size=[radius, 0, 0])

    def mesh(
        self, material: str, mesh: str, pos: Sequence[float] = (0, 0, 0), quat: Sequence[float] = IDENTITY
    ) -> None:
        """A mesh of :meth:`Kit.mesh`."""
        self._add(type=GEOM.mjGEOM_MESH, material=material, meshname=mesh, pos=pos, quat=quat)

    def shape(
        self,
        material: str,
        shape: Mesh,
        pos: Sequence[float] = (0, 0, 0),
        quat: Sequence[float] = IDENTITY,
        smooth: bool = False,
    ) -> None:
        """A mesh that is used once."""
        self.mesh(material, self.kit.mesh(shape, smooth), pos, quat)

"""What stands still: the ground, houses, walls, trees, bushes, hedges, poles, hills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.world import textures
from tools.world.kit import Builder, Kit, yaw_quaternion
from tools.world.mesh import Mesh, blob, gable, lathe, slab, strip, walls
from tools.world.place import EXTENT, Place
from tools.world.textures import any_colour, grey

_POLE_HEIGHT = {
    "lamp": 6.0,
    "double_lamp": 6.0,
    "bollard": 1.0,
    "post": 2.5,
    "disc_sign": 2.6,
    "triangle_sign": 2.6,
    "traffic_light": 3.4,
}


def _scaled(mesh: Mesh, u: float, v: float) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces, mesh.uv * [u, v])


@dataclass
class Scenery:
    """Builds what stands still, each method one kind of it, and enters it into the place's solids."""

    kit: Kit
    place: Place

    def __post_init__(self) -> None:
        """Materials and shapes that many plants share."""
        kit = self.kit
        self._leaves = [kit.surface("foliage") for _ in range(3)]
        self._bark = [kit.picture(textures.bark(kit.rng)) for _ in range(2)]
        self._blobs = [blob(kit.rng, kit.uniform(0.15, 0.45)) for _ in range(4)]
        self._crowns: dict[tuple[float, float, int], str] = {}

    def _leaf(self) -> str:
        return str(self.kit.rng.choice(self._leaves))

    def ground(self) -> None:
        """Open ground to the horizon, and the bands."""
        kit, bend = self.kit, self.place.bend
        build = self._builder("terrain")
        far = EXTENT * 2.2
        base = Mesh(
            np.array([[-far, -far, 0], [far, -far, 0], [far, far, 0], [-far, far, 0]]),
            np.array([[0, 1, 2], [0, 2, 3]]),
            np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * 2 * far / kit.uniform(2, 5),
        )
        build.shape(kit.surface("ground"), base, (0, 0, -0.03))
        xs = np.linspace(-EXTENT, EXTENT, 56 if bend.amplitude else 2)
        surfaces = {"road": kit.surface("asphalt"), "sidewalk": kit.surface("paving"), "terrain": kit.surface("ground")}
        for band in self.place.bands:
            width = band.left - band.right
            across = 1.0 if band.label == "road" else max(1.0, round(width / kit.uniform(1.5, 3)))
            period = kit.uniform(5, 9) if band.label == "road" else width / across
            mesh = _scaled(strip(bend.line, xs, band.right, band.left, band.z), across, 1 / period)
            self._builder(band.label).shape(surfaces[band.label], mesh)

    def _builder(self, label: str) -> Builder:
        return Builder(self.kit, self.kit.spec.worldbody, label)

    def spot(self, offset: float, x: float | None = None) -> tuple[float, float]:
        """A point at an offset from the centre line, at a random place along it unless ``x`` says where."""
        x = self.kit.uniform(-EXTENT + 15, EXTENT - 10) if x is None else x
        return x, self.place.bend.y(x) + offset

    def house(self, x: float, y: float, yaw: float, length: float, width: float) -> None:
        """A house of one to five storeys, its long side along ``yaw``."""
        kit = self.kit
        storeys = int(kit.rng.integers(1, 6)) if length < 18 else int(kit.rng.integers(1, 4))
        height = storeys * kit.uniform(2.8, 3.6)
        quat, pos, z = yaw_quaternion(yaw), (x, y, self.place.height(x, y) - 0.02), self.place.height(x, y)
        wall, build = kit.surface("facade"), self._builder("building")
        build.shape(wall, walls(length, width, height, (kit.uniform(4, 7), 2 * height / storeys)), pos, quat)
        roof = kit.surface("roof")
        if kit.rng.random() < 0.5 and width < 14:
            build.shape(
                roof, _scaled(gable(length, width, height, kit.uniform(0.25, 0.5) * width), 0.3, 0.3), pos, quat
            )
        else:
            edge = kit.uniform(0, 0.4)
            build.shape(
                roof,
                _scaled(slab(length + edge, width + edge, height, height + kit.uniform(0.2, 0.8)), 0.3, 0.3),
                pos,
                quat,
            )
        cos, sin = np.cos(yaw), np.sin(yaw)
        door, ledge = kit.flat(any_colour(kit.rng)), kit.flat(grey(kit.rng, 0.2, 0.9))
        for along in np.arange(-length / 2 + 2, length / 2 - 1, kit.uniform(4, 9)):
            for side in (-1, 1):
                px, py = x + cos * along - sin * side * width / 2, y + sin * along + cos * side * width / 2
                build.box(door, (px, py, z + 1.05), (1.1, 0.16, 2.1), quat)
                if kit.rng.random() < 0.4:
                    build.box(ledge, (px, py, z + 2.5), (2.2, 1.4, 0.12), quat)
        for step in np.linspace(-length / 2, length / 2, max(2, int(length / width) + 1)):
            self.place.solids.append((x + cos * step, y + sin * step, width / 2 + 0.6))

    def row_of_houses(self, side: int, distance: float) -> None:
        """Houses along one side (-1 right, 1 left), with gaps."""
        kit, x = self.kit, -EXTENT + 10
        while x < EXTENT:
            length, width = kit.uniform(8, 24), kit.uniform(7, 13)
            if kit.rng.random() < 0.85:
                centre, y = x + length / 2, side * (distance + width / 2 + kit.uniform(0, 3))
                slope = self.place.bend.slope(centre)
                self.house(*self.spot(y, centre), float(np.arctan(slope)), length, width)
            x += length + (0.0 if kit.rng.random() < 0.5 else kit.uniform(1.5, 10))

    def tree(self, x: float, y: float) -> None:
        """A tree; its trunk counts as vegetation too."""
        kit, build, variant = self.kit, self._builder("vegetation"), self.kit.variant("tree")
        height = kit.uniform(3.0, 11)
        crown, leaves = int(kit.rng.choice(np.arange(len(self._blobs)))), self._leaf()
        z, trunk = self.place.height(x, y), 0.03 * height + 0.05
        build.shape(
            str(kit.rng.choice(self._bark)),
            _scaled(lathe([(trunk, 0), (0.7 * trunk, 0.55 * height)], 8), 2, height / 2),
            (x, y, z - 0.05),
            smooth=True,
        )
        middle = 0.62 * height
        wide = kit.uniform(0.4, 0.7) * height
        balls: dict[str, list[tuple[float, float, float, float, float]]] = {
            "round": [(0, 0, middle, wide, 0.7 * height)],
            "poplar": [(0, 0, 0.58 * height, 0.28 * height, 0.85 * height)],
            "umbrella": [(0, 0, 0.8 * height, 1.2 * wide, 0.35 * height)],
            "twin": [
                (-0.2 * wide, 0.1, middle, 0.8 * wide, 0.5 * height),
                (0.25 * wide, -0.1, 0.78 * height, 0.7 * wide, 0.45 * height),
            ],
        }
        if kit.bold(0.7):
            variant = "free"
            balls[variant] = self._balls(height, wide)
        if variant == "conifer":
            cone = lathe(
                [
                    (0.24 * height, 0.16 * height),
                    (0.13 * height, 0.45 * height),
                    (0.16 * height, 0.45 * height),
                    (0.02, height),
                ],
                10,
            )
            build.shape(leaves, _scaled(cone, 4, 3), (x, y, z))
        else:
            for dx, dy, dz, w, h in balls[variant]:
                key = (round(w, 1), round(h, 1), crown)
                if key not in self._crowns:
                    shape = self._blobs[crown]
                    self._crowns[key] = kit.mesh(
                        Mesh(shape.vertices * [w / 2, w / 2, h / 2], shape.faces, shape.uv * max(1, w / 2)),
                        smooth=False,
                    )
                build.mesh(leaves, self._crowns[key], (x + dx, y + dy, z + dz), yaw_quaternion(kit.uniform(0, 6.28)))
        self.place.solids.append((x, y, trunk + 0.25))

    def _balls(self, height: float, wide: float) -> list[tuple[float, float, float, float, float]]:
        """A crown of one to four balls anywhere: x, y, z, width, height."""
        kit = self.kit
        return [
            (
                kit.uniform(-0.5, 0.5) * wide,
                kit.uniform(-0.5, 0.5) * wide,
                kit.uniform(0.45, 0.9) * height,
                kit.uniform(0.3, 1.3) * wide,
                kit.uniform(0.2, 0.9) * height,
            )
            for _ in range(int(kit.rng.integers(1, 5)))
        ]

    def bush(self, x: float, y: float) -> None:
        """A bush."""
        kit = self.kit
        wide, tall = kit.uniform(0.6, 2.2), kit.uniform(0.4, 1.5)
        shape = self._blobs[int(kit.rng.integers(len(self._blobs)))]
        mesh = Mesh(shape.vertices * [wide / 2, wide / 2, tall / 2], shape.faces, shape.uv * 0.7)
        self._builder("vegetation").shape(self._leaf(), mesh, (x, y, self.place.height(x, y) + 0.4 * tall))
        self.place.solids.append((x, y, wide / 2 + 0.2))

    def hedge(self, offset: float, x0: float, length: float, tall: float) -> None:
        """A hedge along the bend."""
        kit = self.kit
        x, y = self.spot(offset, x0)
        yaw = float(np.arctan(self.place.bend.slope(x0)))
        mesh = _scaled(slab(length, kit.uniform(0.5, 1.0), -0.1, tall), 0.8, 0.8)
        self._builder("vegetation").shape(self._leaf(), mesh, (x, y, 0), yaw_quaternion(yaw))
        for step in np.arange(-length / 2, length / 2 + 0.1, 1.0):
            self.place.solids.append((x + np.cos(yaw) * step, y + np.sin(yaw) * step, 0.7))

    def fence(self, offset: float, x0: float, length: float) -> None:
        """A wall: it counts as building."""
        kit = self.kit
        x, y = self.spot(offset, x0)
        yaw, tall = float(np.arctan(self.place.bend.slope(x0))), kit.uniform(0.7, 2.2)
        self._builder("building").shape(
            kit.surface("facade"), walls(length, 0.25, tall, (3, 3)), (x, y, -0.05), yaw_quaternion(yaw)
        )
        self._builder("building").shape(
            kit.surface("roof"), slab(length, 0.35, tall - 0.05, tall + 0.05), (x, y, -0.05), yaw_quaternion(yaw)
        )
        for step in np.arange(-length / 2, length / 2 + 0.1, 1.0):
            self.place.solids.append((x + np.cos(yaw) * step, y + np.sin(yaw) * step, 0.6))

    def pole(self, x: float, y: float, towards: float) -> None:
        """A street lamp, sign, traffic light, bollard or bare post; ``towards`` is the side the road is on."""
        kit, build, variant = self.kit, self._builder("pole"), self.kit.variant("pole")
        z, scale = self.place.height(x, y) - 0.05, self.kit.uniform(0.8, 1.2)
        steel = kit.flat(grey(kit.rng, 0.1, 0.8, 0.2) if kit.rng.random() < 0.7 else any_colour(kit.rng), 0.4)
        radius, height = kit.uniform(0.05, 0.15), _POLE_HEIGHT[variant] * scale
        if variant == "bollard":
            radius = kit.uniform(0.07, 0.16)
        if kit.bold():
            height, variant = kit.uniform(0.8, 7), "free"
            self._hang(build, (x, y, z), height, radius)
        build.cylinder(steel, (x, y, z), (x, y, z + height), radius)
        face = kit.uniform(-0.3, 0.3)
        if variant in ("lamp", "double_lamp"):
            for side in (towards,) if variant == "lamp" else (-1, 1):
                build.capsule(steel, (x, y, z + height), (x, y + 1.4 * side, z + height + 0.2), 0.6 * radius)
                build.ellipsoid(kit.flat((0.9, 0.9, 0.8)), (x, y + 1.5 * side, z + height + 0.15), (0.3, 0.8, 0.15))
        if variant == "disc_sign":
            build.cylinder(
                kit.flat(any_colour(kit.rng, (0.3, 0.95), (0.4, 0.95))),
                (x - 0.07, y, z + height - 0.3),
                (x - 0.05, y + 0.02 * face, z + height - 0.3),
                0.33,
            )
        if variant == "triangle_sign":
            plate = Mesh(
                np.array([[0, -0.4, 0], [0, 0.4, 0], [0, 0, 0.7], [0.02, -0.4, 0], [0.02, 0.4, 0], [0.02, 0, 0.7]]),
                np.array([[0, 2, 1], [3, 4, 5], [0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [2, 0, 3], [2, 3, 5]]),
                np.zeros((6, 2)),
            )
            build.shape(kit.flat(any_colour(kit.rng, (0.3, 0.95), (0.4, 0.95))), plate, (x - 0.1, y, z + height - 0.8))
        if variant == "traffic_light":
            build.box(kit.flat((0.08, 0.1, 0.08)), (x - 0.15, y, z + height - 0.4), (0.25, 0.3, 0.9))
            for index, colour in enumerate([(0.1, 0.8, 0.3), (0.7, 0.5, 0.05), (0.8, 0.1, 0.1)]):
                build.ellipsoid(
                    kit.flat(colour, 0.5), (x - 0.28, y, z + height - 0.68 + 0.28 * index), (0.06, 0.2, 0.2)
                )
        self.place.solids.append((x, y, radius + 0.25))

    def _hang(self, build: Builder, foot: tuple[float, float, float], height: float, radius: float) -> None:
        """Up to three boxes, balls, discs or arms anywhere on the upper half of a pole."""
        kit = self.kit
        for _ in range(int(kit.rng.integers(0, 4))):
            size = np.exp(kit.rng.uniform(np.log(0.08), np.log(0.8), 3))
            at = np.add(foot, [*kit.rng.uniform(-0.2, 0.2, 2), kit.uniform(0.5, 1.0) * height])
            colour = kit.flat(any_colour(kit.rng), 0.4)
            shape = int(kit.rng.integers(4))
            if shape == 0:
                build.box(colour, at.tolist(), size.tolist())
            elif shape == 1:
                build.ellipsoid(colour, at.tolist(), size.tolist())
            elif shape == 2:
                build.cylinder(colour, at.tolist(), np.add(at, [0.03, 0, 0]).tolist(), size[0] / 2)
            else:
                end = np.add(at, [*kit.rng.uniform(-1.6, 1.6, 2), kit.uniform(-0.1, 0.4)])
                build.capsule(colour, at.tolist(), end.tolist(), 0.6 * radius)

    def hills(self) -> None:
        """A wooded horizon, so that the sky does not meet the plain everywhere."""
        kit = self.kit
        for _ in range(int(kit.rng.integers(0, 7))):
            angle, distance = kit.uniform(0, 2 * np.pi), kit.uniform(130, 220)
            shape = self._blobs[int(kit.rng.integers(len(self._blobs)))]
            mesh = Mesh(
                shape.vertices * [kit.uniform(30, 70), kit.uniform(30, 70), kit.uniform(8, 25)],
                shape.faces,
                shape.uv * 12,
            )
            self._builder("vegetation").shape(
                self._leaf(), mesh, (distance * np.cos(angle), distance * np.sin(angle), -2)
            )

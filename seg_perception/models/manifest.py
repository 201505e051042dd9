"""The manifest: one YAML file that says all there is to know about one model; ``docs/models.md`` explains each key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seg_perception import resources
from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace, normalised, remap
from seg_perception.schema import from_mapping, option, read_yaml
from seg_perception.types import UNLABELLED, Float32Array, UInt8Array

DECODERS = {
    "dense_logits": ("semantic",),
    "yolo": ("instance",),
    "rcnn": ("instance",),
    "queries": ("panoptic", "semantic", "instance"),
}
"""Which tasks each decoder serves."""

RANDOM = "random"
"""What ``network: pretrained:`` says for weights that nobody trained: the same numbers at every load."""


@dataclass(frozen=True)
class Weights:
    """The file with the network's numbers, and with its graph unless ``network:`` builds that; see
    :mod:`seg_perception.models.weights` for where it is found.
    """

    file: str = option("", "file name, or a path (absolute, or relative to the manifest's folder)")
    sha256: str = option("", "checksum of the file; needed for a download")
    url: str = option("", "where to download the file from when it is nowhere on this machine")


@dataclass(frozen=True)
class Network:
    """What builds the network where there is no file with its graph; see :mod:`seg_perception.models.families`."""

    library: Literal["torchvision", "transformers", "smp"] = option(help="the Python library that has the network")
    name: str = option(help="what the library calls it: a model of torchvision, a class of the others")
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the library's function or class is given besides the number of classes."""
    pretrained: str = option(
        "", "where the library gets the weights: an enum of torchvision's, an id or folder for from_pretrained, random"
    )


@dataclass(frozen=True)
class Tiles:
    """How an image is cut into overlapping tiles."""

    size: tuple[int, int] = option((0, 0), "height and width of a tile in image pixels", ge=1)
    overlap: float = option(0.25, "part of a tile that it shares at least with its neighbour", ge=0, le=0.9)
    whole: bool = option(False, "show the network the whole image too, for what is larger than a tile")


@dataclass(frozen=True)
class Input:
    """What the network wants to see: ``(pixel * scale - mean) / std`` in planes (NCHW, float32)."""

    name: str = option(help="name of the graph's input")
    size: tuple[int, int] = option(help="height and width of the network's input", ge=1)
    resize: Literal["stretch", "letterbox", "tiles"] = option(help="how an image of another size is made to fit")
    reshape: bool = option(False, "give a graph of fixed input size this one (convolutional networks; openvino only)")
    channels: Literal["rgb", "bgr"] = option("rgb", "order of the colour planes")
    scale: float = option(1.0, "factor on the pixel value 0..255, before mean and std")
    mean: tuple[float, float, float] = option((0.0, 0.0, 0.0), "subtracted from each channel, in plane order")
    std: tuple[float, float, float] = option((1.0, 1.0, 1.0), "divides each channel, in plane order", ge=1e-6)
    pad: int = option(114, "pixel value around a letterboxed image", ge=0, le=255)
    tiles: Tiles = field(default_factory=Tiles)
    batch: int = option(1, "most images in one pass, for a graph that takes any number; another has its own", ge=1)


@dataclass(frozen=True)
class Manifest:
    """One model; make one with :meth:`load` or :meth:`parse`."""

    input: Input
    name: str = option(help="what the model is called in configurations and reports")
    task: Literal["semantic", "instance", "panoptic"] = option(
        help="what the network tells: a class per pixel, things one by one, or both in one pass"
    )
    decoder: Literal["dense_logits", "yolo", "rcnn", "queries"] = option(help="how its outputs are read")
    runtime: Literal["onnxruntime", "openvino", "torch"] = option(help="what runs it when the configuration says auto")
    labels: str = option(help="label space of its classes (a shipped name, or a path)")
    weights: Weights = field(default_factory=Weights)
    network: Network | None = None
    outputs: tuple[str, ...] = option((), "names of the outputs the decoder reads, in its order; empty: the graph's")
    classes: tuple[str, ...] = option((), "names in channel order; empty: every class of the label space, by id")
    void: tuple[str, ...] = option((), "classes that mean 'nothing known': they compete, and become unlabelled")
    keep: tuple[str, ...] = option((), "instance networks: classes that matter, the rest is ignored; empty: all")
    optional: tuple[str, ...] = option((), "classes left out where the active label space has no home for them")
    map: Mapping[str, str] = field(default_factory=dict)
    """Class -> class of the active label space, before names and ancestors are tried; an entry whose target the active
    space lacks has no effect, so one manifest can serve several spaces."""
    score: float = option(0.25, "things: least score", ge=0, le=1)
    iou: float = option(0.7, "instance networks: boxes of one class that overlap more are one thing", ge=0, le=1)
    share: float = option(0.8, "queries: a segment that keeps less of its mask against others is dropped", ge=0, le=1)
    mask_grid: tuple[int, int] = option((0, 0), "queries: masks are interpolated to this height and width first", ge=0)
    licence: str = option("", "of the weights")
    source: str = option("", "where the weights come from")
    folder: Path = field(default=Path(), init=False, compare=False)
    """Where the manifest lies; weights and label spaces may lie beside it."""

    @classmethod
    def load(cls, name_or_path: str | Path) -> Manifest:
        """The shipped manifest of that name, or the one in that YAML file; raises :class:`ConfigError`."""
        path = resources.find("models", name_or_path)
        return cls.parse(read_yaml(path), where=str(path), folder=path.parent)

    @classmethod
    def parse(cls, content: object, where: str, folder: Path) -> Manifest:
        """Check ``content`` (what YAML gave); ``where`` names it in errors; raises :class:`ConfigError`."""
        manifest = from_mapping(cls, content, where)
        object.__setattr__(manifest, "folder", folder)
        manifest._check(where)
        return manifest

    def _check(self, where: str) -> None:
        served = DECODERS[self.decoder]
        if self.task not in served:
            raise ConfigError(
                f"{where}: decoder '{self.decoder}' serves task {' or '.join(map(repr, served))}, not '{self.task}'"
            )
        self._check_source(where)
        if min(self.input.size) < 1:
            raise ConfigError(f"{where}: input: size {list(self.input.size)} must be two positive numbers")
        if self.input.resize == "tiles" and min(self.input.tiles.size) < 1:
            raise ConfigError(f"{where}: input: resize 'tiles' needs tiles: size: [height, width] in image pixels")
        if self.input.tiles.whole and self.task != "instance":
            raise ConfigError(f"{where}: input: tiles: 'whole' is for instance networks; a semantic map is its tiles")
        if not all(self.mask_grid) and any(self.mask_grid):
            raise ConfigError(f"{where}: mask_grid {list(self.mask_grid)} must be two positive numbers, or left out")
        if self.weights.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.weights.sha256):
            raise ConfigError(f"{where}: weights: sha256 '{self.weights.sha256}' is not 64 lower-case hex digits")
        if self.weights.url and not self.weights.sha256:
            raise ConfigError(f"{where}: weights: a url needs the file's sha256, so that a wrong download is noticed")
        if self.keep and self.task != "instance":
            raise ConfigError(
                f"{where}: 'keep' is for instance networks; list a {self.task} network's classes under 'void'"
            )
        names = self.channels()
        for key, listed in (
            ("void", self.void),
            ("keep", self.keep),
            ("optional", self.optional),
            ("map", tuple(self.map)),
        ):
            missing = sorted({normalised(n) for n in listed} - {normalised(n) for n in names})
            if missing:
                raise ConfigError(f"{where}: {key}: '{missing[0]}' is not one of the model's {len(names)} classes")
        self.table(self.space(), where)

    def _check_source(self, where: str) -> None:
        """Where graph and numbers come from: a file with both, or a library and one place that has the numbers."""
        if (self.runtime == "torch") != (self.network is not None):
            raise ConfigError(
                f"{where}: runtime 'torch' and the section 'network:' (which library builds the network) need each "
                "other; a file with a graph (ONNX) is for onnxruntime or openvino"
            )
        if self.network is None:
            if not self.weights.file:
                raise ConfigError(f"{where}: weights: the key 'file' is missing")
            return
        if bool(self.weights.file) == bool(self.network.pretrained):
            raise ConfigError(
                f"{where}: the weights come from one place: either 'weights: file:' (a state dict) or 'network: "
                f"pretrained:', which may be '{RANDOM}'"
            )
        if not self.weights.file and self.weights != Weights():
            raise ConfigError(
                f"{where}: weights: 'sha256' and 'url' belong to a 'file', and 'network: pretrained:' stands for one; "
                "leave them out"
            )
        if self.input.reshape:
            raise ConfigError(f"{where}: input: 'reshape' is for graphs of a fixed size; a 'network:' has none")

    def space(self) -> LabelSpace:
        """The label space of the model's own classes."""
        beside = self.folder / self.labels
        return LabelSpace.load(beside if beside.is_file() else self.labels)

    def channels(self) -> tuple[str, ...]:
        """The names of the model's classes in channel order."""
        return self.classes or tuple(c.name for c in self.space().classes)

    def kept(self) -> tuple[int, ...]:
        """The channels that count, in order: all, or those under ``keep``."""
        wanted = {normalised(n) for n in self.keep or self.channels()}
        return tuple(i for i, name in enumerate(self.channels()) if normalised(name) in wanted)

    def countable(self, target: LabelSpace) -> UInt8Array:
        """:meth:`table` for the model's things that are things in ``target`` too, 255 for all other channels."""
        space, table = self.space(), self.table(target)
        ids = [space.ids.get(normalised(name), UNLABELLED) for name in self.channels()]
        things = np.zeros(256, np.bool_)
        things[: len(ids)] = space.things[ids]
        return np.where(things & target.things[table], table, np.uint8(UNLABELLED))

    def table(self, target: LabelSpace, where: str = "") -> UInt8Array:
        """``(256,)`` uint8 from channel to class id of ``target``, 255 for void and for what ``keep`` leaves out and
        for what is ``optional`` and has no home in ``target``.

        Raises :class:`ConfigError` that names every class without a home in ``target``.
        """
        names, kept = self.channels(), set(self.kept())
        ignored = tuple(name for i, name in enumerate(names) if i not in kept)
        overrides = {name: home for name, home in self.map.items() if normalised(home) in target.ids}
        return remap(
            self.space(),
            names,
            target,
            overrides=overrides,
            void=(*self.void, *ignored),
            optional=self.optional,
            where=where or self.name,
        )

    @property
    def whole(self) -> bool:
        """Every pixel's class comes from logits that cover the whole image and nothing else."""
        return self.decoder == "dense_logits" and self.input.resize == "stretch"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one input."""
        return (3, *self.input.size)

    def normalisation(self) -> Float32Array:
        """``(3, 256)`` float32: what each plane holds for every pixel value."""
        pixels = np.arange(256, dtype=np.float64) * self.input.scale
        mean, std = np.array(self.input.mean)[:, None], np.array(self.input.std)[:, None]
        return np.ascontiguousarray(((pixels - mean) / std).astype(np.float32))

"""Manifest, weights, runtime and decoder put together: image in, :class:`SemanticMap`, :class:`Instances` or both
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from seg_perception.errors import InputError, ModelError
from seg_perception.labels import LabelSpace
from seg_perception.models import backends
from seg_perception.models.backends import Backend, Labeller, resolved_precision, resolved_threads
from seg_perception.models.conformity import mismatches
from seg_perception.models.decoders import dense_logits, queries, rcnn, yolo
from seg_perception.models.geometry import View, region_views, views
from seg_perception.models.manifest import Manifest
from seg_perception.models.merging import merge, uncut
from seg_perception.models.prepare import Preparer
from seg_perception.timing import StageTimes
from seg_perception.types import Float32Array, Instances, SemanticMap, UInt8Array


@dataclass(frozen=True)
class Execution:
    """How a network is run. ``runtime`` ``auto`` takes the manifest's own; ``precision`` ``auto`` takes bf16 where it
    pays; ``threads`` 0 is one per core; ``device`` ``cuda`` is for torch.
    """

    runtime: str = "auto"
    precision: str = "f32"
    threads: int = 0
    device: str = "cpu"


_AS_USUAL = Execution()


class Asked(Protocol):
    """What a network is shown: an ``image`` ``(H, W, 3)`` uint8 RGB, or its ``regions`` ``(R, 4)`` float32 x0 y0 x1 y1
    alone.
    """

    @property
    def image(self) -> UInt8Array: ...

    @property
    def regions(self) -> Float32Array | None: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """An image that somebody asks about, and nothing else."""

    image: UInt8Array
    regions: Float32Array | None = None


class Engine:
    """A loaded network that is shown images view by view; one call at a time, whichever thread asks."""

    def __init__(self, manifest: Manifest, how: Execution) -> None:
        self.manifest = manifest
        self.runtime = backends.chosen(how.runtime, manifest)
        self.threads = resolved_threads(how.threads)
        self.device = how.device
        self.backend: Backend = backends.load(
            self.runtime,
            manifest,
            precision=resolved_precision(how.precision, self.runtime),
            threads=self.threads,
            device=how.device,
        )
        wrong = mismatches(manifest, self.backend)
        if wrong:
            raise ModelError(f"model '{manifest.name}' is not what its manifest says: {'; '.join(wrong)}")
        self.outputs = manifest.outputs or tuple(o.name for o in self.backend.outputs)
        self.lock = Lock()
        self._prepare = Preparer(manifest)
        self._views = lru_cache(maxsize=8)(lambda height, width: views(manifest.input, height, width))
        # A graph of a fixed batch is given that many images always, one that takes any number as many as there are.
        self._fixed = self.backend.inputs[0].shape[0]
        self.batch = self._fixed or manifest.input.batch
        """Images in one pass, at most."""
        self._buffers = np.zeros((self.batch, *manifest.input_shape), np.float32)

    def __call__(self, asked: Sequence[Asked], times: StageTimes) -> Iterator[tuple[int, View, list[Float32Array]]]:
        """Every view of each image, or of each of its regions, with the position of its image among ``asked`` and the
        outputs for it, each without its batch axis and valid until the next.
        """
        shown = [(i, view) for i, ask in enumerate(asked) for view in self._shown(ask)]
        for start in range(0, len(shown), self.batch):
            group = shown[start : start + self.batch]
            self._show([(asked[i].image, view) for i, view in group], times)
            with times.stage(f"{self.manifest.task}/forward"):
                outputs = self.backend.run(self._buffers[: self._fixed or len(group)], self.outputs)
            for row, (i, view) in enumerate(group):
                yield i, view, [output[row] for output in outputs]

    def _shown(self, asked: Asked) -> Sequence[View]:
        height, width = _checked(asked.image, self.manifest.name)
        if asked.regions is None:
            return self._views(height, width)
        return region_views(self.manifest.input, asked.regions, height, width)

    def labelled(self, image: UInt8Array, times: StageTimes, label: Labeller) -> tuple[View, UInt8Array, Float32Array]:
        """The one view of ``image``, and what ``label`` says of it, valid until the next."""
        height, width = _checked(image, self.manifest.name)
        (view,) = self._views(height, width)
        self._show([(image, view)], times)
        with times.stage(f"{self.manifest.task}/forward"):
            channels, points = label(self._buffers[:1], height, width)
        return view, channels, points

    def _show(self, group: Sequence[tuple[UInt8Array, View]], times: StageTimes) -> None:
        with times.stage(f"{self.manifest.task}/prepare"):
            for (image, view), planes in zip(group, self._buffers, strict=False):  # a last group may be smaller
                self._prepare.fill(image, view, planes)

    def describe(self) -> dict[str, str | int]:
        """What a result depends on: model, weights, runtime and its version, precision, device, threads."""
        network = self.manifest.network
        return {
            "model": self.manifest.name,
            "sha256": self.manifest.weights.sha256,
            "pretrained": network.pretrained if network else "",
            "runtime": self.runtime,
            "runtime_version": self.backend.version,
            "precision": self.backend.precision,
            "device": self.device,
            "threads": self.threads,
        }


class _Network:
    """What all kinds of network have in common: an engine, and the table from its classes to the active ids."""

    def __init__(self, engine: Engine, labels: LabelSpace) -> None:
        self._engine = engine
        self._table = engine.manifest.table(labels)

    @property
    def manifest(self) -> Manifest:
        """What was loaded."""
        return self._engine.manifest

    def describe(self) -> dict[str, str | int]:
        """What a result depends on: model, weights, runtime and its version, precision, device, threads."""
        return self._engine.describe()

    def warm(self, height: int, width: int) -> None:
        """Run a black image of that size, so that the first real one does not pay for set-up."""
        self(np.zeros((height, width, 3), np.uint8), StageTimes())

    def __call__(self, image: UInt8Array, times: StageTimes) -> object:
        raise NotImplementedError


class SemanticNetwork(_Network):
    """A class for every pixel of an image; make one with :func:`load_semantic`."""

    def __init__(self, engine: Engine, labels: LabelSpace) -> None:
        super().__init__(engine, labels)
        self._decode = {"dense_logits": self._dense_logits, "queries": self._queries}[engine.manifest.decoder]

    def __call__(self, image: UInt8Array, times: StageTimes) -> SemanticMap:
        """``image`` ``(H, W, 3)`` uint8 RGB to labels and confidence of its size.

        Adds the stages ``semantic/prepare``, ``semantic/forward`` and ``semantic/decode`` to ``times``. Raises
        :class:`InputError` for another kind of image.
        """
        result, label = _blank(image), self._engine.backend.label
        with self._engine.lock:
            if label is not None:
                view, channels, points = self._engine.labelled(image, times, label)
                with times.stage("semantic/decode"):
                    size, to = self.manifest.input.size, (result.labels, result.confidence)
                    dense_logits.finish(channels, points, label.grid, view, size, self._table, *to)
                return result
            for _, view, outputs in self._engine([Shown(image)], times):
                with times.stage("semantic/decode"):
                    self._decode(outputs, view, result)
        return result

    def _dense_logits(self, outputs: list[Float32Array], view: View, into: SemanticMap) -> None:
        (logits,), size = outputs, self.manifest.input.size
        dense_logits.decode(logits, view, size, self._table, into.labels, into.confidence)

    def _queries(self, outputs: list[Float32Array], view: View, into: SemanticMap) -> None:
        (classes, masks), size = _probabilities(outputs, self.manifest), self.manifest.input.size
        queries.semantic(classes, masks, view, size, self._table, into.labels, into.confidence)


class InstanceNetwork(_Network):
    """The things in an image one by one; make one with :func:`load_instance`."""

    def __init__(self, engine: Engine, labels: LabelSpace) -> None:
        super().__init__(engine, labels)
        self._kept = np.array(engine.manifest.kept(), np.intp)
        decoders = {"yolo": self._yolo, "rcnn": self._rcnn, "queries": self._queries}
        self._decode = decoders[engine.manifest.decoder]

    def __call__(self, image: UInt8Array, times: StageTimes, regions: Float32Array | None = None) -> Instances:
        """``image`` ``(H, W, 3)`` uint8 RGB to the things in it, or to those that lie whole within one of its
        ``regions`` ``(R, 4)`` float32 x0 y0 x1 y1.

        Adds the stages ``instance/prepare``, ``instance/forward`` and ``instance/decode`` to ``times``. Raises
        :class:`InputError` for another kind of image.
        """
        (found,) = self.together([Shown(image, regions)], times)
        return found

    @property
    def batch(self) -> int:
        """As many images (views, where they are cut) it takes in one pass."""
        return self._engine.batch

    def together(self, asked: Sequence[Asked], times: StageTimes) -> list[Instances]:
        """As one call for each of those ``asked``, in as few passes as :attr:`batch` allows."""
        found: list[list[tuple[View, Instances]]] = [[] for _ in asked]
        with self._engine.lock:
            for i, view, outputs in self._engine(asked, times):
                with times.stage("instance/decode"):
                    things = self._decode(outputs, view)
                    if asked[i].regions is not None:
                        things = uncut(things, view, *asked[i].image.shape[:2])
                    found[i].append((view, things))
        with times.stage("instance/decode"):
            sizes = [(ask.image.shape[0], ask.image.shape[1]) for ask in asked]
            return [merge(of, *size, self.manifest.iou) for of, size in zip(found, sizes, strict=True)]

    def _yolo(self, outputs: list[Float32Array], view: View) -> Instances:
        (anchors, prototypes), manifest, size = outputs, self.manifest, self.manifest.input.size
        return yolo.decode(
            anchors, prototypes, view, size, self._kept, self._table, score=manifest.score, iou=manifest.iou
        )

    def _rcnn(self, outputs: list[Float32Array], view: View) -> Instances:
        boxes, scores, labels, masks = outputs
        return rcnn.decode(boxes, scores, labels, masks, view, self._table, score=self.manifest.score)

    def _queries(self, outputs: list[Float32Array], view: View) -> Instances:
        (class_logits, mask_logits), manifest, size = outputs, self.manifest, self.manifest.input.size
        classes = queries.class_probabilities(class_logits)
        return queries.instances(
            classes, mask_logits, view, size, self._table, score=manifest.score, grid=manifest.mask_grid
        )


class PanopticNetwork(_Network):
    """A class for every pixel and the things one by one, both from one pass; make one with :func:`load_panoptic`."""

    def __init__(self, engine: Engine, labels: LabelSpace) -> None:
        super().__init__(engine, labels)
        self._countable = engine.manifest.countable(labels)

    def __call__(self, image: UInt8Array, times: StageTimes) -> tuple[SemanticMap, Instances]:
        """``image`` ``(H, W, 3)`` uint8 RGB to labels and confidence of its size, and to the things in it.

        The map is that of the semantic rule, in which every pixel has a class; the things are the segments of the
        panoptic rule whose class is a thing in the model's label space and in the active one, none on top of another.
        Adds the stages ``panoptic/prepare``, ``panoptic/forward`` and ``panoptic/decode`` to ``times``. Raises
        :class:`InputError` for another kind of image.
        """
        manifest, size = self.manifest, self.manifest.input.size
        result, found = _blank(image), list[tuple[View, Instances]]()
        with self._engine.lock:
            for _, view, outputs in self._engine([Shown(image)], times):
                with times.stage("panoptic/decode"):
                    classes, masks = _probabilities(outputs, manifest)
                    queries.semantic(classes, masks, view, size, self._table, result.labels, result.confidence)
                    segments = queries.segments(classes, masks, view, size, score=manifest.score, share=manifest.share)
                    found.append((view, queries.things(segments, view, self._countable)))
        with times.stage("panoptic/decode"):
            return result, merge(found, image.shape[0], image.shape[1], manifest.iou)


def _checked(image: UInt8Array, name: str) -> tuple[int, int]:
    """Height and width of ``image``; raises :class:`InputError` where it is none."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(
            f"model '{name}' was given an image of shape {image.shape} and type {image.dtype}; "
            "expected (height, width, 3) uint8 RGB"
        )
    return image.shape[0], image.shape[1]


def _blank(image: UInt8Array) -> SemanticMap:
    """A map of the image's size, to be filled."""
    return SemanticMap(np.empty(image.shape[:2], np.uint8), np.empty(image.shape[:2], np.uint8))


def _probabilities(outputs: list[Float32Array], manifest: Manifest) -> tuple[Float32Array, Float32Array]:
    """Queries' classes and masks, from their logits."""
    class_logits, mask_logits = outputs
    return queries.class_probabilities(class_logits), queries.mask_probabilities(mask_logits, manifest.mask_grid)


def load_semantic(manifest_name_or_path: str | Path, labels: LabelSpace, how: Execution = _AS_USUAL) -> SemanticNetwork:
    """Load the semantic network of that manifest, speaking the label space ``labels``.

    Raises :class:`ConfigError` for a manifest that cannot be used, :class:`ModelError` for weights that are missing or
    not what it says.
    """
    return SemanticNetwork(_engine(manifest_name_or_path, "semantic", labels, how), labels)


def load_instance(manifest_name_or_path: str | Path, labels: LabelSpace, how: Execution = _AS_USUAL) -> InstanceNetwork:
    """Load the instance network of that manifest; see :func:`load_semantic`."""
    return InstanceNetwork(_engine(manifest_name_or_path, "instance", labels, how), labels)


def load_panoptic(manifest_name_or_path: str | Path, labels: LabelSpace, how: Execution = _AS_USUAL) -> PanopticNetwork:
    """Load the panoptic network of that manifest; see :func:`load_semantic`."""
    return PanopticNetwork(_engine(manifest_name_or_path, "panoptic", labels, how), labels)


def _engine(name_or_path: str | Path, task: str, labels: LabelSpace, how: Execution) -> Engine:
    manifest = Manifest.load(name_or_path)
    if manifest.task != task:
        raise ModelError(
            f"model '{manifest.name}' ({name_or_path}) is for task '{manifest.task}', so it cannot be "
            f"the {task} network"
        )
    manifest.table(labels)  # before the weights are loaded: a class without a home is found at once
    return Engine(manifest, how)

"""Every network in every runtime; their processes take turns frame by frame, so that what else the machine does hits
all alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from seg_perception.errors import ConfigError, SegPerceptionError
from seg_perception.models import backends
from seg_perception.models.bench.answers import labels_agree
from seg_perception.models.bench.scenes import Truth
from seg_perception.models.bench.worker import EAGER, Job, Worker
from seg_perception.models.complexity import Complexity, complexity
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import Execution

RUNTIMES = (EAGER, *backends.RUNTIMES)
"""What a network can be timed in."""


@dataclass(frozen=True)
class Row:
    """One network in one runtime. ``forward`` is the network alone, ``frame`` all from the image to labels or things;
    milliseconds. ``peak`` is the process's memory, libraries included, ``peak_device`` the GPU's; megabytes.
    ``to_eager`` is how many times as fast a frame is as in the library's own way; ``agrees`` the part of the pixels
    whose label is that of the manifest's own runtime in f32; ``miou`` and ``pq`` need a truth.
    """

    model: str
    runtime: str
    precision: str
    device: str
    threads: int
    input: tuple[int, int]
    parameters: int | None
    macs: int | None
    forward_p50: float
    forward_p95: float
    frame_p50: float
    frame_p95: float
    peak: float
    peak_device: float
    to_eager: float | None = None
    agrees: float | None = None
    miou: float | None = None
    pq: float | None = None

    @property
    def rate(self) -> float:
        """Frames per second."""
        return 1e3 / self.frame_p50


@dataclass(frozen=True)
class Settings:
    """What is asked of every network: ``runtimes`` and ``precisions`` to try, ``frames`` to time, on these ``images``
    (files; none: one of blobs at 720p); in the label space ``space`` (none: each manifest's own), which ``truth`` is
    in, if any is known of them. The networks ``beside`` it take turns with each and are compared with it.
    """

    runtimes: tuple[str, ...] = RUNTIMES
    precisions: tuple[str, ...] = ("f32",)
    frames: int = 20
    threads: int = 0
    device: str = "cpu"
    images: tuple[Path, ...] = ()
    space: str = ""
    truth: Truth | None = None
    beside: tuple[Path, ...] = ()


def bench(manifests: Sequence[str | Path], settings: Settings) -> tuple[list[Row], list[str]]:
    """A row for every network in every runtime and precision that can run it, and a sentence for each that cannot.

    A network from a library (``network:``) is exported for the other runtimes first. Raises :class:`ConfigError` for a
    manifest that cannot be used, or no frames to time.
    """
    if settings.frames < 1:
        raise ConfigError(f"--frames {settings.frames}: expected 1 or more")
    rows: list[Row] = []
    notes: list[str] = []
    for name in manifests:
        with tempfile.TemporaryDirectory() as folder:
            found, refused = _bench(name, settings, Path(folder))
        rows += found
        notes += refused
    return rows, notes


def _bench(name: str | Path, settings: Settings, folder: Path) -> tuple[list[Row], list[str]]:
    manifest, notes = Manifest.load(name), []
    sources: dict[str, str | Path] = dict.fromkeys(backends.able(manifest), name)
    sizes: dict[str | Path, Complexity] = {}
    for path in (name, *settings.beside):
        try:
            sizes[path] = complexity(Manifest.load(path))
        except SegPerceptionError as error:
            return [], [str(error)]
        except ImportError:
            notes.append(f"{manifest.name}: parameters and GMACs of a graph need onnx; pip install onnx")
    others = [r for r in backends.GRAPH_RUNTIMES if r in settings.runtimes and r not in sources and find_spec(r)]
    if others:
        try:
            from seg_perception.models.export import export

            graph = export(manifest, folder / f"{manifest.name}.onnx").manifest
            sources |= dict.fromkeys(others, graph)
            if name in sizes:
                sizes[graph] = sizes[name]
        except (ImportError, SegPerceptionError) as error:
            notes.append(f"{manifest.name}: not exported for {' and '.join(others)}: {error}")
    beside = [(runtime, path) for path in settings.beside for runtime in backends.able(Manifest.load(path))]
    jobs = [
        (source, Execution(runtime, precision, settings.threads, settings.device if runtime == "torch" else "cpu"))
        for runtime, source in (*sources.items(), *beside)
        if runtime in settings.runtimes and find_spec(runtime) is not None
        for precision in settings.precisions
    ]
    if EAGER in settings.runtimes and manifest.network is not None and manifest.decoder == "dense_logits":
        jobs.insert(0, (name, Execution(EAGER, "f32", settings.threads, settings.device)))
    workers: list[Worker] = []
    try:
        for source, how in jobs:
            try:
                workers.append(Worker(Job(source, settings.space, settings.images, how)))
            except SegPerceptionError as error:
                notes.append(str(error))
        rows = _measured(workers, name, sizes, settings)
    finally:
        for worker in workers:
            worker.close()
    return rows, notes


def _measured(
    workers: list[Worker], name: str | Path, sizes: Mapping[str | Path, Complexity], settings: Settings
) -> list[Row]:
    manifest = Manifest.load(name)
    for turn in range(settings.frames):
        for worker in workers if turn % 2 else reversed(workers):
            worker.see(turn)
    rows = [_row(worker, sizes.get(worker.job.manifest)) for worker in workers]
    eager = next((row.frame_p50 for row in rows if row.runtime == EAGER), None)
    found = [worker.answers() for worker in workers]
    jobs = [(worker.job.manifest, worker.job.how.runtime, worker.job.how.precision) for worker in workers]
    own = [job == (name, manifest.runtime, "f32") for job in jobs]
    reference = found[own.index(True)] if any(own) else None
    rows = [
        replace(
            row,
            to_eager=eager and eager / row.frame_p50,
            agrees=None if reference is None or is_own else labels_agree(maps, reference),
        )
        for row, maps, is_own in zip(rows, found, own, strict=True)
    ]
    truth = settings.truth
    if truth and truth.semantic and manifest.task != "instance":
        rows = [replace(row, miou=truth.miou(maps)) for row, maps in zip(rows, found, strict=True)]
    if truth and truth.panoptic and manifest.task != "semantic":
        things = manifest.task == "instance"
        rows = [replace(row, pq=truth.pq(maps, things=things)) for row, maps in zip(rows, found, strict=True)]
    return rows


def _row(worker: Worker, size: Complexity | None) -> Row:
    forward, frame = (1e3 * np.array(column) for column in zip(*worker.seconds, strict=True))
    used, how, manifest = worker.account(), worker.job.how, Manifest.load(worker.job.manifest)
    return Row(
        manifest.name,
        how.runtime,
        used["precision"],
        how.device,
        used["threads"],
        manifest.input.size,
        size.parameters if size else None,
        size.macs if size else None,
        forward_p50=float(np.percentile(forward, 50)),
        forward_p95=float(np.percentile(forward, 95)),
        frame_p50=float(np.percentile(frame, 50)),
        frame_p95=float(np.percentile(frame, 95)),
        peak=used["peak"],
        peak_device=used["peak_device"],
    )

"""``seg_perception models bench``: what networks cost on this machine, runtime by runtime, in the kind of table that
model zoos publish.

Every network in every runtime is a process of its own, so that its peak memory is its own; the processes take turns
frame by frame, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from seg_perception.errors import ConfigError, SegPerceptionError
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, backends, load_instance, load_panoptic, load_semantic
from seg_perception.models.complexity import Complexity, complexity
from seg_perception.models.manifest import Manifest
from seg_perception.timing import StageTimes
from seg_perception.types import Instances, SemanticMap, UInt8Array

_LOADERS: dict[str, Callable[..., Any]] = {
    "semantic": load_semantic,
    "instance": load_instance,
    "panoptic": load_panoptic,
}
_SIZE = (720, 1280)


@dataclass(frozen=True)
class Row:
    """One network in one runtime. ``forward`` is the network alone, ``frame`` all from the image to labels or things;
    milliseconds. ``peak`` is the process's memory, libraries included, ``peak_device`` the GPU's; megabytes. ``agrees``
    is the part of the pixels whose label is that of the manifest's own runtime in f32; ``miou`` needs a truth.
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
    agrees: float | None = None
    miou: float | None = None

    @property
    def rate(self) -> float:
        """Frames per second."""
        return 1e3 / self.frame_p50


@dataclass(frozen=True)
class Settings:
    """What is asked of every network: ``runtimes`` and ``precisions`` to try, ``frames`` to time, on these ``images``
    (files; none: one of blobs at 720p), with semantic ``truths`` of their names in the label space ``space``.
    """

    runtimes: tuple[str, ...] = tuple(backends.RUNTIMES)
    precisions: tuple[str, ...] = ("f32",)
    frames: int = 20
    threads: int = 0
    device: str = "cpu"
    images: tuple[Path, ...] = ()
    truths: tuple[Path, ...] = ()
    space: str = ""


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
    size: Complexity | None = None
    try:
        size = complexity(manifest)
    except SegPerceptionError as error:
        return [], [str(error)]
    except ImportError:
        notes.append(f"{manifest.name}: parameters and GMACs of a graph need onnx; pip install onnx")
    others = [r for r in backends.GRAPH_RUNTIMES if r in settings.runtimes and r not in sources and find_spec(r)]
    if others:
        try:
            from seg_perception.models.export import export

            sources |= dict.fromkeys(others, export(manifest, folder / f"{manifest.name}.onnx").manifest)
        except (ImportError, SegPerceptionError) as error:
            notes.append(f"{manifest.name}: not exported for {' and '.join(others)}: {error}")
    workers: list[_Worker] = []
    try:
        for runtime, source in sources.items():
            if runtime not in settings.runtimes or find_spec(runtime) is None:
                continue
            for precision in settings.precisions:
                try:
                    workers.append(_Worker(source, runtime, precision, settings))
                except SegPerceptionError as error:
                    notes.append(str(error))
        rows = _measured(workers, manifest, size, settings)
    finally:
        for worker in workers:
            worker.close()
    return rows, notes


def _measured(workers: list[_Worker], manifest: Manifest, size: Complexity | None, settings: Settings) -> list[Row]:
    for turn in range(settings.frames):
        for worker in workers if turn % 2 else reversed(workers):
            worker.see(turn)
    rows: list[Row] = []
    for worker in workers:
        forward, frame = [1e3 * np.array(column) for column in zip(*worker.seconds, strict=True)]
        end = worker.ask("end")
        rows.append(
            Row(
                manifest.name,
                worker.runtime,
                end["precision"],
                settings.device if worker.runtime == "torch" else "cpu",
                end["threads"],
                manifest.input.size,
                size.parameters if size else None,
                size.macs if size else None,
                forward_p50=float(np.percentile(forward, 50)),
                forward_p95=float(np.percentile(forward, 95)),
                frame_p50=float(np.percentile(frame, 50)),
                frame_p95=float(np.percentile(frame, 95)),
                peak=end["peak"],
                peak_device=end["peak_device"],
            )
        )
    if manifest.task == "instance":
        return rows
    labels = [worker.ask("labels") for worker in workers]
    own = [(worker.runtime, worker.precision) == (manifest.runtime, "f32") for worker in workers]
    reference = labels[own.index(True)] if any(own) else None
    for i, found in enumerate(labels):
        agrees = None
        if reference is not None and not own[i]:
            agrees = statistics.fmean(float((a == b).mean()) for a, b in zip(found, reference, strict=True))
        rows[i] = replace(rows[i], agrees=agrees, miou=_miou(found, settings) if settings.truths else None)
    return rows


def _miou(found: list[UInt8Array], settings: Settings) -> float:
    from seg_perception.evaluation.confusion import Confusion, confusion

    classes = len(LabelSpace.load(settings.space))
    total = Confusion.zero(classes)
    for labels, path in zip(found, settings.truths, strict=True):
        truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if truth is None or truth.ndim != 2 or truth.dtype != np.uint8:
            raise ConfigError(f"truth {path} cannot be read: expected a PNG with one class id (8 bits) per pixel")
        total += confusion(np.asarray(truth, np.uint8), labels, classes)
    return total.miou


class _Worker:
    """The process of one network in one runtime and precision."""

    def __init__(self, manifest: str | Path, runtime: str, precision: str, settings: Settings) -> None:
        self.runtime, self.precision = runtime, precision
        self.seconds: list[tuple[float, float]] = []
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, manifest, runtime, precision, settings), daemon=True)
        self._process.start()
        theirs.close()
        refused = self._answer()
        if refused:
            self.close()
            raise ConfigError(refused)

    def see(self, number: int) -> None:
        """Show it a frame, and take the seconds of the forward pass and of all."""
        self.seconds.append(self.ask(number))

    def ask(self, what: object) -> Any:
        """One request, one answer."""
        self._ours.send(what)
        return self._answer()

    def _answer(self) -> Any:
        try:
            return self._ours.recv()
        except EOFError:
            self._process.join()
            raise ConfigError(
                f"the process of runtime '{self.runtime}' ended with status {self._process.exitcode}; was there too "
                "little memory?"
            ) from None

    def close(self) -> None:
        """End the process."""
        self._ours.close()
        self._process.join()


def _serve(pipe: Connection, name: str | Path, runtime: str, precision: str, settings: Settings) -> None:
    """The process: answer with a sentence why the network cannot be had, or nothing; then request by request."""
    try:
        manifest = Manifest.load(name)
        labels = LabelSpace.load(settings.space) if settings.space else manifest.space()
        device = settings.device if runtime == "torch" else "cpu"
        network = _LOADERS[manifest.task](name, labels, Execution(runtime, precision, settings.threads, device))
        images = [_read(path) for path in settings.images] or [blobs()]
        network.warm(*images[0].shape[:2])
    except SegPerceptionError as error:
        pipe.send(str(error))
        return
    pipe.send("")
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        if asked == "labels":
            pipe.send([_labels(network(image, StageTimes())) for image in images])
        elif asked == "end":
            pipe.send({key: network.describe()[key] for key in ("precision", "threads")} | _peak())
        else:
            times, start = StageTimes(), perf_counter()
            network(images[asked % len(images)], times)
            pipe.send((times.seconds[f"{manifest.task}/forward"], perf_counter() - start))


def _labels(answer: SemanticMap | tuple[SemanticMap, Instances]) -> UInt8Array:
    """The classes of a semantic or panoptic network's answer."""
    return (answer[0] if isinstance(answer, tuple) else answer).labels


def _peak() -> dict[str, float]:
    """Megabytes that this process has held at most, and on the GPU."""
    torch = sys.modules.get("torch")
    on_device = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_available() else 0
    return {"peak": _peak_host() / 1e6, "peak_device": on_device / 1e6}


def _peak_host() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that started this one, too
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def blobs() -> UInt8Array:
    """An image of smooth blobs of the size 720p, for want of a better one."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, _SIZE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _read(path: Path) -> UInt8Array:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ConfigError(f"image {path} cannot be read")
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8, copy=False)


def files(path: Path | None, role: str) -> tuple[Path, ...]:
    """The file ``path``, or the PNG and JPEG files in that folder by name; raises :class:`ConfigError` for none."""
    if path is None:
        return ()
    found = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix in (".png", ".jpg", ".jpeg"))
    if not found:
        raise ConfigError(f"{role}: there is no {path}, or no PNG or JPEG file in it")
    return tuple(found)


def of_images(truths: Sequence[Path], images: Sequence[Path]) -> tuple[Path, ...]:
    """The truth of each image: the file of its name, whatever the suffix; raises :class:`ConfigError` where there is
    none.
    """
    by_name = {path.stem: path for path in truths}
    lacking = [image for image in images if image.stem not in by_name]
    if lacking:
        raise ConfigError(
            f"--truth: none of its {len(truths)} files is called {lacking[0].stem}.png, as {len(lacking)} of "
            f"{len(images)} images need"
        )
    return tuple(by_name[image.stem] for image in images)


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("model", lambda r: r.model),
    ("runtime", lambda r: r.runtime if r.device == "cpu" else f"{r.runtime} ({r.device})"),
    ("precision", lambda r: r.precision),
    ("parameters, M", lambda r: _number(r.parameters, 1e6)),
    ("GMACs", lambda r: _number(r.macs, 1e9)),
    ("input", lambda r: f"{r.input[1]}x{r.input[0]}"),
    ("forward p50, ms", lambda r: f"{r.forward_p50:.1f}"),
    ("p95, ms", lambda r: f"{r.forward_p95:.1f}"),
    ("beyond it, ms", lambda r: f"{r.frame_p50 - r.forward_p50:.1f}"),
    ("frames/s", lambda r: f"{r.rate:.1f}"),
    ("peak, MB", lambda r: f"{r.peak:.0f}" + (f" + {r.peak_device:.0f}" if r.peak_device else "")),
    ("labels agree", lambda r: "" if r.agrees is None else f"{r.agrees:.4%}"),
    ("mIoU", lambda r: "" if r.miou is None else f"{r.miou:.4f}"),
)


def _number(value: int | None, unit: float) -> str:
    return "" if value is None else f"{value / unit:.2f}"


def table(rows: Sequence[Row], markdown: bool) -> str:
    """The rows as text, or as Markdown; columns without any entry are left out."""
    columns = [(title, [cell(row) for row in rows]) for title, cell in _COLUMNS]
    columns = [(title, cells) for title, cells in columns if any(cells)]
    widths = [max(map(len, (title, *cells))) for title, cells in columns]
    lines = [[title for title, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    if markdown:
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in lines)
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]


def as_json(rows: Sequence[Row], notes: Sequence[str], settings: Settings) -> str:
    """All that was found, and what it depends on."""
    machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    return json.dumps(
        {
            "rows": [asdict(row) | {"rate": row.rate} for row in rows],
            "notes": list(notes),
            "settings": asdict(settings),
            **machine,
        },
        indent=1,
        default=str,
    )

"""``seg_perception models list | info | check | export | bench``: functions that return text, and the command that
prints it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from seg_perception import resources
from seg_perception.errors import SegPerceptionError
from seg_perception.labels import LabelSpace
from seg_perception.models import backends, weights
from seg_perception.models.bench import command as bench
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import Engine, Execution, Shown
from seg_perception.timing import StageTimes

_RUNS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception models``."""
    kinds = parser.add_subparsers(dest="kind", metavar="list | info | check | export | bench", required=True)
    kinds.add_parser("list", help="every shipped model, and whether its weights are here")
    one = kinds.add_parser("info", help="one model in full, and the home of each of its classes")
    one.add_argument("--labels", default="navigation", help="the active label space (a shipped name or a path)")
    one.add_argument("model", help="a shipped name, or the path of a manifest")
    kinds.add_parser("check", help="try one model in every runtime").add_argument(
        "model", help="a shipped name, or the path of a manifest"
    )
    written = kinds.add_parser(
        "export", help="write a network from a library to an ONNX file, and a manifest beside it"
    )
    written.add_argument("model", help="a shipped name, or the path of a manifest with 'network:'")
    written.add_argument("graph", type=Path, metavar="OUT.onnx", help="the file to write")
    bench.add_arguments(kinds.add_parser("bench", help="what networks cost on this machine, in every runtime"))


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception models``; returns the exit status: 1 for a model that does not work here."""
    works = True
    if arguments.kind == "list":
        text = list_models()
    elif arguments.kind == "info":
        text = info(arguments.model, arguments.labels)
    elif arguments.kind == "check":
        text, works = check(arguments.model)
    elif arguments.kind == "export":
        text = export(arguments.model, arguments.graph)
    else:
        text, works = bench.run(arguments)
    print(text)
    return 0 if works else 1


def list_models() -> str:
    """Every shipped model: task, input, runtime, licence, and where its weights are."""
    rows = [("name", "task", "input", "classes", "runtime", "licence", "weights")]
    for name in resources.names("models"):
        manifest = Manifest.load(name)
        height, width = manifest.input.size
        rows.append(
            (
                manifest.name,
                manifest.task,
                f"{width}x{height} {manifest.input.resize}",
                f"{len(manifest.kept()) - len(manifest.void)} of {manifest.labels}",
                manifest.runtime,
                manifest.licence or "not stated",
                weights.whereabouts(manifest),
            )
        )
    return _table(rows)


def info(name_or_path: str | Path, target: str = "navigation") -> str:
    """One model in full, with the home of each of its classes in the label space ``target``.

    Raises :class:`ConfigError` for a manifest that cannot be used.
    """
    manifest, labels = Manifest.load(name_or_path), LabelSpace.load(target)
    spec, file, network = manifest.input, manifest.weights, manifest.network
    tiles = f", tiles of {list(spec.tiles.size)} px, overlap {spec.tiles.overlap:g}" if spec.resize == "tiles" else ""
    facts = [
        ("name", manifest.name),
        ("task", f"{manifest.task}, decoder {manifest.decoder}, runtime {manifest.runtime}"),
        ("network", f"{network.library}: {network.name}" if network else "in the file with the weights"),
        ("weights", weights.whereabouts(manifest)),
        ("sha256", file.sha256 or "none: the file is not checked"),
        ("url", file.url or "none"),
        ("looked for in", ", ".join(str(f) for f in weights.folders(manifest))),
        ("input", f"'{spec.name}', {list(spec.size)} (height, width), {spec.channels}, {spec.resize}{tiles}"),
        ("licence", manifest.licence or "not stated"),
        ("source", manifest.source or "not stated"),
    ]
    table, kept = manifest.table(labels), set(manifest.kept())
    homes = [("channel", manifest.labels, labels.name)]
    for channel, name in enumerate(manifest.channels()):
        home = labels.classes[table[channel]].name if table[channel] < len(labels) else "unlabelled"
        homes.append((str(channel), name, home if channel in kept else "ignored"))
    return f"{_table(facts)}\n\n{_table(homes)}"


def check(name_or_path: str | Path) -> tuple[str, bool]:
    """Try one model on this machine: checksum, the graph against the manifest, a forward pass and its time in every
    installed runtime. Returns what to print, and whether the runtime of the manifest works.

    Raises :class:`ConfigError` for a manifest that cannot be used, :class:`ModelError` for weights that are missing or
    not what it says.
    """
    manifest = Manifest.load(name_or_path)
    if manifest.weights.file:
        checked = "sha256 as the manifest says" if manifest.weights.sha256 else "the manifest has no sha256 to check"
        rows = [("weights", f"{weights.obtain(manifest)}: {checked}")]
    else:
        rows = [("weights", weights.whereabouts(manifest))]
    works = False
    for runtime in backends.able(manifest):
        try:
            text, fits = _try(manifest, runtime), True
        except SegPerceptionError as error:
            text, fits = str(error), False
        works |= fits and runtime == manifest.runtime
        rows.append((f"{runtime}{' (its own)' if runtime == manifest.runtime else ''}", text))
    rows.append(("verdict", "works" if works else f"does not work in its own runtime, {manifest.runtime}"))
    return _table(rows), works


def export(name_or_path: str | Path, graph: Path) -> str:
    """Write a network from a library to the ONNX file ``graph``, and a manifest beside it; see
    :func:`seg_perception.models.export.export`.
    """
    from seg_perception.models.export import export as write  # torch and onnx are needed for nothing else here

    done = write(Manifest.load(name_or_path), graph)
    differs = ", ".join(f"{name} {off:.1e}" for name, off in done.differs.items())
    return _table(
        [
            ("graph", f"{done.graph}, {'any batch' if done.any_batch else 'one image at a time'}"),
            ("manifest", str(done.manifest)),
            ("differs from torch", f"{differs} of the output's largest number, at most"),
        ]
    )


def _try(manifest: Manifest, runtime: str) -> str:
    engine = Engine(manifest, Execution(runtime))
    tile = manifest.input.tiles.size if manifest.input.resize == "tiles" else manifest.input.size
    shown = [Shown(np.random.default_rng(0).integers(0, 256, (*tile, 3), np.uint8))]
    seconds = []
    for _ in range(_RUNS):
        start = perf_counter()
        finite = all(bool(np.isfinite(o).all()) for _, _, outputs in engine(shown, StageTimes()) for o in outputs)
        seconds.append(perf_counter() - start)
    shapes = ", ".join(f"{o.name} {list(o.shape)}" for o in engine.backend.outputs)
    numbers = "all numbers finite" if finite else "not all numbers finite"
    threads = f"{engine.threads} thread{'s' if engine.threads > 1 else ''}"
    return f"fits the manifest; {shapes}; {numbers}; {1e3 * statistics.median(seconds):.0f} ms, f32, {threads}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as text, columns aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)

"""A graph and the manifest that runs it, written beside each other: what export and quantisation share."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import yaml

from seg_perception.errors import ConfigError
from seg_perception.models import weights
from seg_perception.models.manifest import Manifest, Weights


@contextmanager
def written(graph: Path) -> Iterator[Path]:
    """The place of the manifest beside the file ``graph``, while both are made: whatever goes wrong, Ctrl-C too, takes
    them away again, since half a graph would stand in the next one's way. Both names are taken before the work, which
    may be long, so that a second process, or a folder that cannot be written to, is refused at once.

    Raises :class:`ConfigError` for a name that is no graph's, a file that exists or a folder that does not.
    """
    beside = graph.with_suffix(".yaml")
    if graph.suffix != ".onnx":
        raise ConfigError(f"{graph} cannot be written: expected a name that ends in .onnx")
    if not graph.parent.is_dir():
        raise ConfigError(f"{graph} cannot be written: there is no folder {graph.parent}")
    with ExitStack() as made:
        for path in (graph, beside):
            _take(path)
            made.callback(path.unlink, missing_ok=True)
        yield beside
        made.pop_all()


def _take(path: Path) -> None:
    try:
        path.touch(exist_ok=False)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists and is not overwritten; choose another name or delete it") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another name or folder") from error


@contextmanager
def quiet() -> Iterator[None]:
    """For libraries that tell of every step; what matters is raised."""
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def write_manifest(
    manifest: Manifest, graph: Path, beside: Path, quantized: Literal["none", "int8"] = "none", **changes: Any
) -> None:
    """Write the manifest that runs ``graph`` to ``beside``: what ``manifest`` says but for the weights and the
    ``changes``; what is as by default is left out.
    """
    labels = manifest.folder / manifest.labels
    there = Weights(graph.name, weights.checksum(graph), quantized=quantized)
    changes = {"weights": there, "labels": str(labels.resolve()) if labels.is_file() else manifest.labels, **changes}
    stated = _stated(dataclasses.replace(manifest, **changes))
    beside.write_text(yaml.safe_dump(stated, sort_keys=False), encoding="utf-8")


def _stated(part: Any) -> dict[str, Any]:
    """The fields of a data class that are not as by default, as YAML writes them."""
    stated: dict[str, Any] = {}
    for spec in dataclasses.fields(part):
        value = getattr(part, spec.name)
        made = spec.default_factory() if spec.default_factory is not dataclasses.MISSING else spec.default
        if not spec.init or value == made:
            continue
        if dataclasses.is_dataclass(value):
            value = _stated(value)
        stated[spec.name] = list(value) if isinstance(value, tuple) else value
    return stated

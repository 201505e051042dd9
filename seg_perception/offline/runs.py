"""``seg_perception run BAG... -o FOLDER``: every bag through the pipeline, each into a bag of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from seg_perception import __version__
from seg_perception.config import PipelineConfig
from seg_perception.labels import LabelSpace
from seg_perception.models import Manifest
from seg_perception.offline.collection import Source, fingerprint
from seg_perception.offline.many import Job
from seg_perception.offline.run import run_bag
from seg_perception.pipeline import Looks, Networks


def jobs(
    sources: Sequence[Source],
    out: Path,
    config: PipelineConfig,
    *,
    topic: str | None = None,
    camera: str | None = None,
    outputs: Sequence[str] = (),
    depth: str | None = None,
    points: str | None = None,
) -> list[Job]:
    """One job for each bag, which leaves ``out/NAME.mcap`` and ``NAME.json``; options as for
    :func:`~seg_perception.offline.run.run_bag`. Raises :class:`ConfigError` for a configuration that no bag could be
    run with.
    """
    options = {"topic": topic, "camera": camera, "outputs": list(outputs), "depth": depth, "points": points}
    decides = {**what_decides(config), **options}
    return [
        Job(
            source.name,
            {**decides, "bag": fingerprint(source.path)},
            (target := out / f"{source.name}.mcap", target.with_suffix(".json")),
            partial(_run, source.path, target, config, options),
        )
        for source in sources
    ]


def what_decides(config: PipelineConfig) -> dict[str, Any]:
    """All that decides what the pipeline makes of a bag, ready for JSON; raises :class:`ConfigError`."""
    labels = LabelSpace.load(config.labels)
    names = [name for name in (config.models.semantic, config.models.instance) if name]
    return {
        "seg_perception": __version__,
        "labels": {"name": labels.name, "version": labels.version},
        "weights": {name: Manifest.load(name).weights.sha256 for name in names},
        "config": dataclasses.asdict(config),
    }


@lru_cache(maxsize=1)
def _loaded(config: PipelineConfig) -> Looks:
    return Networks.load(config, LabelSpace.load(config.labels))


def loaded(config: PipelineConfig, labels: LabelSpace) -> Looks:
    """The networks of ``config``, loaded once for all bags of a process."""
    return _loaded(config)


def _run(bag: Path, target: Path, config: PipelineConfig, options: Mapping[str, Any]) -> dict[str, Any]:
    target.parent.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    report = run_bag(bag, target, config, **options, load=loaded, say=said.append, progress=False)
    refused = sum(report.refused.values())
    return {
        "said": f"{report.written} of {report.read} frames written, {refused} refused",
        "frames": {"read": report.read, "written": report.written, "refused": dict(report.refused)},
        "damage": report.damage,
        "notes": said,
    }

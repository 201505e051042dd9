"""From a path to its reader: which format something is in."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from seg_perception.errors import ConfigError, InputError
from seg_perception.evaluation.sources import Source
from seg_perception.evaluation.sources.bags import BagSource
from seg_perception.evaluation.sources.cityscapes import ENDINGS, CityscapesFolder
from seg_perception.evaluation.sources.coco import CocoFolder
from seg_perception.evaluation.sources.folders import PlainFolder
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import SUFFIXES


def open_source(
    path: Path,
    *,
    truth: bool = False,
    topic: str | None = None,
    labels: LabelSpace | None = None,
    void: Collection[int] = (),
) -> Source:
    """The labelled frames at ``path``: a bag, a COCO panoptic JSON file (or the folder that holds the only one), a
    folder of Cityscapes files, or of plain ids.

    ``labels`` says in which space they are, where they do not say so themselves; ``void`` are ids of a plain folder
    that are unlabelled. Raises :class:`InputError`, :class:`BagError` or :class:`ConfigError` when it is none of them.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(f"{path}: there is no such bag, folder or JSON file")
    if path.suffix == ".json":
        return CocoFolder(path, labels)
    if path.is_file() or is_bag(path):
        return BagSource(path, truth=truth, topic=topic, labels=labels)
    described = [f for f in sorted(path.glob("*.json")) if _is_coco(f)]
    if len(described) > 1:
        raise InputError(f"{path}: holds {len(described)} COCO panoptic files; name the one, such as {described[0]}")
    if described:
        return CocoFolder(described[0], labels)
    if _has(path, ENDINGS):
        if labels is not None and labels.name != "cityscapes":
            raise ConfigError(
                f"{path}: is named as Cityscapes' files are, whose labels are 'cityscapes', not {labels.name}"
            )
        return CityscapesFolder(path)
    return PlainFolder(path, labels, void)


def is_bag(path: Path) -> bool:
    """Whether ``path`` is a bag by its name, or a folder that holds one's files."""
    if not path.is_dir():
        return path.suffix in SUFFIXES
    return (path / "metadata.yaml").is_file() or any(file.suffix in SUFFIXES for file in path.iterdir())


def _has(path: Path, endings: Collection[str]) -> bool:
    return any(True for ending in endings for _ in path.rglob(f"*{ending}*.png"))


def _is_coco(file: Path) -> bool:
    with suppress(OSError, ValueError):
        content = json.loads(file.read_text(encoding="utf-8"))
        entries = content.get("annotations") if isinstance(content, dict) else None
        return isinstance(entries, list) and bool(entries) and "segments_info" in entries[0]
    return False

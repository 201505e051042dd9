"""Many bags: which ones a path stands for, what each is called, and how to tell whether it is still the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seg_perception.errors import BagError, ConfigError
from seg_perception.offline.bags import SUFFIXES


@dataclass(frozen=True)
class Source:
    """One bag: ``name`` is its path below the folder that was searched, without suffix (``night/drive_3``)."""

    name: str
    path: Path


def find(paths: Iterable[Path]) -> list[Source]:
    """The bags that ``paths`` stand for, by name: each is a bag, or a folder with bags in it, however deep.

    A folder with ``metadata.yaml``, or whose files differ only in the number at their end, is one bag in parts; other
    files are a bag each. Raises :class:`BagError` for a path without bags, and for two bags of one name.
    """
    found: dict[str, Source] = {}
    for path in paths:
        mine = list(_below(path.expanduser(), path.expanduser().stem if path.is_file() else ""))
        if not mine:
            raise BagError(f"{path}: holds no bags; expected folders, .mcap or .db3 files")
        for source in mine:
            other = found.setdefault(source.name, source)
            if other.path.resolve() != source.path.resolve():
                raise BagError(
                    f"{other.path} and {source.path} are both called '{source.name}'; name the folder above them"
                )
    return [found[name] for name in sorted(found)]


def refuse_within(out: Path, folders: Iterable[Path]) -> None:
    """Raise :class:`ConfigError` where the results' folder ``out`` is, or lies in, one of the ``folders`` that are
    searched for bags: they would be taken for bags the next time.
    """
    for folder in folders:
        if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"-o {out}: lies in {folder}, where bags are looked for, so a later start would take its results for "
                "bags; choose a folder outside"
            )


def _below(path: Path, name: str) -> Iterator[Source]:
    if not path.exists():
        raise BagError(f"{path}: there is no such bag")
    if path.is_file() or is_bag(path):
        yield Source(name or path.resolve().name, path)
        return
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            yield from _below(entry, f"{name}/{entry.name}".lstrip("/"))
        elif entry.suffix in SUFFIXES:
            yield Source(f"{name}/{entry.stem}".lstrip("/"), entry)


def is_bag(folder: Path) -> bool:
    """Whether a folder is one bag: as ``ros2 bag record`` makes them, or the numbered parts of one."""
    if (folder / "metadata.yaml").is_file():
        return True
    parts = [file.stem for file in folder.iterdir() if file.suffix in SUFFIXES]
    numbered = all(re.fullmatch(r".*_\d+", part) for part in parts)
    return bool(parts) and numbered and len({part.rpartition("_")[0] for part in parts}) == 1


def parts(bag: Path) -> list[Path]:
    """The files that hold a bag's messages, a killed recorder's log among them."""
    if bag.is_file():
        log = bag.with_name(f"{bag.name}-wal")
        return [bag, log] if log.exists() else [bag]
    return sorted(file for file in bag.iterdir() if file.name.endswith((*SUFFIXES, ".db3-wal", ".zstd")))


def fingerprint(bag: Path) -> list[list[str | int]]:
    """Name, size and time of change of each part, ready for JSON: whether a bag is still the one of yesterday."""
    return [[part.name, part.stat().st_size, part.stat().st_mtime_ns] for part in parts(bag)]


def digest(bag: Path) -> str:
    """SHA-256 of a bag's content, part after part."""
    total = hashlib.sha256()
    for part in parts(bag):
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()

"""The label space: classes, their hierarchy, what planners want to know of each, and the tables between two spaces.

A label space is one YAML file (``config/labels/*.yaml``)::

    name: cityscapes
    classes:
      - {id: 0, name: road, kind: stuff, parent: flat, priority: 0, cost: 0, colour: [128, 64, 128], aliases: [street]}
    ancestors: {flat: ground}
    groups:
      drivable: {members: [flat], unlabelled: false}

``id`` numbers the classes 0..N-1 without gaps, N <= 254. ``parent`` names another class or an abstract ancestor;
``ancestors`` gives the parents of the abstract ones. ``priority`` > 0 marks what the robot must not hit (larger matters
more); ``cost`` 0..100 is what a costmap writes, -1 unknown. A group's members are classes or ancestors (all their
descendants); ``unlabelled`` says whether a pixel without a class belongs to it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seg_perception import resources
from seg_perception.errors import ConfigError
from seg_perception.schema import from_mapping, read_yaml
from seg_perception.types import UNLABELLED, BoolArray, UInt8Array

MAX_CLASSES = 254


def normalised(name: str) -> str:
    """``"Traffic Light"``, ``"traffic-light"`` and ``"traffic_light"`` are one name."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


@dataclass(frozen=True)
class LabelClass:
    """One class of a label space; see the module's docstring for the meaning of each field."""

    id: int
    name: str
    kind: Literal["stuff", "thing"]
    colour: tuple[int, int, int]
    parent: str | None = None
    priority: int = 0
    cost: int = -1
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """A set of classes that a planner asks for as one binary mask."""

    members: tuple[str, ...]
    unlabelled: bool = False


@dataclass(frozen=True)
class LabelSpace:
    """A checked set of classes; make one with :meth:`load` or :meth:`parse`.

    Raises :class:`ConfigError` from either when an id, name, parent, colour, cost or group cannot be used.
    """

    name: str
    classes: tuple[LabelClass, ...]
    ancestors: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    description: str = ""

    @classmethod
    def load(cls, name_or_path: str | Path) -> LabelSpace:
        """The shipped space of that name, or the one in that YAML file."""
        path = resources.find("labels", name_or_path)
        return cls.parse(read_yaml(path), where=str(path))

    @classmethod
    def parse(cls, content: Any, where: str) -> LabelSpace:
        """Check ``content`` (what YAML gave); ``where`` names it in errors."""
        space = from_mapping(cls, content, where)
        space._check(where)
        return space

    def _check(self, where: str) -> None:
        def refuse(why: str) -> ConfigError:
            return ConfigError(f"label space {where}: {why}")

        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise refuse(f"has {len(self.classes)} classes, expected 1 to {MAX_CLASSES}")
        for position, entry in enumerate(self.classes):
            if entry.id != position:
                raise refuse(f"class '{entry.name}' has id {entry.id}, expected {position}: ids count 0..N-1, no gaps")
            if not all(0 <= channel <= 255 for channel in entry.colour):
                raise refuse(f"class '{entry.name}': colour {list(entry.colour)} is not three numbers in 0..255")
            if not -1 <= entry.cost <= 100:
                raise refuse(f"class '{entry.name}': cost {entry.cost} is not in -1..100")
            if entry.priority < 0:
                raise refuse(f"class '{entry.name}': priority {entry.priority} is negative")
        names = [normalised(n) for c in self.classes for n in (c.name, *c.aliases)]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise refuse(f"the name or alias '{twice[0]}' is used twice")
        for entry in self.classes:
            list(self.chain(entry.name, where))
        for group_name, group in self.groups.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", group_name):
                raise refuse(
                    f"group '{group_name}': the name becomes a topic, expected lower-case letters, digits and '_'"
                )
            for member in group.members:
                if not self._descendants(member).any():
                    raise refuse(f"group '{group_name}': '{member}' is neither a class nor an ancestor of one")

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def _parents(self) -> dict[str, str]:
        parents = {normalised(child): normalised(parent) for child, parent in self.ancestors.items()}
        parents.update({normalised(c.name): normalised(c.parent) for c in self.classes if c.parent})
        return parents

    @cached_property
    def ids(self) -> dict[str, int]:
        """Class id by normalised name and alias."""
        return {normalised(n): c.id for c in self.classes for n in (c.name, *c.aliases)}

    def id(self, name: str) -> int:
        """The id of the class of that name or alias; raises :class:`ConfigError` if there is none."""
        try:
            return self.ids[normalised(name)]
        except KeyError:
            raise ConfigError(
                f"label space '{self.name}' has no class '{name}'; it has {', '.join(c.name for c in self.classes)}"
            ) from None

    def chain(self, name: str, where: str = "") -> Iterator[str]:
        """``name`` and its ancestors, nearest first, normalised; raises :class:`ConfigError` for a hierarchy that
        runs in a circle.
        """
        current: str | None = normalised(name)
        seen: set[str] = set()
        while current is not None:
            if current in seen:
                raise ConfigError(
                    f"label space {where or self.name}: the parents of '{name}' run in a circle at '{current}'"
                )
            seen.add(current)
            yield current
            current = self._parents.get(current)

    def _descendants(self, name: str) -> BoolArray:
        wanted = normalised(name)
        aliases = {normalised(a): c.id for c in self.classes for a in c.aliases}
        return np.array([wanted in self.chain(c.name) or aliases.get(wanted) == c.id for c in self.classes])

    @cached_property
    def things(self) -> BoolArray:
        """``(256,)`` bool: which ids are things (countable); False for 255."""
        return self._table([c.kind == "thing" for c in self.classes], False).astype(np.bool_)

    @cached_property
    def priorities(self) -> UInt8Array:
        """``(256,)`` uint8: priority by id, 0 for 255."""
        return self._table([min(c.priority, 255) for c in self.classes], 0)

    @cached_property
    def colours(self) -> UInt8Array:
        """``(256, 3)`` uint8 RGB by id; unlabelled is black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = [c.colour for c in self.classes]
        return table

    def group_table(self, group: str) -> UInt8Array:
        """``(256,)`` uint8, 255 for the ids that belong to ``group`` and 0 for the others: indexed by a semantic
        map it is the group's mask.
        """
        if group not in self.groups:
            raise ConfigError(
                f"label space '{self.name}' has no group '{group}'; it has {', '.join(self.groups) or 'none'}"
            )
        members = np.any([self._descendants(m) for m in self.groups[group].members], axis=0)
        return self._table([255 * bool(m) for m in members], 255 * self.groups[group].unlabelled)

    def _table(self, values: list[Any], unlabelled: int) -> UInt8Array:
        table = np.zeros(256, np.uint8)
        table[: len(self)] = values
        table[UNLABELLED] = unlabelled
        return table

    @cached_property
    def version(self) -> str:
        """A hash of everything in the space (12 hex digits); two spaces with one version mean the same by every id."""
        canonical = json.dumps(asdict(self), sort_keys=True, default=list)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def remap(
    source: LabelSpace,
    names: Collection[str],
    target: LabelSpace,
    *,
    overrides: Mapping[str, str] | None = None,
    void: Collection[str] = (),
    where: str = "",
) -> UInt8Array:
    """The table from a model's classes to ids of ``target``.

    ``names`` are the model's classes in channel order, a subset of ``source``'s names plus those in ``void``. Each goes
    to the class of ``target`` that carries its name or an alias, or else to that of its nearest ancestor (``source``'s
    hierarchy); ``overrides`` (name -> target name) comes before both; ``void`` goes to 255. Returns ``(256,)`` uint8,
    255 beyond the last class. Raises :class:`ConfigError` that names every class without a home.
    """
    forced = {normalised(k): v for k, v in (overrides or {}).items()}
    nothing = {normalised(n) for n in void}
    table = np.full(256, UNLABELLED, np.uint8)
    homeless: list[str] = []
    for channel, name in enumerate(names):
        key = normalised(name)
        if key in nothing:
            continue
        if key in forced:
            table[channel] = target.id(forced[key])
            continue
        home = next((target.ids[n] for n in _names_upwards(source, name) if n in target.ids), None)
        if home is None:
            homeless.append(name)
        else:
            table[channel] = home
    if homeless:
        raise ConfigError(
            f"{where or source.name}: {len(homeless)} of {len(names)} classes have no home in '{target.name}': "
            f"{', '.join(homeless)}. Give each a target under 'map:' or list it under 'void:', or use a label space "
            "that has it or an ancestor of it"
        )
    return table


def _names_upwards(space: LabelSpace, name: str) -> Iterator[str]:
    own = {normalised(c.name): c for c in space.classes}
    canonical = space.classes[space.id(name)].name
    for ancestor in space.chain(canonical):
        yield ancestor
        if ancestor in own:
            yield from map(normalised, own[ancestor].aliases)

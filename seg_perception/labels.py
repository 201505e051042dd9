"""The label space: classes, their hierarchy, what planners want to know of each, and the tables between two spaces.

A label space is one YAML file (``config/labels/*.yaml``)::

    name: cityscapes
    classes:
      - {id: 0, name: road, kind: stuff, parent: flat, priority: 0, cost: 0, colour: [128, 64, 128], aliases: [street]}
    ancestors: {flat: ground, ground: null}
    groups:
      drivable: {members: [flat], unlabelled: false}

``id`` numbers the classes 0..N-1 without gaps, N <= 254. ``parent`` names another class or an abstract ancestor;
``ancestors`` declares every abstract one with its own parent, null for a root. The reserved ancestor ``void`` marks a
class that says "none of the others", like VOC's background: elsewhere it is unlabelled. ``priority`` > 0 marks what the
robot must not hit (larger matters more); ``cost`` 0..100 is what a costmap writes, -1 unknown. A group's members are
classes or ancestors (all their descendants); ``unlabelled`` says whether a pixel without a class belongs to it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from seg_perception import resources
from seg_perception.errors import ConfigError
from seg_perception.schema import from_mapping, read_yaml
from seg_perception.types import UNLABELLED, BoolArray, UInt8Array

MAX_CLASSES = 254

VOID = "void"
"""The ancestor of classes that say "none of the others": they map to unlabelled."""


def normalised(name: str) -> str:
    """``"Traffic Light"``, ``"traffic-light"`` and ``"traffic_light"`` are one name."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


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
    ancestors: Mapping[str, str | None] = field(default_factory=dict)
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
            if not 0 <= entry.priority <= 255:
                raise refuse(f"class '{entry.name}': priority {entry.priority} is not in 0..255")
        self._check_names(refuse)
        for group_name, group in self.groups.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", group_name):
                raise refuse(
                    f"group '{group_name}': the name becomes a topic, expected lower-case letters, digits and '_'"
                )
            for member in group.members:
                if not self._members(member).any():
                    raise refuse(f"group '{group_name}': '{member}' is neither a class nor an ancestor of one")

    def _check_names(self, refuse: Callable[[str], ConfigError]) -> None:
        counts = Counter(normalised(n) for c in self.classes for n in (c.name, *c.aliases))
        for name, count in counts.items():
            if not name or name == VOID:
                raise refuse(f"'{name}' cannot be the name or alias of a class")
            if count > 1:
                raise refuse(f"the name or alias '{name}' is used twice")
        classes = set(self._names)
        abstract = {normalised(a) for a in self.ancestors}
        if classes & abstract:
            raise refuse(f"'{min(classes & abstract)}' is a class; it cannot be one of the ancestors as well")
        for child, parent in self._parents.items():
            if parent not in classes | abstract | {VOID}:
                raise refuse(
                    f"the parent '{parent}' of '{child}' is neither a class nor declared under 'ancestors:' "
                    f"(a root is declared as '{parent}: null')"
                )
        for child in self._parents:
            above: list[str] = []
            current: str | None = child
            while current is not None:
                if current in above:
                    raise refuse(f"the parents of '{child}' run in a circle at '{current}'")
                above.append(current)
                current = self._parents.get(current)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def _parents(self) -> dict[str, str]:
        pairs = [*self.ancestors.items(), *((c.name, c.parent) for c in self.classes)]
        return {normalised(child): normalised(parent) for child, parent in pairs if parent is not None}

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

    @cached_property
    def _names(self) -> dict[str, tuple[str, ...]]:
        return {normalised(c.name): tuple(normalised(n) for n in (c.name, *c.aliases)) for c in self.classes}

    def chain(self, name: str) -> Iterator[str]:
        """Every name under which the class ``name`` can be found, normalised: its own and its aliases, then its
        parent's, and so on up to the root. Raises :class:`ConfigError` if there is no such class.
        """
        current: str | None = normalised(self.classes[self.id(name)].name)
        while current is not None:
            yield from self._names.get(current, (current,))
            current = self._parents.get(current)

    def _members(self, name: str) -> BoolArray:
        wanted = normalised(name)
        return np.array([wanted in self.chain(c.name) for c in self.classes])

    @cached_property
    def things(self) -> BoolArray:
        """``(256,)`` bool: which ids are things (countable); False for 255."""
        return self._table([c.kind == "thing" for c in self.classes], False).astype(np.bool_)

    @cached_property
    def priorities(self) -> UInt8Array:
        """``(256,)`` uint8: priority by id, 0 for 255."""
        return self._table([c.priority for c in self.classes], 0)

    @cached_property
    def colours(self) -> UInt8Array:
        """``(256, 3)`` uint8 RGB by id; unlabelled is black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = [c.colour for c in self.classes]
        return table

    def group_table(self, group: str) -> UInt8Array:
        """``(256,)`` uint8, 255 for the ids that belong to ``group`` and 0 for the others: indexed by a semantic
        map it is the group's mask. Raises :class:`ConfigError` if there is no such group.
        """
        if group not in self.groups:
            raise ConfigError(
                f"label space '{self.name}' has no group '{group}'; it has {', '.join(self.groups) or 'none'}"
            )
        wanted = self.groups[group]
        inside = np.zeros(len(self), np.bool_)
        for member in wanted.members:
            inside |= self._members(member)
        return self._table(np.where(inside, 255, 0), 255 * wanted.unlabelled)

    def _table(self, values: ArrayLike, unlabelled: int) -> UInt8Array:
        table = np.full(256, unlabelled, np.uint8)
        table[: len(self)] = values
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
    optional: Collection[str] = (),
    where: str = "",
) -> UInt8Array:
    """The table from a model's classes to ids of ``target``.

    ``names`` are the model's classes in channel order, a subset of ``source``'s names plus those in ``void``. Each goes
    to the class of ``target`` that carries its name or an alias, or else to that of its nearest ancestor (``source``'s
    hierarchy); ``overrides`` (name -> target name) comes before both; ``void``, and what descends from the ancestor
    ``void``, goes to 255; so does a class of ``optional`` for which ``target`` has no home. Returns ``(256,)`` uint8,
    255 beyond the last class. Raises :class:`ConfigError` that names every other class without a home, and for a name
    under ``overrides``, ``void`` or ``optional`` that the model does not have.
    """
    where = where or source.name
    if len(names) > 256:
        raise ConfigError(f"{where}: the model has {len(names)} classes, expected at most 256: class ids are bytes")
    own = [normalised(n) for n in names]
    forced = {normalised(k): v for k, v in (overrides or {}).items()}
    nothing, may_lack = {normalised(n) for n in void}, {normalised(n) for n in optional}
    _refuse_strangers(
        where,
        f"named under 'map:', 'void:' or 'optional:' but not a class of the model ({', '.join(names)})",
        [n for n in (*forced, *nothing, *may_lack) if n not in own],
    )
    _refuse_strangers(
        where,
        f"not in '{target.name}' ({', '.join(c.name for c in target.classes)})",
        [v for v in forced.values() if normalised(v) not in target.ids],
    )
    _refuse_strangers(
        where,
        f"not in the model's label space '{source.name}' and not listed under 'void:'",
        [n for n in own if n not in source.ids and n not in nothing and n not in forced],
    )

    table = np.full(256, UNLABELLED, np.uint8)
    homeless: list[str] = []
    for channel, (name, key) in enumerate(zip(names, own, strict=True)):
        if key in nothing:
            continue
        upwards = [normalised(forced[key])] if key in forced else list(source.chain(key))
        home = next((target.ids[n] for n in upwards if n in target.ids), None)
        if home is not None:
            table[channel] = home
        elif VOID not in upwards and key not in may_lack:
            homeless.append(name)
    if homeless:
        raise ConfigError(
            f"{where}: {len(homeless)} of {len(names)} classes have no home in '{target.name}': "
            f"{', '.join(homeless)}. Give each a target under 'map:', list it under 'void:' or 'optional:', or use a "
            "label space that has it or an ancestor of it"
        )
    return table


def _refuse_strangers(where: str, why: str, strangers: Collection[str]) -> None:
    if strangers:
        raise ConfigError(f"{where}: {', '.join(strangers)}: {why}")

"""From what YAML, ROS parameters or a command line give to typed, checked, frozen data classes.

One mechanism for label spaces, model manifests and the pipeline's configuration: the data class *is* the schema.
:func:`option` adds to a field what a person needs to know (description, range) and whether it may change while a node
is active.
"""

from __future__ import annotations

import dataclasses
import reprlib
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from seg_perception.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """What :func:`option` says about a field: ``help`` in plain words, the closed range, the allowed values, and
    whether it may change while active.
    """

    help: str = ""
    ge: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = True


def option(
    default: Any = MISSING,
    help: str = "",
    *,
    ge: float | None = None,
    le: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = True,
) -> Any:
    """A data class field with its description and range; see :class:`Option`."""
    return dataclasses.field(default=default, metadata={"option": Option(help, ge, le, choices, live)})


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, of which PyYAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{twice[0]}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; raises :class:`ConfigError` with the file and line when it is not YAML, and for a key
    given twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    # PyYAML lets ValueError out for impossible dates and text that is not UTF-8 ends in one too.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error


def from_mapping(cls: type[T], content: Any, where: str) -> T:
    """Build the data class ``cls`` from nested mappings; ``where`` (file and key) opens every error.

    Raises :class:`ConfigError` for unknown and missing keys, wrong types, and values outside an :class:`Option`'s range
    or choices.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: expected keys and values, found {_kind(content)}")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = [str(key) for key in content if key not in fields]
    if unknown:
        raise ConfigError(f"{where}: unknown key '{unknown[0]}'; expected {', '.join(fields)}")
    hints = typing.get_type_hints(cls)
    values = {}
    for name, spec in fields.items():
        if name in content:
            values[name] = _convert(hints[name], content[name], f"{where}: {name}", spec.metadata.get("option"))
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise ConfigError(f"{where}: the key '{name}' is missing")
    return cls(**values)


def _convert(hint: Any, value: Any, where: str, opt: Option | None) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, where, opt)
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast("type[Any]", hint), value, where)
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f"{where}: {value!r} is not one of {', '.join(map(str, args))}")
        return value
    if origin is tuple:
        return _convert_tuple(args, value, where, opt)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected keys and values, found {_kind(value)}")
        return {_convert(args[0], k, where, None): _convert(args[1], v, f"{where}: {k}", opt) for k, v in value.items()}
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        value = float(value)
    if hint in (bool, int, float, str) and (
        not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)
    ):
        raise ConfigError(f"{where}: expected {_NAMES[hint]}, found {_kind(value)}")
    check_range(value, where, opt)
    return value


def _convert_tuple(args: tuple[Any, ...], value: Any, where: str, opt: Option | None) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}: expected a list, found {_kind(value)}")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_convert(args[0], v, where, opt) for v in value)
    if len(value) != len(args):
        raise ConfigError(f"{where}: expected {len(args)} values, found {len(value)}")
    return tuple(_convert(a, v, where, opt) for a, v in zip(args, value, strict=True))


def check_range(value: Any, where: str, opt: Option | None) -> None:
    """Raise :class:`ConfigError` when ``value`` is outside what ``opt`` allows (NaN is outside every range)."""
    if opt is None:
        return
    if opt.choices and value not in opt.choices:
        raise ConfigError(f"{where}: '{value}' is not one of {', '.join(opt.choices)}")
    low = opt.ge is None or value >= opt.ge
    high = opt.le is None or value <= opt.le
    if not (low and high):
        low_text = "-inf" if opt.ge is None else f"{opt.ge:g}"
        high_text = "inf" if opt.le is None else f"{opt.le:g}"
        raise ConfigError(f"{where}: {value} is outside {low_text}..{high_text}")


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {reprlib.repr(value)}"


def flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any, Option]]:
    """Every leaf of a nested data class instance as ``(dotted name, type hint, value, Option)``: what becomes a ROS
    parameter or a command-line key.
    """
    hints = typing.get_type_hints(type(config))
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        name = f"{prefix}{spec.name}"
        if dataclasses.is_dataclass(value):
            yield from flatten(value, f"{name}.")
        else:
            yield name, hints[spec.name], value, spec.metadata.get("option", Option())


def replaced(config: T, changes: Mapping[str, Any], where: str) -> T:
    """``config`` with dotted names replaced, checked together as one new object; raises :class:`ConfigError` and
    changes nothing when one is wrong.
    """
    content = dataclasses.asdict(config)  # type: ignore[call-overload]
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        node = content
        for part in path:
            node = node.get(part)
            if not isinstance(node, dict):
                raise ConfigError(f"{where}: there is no '{dotted}'")
        if last not in node:
            raise ConfigError(f"{where}: there is no '{dotted}'")
        node[last] = value
    return from_mapping(type(config), content, where)

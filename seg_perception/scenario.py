"""A scenario: the YAML file and the command line's ``--set`` that make a :class:`PipelineConfig`.

The file is either the configuration as it is (``models: {semantic: ...}``) or a ROS parameter file with the same below
``ros__parameters``, so that one file serves the node and the offline runner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from seg_perception.config import PipelineConfig
from seg_perception.errors import ConfigError
from seg_perception.schema import read_yaml, replaced

NODE = "segmentation"
"""The node whose parameters are read from a ROS parameter file; ``/**`` counts as well."""

_PARAMETERS = "ros__parameters"
_SECTIONS = frozenset(spec.name for spec in dataclasses.fields(PipelineConfig))


def load(path: Path | None = None, settings: Iterable[str] = ()) -> PipelineConfig:
    """The configuration in ``path`` (None: the defaults) with ``settings`` (``dotted.key=value``, value as in YAML) on
    top; raises :class:`ConfigError`.

    What a ROS parameter file says beside the pipeline's sections (cameras, autostart, use_sim_time ...) is the node's
    business and passed over.
    """
    config = PipelineConfig()
    if path is not None:
        config = replaced(config, _file(path), str(path))
    return replaced(config, dict(map(_setting, settings)), "--set")


def _file(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    by_node = list(_ros_parameters(content))
    if not by_node:
        return dict(_dotted(content))
    ours = (parameters for node, parameters in by_node if node in (NODE, "*", "**"))
    flat = {name: value for parameters in ours for name, value in _dotted(parameters)}
    return {name: value for name, value in flat.items() if name.split(".")[0] in _SECTIONS}


def _ros_parameters(content: Mapping[Any, Any], node: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Each node's name, without its namespaces, and its parameters, in file order; namespaces nest or hold slashes."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            if key == _PARAMETERS:
                yield node, value
            else:
                yield from _ros_parameters(value, str(key).rpartition("/")[2])


def _dotted(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _setting(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise ConfigError(f"--set {text}: expected dotted.key=value, for example --set tracker.max_lost=2.0")
    try:
        return name, yaml.safe_load(value) if value else ""
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: {value!r} cannot be read as a YAML value") from error

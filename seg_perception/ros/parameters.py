"""ROS parameters from data classes: every leaf of a configuration becomes one parameter with its description, type and
range, and a change becomes a new, checked, immutable configuration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from seg_perception.config import PipelineConfig
from seg_perception.errors import ConfigError
from seg_perception.schema import Option, flatten, option, replaced

T = TypeVar("T")

_INTEGER_LIMIT = 2**63 - 1


@dataclass(frozen=True)
class NodeConfig:
    """What concerns the node as a whole."""

    cameras: tuple[str, ...] = option(
        ("camera",), "names of the cameras; each one's topics are below its name", live=False
    )
    autostart: bool = option(
        False, "configure and activate at start; leave it false under a lifecycle manager", live=False
    )
    trace: str = option("", "file that gets one JSON line per published frame: its times by stage", live=False)
    image_timeout: float = option(5.0, "seconds without an image after which a camera is reported", ge=0.1, le=3600.0)


@dataclass(frozen=True)
class CameraConfig:
    """How one camera is subscribed to."""

    image_transport: str = option(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed (jpeg, png)",
        choices=("raw", "compressed"),
        live=False,
    )
    reliability: str = option(
        "auto",
        "auto asks for reliable delivery when every publisher of the image offers it",
        choices=("auto", "reliable", "best_effort"),
        live=False,
    )
    depth: int = option(5, "images that may queue in front of the newest-frame slot", ge=1, le=100, live=False)


class Parameters(Generic[T]):
    """The parameters of ``node`` that mirror a configuration; names are the dotted names of its leaves after
    ``prefix``.

    ``value`` is the configuration in force. It is replaced as a whole when live parameters change; the others are
    read-only. Raises :class:`ConfigError` where the node was started with a value that cannot be used.
    """

    def __init__(self, node: Node, default: T, prefix: str = "") -> None:
        self._prefix = prefix
        self._names = frozenset(f"{prefix}{name}" for name, *_ in flatten(default))
        values: dict[str, Any] = {}
        for name, _, preset, opt in flatten(default):
            try:
                declared = node.declare_parameter(f"{prefix}{name}", _to_ros(preset), _descriptor(preset, opt))
            except ParameterException as error:
                raise ConfigError(f"parameter {prefix}{name}: {error}") from error
            values[name] = declared.value
        self.value: T = replaced(default, values, "parameters")
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def _mine(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        return {p.name[len(self._prefix) :]: p.value for p in parameters if p.name in self._names}

    def _check(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        try:
            replaced(self.value, self._mine(parameters), "parameters")
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply(self, parameters: Sequence[Parameter]) -> None:
        if mine := self._mine(parameters):
            self.value = replaced(self.value, mine, "parameters")


def checked_names(cameras: Sequence[str]) -> Sequence[str]:
    """``cameras`` as they are; raises :class:`ConfigError` for a name that cannot be part of a topic's."""
    for name in cameras:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*", name):
            raise ConfigError(
                f"parameter cameras: '{name}' becomes part of topic names; expected letters, digits and '_', parts "
                "separated by '/'"
            )
    if not cameras or len(set(cameras)) < len(cameras):
        raise ConfigError(f"parameter cameras: {list(cameras)} must name at least one camera, and none twice")
    return cameras


def _to_ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _descriptor(value: Any, opt: Option) -> ParameterDescriptor:
    # An empty list has no type in ROS (rclpy takes it for bytes); the schema checks what comes.
    descriptor = ParameterDescriptor(description=opt.help, read_only=not opt.live, dynamic_typing=value == ())
    if opt.choices:
        descriptor.additional_constraints = f"one of {', '.join(opt.choices)}"
    if isinstance(value, float) and not (opt.ge is None and opt.le is None):
        low, high = (-math.inf if opt.ge is None else opt.ge), (math.inf if opt.le is None else opt.le)
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    elif isinstance(value, int) and not isinstance(value, bool) and not (opt.ge is None and opt.le is None):
        low, high = (-_INTEGER_LIMIT if opt.ge is None else opt.ge), (_INTEGER_LIMIT if opt.le is None else opt.le)
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return descriptor


def reference() -> Iterator[str]:
    """The tables of all parameters in docs/ros.md, line by line."""
    sections: list[tuple[str, str, Any]] = [
        ("The node", "", NodeConfig()),
        ("Each camera", "<cam>.", CameraConfig()),
        ("The pipeline", "", PipelineConfig()),
    ]
    for title, prefix, config in sections:
        yield f"### {title}"
        yield "| parameter | default | allowed | live | what it is |"
        yield "|---|---|---|---|---|"
        for name, _, value, opt in flatten(config, prefix):
            default = ", ".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"| `{name}` | {default} | {_allowed(opt)} | {'yes' if opt.live else 'no'} | {opt.help} |"


def _allowed(opt: Option) -> str:
    if opt.choices or (opt.ge is None and opt.le is None):
        return ", ".join(opt.choices)
    return f"{'-∞' if opt.ge is None else f'{opt.ge:g}'} .. {'∞' if opt.le is None else f'{opt.le:g}'}"


if __name__ == "__main__":
    print("\n".join(reference()))

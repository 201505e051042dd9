"""What decides when and where the instance network looks."""

from __future__ import annotations

from dataclasses import dataclass

from seg_perception.errors import ConfigError
from seg_perception.schema import option


@dataclass(frozen=True)
class CascadeConfig:
    """When the instance network looks, where, and for how long its answer is of use; see ``docs/cascade.md``."""

    policy: str = option(
        "every",
        "when it looks: on every N-th frame; on presence, when there is something that no fresh track explains; within "
        "a budget, for as long as there is something to see",
        choices=("every", "presence", "budget"),
    )
    every: int = option(1, "policy every: a look on every N-th frame of a camera", ge=1, le=1000)
    staleness: float = option(
        0.5,
        "policies presence and budget: seconds after which a thing of priority 100 must be looked at again; one of "
        "half that priority may wait twice as long",
        ge=0.01,
        le=600.0,
    )
    heartbeat: float = option(
        1.0, "policies presence and budget: seconds after which the frame is looked at whatever it shows", ge=0.01
    )
    share: float = option(0.5, "policy budget: part of the time that the instance network may work", ge=0.001, le=1.0)
    rate: float = option(1000.0, "policy budget: most looks per second of a camera", ge=0.001, le=1000.0)
    crops: int = option(
        0,
        "every other look is at so many crops of the frame, at most, around what is small; 0: all are at the frame",
        ge=0,
        le=16,
    )
    zoom: float = option(2.0, "a crop has 1 / zoom of the frame's width and height", ge=1.0, le=8.0)
    timeout: float = option(2.0, "seconds after which an answer is too old to be used", ge=0.01, le=60.0)
    patience: float = option(
        0.0,
        "seconds that a frame waits for the look at itself; 0: frames never wait, the answer is carried forward",
        ge=0.0,
        le=60.0,
    )
    scheduling: str = option(
        "idle",
        "how the instance network's process shares the processor with all others: normal, as everybody; nice, a tenth "
        "of what a busy thread takes (nice 10); idle, what nobody else wants (SCHED_IDLE)",
        choices=("normal", "nice", "idle"),
        live=False,
    )
    instance_latency: tuple[float, ...] = option(
        (0.0,),
        "offline: seconds from the start of a look to its answer; several are taken in turn, as a trace recorded them",
        ge=0.0,
        le=60.0,
        live=False,
    )

    def __post_init__(self) -> None:
        if not self.instance_latency:
            raise ConfigError("cascade: instance_latency is empty; expected at least one number of seconds")

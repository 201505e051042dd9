"""How a look is taken, and when its answer is there.

The pipeline begins a look and asks, frame by frame, for what has come back. :class:`Virtual` answers by the stamps: the
result of a look is there at the first frame that is late enough, on every machine the same.
:class:`~seg_perception.cascade.worker.InstanceWorker` answers when the network is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Protocol, runtime_checkable

from seg_perception.timing import StageTimes
from seg_perception.types import NANOSECONDS, Float32Array, Instances, UInt8Array


class Network(Protocol):
    """What looks: the things in ``image`` ``(H, W, 3)`` uint8 RGB, in its pixels, or only those in ``regions``
    ``(R, 4)`` of it.
    """

    def __call__(self, image: UInt8Array, times: StageTimes, regions: Float32Array | None = None) -> Instances:
        """Look; adds its stages to ``times``."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One look: at which frame, and where (None: everywhere)."""

    stamp: int
    image: UInt8Array
    regions: Float32Array | None = None


@runtime_checkable
class Batching(Network, Protocol):
    """A network that takes looks of several cameras in one pass."""

    @property
    def batch(self) -> int:
        """At most so many."""
        ...

    def together(self, asked: Sequence[Job], times: StageTimes) -> list[Instances]:
        """What each of those ``asked`` finds, as if it had been called for it alone."""
        ...


@runtime_checkable
class Closable(Network, Protocol):
    """A network that can be ended while it looks."""

    def close(self) -> None:
        """End it; a look in hand raises."""
        ...


@dataclass(frozen=True, slots=True)
class Finished:
    """A look that has come back: what it found, or the ``error`` that ended it; ``latency`` the seconds from its start
    to its answer, ``cost`` those of them in which it kept the network from others, ``stages`` its work by stage.
    """

    job: Job
    instances: Instances | None
    error: Exception | None
    latency: float
    cost: float
    stages: Mapping[str, float]


class Runner(Protocol):
    """One camera's access to the instance network: one look at a time."""

    @property
    def idle(self) -> bool:
        """Whether the last look has come back and was collected."""
        ...

    def start(self, job: Job) -> None:
        """Begin a look; only while idle."""
        ...

    def collect(self, now: int, patience: float = 0.0) -> Finished | None:
        """The look that has come back by the frame of stamp ``now``, once; waits ``patience`` seconds for it."""
        ...

    def forget(self) -> None:
        """What is under way is of no use any more: its result is never collected."""
        ...


def taken(network: Network, job: Job) -> Finished:
    """Take a look, here and now; what the network raises is in the result. Its latency is not known yet: 0."""

    def alone(jobs: Sequence[Job], times: StageTimes) -> list[Instances]:
        where = () if job.regions is None else (job.regions,)
        return [network(job.image, times, *where)]

    (done,) = _taken(alone, [job])
    return done


def taken_together(network: Batching, jobs: Sequence[Job]) -> list[Finished]:
    """Take several looks, each of which costs its part of the time; what the network raises ends them all."""
    return _taken(network.together, jobs)


def _taken(take: Callable[[Sequence[Job], StageTimes], list[Instances]], jobs: Sequence[Job]) -> list[Finished]:
    times, failed = StageTimes(), None
    found: Sequence[Instances | None] = [None] * len(jobs)
    try:
        with times.stage("instance"):
            found = take(jobs, times)
    except Exception as error:
        failed = error
    part = {name: seconds / len(jobs) for name, seconds in times.seconds.items()}
    cost = part.pop("instance")
    return [Finished(job, things, failed, 0.0, cost, part) for job, things in zip(jobs, found, strict=True)]


class Virtual:
    """A runner on the stamps' clock: a look works when it is begun, and its result is held back until the first frame
    whose stamp is ``latency`` seconds later. ``latencies`` are taken in turn; 0 is a look that is done at once.
    """

    def __init__(self, network: Network, latencies: Sequence[float] = (0.0,)) -> None:
        self._network, self._latencies = network, cycle(latencies)
        self._held: Finished | None = None

    @property
    def idle(self) -> bool:
        """See :class:`Runner`."""
        return self._held is None

    def start(self, job: Job) -> None:
        """See :class:`Runner`."""
        latency = next(self._latencies)
        self._held = replace(taken(self._network, job), latency=latency, cost=latency)

    def collect(self, now: int, patience: float = 0.0) -> Finished | None:
        """See :class:`Runner`; a frame that waits does not move the stamps' clock."""
        held = self._held
        if held is None or now - held.job.stamp < (held.latency - patience) * NANOSECONDS:
            return None
        self._held = None
        return held

    def forget(self) -> None:
        """See :class:`Runner`; a look on no machine needs not be waited for."""
        self._held = None

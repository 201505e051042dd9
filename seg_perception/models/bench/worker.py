"""One network in one runtime and precision, in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

from seg_perception.errors import ConfigError, SegPerceptionError
from seg_perception.labels import LabelSpace
from seg_perception.models.bench import answers, scenes
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import Execution
from seg_perception.timing import StageTimes
from seg_perception.types import PanopticMap

EAGER = "eager"
"""What stands in for a runtime where the library's own model is run in the library's own way."""


@dataclass(frozen=True)
class Job:
    """What a worker is to run: the network of ``manifest`` in the label space ``space`` (none: its own) on ``images``
    (none: one of blobs), in that way; ``how.runtime`` may be :data:`EAGER`.
    """

    manifest: str | Path
    space: str
    images: tuple[Path, ...]
    how: Execution

    @property
    def labels(self) -> LabelSpace:
        """What it answers in."""
        return LabelSpace.load(self.space) if self.space else Manifest.load(self.manifest).space()


class Worker:
    """The process of one job. Raises :class:`ConfigError` where the network cannot be had."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.seconds: list[tuple[float, float]] = []
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()
        refused = self._answer()
        if refused:
            self.close()
            raise ConfigError(refused)

    def see(self, number: int) -> None:
        """Show it a frame, and take the seconds of the forward pass and of all."""
        self.seconds.append(self._ask(number))

    def answers(self) -> list[PanopticMap]:
        """What it says of every image."""
        found: list[PanopticMap] = self._ask("answers")
        return found

    def account(self) -> dict[str, Any]:
        """``precision`` and ``threads`` that it really used, ``peak`` and ``peak_device`` megabytes."""
        found: dict[str, Any] = self._ask("account")
        return found

    def _ask(self, what: object) -> Any:
        self._ours.send(what)
        return self._answer()

    def _answer(self) -> Any:
        try:
            return self._ours.recv()
        except EOFError:
            self._process.join()
            raise ConfigError(
                f"the process of runtime '{self.job.how.runtime}' ended with status {self._process.exitcode}; was "
                "there too little memory?"
            ) from None

    def close(self) -> None:
        """End the process."""
        self._ours.close()
        self._process.join()


def _serve(pipe: Connection, job: Job) -> None:
    """The process: answer with a sentence why the network cannot be had, or nothing; then request by request."""
    try:
        network, labels, task = _load(job), job.labels, Manifest.load(job.manifest).task
        images = [scenes.read(path) for path in job.images] or [scenes.blobs()]
        network.warm(*images[0].shape[:2])
    except SegPerceptionError as error:
        pipe.send(str(error))
        return
    pipe.send("")
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        if asked == "answers":
            pipe.send([answers.as_map(network(image, StageTimes()), image, labels) for image in images])
        elif asked == "account":
            pipe.send({key: network.describe()[key] for key in ("precision", "threads")} | _peak())
        else:
            image = images[asked % len(images)]
            network(image, StageTimes())  # not timed: it pays for the caches and threads that the one before has left
            times, start = StageTimes(), perf_counter()
            network(image, times)
            pipe.send((times.seconds[f"{task}/forward"], perf_counter() - start))


def _load(job: Job) -> Any:
    if job.how.runtime == EAGER:
        from seg_perception.models.bench.eager import EagerNetwork  # needs torch

        return EagerNetwork(job.manifest, job.labels, job.how)
    return answers.load(Manifest.load(job.manifest), job.labels, job.how)


def _peak() -> dict[str, float]:
    """Megabytes that this process has held at most, and on the GPU."""
    torch = sys.modules.get("torch")
    on_device = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_available() else 0
    return {"peak": _peak_host() / 1e6, "peak_device": on_device / 1e6}


def _peak_host() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that started this one, too
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

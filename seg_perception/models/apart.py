"""An instance network in a process of its own: it steps back from the processor whole, shares no interpreter lock with
the masks, and takes nothing with it when it dies.

The parent sends what is asked for over a socket, the pixels after it as they are; the answer comes back pickled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from weakref import finalize

import cv2
import numpy as np

from seg_perception.errors import ModelError, SegPerceptionError, first_line
from seg_perception.labels import LabelSpace
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import Asked, Execution, InstanceNetwork, Shown, load_instance
from seg_perception.timing import StageTimes
from seg_perception.types import Float32Array, Instances, UInt8Array

NICE = 10
"""How far a process steps back that is scheduled as ``nice``, as in nice(1)."""
_GONE = (EOFError, OSError)
"""What a connection raises whose other end has died."""


@dataclass(frozen=True)
class _Order:
    """What the process shall load, and how it shares the processor."""

    manifest: str | Path
    labels: LabelSpace
    how: Execution
    scheduling: str


@dataclass(frozen=True)
class _Loaded:
    """What the process has loaded."""

    manifest: Manifest
    described: dict[str, str | int]
    batch: int


@dataclass(frozen=True)
class _Found:
    """The answer to all that was asked for at once, and the seconds that it took by stage."""

    instances: list[Instances]
    seconds: dict[str, float]


class InstanceProcess:
    """As :class:`InstanceNetwork`, in a process of its own. ``scheduling`` is how that shares the processor, as
    ``cascade.scheduling``. One call at a time.

    Raises what :func:`~seg_perception.models.load_instance` raises. A call in which the process dies raises
    :class:`ModelError`; the next call starts another.
    """

    def __init__(self, manifest: str | Path, labels: LabelSpace, how: Execution, scheduling: str = "normal") -> None:
        self._order, self._closed = _Order(manifest, labels, how, scheduling), False
        self._start()

    @property
    def manifest(self) -> Manifest:
        """What was loaded."""
        return self._loaded.manifest

    @property
    def batch(self) -> int:
        """As many images it takes in one pass."""
        return self._loaded.batch

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def describe(self) -> dict[str, str | int]:
        """What a result depends on: model, weights, runtime and its version, precision, device, threads."""
        return dict(self._loaded.described)

    def __call__(self, image: UInt8Array, times: StageTimes, regions: Float32Array | None = None) -> Instances:
        """See :class:`InstanceNetwork`."""
        (found,) = self.together([Shown(image, regions)], times)
        return found

    def together(self, asked: Sequence[Asked], times: StageTimes) -> list[Instances]:
        """See :class:`InstanceNetwork`."""
        if self._process.poll() is not None:
            self._start()
        try:
            self._connection.send([(ask.image.shape, ask.image.dtype.str, ask.regions) for ask in asked])
            for ask in asked:
                self._connection.send_bytes(np.ascontiguousarray(ask.image).reshape(-1).view(np.uint8).data)
            answer = self._connection.recv()
        except _GONE:
            raise ModelError(f"{self._epitaph()}; the next look starts another") from None
        if isinstance(answer, Exception):
            raise answer
        for name, seconds in answer.seconds.items():
            times.seconds[name] = times.seconds.get(name, 0.0) + seconds
        return list(answer.instances)

    def close(self) -> None:
        """End the process, and with it a call in another thread, which raises, as all later ones do."""
        self._closed = True
        self._end()

    def _start(self) -> None:
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import main; main({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection, self._end = ours, finalize(self, _end, self._process)
        if self._closed:  # by another thread, which may have found only the process before this one
            self._end()
        try:
            ours.send(self._order)
            loaded = ours.recv()
        except _GONE:
            raise ModelError(f"{self._epitaph()} while it was loading") from None
        if isinstance(loaded, Exception):
            raise loaded
        self._loaded: _Loaded = loaded

    def _epitaph(self) -> str:
        status = self._process.wait()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"the process of the instance network '{self._order.manifest}' {how}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def step_back(scheduling: str) -> None:
    """Let this process share the processor as ``scheduling`` says: ``normal``, ``nice`` or ``idle``. Does nothing where
    the system does not schedule threads one by one, or refuses.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):
        for thread in map(int, os.listdir("/proc/self/task")):  # linear algebra has started some; later ones inherit
            if scheduling == "idle":
                # Beside its small share this is what lets the others in at once, and not at the end of its time slice.
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            elif scheduling == "nice":
                # Never forward: the whole node may have been started further back.
                os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))


def main(descriptor: int) -> None:
    """The process: load, answer, and end with the one that started it, whose socket is at ``descriptor``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the node's; this process ends with it
    cv2.setNumThreads(1)  # OpenCV's own threads wait in a busy loop
    connection = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        order: _Order = connection.recv()
        step_back(order.scheduling)
        try:
            network = load_instance(order.manifest, order.labels, order.how)
        except Exception as error:
            connection.send(_portable(error))
            return
        connection.send(_Loaded(network.manifest, network.describe(), network.batch))
        while True:
            connection.send(_answer(network, _received(connection)))


def _received(connection: Connection) -> list[Shown]:
    asked = []
    for shape, dtype, regions in connection.recv():
        image = np.empty(shape, dtype)
        if image.nbytes:
            connection.recv_bytes_into(image.reshape(-1).view(np.uint8))
        else:
            connection.recv_bytes()
        asked.append(Shown(image, regions))
    return asked


def _answer(network: InstanceNetwork, asked: Sequence[Shown]) -> _Found | Exception:
    times = StageTimes()
    try:
        return _Found(network.together(asked, times), times.seconds)
    except Exception as error:
        return _portable(error)


def _portable(error: Exception) -> Exception:
    """``error`` for another process, which may not know its class."""
    if isinstance(error, SegPerceptionError):
        return error
    return ModelError(f"{type(error).__name__}: {first_line(error)}")

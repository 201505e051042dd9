"""An instance network in a process of its own: it steps back from the processor whole, shares no interpreter lock with
the masks, and takes nothing with it when it dies.

The parent sends what is asked for over a socket, the pixels after it as they are; the answer comes back pickled.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import traceback
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

_PROGRAM = (
    "import signal, sys; "
    "signal.signal(signal.SIGINT, signal.SIG_IGN); "  # a terminal's Ctrl-C is the node's; this process ends with it
    "sys.path[:] = sys.argv[3:]; "  # the very package that started it, wherever it was started
    "from seg_perception.scheduling import step_back; step_back(sys.argv[2]); "  # before anything else takes time
    f"from {__name__} import main; main(int(sys.argv[1]))"
)
_SIGNALS = {number.value: number.name for number in signal.Signals}
_GONE = (EOFError, OSError)
"""What a connection raises whose other end has died."""


@dataclass(frozen=True)
class _Order:
    """What the process shall load."""

    manifest: str | Path
    labels: LabelSpace
    how: Execution


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
        self._order, self._scheduling, self._closed = _Order(manifest, labels, how), scheduling, False
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
        shapes = [(ask.image.shape, ask.image.dtype.str, ask.regions) for ask in asked]
        pixels = [np.ascontiguousarray(ask.image).reshape(-1).view(np.uint8).data for ask in asked]
        if self._process.poll() is not None:
            self._start()
        try:
            self._connection.send(shapes)
            for image in pixels:
                self._connection.send_bytes(image)
            answer = self._connection.recv()
        except _GONE:
            raise ModelError(f"{self._epitaph()}; the next look starts another") from None
        except BaseException:
            self._end()  # what it answers now would be taken for the answer to the next call
            raise
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
        if self._closed:
            raise ModelError(f"the process of the instance network '{self._order.manifest}' was closed")
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), self._scheduling, *sys.path],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
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
            self._end()
            raise loaded
        self._loaded: _Loaded = loaded

    def _epitaph(self) -> str:
        status = self._process.wait()
        killer = _SIGNALS.get(-status, f"signal {-status}")
        how = f"was ended by {killer}" if status < 0 else f"ended with status {status}"
        return f"the process of the instance network '{self._order.manifest}' {how}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def main(descriptor: int) -> None:
    """The process: load, answer what comes in at the socket ``descriptor``, and end when its other end is closed."""
    cv2.setNumThreads(1)  # OpenCV's own threads wait in a busy loop
    connection = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        order: _Order = connection.recv()
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
    """``error`` for another process, which may not know its class; where it came from is told here."""
    if isinstance(error, SegPerceptionError):
        return error
    traceback.print_exception(error)
    return ModelError(f"{type(error).__name__}: {first_line(error)}")

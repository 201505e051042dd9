"""The thread in which the instance network runs beside the semantic stream, for all cameras."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from threading import Condition, Thread
from time import monotonic

from seg_perception.cascade.runners import Batching, Finished, Job, Network, taken, taken_together

NICE = 10
"""How far a thread steps back that is scheduled as ``nice``, as in nice(1)."""


class InstanceWorker:
    """Takes the looks of all cameras in the order in which they were begun; those that wait go together where the
    network takes several. A camera has one look at a time, so that order is in turns. ``scheduling`` is how its thread
    shares the processor, as in :class:`CascadeConfig`.
    """

    def __init__(self, network: Network, scheduling: str = "normal") -> None:
        self._network, self._scheduling = network, scheduling
        self._most = network.batch if isinstance(network, Batching) else 1
        self._jobs: SimpleQueue[tuple[Threaded, Job] | None] = SimpleQueue()
        self._stopping = False
        self._cameras = 0
        self._thread = Thread(target=self._run, name="instance")
        self._thread.start()

    def runner(self) -> Threaded:
        """One more camera's access."""
        self._cameras += 1
        return Threaded(self)

    def stop(self) -> None:
        """Finish the look in hand and end the thread; those that wait are not taken."""
        self._stopping = True
        self._jobs.put(None)
        self._thread.join()

    def _submit(self, camera: Threaded, job: Job) -> None:
        self._jobs.put((camera, job))

    def _run(self) -> None:
        share_the_processor(self._scheduling)
        while (turns := self._waiting()) and not self._stopping:
            # All cameras pay for the machine together: what one may take is what the others leave it.
            for (camera, _), done in zip(turns, self._take([job for _, job in turns]), strict=True):
                camera._deliver(replace(done, cost=done.cost * self._cameras))

    def _waiting(self) -> list[tuple[Threaded, Job]]:
        """The next look, once there is one, and those that go with it; none when the thread is to end."""
        turns: list[tuple[Threaded, Job]] = []
        while not turns or (len(turns) < self._most and not self._jobs.empty()):
            turn = self._jobs.get()
            if turn is None:
                return []
            turns.append(turn)
        return turns

    def _take(self, jobs: list[Job]) -> list[Finished]:
        if isinstance(self._network, Batching):
            return taken_together(self._network, jobs)
        return [taken(self._network, job) for job in jobs]


class Threaded:
    """One camera's :class:`~seg_perception.cascade.runners.Runner` on an :class:`InstanceWorker`."""

    def __init__(self, worker: InstanceWorker) -> None:
        self._worker, self._done = worker, Condition()
        self._busy = self._forgotten = False
        self._began = 0.0
        self._result: Finished | None = None

    @property
    def idle(self) -> bool:
        """See :class:`Runner`."""
        return not self._busy

    def start(self, job: Job) -> None:
        """See :class:`Runner`."""
        self._busy, self._began = True, monotonic()
        self._worker._submit(self, job)

    def collect(self, now: int, patience: float = 0.0) -> Finished | None:
        """See :class:`Runner`; ``now`` plays no part: what is there is there."""
        with self._done:
            if self._busy and patience > 0.0:
                self._done.wait_for(lambda: self._result is not None, patience)
            result, self._result = self._result, None
        if result is None:
            return None
        forgotten, self._busy, self._forgotten = self._forgotten, False, False
        return None if forgotten else result

    def forget(self) -> None:
        """See :class:`Runner`; the next look begins when the forgotten one has returned."""
        self._forgotten = self._busy

    def _deliver(self, done: Finished) -> None:
        with self._done:
            self._result = replace(done, latency=monotonic() - self._began)
            self._done.notify()


def share_the_processor(scheduling: str) -> None:
    """Let the calling thread, and those that it starts, step back as ``scheduling`` says (see :class:`CascadeConfig`).
    Does nothing where threads are not scheduled one by one, or the system refuses.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):
        if scheduling == "idle":
            # Beside its small share this is what lets the others in at once, and not at the end of its time slice.
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        elif scheduling == "nice":
            thread = threading.get_native_id()
            # Never forward: the whole process may have been started further back.
            os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))

"""The thread that has the instance network look beside the semantic stream, for all cameras."""

from __future__ import annotations

from dataclasses import replace
from queue import SimpleQueue
from threading import Condition, Thread
from time import monotonic

from seg_perception.cascade.runners import Batching, Closable, Finished, Job, Network, taken, taken_together


class InstanceWorker:
    """Takes the looks of all cameras in the order in which they were begun; those that wait go together where the
    network takes several. A camera has one look at a time, so that order is in turns.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
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
        """End the thread; a look in hand is finished, or fails where the network can be closed; those that wait are
        not taken.
        """
        self._stopping = True
        if isinstance(self._network, Closable):
            self._network.close()
        self._jobs.put(None)
        self._thread.join()

    def _submit(self, camera: Threaded, job: Job) -> None:
        self._jobs.put((camera, job))

    def _run(self) -> None:
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

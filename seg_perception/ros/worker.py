"""The thread that serves all cameras: the newest image of each, in fair turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Condition, Thread

from seg_perception.ros.camera import Received
from seg_perception.ros.stream import CameraStream


class Worker:
    """Takes from ``streams`` whatever waits, one image at a time; ``ready`` is notified when one arrives."""

    def __init__(self, streams: Sequence[CameraStream], ready: Condition) -> None:
        self._turns, self._ready, self._stopping = deque(streams), ready, False
        self._thread = Thread(target=self._run, name="perception")
        self._thread.start()

    def stop(self) -> None:
        """Finish the image in hand and end the thread."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        self._thread.join()

    def _run(self) -> None:
        while turn := self._wait():
            stream, received = turn
            stream.process(received)

    def _wait(self) -> tuple[CameraStream, Received] | None:
        with self._ready:
            while not self._stopping:
                for _ in range(len(self._turns)):
                    stream = self._turns[0]
                    self._turns.rotate(-1)
                    if (received := stream.input.take()) is not None:
                        return stream, received
                self._ready.wait()
        return None

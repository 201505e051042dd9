"""How a process shares the processor. Imports nothing that starts threads: those would stay as they are."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

NICE = 10
"""How far a process steps back that is scheduled as ``nice``, as in nice(1)."""


def step_back(scheduling: str) -> None:
    """Let the calling thread, and those that it starts from now on, share the processor as ``scheduling`` says:
    ``normal``, ``nice`` or ``idle``. Does nothing where the system has no such scheduling, or refuses.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):
        if scheduling == "idle":
            # Beside its small share this is what lets the others in at once, and not at the end of its time slice.
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        elif scheduling == "nice":
            # Never forward: the whole node may have been started further back.
            os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))

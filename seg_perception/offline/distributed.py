"""Jobs on Ray's workers: processes on this machine, or on a cluster that sees the same files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seg_perception.errors import ConfigError
from seg_perception.offline.many import Job, Outcome, Workers, note, perform

_STORE_BYTES = 80 << 20
"""Ray's shared memory: jobs read and write files and return a few sentences."""


def on_ray(jobs: Sequence[tuple[Job, Path]], workers: Workers) -> Iterator[Outcome]:
    """Perform the ``jobs``, each with the path of its account, as many at a time as there are ``workers``; outcomes
    come as the jobs end. A worker that dies (killed, out of memory) has failed its job, and the others go on.

    Raises ``ModuleNotFoundError`` where Ray is not installed, :class:`ConfigError` where it cannot be started or
    reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # who uses what is nobody's business
    os.environ.setdefault("RAY_worker_niceness", "0")  # as in the serial run; Ray steps back by 15
    import ray

    try:
        ray.init(**_where(workers), logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray has no class of its own for this
        where, instead = "cannot be started here", "--workers 1 takes bag after bag without it"
        if workers.address is not None:
            where = f"cannot be reached at {workers.address}"
            instead = "does it run there, and where it asks for a token, is RAY_AUTH_MODE=token set here?"
        raise ConfigError(f"Ray {where} ({' '.join(str(error).split())[:200]}); {instead}") from error
    # A bag that kills its worker would kill the next one as well.
    remote = ray.remote(num_cpus=max(workers.each, 1), max_retries=0)(perform)
    waiting, running = list(reversed(jobs)), dict[Any, tuple[Job, Path]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers.count:
                job, account = waiting.pop()
                running[remote.remote(job, account, workers.each)] = job, account
            (ended,), _ = ray.wait(list(running))
            job, account = running.pop(ended)
            try:
                yield ray.get(ended)
            except ray.exceptions.RayError as error:
                said = f"its worker did not come to an end ({' '.join(str(error).split())[:200]})"
                outcome = Outcome(job.name, "failed", {"said": said})
                note(account, job, outcome)
                yield outcome
    finally:
        ray.shutdown()


def _where(workers: Workers) -> dict[str, Any]:
    """Ray's options for the cluster, or for one of our own on this machine."""
    if workers.address is not None:
        return {"address": workers.address}
    cores = workers.count * workers.each
    return {"address": "local", "num_cpus": cores, "object_store_memory": _STORE_BYTES, "include_dashboard": False}

"""Jobs on Ray's workers: processes on this machine, or on a cluster that sees the same files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seg_perception.offline.many import Job, Outcome, Workers, note, perform

_STORE_BYTES = 80 << 20
"""Ray's shared memory: jobs read and write files and return a few sentences."""


def on_ray(jobs: Sequence[tuple[Job, Path]], workers: Workers) -> Iterator[Outcome]:
    """Perform the ``jobs``, each with the path of its account, as many at a time as there are ``workers``; outcomes
    come as the jobs end. A worker that dies (killed, out of memory) has failed its job, and the others go on.

    Raises ``ModuleNotFoundError`` where Ray is not installed, :class:`ConnectionError` where no cluster is.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # who uses what is nobody's business
    import ray

    if workers.address is None:
        ray.init(
            address="local",
            num_cpus=workers.count * workers.each,
            object_store_memory=_STORE_BYTES,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    else:
        ray.init(address=workers.address, logging_level=logging.ERROR, log_to_driver=False)
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

"""The same work for many bags: in this process, or on Ray's workers, with the same results.

A :class:`Job` is the work for one bag. What became of it is written into its account, a small JSON file, by whoever did
the work and as the last thing: a job whose account says that it was done, with the same key, is not done again. A run
that was killed therefore goes on where it was, and a job that fails costs only itself.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cv2

from seg_perception.config import PipelineConfig
from seg_perception.errors import ConfigError, SegPerceptionError

ACCOUNTS = "accounts"
"""The folder, below that of the results, of one account per job."""


@dataclass(frozen=True)
class Job:
    """The work for one bag, called ``name``.

    ``key``, ready for JSON, is all that decides the result; ``results`` are the files that the work leaves, each whole
    or not at all. ``work`` can be pickled, and returns what is to be said of it, ready for JSON: at least ``said``,
    one sentence, and ``damage``, why the result is not of the whole bag, or None.
    """

    name: str
    key: Mapping[str, Any]
    results: tuple[Path, ...]
    work: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: ``done`` now, ``kept`` from an earlier time, or ``failed``; with what its work returned,
    or the reason under ``said``.
    """

    name: str
    status: Literal["done", "kept", "failed"]
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether there is a result, and of the whole bag."""
        return self.status != "failed" and not self.facts.get("damage")


@dataclass(frozen=True)
class Workers:
    """Who does the work: ``count`` jobs at a time with ``threads`` CPU threads each (0: as configured, or an equal
    share of the cores where there are several workers), on the Ray cluster at ``address``, or on this machine.
    """

    count: int = 1
    threads: int = 0
    address: str | None = None

    @property
    def each(self) -> int:
        """The threads of one worker; 0: as configured."""
        return self.threads or (max(1, (os.cpu_count() or 1) // self.count) if self.count > 1 else 0)

    def configured(self, config: PipelineConfig) -> PipelineConfig:
        """``config`` for one worker: threads decide the last bits of a result, so they belong to it."""
        models = replace(config.models, threads=self.each, instance_threads=0)
        return replace(config, models=models) if self.each else config


def carry_out(jobs: Sequence[Job], folder: Path, workers: Workers) -> Iterator[Outcome]:
    """Do the ``jobs``, or keep what is there of them, and yield what became of each, as they end.

    Accounts are below ``folder``. Several workers, or a cluster, need Ray; one works in this process. Raises
    :class:`ConfigError` when a result would be written twice, or the folder cannot be written.
    """
    _refuse_twins(jobs)
    due = []
    for job in jobs:
        account = _account(folder, job)
        kept = _kept(job, account)
        if kept is None:
            due.append((job, account))
        else:
            yield kept
    for job, account in due:
        try:
            account.parent.mkdir(parents=True, exist_ok=True)
            if _done(account):  # what another configuration left must not pass for this one's, should this one fail
                for result in filter(Path.exists, job.results):
                    result.replace(_old(result))
            account.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{account}: cannot be written ({error.strerror}); choose another folder") from error
    if workers.count > 1 or workers.address is not None:
        from seg_perception.offline.distributed import on_ray

        yield from on_ray(due, workers)
    else:
        yield from (perform(job, account, workers.each) for job, account in due)


def perform(job: Job, account: Path, threads: int) -> Outcome:
    """Do one job, wherever this is, and write its account."""
    start, before = time.monotonic(), cv2.getNumThreads()
    if threads:
        cv2.setNumThreads(threads)
    try:
        outcome = Outcome(job.name, "done", job.work(), time.monotonic() - start)
        for result in job.results:
            _old(result).unlink(missing_ok=True)
    except SegPerceptionError as error:
        outcome = Outcome(job.name, "failed", {"said": str(error)})
    except Exception as error:  # a fault of ours with one bag is no reason to leave the others undone
        facts = {"said": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        outcome = Outcome(job.name, "failed", facts)
    finally:
        cv2.setNumThreads(before)
    note(account, job, outcome)
    return outcome


def note(account: Path, job: Job, outcome: Outcome) -> None:
    """Write the account of a job, whole or not at all."""
    part = account.with_name(f"{account.name}.part")
    part.write_text(json.dumps({"key": job.key, **asdict(outcome)}, indent=1) + "\n", encoding="utf-8")
    part.replace(account)


def report(outcomes: Iterator[Outcome], total: int, say: Callable[[str], None]) -> list[Outcome]:
    """Say of each job what became of it, as it ends, and at the end how many there are of each kind."""
    seen: list[Outcome] = []
    for outcome in outcomes:
        seen.append(outcome)
        took = {"done": f", {outcome.seconds:.1f} s", "kept": " (from before)", "failed": ""}[outcome.status]
        failed = "failed: " if outcome.status == "failed" else ""
        say(f"[{len(seen)} of {total}] {outcome.name}: {failed}{outcome.facts['said']}{took}")
        if outcome.facts.get("damage"):
            say(outcome.facts["damage"])
    counts = {status: sum(o.status == status for o in seen) for status in ("done", "kept", "failed")}
    damaged = sum(o.status != "failed" and not o.whole for o in seen)
    say(
        f"{total} bags: {counts['done']} done, {counts['kept']} kept from before, {counts['failed']} failed"
        + (f"; {damaged} are damaged, and done as far as they go" if damaged else "")
    )
    return seen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every command that takes many bags."""
    group = parser.add_argument_group("many bags")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="bags at a time; more than 1 needs ray")
    group.add_argument("--threads", type=int, default=0, metavar="M", help="CPU threads of each; the cores shared")
    group.add_argument("--address", metavar="HOST:PORT", help="a Ray cluster that sees the same files ('auto': any)")


def chosen(arguments: argparse.Namespace) -> Workers:
    """The workers that a command line asks for; raises :class:`ConfigError`."""
    if arguments.workers < 1 or arguments.threads < 0:
        raise ConfigError(
            f"--workers {arguments.workers} --threads {arguments.threads}: expected at least 1 and 0 (as configured)"
        )
    return Workers(arguments.workers, arguments.threads, arguments.address)


def _refuse_twins(jobs: Sequence[Job]) -> None:
    owners: dict[Path, str] = {}
    for job in jobs:
        for result in job.results:
            other = owners.setdefault(result.resolve(), job.name)
            if other != job.name:
                raise ConfigError(f"{result}: would be written for both '{other}' and '{job.name}'; rename one")


def _account(folder: Path, job: Job) -> Path:
    return folder / ACCOUNTS / f"{job.name}.json"


def _old(result: Path) -> Path:
    return result.with_name(f"{result.name}.old")


def _done(account: Path) -> bool:
    """Whether the job was done at an earlier time, whatever its key, so that the results are ours."""
    try:
        return bool(json.loads(account.read_text(encoding="utf-8"))["status"] == "done")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _kept(job: Job, account: Path) -> Outcome | None:
    """The outcome of an earlier time, if that still holds."""
    try:
        content = json.loads(account.read_text(encoding="utf-8"))
        same = content["key"] == json.loads(json.dumps(job.key)) and content["status"] == "done"
        facts = content["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Outcome(job.name, "kept", facts) if same and all(result.exists() for result in job.results) else None

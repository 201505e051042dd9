"""A bag through the node over DDS: node, player and planner's end (and a recorder) as processes of their own, as on a
robot. What real_input.py and demo.py share.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Words = Sequence[str | Path]

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, where every process starts: Python looks for modules where it starts, and a folder above a clone
called seg_perception would pass for the package."""

WAIT_SECONDS = 90
"""How long the node may take to load its networks and subscribe."""
PLAY_SECONDS = 600
"""More than any of the scripts' bags lasts, and the player's waiting."""
IDLE_SECONDS = 60
"""More than the listener's silence at the end."""


def command(*words: str | Path) -> list[str]:
    """A ``seg_perception`` command line in this interpreter."""
    return [sys.executable, "-m", "seg_perception", *map(str, words)]


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    return {f"p{q}": round(float(np.percentile(seconds, q)) * 1e3, 1) for q in (50, 95, 99)} if seconds else {}


def say(what: str) -> None:
    """One line of progress."""
    print(f"== {what}", flush=True)


def stop_on_signals() -> None:
    """SIGTERM and a closed terminal end a script as Ctrl-C does: its processes are taken down first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays what it is
            signal.signal(number, signal.default_int_handler)


@dataclass(frozen=True)
class Replay:
    """What came of one replay over DDS: the listener's summary and the node's own times by stamp."""

    heard: dict[str, Any]
    trace: dict[int, dict[str, float]]

    @property
    def counted(self) -> dict[str, int]:
        """Images that were not answered, by the reason that the node's diagnostics give."""
        found = {k: int(v) for k, v in self.heard["diagnostics"].items() if k.startswith(("dropped", "lost"))}
        return {k.removeprefix("dropped."): v for k, v in found.items() if v}

    @property
    def stages(self) -> dict[str, float]:
        """Median milliseconds by stage of the node."""
        names = {stage: None for stages in self.trace.values() for stage in stages}
        return {n: percentiles([s[n] for s in self.trace.values() if n in s])["p50"] for n in names}

    @property
    def own_work(self) -> list[float]:
        """Seconds from image bytes to published masks that are no forward pass, frame by frame."""
        return [sum(s for k, s in stages.items() if not k.endswith("/forward")) for stages in self.trace.values()]

    @property
    def beyond_networks(self) -> list[float]:
        """Seconds from image published to mask received, less the frame's own forward passes: what the chain costs,
        and the wait for the frame before.
        """
        return [
            latency - sum(s for stage, s in self.trace[int(stamp)].items() if stage.endswith("/forward"))
            for stamp, latency in self.heard["latency_s"].items()
            if int(stamp) in self.trace
        ]


def replay(bag: Path, out: Path, camera: str, *, node: Words, play: Words = (), record: Sequence[str] = ()) -> Replay:
    """Play ``bag`` to the node (ROS arguments ``node``, images from ``camera``/image_raw/compressed); returns when the
    listener has heard nothing for 3 s.

    ``play`` are more words for the player; topics in ``record`` go into ``perceived.mcap``. Every process' words are in
    ``out``/NAME.log. Raises ``SystemExit`` with a sentence when one of them fails; none is left behind.
    """
    out.mkdir(parents=True, exist_ok=True)
    trace, heard, perceived = out / "node_trace.jsonl", out / "heard.json", out / "perceived.mcap"
    for old in (trace, heard, perceived):  # The node appends to its trace, and a recording overwrites nothing.
        old.unlink(missing_ok=True)
    images = f"/{camera}/image_raw/compressed"
    with ExitStack() as stack:

        def start(name: str, words: Words) -> subprocess.Popen[bytes]:
            return stack.enter_context(_process(out / f"{name}.log", command(*words)))

        # Who must hear everything is there before the player, which counts subscribers and cannot tell whose they are.
        needed = {
            "listener": start("listener", ["listen", camera, "--compressed", "-o", heard]),
            "node": start("node", ["node", "--ros-args", *node, "-p", f"trace:={trace}"]),
        }
        # That it has found the node's outputs: discovery can take it seconds in which nothing of them would be heard.
        ready = {"listener": "has a publisher"}
        if record:
            needed["recorder"] = start("recorder", ["record", *record, "-o", perceived])
            ready["recorder"] = f"{record[0]}: recording"
        for name, words in ready.items():
            _until(lambda n=name, w=words: w in (out / f"{n}.log").read_text(), WAIT_SECONDS, needed, out)
        waiting = ["--wait", str(WAIT_SECONDS), "--subscribers", f"{images}=2"]
        player = start("player", ["play", bag, *waiting, *play])
        _until(lambda: player.poll() is not None, PLAY_SECONDS, needed, out)
        if player.returncode:
            raise SystemExit(_last_words("player", out))
        listener = needed.pop("listener")
        _until(lambda: listener.poll() is not None, IDLE_SECONDS, needed, out)
    if not heard.exists() or not trace.exists():
        raise SystemExit(_last_words("node" if heard.exists() else "listener", out))
    lines = (json.loads(line) for line in trace.read_text().splitlines())
    return Replay(json.loads(heard.read_text()), {line["stamp"]: line["seconds"] for line in lines})


@contextmanager
def _process(log: Path, words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that writes into ``log`` for as long as the block lasts; then it is asked to end, and made to."""
    # A domain that no robot nearby is likely to use, nor another of these scripts.
    environment = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as sink:
        # In a group of its own, so that Ctrl-C reaches it through us alone, in order and once; but in our session, as
        # what `ros2 launch` starts: the kernel shares the processor out by sessions first.
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            preexec_fn=os.setpgrp,
        )
        try:
            yield process
        finally:
            try:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=20)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                process.kill()
                process.wait()


def _until(
    condition: Callable[[], object], seconds: float, needed: Mapping[str, subprocess.Popen[bytes]], out: Path
) -> None:
    """Wait for ``condition``; raises ``SystemExit`` when it takes too long, or one of ``needed`` fails before it."""
    end = time.monotonic() + seconds
    while not condition():
        for name, process in needed.items():
            if process.poll():
                raise SystemExit(_last_words(name, out))
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds:g} s in vain; what each process said is in {out}/*.log")
        time.sleep(0.05)


def _last_words(name: str, out: Path) -> str:
    log = out / f"{name}.log"
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"the {name} ended before its work was done; the last it said ({log}): {lines[-1] if lines else 'nothing'}"

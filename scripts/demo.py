"""A held-out sequence of this project's world through the shipped networks, with the default configuration: over DDS
between player, node and planner's end, or offline; then scored against the truth in the bag.

Run by scripts/demo.sh, which makes the environment. Writes into OUT summary.json, overlay.webm, contact_sheet.png and
perceived.mcap; exits with 1 and a sentence when an image was neither answered nor counted, or a rule was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from over_dds import ROOT, command, percentiles, replay, say, stop_on_signals
from pictures import captioned, messages, pictures, truth_overlay, write_picture, write_video

from seg_perception import __version__, scenario
from seg_perception.conformance import pixels
from seg_perception.errors import BagError, ConfigError, SegPerceptionError
from seg_perception.evaluation.average_precision import painted
from seg_perception.evaluation.matching import frames, matched
from seg_perception.evaluation.sequence import Scorer, Scores
from seg_perception.evaluation.sources.bags import BagSource
from seg_perception.frames import stamp_of
from seg_perception.labels import LabelSpace
from seg_perception.models import weights
from seg_perception.models.manifest import Manifest
from seg_perception.offline.bags import Bag
from seg_perception.rendering import contact_sheet
from seg_perception.types import UInt8Array

BAG = ROOT / "demo" / "street.mcap"
CONFIG = ROOT / "config" / "perception.yaml"
CAMERA = "camera"
IMAGES, TRUTH = f"/{CAMERA}/image_raw/compressed", "/truth/panoptic"
PANOPTIC, DETECTIONS, OVERLAY = "panoptic/image_raw", "detections", "overlay/image_raw/compressed"

MIN_THING, MIN_STUFF = 225, 500
"""Visible pixels of 640x360 below which nobody is asked for a thing, or for a class of stuff, in a frame."""
RESULTS = ("summary.json", "overlay.webm", "contact_sheet.png", "perceived.mcap", "perceived.json")
"""What a run leaves in its folder, the last only offline."""

MOMENTS = 6
"""Rows of the contact sheet."""

NEXT = """\
your own bag      . .venv/bin/activate; seg_perception run drive.mcap -o perceived.mcap --topics '*'
your own weights  write one YAML per network (docs/models.md); seg_perception models check mine.yaml
your robot        docs/install.md; ros2 launch seg_perception perception.launch.py"""


@dataclass(frozen=True)
class Account:
    """Where the images of the bag went, and how long those that were answered took: ``latency`` and ``stages`` in
    milliseconds (p50, p95, p99; the median by stage). ``broken`` counts the rules of the interface that were broken.
    """

    frames_in: int
    frames_out: int
    dropped: Mapping[str, int]
    latency: Mapping[str, float]
    stages: Mapping[str, float]
    broken: Mapping[str, int] = field(default_factory=dict)

    def failures(self) -> Iterator[str]:
        """What must hold and does not, a sentence each."""
        missing = self.frames_in - self.frames_out - sum(self.dropped.values())
        if missing:
            yield (
                f"{missing} of {self.frames_in} images were neither answered nor counted: {self.frames_out} came back, "
                f"dropped {dict(self.dropped)}"
            )
        if not self.frames_out:
            yield f"not one of {self.frames_in} images was answered: dropped {dict(self.dropped)}"
        for rule, times in self.broken.items():
            yield f"a rule of the interface was broken {times} times: {rule}"


def main(argv: Sequence[str] | None = None) -> int:
    """Perceive, score, draw and sum up; returns the exit status."""
    stop_on_signals()
    parser = argparse.ArgumentParser(prog="scripts/demo.sh", description=__doc__)
    parser.add_argument("--offline", action="store_true", help="frame by frame through `seg_perception run`, no DDS")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for what comes out (demo_out)")
    parser.add_argument("--bag", type=Path, default=BAG, help="another bag of tools.world, made with --compressed")
    parser.add_argument("--config", type=Path, default=CONFIG, help="another configuration (config/perception.yaml)")
    chosen = parser.parse_args(argv)
    try:
        return demonstrate(chosen.bag.resolve(), chosen.config.resolve(), chosen.out.resolve(), chosen.offline)
    except SegPerceptionError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted; its processes have ended", file=sys.stderr)
        return 130


def demonstrate(bag: Path, config: Path, out: Path, offline: bool) -> int:
    """See :func:`main`."""
    pipeline = scenario.load(config)
    labels = LabelSpace.load(pipeline.labels)
    models = [Manifest.load(name) for name in (pipeline.models.semantic, pipeline.models.instance) if name]
    for model in models:
        weights.obtain(model)
    with Bag(bag) as source:
        frames = source.image_topic(IMAGES).count
        if TRUTH not in source.topics:
            raise BagError(f"{bag}: has no {TRUTH} to score by; `seg_perception run` perceives any bag")
    make_folder(out)
    for old in RESULTS:  # an interrupted run leaves nothing that looks like its own
        (out / old).unlink(missing_ok=True)
    road = through_the_runner if offline else through_the_node
    account = road(bag, config, out, frames)
    say("scoring every answered frame against the truth, and drawing")
    scores = scored(bag, out / "perceived.mcap", labels)
    draw(bag, out / "perceived.mcap", out, labels)
    summary = summed_up(account, scores) | {
        "road": "offline" if offline else "dds",
        "bag": bag.name,
        "models": {model.name: model.weights.sha256 for model in models},
        "machine": machine(),
        "versions": versions(),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(f"\n{table(account, scores)}\n")
    print(f"{out}: overlay.webm (open it in a browser), contact_sheet.png, summary.json, perceived.mcap\n")
    for failure in summary["failures"]:
        print(f"demo: {failure}", file=sys.stderr)
    print(NEXT)
    return 1 if summary["failures"] else 0


def make_folder(out: Path) -> None:
    """``out``, ready to be written into; raises :class:`ConfigError` where that cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be made a folder ({error.strerror}); choose another") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out}: cannot be written into; choose another folder")


def through_the_node(bag: Path, config: Path, out: Path, frames: int) -> Account:
    """Over DDS, at the bag's own rate."""
    if find_spec("rclpy") is None:
        raise SystemExit("demo: there is no ROS 2 in this environment; scripts/demo.sh --offline works without")
    say("player, segmentation node and planner as processes of their own, over DDS, at the bag's own rate")
    node = ["--params-file", config, "-p", "autostart:=true", "-p", f"{CAMERA}.image_transport:=compressed"]
    play = ["--topics", IMAGES, f"/{CAMERA}/camera_info"]
    record = [f"/{CAMERA}/{topic}" for topic in (PANOPTIC, DETECTIONS, OVERLAY)]
    played = replay(bag, out, CAMERA, node=node, play=play, record=record)
    heard = played.heard
    lost = int(heard["diagnostics"].get("published", 0)) - heard["frames"]
    return Account(
        frames_in=frames,
        frames_out=heard["frames"],
        dropped=played.counted | ({"lost_after_node": lost} if lost else {}),
        latency=percentiles(list(heard["latency_s"].values())),
        stages=played.stages,
        broken=heard["violations"],
    )


def through_the_runner(bag: Path, config: Path, out: Path, frames: int) -> Account:
    """Without DDS, frame by frame, each as soon as the one before is done."""
    say("every frame through the offline runner")
    perceived = out / "perceived.mcap"
    words = command("run", bag, "-o", perceived, "--topic", IMAGES, "--config", config)
    if subprocess.run([*words, "--topics", PANOPTIC, DETECTIONS, OVERLAY], cwd=ROOT).returncode:
        raise SystemExit("demo: the offline runner failed; what it said is above")
    report = json.loads(perceived.with_suffix(".json").read_text(encoding="utf-8"))
    times = report["milliseconds"]
    return Account(
        frames_in=frames,
        frames_out=report["frames"]["written"],
        dropped=report["frames"]["refused"],
        latency={q: round(times["frame"][q], 1) for q in ("p50", "p95", "p99")},
        stages={stage: round(values["p50"], 1) for stage, values in times.items() if stage != "frame"},
    )


def scored(bag: Path, perceived: Path, labels: LabelSpace) -> Scores:
    """Every frame in ``perceived`` against the truth of its stamp in ``bag``. Images that were not answered are not
    scored: they are counted.
    """
    prediction = BagSource(perceived, truth=False, topic=f"/{CAMERA}/{PANOPTIC}")
    truth = BagSource(bag, truth=True, topic=TRUTH)
    scorer = Scorer(labels, min_thing=MIN_THING, min_stuff=MIN_STUFF)
    for true, answer in frames(prediction, truth, matched(prediction, truth)):
        if answer is not None:
            found = None if answer.scores is None else painted(answer.panoptic, answer.scores)
            scorer.add(true.panoptic, answer.panoptic, found)
    return scorer.scores()


def draw(bag: Path, perceived: Path, out: Path, labels: LabelSpace) -> None:
    """The overlay as a video, and some moments of it beside the camera's picture and the truth."""
    overlays = dict(pictures(perceived, f"/{CAMERA}/{OVERLAY}"))
    images = dict(pictures(bag, IMAGES))
    stamps = sorted(images)

    def shown() -> Iterator[UInt8Array]:
        last = images[stamps[0]]
        for stamp in stamps:  # a frame that was not answered keeps the overlay before it, so that time goes on
            last = overlays.get(stamp, last)
            yield last

    seconds = (stamps[-1] - stamps[0]) / 1e9
    write_video(out / "overlay.webm", shown(), (len(stamps) - 1) / seconds if seconds else 10.0)
    answered = sorted(overlays)
    step = max(1, len(answered) // MOMENTS)
    moments = answered[step // 2 :: step][:MOMENTS]
    truths = {stamp_of(m): pixels(m) for m in messages(bag, TRUTH) if stamp_of(m) in moments}
    rows: list[UInt8Array] = []
    for stamp in moments:
        seen = truth_overlay(images[stamp], truths[stamp], labels, MIN_THING)
        rows += [captioned(images[stamp], "camera"), captioned(overlays[stamp], "perceived"), captioned(seen, "truth")]
    write_picture(out / "contact_sheet.png", contact_sheet(rows, 3))


def summed_up(account: Account, scores: Scores) -> dict[str, Any]:
    """Account and scores as JSON: frames, ``latency_ms``, every score by its name (0..1), ``classes``, ``failures``."""
    return {
        "frames_in": account.frames_in,
        "frames_out": account.frames_out,
        "dropped": dict(account.dropped),
        "latency_ms": dict(account.latency),
        "stages_ms": dict(account.stages),
        "void_below_pixels": {"things": MIN_THING, "stuff": MIN_STUFF},
        **{("frames_scored" if name == "frames" else name): value for name, value in scores.summary().items()},
        "failures": list(account.failures()),
    }


def table(account: Account, scores: Scores) -> str:
    """The same for a terminal."""
    dropped = ", ".join(f"{reason}: {count}" for reason, count in account.dropped.items()) or "none"
    latency = ", ".join(f"{q} {value:g} ms" for q, value in account.latency.items()) or "unknown"
    return (
        f"{scores.table()}\n\n"
        f"frames   {account.frames_in} in, {account.frames_out} out; dropped: {dropped}\n"
        f"latency  {latency}"
    )


def machine() -> dict[str, Any]:
    """What it ran on."""
    cpu, memory = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    model = re.search(r"model name\s*:\s*(.*)", cpu.read_text()) if cpu.is_file() else None
    total = re.search(r"MemTotal:\s*(\d+) kB", memory.read_text()) if memory.is_file() else None
    return {
        "cpu": model[1] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(total[1]) / 1e6, 1) if total else None,
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Of this package and what the numbers depend on."""
    found = {"seg_perception": __version__, "python": platform.python_version()}
    for package in ("numpy", "opencv-python-headless", "scipy", "openvino", "onnxruntime", "ros-rclpy"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


if __name__ == "__main__":
    raise SystemExit(main())

"""``seg_perception doctor``: what is right and wrong on this machine, in plain words.

Nothing heavy is imported here: versions come from the packages' metadata, and what must really load is loaded in a
process of its own, which may crash without taking the report along.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata, util
from pathlib import Path

from seg_perception import resources
from seg_perception.errors import SegPerceptionError

Version = tuple[int, ...]


class Level(Enum):
    """How a finding weighs; the value is its colour on a terminal."""

    GOOD = 32
    NOTE = 33
    BAD = 31


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``BAD`` means that neither the node nor the offline runner can do its job."""

    level: Level
    subject: str
    text: str


@dataclass(frozen=True)
class Package:
    """A package that this one can do without: the module, what its absence costs, how to get it."""

    module: str
    distributions: tuple[str, ...]
    cost: str
    remedy: str


OPTIONAL = (
    Package(
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu"),
        "a model that names it needs models.runtime: openvino",
        "pip install onnxruntime",
    ),
    Package(
        "openvino", ("openvino",), "a model that names it needs models.runtime: onnxruntime", "pip install openvino"
    ),
    Package("onnx", ("onnx",), "no `models export`, no `models quantize`", "pip install onnx"),
    Package("onnxscript", ("onnxscript",), "no `models export`", "pip install onnxscript"),
    Package("rosbags", ("rosbags",), "no `run`, `play`, `record`", "pip install rosbags"),
    Package("mcap", ("mcap",), "no `run`, `record`", "pip install mcap"),
    Package("tqdm", ("tqdm",), "no `run`", "pip install tqdm"),
    Package("ray", ("ray",), "bags one at a time: no `--workers`, no cluster", "pip install 'ray>=2.44,<3'"),
    Package(
        "vision_msgs",
        (),
        "no detections and no label_info over DDS",
        "apt install ros-$ROS_DISTRO-vision-msgs; without an apt ROS: scripts/setup_env.sh builds it",
    ),
    Package(
        "launch_ros",
        (),
        "no launch files; `seg_perception node` starts the node",
        "apt install ros-$ROS_DISTRO-ros-base",
    ),
    Package("pycocotools", ("pycocotools",), "nothing yet: evaluation will use it", "pip install pycocotools"),
    Package("cv_bridge", (), "nothing: the usual encodings need none", "apt install ros-$ROS_DISTRO-cv-bridge"),
    Package(
        "tf2_ros",
        (),
        "nothing yet: projection will look transforms up with it",
        "apt install ros-$ROS_DISTRO-tf2-ros-py",
    ),
    Package("torch", ("torch",), "nothing but models with a section `network:`", "pip install torch torchvision"),
    Package("torchvision", ("torchvision",), "nothing but torchvision's models", "pip install torchvision"),
    Package("transformers", ("transformers",), "nothing but Hugging Face's models", "pip install transformers"),
    Package(
        "segmentation_models_pytorch",
        ("segmentation-models-pytorch",),
        "nothing but segmentation-models-pytorch's models",
        "pip install segmentation-models-pytorch",
    ),
    Package("tensorrt", ("tensorrt",), "nothing yet: there is no TensorRT runtime so far", "NVIDIA's packages"),
    Package("open3d", ("open3d",), "nothing yet: 3D filtering and viewing will use it", "pip install open3d"),
    Package("ray", ("ray",), "nothing yet: many bags at once will use it", "pip install ray"),
)

REQUIRED: tuple[tuple[str, tuple[str, ...], Version], ...] = (
    ("numpy", ("numpy",), (1, 26)),
    ("cv2", ("opencv-python-headless", "opencv-python", "opencv-contrib-python"), (4, 6)),
    ("scipy", ("scipy",), (1, 11)),
    ("yaml", ("PyYAML",), (6,)),
)

LARGE_RECEIVE_BUFFER = 4 << 20
PROFILE_SEGMENT = 64 << 20


def remedy(module: str) -> str | None:
    """How to get an absent module; None for one that this package does not use."""
    if module == "rclpy":
        return "source /opt/ros/<distro>/setup.bash; on a machine without ROS: scripts/setup_env.sh"
    return next((package.remedy for package in OPTIONAL if package.module == module), None)


def examine(dds: bool = False) -> Iterator[tuple[str, list[Finding]]]:
    """The report, chapter by chapter; ``dds`` adds the trial of image delivery, which takes some seconds."""
    yield "Python", [*python(), *required_packages()]
    ros = rclpy()
    yield "ROS 2", [*ros, *domain(), *fast_dds(), *shared_memory(), *memory(), *network(), *(delivery() if dds else ())]
    yield "Packages", [*optional_packages(), *cv_bridge()]
    yield "Networks", [*graphics_card(), *cores(), *weights(), *roads(bool(ros) and ros[0].level is Level.GOOD)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception doctor``."""
    parser.add_argument("--dds", action="store_true", help="also send 720p images from one process to another")


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception doctor``; 0 when the package can do its main job here, 1 when it cannot."""
    return report(arguments.dds)


def report(dds: bool = False) -> int:
    """Print what was found, with ``dds`` a trial of image delivery as well; returns the exit status."""
    chapters = list(examine(dds))
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for title, findings in chapters:
        print(title)
        for finding in findings:
            mark = finding.level.name.lower().rjust(6)
            if coloured:
                mark = f"\x1b[{finding.level.value}m{mark}\x1b[0m"
            print(f"{mark}  {finding.subject}: {finding.text}")
    bad = sum(finding.level is Level.BAD for _, findings in chapters for finding in findings)
    print(f"\n{bad} thing{'s' * (bad != 1)} to mend" if bad else "\nReady.")
    return 1 if bad else 0


def python() -> Iterator[Finding]:
    """The interpreter."""
    level = Level.GOOD if sys.version_info >= (3, 10) else Level.BAD
    yield Finding(level, "Python", f"{platform.python_version()} in {sys.prefix}; 3.10 or newer is needed")


def required_packages() -> Iterator[Finding]:
    """What nothing works without."""
    for module, distributions, least in REQUIRED:
        needed = ".".join(map(str, least))
        loaded = _try(f"import {module}; print({module}.__version__, {module}.__file__)")
        if loaded.failed:
            yield Finding(Level.BAD, module, f"cannot be imported ({loaded.text}); pip install {distributions[0]}")
            continue
        version, where = loaded.text.split(maxsplit=1)
        level = Level.GOOD if _version(version) >= least else Level.BAD
        yield Finding(level, module, f"{version} ({Path(where).parent}); {needed} or newer is needed")


def rclpy() -> list[Finding]:
    """rclpy and the RMW implementation, loaded for real."""
    if util.find_spec("rclpy") is None:
        return [Finding(Level.NOTE, "rclpy", f"not found: no node, no `play`, no `record`; {remedy('rclpy')}")]
    loaded = _try("import rclpy, rclpy.utilities as u; print(rclpy.__file__, u.get_rmw_implementation_identifier())")
    if loaded.failed:
        return [Finding(Level.NOTE, "rclpy", f"found, but cannot be loaded: {loaded.text}")]
    where, rmw = loaded.text.rsplit(maxsplit=1)
    source = (
        "PyPI" if _installed(("ros-rclpy",)) else f"ROS 2 {os.environ.get('ROS_DISTRO', '(ROS_DISTRO is not set)')}"
    )
    findings = [Finding(Level.GOOD, "rclpy", f"from {source}, {Path(where).parent}")]
    if rmw == "rmw_fastrtps_cpp":
        findings.append(Finding(Level.GOOD, "RMW", rmw))
    else:
        findings.append(
            Finding(Level.NOTE, "RMW", f"{rmw}: works, but was measured and tuned with rmw_fastrtps_cpp only")
        )
    return findings


def domain() -> Iterator[Finding]:
    """Who hears whom."""
    text = os.environ.get("ROS_DOMAIN_ID", "")
    number = int(text) if text.isdecimal() else 0
    if text and (not text.isdecimal() or number > 232):
        yield Finding(
            Level.NOTE, "ROS_DOMAIN_ID", f"'{text}' is not a number from 0 to 232: rclpy will refuse to start"
        )
    elif 101 < number < 215:
        yield Finding(
            Level.NOTE, "ROS_DOMAIN_ID", f"{number}: its ports are also handed out by Linux; 0 to 101 is safe"
        )
    else:
        yield Finding(
            Level.GOOD, "ROS_DOMAIN_ID", text or "not set, so 0: every ROS 2 machine on this network is heard"
        )
    if os.environ.get("ROS_LOCALHOST_ONLY") == "1" or os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST":
        yield Finding(Level.GOOD, "discovery", "this machine only")


def fast_dds() -> Iterator[Finding]:
    """Whether other processes, the camera driver above all, publish with a segment that holds an image."""
    from seg_perception.ros import transport

    profile = transport.active_profile()
    if profile is None:
        shipped = transport.shipped_profile()
        yield Finding(
            Level.NOTE,
            "Fast DDS profile",
            "none in the environment: our own processes take ours, but a camera driver started without it loses most "
            f"best-effort images; before you start it: export {transport.PROFILE_VARIABLES[0]}={shipped}",
        )
    elif not profile.is_file():
        yield Finding(Level.NOTE, "Fast DDS profile", f"the environment names {profile}, which does not exist")
    else:
        yield Finding(Level.GOOD, "Fast DDS profile", str(profile))


def shared_memory(folder: Path = Path("/dev/shm"), processes: Path = Path("/proc")) -> Iterator[Finding]:
    """Room for DDS segments, and those that killed processes left behind."""
    if not folder.is_dir():
        yield Finding(
            Level.NOTE, "shared memory", f"no {folder}: images between processes go through the network stack"
        )
        return
    usage = shutil.disk_usage(folder)
    room = f"{_size(usage.free)} of {_size(usage.total)} free in {folder}"
    if usage.free < 4 * PROFILE_SEGMENT:
        yield Finding(
            Level.NOTE,
            "shared memory",
            f"{room}; every process takes {_size(PROFILE_SEGMENT)}: docker run --shm-size=1g",
        )
    else:
        yield Finding(Level.GOOD, "shared memory", room)
    stale = stale_segments(folder, processes)
    if stale:
        held = sum(path.stat().st_blocks * 512 for path in stale if path.exists())
        yield Finding(
            Level.NOTE,
            "shared memory",
            f"{len(stale)} segments of ended processes hold {_size(held)}; with no ROS running: rm {folder}/fastrtps_*",
        )


def stale_segments(folder: Path, processes: Path) -> list[Path]:
    """Fast DDS's segments in ``folder`` that no process which we may look into has mapped."""
    segments = [path for path in folder.glob("fastrtps_*") if not path.name.endswith("_el")]
    if not segments:
        return []
    mapped = ""
    for maps in processes.glob("[0-9]*/maps"):
        try:
            mapped += "".join(line for line in maps.read_text().splitlines(keepends=True) if "/fastrtps_" in line)
        except OSError:  # another user's process, or one that has just ended
            continue
    return [path for path in segments if f"/{path.name}\n" not in mapped]


def memory() -> Iterator[Finding]:
    """Whether images stay in the heap."""
    from seg_perception.ros.memory import keep_large_blocks

    if keep_large_blocks():
        yield Finding(Level.GOOD, "malloc", "keeps image-sized blocks in our processes (mallopt, set as they start)")
    else:
        yield Finding(
            Level.NOTE, "malloc", "no mallopt in this C library: each image costs fresh pages, some ms at 720p"
        )


def network(setting: Path = Path("/proc/sys/net/core/rmem_max")) -> Iterator[Finding]:
    """Whether images from other machines survive."""
    try:
        size = int(setting.read_text())
    except (OSError, ValueError):
        return
    if size < LARGE_RECEIVE_BUFFER:
        yield Finding(
            Level.NOTE,
            "receive buffer",
            f"net.core.rmem_max is {_size(size)}: raw images from other machines will be lost "
            f"(same machine: no matter); sudo sysctl -w net.core.rmem_max={LARGE_RECEIVE_BUFFER * 8}",
        )
    else:
        yield Finding(Level.GOOD, "receive buffer", f"net.core.rmem_max is {_size(size)}")


def delivery() -> Iterator[Finding]:
    """720p images from one process to another, best effort, as a camera sends them: with our profile, and without."""
    for profile, name in ((True, "with our profile"), (False, "as Fast DDS comes")):
        trial = _run(sys.executable, "-m", "seg_perception.ros.loopback", *([] if profile else ["--as-shipped"]))
        if trial.failed:
            yield Finding(Level.NOTE, f"images {name}", f"the trial failed: {trial.text}")
            continue
        sent, got, median = trial.text.split()
        level = Level.GOOD if int(got) == int(sent) or not profile else Level.NOTE
        yield Finding(
            level, f"images {name}", f"{got} of {sent} best-effort 720p images at 30 Hz arrived, median {median} ms"
        )


def optional_packages() -> Iterator[Finding]:
    """What else is there, and what the rest costs."""
    for package in OPTIONAL:
        if util.find_spec(package.module) is None:
            idle = package.cost.startswith("nothing")
            advice = "" if idle else f"; {package.remedy}"
            yield Finding(Level.GOOD if idle else Level.NOTE, package.module, f"absent, costs: {package.cost}{advice}")
        else:
            yield Finding(Level.GOOD, package.module, _installed(package.distributions) or "present")


def cv_bridge() -> Iterator[Finding]:
    """apt's cv_bridge is built on numpy 1 and fails, or crashes, on numpy 2."""
    if util.find_spec("cv_bridge") is None:
        return
    loaded = _try("import cv_bridge.boost.cv_bridge_boost")
    if loaded.failed:
        yield Finding(
            Level.NOTE, "cv_bridge", f"cannot be loaded ({loaded.text}); built on numpy 1? pip install 'numpy<2'"
        )


def graphics_card() -> Iterator[Finding]:
    """A GPU, as its driver reports it."""
    if shutil.which("nvidia-smi") is None:
        jetson = Path("/etc/nv_tegra_release")
        yield Finding(
            Level.GOOD, "GPU", "Jetson" if jetson.exists() else "none found (no nvidia-smi); networks run on the CPU"
        )
        return
    asked = _run("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    if asked.failed:
        yield Finding(Level.NOTE, "GPU", f"nvidia-smi fails: {asked.text}")
    for line in [] if asked.failed else asked.text.splitlines():
        used = "" if _installed(("onnxruntime-gpu",)) else "; unused: the runtimes installed here compute on the CPU"
        yield Finding(Level.NOTE if used else Level.GOOD, "GPU", f"{line}{used}")


def cores() -> Iterator[Finding]:
    """What there is to compute with, and who fights over it."""
    count = len(os.sched_getaffinity(0))
    yield Finding(Level.GOOD, "CPU", f"{count} cores for this process")
    threads = os.environ.get("OPENBLAS_NUM_THREADS")
    if threads != "1" and count > 1:
        yield Finding(
            Level.NOTE,
            "OPENBLAS_NUM_THREADS",
            f"{threads or 'not set'}: BLAS threads get in the networks' way; export OPENBLAS_NUM_THREADS=1",
        )
    else:
        yield Finding(Level.GOOD, "OPENBLAS_NUM_THREADS", threads or "not set")


def weights() -> Iterator[Finding]:
    """The files of the shipped models."""
    from seg_perception.models import weights as files
    from seg_perception.models.manifest import Manifest

    for name in resources.names("models"):
        try:
            manifest = Manifest.load(name)
            if not manifest.weights.file:
                yield Finding(Level.NOTE, f"model {name}", f"not looked for here: {files.whereabouts(manifest)}")
                continue
            path = files.find(manifest)
            if path is None:
                from_where = manifest.weights.url or manifest.source
                yield Finding(
                    Level.NOTE,
                    f"model {name}",
                    f"no weights; put {manifest.weights.file} into {files.cache()} or a folder of ${files.VARIABLE}"
                    + (f" (from {from_where})" if from_where else ""),
                )
                continue
            files.verify(manifest, path)
        except SegPerceptionError as error:
            yield Finding(Level.NOTE, f"model {name}", str(error))
        else:
            yield Finding(Level.GOOD, f"model {name}", str(path))


def roads(node: bool) -> Iterator[Finding]:
    """Whether frames can come in and a network can see them."""
    if not any(util.find_spec(runtime) for runtime in ("onnxruntime", "openvino")):
        yield Finding(Level.BAD, "runtime", "neither onnxruntime nor openvino is installed; pip install onnxruntime")
    if not node and util.find_spec("rosbags") is None:
        yield Finding(Level.BAD, "input", "neither rclpy (the node) nor rosbags (offline) is usable; see above")


@dataclass(frozen=True)
class _Result:
    failed: bool
    text: str


def _try(code: str) -> _Result:
    return _run(sys.executable, "-c", code)


def _run(*command: str) -> _Result:
    """Its output, or the last line of what it complained about."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return _Result(True, str(error))
    if done.returncode == 0:
        return _Result(False, done.stdout.strip())
    complaint = (done.stderr or done.stdout).strip().splitlines()
    return _Result(True, complaint[-1] if complaint else f"it ended with status {done.returncode}")


def _installed(distributions: tuple[str, ...]) -> str:
    """The version of the first of them that is installed, empty if none is."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")

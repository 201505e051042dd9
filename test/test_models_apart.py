"""The instance network in a process of its own, with the shipped one."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags need rosbags")
pytest.importorskip("onnxruntime")

from seg_perception.cascade import InstanceWorker, Job
from seg_perception.errors import ConfigError, InputError, ModelError
from seg_perception.frames import compressed_frame
from seg_perception.labels import LabelSpace
from seg_perception.models import Execution, InstanceProcess, load_instance
from seg_perception.offline.bags import Bag
from seg_perception.timing import StageTimes

DEMO = Path(__file__).parents[1] / "demo" / "street.mcap"
LABELS = LabelSpace.load("navigation")
HOW = Execution("onnxruntime", "f32", threads=1)


@pytest.fixture
def apart() -> Iterator[InstanceProcess]:
    network = InstanceProcess("world_instance", LABELS, HOW)
    yield network
    network.close()


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    with Bag(DEMO) as bag:
        return compressed_frame(next(iter(bag.contents("/camera/image_raw/compressed")))).image


def alive(pid: int) -> bool:
    """Whether any thread of that process runs; one that was not asked for its status since it ended is a zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        states = [(task / "stat").read_text().rsplit(")", 1)[1].split()[0] for task in tasks(pid)]
        return any(state not in "ZX" for state in states)
    return False


def tasks(pid: int) -> list[Path]:
    """Its threads."""
    return list(Path(f"/proc/{pid}/task").iterdir())


def gone(pid: int) -> bool:
    """Whether the process ends within a while."""
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def test_it_finds_what_the_network_finds_in_this_process(apart: InstanceProcess, street: np.ndarray) -> None:
    here, times = load_instance("world_instance", LABELS, HOW), StageTimes()
    crops = np.array([[0, 0, 320, 360], [320, 0, 640, 360]], np.float32)
    for image, regions in ((street, None), (street, crops), (street[100:300, ::-1], None)):
        theirs, ours = apart(image, times, regions), here(image, StageTimes(), regions)
        np.testing.assert_array_equal(theirs.boxes, ours.boxes)
        np.testing.assert_array_equal(theirs.scores, ours.scores)
        np.testing.assert_array_equal(theirs.labels, ours.labels)
        for a, b in zip(theirs.masks, ours.masks, strict=True):
            assert (a.x, a.y) == (b.x, b.y)
            np.testing.assert_array_equal(a.bits, b.bits)
    assert len(apart(street, times)) > 2
    assert set(times.seconds) == {"instance/prepare", "instance/forward", "instance/decode"}
    assert apart.describe() == here.describe()
    assert apart.batch == here.batch
    assert apart.manifest == here.manifest


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))])
def test_what_the_network_refuses_is_refused_and_the_process_goes_on(
    apart: InstanceProcess, street: np.ndarray, image: np.ndarray
) -> None:
    pid = apart.pid
    with pytest.raises(InputError, match="expected \\(height, width, 3\\) uint8 RGB"):
        apart(image, StageTimes())
    assert len(apart(street, StageTimes())) > 2
    assert apart.pid == pid


def test_an_error_whose_class_only_the_process_knows_comes_back_as_text(
    apart: InstanceProcess, street: np.ndarray
) -> None:
    with pytest.raises(ModelError, match="ValueError"):
        apart(street, StageTimes(), np.zeros((1, 3), np.float32))


def test_a_process_that_dies_fails_one_call_and_the_next_one_has_another(
    apart: InstanceProcess, street: np.ndarray
) -> None:
    first = apart.pid
    os.kill(first, signal.SIGSTOP)
    killer = Timer(0.2, os.kill, (first, signal.SIGSEGV))
    killer.start()
    Timer(0.3, os.kill, (first, signal.SIGCONT)).start()
    with pytest.raises(ModelError, match=r"'world_instance' was ended by SIGSEGV; the next look starts another"):
        apart(street, StageTimes())
    killer.join()
    assert len(apart(street, StageTimes())) > 2
    assert apart.pid != first


def test_a_process_that_died_between_two_calls_is_not_missed(apart: InstanceProcess, street: np.ndarray) -> None:
    first = apart.pid
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert len(apart(street, StageTimes())) > 2
    assert apart.pid != first


def test_a_call_that_is_interrupted_leaves_no_answer_to_the_next_one(
    apart: InstanceProcess, street: np.ndarray
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        os.kill(apart.pid, signal.SIGSTOP)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            apart(street, StageTimes())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(apart(street[:8, :8], StageTimes())) == 0
    with pytest.raises(TypeError):
        apart(np.full((4, 4, 3), None), StageTimes())
    assert len(apart(street, StageTimes())) > 2


def test_the_process_takes_the_package_of_the_one_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seg_perception").mkdir()
    (tmp_path / "seg_perception" / "__init__.py").write_text("raise SystemExit(7)")
    (tmp_path / "queue.py").write_text("raise SystemExit(8)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path or str(Path(__file__).parents[1]) for path in sys.path])
    network = InstanceProcess("world_instance", LABELS, HOW)
    network.close()


def test_what_cannot_be_loaded_says_why() -> None:
    with pytest.raises(ConfigError, match="no 'nonesuch'"):
        InstanceProcess("nonesuch", LABELS, HOW)
    with pytest.raises(ModelError, match="is for task 'semantic'"):
        InstanceProcess("world_semantic", LABELS, HOW)


def test_a_worker_does_not_wait_for_a_network_that_hangs(apart: InstanceProcess, street: np.ndarray) -> None:
    worker = InstanceWorker(apart)
    camera = worker.runner()
    os.kill(apart.pid, signal.SIGSTOP)
    camera.start(Job(0, street))
    assert camera.collect(0, patience=0.2) is None
    worker.stop()
    back = camera.collect(0)
    assert back is not None
    assert isinstance(back.error, ModelError)
    assert gone(apart.pid)
    with pytest.raises(ModelError, match="'world_instance' was closed"):
        apart(street, StageTimes())


def test_the_process_ends_with_the_last_reference_to_it() -> None:
    network = InstanceProcess("world_instance", LABELS, HOW)
    pid = network.pid
    assert alive(pid)
    del network
    gc.collect()
    assert gone(pid)


def test_the_process_ends_with_the_one_that_started_it_however_that_ended() -> None:
    program = (
        "import os, signal\n"
        "from seg_perception.labels import LabelSpace\n"
        "from seg_perception.models import Execution, InstanceProcess\n"
        "how = Execution('onnxruntime', 'f32', threads=1)\n"
        "network = InstanceProcess('world_instance', LabelSpace.load('navigation'), how)\n"
        "print(network.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert gone(int(ended.stdout))


@pytest.mark.parametrize("scheduling", ["normal", "nice", "idle"])
def test_the_process_steps_back_with_all_its_threads_and_nobody_else_does(scheduling: str) -> None:
    def share(of: int) -> tuple[int, int]:
        return os.sched_getscheduler(of), os.getpriority(os.PRIO_PROCESS, of)

    policy, niceness = before = share(0)
    expected = {"normal": before, "nice": (policy, max(niceness, 10)), "idle": (os.SCHED_IDLE, niceness)}[scheduling]
    network = InstanceProcess("world_instance", LABELS, Execution("onnxruntime", "f32", threads=2), scheduling)
    threads = [int(task.name) for task in tasks(network.pid)]
    assert len(threads) > 1
    shares = {share(thread) for thread in threads}
    network.close()
    assert shares == {expected}
    assert share(0) == before

"""Many bags: which there are, that each is done once, and that neither a bad one nor a kill costs the others."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seg_perception import cli, records
from seg_perception.config import PipelineConfig
from seg_perception.errors import BagError, ConfigError
from seg_perception.interfaces import serialised
from seg_perception.offline.collection import digest, find, fingerprint
from seg_perception.offline.many import Job, Outcome, Workers, carry_out, report
from seg_perception.offline.writer import BagWriter, qos

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 36, 64
WITH_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
RAY = ["--workers", "2", "--threads", "1"]
SERIAL = ["--threads", "1"]


def make(path: Path, frames: int = 3, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with BagWriter(path) as bag:
        bag.add_topic("/cam/image_raw", records.Image.TYPE, [qos()])
        for number in range(frames):
            shown = np.random.default_rng(seed + number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            image = records.Image.of(records.Header.of(10**18 + number * 10**8, "cam"), "rgb8", shown)
            bag.write("/cam/image_raw", serialised(image.TYPE, image), 10**18 + number * 10**8)
    return path


# Which bags


def test_bags_are_found_below_folders(tmp_path: Path) -> None:
    make(tmp_path / "drives" / "b.mcap")
    make(tmp_path / "drives" / "a.mcap")
    make(tmp_path / "drives" / "night" / "c.mcap")
    make(tmp_path / "drives" / "split" / "split_0.mcap")
    make(tmp_path / "drives" / "split" / "split_1.mcap")
    make(tmp_path / "drives" / "recorded" / "x.mcap")
    (tmp_path / "drives" / "recorded" / "metadata.yaml").write_text("")
    found = find([tmp_path / "drives"])
    assert [source.name for source in found] == ["a", "b", "night/c", "recorded", "split"]
    assert found[3].path == tmp_path / "drives" / "recorded"
    assert [source.name for source in find([tmp_path / "drives" / "split", tmp_path / "drives" / "a.mcap"])] == [
        "a",
        "split",
    ]


def test_what_holds_no_bag_is_said(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="there is no such bag"):
        find([tmp_path / "absent"])
    with pytest.raises(BagError, match="holds no bags"):
        find([tmp_path])
    twins = [make(tmp_path / folder / "drive.mcap") for folder in ("a", "b")]
    with pytest.raises(BagError, match=r"are both called 'drive'"):
        find(twins)
    assert [source.name for source in find([tmp_path])] == ["a/drive", "b/drive"]


def test_a_bag_that_changed_is_another(tmp_path: Path) -> None:
    bag = make(tmp_path / "a.mcap")
    before, content = fingerprint(bag), digest(bag)
    assert fingerprint(bag) == before
    os.utime(bag, ns=(1, 1))
    assert fingerprint(bag) != before
    assert digest(bag) == content
    make(tmp_path / "a.mcap", frames=4)
    assert digest(bag) != content


# The work


def count(target: Path, fail: bool = False) -> Mapping[str, Any]:
    """Leaves a file that says how often it was written."""
    if fail:
        raise BagError(f"{target}: is broken")
    target.parent.mkdir(parents=True, exist_ok=True)
    written = [path for path in (target, target.with_name(f"{target.name}.old")) if path.exists()]
    target.write_text(f"{int(written[0].read_text()) + 1 if written else 1} {cv2.getNumThreads()}"[:1])
    return {"said": "counted", "damage": None}


def job(folder: Path, name: str, key: str = "k", fail: bool = False) -> Job:
    return Job(name, {"key": key, "pair": (1, 2)}, (folder / name,), partial(count, folder / name, fail))


@pytest.fixture(autouse=True)
def _workers_know_this_file() -> None:
    """Ray's workers cannot import a test, so that its functions travel whole."""
    if importlib.util.find_spec("ray") is not None:
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(sys.modules[__name__])


ONE = Workers()


def statuses(jobs: list[Job], folder: Path, workers: Workers = ONE) -> dict[str, str]:
    return {outcome.name: outcome.status for outcome in carry_out(jobs, folder, workers)}


def test_nothing_is_done_twice_and_failures_are_tried_again(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "a"), job(tmp_path, "sub/b", fail=True), job(tmp_path, "c")]
    assert statuses(jobs, tmp_path) == {"a": "done", "sub/b": "failed", "c": "done"}
    account = json.loads((tmp_path / "accounts" / "sub" / "b.json").read_text())
    assert account["facts"]["said"].endswith("is broken")
    jobs[1] = job(tmp_path, "sub/b")
    assert statuses(jobs, tmp_path) == {"a": "kept", "sub/b": "done", "c": "kept"}
    (tmp_path / "c").unlink()
    jobs[0] = job(tmp_path, "a", key="another")
    assert statuses(jobs, tmp_path) == {"a": "done", "sub/b": "kept", "c": "done"}
    assert [(tmp_path / name).read_text() for name in ("a", "sub/b", "c")] == ["2", "1", "1"]


def test_a_result_of_before_does_not_pass_for_one_that_failed(tmp_path: Path) -> None:
    result = tmp_path / "a"
    old = tmp_path / "a.old"
    first, second = job(tmp_path, "a"), job(tmp_path, "a", "other")
    assert first.results == (result,)
    assert statuses([first], tmp_path) == {"a": "done"}
    assert statuses([job(tmp_path, "a", "other", fail=True)], tmp_path) == {"a": "failed"}
    assert (result.exists(), old.exists()) == (False, True)
    assert statuses([second], tmp_path) == {"a": "done"}
    assert (result.exists(), old.exists()) == (True, False)


def fault() -> Mapping[str, Any]:
    raise ZeroDivisionError("a fault of ours")


def die() -> Mapping[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_a_fault_of_ours_costs_one_bag_and_keeps_its_traceback(tmp_path: Path) -> None:
    jobs = [Job("bad", {}, (tmp_path / "bad",), fault), job(tmp_path, "good")]
    assert statuses(jobs, tmp_path) == {"bad": "failed", "good": "done"}
    facts = json.loads((tmp_path / "accounts" / "bad.json").read_text())["facts"]
    assert facts["said"] == "ZeroDivisionError: a fault of ours"
    assert "in fault" in facts["traceback"]


@WITH_RAY
def test_a_worker_that_dies_costs_one_bag(tmp_path: Path) -> None:
    jobs = [Job("bad", {}, (tmp_path / "bad",), die), job(tmp_path, "good")]
    assert statuses(jobs, tmp_path, Workers(2, 1)) == {"bad": "failed", "good": "done"}
    assert "did not come to an end" in (tmp_path / "accounts" / "bad.json").read_text()


def test_two_jobs_with_one_result_are_refused(tmp_path: Path) -> None:
    twin = Job("b", {}, (tmp_path / "a",), partial(count, tmp_path / "a"))
    with pytest.raises(ConfigError, match="would be written for both 'a' and 'b'"):
        statuses([job(tmp_path, "a"), twin], tmp_path)


def test_threads_belong_to_the_configuration() -> None:
    assert Workers(2, 3).configured(PipelineConfig()).models.threads == 3
    assert Workers(1, 0).configured(PipelineConfig()) == PipelineConfig()
    assert Workers(2, 0).each >= 1


def test_what_became_of_each_is_said() -> None:
    outcomes = [
        Outcome("a", "done", {"said": "3 frames", "damage": None}, 1.25),
        Outcome("b", "kept", {"said": "2 frames", "damage": "b: the bag is damaged"}),
        Outcome("c", "failed", {"said": "c: no bag"}),
    ]
    said: list[str] = []
    assert report(iter(outcomes), 3, said.append) == outcomes
    assert said == [
        "[1 of 3] a: 3 frames, 1.2 s",
        "[2 of 3] b: 2 frames (from before)",
        "b: the bag is damaged",
        "[3 of 3] c: failed: c: no bag",
        "3 bags: 1 done, 1 kept from before, 1 failed; 1 are damaged, and done as far as they go",
    ]
    assert [outcome.whole for outcome in outcomes] == [True, False, False]


# `seg_perception run` with the shipped network


def run(bags: Path, out: Path, *options: str) -> int:
    return cli.main(["run", str(bags), "-o", str(out), *options])


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.mcap"))}


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five bags, one of them no bag."""
    folder = tmp_path_factory.mktemp("bags")
    for number in range(4):
        make(folder / f"night/drive_{chr(ord('a') + number)}.mcap", frames=3, seed=10 * number)
    (folder / "broken.mcap").write_bytes(b"no bag at all")
    return folder


@pytest.fixture(scope="module")
def serial(bags: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of each bag that is one, bag after bag."""
    out = tmp_path_factory.mktemp("serial")
    assert run(bags, out, *SERIAL) == 1
    return bytes_of(out)


@pytest.mark.parametrize("options", [SERIAL, pytest.param(RAY, marks=WITH_RAY)], ids=["serial", "ray"])
def test_one_bad_bag_is_reported_and_the_others_are_as_from_a_run_by_itself(
    bags: Path, tmp_path: Path, options: list[str], serial: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bags, tmp_path / "out", *options) == 1
    said = capsys.readouterr().out
    assert "broken: failed: " in said
    assert "5 bags: 4 done, 0 kept from before, 1 failed" in said
    assert bytes_of(tmp_path / "out") == serial
    alone = tmp_path / "alone.mcap"
    assert run(bags / "night" / "drive_b.mcap", alone, "--set", "models.threads=1") == 0
    assert alone.read_bytes() == serial["night/drive_b.mcap"]


@pytest.mark.parametrize("options", [SERIAL, pytest.param(RAY, marks=WITH_RAY)], ids=["serial", "ray"])
def test_killed_and_begun_again_nothing_is_missing_and_nothing_done_twice(
    bags: Path, tmp_path: Path, options: list[str], serial: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "seg_perception", "run", str(bags), "-o", str(out), *options]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(out.glob("accounts/night/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)  # Ray's workers see that their driver is gone
    done = {path.name: path.stat().st_mtime_ns for path in out.glob("accounts/night/*.json")}
    assert len(done) >= 2
    assert run(bags, out, *options) == 1
    assert bytes_of(out) == serial
    assert {name: (out / "accounts/night" / name).stat().st_mtime_ns for name in done} == done
    for name in done:
        result = out / "night" / name.replace(".json", ".mcap")
        assert result.stat().st_mtime_ns <= done[name]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray cluster: this machine, by Ray's own command, with a token that newer versions ask for."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=2"]
    words += ["--disable-usage-stats", "--include-dashboard=false", "--object-store-memory=80000000"]
    log = tmp_path / "ray.txt"
    with log.open("wb") as out:
        head = subprocess.Popen(words, stdout=out, stderr=out, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 120
    while "Ray runtime started" not in log.read_text() and head.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "Ray runtime started" in log.read_text(), log.read_text()
    yield f"127.0.0.1:{port}"
    os.killpg(head.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        head.wait(5)  # it would drain its nodes for half a minute
    with suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGKILL)


@WITH_RAY
def test_a_cluster_comes_to_the_same_results(
    bags: Path, tmp_path: Path, serial: dict[str, bytes], cluster: str
) -> None:
    """In a process of its own: Ray reads its token once."""
    words = [sys.executable, "-m", "seg_perception", "run", str(bags), "-o", str(tmp_path / "out"), *RAY]
    done = subprocess.run([*words, "--address", cluster], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "5 bags: 4 done, 0 kept from before, 1 failed" in done.stdout
    assert bytes_of(tmp_path / "out") == serial


def test_a_folder_of_results_or_a_file(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bag may go into a folder as well; many never into a file."""
    one = bags / "night" / "drive_a.mcap"
    assert run(one, tmp_path / "folder") == 0
    assert (tmp_path / "folder" / "drive_a.mcap").is_file()
    assert run(bags, tmp_path / "file.mcap") == cli.REFUSED
    assert "5 bags do not go into one file; expected a folder" in capsys.readouterr().err
    assert run(one, tmp_path / "folder", "--workers", "0") == cli.REFUSED
    for within in (bags, bags / "night" / "perceived"):
        assert run(bags, within) == cli.REFUSED
        assert "a later start would take its results for bags" in capsys.readouterr().err
    assert not (bags / "night" / "perceived").exists()

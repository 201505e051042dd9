"""What the doctor finds, on this machine and on one made up of files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from seg_perception import doctor
from seg_perception.doctor import Finding, Level

ROOT = Path(__file__).resolve().parents[1]


def subjects(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_this_machine_can_do_the_main_job(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rosbags", reason="without ROS and bags the doctor is right to refuse")
    assert doctor.report() == 0
    printed = capsys.readouterr().out
    assert printed.endswith("Ready.\n")
    assert "\x1b" not in printed  # no colours where nobody sees them
    for subject in ("Python", "numpy", "rclpy", "ROS_DOMAIN_ID", "Fast DDS profile", "vision_msgs", "GPU", "CPU"):
        assert f"  {subject}: " in printed


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, contextlib, io\nfrom seg_perception import doctor\n"
        "with contextlib.redirect_stdout(io.StringIO()): doctor.report()\n"
        "print(*{'rclpy', 'torch', 'onnxruntime', 'openvino', 'open3d', 'ray'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_without_any_runtime_the_main_job_cannot_be_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = doctor.util.find_spec
    monkeypatch.setattr(
        doctor.util, "find_spec", lambda name: None if name in ("onnxruntime", "openvino") else there(name)
    )
    assert doctor.report() == 1
    assert "neither onnxruntime nor openvino" in capsys.readouterr().out


def test_without_rclpy_and_rosbags_there_is_no_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    there = doctor.util.find_spec
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: None if name == "rosbags" else there(name))
    assert "input" not in subjects(list(doctor.roads(node=True)))
    assert subjects(list(doctor.roads(node=False)))["input"].level is Level.BAD


@pytest.mark.parametrize(
    ("domain", "level"), [("", "GOOD"), ("42", "GOOD"), ("150", "NOTE"), ("233", "NOTE"), ("a", "NOTE")]
)
def test_domain(monkeypatch: pytest.MonkeyPatch, domain: str, level: str) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    assert subjects(list(doctor.domain()))["ROS_DOMAIN_ID"].level is Level[level]


def test_profile_absent_present_and_misspelt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    (absent,) = doctor.fast_dds()
    assert absent.level is Level.NOTE
    assert "export FASTRTPS_DEFAULT_PROFILES_FILE=" in absent.text
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(tmp_path / "absent.xml"))
    (misspelt,) = doctor.fast_dds()
    assert "does not exist" in misspelt.text
    profile = tmp_path / "profile.xml"
    profile.touch()
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))
    assert list(doctor.fast_dds()) == [Finding(Level.GOOD, "Fast DDS profile", str(profile))]


def test_segments_that_nobody_has_mapped_are_stale(tmp_path: Path) -> None:
    shm, proc = tmp_path / "shm", tmp_path / "proc"
    shm.mkdir()
    for name in ("fastrtps_aa", "fastrtps_bb", "fastrtps_bb_el", "fastrtps_port7413", "other"):
        (shm / name).write_bytes(b"x")
    (proc / "17").mkdir(parents=True)
    (proc / "17" / "maps").write_text(
        "7f00-7f01 rw-s 00000000 00:19 5  /dev/shm/fastrtps_aa\n7f02-7f03 r-xp 00000000 08:01 9  /usr/lib/libc.so.6\n"
    )
    assert {p.name for p in doctor.stale_segments(shm, proc)} == {"fastrtps_bb", "fastrtps_port7413"}
    assert "2 segments of ended processes" in list(doctor.shared_memory(shm, proc))[-1].text


def test_no_shared_memory_at_all(tmp_path: Path) -> None:
    (finding,) = doctor.shared_memory(tmp_path / "absent")
    assert finding.level is Level.NOTE


@pytest.mark.parametrize(("size", "level"), [("212992\n", Level.NOTE), ("33554432\n", Level.GOOD)])
def test_receive_buffer(tmp_path: Path, size: str, level: Level) -> None:
    setting = tmp_path / "rmem_max"
    setting.write_text(size)
    assert next(doctor.network(setting)).level is level


def test_missing_weights_say_where_to_put_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SEG_PERCEPTION_WEIGHTS", raising=False)
    findings = [finding for finding in doctor.weights() if "no weights" in finding.text]
    assert findings
    assert all(str(tmp_path) in finding.text for finding in findings)


def test_weights_that_are_there_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SEG_PERCEPTION_WEIGHTS", str(data / "weights"))
    assert subjects(list(doctor.weights()))["model espnet_cityscapes"].level is Level.GOOD
    damaged = tmp_path / "seg_perception" / "weights"
    damaged.mkdir(parents=True)
    (damaged / "espnet_p2q8_cityscapes_512x1024.onnx").write_bytes(b"half a file")
    monkeypatch.delenv("SEG_PERCEPTION_WEIGHTS")
    assert "sha256" in subjects(list(doctor.weights()))["model espnet_cityscapes"].text


def test_every_optional_package_has_a_cost_and_a_remedy() -> None:
    assert all(package.cost and package.remedy for package in doctor.OPTIONAL)
    assert doctor.remedy("rclpy")
    assert doctor.remedy("seg_perception") is None


def test_the_trial_of_image_delivery_counts_what_arrives(monkeypatch: pytest.MonkeyPatch, domain: int) -> None:
    pytest.importorskip("rclpy", reason="the trial needs ROS 2")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    counted = {f.subject: re.match(r"(\d+) of 60 best-effort 720p images", f.text) for f in doctor.delivery()}
    assert set(counted) == {"images with our profile", "images as Fast DDS comes"}
    assert all(counted.values())
    assert int(counted["images with our profile"][1]) > 0

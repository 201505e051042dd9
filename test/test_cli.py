"""The command line: its exit statuses and its words for the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seg_perception import cli
from seg_perception.errors import BagError

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {"models": (), "run": ("rosbags", "mcap", "tqdm"), "play": ("rosbags",), "record": ("mcap",), "doctor": (),
            "evaluate": ("rosbags", "mcap"), "compare": ("rosbags", "mcap"),
            "mine": ("rosbags", "mcap", "tqdm")}  # fmt: skip
"""The subcommands with arguments of their own, and the packages that one may lack but they need."""


def needs(name: str) -> None:
    for package in COMMANDS.get(name, ()):
        pytest.importorskip(package, reason=f"'seg_perception {name}' needs {package}")


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seg_perception", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command_and_loads_no_room() -> None:
    code = "import sys; from seg_perception import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n" + (
        "print(*{'numpy', 'cv2', 'rclpy', 'yaml', 'seg_perception.doctor'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in (*COMMANDS, "node"))
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    needs(name)
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"seg_perception {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["run", "a.mcap"], ["models"], ["doctor", "--blood"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    needs(arguments[0] if arguments else "")
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: seg_perception" in capsys.readouterr().err


def test_an_error_on_purpose_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    done = command("models", "info", str(tmp_path / "absent.yaml"))
    assert done.returncode == 2
    assert done.stderr == f"seg_perception: models: there is no file {tmp_path / 'absent.yaml'}\n"


def test_a_missing_bag_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    needs("run")
    done = command("run", str(tmp_path / "absent.mcap"), "-o", str(tmp_path / "out.mcap"))
    assert done.returncode == 2
    assert str(tmp_path / "absent.mcap") in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_package_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    hidden = tmp_path / "rosbags.py"
    hidden.write_text("raise ModuleNotFoundError('No module named rosbags', name='rosbags')\n")
    done = command("run", "a.mcap", "-o", "b.mcap", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "needs rosbags" in done.stderr
    assert "pip install rosbags" in done.stderr
    assert "Traceback" not in done.stderr


def ending(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit status when a subcommand raises ``error``."""

    def raise_it(_: bool) -> int:
        raise error

    monkeypatch.setattr("seg_perception.doctor.report", raise_it)
    return cli.main(["doctor"])


def test_errors_on_purpose_never_show_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, BagError("the bag is empty")) == cli.REFUSED
    assert capsys.readouterr().err == "seg_perception: the bag is empty\n"


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ending(monkeypatch, KeyboardInterrupt()) == cli.INTERRUPTED


def test_faults_of_ours_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        ending(monkeypatch, ZeroDivisionError())
    with pytest.raises(ModuleNotFoundError):
        ending(monkeypatch, ModuleNotFoundError("no", name="seg_perception.absent"))


def test_a_reader_that_leaves_early_is_no_error() -> None:
    script = f"{sys.executable} -m seg_perception doctor | head -n 1"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert done.stdout == "Python\n"

"""Benchmarks: every one is in the list of all, the harness takes turns and writes what it printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _folder_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def test_all_runs_every_benchmark() -> None:
    from all import NEEDS, WANT_BAGS

    assert {*NEEDS, *WANT_BAGS} == {path.stem for path in FOLDER.glob("*.py")} - {"all", "side_by_side", "zoo"}


def test_peers_take_turns_back_and_forth_and_each_twice() -> None:
    from side_by_side import timed

    calls: list[str] = []
    ms = timed({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, runs=2)
    assert calls == [*"bbaa", *"aabb"]
    assert set(ms) == {"a", "b"}


def test_the_report_has_ratios_to_ours_and_what_they_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from side_by_side import report, with_one_thread

    monkeypatch.setattr(sys, "argv", ["/somewhere/merge.py", "--runs", "3"])
    names = with_one_thread({"torch": lambda: None})
    ms = dict(zip(("ours", *names), (2.0, 5.0, 3.0), strict=True))
    report("a title", [{"case": "a case", "ms": ms, "equal": True}], tmp_path / "new" / "out.json")
    content = json.loads((tmp_path / "new" / "out.json").read_text())
    assert content["rows"][0]["ratio"] == {"ours": 1.0, "torch": 2.5, "torch, 1 thread": 1.5}
    assert content["command"] == "python benchmarks/merge.py --runs 3"
    assert content["machine"]["versions"]["numpy"]
    assert "2.5 x" in capsys.readouterr().out

"""Benchmarks: every one is in the list of all, the harness takes turns and writes what it printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
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


def test_small_things_count_as_found_where_half_of_the_union_is_theirs() -> None:
    from cascade import LABELS, SMALL, small_found

    person, cone, road = (LABELS.id(name) for name in ("person", "cone", "road"))

    def street(side: int, thing: int, x: int = 10) -> np.ndarray:
        picture = np.full((60, 60), road, np.int32)
        picture[10 : 10 + side, x : x + side] = thing
        return picture

    least, most = (int(n**0.5) for n in SMALL)
    truth = street(least, 1 << 16 | person)
    assert small_found([truth], [truth]) == (1, 1)
    assert small_found([truth], [street(least, 7 << 16 | person, 12)]) == (1, 1)
    assert small_found([truth], [street(least, 7 << 16 | person, 13)]) == (0, 1)
    assert small_found([truth], [street(least, 7 << 16 | cone)]) == (0, 1)
    assert small_found([truth], [street(least, person)]) == (0, 1), "nobody said which one"
    for side, asked in ((least - 1, 0), (most - 1, 1), (most, 0)):
        same = street(side, 1 << 16 | person)
        assert small_found([same, same], [same, same]) == (2 * asked, 2 * asked)

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
    pytest.importorskip("rosbags", reason="the benchmark reads bags")
    from cascade import LABELS, SMALL, small_found

    person, cone, road = (LABELS.id(name) for name in ("person", "cone", "road"))

    def street(side: int, thing: int, x: int = 10) -> np.ndarray:
        picture = np.full((60, 60), road, np.int32)
        picture[10 : 10 + side, x : x + side] = thing
        return picture

    def counts(truth: np.ndarray, found: np.ndarray) -> list[list[int]]:
        return small_found([truth, truth], [found, found]).tolist()

    least, most = SMALL
    truth, seen, missed, nothing = street(least, 1 << 16 | person), [2, 2], [0, 2], [0, 0]
    assert counts(truth, truth) == [seen, seen]
    assert counts(truth, street(least, 7 << 16 | person, 12)) == [seen, seen]
    assert counts(truth, street(least, 7 << 16 | person, 13)) == [missed, missed]
    assert counts(truth, street(least, 7 << 16 | cone)) == [missed, missed]
    assert counts(truth, street(least, person)) == [missed, missed], "nobody said which one"
    for side, small in ((least - 1, nothing), (most - 1, seen), (most, nothing)):
        same = street(side, 1 << 16 | person)
        assert counts(same, same) == [small, small]
    tall = np.full((60, 60), road, np.int32)
    tall[:40, :10] = 1 << 16 | person
    assert counts(tall, tall) == [seen, nothing]

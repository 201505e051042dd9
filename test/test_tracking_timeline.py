"""The timeline of ids that scripts/show_tracks.py draws: from a bag's detections to bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seg_perception import records
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.rendering import shade
from seg_perception.types import UInt8Array

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TENTH = 100_000_000
SPACE = LabelSpace.load("navigation")


@pytest.fixture(autouse=True)
def _scripts_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def detection(track_id: int, seen: int, height: float) -> records.Detection2D:
    result = records.ObjectHypothesisWithPose(records.ObjectHypothesis("vehicle", 0.9))
    box = records.BoundingBox2D(records.Pose2D(records.Point2D(50.0, 50.0)), 20.0, height)
    return records.Detection2D(records.Header.of(seen, "camera"), (result,), box, str(track_id))


def bag(path: Path) -> Path:
    """Ten frames, looks at every second one: track 1 is always there, 2 is missed from frame 6 on, 3 is a flash."""
    with BagWriter(path) as writer:
        writer.add_topic("/c/detections", records.Detection2DArray.TYPE, [qos()])
        for frame in range(10):
            look = (frame - frame % 2) * TENTH
            found = [detection(1, look, 40.0 + frame), detection(2, min(look, 4 * TENTH), 20.0)]
            found += [detection(3, look, 10.0)] * (frame == 2)
            message = records.Detection2DArray(records.Header.of(frame * TENTH, "camera"), tuple(found))
            writer.write("/c/detections", serialised(message.TYPE, message), frame * TENTH)
    return path


def test_sightings_tell_who_was_missed(tmp_path: Path) -> None:
    from pictures import sightings

    frames = list(sightings(bag(tmp_path / "a.mcap"), "/c/detections"))
    assert [len(frame) for frame in frames] == [2, 2, 3, *[2] * 7]
    assert [frame[0].missed for frame in frames] == [False] * 10
    assert [frame[1].missed for frame in frames] == [False] * 6 + [True] * 4
    assert frames[3][0].height == pytest.approx(43.0)


def test_a_row_for_every_id_that_stayed(tmp_path: Path) -> None:
    from pictures import id_timeline, sightings

    picture = id_timeline(list(sightings(bag(tmp_path / "a.mcap"), "/c/detections")), SPACE, 2)

    def painted(track_id: int) -> UInt8Array:
        colour = shade(SPACE.classes[SPACE.id("vehicle")].colour, track_id)
        return np.asarray((picture == colour).all(axis=2), np.uint8)

    one, two, three = (painted(track_id) for track_id in (1, 2, 3))
    assert not three.any()
    assert np.flatnonzero(one.any(axis=1)).max() < np.flatnonzero(two.any(axis=1)).min()
    heights = two.sum(axis=0)
    used = np.flatnonzero(heights)
    # Six frames of a bar, then four of a thin line.
    thick = heights[used] == heights.max()
    assert thick.tolist() == sorted(thick.tolist(), reverse=True)
    assert thick.mean() == pytest.approx(0.6)
    assert len(set(one.sum(axis=0)) - {0}) == 1

"""Scoring the world's bags: matched by stamp, every void rule, what is said where bags do not belong together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seg_perception import records
from seg_perception.errors import InputError
from seg_perception.evaluation.confusion import Confusion
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.offline.writer import BagWriter, qos
from tools.world.score import PANOPTIC, TRUTH, confusions, main, score

DETECTIONS = "/camera/detections"
SPACE = LabelSpace.load("navigation")
ROAD, PERSON = SPACE.id("road"), SPACE.id("person")


def frame(side: int) -> np.ndarray:
    image = np.full((60, 80), ROAD, np.int32)
    image[5 : 5 + side, 10 : 10 + side] = 4 << 16 | PERSON
    return image


def write(path: Path, topic: str, frames: dict[int, np.ndarray], scored: bool) -> Path:
    with BagWriter(path) as writer:
        writer.add_topic(topic, records.Image.TYPE, [qos()])
        if scored:
            writer.add_topic(DETECTIONS, records.Detection2DArray.TYPE, [qos()])
        for stamp, image in frames.items():
            header = records.Header.of(stamp, "camera")
            writer.write(topic, serialised(records.Image.TYPE, records.Image.of(header, "32SC1", image)), stamp)
            if scored:
                box = records.BoundingBox2D(records.Pose2D(records.Point2D(20.0, 15.0)), 20.0, 20.0)
                result = records.ObjectHypothesisWithPose(records.ObjectHypothesis("person", 0.9))
                found = records.Detection2DArray(header, (records.Detection2D(header, (result,), box, "4"),))
                writer.write(DETECTIONS, serialised(records.Detection2DArray.TYPE, found), stamp)
    return path


@pytest.fixture
def bags(tmp_path: Path) -> tuple[Path, Path]:
    """Three true frames, a person of 400, 400, 144 pixels; the second has no answer, in the third nobody is seen."""
    (tmp_path / "truth").mkdir()
    (tmp_path / "perceived").mkdir()
    images = {10**18 + k: frame(side) for k, side in enumerate((20, 20, 12))}
    truth = write(tmp_path / "truth" / "a.mcap", TRUTH, images, False)
    answers = {10**18: images[10**18], 10**18 + 2: np.full((60, 80), ROAD, np.int32)}
    return truth, write(tmp_path / "perceived" / "a.mcap", PANOPTIC, answers, True)


def test_matched_by_stamp_and_scored_by_every_rule(bags: tuple[Path, Path]) -> None:
    found = score(*bags)
    assert found.unanswered == 1
    strict, loose = (found.scores[name].summary() for name in ("225/500", "100/100"))
    assert strict["frames"] == loose["frames"] == 2
    assert [strict[name] for name in ("pq", "ap50", "idf1")] == pytest.approx([1.0, 1.0, 1.0])
    assert (loose["classes"]["person"]["tp"], loose["classes"]["person"]["fn"]) == (1, 1)
    assert loose["idf1"] == pytest.approx(2 / 3)


def test_the_table_and_the_json(bags: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scores.json"
    main([str(bags[1]), "--truth", str(bags[0].parent), "--json", str(out)])
    printed = capsys.readouterr().out
    assert "a.mcap: 2 frames, 1 unanswered; 225/500: miou 100.0, pq 100.0, ap50 100.0, idf1 100.0" in printed
    assert "1 bags, things under 100 and stuff under 100 pixels void" in printed
    assert " 26.5% of person taken for road" in printed
    content = json.loads(out.read_text())
    assert content["bags"]["a.mcap"]["unanswered"] == 1
    assert content["void"]["100/100"]["classes"]["person"]["fn"] == 1


def test_bags_that_do_not_belong_together(bags: tuple[Path, Path], tmp_path: Path) -> None:
    other = write(tmp_path / "b.mcap", PANOPTIC, {5: frame(20)}, True)
    with pytest.raises(InputError, match=r"none of the 1 frame of .*b.mcap is one of the 3 of .*a.mcap"):
        score(bags[0], other)


def test_confusions_by_part_of_a_class() -> None:
    counts = np.array([[90, 10, 0], [50, 40, 10], [7, 7, 7]])
    assert confusions(Confusion(counts), ["road", "person"]) == [
        " 50.0% of person taken for road",
        " 10.0% of road taken for person",
        " 10.0% of person taken for unlabelled",
    ]

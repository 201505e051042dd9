"""The scores of a sequence: each is what its own module says, sums are those of all frames, JSON is JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seg_perception.errors import InputError
from seg_perception.evaluation.average_precision import painted
from seg_perception.evaluation.confusion import confusion
from seg_perception.evaluation.sequence import Scorer, Scores
from seg_perception.labels import LabelSpace

LABELS = LabelSpace.load("navigation")
ROAD, SKY, PERSON, VEHICLE = (LABELS.id(name) for name in ("road", "sky", "person", "vehicle"))


def frame(k: int) -> np.ndarray:
    """Sky over road, person 1 of 8 x 4 and vehicle 2 of 10 x 20 pixels, which move to the right."""
    image = np.full((40, 80), ROAD, np.int32)
    image[:15] = SKY
    image[12:20, 5 + k : 9 + k] = 1 << 16 | PERSON
    image[20:30, 30 + k : 50 + k] = 2 << 16 | VEHICLE
    return image


def renamed(image: np.ndarray, old: int, new: int) -> np.ndarray:
    return np.where(image == old, np.int32(new), image)


def scored(pairs: list[tuple[np.ndarray, np.ndarray]], scores: dict[int, float] | None = None, **small: int) -> Scores:
    scorer = Scorer(LABELS, **small)
    for truth, predicted in pairs:
        scorer.add(truth, predicted, None if scores is None else painted(predicted, scores))
    return scorer.scores()


def test_a_perfect_answer() -> None:
    summary = scored([(frame(k), frame(k)) for k in range(4)], {1: 0.9, 2: 0.8}).summary()
    ones = ("miou", "pixel_accuracy", "pq", "sq", "rq", "pq_things", "pq_stuff", "ap", "ap50", "ap75", "idf1", "hota")
    for name in (*ones, "vpq", "vpq_4", "stq", "mota"):
        assert summary[name] == pytest.approx(1.0), name
    assert (summary["frames"], summary["id_switches"]) == (4, 0)
    assert list(summary["classes"]) == ["road", "sky", "person", "vehicle"]
    assert "idf1" not in summary["classes"]["road"]


def test_what_goes_wrong_shows_where_it_should() -> None:
    truth = [frame(k) for k in range(4)]
    lost = renamed(truth[1], 2 << 16 | VEHICLE, ROAD)
    switched = [renamed(t, 1 << 16 | PERSON, 9 << 16 | PERSON) for t in truth[2:]]
    found = scored(list(zip(truth, [truth[0], lost, *switched], strict=True)), {1: 0.9, 2: 0.9, 9: 0.5}).summary()
    person, vehicle = found["classes"]["person"], found["classes"]["vehicle"]
    assert (person["pq"], person["ap50"], person["id_switches"], person["idf1"]) == (1.0, 1.0, 1, 0.5)
    assert (vehicle["tp"], vehicle["fn"], vehicle["iou"], vehicle["id_switches"]) == (3, 1, 0.75, 0)
    assert vehicle["idf1"] == pytest.approx(3 / 3.5)
    assert vehicle["ap50"] == pytest.approx(76 / 101)
    # Over both: 2 + 3 right, 2 wrong, 2 + 1 missed.
    assert found["idf1"] == pytest.approx(5 / (5 + 1 + 1.5))
    assert found["id_switches"] == 1
    # Road has the lost vehicle's 200 pixels too many.
    road = sum(int((t == ROAD).sum()) for t in truth)
    assert found["classes"]["road"]["iou"] == pytest.approx(road / (road + 200))
    expected = confusion(
        (np.stack(truth) & 255).astype(np.uint8),
        (np.stack([truth[0], lost, *switched]) & 255).astype(np.uint8),
        len(LABELS),
    )
    assert found["miou"] == pytest.approx(expected.miou)


def test_sequences_add_up() -> None:
    pairs = [(frame(k), frame(k + 1)) for k in range(6)]
    scores = {1: 0.9, 2: 0.8}
    total, whole = scored(pairs[:3], scores) + scored(pairs[3:], scores), scored(pairs, scores)
    for name in ("frames", "miou", "pq", "sq", "rq", "ap", "ap50", "vpq_1", "id_switches"):
        assert total.summary()[name] == pytest.approx(whole.summary()[name]), name
    # Tracks end with their sequence: as good in each as in both, and counted in both.
    assert total.summary()["idf1"] == scored(pairs[:3]).summary()["idf1"]
    assert total.association.tracks == 4


def test_small_things_and_rare_stuff_are_neither_asked_for_nor_blamed() -> None:
    truth = frame(0)
    truth[39, :5] = LABELS.id("water")
    without = renamed(renamed(truth, 1 << 16 | PERSON, ROAD), LABELS.id("water"), ROAD)
    for predicted in (truth, without):
        found = scored([(truth, predicted)], {1: 0.9, 2: 0.8}, min_thing=33, min_stuff=6).summary()
        for name in ("miou", "pq", "ap50", "idf1", "hota", "stq"):
            assert found[name] == pytest.approx(1.0), name
        assert "fn" not in found["classes"].get("person", {})
    found = scored([(truth, without)], {1: 0.9, 2: 0.8}, min_thing=32, min_stuff=5).summary()
    assert (found["classes"]["person"]["fn"], found["classes"]["water"]["fn"]) == (1, 1)


def test_a_thing_without_a_track_counts_for_its_class_only() -> None:
    truth = frame(0)
    found = scored([(truth, renamed(truth, 1 << 16 | PERSON, PERSON))], {2: 0.8}).summary()["classes"]["person"]
    assert (found["iou"], found["tp"], found["fp"], found["fn"], found["ap50"]) == (1.0, 0, 0, 1, 0.0)


def test_a_frame_that_was_never_answered() -> None:
    found = scored([(frame(0), frame(0)), (frame(1), np.full_like(frame(1), 255))]).summary()
    assert found["pixel_accuracy"] == 0.5
    assert [found["classes"][name]["fn"] for name in ("road", "sky", "person", "vehicle")] == [1, 1, 1, 1]
    assert found["idf1"] == pytest.approx(2 / 3)


def test_the_summary_is_json_without_nan() -> None:
    empty = Scorer(LABELS).scores().summary()
    assert empty["frames"] == 0
    assert empty["miou"] is None
    assert empty["ap50"] is None
    json.dumps(empty, allow_nan=False)
    json.dumps(scored([(frame(0), frame(0))]).summary(), allow_nan=False)


def test_the_table_has_a_line_per_class() -> None:
    lines = scored([(frame(0), frame(0))], {1: 0.9}).table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["road", "sky", "person", "vehicle", "all,"]
    assert lines[1].split()[1:] == ["100.0"] * 4 + ["-"] * 4
    assert lines[3].split()[-1] == "0"


def test_what_does_not_belong_together_is_refused() -> None:
    scorer = Scorer(LABELS)
    with pytest.raises(
        InputError, match="frame 0: the prediction has the class 77, which the label space 'navigation'"
    ):
        scorer.add(frame(0), np.full_like(frame(0), 77))
    with pytest.raises(InputError, match="the truth is 80 x 40 and the prediction 80 x 20"):
        scorer.add(frame(0), frame(0)[::2])
    scorer.add(frame(0), frame(0))
    with pytest.raises(InputError, match="frame 1 comes with instances, unlike those before it"):
        scorer.add(frame(1), frame(1), painted(frame(1), {}))
    with pytest.raises(InputError, match="with and without instances"):
        scorer.scores() + scored([(frame(0), frame(0))], {})
    with pytest.raises(InputError, match="'navigation' and 'camvid' do not add up"):
        scorer.scores() + Scorer(LabelSpace.load("camvid")).scores()

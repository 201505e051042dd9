"""One run into an evaluation: every table against its definition, and everything kept when it is written and read."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the sources need rosbags")

from seg_perception.errors import InputError
from seg_perception.evaluation.average_precision import painted
from seg_perception.evaluation.confusion import confusion
from seg_perception.evaluation.consistency import Consistency
from seg_perception.evaluation.matching import Sides, matched, translation
from seg_perception.evaluation.measuring import Rules, measure
from seg_perception.evaluation.numbers import additive, by_distance, by_size, scores, summary
from seg_perception.evaluation.result import Evaluation, join
from seg_perception.evaluation.sequence import Scorer
from seg_perception.evaluation.sources import Facts, Key, Labelled
from seg_perception.evaluation.timing import timing
from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED

SPACE = LabelSpace.load("navigation")
ROAD, SKY, PERSON, POLE = (SPACE.id(name) for name in ("road", "sky", "person", "pole"))
SECOND = 10**9


class Maps:
    """A source in memory."""

    def __init__(
        self,
        maps: Sequence[np.ndarray],
        *,
        keys: Sequence[Key] | None = None,
        confidences: Sequence[np.ndarray] | None = None,
        scores: Mapping[int, float] | None = None,
        instances: bool = True,
    ) -> None:
        self.path, self.labels = Path("maps"), SPACE
        self.keys: list[Key] = list(keys if keys is not None else (k * SECOND // 10 for k in range(len(maps))))
        self.facts = Facts("maps in memory", isinstance(self.keys[0], int), instances)
        self._maps, self._confidences, self._scores = maps, confidences, scores

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        for i, key in enumerate(self.keys):
            if key in keys:
                yield Labelled(key, self._maps[i], self._confidences and self._confidences[i], self._scores)


class Beside:
    """Depth or pictures in memory."""

    def __init__(self, content: Mapping[Key, np.ndarray]) -> None:
        self._content = content

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, np.ndarray]]:
        yield from ((key, value) for key, value in self._content.items() if key in keys)


def sides(predicted: Maps, true: Maps) -> Sides:
    same = translation(SPACE, SPACE, whose="truth")
    return Sides(predicted, true, (same, same), matched(predicted, true))


def maps(seed: int, frames: int = 6) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Truth, and a prediction that is wrong in places: two people who walk, stuff, a crowd and void."""
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for k in range(frames):
        image = np.full((40, 60), ROAD, np.int32)
        image[:15] = SKY
        image[10:30, 5 + k : 15 + k] = 1 << 16 | PERSON
        image[12:30, 40 - k : 50 - k] = 2 << 16 | PERSON
        image[35:, :8], image[35:, 50:] = PERSON, UNLABELLED
        answer = np.roll(image, 1, axis=1)
        answer[answer == UNLABELLED] = ROAD
        answer[answer == (2 << 16 | PERSON)] = (3 if k > 3 else 2) << 16 | PERSON
        noise = rng.random(image.shape) < 0.05
        answer[noise] = rng.choice([ROAD, SKY, POLE, UNLABELLED], int(noise.sum()))
        truth.append(image)
        predicted.append(answer)
    return truth, predicted


def test_the_sums_are_what_the_scorer_says() -> None:
    truth, predicted = maps(0)
    tracks = {1: 0.9, 2: 0.8, 3: 0.4}
    evaluation = measure(sides(Maps(predicted, scores=tracks), Maps(truth)), Rules())
    scorer = Scorer(SPACE)
    for t, p in zip(truth, predicted, strict=True):
        scorer.add(t, p, painted(p, tracks))
    expected = scorer.scores().summary()
    numbers, whole = additive(evaluation), scores(evaluation).summary()
    for name in ("miou", "pixel_accuracy", "pq", "sq", "rq", "pq_things", "pq_stuff"):
        assert numbers[name] == pytest.approx(expected[name], abs=1e-12), name
    assert whole == expected
    assert expected["id_switches"] == 1
    assert summary(evaluation)["classes"]["person"]["ap"] == pytest.approx(expected["classes"]["person"]["ap"])


def test_any_choice_of_frames_is_scored_as_if_there_were_no_others() -> None:
    truth, predicted = maps(1)
    tracks = {1: 0.9, 2: 0.8, 3: 0.4}
    evaluation = measure(sides(Maps(predicted, scores=tracks), Maps(truth)), Rules())
    chosen = np.array([1, 2, 4])
    part = measure(
        sides(Maps([predicted[i] for i in chosen], scores=tracks), Maps([truth[i] for i in chosen])), Rules()
    )
    weights = np.zeros((2, 6))
    weights[0, chosen], weights[1] = 1, 1
    both = additive(evaluation, weights)
    for name, value in additive(part).items():
        if "flicker" not in name:  # which looks at the frame before
            np.testing.assert_allclose(both[name][0], value, err_msg=name)
    for name, value in additive(evaluation).items():
        np.testing.assert_allclose(both[name][1], value, err_msg=name)
    assert scores(evaluation, [chosen]).summary() == scores(part).summary()


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    truth, predicted = maps(2)
    confidences = [np.full(t.shape, 200, np.uint8) for t in truth]
    evaluation = measure(sides(Maps(predicted, confidences=confidences, scores={1: 0.5, 2: 0.5, 3: 0.5}), Maps(truth)),
                         Rules(), about={"prediction": {}, "truth": None})  # fmt: skip
    evaluation.save(tmp_path)
    again = Evaluation.load(tmp_path)
    assert (again.labels.version, again.video, again.against) == (SPACE.version, True, "truth")
    assert again.about == evaluation.about
    assert summary(again) == summary(evaluation)
    np.testing.assert_array_equal(again.segments.truth, evaluation.segments.truth)
    arrays = (tmp_path / "evaluation.npz").read_bytes()
    middle = len(arrays) // 2
    flipped = arrays[: middle - 200] + bytes(400) + arrays[middle + 200 :]
    for broken in (b"no arrays", b"", arrays[:middle], flipped):
        (tmp_path / "evaluation.npz").write_bytes(broken)
        with pytest.raises(InputError, match="holds no evaluation that can be read"):
            Evaluation.load(tmp_path)


def test_a_writer_that_is_cut_off_leaves_no_halves_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = maps(2)
    evaluation = measure(sides(Maps(predicted), Maps(truth)), Rules(), about={"prediction": {}, "truth": None})
    evaluation.save(tmp_path)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluation.save(tmp_path)
    with pytest.raises(InputError, match="holds no evaluation"):
        Evaluation.load(tmp_path)
    evaluation.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["evaluation.json", "evaluation.npz"]


def test_two_sequences_joined_score_what_they_score_together() -> None:
    parts = [measure(sides(Maps(p), Maps(t)), Rules()) for t, p in (maps(3), maps(4, 4))]
    both = join(parts)
    assert both.sequences == ("maps", "maps")
    assert both.frames.sequence.tolist() == [0] * 6 + [1] * 4
    assert scores(both).summary() == (scores(parts[0]) + scores(parts[1])).summary()
    assert [len(block) for block in both.blocks(0.25)] == [3, 3, 4]


def test_groups_count_pixels_as_planners_ask_for_them() -> None:
    truth, predicted = (np.array([[ROAD, ROAD, PERSON, PERSON, UNLABELLED]], np.int32),
                        np.array([[ROAD, UNLABELLED, POLE, ROAD, PERSON]], np.int32))  # fmt: skip
    found = measure(sides(Maps([predicted]), Maps([truth])), Rules(border=0))
    numbers = additive(found)
    assert numbers["group_iou/drivable"] == pytest.approx(1 / 3)
    assert summary(found)["groups"]["drivable"]["iou"] == pytest.approx(1 / 3)
    # An unlabelled pixel may be an obstacle, and a pole is one: 1 of the 2 true, and 1 more, are said to be.
    assert numbers["group_iou/obstacle"] == pytest.approx(1 / 3)


def test_calibration_counts_judged_labelled_pixels_by_confidence() -> None:
    truth = np.array([[ROAD, ROAD, ROAD, SKY, UNLABELLED]], np.int32)
    predicted = np.array([[ROAD, ROAD, SKY, UNLABELLED, ROAD]], np.int32)
    confidence = np.array([[255, 102, 102, 0, 255]], np.uint8)
    found = measure(
        sides(Maps([predicted], confidences=[confidence]), Maps([truth])), Rules(border=0)
    ).frames.calibration
    assert (found.right[0].nonzero()[0].tolist(), found.wrong[0].nonzero()[0].tolist()) == ([102, 255], [102])
    # 0.4 is right every second time, 1 always: |1 - 0.8| of 3 pixels.
    assert found.error()[0] == pytest.approx(0.2 / 3)


def test_flicker_is_change_where_the_truth_stays() -> None:
    truth = [np.array([[ROAD, ROAD, SKY, UNLABELLED]], np.int32), np.array([[ROAD, ROAD, ROAD, UNLABELLED]], np.int32)]
    predicted = [np.array([[ROAD, SKY, SKY, SKY]], np.int32), np.array([[ROAD, ROAD, ROAD, ROAD]], np.int32)]
    found = measure(sides(Maps(predicted), Maps(truth)), Rules(border=0))
    assert (found.frames.stability.compared.sum(), found.frames.stability.changed.sum()) == (2, 1)
    assert additive(found)["flicker/road"] == pytest.approx(0.5)


def test_distance_by_pixel_and_by_thing() -> None:
    truth = np.full((8, 8), ROAD, np.int32)
    truth[:4, :4] = 5 << 16 | PERSON
    predicted = truth.copy()
    predicted[0] = ROAD
    depth = np.full((4, 4), 3.0, np.float32)  # half the size
    depth[:2, :2], depth[3, 3] = 12.0, np.nan
    predictions = Maps([predicted], scores={5: 0.9})
    found = measure(sides(predictions, Maps([truth])), Rules(border=0), depth=Beside({0: depth}))
    near, _, far, *_ = by_distance(found)
    assert (near["pixels"], far["pixels"]) == (64 - 16 - 4, 16)
    assert far["pixel_accuracy"] == pytest.approx(12 / 16)
    assert (far["true"], far["recall"], far["sq"]) == (1, 1.0, pytest.approx(12 / 16))
    # Found up to an IoU of 0.75: at six of the ten thresholds.
    assert [far[name] for name in ("ap", "ap50", "ap75")] == pytest.approx([0.6, 1, 1])
    assert near["ap"] is None
    small, medium, _ = by_size(found)
    assert (small["true"], small["ap"], medium["true"], medium["ap"]) == (1, pytest.approx(0.6), 0, None)
    assert found.about["matching"]["with_depth"] == 1
    without = measure(sides(Maps([predicted]), Maps([truth])), Rules(border=0), depth=Beside({}))
    assert by_distance(without) == []
    assert by_size(without)[0] | {"ap": None, "ap50": None, "ap75": None} == by_size(without)[0]
    assert any("depth is known for 0 of 1 frame;" in note for note in without.about["notes"])
    other = measure(sides(Maps([predicted]), Maps([truth])), Rules(border=0), depth=Beside({0: depth[:3]}))
    assert "1 depth image has other proportions than the masks and is left out" in other.about["notes"]


def test_streaming_takes_the_newest_answer_that_was_there() -> None:
    truth = [np.full((2, 2), label, np.int32) for label in (ROAD, SKY, ROAD, SKY)]
    latency: dict[Key, float] = {k * SECOND // 10: 0.15 for k in range(4)}  # two frames late
    found = measure(sides(Maps(truth), Maps(truth)), Rules(border=0), latency=latency)
    assert found.frames.streaming.right.sum(1).tolist() == [0, 0, 4, 4]
    assert found.frames.pixels.right.sum(1).tolist() == [4, 4, 4, 4]


@pytest.mark.parametrize(("late", "right"), [(0.0, [4, 4, 4]), (0.1, [0, 0, 0]), (0.2, [0, 0, 4])])
def test_streaming_has_an_answer_at_the_very_stamp(late: float, right: list[int]) -> None:
    """Stamps of our days in nanoseconds are beyond what a float tells apart."""
    keys = [1_767_225_600_000_000_001 + k * SECOND // 10 for k in range(3)]
    truth = [np.full((2, 2), label, np.int32) for label in (ROAD, SKY, ROAD)]
    maps = Maps(truth, keys=keys)
    found = measure(sides(maps, maps), Rules(border=0), latency=dict.fromkeys(keys, late))
    assert found.frames.streaming.right.sum(1).tolist() == right


def test_small_things_are_void_for_every_number() -> None:
    truth = np.full((20, 20), ROAD, np.int32)
    truth[:3, :3] = 1 << 16 | PERSON
    found = measure(sides(Maps([np.full_like(truth, ROAD)]), Maps([truth])), Rules(min_thing=10))
    assert found.frames.pixels.true.sum() == 400 - 9
    assert additive(found)["miou"] == 1.0
    assert found.frames.boundary.union[0, PERSON] == 0


def test_frames_without_an_answer_are_left_out_and_said_or_counted() -> None:
    truth = Maps([np.full((2, 2), ROAD, np.int32)] * 3)
    answers = Maps([np.full((2, 2), ROAD, np.int32)] * 2, keys=truth.keys[:2])
    found = measure(sides(answers, truth), Rules(border=0))
    assert len(found.frames) == 2
    assert "1 true frame has no prediction, of 3 (the first is 200000000)" in found.about["notes"]
    counted = measure(sides(answers, truth), Rules(border=0, count_unanswered=True))
    assert additive(counted)["pixel_accuracy"] == pytest.approx(2 / 3)


def test_other_sizes_are_counted_or_brought_to_the_truths() -> None:
    truth = Maps([np.full((4, 6), ROAD, np.int32)] * 2)
    answers = Maps([np.full((2, 3), ROAD, np.int32), np.full((4, 6), ROAD, np.int32)])
    said = r"1 prediction has another size than the truth, of 2 \(frame 0: 3 x 2, the truth 6 x 4\)"
    with pytest.raises(InputError, match=said + "; --resize"):
        measure(sides(answers, truth), Rules())
    found = measure(sides(answers, truth), Rules(resize=True, border=0))
    assert additive(found)["miou"] == 1.0
    assert any("they were brought to it by nearest neighbour" in note for note in found.about["notes"])


def test_who_tells_no_instances_apart_is_not_blamed_for_it() -> None:
    truth, predicted = maps(5)
    flat = [p & 0xFFFF for p in predicted]
    found = measure(sides(Maps(flat, instances=False), Maps(truth)), Rules(border=0))
    numbers = summary(found)
    assert numbers["pq_things"] is None
    assert "hota" not in numbers
    assert numbers["miou"] == pytest.approx(summary(measure(sides(Maps(predicted), Maps(truth)), Rules()))["miou"])
    assert any("tells no instances apart" in note for note in found.about["notes"])


def test_a_prediction_without_any_instance_is_said() -> None:
    truth, predicted = maps(4, 2)
    without = [p & 0xFFFF for p in predicted]
    notes = measure(sides(Maps(without, scores={}), Maps(truth)), Rules(border=0)).about["notes"]
    assert any(note.startswith("the prediction has no instance in any frame") for note in notes)
    notes = measure(sides(Maps(predicted, scores={}), Maps(truth)), Rules(border=0)).about["notes"]
    assert not any("has no instance" in note for note in notes)


def test_latency_is_taken_of_these_frames_only(tmp_path: Path) -> None:
    truth, _ = maps(5, 3)
    heard, prediction = tmp_path / "heard.json", Maps(truth)
    first = int(prediction.keys[0])
    heard.write_text(json.dumps({"latency_s": {str(first): 0.1, "7": 9.0}}))
    known = timing(prediction, None, heard)
    assert known.latency == {first: 0.1}
    assert known.content["latency"]["p99"] == 0.1
    heard.write_text(json.dumps({"latency_s": {"7": 9.0}}))
    with pytest.raises(InputError, match=r"has none of the 3 frames of .* among its 1; was it heard of another run"):
        timing(prediction, None, heard)


def test_numbers_of_fewer_frames_than_all_are_said() -> None:
    truth, predicted = maps(8, 4)
    truth[3] = np.full_like(truth[3], UNLABELLED)
    predicted[2] = np.full_like(predicted[2], UNLABELLED)
    sure, other = np.full(truth[0].shape, 200, np.uint8), np.full((3, 3), 200, np.uint8)
    seen, beyond = np.zeros((*truth[0].shape, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    predictions = Maps(predicted, confidences=[sure, sure, other, sure], scores={1: 0.5})
    found = measure(
        sides(predictions, Maps(truth)),
        Rules(border=0),
        pictures=Beside(dict(zip(predictions.keys, [seen, beyond, beyond], strict=False))),
        latency={0: 0.1},
    )
    instances = sum(len(np.unique(p[p > 0xFFFF])) for p in predicted)
    unranked = sum(len(np.unique(p[p >> 16 > 1])) for p in predicted)
    assert found.about["notes"] == [
        f"{unranked} of {instances} predicted instances are without a score; average precision counts them as not "
        "found",
        "1 confidence map has another size than the masks and is left out",
        "2 pictures have other proportions than the masks and are left out",
        "confidence is known for 3 of 4 frames; ECE and the curves of confidence are of these",
        "the picture is known for 1 of 4 frames; inconsistency is of these",
        "the latency is known for 1 of 4 frames; streaming mIoU is of these",
        "1 of 4 true frames is wholly unlabelled: nothing there is judged",
        "1 of 4 predictions is wholly unlabelled",
    ]
    void = [np.full_like(truth[0], UNLABELLED)] * 4
    with pytest.raises(InputError, match=r"is unlabelled everywhere, in all 4 frames with a prediction"):
        measure(sides(predictions, Maps(void)), Rules(border=0))


def test_scores_for_some_frames_only_are_refused() -> None:
    class Some(Maps):
        def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
            for i, frame in enumerate(super().read(keys)):
                yield Labelled(frame.key, frame.panoptic, None, {1: 0.5} if i == 0 else None)

    truth, predicted = maps(6)
    with pytest.raises(InputError, match="has no scores, unlike those before it"):
        measure(sides(Some(predicted), Maps(truth)), Rules())


def test_consistency_follows_the_picture() -> None:
    rng = np.random.default_rng(0)
    wide = np.repeat(np.repeat(rng.integers(0, 255, (30, 50, 1), dtype=np.uint8), 8, 0), 8, 1).repeat(3, 2)
    wide = np.asarray(wide, np.uint8)
    labels = np.where(np.arange(400) % 100 < 50, ROAD, SKY).astype(np.uint8) * np.ones((240, 1), np.uint8)
    moving, fixed = Consistency(len(SPACE)), Consistency(len(SPACE))
    for shift in (0, 3):
        picture = np.ascontiguousarray(wide[:, shift : shift + 360])
        along = moving(picture, np.ascontiguousarray(labels[:, shift : shift + 360]))
        still = fixed(picture, np.ascontiguousarray(labels[:, :360]))
    assert along.compared.sum() > 0.8 * 240 * 360
    assert along.changed.sum() / along.compared.sum() < 0.01
    assert still.changed.sum() / still.compared.sum() > 0.03


def test_confusions_of_pixels_are_the_tables() -> None:
    truth, predicted = maps(7, 2)
    found = measure(sides(Maps(predicted), Maps(truth)), Rules(border=0)).frames.pixels
    for i in range(2):
        judged = confusion(*((m[i] & 0xFF).astype(np.uint8) for m in (truth, predicted)), len(SPACE)).judged
        np.testing.assert_array_equal(found.right[i], np.diagonal(judged))
        np.testing.assert_array_equal(found.true[i], judged.sum(1))
        np.testing.assert_array_equal(found.predicted[i], judged[:, :-1].sum(0))

"""What the tracker promises: ids, visibility, time, classes, and that odd input does not break it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seg_perception.errors import ConfigError
from seg_perception.schema import flatten, from_mapping
from seg_perception.tracking import Tracker, TrackerConfig
from seg_perception.tracking import tracker as module
from seg_perception.tracking.ids import IdCounter
from seg_perception.tracking.timeline import LONGEST
from seg_perception.types import MAX_TRACK_ID, SMALL, UNLABELLED, Instances, Look, Mask, Tracks

SIZE = (640, 360)
CONFIG = TrackerConfig()
TENTH = 100_000_000
CAR, TRUCK, PERSON = 2, 7, 0


def instances(*boxes: tuple[float, float, float, float], score: float = 0.8, label: int = CAR) -> Instances:
    """Detections whose masks fill their boxes."""
    masks = tuple(
        Mask(int(x0), int(y0), np.ones((int(y1) - int(y0), int(x1) - int(x0)), np.bool_)) for x0, y0, x1, y1 in boxes
    )
    n = len(boxes)
    return Instances(
        np.array(boxes, np.float32).reshape(n, 4), np.full(n, score, np.float32), np.full(n, label, np.uint8), masks
    )


def joined(*parts: Instances) -> Instances:
    return Instances(
        np.concatenate([p.boxes for p in parts]),
        np.concatenate([p.scores for p in parts]),
        np.concatenate([p.labels for p in parts]),
        sum((p.masks for p in parts), ()),
    )


def moving(frame: int, count: int = 3, speed: float = 6.0) -> Instances:
    """``count`` boxes side by side that move to the right."""
    return instances(*((20 + 120 * i + speed * frame, 50, 80 + 120 * i + speed * frame, 110) for i in range(count)))


def step(tracker: Tracker, stamp: int, size: tuple[int, int], found: Instances | None, config: TrackerConfig) -> Tracks:
    """One frame, at which the network looked all over, or not at all."""
    look = None if found is None else Look(stamp, found, np.array([[0, 0, *size]], np.float32))
    return tracker.step(stamp, size, look, config)


def check(tracks: Tracks, size: tuple[int, int] = SIZE) -> None:
    """The rules that hold for every answer."""
    n = len(tracks)
    assert tracks.track_ids.dtype == np.int32
    assert tracks.boxes.dtype == tracks.scores.dtype == np.float32
    assert tracks.labels.dtype == np.uint8
    assert tracks.seen.dtype == np.int64
    assert tracks.visible.dtype == np.bool_
    for column in (tracks.track_ids, tracks.scores, tracks.labels, tracks.seen, tracks.visible, tracks.masks):
        assert len(column) == n
    assert tracks.boxes.shape == (n, 4)
    confirmed = tracks.track_ids[tracks.track_ids != 0].tolist()
    assert len(confirmed) == len(set(confirmed))
    assert all(1 <= i <= MAX_TRACK_ID for i in confirmed)
    assert np.isfinite(tracks.boxes).all()
    assert (tracks.boxes >= 0).all()
    assert (tracks.boxes <= np.tile(size, 2)).all()
    assert ((tracks.scores >= 0) & (tracks.scores <= 1)).all()
    for mask, visible in zip(tracks.masks, tracks.visible, strict=True):
        height, width = mask.bits.shape
        assert min(mask.x, mask.y) >= 0
        assert mask.x + width <= size[0]
        assert mask.y + height <= size[1]
        assert visible or not mask.bits.any()


def test_unconfirmed_tracks_are_out_at_once_and_get_ids_on_confirmation() -> None:
    tracker = Tracker()
    first = step(tracker, 0, SIZE, moving(0), CONFIG)
    assert first.track_ids.tolist() == [0, 0, 0]
    assert first.visible.all()
    second = step(tracker, TENTH, SIZE, moving(1), CONFIG)
    assert second.track_ids.tolist() == [1, 2, 3]


def test_noise_leaves_no_gaps_in_the_ids() -> None:
    tracker = Tracker()
    for frame in range(20):
        flash = instances((100 + 60 * (frame % 9), 200, 110 + 60 * (frame % 9), 210))
        tracks = step(tracker, frame * TENTH, SIZE, joined(moving(frame, 1), flash), CONFIG)
        assert set(tracks.track_ids.tolist()) <= {0, 1}
    step(tracker, 20 * TENTH, SIZE, joined(moving(20, 1), instances((300, 200, 340, 240))), CONFIG)
    tracks = step(tracker, 21 * TENTH, SIZE, joined(moving(21, 1), instances((300, 200, 340, 240))), CONFIG)
    assert sorted(tracks.track_ids.tolist()) == [1, 2]


def test_a_track_seen_in_this_frame_has_its_detections_box_mask_and_score() -> None:
    tracker = Tracker()
    for frame in range(4):
        found = moving(frame)
        tracks = step(tracker, frame * TENTH, SIZE, found, CONFIG)
    order = np.argsort(tracks.boxes[:, 0])
    np.testing.assert_array_equal(tracks.boxes[order], found.boxes)
    np.testing.assert_array_equal(tracks.scores, found.scores)
    np.testing.assert_array_equal(tracks.seen, 3 * TENTH)
    for i, mask in zip(order, found.masks, strict=True):
        assert tracks.masks[i] is mask


def test_without_a_look_boxes_and_masks_move_on_and_ids_stay() -> None:
    tracker = Tracker()
    for frame in range(10):
        before = step(tracker, frame * TENTH, SIZE, moving(frame), CONFIG)
    for frame in range(10, 15):
        after = step(tracker, frame * TENTH, SIZE, None, CONFIG)
        check(after)
        assert after.track_ids.tolist() == before.track_ids.tolist()
        assert after.visible.all()
        order = np.argsort(after.boxes[:, 0])
        np.testing.assert_allclose(after.boxes[order], moving(frame).boxes, atol=1.5)
        for i in range(3):
            mask, box = after.masks[i], after.boxes[i]
            height, width = mask.bits.shape
            np.testing.assert_allclose([mask.x, mask.y, mask.x + width, mask.y + height], box, atol=1.0)
        assert (after.seen == 9 * TENTH).all()


def test_masks_grow_with_the_box() -> None:
    tracker = Tracker()

    def box(frame: int) -> tuple[float, float, float, float]:
        half = 40 * 1.05**frame
        return (320 - half, 180 - half, 320 + half, 180 + half)

    for frame in range(10):
        step(tracker, frame * TENTH, SIZE, instances(box(frame)), CONFIG)
    tracks = step(tracker, 12 * TENTH, SIZE, None, CONFIG)
    x0, y0, x1, y1 = box(12)
    assert tracks.masks[0].bits.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.1)
    assert tracks.masks[0].bits.all()


def test_a_missed_track_hides_keeps_its_id_and_ends_after_max_lost() -> None:
    tracker = Tracker()
    config = replace(CONFIG, max_lost=0.5)
    for frame in range(5):
        step(tracker, frame * TENTH, SIZE, moving(frame, 2), config)
    hidden = step(tracker, 5 * TENTH, SIZE, moving(5, 1), config)
    assert hidden.visible.tolist() == [hidden.track_ids[0] == 1, hidden.track_ids[1] == 1]
    assert hidden.masks[int(np.flatnonzero(~hidden.visible)[0])].bits.size == 0
    # A frame without a look changes nothing about that.
    assert sorted(step(tracker, 6 * TENTH, SIZE, None, config).visible.tolist()) == [False, True]
    back = step(tracker, 8 * TENTH, SIZE, moving(8, 2), config)
    assert sorted(back.track_ids.tolist()) == [1, 2]
    assert back.visible.all()
    for frame in range(9, 15):
        gone = step(tracker, frame * TENTH, SIZE, moving(frame, 1), config)
    assert gone.track_ids.tolist() == [1]
    # Who comes back later is somebody new.
    for frame in range(15, 17):
        new = step(tracker, frame * TENTH, SIZE, moving(frame, 2), config)
    assert sorted(new.track_ids.tolist()) == [1, 3]


def test_a_track_that_nobody_looked_for_ends_too() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, moving(frame), CONFIG)
    assert len(step(tracker, 4_000_000_000, SIZE, None, CONFIG)) == 0


def test_scores_halve_with_age() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, instances((100, 100, 200, 200), score=0.8), CONFIG)
    after = step(tracker, 2 * TENTH + 1_000_000_000, SIZE, None, replace(CONFIG, score_half_life=0.5))
    assert after.scores == pytest.approx([0.2])


def test_low_scores_continue_a_track_but_start_none() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, instances((100, 100, 200, 200)), CONFIG)
    weak = instances((100, 100, 200, 200), (400, 100, 500, 200), score=0.2)
    tracks = step(tracker, 3 * TENTH, SIZE, weak, CONFIG)
    assert tracks.track_ids.tolist() == [1]
    assert tracks.visible.tolist() == [True]
    assert tracks.scores == pytest.approx([0.2])


def test_a_low_score_does_not_take_a_track_from_a_high_one() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, instances((100, 100, 200, 200)), CONFIG)
    strong, weak = instances((105, 100, 205, 200)), instances((100, 100, 200, 200), score=0.2)
    tracks = step(tracker, 3 * TENTH, SIZE, joined(weak, strong), CONFIG)
    assert tracks.boxes.tolist() == [[105, 100, 205, 200]]


def test_votes_decide_the_class() -> None:
    tracker = Tracker()
    labels = [TRUCK, CAR, CAR, TRUCK, CAR, CAR]
    for frame, label in enumerate(labels):
        tracks = step(tracker, frame * TENTH, SIZE, instances((100, 100, 200, 200), label=label), CONFIG)
    assert tracks.track_ids.tolist() == [1]
    assert tracks.labels.tolist() == [CAR]


def test_of_two_overlapping_things_each_keeps_its_class() -> None:
    """A rider and his bicycle share most of their boxes."""
    rider, bicycle = (100, 60, 160, 180), (90, 100, 170, 200)
    tracker = Tracker()
    for frame in range(12):
        shift = 4 * frame
        parts = [
            instances(tuple(v + shift * (k % 2 == 0) for k, v in enumerate(box)), label=label)
            for box, label in ((rider, PERSON), (bicycle, 1))
        ]
        tracks = step(tracker, frame * TENTH, SIZE, joined(*parts[:: 1 if frame % 2 else -1]), CONFIG)
        if frame == 1:
            first = dict(zip(tracks.labels.tolist(), tracks.track_ids.tolist(), strict=True))
    assert dict(zip(tracks.labels.tolist(), tracks.track_ids.tolist(), strict=True)) == first


def test_a_track_that_leaves_the_image_is_not_visible() -> None:
    tracker = Tracker()
    for frame in range(6):
        step(tracker, frame * TENTH, SIZE, instances((300 + 40 * frame, 100, 400 + 40 * frame, 200)), CONFIG)
    tracks = step(tracker, 10 * TENTH, SIZE, None, CONFIG)
    check(tracks)
    assert tracks.track_ids.tolist() == [1]
    assert tracks.visible.tolist() == [False]


def test_standing_and_backward_stamps_move_nothing() -> None:
    tracker = Tracker()
    for frame in range(5):
        seen = step(tracker, 10**12 + frame * TENTH, SIZE, moving(frame), CONFIG)
    for stamp in (10**12 + 4 * TENTH, 10**12, 0):
        still = step(tracker, stamp, SIZE, None, CONFIG)
        np.testing.assert_array_equal(still.boxes, seen.boxes)
        assert still.track_ids.tolist() == seen.track_ids.tolist()
    on = step(tracker, TENTH, SIZE, moving(5), CONFIG)
    assert on.track_ids.tolist() == seen.track_ids.tolist()
    assert on.visible.all()


def test_a_long_gap_ends_all_tracks() -> None:
    tracker = Tracker()
    for frame in range(5):
        step(tracker, frame * TENTH, SIZE, moving(frame), CONFIG)
    after = step(tracker, 10**15, SIZE, moving(5), CONFIG)
    assert after.track_ids.tolist() == [0, 0, 0]


def test_reset_forgets_tracks_but_ids_go_on() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, moving(frame), CONFIG)
    tracker.reset()
    assert len(step(tracker, 0, SIZE, None, CONFIG)) == 0
    for frame in range(3):
        tracks = step(tracker, frame * TENTH, SIZE, moving(frame), CONFIG)
    assert tracks.track_ids.tolist() == [4, 5, 6]


def test_another_image_size_starts_afresh() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, moving(frame), CONFIG)
    assert len(step(tracker, 3 * TENTH, (320, 180), None, CONFIG)) == 0


def test_ids_wrap_past_live_tracks() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, moving(frame, 1, 0.0), CONFIG)
    tracker._ids = IdCounter(MAX_TRACK_ID - 1)
    for frame in range(3, 6):
        tracks = step(tracker, frame * TENTH, SIZE, moving(frame, 4, 0.0), CONFIG)
    assert sorted(tracks.track_ids.tolist()) == [1, 2, 3, MAX_TRACK_ID]


def test_unusable_detections_are_ignored() -> None:
    good = (100.0, 100.0, 200.0, 200.0)
    boxes = [good, (np.nan, 0, 10, 10), (0, 0, np.inf, np.nan), (50, 50, 50, 80), (90, 90, 80, 80), (700, 0, 800, 90)]
    n = len(boxes)
    masks = tuple(Mask(0, 0, np.ones((2, 2), np.bool_)) for _ in range(n + 2))
    found = Instances(
        np.array([*boxes, good, good], np.float32),
        np.array([0.9] * n + [np.nan, 0.9], np.float32),
        np.array([CAR] * (n + 1) + [UNLABELLED], np.uint8),
        masks,
    )
    tracker = Tracker()
    for frame in range(3):
        tracks = step(tracker, frame * TENTH, SIZE, found, CONFIG)
        check(tracks)
        assert tracks.boxes.tolist() == [list(good)]


def test_a_mask_may_be_empty() -> None:
    found = replace(moving(0, 2), masks=(Mask(0, 0, np.zeros((0, 0), np.bool_)),) * 2)
    tracker = Tracker()
    for frame in range(3):
        check(step(tracker, frame * TENTH, SIZE, found, CONFIG))
    check(step(tracker, 3 * TENTH, SIZE, None, CONFIG))


def test_nothing_at_all() -> None:
    tracker = Tracker()
    for frame in range(3):
        assert len(step(tracker, frame * TENTH, SIZE, Instances.empty(), CONFIG)) == 0
        assert len(step(tracker, frame * TENTH + 1, SIZE, None, CONFIG)) == 0


def test_state_is_bounded_even_if_time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRACKS", 20)
    tracker = Tracker()
    for frame in range(60):
        x, y = 60 * (frame // 2 % 10), 50 * (frame // 20)
        tracks = step(tracker, 0, SIZE, instances((x, y, x + 40, y + 40)), CONFIG)
        check(tracks)
        assert len(tracks) <= 20
        assert tracks.visible.sum() == 1


def test_configuration_is_described_and_checked() -> None:
    for name, _, value, option in flatten(CONFIG):
        assert option.help, name
        assert option.ge is None or value >= option.ge
        assert option.le is None or value <= option.le
    assert from_mapping(TrackerConfig, {}, "here") == CONFIG


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_whatever_comes_the_rules_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracker, stamp = Tracker(), 0
    known: dict[int, int] = {}
    for _ in range(30):
        stamp += int(
            rng.choice(
                [0, 33_000_000, 100_000_000, -50_000_000, 900_000_000, 10**11], p=[0.1, 0.5, 0.2, 0.1, 0.09, 0.01]
            )
        )
        found = None
        if rng.random() < 0.7:
            corner = rng.uniform(-20, 400, (int(rng.integers(0, 8)), 2)) * (1, 0.6)
            boxes = np.clip(np.concatenate((corner, corner + rng.uniform(1, 250, corner.shape)), axis=1), 0, 355)
            whole = boxes[(boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)]
            found = instances(*whole.tolist())
            found = replace(
                found,
                scores=rng.random(len(found)).astype(np.float32),
                labels=rng.choice([CAR, TRUCK, PERSON], len(found)).astype(np.uint8),
            )
        tracks = step(tracker, stamp, SIZE, found, CONFIG)
        check(tracks)
        # An id that went away does not come back, and new ids are greater than all before.
        ids = set(tracks.track_ids.tolist()) - {0}
        fresh = ids - set(known)
        assert not fresh or min(fresh) > max(known, default=0)
        known.update(dict.fromkeys(fresh, 1))
        ended = set(known) - ids
        for track_id in ended:
            known[track_id] = 0
        assert all(known[track_id] for track_id in ids)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_detections_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = Tracker(), Tracker()
    corner = rng.uniform(0, 200, (8, 2))
    for frame in range(8):
        corner = corner + rng.normal(0, 5, corner.shape)
        boxes = np.clip(np.concatenate((corner, corner + 60), axis=1), 0, 340)
        found = instances(*boxes.tolist())
        # Equal scores and now and then two equal boxes: ties must not be broken by position in the list.
        scores = rng.choice([0.3, 0.6, 0.9], 8).astype(np.float32)
        found = replace(found, scores=scores, labels=rng.choice([CAR, TRUCK], 8).astype(np.uint8))
        order = rng.permutation(8)
        shuffled = Instances(
            found.boxes[order], found.scores[order], found.labels[order], tuple(found.masks[i] for i in order)
        )
        one, other = step(a, frame * TENTH, SIZE, found, CONFIG), step(b, frame * TENTH, SIZE, shuffled, CONFIG)
        for name in ("track_ids", "boxes", "scores", "labels", "seen", "visible"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_scores_that_leave_no_second_stage_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"low_score is 0\.5 and high_score 0\.3; expected low <= high"):
        TrackerConfig(low_score=0.5)


def random_motion(rng: np.random.Generator) -> np.ndarray:
    turn, size = rng.normal(0.0, 0.03), np.exp(rng.normal(0.0, 0.02))
    c, s = size * np.cos(turn), size * np.sin(turn)
    return np.array([[c, -s, rng.normal(0.0, 8.0)], [s, c, rng.normal(0.0, 4.0)]])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_a_late_look_is_as_good_as_one_in_time(seed: int) -> None:
    """Whatever the delays: once it has come, all is as if the network had answered within the frame."""
    rng = np.random.default_rng(seed)
    prompt, late = Tracker(), Tracker()
    config = replace(CONFIG, max_lost=10.0)
    stamp, waiting = 0, None
    for frame in range(30):
        stamp += int(rng.integers(10, 90)) * 1_000_000
        motion = random_motion(rng)
        if waiting is None and rng.random() < 0.6:
            found = moving(frame, 4)
            kept = np.flatnonzero(rng.random(4) < 0.8).tolist()
            found = instances(*found.boxes[kept].tolist(), score=float(rng.uniform(0.3, 0.9)))
            waiting = Look(stamp, found, np.array([[0, 0, *SIZE]], np.float32))
            one = prompt.step(stamp, SIZE, waiting, config, motion)
        else:
            one = prompt.step(stamp, SIZE, None, config, motion)
        due = waiting is not None and rng.random() < 0.5
        other = late.step(stamp, SIZE, waiting if due else None, config, motion)
        if due or waiting is None:
            waiting = None
            for name in ("track_ids", "labels", "seen", "visible"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
            np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
            for a, b in zip(one.masks, other.masks, strict=True):
                assert abs(a.bits.sum() - b.bits.sum()) <= 0.1 * max(a.bits.sum(), 1)
            check(other)


def test_a_look_older_than_the_last_one_is_ignored() -> None:
    tracker = Tracker()
    for frame in range(4):
        step(tracker, frame * TENTH, SIZE, moving(frame), CONFIG)
    old = Look(TENTH, Instances.empty(), np.array([[0, 0, *SIZE]], np.float32))
    tracks = tracker.step(4 * TENTH, SIZE, old, CONFIG)
    assert tracks.track_ids.tolist() == [1, 2, 3]
    assert tracks.visible.all()


def test_only_what_was_looked_for_can_be_missed() -> None:
    tracker = Tracker()
    for frame in range(4):
        step(tracker, frame * TENTH, SIZE, moving(0), CONFIG)
    left = moving(0).boxes[0]
    crop = np.array([[0, 0, left[2] + 10, 360]], np.float32)
    tracks = tracker.step(4 * TENTH, SIZE, Look(4 * TENTH, Instances.empty(), crop), CONFIG)
    assert tracks.visible.tolist() == (tracks.boxes[:, 0] > left[2]).tolist()
    # Half a thing in a region is no reason to have seen it, and nowhere is nowhere.
    for regions in (np.array([[0, 0, 170, 360]], np.float32), np.zeros((0, 4), np.float32)):
        again = tracker.step(5 * TENTH, SIZE, Look(5 * TENTH, Instances.empty(), regions), CONFIG)
        assert again.visible.tolist() == tracks.visible.tolist()


@pytest.mark.parametrize(("side", "overlooked"), [(20.0, True), (SMALL - 1, True), (SMALL + 1, False)])
def test_what_is_small_is_missed_only_where_it_is_shown_as_close_as_before(side: float, overlooked: bool) -> None:
    thing, crop = instances((100, 100, 100 + side, 100 + side)), np.array([[50, 60, 370, 240]], np.float32)
    nothing, frame = Instances.empty(), np.array([[0, 0, *SIZE]], np.float32)

    def visible(*looks: tuple[Instances, NDArray[np.float32]]) -> list[bool]:
        tracker = Tracker()
        for n, (found, regions) in enumerate(looks):
            tracks = tracker.step(n * TENTH, SIZE, Look(n * TENTH, found, regions), replace(CONFIG, min_hits=1))
        return tracks.visible.tolist()

    assert visible((thing, crop), (nothing, frame)) == [overlooked]
    assert visible((thing, crop), (nothing, frame), (nothing, crop)) == [False]
    # Who was seen in the whole frame since is missed there again, and in a crop in any case.
    assert visible((thing, crop), (thing, frame), (nothing, frame)) == [False]
    assert visible((thing, frame), (nothing, crop)) == [False]
    # Frame and crop in one look count as the closer one.
    assert visible((thing, np.concatenate((frame, crop))), (nothing, frame)) == [overlooked]


def test_a_confirmation_waits_for_a_look_there() -> None:
    tracker = Tracker()
    thing, elsewhere = instances((20, 50, 80, 110)), np.array([[200, 0, 640, 360]], np.float32)
    step(tracker, 0, SIZE, thing, CONFIG)
    aside = tracker.step(TENTH, SIZE, Look(TENTH, Instances.empty(), elsewhere), CONFIG)
    assert aside.track_ids.tolist() == [0]
    assert step(tracker, 2 * TENTH, SIZE, thing, CONFIG).track_ids.tolist() == [1]


def test_the_cameras_motion_moves_boxes_masks_and_memory() -> None:
    """The camera turns by more than a thing's width from look to look: only its motion tells who is who."""
    tracker = Tracker()
    turn = np.array([[1.0, 0.0, 70.0], [0.0, 1.0, 3.0]])
    for frame in range(5):
        shift = 70 * frame, 3 * frame
        here = instances(
            *((20 + 60 * i + shift[0], 50 + shift[1], 70 + 60 * i + shift[0], 110 + shift[1]) for i in (0, 1))
        )
        tracks = tracker.step(frame * TENTH, SIZE, Look(frame * TENTH, here, np.array([[0, 0, *SIZE]], np.float32)),
                              CONFIG, turn if frame else None)  # fmt: skip
    assert tracks.track_ids.tolist() == [1, 2]
    after = tracker.step(5 * TENTH, SIZE, None, CONFIG, turn)
    np.testing.assert_allclose(after.boxes, tracks.boxes + np.array([70, 3, 70, 3]), atol=0.1)
    for a, b in zip(after.masks, tracks.masks, strict=True):
        assert (a.x - b.x, a.y - b.y) == (70, 3)
        np.testing.assert_array_equal(a.bits, b.bits)


def test_zoom_scales_boxes_and_masks() -> None:
    tracker = Tracker()
    for frame in range(3):
        step(tracker, frame * TENTH, SIZE, instances((100, 100, 200, 200)), CONFIG)
    twice = np.array([[1.5, 0.0, -75.0], [0.0, 1.5, -75.0]])
    tracks = tracker.step(3 * TENTH, SIZE, None, CONFIG, twice)
    np.testing.assert_allclose(tracks.boxes, [[75, 75, 225, 225]], atol=0.1)
    assert tracks.masks[0].bits.shape == (150, 150)


def test_a_timeline_without_looks_is_bounded() -> None:
    tracker = Tracker()
    motion = np.array([[1.0, 0.0, 0.01], [0.0, 1.0, 0.0]])
    step(tracker, 0, SIZE, instances((100, 100, 200, 200)), CONFIG)
    for frame in range(1, 2000):
        tracks = tracker.step(frame, SIZE, None, CONFIG, motion)
        assert len(tracker._timeline._moments) <= LONGEST + 1
    np.testing.assert_allclose(tracks.boxes, [[120, 100, 220, 200]], atol=0.1)

"""Which prediction belongs to which truth: by stamp or name, in one label space, and what does not fit is said."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rosbags", reason="the sources need rosbags")

from seg_perception.errors import ConfigError, InputError
from seg_perception.evaluation.matching import frames, matched, translation
from seg_perception.evaluation.sources import Facts, Key, Labelled
from seg_perception.labels import LabelSpace

NAVIGATION, CITYSCAPES = LabelSpace.load("navigation"), LabelSpace.load("cityscapes")


class Given:
    """Frames from memory: each shows its own position."""

    def __init__(self, keys: Sequence[Key], name: str = "given") -> None:
        self.path, self.labels, self.keys = Path(name), NAVIGATION, list(keys)
        self.facts = Facts("maps", isinstance(self.keys[0] if keys else "", int), True)

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        for i, key in enumerate(self.keys):
            if key in keys:
                yield Labelled(key, np.full((2, 2), i, np.int32))


SECOND = 10**9


def test_by_stamp_with_what_is_missing_on_either_side() -> None:
    prediction, truth = Given([0, 2 * SECOND, 4 * SECOND]), Given([k * SECOND for k in range(4)])
    found = matched(prediction, truth)
    assert found.pairs == ((0, 0), (2 * SECOND, 2 * SECOND))
    assert (found.unanswered, found.spare) == ((SECOND, 3 * SECOND), (4 * SECOND,))
    assert found.notes(prediction, truth) == [
        "2 true frames have no prediction, of 4 (the prediction comes at 0.5 Hz, the truth at 1 Hz; the first is "
        "1000000000)",
        "1 prediction has no true frame, of 3, and is not scored (the prediction comes at 0.5 Hz, the truth at 1 Hz; "
        "the first is 4000000000)",
    ]
    pairs = [(true.key, answer and answer.key) for true, answer in frames(prediction, truth, found)]
    assert pairs == [(0, 0), (SECOND, None), (2 * SECOND, 2 * SECOND), (3 * SECOND, None)]


def test_stamps_within_the_offset_exact_ones_first() -> None:
    prediction, truth = Given([10, 1_000_000, 1_900_000]), Given([0, 1_000_000, 2_000_000])
    assert matched(prediction, truth).pairs == ((1_000_000, 1_000_000),)
    found = matched(prediction, truth, max_offset=0.0002)
    assert found.pairs == ((0, 10), (1_000_000, 1_000_000), (2_000_000, 1_900_000))
    assert found.offset == 100_000
    assert found.notes(prediction, truth) == ["stamps were matched that differ by up to 0.1 ms"]


@given(
    st.lists(st.integers(0, 60), unique=True, min_size=1),
    st.lists(st.integers(0, 60), unique=True, min_size=1),
    st.integers(0, 8),
)
def test_every_frame_is_matched_once_or_counted(predicted: list[int], true: list[int], offset: int) -> None:
    predicted, true = sorted(predicted), sorted(true)
    try:
        found = matched(Given(predicted), Given(true), offset / 1e9)
    except InputError:
        assert all(abs(p - t) > offset for p in predicted for t in true)
        return
    answers = [answer for _, answer in found.pairs]
    assert len(set(answers)) == len(answers)
    assert sorted([*(t for t, _ in found.pairs), *found.unanswered]) == true
    assert sorted([*answers, *found.spare]) == predicted
    assert all(abs(int(t) - int(p)) <= offset for t, p in found.pairs)


def test_by_name() -> None:
    found = matched(Given(["b", "c"]), Given(["a", "b"]))
    assert (found.pairs, found.unanswered, found.spare) == ((("b", "b"),), ("a",), ("c",))


@pytest.mark.parametrize(
    ("predicted", "true", "said"),
    [
        ([], [1], "is empty: no maps"),
        ([1], ["a"], r"goes by stamps \(1\) and .* by names \(1, such as 'a'\)"),
        ([1, 2], [9 * SECOND], r"none of the 2 frames of .* is one of the 1 of .* at best 9.000 s apart"),
        (["a"], ["b"], r"none of the 1 frame .* \('a' ... and 'b' ...\)"),
    ],
)
def test_what_does_not_belong_together_is_said(predicted: list[Key], true: list[Key], said: str) -> None:
    with pytest.raises(InputError, match=said):
        matched(Given(predicted), Given(true))


def test_classes_are_called_as_the_common_space_calls_them() -> None:
    to = translation(CITYSCAPES, NAVIGATION, whose="truth")
    car, bus, road, vehicle = (
        CITYSCAPES.id("car"),
        CITYSCAPES.id("bus"),
        CITYSCAPES.id("road"),
        NAVIGATION.id("vehicle"),
    )
    found = to(np.array([[7 << 16 | car, bus, road, 255]], np.int32), "truth")
    assert found.tolist() == [[7 << 16 | vehicle, vehicle, NAVIGATION.id("road"), 255]]
    assert "cone" in to.never
    assert to.content()["classes"]["bus"] == "vehicle"


def test_overrides_and_void_come_first() -> None:
    to = translation(CITYSCAPES, NAVIGATION, whose="truth", overrides={"wall": "object"}, void=["sky"])
    found = to(np.array([[CITYSCAPES.id("wall"), CITYSCAPES.id("sky")]], np.int32), "truth")
    assert found.tolist() == [[NAVIGATION.id("object"), 255]]


def test_classes_without_a_home_are_named_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"classes have no home in 'cityscapes'.*--prediction-void CLASS"):
        translation(NAVIGATION, CITYSCAPES, whose="prediction")


def test_a_class_outside_of_the_space_is_counted() -> None:
    to = translation(NAVIGATION, NAVIGATION, whose="truth")
    with pytest.raises(InputError, match=r"frame 3 has 2 pixels of 1 class id such as 99, which the label space"):
        to(np.array([[99, 99, 0]], np.int32), "frame 3")

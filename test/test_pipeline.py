"""The one road of a frame, with networks that a person can follow: the red channel is the class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_perception.config import PipelineConfig
from seg_perception.ego import load_ego_mask
from seg_perception.errors import ConfigError, InputError
from seg_perception.labels import LabelSpace
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.timing import StageTimes
from seg_perception.types import UNLABELLED, Frame, Instances, Mask, SemanticMap

SECOND = 10**9
PERSON = 11


class RedChannel:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: np.ndarray, times: StageTimes) -> SemanticMap:
        self.asked += 1
        return SemanticMap(image[..., 0].copy(), np.full(image.shape[:2], 200, np.uint8))


class OnePerson:
    """A person in columns 4 to 8 of every image."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: np.ndarray, times: StageTimes) -> Instances:
        self.asked += 1
        box = np.array([[4, 2, 8, 10]], np.float32)
        mask = Mask(4, 2, np.ones((8, 4), np.bool_))
        return Instances(box, np.array([0.9], np.float32), np.array([PERSON], np.uint8), (mask,))


def frame(number: int) -> Frame:
    return Frame(number * SECOND // 10, "camera", np.zeros((12, 16, 3), np.uint8))


def pipeline(ego_mask: np.ndarray | None = None, **options: object) -> tuple[Pipeline, RedChannel, OnePerson]:
    semantic, instance = RedChannel(), OnePerson()
    made = Pipeline(Networks(semantic, instance), LabelSpace.load("cityscapes"), PipelineConfig(**options), ego_mask)
    return made, semantic, instance


def test_what_the_robot_sees_of_itself_is_unlabelled_in_every_map() -> None:
    ego_mask = np.zeros((12, 16), np.bool_)
    ego_mask[6:] = True
    perceive, _, _ = pipeline(ego_mask)
    for number in range(4):
        panoptic = perceive(frame(number)).panoptic
    assert (panoptic.semantic[6:] == UNLABELLED).all()
    assert (panoptic.confidence[6:] == 0).all()
    assert (panoptic.panoptic[6:] == UNLABELLED).all()
    assert (panoptic.semantic[2:6, 4:8] == PERSON).all()
    assert (panoptic.panoptic[2:6, 4:8] >> 16 > 0).all()
    assert (panoptic.semantic[:2] == 0).all()


def test_an_ego_mask_of_another_size_is_refused_before_any_network_runs() -> None:
    perceive, semantic, instance = pipeline(np.zeros((12, 17), np.bool_))
    with pytest.raises(InputError, match="the ego mask is 17x12 but the image is 16x12"):
        perceive(frame(0))
    assert (semantic.asked, instance.asked) == (0, 0)


def test_a_reset_forgets_tracks_and_goes_on_counting_ids() -> None:
    perceive, _, _ = pipeline()
    ids = [int(perceive(frame(number)).panoptic.panoptic[5, 5]) >> 16 for number in range(4)]
    perceive.reset()
    after = [int(perceive(frame(number)).panoptic.panoptic[5, 5]) >> 16 for number in range(4)]
    assert ids[-1] > 0
    assert after[0] == 0
    assert after[-1] > ids[-1]


def test_an_ego_mask_is_a_picture_that_is_not_black_where_the_robot_is(tmp_path: Path) -> None:
    path = tmp_path / "ego.png"
    picture = np.zeros((4, 6), np.uint8)
    picture[3, 2] = 1
    cv2.imwrite(str(path), picture)
    mask = load_ego_mask(str(path))
    assert mask is not None
    assert np.array_equal(mask, picture > 0)
    assert load_ego_mask("") is None
    path.write_text("no picture")
    with pytest.raises(ConfigError, match="is no picture"):
        load_ego_mask(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_ego_mask(str(tmp_path / "absent.png"))

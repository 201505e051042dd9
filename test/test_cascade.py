"""When the instance network looks, and what becomes of its answers, on the stamps' clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from threading import Event, Timer
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.cascade import Cascade, CascadeConfig, InstanceWorker, Job, Scene
from seg_perception.cascade.policies import Situation
from seg_perception.cascade.regions import crops
from seg_perception.cascade.runners import taken_together
from seg_perception.cascade.scene import CELL
from seg_perception.config import PipelineConfig
from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.timing import StageTimes
from seg_perception.tracking import TrackerConfig
from seg_perception.types import SMALL, Frame, Instances, Mask, Perception, SemanticMap, Tracks

SECOND = 10**9
FEW = settings(deadline=None, max_examples=30)
SPACE = LabelSpace.load("navigation")
PERSON, VEHICLE, CONE, ROAD = (SPACE.id(name) for name in ("person", "vehicle", "cone", "road"))
HEIGHT, WIDTH = 64, 96
BOX = (32, 16, 48, 48)
"""x0 y0 x1 y1 of the one thing that there is."""


def mask(x0: int, y0: int, x1: int, y1: int) -> Mask:
    return Mask(x0, y0, np.ones((y1 - y0, x1 - x0), np.bool_))


def street(*things: tuple[int, tuple[int, int, int, int]]) -> SemanticMap:
    """A road with a box of each of these classes."""
    labels = np.full((HEIGHT, WIDTH), ROAD, np.uint8)
    for label, (x0, y0, x1, y1) in things:
        labels[y0:y1, x0:x1] = label
    return SemanticMap(labels, np.full_like(labels, 200))


def track(label: int, seen: float, track_id: int = 1, visible: bool = True) -> Tracks:
    """One track in BOX, last seen at ``seen`` seconds."""
    return Tracks(
        np.array([track_id], np.int32),
        np.array([BOX], np.float32),
        np.array([0.9], np.float32),
        np.array([label], np.uint8),
        (mask(*BOX),),
        np.array([round(seen * SECOND)]),
        np.array([visible]),
    )


class Driver:
    """Steps a cascade frame by frame through one scene, whose looks take ``cost`` seconds."""

    def __init__(self, config: CascadeConfig, cost: float = 0.0) -> None:
        self.cascade, self.config, self.cost = Cascade(), config, cost
        self.busy_until: float | None = None
        self.looks: list[float] = []
        self.spans: list[tuple[float, float]] = []

    def frame(self, now: float, semantic: SemanticMap, tracks: Tracks) -> bool:
        if self.busy_until is not None and now >= self.busy_until:
            self.cascade.finished(self.cost, True)
            self.spans.append((self.looks[-1], now))
            self.busy_until = None
        see = lambda: Scene.of(semantic, tracks, SPACE)  # noqa: E731
        plan = self.cascade.decide(round(now * SECOND), self.busy_until is None, see, self.config)
        if plan is not None:
            self.looks.append(now)
            self.busy_until = now + self.cost
        return plan is not None


EMPTY, NOBODY = street(), Tracks.empty()


@FEW
@given(every=st.integers(1, 7), steps=st.lists(st.integers(1, 200), min_size=20, max_size=60))
def test_every_nth_frame_is_looked_at_whatever_the_stamps_do(every: int, steps: list[int]) -> None:
    driver = Driver(CascadeConfig(every=every))
    looked = [driver.frame(now / 1e3, EMPTY, NOBODY) for now in np.cumsum(steps).tolist()]
    assert looked == [number % every == 0 for number in range(len(steps))]


@FEW
@given(policy=st.sampled_from(("every", "presence", "budget")), data=st.data())
def test_no_look_begins_before_the_last_has_come_back(policy: str, data: st.DataObject) -> None:
    cascade, idle = Cascade(), True
    config = CascadeConfig(policy=policy, share=1.0)
    for number in range(60):
        scene = data.draw(st.sampled_from((EMPTY, street((PERSON, BOX)))))
        if not idle and data.draw(st.booleans()):
            cascade.finished(data.draw(st.floats(0.0, 1.0)), data.draw(st.booleans()))
            idle = True
        plan = cascade.decide(number * SECOND // 30, idle, lambda s=scene: Scene.of(s, NOBODY, SPACE), config)
        assert plan is None or idle
        idle = idle and plan is None


@FEW
@given(
    share=st.floats(0.05, 1.0),
    cost=st.floats(0.01, 0.5),
    rate=st.floats(0.5, 30.0),
    period=st.sampled_from((0.02, 0.1)),
)
def test_the_budget_is_kept_and_used(share: float, cost: float, rate: float, period: float) -> None:
    driver = Driver(CascadeConfig(policy="budget", share=share, rate=rate, staleness=600.0, heartbeat=600.0), cost)
    for number in range(400):
        driver.frame(number * period, street((PERSON, BOX)), track(PERSON, number * period))
    gaps = np.diff(driver.looks[1:])  # what a look costs is known from the first on
    least = max(cost / share, 1.0 / rate)
    assert (gaps >= least - 1e-6).all()
    assert (gaps <= least + period + 1e-6).all(), "there is always something to see, so nothing is left unused"


@FEW
@given(
    policy=st.sampled_from(("presence", "budget")),
    label=st.sampled_from((PERSON, VEHICLE, CONE)),
    staleness=st.floats(0.05, 1.0),
    cost=st.floats(0.0, 0.3),
)
def test_a_thing_is_never_left_unseen_for_longer_than_its_class_allows(
    policy: str, label: int, staleness: float, cost: float
) -> None:
    config = CascadeConfig(policy=policy, staleness=staleness, share=0.001, rate=0.01, heartbeat=600.0)
    driver, period, seen = Driver(config, cost), 1 / 30, 0.0
    allowed = staleness * 100 / int(SPACE.priorities[label])
    for number in range(150):
        now = number * period
        if driver.busy_until is not None and now >= driver.busy_until:
            seen = driver.looks[-1]
        driver.frame(now, street((label, BOX)), track(label, seen))
        assert now - seen <= max(allowed, cost) + cost + 2 * period + 1e-6


def test_presence_looks_at_what_no_track_explains_and_does_not_insist() -> None:
    driver = Driver(CascadeConfig(policy="presence", staleness=0.5, heartbeat=600.0))
    assert driver.frame(0.0, EMPTY, NOBODY), "the first frame is always looked at"
    assert not driver.frame(0.1, EMPTY, NOBODY)
    assert driver.frame(0.2, street((PERSON, BOX)), NOBODY), "a person appears"
    assert not driver.frame(0.3, street((PERSON, BOX)), NOBODY), "the network found none there a moment ago"
    elsewhere = (80, 0, 96, 32)
    assert driver.frame(0.4, street((PERSON, BOX), (PERSON, elsewhere)), NOBODY), "another one appears"
    allowed = 0.5 * 100 / int(SPACE.priorities[PERSON])
    assert not driver.frame(0.2 + allowed - 0.01, street((PERSON, BOX)), NOBODY)
    assert driver.frame(0.4 + allowed + 0.01, street((PERSON, BOX)), NOBODY), "and is asked about again in time"


def test_a_look_that_was_of_no_use_is_taken_again() -> None:
    cascade, config = Cascade(), CascadeConfig(policy="presence", heartbeat=600.0)
    see = lambda: Scene.of(street((PERSON, BOX)), NOBODY, SPACE)  # noqa: E731
    cascade.decide(0, True, see, config)
    cascade.finished(0.1, True)
    assert cascade.decide(SECOND // 10, True, see, config)
    cascade.finished(0.1, False)
    assert cascade.decide(SECOND // 5, True, see, config)


@pytest.mark.parametrize(
    ("tracks", "wanted"),
    [
        (track(PERSON, 0.9), False),
        (track(PERSON, 0.9, track_id=0), True),
        (track(PERSON, 0.2), True),
        (track(VEHICLE, 0.9), True),
        (track(PERSON, 0.9, visible=False), True),
    ],
    ids=["explained by a fresh track", "unconfirmed", "stale", "covered by another class", "hidden"],
)
def test_presence_asks_what_the_tracks_know(tracks: Tracks, wanted: bool) -> None:
    driver = Driver(CascadeConfig(policy="presence", staleness=0.5, heartbeat=600.0))
    driver.frame(0.9, EMPTY, NOBODY)
    assert driver.frame(1.0, street((PERSON, BOX)), tracks) == wanted


@pytest.mark.parametrize("policy", ["presence", "budget"])
def test_the_heartbeat_looks_at_an_empty_street(policy: str) -> None:
    driver = Driver(CascadeConfig(policy=policy, heartbeat=0.5))
    assert [driver.frame(n / 10, EMPTY, NOBODY) for n in range(11)] == [n % 5 == 0 for n in range(11)]


@FEW
@given(st.integers(0, 2**32 - 1), st.integers(5, 90), st.integers(5, 130))
def test_the_scene_agrees_with_a_pixel_by_pixel_account(seed: int, height: int, width: int) -> None:
    """Where a cell is full of an uncovered thing it is unexplained, and where all is covered it is not."""
    rng = np.random.default_rng(seed)
    labels = np.full((height, width), ROAD, np.uint8)
    covered = np.zeros((height, width), np.uint8)
    masks, classes = [], []
    for _ in range(3):
        y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
        h, w = int(rng.integers(1, height - y + 1)), int(rng.integers(1, width - x + 1))
        label = int(rng.choice((PERSON, VEHICLE)))
        labels[y : y + h, x : x + w] = label
        if rng.random() < 0.6:
            covered[y : y + h, x : x + w] = label + 1
            masks.append(Mask(x, y, np.ones((h, w), np.bool_)))
            classes.append(label)
    n = len(masks)
    tracks = replace(
        track(PERSON, 0.0),
        track_ids=np.ones(n, np.int32),
        labels=np.array(classes, np.uint8),
        masks=tuple(masks),
        visible=np.ones(n, np.bool_),
    )
    scene = Scene.of(SemanticMap(labels, np.full_like(labels, 9)), tracks, SPACE)
    open_ = np.where(covered == labels + 1, 0, SPACE.priorities[labels])
    for row in range(scene.unexplained.shape[0]):
        for column in range(scene.unexplained.shape[1]):
            block = np.s_[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            if not open_[block].any():
                assert scene.unexplained[row, column] == 0
            around = np.s_[
                max(row * CELL - 4, 0) : (row + 1) * CELL + 4, max(column * CELL - 4, 0) : (column + 1) * CELL + 4
            ]
            if open_[block].size == CELL**2 and open_[block].all() and not covered[around].any():
                assert scene.unexplained[row, column] == open_[block].max()


class Road:
    """A semantic network that sees no thing."""

    def __call__(self, image: np.ndarray, times: StageTimes) -> SemanticMap:
        return SemanticMap(np.full(image.shape[:2], ROAD, np.uint8), np.full(image.shape[:2], 200, np.uint8))


class Walker:
    """A person at the column that the frame's first pixel tells; fails where that is 255. Keeps the frames it saw."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, image: np.ndarray, times: StageTimes, regions: Any = None) -> Instances:
        with times.stage("instance/forward"):
            x = int(image[0, 0, 0])
        self.seen.append(x)
        if x == 255:
            raise RuntimeError("the network broke")
        box = (x, 8, x + 16, 40)
        return Instances(
            np.array([box], np.float32), np.array([0.9], np.float32), np.array([PERSON], np.uint8), (mask(*box),)
        )


def perceived(frames: list[tuple[float, int]], **cascade: Any) -> tuple[list[Perception], Walker]:
    """What the pipeline makes of frames at (seconds, column of the person)."""
    walker = Walker()
    networks = Networks(Road(), walker)  # type: ignore[arg-type]
    pipeline = Pipeline(networks, SPACE, PipelineConfig(cascade=CascadeConfig(**cascade)))
    made = []
    for now, x in frames:
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[0, 0] = x
        made.append(pipeline(Frame(round(now * SECOND), "camera", image)))
    return made, walker


def walk(count: int, fps: float = 10.0) -> list[tuple[float, int]]:
    return [(n / fps, 10 + 2 * n) for n in range(count)]


def test_a_look_that_takes_no_time_is_of_its_own_frame() -> None:
    results, walker = perceived(walk(5))
    assert [r.instance_age for r in results] == [0.0] * 5
    assert [[k.outcome for k in r.looks] for r in results] == [["used"]] * 5
    assert walker.seen == [10, 12, 14, 16, 18]
    assert "instance/forward" in results[0].looks[0].seconds


def test_a_look_that_takes_time_is_told_at_the_first_frame_after_it_and_the_next_begins_then() -> None:
    results, walker = perceived(walk(9), instance_latency=(0.25,))
    assert walker.seen == [10, 16, 22]
    assert [round(r.instance_age, 3) for r in results[3:]] == [0.3, 0.4, 0.5] * 2
    assert np.isnan([r.instance_age for r in results[:3]]).all()
    assert [len(r.looks) for r in results] == [0, 0, 0, 1, 0, 0, 1, 0, 0]


def test_a_recorded_trace_of_latencies_is_followed_in_turn() -> None:
    results, _ = perceived(walk(12), instance_latency=(0.1, 0.3))
    assert [n for n, r in enumerate(results) if r.looks] == [1, 4, 5, 8, 9]
    assert [r.looks[0].latency for r in results if r.looks] == [0.1, 0.3, 0.1, 0.3, 0.1]


def test_a_frame_that_has_patience_waits_for_its_own_look() -> None:
    results, _ = perceived(walk(4), instance_latency=(0.25,), patience=0.3)
    assert [r.instance_age for r in results] == [0.0] * 4


def test_an_answer_after_its_timeout_is_dropped_and_counted_and_the_next_look_begins() -> None:
    results, walker = perceived(walk(12), instance_latency=(0.5, 0.1), timeout=0.4)
    assert [(n, k.outcome) for n, r in enumerate(results) for k in r.looks] == [
        (5, "late"), (6, "used"), (11, "late"),
    ]  # fmt: skip
    assert [len(r.tracks) for r in results[:7]] == [0] * 6 + [1]
    assert results[6].looked == 5 * SECOND // 10
    assert walker.seen == [10, 20, 22, 32]


def test_a_network_that_fails_is_counted_and_the_classes_go_on() -> None:
    frames = walk(6)
    frames[2] = (0.2, 255)
    results, _ = perceived(frames)
    assert [r.looks[0].outcome for r in results] == ["used", "used", "failed", "used", "used", "used"]
    assert isinstance(results[2].looks[0].error, RuntimeError)
    assert (results[2].panoptic.confidence > 0).all()
    assert len(results[2].tracks) == 1, "what was known is carried on"
    assert results[5].tracks.track_ids.tolist() == results[1].tracks.track_ids.tolist()


def test_the_look_of_a_time_that_is_over_is_forgotten() -> None:
    walker = Walker()
    networks = Networks(Road(), walker)  # type: ignore[arg-type]
    pipeline = Pipeline(networks, SPACE, PipelineConfig(cascade=CascadeConfig(instance_latency=(0.25,))))
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pipeline(Frame(100 * SECOND, "camera", image))
    pipeline.reset()
    results = [pipeline(Frame(n * SECOND // 10, "camera", image)) for n in range(4)]
    assert [len(r.looks) for r in results] == [0, 0, 0, 1]
    assert results[3].looked == 0


def test_an_answer_for_images_of_another_size_is_of_no_use() -> None:
    networks = Networks(Road(), Walker())  # type: ignore[arg-type]
    pipeline = Pipeline(networks, SPACE, PipelineConfig(cascade=CascadeConfig(instance_latency=(0.1,))))
    pipeline(Frame(0, "camera", np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    result = pipeline(Frame(SECOND, "camera", np.zeros((HEIGHT // 2, WIDTH // 2, 3), np.uint8)))
    assert [k.outcome for k in result.looks] == ["late"]
    assert len(result.tracks) == 0


def test_policies_change_between_frames() -> None:
    walker = Walker()
    networks = Networks(Road(), walker)  # type: ignore[arg-type]
    pipeline = Pipeline(networks, SPACE, PipelineConfig())
    for number in range(9):
        if number == 3:
            pipeline.config = PipelineConfig(cascade=CascadeConfig(every=3))
        pipeline(Frame(number * SECOND // 10, "camera", np.full((HEIGHT, WIDTH, 3), number, np.uint8)))
    assert walker.seen == [0, 1, 2, 5, 8]


def test_latencies_must_be_there() -> None:
    with pytest.raises(ConfigError, match="instance_latency is empty"):
        CascadeConfig(instance_latency=())


def test_looks_do_not_overlap_whatever_the_latencies() -> None:
    rng = np.random.default_rng(0)
    latencies = tuple(rng.uniform(0, 0.5, 7).tolist())
    results, walker = perceived(walk(30), instance_latency=latencies)
    began = [(x - 10) / 20 for x in walker.seen]
    ended = [k.stamp / SECOND + k.latency for r in results for k in r.looks]
    assert all(b >= e - 1e-9 for (_, b), e in zip(pairwise(began), ended, strict=False))


class Gate:
    """An instance network that answers when it is let through; counts who is inside."""

    def __init__(self) -> None:
        self.open = Event()
        self.inside = self.most = 0
        self.order: list[int] = []

    def __call__(self, image: np.ndarray, times: StageTimes, regions: Any = None) -> Instances:
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.open.wait(20)
        self.order.append(int(image[0, 0, 0]))
        self.inside -= 1
        return Instances.empty()


def job(camera: int, stamp: int = 0) -> Job:
    return Job(stamp, np.full((2, 2, 3), camera, np.uint8))


def test_cameras_take_turns_on_the_worker() -> None:
    gate = Gate()
    worker = InstanceWorker(gate)
    cameras = [worker.runner() for _ in range(3)]
    try:
        for number, camera in enumerate(cameras):
            camera.start(job(number))
        assert [camera.idle for camera in cameras] == [False] * 3
        assert [camera.collect(0) for camera in cameras] == [None] * 3
        gate.open.set()
        for turn in range(1, 5):
            for number, camera in enumerate(cameras):
                back = camera.collect(0, patience=20.0)
                assert back is not None
                assert back.job.image[0, 0, 0] == number
                camera.start(job(number, turn))
    finally:
        worker.stop()
    assert gate.most == 1
    assert gate.order[:12] == [0, 1, 2] * 4


class Wide(Gate):
    """A network that takes two looks in one pass; keeps how many there were in each. Fails at camera 255."""

    batch = 2

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def together(self, asked: Sequence[Job], times: StageTimes) -> list[Instances]:
        with times.stage("instance/forward"):
            found = [self(job.image, times, job.regions) for job in asked]
        self.passes.append(len(asked))
        if any(job.image[0, 0, 0] == 255 for job in asked):
            raise RuntimeError("the network broke")
        return found


def test_looks_that_wait_go_together_where_the_network_takes_several() -> None:
    wide = Wide()
    worker = InstanceWorker(wide)
    cameras = [worker.runner() for _ in range(4)]
    try:
        cameras[0].start(job(0))
        while not wide.inside:
            pass
        for number in (1, 2, 255):
            cameras[min(number, 3)].start(job(number))
        wide.open.set()
        back = [camera.collect(0, patience=20.0) for camera in cameras]
    finally:
        worker.stop()
    assert wide.passes == [1, 2, 1]
    assert wide.order == [0, 1, 2, 255]
    assert [b is not None and (b.job.image[0, 0, 0], str(b.error)) for b in back] == [
        (0, "None"),
        (1, "None"),
        (2, "None"),
        (255, "the network broke"),
    ]
    assert back[1] is not None
    assert back[2] is not None
    assert back[1].cost == back[2].cost <= back[1].latency * len(cameras)
    assert back[1].stages == back[2].stages


def test_looks_that_go_together_share_what_it_costs() -> None:
    def together(asked: Sequence[Job], times: StageTimes) -> list[Instances]:
        times.seconds["instance/forward"] = 1.0
        return [Instances.empty() for _ in asked]

    wide = Wide()
    wide.together = together  # type: ignore[method-assign]
    done = taken_together(wide, [job(0), job(1)])
    assert [d.stages for d in done] == [{"instance/forward": 0.5}] * 2


def test_a_forgotten_look_is_not_collected_and_holds_the_next_one_back_until_it_returns() -> None:
    gate = Gate()
    worker = InstanceWorker(gate)
    camera = worker.runner()
    try:
        camera.start(job(1))
        camera.forget()
        assert not camera.idle
        gate.open.set()
        assert camera.collect(0, patience=20.0) is None
        assert camera.idle
        camera.start(job(2))
        back = camera.collect(0, patience=20.0)
        assert back is not None
        assert back.job.image[0, 0, 0] == 2
    finally:
        worker.stop()


def test_a_frame_waits_for_its_look_only_as_long_as_it_has_patience() -> None:
    gate = Gate()
    worker = InstanceWorker(gate)
    networks = Networks(Road(), gate)  # type: ignore[arg-type]
    config = PipelineConfig(cascade=CascadeConfig(patience=0.01))
    pipeline = Pipeline(networks, SPACE, config, runner=worker.runner())
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    try:
        assert pipeline(Frame(0, "camera", image)).looks == ()
        gate.open.set()
        while not (result := pipeline(Frame(SECOND, "camera", image))).looks:
            pass
        assert result.looks[0].stamp == 0
        pipeline.config = PipelineConfig(cascade=CascadeConfig(patience=20.0))
        assert pipeline(Frame(2 * SECOND, "camera", image)).instance_age == 0.0
    finally:
        worker.stop()


def test_a_worker_that_stops_leaves_what_waits() -> None:
    gate = Gate()
    worker = InstanceWorker(gate)
    first, second = worker.runner(), worker.runner()
    first.start(job(1))
    second.start(job(2))
    while not gate.inside:
        pass
    opener = Timer(0.2, gate.open.set)
    opener.start()
    worker.stop()
    opener.join()
    assert gate.order == [1]
    assert not second.idle


def crowd(rng: np.random.Generator, count: int) -> Scene:
    """So many tracks of all sizes in a frame of 320 x 180, and some cells that none explains."""
    low = rng.uniform(0, (300, 160), (count, 2))
    high = np.minimum(low + rng.uniform(4, 90, (count, 2)), (320, 180))
    tracks = Tracks(
        np.ones(count, np.int32),
        np.concatenate((low, high), axis=1).astype(np.float32),
        np.full(count, 0.9, np.float32),
        rng.choice((PERSON, CONE), count).astype(np.uint8),
        tuple(mask(0, 0, 1, 1) for _ in range(count)),
        np.zeros(count, np.int64),
        np.ones(count, np.bool_),
    )
    return Scene((rng.random((12, 20)) < 0.02).astype(np.uint8) * 90, tracks, SPACE.priorities, (320, 180))


@FEW
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 12), most=st.integers(1, 4), zoom=st.floats(1.5, 4.0))
def test_crops_lie_in_the_frame_and_each_shows_something_small_that_no_other_shows(
    seed: int, count: int, most: int, zoom: float
) -> None:
    scene = crowd(np.random.default_rng(seed), count)
    situation = Situation(SECOND, 0, 1, 0.1, lambda: scene, np.full((12, 20), -(2**62)))
    found = crops(situation, most, zoom, 0.5)
    sides = scene.tracks.boxes[:, 2:] - scene.tracks.boxes[:, :2]
    if found is None:
        window = np.array((320, 180)) / zoom
        assert not scene.unexplained.any()
        assert not ((sides.prod(1) < SMALL**2) & (sides + 16 <= window).all(1)).any()
        return
    assert 1 <= len(found) <= most
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] <= np.array((320, 180)) + 1e-3).all()
    np.testing.assert_allclose(found[:, 2:] - found[:, :2], np.array([[320, 180]] * len(found)) / zoom, atol=1e-3)
    rows, columns = np.nonzero(scene.unexplained)
    cells = np.stack((columns, rows, columns + 1, rows + 1), axis=1) * CELL
    boxes = np.concatenate((scene.tracks.boxes[sides.prod(1) < SMALL**2], np.minimum(cells, (320, 180, 320, 180))))
    low, high = np.maximum(boxes[:, :2] - 8, 0), np.minimum(boxes[:, 2:] + 8, (320, 180))  # with some room around
    inside = (low >= found[:, None, :2] - 1e-3).all(-1) & (high <= found[:, None, 2:] + 1e-3).all(-1)
    for number in range(len(found)):
        assert (inside[number] & ~inside[:number].any(0)).any()


def test_looks_at_crops_and_at_the_frame_take_turns_and_misses_count_only_in_them() -> None:
    asked: list[Any] = []

    def network(image: np.ndarray, times: StageTimes, regions: Any = None) -> Instances:
        asked.append(regions)
        if regions is not None:
            return Instances.empty()
        boxes = np.array([[4, 4, 16, 20], [70, 40, 90, 60]], np.float32)
        scores, labels = np.array([0.9, 0.9], np.float32), np.array([PERSON, PERSON], np.uint8)
        return Instances(boxes, scores, labels, (mask(4, 4, 16, 20), mask(70, 40, 90, 60)))

    networks = Networks(Road(), network)  # type: ignore[arg-type]
    pipeline = Pipeline(
        networks, SPACE, PipelineConfig(cascade=CascadeConfig(crops=1), tracker=TrackerConfig(min_hits=1))
    )
    for number in range(6):
        result = pipeline(Frame(number * SECOND // 10, "camera", np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
        if asked[-1] is not None:
            (crop,) = asked[-1]
            boxes = result.tracks.boxes
            inside = (boxes[:, :2] >= crop[:2]).all(1) & (boxes[:, 2:] <= crop[2:]).all(1)
            assert inside.any()
            assert not inside.all()
            assert (result.tracks.visible == ~inside).all()
    assert [regions is None for regions in asked] == [True, False] * 3


@pytest.mark.parametrize("config", [CascadeConfig(policy="presence"), CascadeConfig(policy="budget", crops=2)])
def test_images_that_change_their_size_do_not_stop_the_cascade(config: CascadeConfig) -> None:
    cascade, small = Cascade(), street((PERSON, BOX))
    large = SemanticMap(np.tile(small.labels, (2, 2)), np.tile(small.confidence, (2, 2)))
    looked = []
    for number, semantic in enumerate((small, small, small, large, large, small, small)):
        see = lambda s=semantic: Scene.of(s, Tracks.empty(), SPACE)  # noqa: E731
        looked.append(cascade.decide(number * 2 * 10**9, True, see, config) is not None)
        cascade.finished(0.0, True)
    assert all(looked)

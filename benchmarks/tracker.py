"""Tracker: ours beside supervision's ByteTrack, trackers' ByteTrackTracker and OCSORTTracker on synthetic scenes.

    python benchmarks/tracker.py [--json OUT] [--scenes 5]

Boxes move with changing velocities through 1280x720 at 30 Hz for 100 frames. The detections have noise (3 % of a box),
random misses (5 %), occlusions of 5 to 15 frames, low scores now and then, and one false positive per ten boxes. All
trackers get the same detections, a threshold of 0.4 and 1.5 s of memory, and confirm at the second hit. Ours also gets
and carries a mask per box, and is told how the camera moved, as it is in the pipeline; the peers get boxes only.

Each tracker runs on every one of five scenes; times are the best scene's median frame, ids are summed over all scenes.
Truth is which object each detection came from. ``switches`` counts how often an object's id changes, ``ids`` how many
ids were given out (perfect: the number of boxes times that of scenes), ``covered`` is the part of the objects'
detections that had an id.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from side_by_side import OURS, Row, options, report

from seg_perception import types
from seg_perception.tracking import Tracker, TrackerConfig
from seg_perception.types import Instances, Mask

SIZE = (1280, 720)
BOXES = (10, 50, 200)
RATE = 30
FRAMES = 100
FIRST_SEED = 100  # The tracker's defaults were chosen on scenes with other seeds.
THRESHOLD = 0.4
MEMORY = 1.5


@dataclass(frozen=True)
class Look:
    """The detections of one frame and the object each came from (-1: none)."""

    instances: Instances
    truth: np.ndarray


def scene(count: int, seed: int) -> list[Look]:
    """``FRAMES`` looks at ``count`` moving boxes."""
    rng = np.random.default_rng(seed)
    limit = np.array(SIZE)
    size = rng.uniform(20, 90, (count, 2))
    centre = rng.uniform(size / 2, limit - size / 2)
    velocity = rng.normal(0.0, 60.0, (count, 2))
    growth = rng.normal(0.0, 0.1, (count, 1))
    occluded = np.zeros(count, np.int64)
    looks = []
    for _ in range(FRAMES):
        velocity += rng.normal(0.0, 60.0, (count, 2)) / RATE
        centre += velocity / RATE
        size *= np.exp(growth / RATE)
        outside = (centre < size / 2) | (centre > limit - size / 2)
        velocity[outside] *= -1.0
        centre = np.clip(centre, size / 2, limit - size / 2)
        occluded = np.where(occluded > 0, occluded - 1, (rng.random(count) < 0.003) * rng.integers(5, 16, count))
        found = (occluded == 0) & (rng.random(count) > 0.05)
        noise = rng.normal(0.0, 0.03, (count, 4)) * np.tile(size, 2)
        boxes = (np.concatenate((centre - size / 2, centre + size / 2), axis=1) + noise)[found]
        scores = np.where(rng.random(count) < 0.1, rng.uniform(0.15, 0.4, count), rng.uniform(0.45, 0.95, count))[found]
        false = max(1, count // 10)
        corner = rng.uniform(0.0, limit - 60.0, (false, 2))
        boxes = np.concatenate((boxes, np.concatenate((corner, corner + rng.uniform(20, 60, (false, 2))), axis=1)))
        scores = np.concatenate((scores, rng.uniform(0.1, 0.6, false)))
        truth = np.concatenate((np.flatnonzero(found), np.full(false, -1)))
        order = rng.permutation(len(boxes))
        looks.append(Look(instances(boxes[order], scores[order]), truth[order]))
    return looks


def instances(boxes: np.ndarray, scores: np.ndarray) -> Instances:
    """Detections of one class with elliptic masks."""
    boxes = np.clip(boxes, 0, np.tile(SIZE, 2)).astype(np.float32)
    masks = []
    for x0, y0, x1, y1 in boxes.astype(int).tolist():
        v, u = np.mgrid[: max(y1 - y0, 1), : max(x1 - x0, 1)]
        inside = ((u + 0.5) / max(x1 - x0, 1) - 0.5) ** 2 + ((v + 0.5) / max(y1 - y0, 1) - 0.5) ** 2 <= 0.25
        masks.append(Mask(x0, y0, inside))
    return Instances(boxes, scores.astype(np.float32), np.zeros(len(boxes), np.uint8), tuple(masks))


Named = Iterator[tuple[int, int]]
"""What a tracker said of one frame: pairs of truth and id, for every detection that had an id."""


def ours() -> Callable[[int, Look], Any]:
    tracker, config = Tracker(), TrackerConfig(high_score=THRESHOLD, max_lost=MEMORY)
    everywhere, still = np.array([[0, 0, *SIZE]], np.float32), np.eye(2, 3)

    def step(frame: int, look: Look) -> Any:
        stamp = frame * 1_000_000_000 // RATE
        return tracker.step(stamp, SIZE, types.Look(stamp, look.instances, everywhere), config, still)

    return step


def read_ours(tracks: Any, look: Look) -> Named:
    # A track that was seen in this frame has exactly its detection's box.
    rows = {box.tobytes(): truth for box, truth in zip(look.instances.boxes, look.truth.tolist(), strict=True)}
    for track_id, box, visible in zip(tracks.track_ids.tolist(), tracks.boxes, tracks.visible, strict=True):
        if track_id and visible:
            yield rows[box.tobytes()], track_id


def detections(look: Look) -> Any:
    import supervision

    found = look.instances
    return supervision.Detections(
        xyxy=found.boxes.copy(),
        confidence=found.scores.copy(),
        class_id=found.labels.astype(int),
        data={"truth": look.truth},
    )


def read_peer(out: Any, look: Look) -> Named:
    for truth, track_id in zip(np.asarray(out.data.get("truth", [])).tolist(), out.tracker_id.tolist(), strict=True):
        if track_id >= 0:
            yield truth, track_id


def supervision_bytetrack() -> Callable[[int, Any], Any]:
    import supervision

    tracker = supervision.ByteTrack(
        track_activation_threshold=THRESHOLD,
        lost_track_buffer=round(MEMORY * 30),
        frame_rate=RATE,
        minimum_consecutive_frames=2,
    )
    return lambda _, found: tracker.update_with_detections(found)


def trackers_bytetrack() -> Callable[[int, Any], Any]:
    import trackers

    tracker = trackers.ByteTrackTracker(
        lost_track_buffer=round(MEMORY * 30),
        frame_rate=RATE,
        track_activation_threshold=THRESHOLD,
        high_conf_det_threshold=THRESHOLD,
        minimum_consecutive_frames=2,
    )
    return lambda _, found: tracker.update(found)


def trackers_ocsort() -> Callable[[int, Any], Any]:
    import trackers

    tracker = trackers.OCSORTTracker(
        lost_track_buffer=round(MEMORY * 30),
        frame_rate=RATE,
        high_conf_det_threshold=THRESHOLD,
        minimum_consecutive_frames=2,
    )
    return lambda _, found: tracker.update(found)


@dataclass(frozen=True)
class Way:
    """One tracker under test: how it is made, what it is fed, how its answer is read."""

    make: Callable[[], Callable[[int, Any], Any]]
    feed: Callable[[Look], Any]
    read: Callable[[Any, Look], Named]


def ways() -> dict[str, Way]:
    """Ours, and the peers that are installed."""
    found = {OURS: Way(ours, lambda look: look, read_ours)}
    for name, make in (
        ("supervision ByteTrack", supervision_bytetrack),
        ("trackers ByteTrackTracker", trackers_bytetrack),
        ("trackers OCSORTTracker", trackers_ocsort),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                make()
        except (ImportError, AttributeError) as error:
            print(f"{name} is left out: {error}")
        else:
            found[name] = Way(make, detections, read_peer)
    return found


def run(way: Way, looks: list[Look]) -> tuple[float, dict[str, float]]:
    """Milliseconds per frame (the median) and what the ids were worth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step = way.make()
    last: dict[int, int] = {}
    given: set[int] = set()
    switches = named = 0
    times = []
    for frame, look in enumerate(looks):
        fed = way.feed(look)
        start = perf_counter()
        out = step(frame, fed)
        times.append((perf_counter() - start) * 1e3)
        for truth, track_id in way.read(out, look):
            given.add(track_id)
            if truth >= 0:
                named += 1
                switches += last.get(truth, track_id) != track_id
                last[truth] = track_id
    all_of_them = sum(int((look.truth >= 0).sum()) for look in looks)
    return statistics.median(times), {"switches": switches, "ids": len(given), "covered": named / all_of_them}


def main() -> None:
    arguments = options(__doc__, scenes=5)
    candidates = ways()
    rows: list[Row] = []
    for count in BOXES:
        times: dict[str, list[float]] = {name: [] for name in candidates}
        worth: dict[str, list[dict[str, float]]] = {name: [] for name in candidates}
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.scenes):
            looks = scene(count, seed)
            for name, way in candidates.items():
                milliseconds, result = run(way, looks)
                times[name].append(milliseconds)
                worth[name].append(result)
        notes = {key: {n: round(sum(w[key] for w in worth[n]), 3) for n in worth} for key in ("switches", "ids")}
        covered = {name: round(statistics.mean(w["covered"] for w in results), 3) for name, results in worth.items()}
        best = {name: min(values) for name, values in times.items()}
        rows.append({"case": f"{count} boxes", "ms": best, **notes, "covered": covered})
    report("tracker, per frame", rows, arguments.json)


if __name__ == "__main__":
    main()

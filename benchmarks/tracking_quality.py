"""Do ids last with a moving camera: ours beside three other trackers, by TrackEval.

    python benchmarks/tracking_quality.py BAG... --cache FOLDER [--every 1 3] [--json OUT]

The bags are the world's (docs/world.md), which hold the truth. What the shipped instance network finds in every image,
the camera's motion and the truth are written to FOLDER once (this needs the package with rosbags and OpenVINO); from
then on the cache is enough, so that the peers may live in another environment.

All trackers get the same boxes, scores and classes, at every frame or at every third. Ours also gets the camera's
motion, which it finds in the images by itself. Each peer runs in all of its ways: with its defaults, and with
thresholds, memory and confirmation like ours; and, at every third frame, updated at looks only (and told that rate),
with empty updates in between, and with time stamps where it takes them. Of these the way with the best IDF1 **on the
scored data** is shown.

Scored are boxes (IoU), by TrackEval's HOTA, Identity and CLEAR, summed over all sequences: class-agnostic, and per
class with the counts of all classes added. True things of fewer than ``--void`` visible pixels are void: they need not
be found, and who is matched to one is left out, as MOTChallenge does with distractors. ``looks`` scores the frames that
the network saw; ``all`` every frame, for which peers keep what they said last.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from side_by_side import OURS, machine

from seg_perception.tracking import Tracker, TrackerConfig
from seg_perception.types import Instances, Look, Mask

RATE = 10.0
VOID = 100
THRESHOLD = 0.5
"""Least IoU at which a predicted box belongs to a void thing."""


@dataclass(frozen=True)
class Truth:
    """What is to be seen in one frame: N things, ``boxes`` ``(N, 4)`` around their visible ``pixels`` ``(N,)``."""

    ids: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class Frame:
    """One image: what the network finds in it, what is there, how the image moved since the one before."""

    stamp: int
    found: Instances
    truth: Truth
    motion: np.ndarray


@dataclass(frozen=True)
class Said:
    """What a tracker says of one frame."""

    ids: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


NOTHING = Said(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))


# The cache -----------------------------------------------------------------------------------------------------------


def frames_of(bag: Path, folder: Path) -> list[Frame]:
    """The frames of a bag, from the cache or into it."""
    path = folder / f"{bag.parent.name}_{bag.stem}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write(path, list(watched(bag)))
    return read(path)


def watched(bag: Path) -> Iterator[Frame]:
    """Run the network and the motion estimate over a bag."""
    from seg_perception.conformance import pixels
    from seg_perception.frames import stamp_of
    from seg_perception.offline.bags import Bag
    from seg_perception.timing import StageTimes
    from seg_perception.tracking.motion import CameraMotion

    camera, times = CameraMotion(), StageTimes()
    with Bag(bag) as opened:
        truths = {stamp_of(message): truth_of(pixels(message)) for message in opened.contents("/truth/panoptic")}
        for message in opened.contents("/camera/image_raw"):
            image = np.frombuffer(memoryview(message.data), np.uint8).reshape(message.height, message.width, 3)
            stamp = stamp_of(message)
            if stamp in truths:
                yield Frame(stamp, network()(image, times), truths[stamp], camera(image))


@cache
def network() -> Any:
    from seg_perception.labels import LabelSpace
    from seg_perception.models import Execution, load_instance

    return load_instance("world_instance", LabelSpace.load("navigation"), Execution(threads=1))


def truth_of(panoptic: np.ndarray) -> Truth:
    """The things in a map of ``number << 16 | class``."""
    found = []
    for value in np.unique(panoptic[panoptic >> 16 > 0]).tolist():
        v, u = np.nonzero(panoptic == value)
        found.append((value >> 16, value & 0xFFFF, u.min(), v.min(), u.max() + 1, v.max() + 1, len(u)))
    table = np.array(found, np.int64).reshape(-1, 7)
    return Truth(table[:, 0], table[:, 1], table[:, 2:6].astype(np.float64), table[:, 6])


def write(path: Path, frames: Sequence[Frame]) -> None:
    masks = [mask for frame in frames for mask in frame.found.masks]
    bits = np.concatenate([np.zeros(0, np.bool_), *(mask.bits.reshape(-1) for mask in masks)])
    np.savez_compressed(
        path,
        stamps=np.array([frame.stamp for frame in frames]),
        motions=np.array([frame.motion for frame in frames]),
        found=np.array([len(frame.found) for frame in frames]),
        boxes=np.concatenate([frame.found.boxes for frame in frames]),
        scores=np.concatenate([frame.found.scores for frame in frames]),
        labels=np.concatenate([frame.found.labels for frame in frames]),
        places=np.array([(m.x, m.y, *m.bits.shape) for m in masks], np.int64).reshape(-1, 4),
        bits=np.packbits(bits),
        true=np.array([len(frame.truth.ids) for frame in frames]),
        true_ids=np.concatenate([frame.truth.ids for frame in frames]),
        true_labels=np.concatenate([frame.truth.labels for frame in frames]),
        true_boxes=np.concatenate([frame.truth.boxes for frame in frames]),
        true_pixels=np.concatenate([frame.truth.pixels for frame in frames]),
    )


def read(path: Path) -> list[Frame]:
    with np.load(path) as file:
        data = dict(file)
    sizes = data["places"][:, 2] * data["places"][:, 3]
    ends = np.cumsum(sizes)
    bits = np.unpackbits(data["bits"]).view(np.bool_)
    masks = [
        Mask(x, y, bits[end - h * w : end].reshape(h, w))
        for (x, y, h, w), end in zip(data["places"].tolist(), ends.tolist(), strict=True)
    ]
    frames = []
    found, true = np.cumsum([0, *data["found"]]), np.cumsum([0, *data["true"]])
    for k, (stamp, motion) in enumerate(zip(data["stamps"].tolist(), data["motions"], strict=True)):
        a, b = slice(found[k], found[k + 1]), slice(true[k], true[k + 1])
        instances = Instances(data["boxes"][a], data["scores"][a], data["labels"][a], tuple(masks[a]))
        truth = Truth(*(data[f"true_{name}"][b] for name in ("ids", "labels", "boxes", "pixels")))
        frames.append(Frame(stamp, instances, truth, motion))
    return frames


# The trackers --------------------------------------------------------------------------------------------------------

Way = Callable[[Sequence[Frame], int], list[Said]]
"""A tracker in one of its ways: what it says of every frame of a sequence that the network sees every N-th frame of."""


def ours(config: TrackerConfig, with_motion: bool = True, size: tuple[int, int] = (640, 360)) -> Way:
    everywhere = np.array([[0, 0, *size]], np.float32)

    def run(frames: Sequence[Frame], every: int) -> list[Said]:
        tracker, said = Tracker(), []
        for k, frame in enumerate(frames):
            look = Look(frame.stamp, frame.found, everywhere) if k % every == 0 else None
            tracks = tracker.step(frame.stamp, size, look, config, frame.motion if with_motion else None)
            rows = np.flatnonzero(tracks.visible & (tracks.track_ids > 0))
            said.append(Said(tracks.track_ids[rows].astype(np.int64), tracks.labels[rows].astype(np.int64),
                             tracks.boxes[rows].astype(np.float64)))  # fmt: skip
        return said

    return run


def peer(make: Callable[[float], Callable[[Any, float], Any]], between: str) -> Way:
    """``make`` gets the rate of updates; what it makes gets detections and the time, and answers with detections."""

    def run(frames: Sequence[Frame], every: int) -> list[Said]:
        from supervision import Detections

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            update = make(RATE / every if between == "skipped" else RATE)
        last, said = NOTHING, []
        for k, frame in enumerate(frames):
            seconds = (frame.stamp - frames[0].stamp) * 1e-9
            if k % every == 0:
                found = frame.found
                out = update(Detections(xyxy=found.boxes.astype(np.float64), confidence=found.scores.copy(),
                                        class_id=found.labels.astype(int)), seconds)  # fmt: skip
                kept = np.flatnonzero(out.tracker_id >= 0) if out.tracker_id is not None else []
                last = Said(out.tracker_id[kept].astype(np.int64), out.class_id[kept].astype(np.int64),
                            out.xyxy[kept].astype(np.float64)) if len(kept) else NOTHING  # fmt: skip
            elif between == "empty":
                update(Detections(np.zeros((0, 4)), confidence=np.zeros(0), class_id=np.zeros(0, int)), seconds)
            said.append(last)
        return said

    return run


def peers(config: TrackerConfig, every: int) -> dict[str, dict[str, Way]]:
    """The peers that are installed, each in all of its ways."""
    like_ours = {"minimum_consecutive_frames": config.min_hits}

    def memory(rate: float) -> dict[str, Any]:
        # Both libraries count the buffer in frames at 30 Hz.
        return {"lost_track_buffer": round(30 * config.max_lost), "frame_rate": rate}

    def supervision(rate: float, matched: bool) -> Callable[[Any, float], Any]:
        import supervision as library

        more = {"track_activation_threshold": config.high_score, **like_ours, **memory(rate)} if matched else {}
        tracker = library.ByteTrack(**{"frame_rate": rate, **more})
        return lambda found, _: tracker.update_with_detections(found)

    def of_trackers(name: str, rate: float, matched: bool, stamped: bool) -> Callable[[Any, float], Any]:
        import trackers as library

        more: dict[str, Any] = {}
        if matched:
            more = {"high_conf_det_threshold": config.high_score, **like_ours, **memory(rate)}
            if name != "OCSORTTracker":
                more["track_activation_threshold"] = config.high_score
        tracker = getattr(library, name)(**{"frame_rate": rate, **more})
        if stamped:
            return lambda found, seconds: tracker.update(found, timestamp=seconds)
        return lambda found, _: tracker.update(found)

    found: dict[str, dict[str, Way]] = {}
    gaps = ("skipped",) if every == 1 else ("skipped", "empty")
    for title, name in (
        ("supervision ByteTrack", "ByteTrack"),
        ("trackers ByteTrackTracker", "ByteTrackTracker"),
        ("trackers OCSORTTracker", "OCSORTTracker"),
    ):
        ways: dict[str, Way] = {}
        for matched in (False, True):
            text = "matched" if matched else "default"
            if name == "ByteTrack":
                for gap in gaps:
                    ways[f"{text}, {gap}"] = peer(lambda rate, m=matched: supervision(rate, m), gap)
            else:
                for gap in gaps:
                    ways[f"{text}, {gap}"] = peer(lambda r, n=name, m=matched: of_trackers(n, r, m, False), gap)
                if every > 1:
                    ways[f"{text}, stamped"] = peer(lambda r, n=name, m=matched: of_trackers(n, r, m, True), "stamped")
        found[title] = ways
    return found


# The score -----------------------------------------------------------------------------------------------------------


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0.0), axis=2)
    area = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
    return both / np.maximum(area[0][:, None] + area[1] - both, 1e-9)


def judged(frame: Frame, said: Said, void: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ids and classes of true and predicted boxes, and their IoU, without what is void."""
    truth = frame.truth
    similarity = iou(truth.boxes, said.boxes)
    counts = truth.pixels >= void
    # What counts comes first, so that a void thing takes no prediction from one that does not.
    rows, columns = linear_sum_assignment((similarity + counts[:, None]) * (similarity >= THRESHOLD), maximize=True)
    gone = columns[(similarity[rows, columns] >= THRESHOLD) & ~counts[rows]]
    kept = np.setdiff1d(np.arange(len(said.ids)), gone)
    return truth.ids[counts], truth.labels[counts], said.ids[kept], said.labels[kept], similarity[counts][:, kept]


def measure(sequences: Sequence[Sequence[Frame]], answers: Sequence[Sequence[Said]], void: int, every: int,
            looks: bool) -> dict[str, dict[str, float]]:  # fmt: skip
    """TrackEval's figures of one tracker: over all classes as one, and per class."""
    parts: dict[str, list[list[tuple[Any, ...]]]] = {}
    for frames, said in zip(sequences, answers, strict=True):
        moments = [judged(f, s, void) for k, (f, s) in enumerate(zip(frames, said, strict=True))
                   if not looks or k % every == 0]  # fmt: skip
        parts.setdefault("agnostic", []).append([(t, p, s) for t, _, p, _, s in moments])
        classes = {c for _, a, _, b, _ in moments for c in (*a.tolist(), *b.tolist())}
        for label in classes:
            of_class = []
            for t, a, p, b, s in moments:
                true, predicted = a == label, b == label
                of_class.append((t[true], p[predicted], s[true][:, predicted]))
            parts.setdefault(f"class {label}", []).append(of_class)
    scored = {name: evaluate(runs) for name, runs in parts.items()}
    agnostic = scored.pop("agnostic")
    return {"agnostic": summary(agnostic), "classes": summary(together(scored))}


@cache
def metrics() -> dict[str, Any]:
    from trackeval.metrics import CLEAR, HOTA, Identity

    return {"HOTA": HOTA(), "Identity": Identity({"PRINT_CONFIG": False}), "CLEAR": CLEAR({"PRINT_CONFIG": False})}


def evaluate(runs: Sequence[Sequence[tuple[Any, ...]]]) -> dict[str, Any]:
    """Every metric, combined over the sequences ``runs``."""
    each: dict[str, dict[str, Any]] = {name: {} for name in metrics()}
    for k, moments in enumerate(runs):
        truths, tracks = (np.unique(np.concatenate([np.zeros(0, np.int64), *(m[i] for m in moments)])) for i in (0, 1))
        data = {
            "gt_ids": [np.searchsorted(truths, m[0]) for m in moments],
            "tracker_ids": [np.searchsorted(tracks, m[1]) for m in moments],
            "similarity_scores": [m[2] for m in moments],
            "num_gt_ids": len(truths),
            "num_tracker_ids": len(tracks),
            "num_gt_dets": sum(len(m[0]) for m in moments),
            "num_tracker_dets": sum(len(m[1]) for m in moments),
            "num_timesteps": len(moments),
        }
        for name, metric in metrics().items():
            each[name][str(k)] = metric.eval_sequence(data)
    return {name: metric.combine_sequences(each[name]) for name, metric in metrics().items()}


def together(scored: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All classes, by adding their counts."""
    return {
        name: metric.combine_classes_det_averaged({label: figures[name] for label, figures in scored.items()})
        for name, metric in metrics().items()
    }


def summary(figures: dict[str, Any]) -> dict[str, float]:
    hota = {name.lower(): 100.0 * float(np.mean(figures["HOTA"][name])) for name in ("HOTA", "DetA", "AssA")}
    return {
        **hota,
        "idf1": 100.0 * float(figures["Identity"]["IDF1"]),
        "mota": 100.0 * float(figures["CLEAR"]["MOTA"]),
        "switches": int(figures["CLEAR"]["IDSW"]),
    }


# The table -----------------------------------------------------------------------------------------------------------


def row(sequences: Sequence[Sequence[Frame]], way: Way, every: int, void: int) -> dict[str, Any]:
    answers = [way(frames, every) for frames in sequences]
    scopes = {"looks": True} if every == 1 else {"looks": True, "all": False}
    return {
        "ids": sum(len({i for said in answer for i in said.ids.tolist()}) for answer in answers),
        **{scope: measure(sequences, answers, void, every, looks) for scope, looks in scopes.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("bags", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, required=True, help="folder of what was found and what is true")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 3], help="the network sees every N-th frame")
    parser.add_argument("--void", type=int, default=VOID, help="pixels below which a true thing is void")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    arguments = parser.parse_args()

    sequences = [frames_of(bag, arguments.cache) for bag in arguments.bags]
    things = sum(len({i for f in frames for i in f.truth.ids[f.truth.pixels >= arguments.void].tolist()})
                 for frames in sequences)  # fmt: skip
    print(f"{len(sequences)} sequences, {sum(map(len, sequences))} frames, {things} things")
    config = TrackerConfig()
    table: dict[str, Any] = {}
    for every in arguments.every:
        found = {OURS: row(sequences, ours(config), every, arguments.void)}
        found["ours, no camera motion"] = row(sequences, ours(config, False), every, arguments.void)
        for title, ways in peers(config, every).items():
            rows = {name: row(sequences, way, every, arguments.void) for name, way in ways.items()}
            best = max(rows, key=lambda name: rows[name]["looks"]["agnostic"]["idf1"])
            found[title] = {"way": best, **rows[best], "ways": rows}
        table[str(every)] = found
        show(every, found)
    if arguments.json:
        content = {"title": "tracking quality", "machine": machine(), "sequences": len(sequences), "things": things,
                   "void": arguments.void, "every": table}  # fmt: skip
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


def show(every: int, found: dict[str, Any]) -> None:
    keys = ("hota", "idf1", "mota", "switches")
    print(f"\nthe network sees every {every}. frame" if every > 1 else "\nthe network sees every frame")
    for scope in ("looks", "all") if every > 1 else ("looks",):
        print(f"  {scope + ':':<66}{'class-agnostic':^32}{'per class':^32}")
        print(f"  {'':<66}" + "".join(f"{key:>8}" for key in keys) * 2)
        for title, figures in found.items():
            name = f"{title} ({figures['way']})" if "way" in figures else title
            cells = [figures[scope][part][key] for part in ("agnostic", "classes") for key in keys]
            print(f"  {name + ', ' + str(figures['ids']) + ' ids':<66}" + "".join(
                f"{cell:>8}" if isinstance(cell, int) else f"{cell:8.2f}" for cell in cells))  # fmt: skip


if __name__ == "__main__":
    main()

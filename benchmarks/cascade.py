"""What the cascade's policies cost and what they are worth: frame rate beside quality, every policy; and what a planner
had at each moment.

    python benchmarks/cascade.py BAG... [--frames N] [--skip N] [--things truth|MODEL] [--ratio 12.5]
        [--set KEY=VALUE] [--json OUT] [--plot OUT.png]

The bags are the world's (``python -m tools.world bag``, at 30 Hz). The semantic network is the shipped one, run once
per frame. Things are told by ``truth``, the true instances, or by an instance network (world_instance: the shipped
one). They are held back by the time of a network that costs ``--ratio`` times the semantic one's, whose own time is
measured here first, or given with ``--semantic-ms``; so is the time of all that is not a network (motion, tracks,
carried masks, fusion), ``--rest-ms``. What follows is on the stamps' clock: it repeats on every machine.

*Frame by frame*: what came out for a frame against its own truth. Looks are in line, of no latency, so that only the
thinning counts; the frame rate is that of one worker, ``1 / (semantic + rest + looks per frame * instance)``.
``crops`` is every N-th frame with looks at the frame and at one crop in turns; a look there counts forward passes.
``--skip`` leaves out the first frames, so that looks fall on others: how much of a difference is chance.

*Streaming* (Li et al., "Towards Streaming Perception", ECCV 2020): at the time of every true frame, the newest answer
that was out by then. Answers of the cascade are out one semantic network's time after their frame, looks come back when
they are done; ``in line`` waits for both networks at every frame that it takes, and takes the newest when it is free.

PQ and IDF1 are over the classes with a priority, in percent; true things under 225 pixels are void, and stuff under
500; ``_100``: both under 100 pixels. ``small`` is the recall of the small ones: of those with a priority whose visible
part is 8 to 32 pixels as the square root of its area (as COCO counts), the part that what came out matches with an IoU
of 0.5 or more; ``small_side``: 8 to 32 pixels along its longer side. Both count what is mostly hidden, too. ``crops``
beside ``every`` with as many looks is what crops are worth there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from side_by_side import write

from seg_perception import scenario
from seg_perception.cascade import CascadeConfig
from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.conformance import pixels
from seg_perception.evaluation.identity import THRESHOLD
from seg_perception.evaluation.segments import Segments, overlap
from seg_perception.evaluation.sequence import Scorer, Scores
from seg_perception.frames import stamp_of
from seg_perception.labels import LabelSpace
from seg_perception.models import InstanceNetwork, load_instance, load_semantic
from seg_perception.offline.bags import Bag
from seg_perception.pipeline import Networks, Pipeline
from seg_perception.timing import StageTimes
from seg_perception.types import Frame, Instances, Mask, SemanticMap

LABELS = LabelSpace.load("navigation")
SECOND = 10**9
VOID = {"": (225, 500), "_100": (100, 100)}
"""Least pixels of true things and of stuff, by the ending of what is scored so."""

SMALL = (8, 32)
"""Pixels of what counts as small: from, to below."""

Quality = dict[str, Scores]
"""The scores under each convention of :data:`VOID`."""


@dataclass(frozen=True)
class Recording:
    """One sequence, and what either network says about each of its frames."""

    name: str
    frames: list[Frame]
    truths: list[np.ndarray]
    semantic: list[SemanticMap]
    instances: list[Instances]
    network: InstanceNetwork | None
    """What is asked about crops; the truth tells nothing about them."""

    @property
    def period(self) -> float:
        """Seconds from frame to frame."""
        return (self.frames[-1].stamp - self.frames[0].stamp) / SECOND / (len(self.frames) - 1)


class Told:
    """A network whose answers are known: those of ``answers`` to the images of ``frames``. Crops are shown to
    ``network``; ``asked`` counts forward passes.
    """

    def __init__(self, frames: Sequence[Frame], answers: Sequence[Any], network: InstanceNetwork | None = None) -> None:
        self._network = network
        self._answers = {id(frame.image): answer for frame, answer in zip(frames, answers, strict=True)}
        self.asked = 0

    def __call__(self, image: np.ndarray, times: StageTimes, regions: Any = None) -> Any:
        """The answer."""
        self.asked += 1 if regions is None else len(regions)
        if regions is not None and self._network is not None:
            return self._network(image, times, regions)
        return self._answers[id(image)]


def true_instances(truth: np.ndarray) -> Instances:
    """The things of a true map, as a perfect network would tell them."""
    ids = [i for i in np.unique(truth).tolist() if i >> 16]
    boxes, masks = [], []
    for number in ids:
        rows, columns = np.nonzero(truth == number)
        x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        boxes.append((x0, y0, x1, y1))
        masks.append(Mask(int(x0), int(y0), truth[y0:y1, x0:x1] == number))
    return Instances(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(ids), 0.9, np.float32),
        np.array([i & 0xFFFF for i in ids], np.uint8),
        tuple(masks),
    )


def load(path: Path, instance: str, count: int | None = None, skip: int = 0) -> tuple[Recording, list[float]]:
    """The recording of a bag's first ``count`` frames without the very first ``skip``, and the seconds of the semantic
    network at each.
    """
    with Bag(path) as bag:
        frames = [
            Frame(stamp_of(m), m.header.frame_id, np.asarray(m.data).reshape(m.height, m.width, 3).copy())
            for m in islice(bag.contents("/camera/image_raw"), skip, count)
        ]
        truths = [pixels(m).copy() for m in islice(bag.contents("/truth/panoptic"), skip, count)]
    network, seconds, maps = load_semantic(ModelsConfig().semantic, LABELS), [], []
    for frame in frames:
        start = perf_counter()
        maps.append(network(frame.image, StageTimes()))
        seconds.append(perf_counter() - start)
    shipped = None if instance == "truth" else load_instance(instance, LABELS)
    if shipped is None:
        things = [true_instances(truth) for truth in truths]
    else:
        things = [shipped(frame.image, StageTimes()) for frame in frames]
    return Recording(path.stem, frames, truths, maps, things, shipped), seconds


def perceived(
    recording: Recording, config: PipelineConfig, numbers: Sequence[int]
) -> tuple[list[np.ndarray], int, list[float]]:
    """The panoptic maps of the frames ``numbers`` of a recording, how many looks they took, and the seconds that each
    took beside the networks.
    """
    frames = recording.frames
    instance = Told(frames, recording.instances, recording.network)
    pipeline = Pipeline(Networks(Told(frames, recording.semantic), instance), LABELS, config)  # type: ignore[arg-type]
    seen = [pipeline(frames[n]) for n in numbers]
    # A look in line is taken within the cascade's stage.
    rest = [sum(p.seconds.values()) - sum(sum(look.seconds.values()) for look in p.looks) for p in seen]
    return [p.panoptic.panoptic for p in seen], instance.asked, rest


def scored(truths: Sequence[np.ndarray], maps: Sequence[np.ndarray | None]) -> Quality:
    """The scores of one sequence; a frame without an answer yet is scored by a map of nothing."""
    scorers = {name: Scorer(LABELS, min_thing=things, min_stuff=stuff) for name, (things, stuff) in VOID.items()}
    for truth, found in zip(truths, maps, strict=True):
        for scorer in scorers.values():
            scorer.add(truth, np.full_like(truth, 255) if found is None else found)
    return {name: scorer.scores() for name, scorer in scorers.items()}


def small_found(truths: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> np.ndarray:
    """``(2, 2)`` how many small true things with a priority the maps of one sequence match, frame by frame, and how
    many there are: by the square root of their area, and by their longer side; see :data:`SMALL`.
    """
    counts = np.zeros((2, 2), np.int64)
    for truth, seen in zip(truths, maps, strict=True):
        pair = overlap(truth, seen)
        t, p = (Segments.predicted(ids, LABELS.things) for ids in (pair.truth, pair.predicted))
        things = np.flatnonzero((pair.truth >> 16 > 0) & (LABELS.priorities[t.classes] > 0))
        same = (t.classes[:, None] == p.classes) & (pair.predicted >> 16 > 0)
        found = ((pair.iou(np.zeros(len(t), np.bool_)) >= THRESHOLD) & same).any(axis=1)[things]
        sides = [max(np.ptp(axis) + 1 for axis in np.nonzero(truth == number)) for number in pair.truth[things]]
        for count, size in zip(counts, (np.sqrt(pair.truth_area[things]), np.array(sides)), strict=True):
            small = (size >= SMALL[0]) & (size < SMALL[1])
            count += np.count_nonzero(found & small), np.count_nonzero(small)
    return counts


def together(one: Quality, other: Quality) -> Quality:
    """The scores of several sequences."""
    return {name: one[name] + other[name] for name in one}


def frame_by_frame(recordings: Sequence[Recording], config: PipelineConfig) -> tuple[Quality, np.ndarray, float, float]:
    """The scores against each frame's own truth, both recalls of small things, the looks per frame, and the seconds
    per frame beside the networks.
    """
    scores, looks, frames, rest, small = [], 0, 0, [], np.zeros((2, 2))
    for recording in recordings:
        maps, asked, seconds = perceived(recording, config, range(len(recording.frames)))
        scores.append(scored(recording.truths, maps))
        small += small_found(recording.truths, maps)
        looks, frames, rest = looks + asked, frames + len(maps), rest + seconds
    return reduce(together, scores), small[:, 0] / np.maximum(small[:, 1], 1), looks / frames, float(np.mean(rest))


def streaming(
    recordings: Sequence[Recording], config: PipelineConfig, semantic: float, in_line: float | None
) -> tuple[Quality, float, float]:
    """The scores of what was out at the time of each frame, answers per second, and the looks per frame.

    ``semantic`` is the seconds of the semantic network; ``in_line`` those of an instance network which every frame
    waits for, None for looks beside the stream.
    """
    scores, answers, looks, duration = [], 0, 0, 0.0
    for recording in recordings:
        stamps = [(f.stamp - recording.frames[0].stamp) / SECOND for f in recording.frames]
        taken = list(taken_frames(stamps, semantic + (in_line or 0.0)))
        maps, asked, _ = perceived(recording, config, [n for n, _ in taken])
        out = [done for _, done in taken]
        at: list[np.ndarray | None] = []
        for stamp in stamps:
            ready = int(np.searchsorted(out, stamp, side="right"))
            at.append(maps[ready - 1] if ready else None)
        scores.append(scored(recording.truths, at))
        answers, looks, duration = answers + len(maps), looks + asked, duration + stamps[-1] + recording.period
    return reduce(together, scores), answers / duration, looks / answers


def taken_frames(stamps: Sequence[float], seconds: float) -> Iterator[tuple[int, float]]:
    """Which frames a worker that takes ``seconds`` for each takes, newest first, and when each is done."""
    free, number = 0.0, -1
    while True:
        start = max(free, stamps[number + 1]) if number + 1 < len(stamps) else np.inf
        newest = int(np.searchsorted(stamps, start, side="right")) - 1
        if newest <= number or start == np.inf:
            return
        number, free = newest, start + seconds
        yield number, free
        if number + 1 >= len(stamps):
            return


def line(scores: Quality, **more: Any) -> dict[str, Any]:
    """What is told of each way."""
    names = ("pq_things", "idf1", "id_switches", "hota", "stq", "pq", "miou")
    summaries = {ending: one.summary() for ending, one in scores.items()}
    return {**more, **{f"{name}{ending}": one[name] for ending, one in summaries.items() for name in names}}


def ways(crops: bool) -> list[tuple[str, str, CascadeConfig]]:
    """Policy, its setting, configuration."""
    never = 600.0
    return [
        *(("every", f"{n}", CascadeConfig(every=n)) for n in (1, 2, 3, 4, 6, 8, 12)),
        *(("presence", f"{s:g} s", CascadeConfig(policy="presence", staleness=s)) for s in (0.1, 0.2, 0.4)),
        *(
            ("budget", f"{r:g} Hz", CascadeConfig(policy="budget", rate=r, share=1.0, staleness=never, heartbeat=never))
            for r in (2.0, 4.0, 8.0, 15.0)
        ),
        *(("crops", f"{n}", CascadeConfig(every=n, crops=1)) for n in (1, 2, 4) if crops),
    ]


def beside() -> list[tuple[str, str, CascadeConfig]]:
    """The same for looks that take their time."""
    never = 600.0
    return [
        *(("every", f"{n}", CascadeConfig(every=n)) for n in (1, 15, 30)),
        *(("presence", f"{s:g} s", CascadeConfig(policy="presence", staleness=s)) for s in (0.1, 0.4, 0.8)),
        *(
            ("budget", f"{s:g}", CascadeConfig(policy="budget", share=s, staleness=never, heartbeat=never))
            for s in (0.25, 0.5, 1.0)
        ),
    ]


def main() -> None:
    """Measure, print, plot and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("bags", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, help="the first so many of each bag; left out, all")
    parser.add_argument("--skip", type=int, default=0, help="of these leave out the first so many")
    parser.add_argument("--things", default="truth", help="truth, or the manifest of an instance network")
    parser.add_argument("--ratio", type=float, default=12.5, help="cost of the instance network, semantic ones")
    parser.add_argument("--semantic-ms", type=float, help="take this instead of measuring it")
    parser.add_argument("--rest-ms", type=float, help="the same for all that is no network")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the rest of the pipeline")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    if chosen.skip < 0:
        parser.error(f"--skip {chosen.skip}: expected 0 or more")
    if chosen.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    loaded = [load(path, chosen.things, chosen.frames, chosen.skip) for path in chosen.bags]
    recordings = [recording for recording, _ in loaded]
    for path, recording in zip(chosen.bags, recordings, strict=True):
        if len(recording.frames) < 2:
            parser.error(f"{path}: {len(recording.frames)} frames are left of it; expected two at least")
    measured = float(np.median([s for _, seconds in loaded for s in seconds]))
    semantic = chosen.semantic_ms / 1e3 if chosen.semantic_ms else measured
    instance = chosen.ratio * semantic
    config = scenario.load(None, chosen.set)
    print(f"semantic {1e3 * semantic:.1f} ms, instance {1e3 * instance:.0f} ms; {len(recordings)} sequences")
    rows: list[dict[str, Any]] = []

    def tell(row: dict[str, Any]) -> None:
        rows.append(row)
        told = ("rate", "looks", "pq_things", "idf1", "pq_things_100", "idf1_100", "hota", "stq", "small", "small_side")
        numbers = "  ".join(f"{k} {row[k]:6.3f}" for k in told if k in row)
        print(
            f"{row['table']:15} {row['policy']:9} {row['setting']:8} {numbers}  switches {row['id_switches']}",
            flush=True,
        )

    for policy, setting, cascade in ways(recordings[0].network is not None):
        scores, small, looks, rest = frame_by_frame(recordings, replace(config, cascade=cascade))
        if chosen.rest_ms is not None:
            rest = chosen.rest_ms / 1e3
        rate = 1.0 / (semantic + rest + looks * instance)
        row = line(scores, table="frame by frame", policy=policy, setting=setting, rate=rate, looks=looks)
        tell(row | {"small": float(small[0]), "small_side": float(small[1]), "rest_ms": 1e3 * rest})
    scores, rate, looks = streaming(recordings, config, semantic, instance)
    tell(line(scores, table="streaming", policy="in line", setting="every", rate=rate, looks=looks))
    for policy, setting, cascade in beside():
        late = replace(cascade, instance_latency=(instance,))
        scores, rate, looks = streaming(recordings, replace(config, cascade=late), semantic, None)
        tell(line(scores, table="streaming", policy=policy, setting=setting, rate=rate, looks=looks))
    write(
        "cascade",
        [{"semantic_ms": 1e3 * semantic, "instance_ms": 1e3 * instance, "things": chosen.things}, *rows],
        chosen.json,
    )
    if chosen.plot:
        plot(rows, chosen.plot)


def plot(rows: Sequence[dict[str, Any]], to: Path) -> None:
    """Quality over frame rate, a line per policy; needs matplotlib."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(11, 8))
    for row_of, table in zip(panels, ("frame by frame", "streaming"), strict=True):
        across = "rate" if table == "frame by frame" else "looks"
        for panel, quality in zip(row_of, ("pq_things", "idf1"), strict=True):
            for policy in dict.fromkeys(r["policy"] for r in rows if r["table"] == table):
                mine = sorted(
                    (r for r in rows if (r["table"], r["policy"]) == (table, policy)), key=lambda r: r[across]
                )
                panel.plot([r[across] for r in mine], [100 * r[quality] for r in mine], "o-", alpha=0.7, label=policy)
            panel.set_xlabel("frames per second of one worker" if across == "rate" else "looks per answered frame")
            panel.set_ylabel({"pq_things": "PQ of things", "idf1": "IDF1"}[quality])
            panel.set_title(table)
            if across == "looks":
                panel.set_xscale("log")
            panel.grid(alpha=0.3, which="both")
            panel.legend()
    figure.tight_layout()
    figure.savefig(to, dpi=110)


if __name__ == "__main__":
    main()

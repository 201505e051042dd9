"""``seg_perception mine BAG... -o FOLDER``: frames worth labelling next, why, and their pre-labels."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from seg_perception import __version__, scenario
from seg_perception.cascade import CascadeConfig
from seg_perception.config import OutputConfig, PipelineConfig
from seg_perception.errors import BagError, ConfigError
from seg_perception.evaluation.sources import count
from seg_perception.labels import LabelSpace
from seg_perception.mining import scores
from seg_perception.mining.dataset import MANIFEST, PARTS, DataSet, Taken
from seg_perception.mining.observed import Observed, observe
from seg_perception.mining.selection import AUDIT, Candidates, Choice, audit, select
from seg_perception.offline import many
from seg_perception.offline.collection import Source, find, fingerprint, refuse_within
from seg_perception.offline.runs import what_decides

REASONS = {
    "disagreement": "semantic and instance network disagree on {:.0%} of the things' pixels",
    "doubt": "{:.0%} of the pixels are below half confidence",
    "flicker": "{:.1%} of the pixels changed class while the picture stood still",
    "rarity": "its rarest class, {name}, is in one of {:.1f} frames",
    "small": "{:.0f} small things",
    "occluded": "{:.0f} things that hide each other",
}
"""The reasons in the order of their turns, and the words for a score."""

WORK = "work"
"""The folder, below the result, of what was found in each bag; it may be deleted when all is done."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """What to take: up to ``count`` frames for the reasons, at least ``gap`` seconds apart in a bag and differing in
    more than ``alike`` of 64 bits of their looks; and ``audit`` (0..1) of all frames by lot, with ``seed``.
    """

    count: int = 100
    audit: float = 0.01
    gap: float = 1.0
    alike: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 0 or not 0 <= self.audit <= 1 or not self.gap >= 0 or not 0 <= self.alike <= 64:
            raise ConfigError(
                f"mine: count {self.count}, audit {100 * self.audit:g} %, gap {self.gap:g}, alike {self.alike}; "
                "expected count >= 0, audit 0..100 % of the frames, gap >= 0 s and alike 0..64 bits"
            )


def jobs(sources: Sequence[Source], out: Path, config: PipelineConfig, topic: str | None) -> list[many.Job]:
    """One job for each bag: its frames perceived and scored, into ``out/work``."""
    decides = {**what_decides(config), "topic": topic}
    return [
        many.Job(
            source.name,
            {**decides, "bag": fingerprint(source.path)},
            (maps := out / WORK / f"{source.name}.mcap", table := out / WORK / f"{source.name}.npz"),
            partial(observe, source.path, maps, table, config, topic),
        )
        for source in sources
    ]


def every_frame(config: PipelineConfig) -> PipelineConfig:
    """``config`` as mining wants it: both networks see every frame, and the maps are as large as the images."""
    return dataclasses.replace(config, cascade=CascadeConfig(), output=OutputConfig())


def mine(
    sources: Sequence[Source],
    outcomes: Sequence[many.Outcome],
    out: Path,
    config: PipelineConfig,
    topic: str | None,
    wish: Wish,
) -> list[Taken]:
    """Choose among the frames of all bags that could be read, and write the data set into ``out``."""
    by_name = {outcome.name: outcome for outcome in outcomes if outcome.status != "failed"}
    used = [source for source in sources if source.name in by_name]
    if not used:
        raise BagError(f"none of {len(sources)} bags could be read; nothing to choose from")
    tables = [Observed.load(out / WORK / f"{source.name}.npz") for source in used]
    hashes = [by_name[source.name].facts["sha256"] for source in used]
    labels = LabelSpace.load(config.labels)
    taken = _taken(used, tables, hashes, labels, wish)
    for old in PARTS:
        shutil.rmtree(out / old, ignore_errors=True)
    data_set = DataSet(out, labels)
    for source in used:
        mine = [frame for frame in taken if frame.bag == source.name]
        if mine:
            data_set.add(mine, source.path, topic, out / WORK / f"{source.name}.mcap")
    data_set.close(
        {
            "seg_perception": __version__,
            "wish": dataclasses.asdict(wish),
            "topic": topic,
            "bags": {
                source.name: {
                    "sha256": sha256,
                    "frames": len(table.stamps),
                    "damage": by_name[source.name].facts["damage"],
                }
                for source, sha256, table in zip(used, hashes, tables, strict=True)
            },
            **what_decides(config),
        }
    )
    return taken


def _refuse_strange(out: Path) -> None:
    """Raise :class:`ConfigError` where ``out`` has folders of the names that are made anew, and mining made it not."""
    ours = (out / MANIFEST).is_file() or (out / WORK / many.ACCOUNTS).is_dir()
    strange = [part for part in PARTS if (out / part).exists()]
    if strange and not ours:
        raise ConfigError(
            f"-o {out}: has a folder '{strange[0]}' that `mine` did not write and would replace; choose another folder"
        )


def _taken(
    sources: Sequence[Source], tables: Sequence[Observed], hashes: Sequence[str], labels: LabelSpace, wish: Wish
) -> list[Taken]:
    bag = np.repeat(np.arange(len(tables)), [len(table.stamps) for table in tables])
    log_times = np.concatenate([table.log_times for table in tables])
    every = {name: np.concatenate([getattr(table, name) for table in tables]) for name in REASONS if name != "rarity"}
    surprise = scores.surprise(np.concatenate([table.pixels for table in tables]))
    every["rarity"] = surprise.max(1)
    candidates = Candidates(
        bag,
        np.concatenate([table.stamps for table in tables]),
        np.concatenate([table.hashes for table in tables]),
        {name: every[name] for name in REASONS},
    )
    chosen = {choice.frame: choice for choice in select(candidates, wish.count, wish.gap, wish.alike)}
    times = [time for table in tables for time in _times(table)]
    drawn = audit([f"{hashes[b]} {time}" for b, time in zip(bag.tolist(), times, strict=True)], wish.audit, wish.seed)
    rarest = surprise.argmax(1).tolist()
    taken = []
    for frame in sorted({*chosen, *drawn}):
        name, stamp = sources[int(bag[frame])].name, int(candidates.stamps[frame])
        choice = chosen.get(frame)
        why = [
            *([_words(choice, labels.classes[rarest[frame]].name)] if choice else []),
            *(["drawn by lot"] if frame in drawn else []),
        ]
        taken.append(
            Taken(
                f"{name.replace('/', '__')}__{times[frame]}",
                name,
                int(log_times[frame]),
                stamp,
                (*((choice.reason,) if choice else ()), *((AUDIT,) if frame in drawn else ())),
                "; ".join(why),
                {reason: float(every[reason][frame]) for reason in REASONS},
            )
        )
    return taken


def _times(table: Observed) -> list[str]:
    """What tells each frame of a bag from its others: its log time, with its stamp where several have that."""
    log_times, stamps = table.log_times.tolist(), table.stamps.tolist()
    times = Counter(log_times)
    return [str(log) if times[log] == 1 else f"{log}_{stamp}" for log, stamp in zip(log_times, stamps, strict=True)]


def _words(choice: Choice, rarest: str) -> str:
    value = 2**choice.score if choice.reason == "rarity" else choice.score
    return f"{REASONS[choice.reason].format(value, name=rarest)}, more than in {choice.above:.0%} of the frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception mine``."""
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="folder, .mcap or .db3; a folder of bags")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the data set goes")
    parser.add_argument("--topic", help="the image topic; found where there is only one")
    parser.add_argument("--config", type=Path, metavar="YAML", help="a scenario, as for `run`")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change it")
    wish = Wish()
    parser.add_argument("--count", type=int, default=wish.count, metavar="N", help=f"frames to choose ({wish.count})")
    parser.add_argument("--audit", type=float, default=100 * wish.audit, metavar="%", help="part drawn by lot (1)")
    parser.add_argument("--gap", type=float, default=wish.gap, metavar="S", help="least seconds between two (1)")
    parser.add_argument("--alike", type=int, default=wish.alike, metavar="BITS", help="near-duplicates (6 of 64 bits)")
    parser.add_argument("--seed", type=int, default=wish.seed, help="of the lots (0)")
    many.add_arguments(parser)


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception mine``; returns the exit status, 1 where a bag failed or is damaged."""
    workers = many.chosen(arguments)
    config = every_frame(workers.configured(scenario.load(arguments.config, arguments.set)))
    wish = Wish(arguments.count, arguments.audit / 100, arguments.gap, arguments.alike, arguments.seed)
    sources = find(arguments.bags)
    refuse_within(arguments.output, arguments.bags)
    _refuse_strange(arguments.output)
    todo = jobs(sources, arguments.output, config, arguments.topic)
    outcomes = many.report(many.carry_out(todo, arguments.output / WORK, workers), len(todo), print)
    taken = mine(sources, outcomes, arguments.output, config, arguments.topic, wish)
    for reason in (*REASONS, AUDIT):
        print(f"{sum(reason in frame.reasons for frame in taken):6d} {reason}")
    chosen = sum(frame.reasons != (AUDIT,) for frame in taken)
    if chosen < wish.count:
        print(f"{chosen} of {wish.count} frames asked for: the others are alike, too close in time, or score nothing")
    print(f"{arguments.output}: {count(len(taken), 'frame')}, why in frames.csv; pre-labels in annotations/")
    return 0 if all(outcome.whole for outcome in outcomes) else 1

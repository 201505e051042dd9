"""``python -m tools.world.score PERCEIVED... --truth FOLDER``: how good what ``seg_perception run`` made of the world's
bags is.

    for bag in /data/test/*.mcap; do
        seg_perception run $bag --topic /camera/image_raw -o /data/perceived/$(basename $bag)
    done
    python -m tools.world.score /data/perceived/*.mcap --truth /data/test --json scores.json

Every perceived bag is held against the truth of the bag of the same name in FOLDER, matched by stamp. Everything is
scored once for each pair of ``--void`` THING/STUFF, side by side: true things and classes of stuff of fewer visible
pixels are void. Average precision is that of the published tracks. Prints, for each pair, a line per class and what is
most often taken for what, and a line per bag; the JSON has it all, with every bag's own scores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from seg_perception.errors import ConfigError, SegPerceptionError
from seg_perception.evaluation.average_precision import painted
from seg_perception.evaluation.confusion import Confusion, taken_for
from seg_perception.evaluation.matching import frames, matched
from seg_perception.evaluation.sequence import Scorer, Scores
from seg_perception.evaluation.sources.bags import BagSource
from seg_perception.labels import LabelSpace

TRUTH = "/truth/panoptic"
PANOPTIC = "/camera/panoptic/image_raw"
DEFAULT = ("225/500", "100/100")
MOST = 8
"""Lines of the list of confusions."""


@dataclass(frozen=True)
class Scored:
    """One bag: its scores by the name of the void rule, and how many true frames have no answer (they are left out)."""

    scores: Mapping[str, Scores]
    unanswered: int


def score(truth: Path, perceived: Path, void: Sequence[str] = DEFAULT) -> Scored:
    """Score the bag ``perceived`` by the bag ``truth``; raises :class:`InputError` when they share no stamp."""
    labels = LabelSpace.load("navigation")
    scorers = {name: Scorer(labels, min_thing=_sizes(name)[0], min_stuff=_sizes(name)[1]) for name in void}
    prediction = BagSource(perceived, truth=False, topic=PANOPTIC)
    true = BagSource(truth, truth=True, topic=TRUTH)
    matching = matched(prediction, true)
    for expected, answer in frames(prediction, true, matching):
        if answer is not None:
            found = painted(answer.panoptic, answer.scores or {})
            for scorer in scorers.values():
                scorer.add(expected.panoptic, answer.panoptic, found)
    return Scored({name: scorer.scores() for name, scorer in scorers.items()}, len(matching.unanswered))


def confusions(found: Confusion, names: Sequence[str], most: int = MOST) -> list[str]:
    """What is most often taken for what, by the part of a class's own pixels."""
    return [f"{part:6.1%} of {true} taken for {given}" for true, given, part in taken_for(found, names, most)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Score every bag of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.world.score", description=__doc__.split("\n\n")[0])
    parser.add_argument("perceived", type=Path, nargs="+", help="bags that `seg_perception run` wrote")
    parser.add_argument("--truth", type=Path, required=True, help="the folder of the world's bags, same names")
    parser.add_argument("--void", nargs="+", default=list(DEFAULT), metavar="THING/STUFF",
                        help="pixels below which a true thing, and a class of stuff, is void in a frame")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write all scores to this file")
    chosen = parser.parse_args(arguments)

    bags: dict[str, Scored] = {}
    for path in chosen.perceived:
        try:
            bags[path.name] = score(chosen.truth / path.name, path, chosen.void)
        except SegPerceptionError as error:
            parser.exit(2, f"{parser.prog}: {error}\n")
        print(_line(path.name, bags[path.name], chosen.void), flush=True)
    total = {name: reduce(add, (bag.scores[name] for bag in bags.values())) for name in chosen.void}
    for name, scores in total.items():
        thing, stuff = _sizes(name)
        print(f"\n{len(bags)} bags, things under {thing} and stuff under {stuff} pixels void; percent")
        print(scores.table())
        print("\n".join(confusions(scores.confusion, [c.name for c in scores.labels.classes])))
    if chosen.json:
        content = {
            "void": {name: scores.summary() for name, scores in total.items()},
            "bags": {
                bag: {"unanswered": s.unanswered, **{name: scores.summary() for name, scores in s.scores.items()}}
                for bag, s in bags.items()
            },
        }
        chosen.json.write_text(json.dumps(content, indent=1) + "\n")


def _line(bag: str, scored: Scored, void: Sequence[str]) -> str:
    parts = [f"{bag}: {scored.scores[void[0]].frames} frames, {scored.unanswered} unanswered"]
    for name in void:
        summary = scored.scores[name].summary()
        shown = ((key, summary[key]) for key in ("miou", "pq", "ap50", "idf1"))
        numbers = ", ".join(f"{key} {'-' if value is None else f'{100 * value:.1f}'}" for key, value in shown)
        parts.append(f"{name}: {numbers}, id switches {summary['id_switches']}")
    return "; ".join(parts)


def _sizes(void: str) -> tuple[int, int]:
    try:
        thing, stuff = void.split("/")
        return int(thing), int(stuff)
    except ValueError as error:
        raise ConfigError(f"--void {void}: expected two numbers of pixels, such as {DEFAULT[0]}") from error


if __name__ == "__main__":
    main()

"""``seg_perception evaluate PREDICTION [TRUTH]``: how good the masks of a run are, and where they fail.

Writes ``report.html``, ``evaluation.json`` and ``evaluation.npz`` into a folder.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from seg_perception.errors import ConfigError
from seg_perception.evaluation import several
from seg_perception.evaluation.evaluating import Request, Side, evaluate
from seg_perception.evaluation.measuring import Rules
from seg_perception.evaluation.report.words import table
from seg_perception.evaluation.several import REPORT_FILE, leave
from seg_perception.offline import many
from seg_perception.offline.collection import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception evaluate``."""
    add = parser.add_argument
    add("prediction", type=Path, help="a bag that run or record wrote, a folder of PNG files, a folder of bags")
    add(
        "truth",
        type=Path,
        nargs="?",
        help="a bag with /truth topics, or a folder, of bags too; none: what can be said without",
    )
    add("-o", "--out", type=Path, default=Path("evaluation"), metavar="DIR", help="folder for the report (evaluation)")
    add("--against", type=Path, metavar="OTHER", help="another model's answers instead of a truth: how far they agree")
    add("--labels", metavar="SPACE", help="label space in which both are compared; the truth's")
    for side in ("prediction", "truth"):
        add(f"--{side}-labels", metavar="SPACE", help=f"label space of the {side}, where it does not say so")
        add(f"--{side}-topic", metavar="TOPIC", help=f"topic of the {side}'s masks; found where there is only one")
        add(f"--{side}-map", nargs="+", action="extend", default=[], metavar="CLASS=TARGET",
            help=f"what a class of the {side} is called in the common label space")  # fmt: skip
        add(f"--{side}-void", nargs="+", action="extend", default=[], metavar="CLASS",
            help=f"classes of the {side} (or ids in plain PNG files) that are unlabelled")  # fmt: skip
    add("--min-thing", type=int, default=0, metavar="PIXELS", help="true things of fewer pixels in a frame are void")
    add("--min-stuff", type=int, default=0, metavar="PIXELS", help="classes of stuff of fewer pixels are void")
    add("--resize", action="store_true", help="bring predictions of another size to the truth's")
    add("--count-unanswered", action="store_true", help="true frames without a prediction count as unlabelled")
    add("--max-offset", type=float, default=0.0, metavar="S", help="match stamps that differ by up to S seconds (0)")
    add("--depth", metavar="TOPIC|DIR", help="depth for scores by distance; found in the truth's bag")
    add("--images", type=Path, metavar="BAG|DIR", help="the camera's pictures; looked for in and beside the truth")
    add("--latency", metavar="MS|JSON", help="latency in ms, or the file that listen wrote; found in the bag")
    many.add_arguments(parser)


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception evaluate``; returns the exit status, 1 for a damaged bag."""
    predictions = several.bags(arguments.prediction)
    if predictions:
        return _command_several(predictions, arguments)
    evaluated = evaluate(request(arguments))
    out = folder(arguments.out)
    leave(evaluated, out)
    print(table(evaluated.evaluation))
    for note in evaluated.evaluation.about["notes"]:
        print(f"note: {note}")
    print(f"{out / REPORT_FILE}: open it in a browser")
    return 1 if evaluated.damage else 0


def _command_several(predictions: Sequence[Source], arguments: argparse.Namespace) -> int:
    against = arguments.truth or arguments.against
    pairs, notes = several.paired(predictions, against) if against else ([(p, None) for p in predictions], [])

    def wanted(prediction: Path, other: Path | None) -> Request:
        which = "truth" if arguments.truth else "against"
        return request(argparse.Namespace(**{**vars(arguments), "prediction": prediction, which: other}))

    out = folder(arguments.out)
    todo = several.jobs(pairs, out, wanted)
    outcomes = many.report(many.carry_out(todo, out, many.chosen(arguments)), len(todo), print)
    evaluation = several.together(outcomes, out, arguments.prediction.resolve().name, notes)
    print(table(evaluation))
    for note in evaluation.about["notes"]:
        print(f"note: {note}")
    print(f"{out / REPORT_FILE}: open it in a browser; it leads to the report of each bag")
    return 0 if all(outcome.whole for outcome in outcomes) else 1


def request(arguments: argparse.Namespace) -> Request:
    """What the command line asks for."""

    def side(path: Path, name: str) -> Side:
        given = vars(arguments)
        pairs = (f"{name}_topic", f"{name}_labels", f"{name}_map", f"{name}_void")
        topic, labels, mapped, void = (given[key] for key in pairs)
        return Side(path, topic, labels, _mapping(mapped, name), tuple(void))

    for name in ("min_thing", "min_stuff", "max_offset"):
        value = vars(arguments)[name]
        if not 0 <= value < math.inf:
            raise ConfigError(f"--{name.replace('_', '-')} {value:g}: expected a number from 0 on")
    return Request(
        side(arguments.prediction, "prediction"),
        side(arguments.truth, "truth") if arguments.truth else None,
        side(arguments.against, "truth") if arguments.against else None,
        arguments.labels,
        Rules(arguments.min_thing, arguments.min_stuff, arguments.resize, arguments.count_unanswered),
        arguments.max_offset,
        arguments.depth,
        arguments.images,
        _latency(arguments.latency),
    )


def folder(path: Path) -> Path:
    """``path``, made; raises :class:`ConfigError` where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be made a folder ({error.strerror}); choose another") from error
    return path


def _mapping(words: list[str], side: str) -> dict[str, str]:
    wrong = [word for word in words if word.count("=") != 1]
    if wrong:
        raise ConfigError(f"--{side}-map {wrong[0]}: expected CLASS=TARGET")
    return dict(word.split("=") for word in words)


def _latency(word: str | None) -> float | Path | None:
    if word is None:
        return None
    try:
        milliseconds = float(word)
    except ValueError:
        return Path(word)
    if not 0 <= milliseconds < math.inf:
        raise ConfigError(f"--latency {word}: expected milliseconds from 0 on, or the file that listen wrote")
    return milliseconds / 1000

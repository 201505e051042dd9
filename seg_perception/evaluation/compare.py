"""``seg_perception compare A B ...``: evaluated runs side by side, each against the first; a gate for CI.

Writes ``comparison.json`` and ``comparison.html`` into a folder where one is given.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seg_perception.errors import InputError
from seg_perception.evaluation.comparison import Change, Comparison, Gate, compare
from seg_perception.evaluation.numbers import COUNTS, LOWER_IS_BETTER
from seg_perception.evaluation.report.words import HEADLINES, NAMES
from seg_perception.evaluation.result import JSON_FILE, Evaluation, join

CLASS_COLUMNS = ("iou", "pq", "ap", "hota", "idf1")
"""What is said of each class, where it is known."""

MARKS = {"better": "+", "worse": "-", "unclear": "?", "same": " "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception compare``."""
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="folders that evaluate wrote: the first is compared with")
    add("--gate", nargs="+", action="extend", default=[], metavar="NAME=BOUND",
        help="exit with 1 where a number falls by more: pq=0.01 iou/person=0.05")  # fmt: skip
    add("-o", "--out", type=Path, metavar="DIR", help="folder for comparison.html and comparison.json")
    add("--block", type=float, default=1.0, metavar="S", help="seconds that belong together (1)")
    add("--pictures", type=int, default=4, metavar="N", help="losses and wins that are shown (4)")


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception compare``; returns the exit status, 1 where a gate does not hold."""
    if len(arguments.runs) < 2:
        raise InputError(f"compare: {arguments.runs[0]} alone; expected at least two runs")
    gates = [Gate.parse(text) for text in arguments.gate]
    runs = [load(path) for path in arguments.runs]
    names = called(arguments.runs)
    comparisons = [compare(runs[0], run, seconds=arguments.block, pictures=arguments.pictures) for run in runs[1:]]
    fallen = 0
    for name, comparison in zip(names[1:], comparisons, strict=True):
        print("\n".join(told(names[0], name, comparison)))
        for gate, change in comparison.failed(gates):
            fallen += 1
            print(f"GATE {gate.name}: {_gone(change)}, more than {gate.bound:g} is not allowed")
    if gates and not fallen:
        print(f"gates hold: {', '.join(gate.name for gate in gates)}")
    if arguments.out is not None:
        _write(arguments.out, names, arguments.runs, runs, comparisons, gates)
    return 1 if fallen else 0


def load(folder: Path) -> Evaluation:
    """The evaluation in ``folder``, or all that are below it as one. Raises :class:`InputError`."""
    if folder.is_file() or (folder / JSON_FILE).is_file():
        return Evaluation.load(folder)
    found = sorted(file.parent for file in folder.rglob(JSON_FILE))
    if not found:
        raise InputError(f"{folder}: holds no {JSON_FILE}; expected a folder that `seg_perception evaluate` wrote")
    return join([Evaluation.load(place) for place in found])


def called(paths: Sequence[Path]) -> list[str]:
    """What to call each run: the ends of their paths, as long as they must be to differ."""
    whole = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-length:]) for parts in whole]
        if len(set(names)) == len(set(whole)):
            return names
    return [str(path) for path in paths]


def told(before: str, after: str, comparison: Comparison) -> Iterator[str]:
    """The comparison for a terminal, in percent: the numbers, the classes, and what a reader should know."""
    changes = comparison.changes
    yield (
        f"{after} compared with {before}: {comparison.frames} frames, percent; 95 % intervals from "
        f"{comparison.blocks} x {comparison.unit}"
    )
    yield f"{'':16}{'before':>9}{'after':>9}{'change':>9}   interval"
    for name in HEADLINES:
        change = changes.get(name)
        if change is not None and not math.isnan(change.before):
            yield (
                f"{NAMES[name].short:16}{shown(change, change.before):>9}{shown(change, change.after):>9}"
                f"{shown(change, change.delta, '+'):>9} {MARKS[change.verdict]} {interval(change)}"
            )
    rows = list(by_class(comparison))
    if rows:
        width = max(len(name) for name, _ in rows)
        yield f"{'':{width}}" + "".join(f"{NAMES[column].short:>14}" for column in CLASS_COLUMNS)
    for name, row in rows:
        cells = (f"{shown(c, c.delta, '+')} {MARKS[c.verdict]}" if c else "" for c in row)
        yield f"{name:{width}}" + "".join(f"{cell:>14}" for cell in cells)
    yield "+ better, - worse, ? it may be chance"
    for note in comparison.notes:
        yield f"note: {note}"


def by_class(comparison: Comparison) -> Iterator[tuple[str, list[Change | None]]]:
    """The classes that occur, each with its changes by :data:`CLASS_COLUMNS`."""
    names = [name.partition("/")[2] for name in comparison.changes if name.startswith("iou/")]
    for name in names:
        row = [comparison.changes.get(f"{column}/{name}") for column in CLASS_COLUMNS]
        known = [c if c is not None and not (math.isnan(c.before) and math.isnan(c.after)) else None for c in row]
        if any(known):
            yield name, known


def shown(change: Change, value: float, sign: str = "") -> str:
    """A value of that change: a count as it is, a part in percent."""
    if math.isnan(value):
        return "–"
    return f"{value:{sign}.0f}" if change.name.partition("/")[0] in COUNTS else f"{100 * value:{sign}.1f}"


def interval(change: Change) -> str:
    """The change's interval in words of :func:`shown`."""
    if math.isnan(change.low) or change.verdict == "same":
        return ""
    return f"[{shown(change, change.low, '+')}, {shown(change, change.high, '+')}]"


def _gone(change: Change) -> str:
    if math.isinf(change.fall):
        return f"was {shown(change, change.before)} and there is nothing to score any more"
    way = "rose" if change.name.partition("/")[0] in LOWER_IS_BETTER else "fell"
    return f"{way} by {change.fall:.4g} from {change.before:.4g} to {change.after:.4g}"


def _write(
    out: Path,
    names: Sequence[str],
    paths: Sequence[Path],
    runs: Sequence[Evaluation],
    comparisons: Sequence[Comparison],
    gates: Sequence[Gate],
) -> None:
    from seg_perception.evaluation.compare_page import page

    out.mkdir(parents=True, exist_ok=True)
    content = [
        content_of(names[0], name, runs[0], comparison, gates)
        for name, comparison in zip(names[1:], comparisons, strict=True)
    ]
    (out / "comparison.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / "comparison.html").write_text(page(names, runs, comparisons, gates), encoding="utf-8")
    print(f"{out / 'comparison.html'}: open it in a browser")


def content_of(
    before: str, after: str, first: Evaluation, comparison: Comparison, gates: Sequence[Gate]
) -> dict[str, Any]:
    """A comparison, ready for JSON; None where there is nothing to score."""
    failed = {gate.name for gate, _ in comparison.failed(gates)}
    return {
        "before": before,
        "after": after,
        "frames": comparison.frames,
        "blocks": {"count": comparison.blocks, "unit": comparison.unit},
        "notes": list(comparison.notes),
        "gates": {gate.name: {"bound": gate.bound, "holds": gate.name not in failed} for gate in gates},
        "numbers": {
            name: {
                "before": _plain(change.before),
                "after": _plain(change.after),
                "change": _plain(change.delta),
                "interval": [_plain(change.low), _plain(change.high)],
                "verdict": change.verdict,
            }
            for name, change in comparison.changes.items()
            if not (math.isnan(change.before) and math.isnan(change.after))
        },
        **{
            kind: [
                {
                    "sequence": first.sequences[int(first.frames.sequence[frame.first])],
                    "stamp": int(first.frames.stamps[frame.first]),
                    "pq": [frame.before, frame.after],
                }
                for frame in frames
            ]
            for kind, frames in (("losses", comparison.losses), ("wins", comparison.wins))
        },
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""``seg_perception compare A B ...``: evaluated runs side by side, each against the first; a gate for CI.

Writes ``comparison.json`` and ``comparison.html`` into a folder where one is given.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seg_perception.errors import ConfigError, InputError
from seg_perception.evaluation.comparing.changes import Change, Comparison, Gate, compare
from seg_perception.evaluation.comparing.page import Run, page
from seg_perception.evaluation.comparing.words import shown, told
from seg_perception.evaluation.numbers import LOWER_IS_BETTER
from seg_perception.evaluation.result import ARRAY_FILE, JSON_FILE, PART, Evaluation, join
from seg_perception.offline.many import ACCOUNTS


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
    if not 0 <= arguments.block < math.inf or arguments.pictures < 0:
        raise ConfigError(f"--block {arguments.block:g} --pictures {arguments.pictures}: expected numbers from 0 on")
    gates = [Gate.parse(text) for text in arguments.gate]
    runs = [load(path, name) for path, name in zip(arguments.runs, called(arguments.runs), strict=True)]
    comparisons = [
        compare(runs[0].whole, run.whole, seconds=arguments.block, pictures=arguments.pictures) for run in runs[1:]
    ]
    fallen = 0
    for run, comparison in zip(runs[1:], comparisons, strict=True):
        print("\n".join(told(runs[0].name, run.name, comparison)))
        for gate, change in comparison.failed(gates):
            fallen += 1
            print(f"GATE {gate.name}: {_gone(change)}, more than {gate.bound:g} is not allowed")
    if gates and not fallen:
        print(f"gates hold: {', '.join(gate.name for gate in gates)}")
    if arguments.out is not None:
        _write(arguments.out, runs, comparisons, gates)
    return 1 if fallen else 0


def load(folder: Path, name: str) -> Run:
    """The run whose evaluation is in ``folder``, or whose evaluations, bag by bag, are below it. Raises
    :class:`InputError`.
    """
    own = folder.is_file() or (folder / JSON_FILE).is_file()
    if own and (folder / ACCOUNTS).is_dir():  # those of bags that it has no more may lie there still
        found = [folder / bag for bag in Evaluation.load(folder).sequences]
    else:
        below = (file.parent for file in folder.rglob(ARRAY_FILE) if file.parent != folder)
        found = sorted(place for place in below if place.suffix != PART)  # what was cut off there is not whole
    if not found and own:
        one = Evaluation.load(folder)
        return Run(name, (one,), one)
    if not found:
        raise InputError(f"{folder}: holds no {JSON_FILE}; expected a folder that `seg_perception evaluate` wrote")
    # By their place, not by the file they come from: two drives may have a bag of one name.
    parts = tuple(replace(Evaluation.load(at), sequences=(at.relative_to(folder).as_posix(),)) for at in found)
    return Run(name, parts, join(parts))


def called(paths: Sequence[Path]) -> list[str]:
    """What to call each run: the ends of their paths, as long as they must be to differ."""
    whole = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-length:]) for parts in whole]
        if len(set(names)) == len(set(whole)):
            return names
    return [str(path) for path in paths]


def _gone(change: Change) -> str:
    if math.isinf(change.fall):
        return f"was {shown(change, change.before)} and there is nothing to score any more"
    way = "rose" if change.name.partition("/")[0] in LOWER_IS_BETTER else "fell"
    return f"{way} by {change.fall:.4g} from {change.before:.4g} to {change.after:.4g}"


def _write(out: Path, runs: Sequence[Run], comparisons: Sequence[Comparison], gates: Sequence[Gate]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be made a folder ({error.strerror}); choose another") from error
    content = [
        content_of(runs[0], run, comparison, gates) for run, comparison in zip(runs[1:], comparisons, strict=True)
    ]
    html = page(runs, comparisons, gates)
    try:
        (out / "comparison.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (out / "comparison.html").write_text(html, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written into ({error.strerror}); choose another") from error
    print(f"{out / 'comparison.html'}: open it in a browser")


def content_of(first: Run, second: Run, comparison: Comparison, gates: Sequence[Gate]) -> dict[str, Any]:
    """A comparison, ready for JSON; None where there is nothing to score."""
    failed, whole = {gate.name for gate, _ in comparison.failed(gates)}, first.whole
    return {
        "before": first.name,
        "after": second.name,
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
                    "sequence": whole.sequences[int(whole.frames.sequence[frame.first])],
                    "stamp": int(whole.frames.stamps[frame.first]),
                    "pq": [frame.before, frame.after],
                }
                for frame in frames
            ]
            for kind, frames in (("losses", comparison.losses), ("wins", comparison.wins))
        },
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""Whether two runs were asked the same: held against the same thing, by the same rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from seg_perception.errors import InputError
from seg_perception.evaluation.comparing.bootstrap import Pairing
from seg_perception.evaluation.result import Evaluation

DECIDING = ("min_thing", "min_stuff", "border")
"""Rules whose numbers do not compare with those of others."""


def refuse_other_questions(first: Evaluation, second: Evaluation) -> None:
    """Raise :class:`InputError` where the numbers of two evaluations mean different things."""
    if first.against != second.against:
        raise InputError(
            f"the first run was held against {first.against}, the second against {second.against}; evaluate both alike"
        )
    rules = [evaluation.about.get("options", {}) for evaluation in (first, second)]
    other = [name for name in DECIDING if rules[0].get(name) != rules[1].get(name)]
    if other:
        said = ", ".join(f"{name.replace('_', '-')} {rules[0].get(name)} and {rules[1].get(name)}" for name in other)
        raise InputError(f"the runs were evaluated by different rules ({said}); evaluate both alike")


def remarks(
    first: Evaluation, second: Evaluation, pairing: Pairing, before: Mapping[str, float], after: Mapping[str, float]
) -> Iterator[str]:
    """What else tells them apart, a sentence each; ``before`` and ``after`` are their numbers."""
    truths = first.frames.pixels.true[pairing.first], second.frames.pixels.true[pairing.second]
    other = int((truths[0] != truths[1]).any(1).sum())
    if other:
        yield f"the truth itself is another in {other} of {len(truths[0])} frames: a change may be the truth's"
    known = [{name for name, value in numbers.items() if not math.isnan(value)} for numbers in (before, after)]
    for mine, theirs, which, than in ((known[0], known[1], "first", "second"), (known[1], known[0], "second", "first")):
        alone = sorted(name for name in mine - theirs if "/" not in name)
        if alone:
            yield f"only the {which} run has {', '.join(alone)}; of the {than} there is nothing to compare"
    sizes = [int(evaluation.about.get("matching", {}).get("resized", 0)) for evaluation in (first, second)]
    if sizes[0] != sizes[1]:
        yield f"{sizes[0]} predictions of the first run and {sizes[1]} of the second were brought to the truth's size"

"""What a reader has to know of the frames that were judged: a sentence, with counts, for each number that stands on
fewer than all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from seg_perception.evaluation.matching import Sides
from seg_perception.evaluation.sources import count

Kind = Literal[
    "depth", "other depth", "confidence", "other confidence", "picture", "other picture", "latency", "instance",
    "unranked", "void", "unlabelled", "thing", "thing without depth", "pixel", "pixel without depth",
]  # fmt: skip
Seen = Counter[Kind]
"""How many frames came with depth, confidence, a picture, a known latency; with ones that do not fit (``other``); have
a truth without any judged pixel (``void``) or an answer without any class (``unlabelled``); of all predicted
instances (``instance``), how many have no score (``unranked``); and of all true things and judged pixels in frames with
depth, how many have none.
"""

OTHER: Mapping[Kind, Kind] = {"depth": "other depth", "confidence": "other confidence", "picture": "other picture"}
"""What it is called when it does not fit."""

_OPTIONAL: tuple[tuple[Kind, str, str], ...] = (
    ("depth", "depth is", "the others count nowhere by distance"),
    ("confidence", "confidence is", "ECE and the curves of confidence are of these"),
    ("picture", "the picture is", "inconsistency is of these"),
    ("latency", "the latency is", "streaming mIoU is of these"),
)
_UNFIT: tuple[tuple[Kind, str, str], ...] = (
    ("other depth", "depth image", "other proportions than the masks"),
    ("other confidence", "confidence map", "another size than the masks"),
    ("other picture", "picture", "other proportions than the masks"),
)


def remarks(sides: Sides, seen: Seen, frames: int, *, scored: bool, depth: bool) -> list[str]:
    """The sentences for ``frames`` judged ones. ``scored``: whether instances have scores; ``depth``: whether there was
    any to look for.
    """
    found = [*_spaces(sides), *_instances(sides, seen, scored)]
    for kind, noun, what in _UNFIT:
        if seen[kind]:
            found.append(f"{count(seen[kind], noun, 'has', 'have')} {what} and {_are(seen[kind])} left out")
    for kind, known, then in _OPTIONAL:
        if seen[kind] < frames and (seen[kind] or (kind == "depth" and depth)):
            found.append(f"{known} known for {seen[kind]} of {count(frames, 'frame')}; {then}")
    if seen["thing without depth"] or seen["pixel without depth"]:
        part = 100 * seen["pixel without depth"] / max(seen["pixel"], 1)
        found.append(
            f"{seen['thing without depth']} of {count(seen['thing'], 'true thing')} and {part:.1f} % of the judged "
            "pixels have no depth where they are, and count nowhere by distance"
        )
    void, nothing = seen["void"], seen["unlabelled"]
    if void and sides.truth.facts.kind != "nothing":
        found.append(f"{void} of {count(frames, 'true frame')} {_are(void)} wholly unlabelled: nothing there is judged")
    if nothing:
        found.append(f"{nothing} of {count(frames, 'prediction')} {_are(nothing)} wholly unlabelled")
    return found


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _spaces(sides: Sides) -> list[str]:
    return [
        f"{len(side.never)} of the {len(sides.labels)} classes of '{sides.labels.name}' are unknown to the {whose}'s "
        f"label space '{side.source.name}', nothing of them {what}: {', '.join(side.never)}"
        for side, whose, what in zip(
            sides.to_common, ("prediction", "truth"), ("can be predicted", "is asked for"), strict=True
        )
        if side.never
    ]


def _instances(sides: Sides, seen: Seen, scored: bool) -> list[str]:
    found = [
        f"the {whose} ({source.facts.kind}) tells no instances apart: nothing is said of things as segments (PQ of "
        "things, AP, ids)"
        for whose, source in (("prediction", sides.prediction), ("truth", sides.truth))
        if not source.facts.instances
    ]
    if sides.instances and not seen["instance"] and sides.truth.facts.kind != "nothing":
        found.append(
            "the prediction has no instance in any frame (no instance network, or nothing found): every true thing is "
            "missed as a segment (PQ of things, AP, ids)"
        )
    elif sides.instances and not scored:
        found.append("the prediction states no scores of its instances: there is no average precision")
    elif scored and seen["unranked"]:
        found.append(
            f"{seen['unranked']} of {count(seen['instance'], 'predicted instance')} {_are(seen['unranked'])} without a "
            "score; average precision counts them as not found"
        )
    return found

"""The page: what an evaluation found, in the order in which a person asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from seg_perception.evaluation.evaluating import Evaluated
from seg_perception.evaluation.numbers import summary
from seg_perception.evaluation.report import charts
from seg_perception.evaluation.report.document import Section, document, sections
from seg_perception.evaluation.report.frames import film_and_panels, worst_frames
from seg_perception.evaluation.report.scores import facts, notes, standing, tiles
from seg_perception.evaluation.report.tables import key_values
from seg_perception.evaluation.report.words import SUBJECT
from seg_perception.evaluation.result import Evaluation


def page(evaluated: Evaluated) -> str:
    """The whole page as HTML, with nothing outside of it."""
    evaluation = evaluated.evaluation
    numbers, name = summary(evaluation), Path(evaluation.about["prediction"]["path"]).name
    film, panels = film_and_panels(evaluated, worst_frames(evaluation))
    held = evaluation.against != "nothing"
    body = sections([
        Section("time", "Over time" if evaluation.video else "Frame by frame", "Each frame scored alone.",
                charts.over_time(evaluation) if held else ""),
        Section("film", "Film", "What was perceived; the arrow keys move the slider when it has the focus.", film),
        *standing(evaluation, numbers),
        Section("consistency", "Consistency in time",
                "Part of the pixels that change class from one frame to the next, after the picture's own motion "
                "(optical flow) was taken out. It needs no truth, and says nothing about being right.",
                charts.consistency(evaluation)),
        Section("latency", "Latency, rate and drops", "", _times(evaluation)),
        Section("ids", "Ids over time", "", charts.tracks(evaluation)),
        Section("worst", "Worst frames" if held else "Least consistent frames", "", panels),
        Section("made", "How this was made", "", _made(evaluation)),
    ])  # fmt: skip
    foot = "; beside this page evaluation.json has the numbers and evaluation.npz what was counted in every frame."
    return document(name, _head(evaluation, numbers, name), body, foot=foot)


def _head(evaluation: Evaluation, numbers: Mapping[str, Any], name: str) -> str:
    other = evaluation.about["truth"]
    against = f" against {_named(other['path'], name)} ({other['kind']})" if other else ""
    said = "; ".join([name + against, *facts(evaluation)])
    return (
        f"<h1>{escape(SUBJECT[evaluation.against])}: {escape(name)}</h1>"
        f'<p class="sub">{escape(said)}</p>{notes(evaluation)}{tiles(evaluation, numbers)}'
    )


def _named(path: str, taken: str) -> str:
    """The file's name, with its folder where the name is ``taken``."""
    found = Path(path)
    return f"{found.parent.name}/{found.name}" if found.name == taken else found.name


def _times(evaluation: Evaluation) -> str:
    timing = evaluation.about.get("timing", {})
    if not timing:
        return ""
    rate = timing["rate"]
    said = [
        f"{rate['frames']} answers in {rate['seconds']:.1f} s of stamps"
        + (f", {rate['hz']:.2f} Hz" if rate["hz"] else ""),
        f"{rate['gaps']} gaps, the longest {rate['longest_gap']:.2f} s" if rate["gaps"] else "no gaps",
    ]
    if rate["backwards"]:
        said.append(f"time goes back {rate['backwards']} times")
    if "pictures" in timing:
        said.append(f"{timing['dropped']} of the camera's {timing['pictures']} pictures have no answer")
    told = "".join(
        f"<details><summary>diagnostics: {escape(name)}</summary>{key_values(values)}</details>"
        for name, values in timing.get("diagnostics", {}).items()
    )
    return f"<p>{escape('; '.join(said))}.</p>{charts.latency(evaluation)}{told}"


def _made(evaluation: Evaluation) -> str:
    about = evaluation.about
    parts: list[tuple[str, Any]] = [
        ("Matching", about["matching"]), ("Rules", about["options"]), ("Prediction", about["prediction"]),
        ("Truth", about["truth"]),
    ]  # fmt: skip
    dumped = [(name, escape(json.dumps(content, indent=1, ensure_ascii=False))) for name, content in parts if content]
    return "".join(f"<details><summary>{name}</summary><pre>{text}</pre></details>" for name, text in dumped)

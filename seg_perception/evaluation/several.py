"""``seg_perception evaluate FOLDER TRUTHS``: every bag of a folder against the truth of its name, and all together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from seg_perception import __version__
from seg_perception.errors import BagError
from seg_perception.evaluation.evaluating import Evaluated, Request, evaluate
from seg_perception.evaluation.report.document import write
from seg_perception.evaluation.report.index import Bag, index
from seg_perception.evaluation.report.page import page
from seg_perception.evaluation.result import ARRAY_FILE, JSON_FILE, PART, Evaluation, join
from seg_perception.evaluation.sources import count
from seg_perception.evaluation.sources.opening import is_bag
from seg_perception.offline.collection import Source, find, fingerprint
from seg_perception.offline.many import Job, Outcome

REPORT_FILE = "report.html"


def bags(path: Path) -> list[Source]:
    """The bags below a folder of bags, even if it is only one; none where ``path`` is a bag, or holds other things."""
    with suppress(BagError):
        found = find([path])
        return found if len(found) > 1 or (path.is_dir() and not is_bag(path)) else []
    return []


def paired(predictions: Sequence[Source], truths: Path) -> tuple[list[tuple[Source, Path | None]], list[str]]:
    """Each prediction with the truth of its name, and a sentence if there are truths that nobody answered. Raises
    :class:`BagError` that counts the predictions without a truth.
    """
    by_name = {source.name: source.path for source in find([truths])}
    missing = [source.name for source in predictions if source.name not in by_name]
    if missing:
        raise BagError(
            f"{len(missing)} of {len(predictions)} bags have no truth of their name in {truths} (the first is "
            f"'{missing[0]}'; there are {', '.join(sorted(by_name)[:3])} ...)"
        )
    pairs: list[tuple[Source, Path | None]] = [(source, by_name[source.name]) for source in predictions]
    left = sorted(by_name.keys() - {source.name for source in predictions})
    if not left:
        return pairs, []
    are = "is" if len(left) == 1 else "are"
    said = (
        f"{count(len(left), 'bag', 'has', 'have')} no prediction, of {len(by_name)} in {truths}, and {are} not scored"
    )
    return pairs, [f"{said} (the first is '{left[0]}')"]


def jobs(
    pairs: Sequence[tuple[Source, Path | None]], out: Path, request: Callable[[Path, Path | None], Request]
) -> list[Job]:
    """One job for each prediction and its truth (None: without), which leaves the files of an evaluation in
    ``out/NAME``; ``request`` says of two paths what is to be evaluated.
    """
    return [
        Job(
            source.name,
            {
                "seg_perception": __version__,
                "request": repr(wanted := request(source.path, truth)),
                "prediction": fingerprint(source.path),
                "truth": fingerprint(truth) if truth is not None else None,
            },
            tuple(out / source.name / name for name in (JSON_FILE, ARRAY_FILE, REPORT_FILE)),
            partial(_evaluate, wanted, out / source.name),
        )
        for source, truth in pairs
    ]


def leave(evaluated: Evaluated, folder: Path) -> None:
    """Write the evaluation and its report into ``folder``, which is there."""
    evaluated.evaluation.save(folder)
    write(folder / REPORT_FILE, page(evaluated))


def together(outcomes: Sequence[Outcome], out: Path, name: str, notes: Sequence[str] = ()) -> Evaluation:
    """The evaluation of all bags that could be judged, saved in ``out`` beside a page that leads to each; ``name`` says
    what they are, ``notes`` what a reader should know. Raises :class:`BagError` if none could.
    """
    whole = sorted(outcome.name for outcome in outcomes if outcome.status != "failed")
    if not whole:
        raise BagError(f"none of {len(outcomes)} bags could be evaluated")
    evaluation = join([replace(Evaluation.load(out / bag), sequences=(bag,)) for bag in whole])
    failed = len(outcomes) - len(whole)
    missing = [f"{failed} of {len(outcomes)} bags could not be evaluated and count nowhere"] if failed else []
    evaluation = replace(
        evaluation, about={**evaluation.about, "notes": [*missing, *notes, *evaluation.about["notes"]]}
    )
    evaluation.save(out)
    bags = [_listed(outcome, out) for outcome in sorted(outcomes, key=lambda outcome: outcome.name)]
    write(out / REPORT_FILE, index(name, evaluation, bags))
    return evaluation


def _listed(outcome: Outcome, out: Path) -> Bag:
    if outcome.status == "failed":
        return Bag(outcome.name, "", None, str(outcome.facts["said"]))
    content = json.loads((out / outcome.name / JSON_FILE).read_text(encoding="utf-8"))
    return Bag(outcome.name, f"{outcome.name}/{REPORT_FILE}", content["summary"])


def _evaluate(request: Request, folder: Path) -> dict[str, Any]:
    evaluated = evaluate(request)
    part = folder.with_name(f"{folder.name}{PART}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    leave(evaluated, part)
    # File by file: the folder may hold what is not ours, the bag itself or the evaluation of a bag below it.
    folder.mkdir(exist_ok=True)
    for file in part.iterdir():
        file.replace(folder / file.name)
    part.rmdir()
    notes = evaluated.evaluation.about["notes"]
    return {"said": f"{len(evaluated.evaluation.frames)} frames judged", "damage": evaluated.damage, "notes": notes}

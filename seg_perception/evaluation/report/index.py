"""The page of many bags: all together, and a row for each that leads to its own report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from seg_perception.evaluation.numbers import summary
from seg_perception.evaluation.report.document import Section, document, sections
from seg_perception.evaluation.report.scores import facts, headlines, notes, standing, tiles
from seg_perception.evaluation.report.tables import cell
from seg_perception.evaluation.report.words import NAMES, SUBJECT
from seg_perception.evaluation.result import Evaluation


@dataclass(frozen=True)
class Bag:
    """One bag: its ``name``, the address of its ``report`` beside this page, and its ``numbers`` as in ``summary`` of
    its ``evaluation.json``; of one that could not be evaluated None, and ``why``.
    """

    name: str
    report: str
    numbers: Mapping[str, Any] | None
    why: str = ""


def index(name: str, together: Evaluation, bags: Sequence[Bag]) -> str:
    """The page as HTML; ``name`` says what the bags are, ``together`` is the evaluation of all that have numbers."""
    numbers, failed = summary(together), sum(bag.numbers is None for bag in bags)
    done = f"{len(bags) - failed} of {len(bags)} bags" if failed else f"{len(bags)} bags"
    header = (
        f"<h1>{escape(SUBJECT[together.against])}: {escape(name)}</h1>"
        f'<p class="sub">{escape("; ".join([done, *facts(together)]))}</p>{notes(together)}'
        f"{tiles(together, numbers)}"
    )
    hint = "Percent, but for frames and id switches. A name leads to the bag's own report, a click on a head sorts."
    body = sections([Section("bags", "Bags", hint, _bags(together, numbers, bags)), *standing(together, numbers)])
    foot = "; beside this page evaluation.json and evaluation.npz have all bags together."
    return document(name, header, body, foot=foot)


def _bags(together: Evaluation, numbers: Mapping[str, Any], bags: Sequence[Bag]) -> str:
    columns = ["frames", *headlines(together, numbers)]
    heads = "<th>bag</th><th>frames</th>" + "".join(
        f'<th title="{escape(NAMES[name].long)}">{NAMES[name].short}</th>' for name in columns[1:]
    )
    rows = []
    for bag in bags:
        if bag.numbers is None:
            why = f'<td class="why" data-value="" colspan="{len(columns)}">{escape(bag.why)}</td>'
            rows.append(f"<tr><td>{escape(bag.name)}</td>{why}</tr>")
        else:
            linked = f'<a href="{quote(bag.report)}">{escape(bag.name)}</a>'
            rows.append(f"<tr><td>{linked}</td>{_cells(bag.numbers, columns)}</tr>")
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
        f"<tfoot><tr><td>all together</td>{_cells(numbers, columns)}</tr></tfoot></table></div>"
    )


def _cells(numbers: Mapping[str, Any], columns: Sequence[str]) -> str:
    return "".join(cell(numbers.get(name)) for name in columns)

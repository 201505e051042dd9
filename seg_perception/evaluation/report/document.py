"""A page of its own: everything it shows is in it, and the browser is told to ask for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from seg_perception import __version__
from seg_perception.errors import InputError

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself sees to it that the page asks for nothing."""


class Section(NamedTuple):
    """A part of a page: the ``anchor`` that the links above lead to, its ``title``, a sentence that helps to read it,
    and its ``content`` as HTML; without content it is left out.
    """

    anchor: str
    title: str
    hint: str
    content: str


def document(title: str, header: str, body: str, *, foot: str = "", style: str = "") -> str:
    """The whole page. ``header`` and ``body`` are HTML; ``foot`` goes on after the version, ``style`` after the common
    one.
    """
    common, script = (files(__package__).joinpath(n).read_text(encoding="utf-8") for n in ("style.css", "script.js"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{common}{style}</style></head><body><header>{header}</header>{body}"
        f"<footer>seg_perception {escape(__version__)}{escape(foot)}</footer><script>{script}</script></body></html>"
    )


def sections(parts: Sequence[Section]) -> str:
    """The sections that have content, below links to each."""
    there = [part for part in parts if part.content]
    links = "".join(f'<a href="#{part.anchor}">{escape(part.title)}</a>' for part in there)
    body = "".join(
        f'<section id="{part.anchor}"><h2>{escape(part.title)}</h2>'
        f"{f'<p class=hint>{escape(part.hint)}</p>' if part.hint else ''}{part.content}</section>"
        for part in there
    )
    return f"<nav>{links}</nav><main>{body}</main>"


def write(path: Path, page: str) -> None:
    """Write a page; raises :class:`InputError` where the file cannot be written."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error

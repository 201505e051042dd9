"""Fixtures of the tests over real DDS; a test module names this one in ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ros_support import NodeProcess, Robot


@pytest.fixture
def robot(domain: int) -> Iterator[Robot]:
    """A robot in the test's domain."""
    made = Robot(domain)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def start(domain: int, tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Starts the node: ``start(*arguments of ros_node.py, **parameters)``; dots in parameter names are written as
    ``__``. It is ended with the test. Where no cameras are named, the camera is asked for reliable delivery: a node
    that changes over from best effort (``auto``) may miss the one image that a test sends. Frames wait for the look at
    them, so that a test hears about each image what it sent in it, unless ``cascade__patience`` says otherwise.
    """
    started: list[NodeProcess] = []

    def begin(*arguments: str, **options: Any) -> NodeProcess:
        usual = {"labels": "cityscapes", "autostart": True, "cascade.patience": 20.0}
        if "cameras" not in options:
            usual["camera.reliability"] = "reliable"
        named = usual | {k.replace("__", "."): v for k, v in options.items()}
        process = NodeProcess(domain, tmp_path / f"node{len(started)}.log", named, arguments)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.stop()
        print(process.text())

"""Fixtures of the tests over real DDS; a test module names this one in ``pytest_plugins``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ros_support import NodeProcess, Robot


@pytest.fixture
def domain() -> Iterator[int]:
    """A ROS domain that no other test on this machine uses, for as long as the test runs."""
    # Up to 101 a domain's ports stay below the ephemeral ones.
    start = os.getpid() % 100
    for number in (1 + (start + i) % 101 for i in range(101)):
        # A name in the abstract namespace is held as long as the socket, whoever the user, and leaves no file.
        with socket.socket(socket.AF_UNIX) as lock:
            try:
                lock.bind(f"\0seg_perception_domain_{number}")
            except OSError:
                continue
            yield number
        return
    pytest.fail("no free ROS domain: 101 tests run at once?")


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
    ``__``. It is ended with the test.
    """
    started: list[NodeProcess] = []

    def begin(*arguments: str, **options: Any) -> NodeProcess:
        named = {"labels": "cityscapes", "autostart": True, **{k.replace("__", "."): v for k, v in options.items()}}
        process = NodeProcess(domain, tmp_path / f"node{len(started)}.log", named, arguments)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.stop()
        print(process.text())

"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow, not wrong.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real test data; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("SEG_PERCEPTION_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real test data at {folder}; set SEG_PERCEPTION_DATA to its folder")
    return folder


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

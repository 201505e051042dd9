"""What surrounds the node: transport profile, memory settings, statistics, QoS decisions."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy

from seg_perception.ros import parameters, qos, transport
from seg_perception.ros.memory import resident_bytes
from seg_perception.ros.statistics import CameraStatistics
from seg_perception.types import LookReport, PanopticMap, Perception, Tracks


@pytest.fixture
def bare(monkeypatch):
    for name in transport.PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_shipped_profile_is_taken_where_there_is_none(bare):
    assert transport.active_profile() is None
    assert transport.activate() == transport.shipped_profile()
    assert {os.environ[name] for name in transport.PROFILE_VARIABLES} == {str(transport.shipped_profile())}


@pytest.mark.parametrize("name", transport.PROFILE_VARIABLES)
def test_the_users_profile_stays(bare, monkeypatch, name):
    monkeypatch.setenv(name, "/mine.xml")
    assert str(transport.activate()) == "/mine.xml"
    assert os.environ.get(({*transport.PROFILE_VARIABLES} - {name}).pop()) is None


def test_the_profile_has_room_for_images():
    space = {"p": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
    root = ElementTree.parse(transport.shipped_profile()).getroot()
    shared = next(t for t in root.iterfind(".//p:transport_descriptor", space) if t.find("p:type", space).text == "SHM")
    assert int(shared.find("p:segment_size", space).text) == 64 * 2**20
    assert int(shared.find("p:maxMessageSize", space).text) == 16 * 2**20


def test_large_blocks_stay_with_the_process():
    """In a process of its own, because the setting cannot be taken back."""
    program = (
        "from seg_perception.ros.memory import keep_large_blocks, resident_bytes\n"
        "kept = keep_large_blocks()\n"
        "b = bytearray(20_000_000); del b\n"
        "before = resident_bytes(); b = bytearray(20_000_000); b[:] = bytes(20_000_000); del b\n"
        "print(kept, resident_bytes() > before + 10_000_000)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "True"]


def test_resident_memory_is_this_process():
    assert 10e6 < resident_bytes() < 100e9


def endpoint(reliability):
    return SimpleNamespace(qos_profile=QoSProfile(depth=1, reliability=reliability))


R, B = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize(
    ("setting", "offers", "asked"),
    [
        ("auto", [], B),
        ("auto", [R], R),
        ("auto", [B], B),
        ("auto", [R, R], R),
        ("auto", [R, B], B),
        ("reliable", [B], R),
        ("best_effort", [R], B),
    ],
)
def test_reliability_asked_of_a_camera(setting, offers, asked):
    assert qos.reliability(setting, [endpoint(offer) for offer in offers]) == asked


def test_statistics_are_bounded_and_say_how_long():
    statistics = CameraStatistics()
    assert all(map(math.isnan, (*statistics.latency(), *statistics.look_latency(), statistics.instance_age)))
    nothing = np.zeros((0, 0), np.uint8)
    panoptic = PanopticMap(nothing, nothing, nothing.astype(np.int32))
    for i in range(10_000):
        looks = (LookReport(i * 10**8, 0.7, {"instance/forward": 0.5}, "used"),) if i % 10 == 0 else ()
        result = Perception(i * 10**8, "", panoptic, Tracks.empty(), {}, i // 10 * 10**9, looks)
        statistics.answered(result, {"semantic/forward": 0.1}, 0.001 * (i % 100))
    assert statistics.published == 10_000
    assert statistics.latency() == pytest.approx((0.0495, 0.09405, 0.09801), abs=1e-3)
    assert statistics.stages() == pytest.approx({"semantic/forward": 0.1, "instance/forward": 0.5})
    assert statistics.instance_age == pytest.approx(0.9)
    assert statistics.look_latency() == pytest.approx((0.7, 0.7, 0.7))
    assert dict(statistics.looks) == {"used": 1000}
    assert max(map(len, statistics._stages.values())) == len(statistics._latencies) == 300


def test_rates_are_over_the_last_seconds():
    statistics = CameraStatistics()
    for second in range(100):
        statistics.received += 30 if second > 50 else 0
        statistics.published += 10 if second > 50 else 0
        rates = statistics.rates(float(second))
    assert rates == (30.0, 10.0)


def test_the_documented_parameters_are_the_declared_ones():
    """`python -m seg_perception.ros.parameters` prints what belongs there."""
    text = (Path(__file__).parents[1] / "docs" / "ros.md").read_text()
    for line in parameters.reference():
        assert line in text, "docs/ros.md is out of date"

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.sim.run import Simulation, run
from plait.sim.toml import decode
from plait.sim.traffic import BLOCK, HEADER, noise


def simulate(duration: float = 3.0, **flow: Any) -> dict[str, Any]:
    """Return what is told of a flow over 8 Mbit/s and 10 ms each way."""
    table = {
        "duration_s": duration,
        "hosts": {"a": {"addresses": {"l": "10.0.0.1"}}, "b": {"addresses": {"l": "10.0.0.2"}}},
        "links": {"l": {"between": ["a", "b"], "rate_mbit": 8, "delay_ms": 10}},
        "flows": {"f": {"source": "a", "destination": "b", "verify": True, **flow}},
    }
    result: dict[str, Any] = run(decode(table))
    told: dict[str, Any] = result["flows"]["f"]
    assert told["intact"]
    return told


@given(st.integers(0, 10**7), st.integers(1, 10**6))
def test_noise_is_one_stream_wherever_it_is_cut(position: int, length: int) -> None:
    cut = noise(position, length)
    assert 0 < len(cut) <= min(length, BLOCK)
    assert cut[len(cut) // 2 :] == noise(position + len(cut) // 2, length)[: -(-len(cut) // 2)]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_bulk_of_some_size_arrives_and_ends(direction: str) -> None:
    told = simulate(octets=500_000, direction=direction)
    assert told["delivered"] == 500_000
    assert told["completed"] is not None
    assert told["connections"]["opened"] == told["connections"]["ended"] == 1
    assert told["connections"]["multipath"] == 1
    assert 0.5 < told["completed"] - told["started"] < 0.8
    assert sum(told["deliveries"]) == 500_000
    (subflow,) = told["subflows"].values()
    assert subflow["received"] == 500_000
    assert subflow["sent"] >= 500_000


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_bulk_without_size_ends_when_it_is_stopped(direction: str) -> None:
    settings = {"send_buffer": 100_000}
    told = simulate(start_s=0.5, stop_s=1.5, direction=direction, settings=settings)
    assert told["started"] == 0.5
    assert 1.5 <= told["completed"] < 1.9  # a full send buffer is still to be sent
    assert told["connections"]["ended"] == 1


def test_delays_of_a_stream_count_from_the_write_to_the_read() -> None:
    delays = simulate(kind="stream", rate_mbit=1, stop_s=2)["delays"]
    assert delays["count"] == pytest.approx(200, abs=5)
    assert 10 < delays["median_ms"] <= delays["p95_ms"] <= delays["max_ms"] < 20  # 10 and 1.3
    assert delays["late"] == 0
    assert "delays" not in simulate(octets=1000)


def test_delays_of_a_stream_above_the_rate_of_the_link_grow_and_leave_some_late() -> None:
    delays = simulate(kind="stream", rate_mbit=16)["delays"]
    assert 1000 < delays["max_ms"] < 2000
    assert delays["median_ms"] == pytest.approx(delays["max_ms"] / 2, rel=0.15)
    assert delays["late"] > 100


def test_a_stream_has_the_rate_of_its_application() -> None:
    told = simulate(kind="stream", rate_mbit=2, stop_s=3)
    assert told["goodput"] == pytest.approx(2e6, rel=0.03)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_requests_are_answered_one_after_the_other(direction: str) -> None:
    told = simulate(
        kind="requests",
        direction=direction,
        count=5,
        request_octets=200,
        answer_octets=1000,
        think_ms=100,
    )
    assert told["answers"]["count"] == 5
    assert told["answers"]["times_ms"][0] > 40  # the handshake, then the request
    assert all(20 < time < 25 for time in told["answers"]["times_ms"][1:])
    assert told["delivered"] == (1000 if direction == "up" else 5000)
    assert told["connections"]["ended"] == 1
    assert told["completed"] - told["started"] == pytest.approx(0.64, abs=0.05)


def test_a_page_fetches_its_first_object_and_then_the_others_side_by_side() -> None:
    told = simulate(kind="page", direction="down", objects=[5000, *[20_000] * 6], parallel=3)
    assert told["answers"]["count"] == 7
    assert told["delivered"] == 125_000
    assert told["connections"]["opened"] == told["connections"]["ended"] == 4
    assert 0.15 < told["completed"] - told["started"] < 0.4


@pytest.mark.parametrize("sizes", ["constant", "exponential", "pareto"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_short_connections_arrive_at_random(sizes: str, direction: str) -> None:
    told = simulate(
        duration=10,
        kind="arrivals",
        direction=direction,
        arrivals_per_s=20,
        mean_octets=10_000,
        sizes=sizes,
        stop_s=8,
    )
    count = told["answers"]["count"]
    header = HEADER.size if direction == "up" else 0
    assert 120 < count < 200
    assert told["connections"]["opened"] == told["connections"]["ended"] == count
    assert told["delivered"] / count - header == pytest.approx(10_000, rel=0.5)
    if sizes == "constant":
        assert told["delivered"] == count * (10_000 + header)


def test_tcp_beside_multipath_tcp() -> None:
    told = simulate(octets=100_000, settings={"mptcp": False})
    assert told["connections"]["multipath"] == 0
    assert sum(told["connections"]["fallbacks"].values()) == 1


def test_a_connection_that_nobody_accepts_is_lost() -> None:
    table = {
        "hosts": {"a": {"addresses": {"l": "10.0.0.1"}}, "b": {"addresses": {"l": "10.0.0.2"}}},
        "links": {"l": {"between": ["a", "b"]}},
        "flows": {"f": {"source": "a", "destination": "b", "start_s": 1}},
    }
    simulation = Simulation(decode(table))
    host = simulation.world.station("b").host
    host.close_listener(0, 1)
    told = simulation.run()["flows"]["f"]
    assert told["connections"]["lost"] == {"connection refused": 1}
    assert told["delivered"] == 0

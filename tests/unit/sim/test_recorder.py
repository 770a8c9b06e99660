from __future__ import annotations

from typing import Any

import pytest

from plait.sim.run import run
from plait.sim.toml import decode


def simulate(**more: Any) -> dict[str, Any]:
    table = {
        "duration_s": 4,
        "interval_ms": 200,
        "hosts": {
            "a": {"addresses": {"one": "10.0.1.1", "two": "10.0.2.1"}},
            "b": {"addresses": {"core": "192.0.2.1"}},
        },
        "routers": {"r": {}},
        "links": {
            "one": {"between": ["a", "r"], "rate_mbit": 4, "delay_ms": 10},
            "two": {"between": ["a", "r"], "rate_mbit": 2, "delay_ms": 30},
            "core": {"between": ["r", "b"]},
        },
        "flows": {"f": {"source": "a", "destination": "b"}},
    } | more
    return run(decode(table))


def test_deliveries_add_up() -> None:
    flow = simulate()["flows"]["f"]
    assert sum(flow["deliveries"]) == flow["delivered"]
    assert len(flow["deliveries"]) == 20
    assert flow["goodput"] == flow["delivered"] * 2


def test_subflows_add_up_to_the_flow() -> None:
    flow = simulate()["flows"]["f"]
    received = sum(subflow["received"] for subflow in flow["subflows"].values())
    assert flow["delivered"] <= received <= flow["delivered"] * 1.2  # some waits for its turn
    assert flow["subflows"]["10.0.1.1 > 192.0.2.1"]["srtt_ms"] > 20
    assert flow["subflows"]["10.0.2.1 > 192.0.2.1"]["srtt_ms"] > 60


def test_series_are_kept_on_request_only() -> None:
    assert not simulate()["flows"]["f"]["subflows"]["10.0.1.1 > 192.0.2.1"]["series"]
    result = simulate(series=["cwnd", "srtt", "subflows", "queue"])
    for subflow in result["flows"]["f"]["subflows"].values():
        assert set(subflow["series"]) == {"cwnd", "srtt", "subflows"}
        for points in subflow["series"].values():
            times = [time for time, _ in points]
            assert len(points) >= 18
            assert times == sorted(set(times))
        received = [value for _, value in subflow["series"]["subflows"]]
        assert received == sorted(received)
        assert received[-1] == subflow["received"]
    assert max(value for _, value in result["links"]["one/forth"]["queue"]) > 10_000


def test_windows_measure_their_own_time() -> None:
    windows = {
        "first": {"start_s": 0, "stop_s": 2},
        "second": {"start_s": 2, "stop_s": 4},
        "all": {"start_s": 0, "stop_s": 4},
    }
    result = simulate(windows=windows, events=[{"at_s": 2, "link": "two", "up": False}])
    told = result["windows"]
    parts = [told[name]["flows"]["f"]["delivered"] for name in ("first", "second")]
    assert sum(parts) == told["all"]["flows"]["f"]["delivered"] == result["flows"]["f"]["delivered"]
    slow = "10.0.2.1 > 192.0.2.1"
    assert told["first"]["flows"]["f"]["subflows"][slow] > 1e6
    assert told["second"]["flows"]["f"]["subflows"][slow] < 0.1e6
    assert told["first"]["links"]["two/forth"] > 0.7
    assert told["second"]["links"]["two/forth"] == 0


def test_subflows_between_the_same_addresses_are_told_apart() -> None:
    events = [
        {"at_s": 1, "host": "a", "address": "10.0.2.1", "present": False},
        {"at_s": 2, "host": "a", "address": "10.0.2.1", "present": True},
    ]
    flow = simulate(events=events)["flows"]["f"]
    assert flow["subflows"]["10.0.2.1 > 192.0.2.1"]["received"] > 0
    assert flow["subflows"]["10.0.2.1 > 192.0.2.1 (2)"]["received"] > 0


def test_utilization_is_a_share_of_the_rate() -> None:
    links = simulate()["links"]
    assert links["one/forth"]["utilization"] == pytest.approx(
        links["one/forth"]["octets"] * 8 / 16e6, abs=1e-6
    )
    assert links["core/forth"]["utilization"] is None


def cut(**more: Any) -> dict[str, Any]:
    """Simulate a flow of two paths, both of which are down from 1.5 s to 2.1 s."""
    events = [
        {"at_s": at, "link": link, "up": at > 2} for at in (1.5, 2.1) for link in ("one", "two")
    ]
    windows = {"before": (0.5, 1.5), "within": (1.6, 1.9), "across": (1, 4)}
    named = {name: {"start_s": at, "stop_s": end} for name, (at, end) in windows.items()}
    return simulate(events=events, windows=named, **more)


def test_the_longest_gap_is_between_two_deliveries() -> None:
    result = cut()
    gaps = {name: one["flows"]["f"]["longest_gap"] for name, one in result["windows"].items()}
    assert 0.5 < result["flows"]["f"]["longest_gap"] < 2
    assert gaps["across"] == result["flows"]["f"]["longest_gap"]
    assert gaps["before"] < 0.2
    assert 0.3 < gaps["within"] < 0.5  # open when the window ends


def test_what_never_comes_is_a_gap_as_well() -> None:
    events = [{"at_s": 1, "link": link, "up": False} for link in ("one", "two")]
    assert 2.9 < simulate(events=events)["flows"]["f"]["longest_gap"] < 3.2
    flow = {"source": "a", "destination": "b", "octets": 100_000}
    assert simulate(events=events, flows={"f": flow})["flows"]["f"]["longest_gap"] < 0.2

from __future__ import annotations

from typing import Any

import pytest

from plait.sim.node import Router
from plait.sim.run import Simulation, run
from plait.sim.toml import decode


def table(**more: Any) -> dict[str, Any]:
    """Return a host with two links to a router, and one behind it."""
    return {
        "duration_s": 4,
        "hosts": {
            "a": {"addresses": {"one": "10.0.1.1", "two": "10.0.2.1"}},
            "b": {"addresses": {"core": ["192.0.2.1", "192.0.2.2"]}},
        },
        "routers": {"r": {}},
        "links": {
            "one": {"between": ["a", "r"], "rate_mbit": 4, "delay_ms": 10},
            "two": {"between": ["a", "r"], "rate_mbit": 2, "delay_ms": 10},
            "core": {"between": ["r", "b"]},
        },
        "flows": {"f": {"source": "a", "destination": "b", "verify": True}},
    } | more


def subflows(result: dict[str, Any], flow: str = "f") -> dict[str, int]:
    return {label: told["received"] for label, told in result["flows"][flow]["subflows"].items()}


def test_packets_leave_by_the_interface_of_their_source() -> None:
    result = run(decode(table()))
    received = subflows(result)
    assert set(received) == {
        f"{one} > {other}"
        for one in ("10.0.1.1", "10.0.2.1")
        for other in ("192.0.2.1", "192.0.2.2")
    }
    links = result["links"]
    for interface, name in (("10.0.1.1", "one"), ("10.0.2.1", "two")):
        octets = sum(count for label, count in received.items() if label.startswith(interface))
        assert octets < links[f"{name}/forth"]["octets"] < octets * 1.2
        assert links[f"{name}/forth"]["utilization"] > 0.9


def test_a_route_of_a_host_overrules_its_interfaces() -> None:
    hosts = table()["hosts"]
    hosts["a"]["routes"] = [{"to": "192.0.2.0/24", "source": "10.0.2.1", "via": "one"}]
    links = run(decode(table(hosts=hosts)))["links"]
    assert links["two/forth"]["packets"] == 0
    assert links["two/back"]["packets"] > 0  # the way back is the router's


def test_routes_by_source_and_port_are_for_subflows_and_flows() -> None:
    routers = {
        "r": {"routes": [{"to": "192.0.2.1", "source": "10.0.2.1", "port": 7, "via": "slow"}]}
    }
    links = table()["links"] | {"slow": {"between": ["r", "b"], "rate_mbit": 0.5}}
    flows = {
        name: {"source": "a", "destination": "b", "port": port, "local": "10.0.2.1"}
        | {"settings": {"mptcp": False}}
        for name, port in (("f", 7), ("g", 8))
    }
    result = run(decode(table(routers=routers, links=links, flows=flows)))
    assert result["links"]["slow/forth"]["utilization"] > 0.9
    assert result["flows"]["f"]["goodput"] < 0.5e6
    assert result["flows"]["g"]["goodput"] > 1e6


def test_equal_paths_share_the_flows() -> None:
    paths = {f"path{number}": {"between": ["left", "right"], "rate_mbit": 1} for number in range(3)}
    flows = {
        f"f{number}": {"source": "a", "destination": "b", "settings": {"mptcp": False}}
        for number in range(24)
    }
    result = run(
        decode(
            {
                "duration_s": 1,
                "hosts": {
                    "a": {"addresses": {"access": "10.0.1.1"}},
                    "b": {"addresses": {"exit": "10.0.2.1"}},
                },
                "routers": {"left": {}, "right": {}},
                "links": {
                    "access": {"between": ["a", "left"]},
                    "exit": {"between": ["right", "b"]},
                }
                | paths,
                "flows": flows,
            }
        )
    )
    packets = [result["links"][f"{name}/forth"]["packets"] for name in paths]
    assert min(packets) > 50


CHANGES: dict[str, tuple[dict[str, Any], str, float, float]] = {
    "down": ({"link": "one", "up": False}, "one/forth", 0.0, 0.01),
    "slower": ({"link": "one", "rate_mbit": 1}, "one/forth", 0.2, 0.27),
    "slower forth": (
        {"link": "one", "rate_mbit": 1, "direction": "forth"},
        "one/forth",
        0.2,
        0.27,
    ),
    "slower back": ({"link": "one", "rate_mbit": 1, "direction": "back"}, "one/forth", 0.9, 1.01),
    "all lost": ({"link": "two", "loss": 1.0}, "two/forth", 0.0, 0.2),
}


@pytest.mark.parametrize(("change", "link", "low", "high"), CHANGES.values(), ids=CHANGES.keys())
def test_links_change_on_time(change: dict[str, Any], link: str, low: float, high: float) -> None:
    windows = {"before": {"start_s": 1, "stop_s": 2}, "after": {"start_s": 3, "stop_s": 4}}
    scenario = decode(table(events=[{"at_s": 2, **change}], windows=windows))
    result = run(scenario)
    rate = {"one": 4e6, "two": 2e6}[link.split("/", maxsplit=1)[0]]
    kept = change.get("rate_mbit", 0) and change.get("direction") != "back"
    scale = 1e6 / rate if kept else 1.0  # utilization is of the rate at the end
    assert result["windows"]["before"]["links"][link] * scale > 0.85
    assert low <= result["windows"]["after"]["links"][link] * scale <= high
    assert result["flows"]["f"]["intact"]


def test_a_delay_changes_on_time() -> None:
    flow = {
        "source": "a",
        "destination": "b",
        "kind": "requests",
        "answer_octets": 100,
        "think_ms": 100,
        "settings": {"mptcp": False},
    }
    events = [{"at_s": 2, "link": "one", "delay_ms": 50}]
    times = run(decode(table(flows={"f": flow}, events=events)))["flows"]["f"]["answers"]
    assert times["times_ms"][1] == pytest.approx(20, abs=2)
    assert times["times_ms"][-1] == pytest.approx(100, abs=2)


def test_an_address_that_goes_takes_its_subflows_along_and_comes_back() -> None:
    events = [
        {"at_s": 1, "host": "a", "address": "10.0.1.1", "present": False},
        {"at_s": 2, "host": "a", "address": "10.0.1.1", "present": True},
    ]
    windows = {"without": {"start_s": 1.6, "stop_s": 2}, "with": {"start_s": 3, "stop_s": 4}}
    result = run(decode(table(events=events, windows=windows)))
    assert result["flows"]["f"]["intact"]
    assert result["windows"]["without"]["links"]["one/forth"] < 0.01
    assert result["windows"]["with"]["links"]["one/forth"] > 0.8


def test_an_absent_address_is_not_used_until_it_comes() -> None:
    hosts = table()["hosts"]
    hosts["a"]["absent"] = "10.0.2.1"
    events = [{"at_s": 2, "host": "a", "address": "10.0.2.1", "present": True}]
    windows = {"without": {"start_s": 0, "stop_s": 2}, "with": {"start_s": 2, "stop_s": 4}}
    result = run(decode(table(hosts=hosts, events=events, windows=windows)))
    assert result["windows"]["without"]["links"]["two/forth"] == 0
    assert result["windows"]["with"]["links"]["two/forth"] > 0.5


def test_a_path_mtu_is_told_by_the_router() -> None:
    links = table()["links"]
    links["core"]["between"] = ["s", "b"]
    links["tunnel"] = {"between": ["r", "s"], "mtu": 1000}
    flow = {"source": "a", "destination": "b", "octets": 50_000}
    routers: dict[str, Any] = {"r": {}, "s": {}}
    result = run(decode(table(links=links, routers=routers, flows={"f": flow})))
    assert result["links"]["tunnel/forth"]["too_big"] > 0
    assert result["hosts"]["a"]["icmp_errors"] > 0


def test_a_host_may_wait_for_more_segments() -> None:
    flow = {"source": "a", "destination": "b", "kind": "requests", "answer_octets": 100}
    rest = {"think_ms": 100, "settings": {"mptcp": False}}
    hosts = table()["hosts"]
    hosts["a"]["coalesce_ms"] = hosts["b"]["coalesce_ms"] = 4
    times = run(decode(table(hosts=hosts, flows={"f": flow | rest})))["flows"]["f"]["answers"][
        "times_ms"
    ]
    assert times[1] == pytest.approx(28, abs=2)


def test_an_unreachable_host_is_known_at_once() -> None:
    simulation = Simulation(decode(table()))
    router = simulation.world.nodes["r"]
    assert isinstance(router, Router)
    router.table.routes = [
        route for route in router.table.routes if str(route.to).startswith("10.")
    ]
    result = simulation.run()
    assert result["routers"]["r"]["unrouted"] == 1
    assert result["flows"]["f"]["connections"]["lost"] == {"no route to host": 1}


def test_ipv6_works_alike() -> None:
    hosts = {
        "a": {"addresses": {"one": "fd00:1::1", "two": "fd00:2::1"}},
        "b": {"addresses": {"core": "fd00:9::1"}},
    }
    result = run(decode(table(hosts=hosts, serialize=True)))
    assert result["flows"]["f"]["intact"]
    assert set(subflows(result)) == {"fd00:1::1 > fd00:9::1", "fd00:2::1 > fd00:9::1"}
    assert result["flows"]["f"]["goodput"] > 4e6

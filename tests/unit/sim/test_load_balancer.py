"""Servers behind a stateless load balancer: joins to the shared address, and to where they work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plait.errors import UsageError
from plait.sim.run import run
from plait.sim.toml import decode, load

EXAMPLE = Path(__file__).parents[3] / "examples" / "sim" / "load_balancer.toml"
SHARED = "192.0.2.1"


def simulate(*changes: str) -> dict[str, Any]:
    """Run the example until before its second flow begins."""
    return run(load(EXAMPLE, ["duration_s=3", *changes]))


def joined(result: dict[str, Any], flow: str) -> set[str]:
    """Return the local addresses whose subflows carried data of a flow."""
    told = result["flows"][flow]["subflows"]
    return {label.split(" ")[0] for label, subflow in told.items() if subflow["received"]}


SERVERS = {
    "an address of its own": (1, "east", "10.0.2.1 > 192.0.2.11"),
    "a port of its own": (2, "west", "10.0.2.1 > 192.0.2.1"),
}


@pytest.mark.rfc("8041", "3.11", "M8041-3.11-1")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-28")
@pytest.mark.parametrize(("seed", "server", "label"), SERVERS.values(), ids=SERVERS.keys())
def test_with_flag_c_joins_find_the_server_by(seed: int, server: str, label: str) -> None:
    result = simulate(f"seed={seed}")
    found = result["flows"]["found"]
    assert found["intact"]
    assert found["connections"]["failed_joins"] == {}
    assert joined(result, "found") == {"10.0.1.1", "10.0.2.1"}
    assert found["subflows"][label]["received"] > 1_000_000
    for name in ("east", "west"):
        counters = result["hosts"][name]["counters"]
        assert "MPJoinNoTokenFound" not in counters
        assert counters.get("MPJoinAckRx", 0) == (2 if name == server else 0)


@pytest.mark.rfc("8041", "3.11", "M8041-3.11-1")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_it_the_wrong_server_refuses_and_the_stream_goes_on(seed: int) -> None:
    later = ("flows.found.start_s=7", "flows.found.stop_s=8")
    result = simulate(f"seed={seed}", "flows.lost.start_s=0", *later)
    lost = result["flows"]["lost"]
    assert lost["connections"]["failed_joins"] == {"refused": 1}
    assert (lost["connections"]["opened"], lost["connections"]["lost"]) == (1, {})
    assert lost["intact"]
    assert joined(result, "lost") == {"10.0.1.1"}
    assert lost["delivered"] > 2_000_000
    refused = [
        result["hosts"][name]["counters"].get("MPJoinNoTokenFound", 0) for name in ("east", "west")
    ]
    assert sorted(refused) == [0, 1]


def test_the_balancer_spreads_connections_and_keeps_each_where_it_is() -> None:
    result = simulate(
        'flows.found.kind="arrivals"',
        "flows.found.arrivals_per_s=10",
        "flows.found.settings={mptcp=false}",
    )
    opens = [result["hosts"][name]["counters"].get("PassiveOpens", 0) for name in ("east", "west")]
    assert min(opens) > 10
    assert result["flows"]["found"]["connections"]["opened"] == sum(opens)
    assert result["flows"]["found"]["connections"]["lost"] == {}


def table(**more: Any) -> dict[str, Any]:
    hosts = {name: {"addresses": {f"l{name}": [SHARED]}, "shared": [SHARED]} for name in ("b", "c")}
    return {
        "hosts": {"a": {"addresses": {"la": "10.0.0.1"}}, **hosts} | more.pop("hosts", {}),
        "routers": {"r": {}},
        "links": {f"l{name}": {"between": [name, "r"]} for name in ("a", "b", "c")},
        "flows": {"f": {"source": "a", "destination": ["b", "c"]} | more},
    }


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an address that one host thinks its own": (
        {"hosts": {"c": {"addresses": {"lc": [SHARED]}}}},
        f"hosts.c.addresses.lc: {SHARED} is given twice",
    ),
    "servers without a common address": (
        {"hosts": {"c": {"addresses": {"lc": ["192.0.2.2"]}}}},
        "flows.f: remote: b and c share no address",
    ),
    "an address of one server only": (
        {
            "hosts": {"c": {"addresses": {"lc": [SHARED, "192.0.2.2"]}, "shared": [SHARED]}},
            "remote": "192.0.2.2",
        },
        "flows.f: remote: 192.0.2.2 is no address of b and c",
    ),
    "packets that are not TCP": (
        {"kind": "cbr", "rate_mbit": 1},
        "flows.f.destination must be one host for cbr",
    ),
    "no server": ({"destination": []}, "flows.f.destination must name a host"),
    "the source among them": ({"destination": ["b", "a"]}, "flows.f: destination: is the source"),
}


@pytest.mark.parametrize(("more", "complaint"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_named(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        run(decode(table(**more)))
    assert str(raised.value).startswith(complaint)


def test_the_table_without_mistakes_runs() -> None:
    assert run(decode(table(octets=1000) | {"duration_s": 1}))["flows"]["f"]["delivered"] == 1000

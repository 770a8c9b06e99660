from __future__ import annotations

from typing import Any

import pytest

from plait.sim.box import Box
from plait.sim.run import Simulation
from plait.sim.toml import decode


def table(kind: str, *, inside: str = "near", **options: Any) -> dict[str, Any]:
    """Return two hosts with a box between them, and a transfer."""
    return {
        "duration_s": 5,
        "hosts": {
            "a": {"addresses": {"near": "10.0.0.1"}},
            "b": {"addresses": {"far": "10.0.0.2"}},
        },
        "middleboxes": {"box": {"kind": kind, "inside": inside, **options}},
        "links": {
            "far": {"between": ["box", "b"], "delay_ms": 5},
            "near": {"between": ["a", "box"], "rate_mbit": 10, "delay_ms": 5},
        },
        "flows": {"f": {"source": "a", "destination": "b", "octets": 300_000, "verify": True}},
    }


SYN_AND_SIDE = {"inner": ("near", 0), "outer": ("far", 1)}


@pytest.mark.parametrize(("inside", "multipath"), SYN_AND_SIDE.values(), ids=SYN_AND_SIDE.keys())
def test_the_scenario_says_which_side_is_inside(inside: str, multipath: int) -> None:
    simulation = Simulation(decode(table("strip-syn", inside=inside, direction="outbound")))
    flow = simulation.run()["flows"]["f"]
    assert flow["connections"]["multipath"] == multipath
    assert flow["intact"]
    assert flow["delivered"] == 300_000


def test_what_a_box_holds_back_leaves_when_its_time_has_come() -> None:
    made = table("coalescer", hold_ms=3, limit=1400, direction="outbound")
    made["links"]["near"]["mtu"] = 700
    result = Simulation(decode(made)).run()
    assert result["flows"]["f"]["intact"]
    assert result["flows"]["f"]["delivered"] == 300_000
    assert result["links"]["far/forth"]["packets"] < result["links"]["near/forth"]["packets"] * 0.7


def test_a_box_stands_for_the_addresses_it_is_given() -> None:
    simulation = Simulation(decode(table("nat", address="198.51.100.1")))
    box = simulation.world.nodes["box"]
    assert isinstance(box, Box)
    assert [str(address) for address in box.addresses] == ["198.51.100.1"]
    flow = simulation.run()["flows"]["f"]
    assert flow["delivered"] == 300_000
    assert flow["connections"]["multipath"] == 1


def test_a_box_answers_what_does_not_fit_the_next_link() -> None:
    made = table("isn-rewriter")
    made["links"]["far"]["between"] = ["r", "b"]
    made["links"]["tunnel"] = {"between": ["box", "r"], "mtu": 1000}
    made["routers"] = {"r": {}}
    result = Simulation(decode(made)).run()
    assert result["links"]["tunnel/forth"]["too_big"] > 0
    assert result["hosts"]["a"]["icmp_errors"] > 0

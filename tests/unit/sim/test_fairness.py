"""Several subflows over one bottleneck take no more than one flow (RFC 6182, 2.2)."""

from __future__ import annotations

import pytest

from plait.sim.run import run
from plait.sim.scenario import FlowSpec, HostSpec, LinkSpec, Scenario, Shape, WindowSpec


def share(controller: str) -> float:
    """Return what four subflows get for each octet that one TCP connection gets beside them."""
    shape = Shape(rate_mbit=6, delay_ms=20, queue_ms=50)
    ends = {"a": "10.0.1.1", "b": "10.0.1.2"}
    several = {"congestion": controller, "path_manager": "ndiffports"}
    result = run(
        Scenario(
            duration_s=30,
            hosts={name: HostSpec(addresses={"wire": (at,)}) for name, at in ends.items()},
            links={"wire": LinkSpec(between=("a", "b"), forth=shape, back=shape)},
            flows={
                "several": FlowSpec(source="a", destination=("b",), settings=several),
                "one": FlowSpec(
                    source="a", destination=("b",), settings={"mptcp": False, "congestion": "reno"}
                ),
            },
            windows={"steady": WindowSpec(start_s=10, stop_s=30)},
        )
    )
    flows = result["windows"]["steady"]["flows"]
    ratio: float = flows["several"]["goodput"] / flows["one"]["goodput"]
    return ratio


@pytest.mark.rfc("6182", "2.2", "M6182-2.2-03")
def test_coupled_subflows_leave_others_their_share() -> None:
    assert share("olia") < 2
    assert share("reno") > 3

"""Each plug-in moves a stream through plait's simulator."""

from __future__ import annotations

from typing import Any

import pytest

from plait.sim.run import run
from plait.sim.scenario import FlowSpec, HostSpec, LinkSpec, Scenario, Shape

OCTETS = 500_000
PATH = Shape(rate_mbit=10, delay_ms=10, queue_packets=50)


def transfer(**settings: str) -> dict[str, Any]:
    """Return what became of a transfer over two paths with these policies."""
    result = run(
        Scenario(
            duration_s=20,
            hosts={
                name: HostSpec(addresses={"one": (f"10.0.1.{at}",), "two": (f"10.0.2.{at}",)})
                for at, name in enumerate(("near", "far"), 1)
            },
            links={
                name: LinkSpec(between=("near", "far"), forth=PATH, back=PATH)
                for name in ("one", "two")
            },
            flows={
                "stream": FlowSpec(
                    source="near", destination=("far",), octets=OCTETS, settings=settings
                )
            },
        )
    )
    flow: dict[str, Any] = result["flows"]["stream"]
    return flow


@pytest.mark.parametrize(
    "settings",
    [
        {"scheduler": "turns"},
        {"scheduler": "turns:octets=3000"},
        {"congestion": "steady:segments=10"},
        {"path_manager": "first-two"},
        {"scheduler": "turns", "congestion": "steady", "path_manager": "first-two"},
    ],
    ids=str,
)
def test_a_transfer_ends(settings: dict[str, str]) -> None:
    """Every octet arrives, whatever the policies."""
    flow = transfer(**settings)
    assert flow["delivered"] == OCTETS


def test_the_path_manager_opens_two_subflows() -> None:
    """The full mesh would open four."""
    assert len(transfer(path_manager="first-two")["subflows"]) == 2

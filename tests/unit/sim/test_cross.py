from __future__ import annotations

from typing import Any

import pytest

from plait.sim.run import run
from plait.sim.toml import decode


def simulate(rate_mbit: float = 8, **flow: Any) -> dict[str, Any]:
    table = {
        "duration_s": 20,
        "hosts": {"a": {"addresses": {"l": "10.0.0.1"}}, "b": {"addresses": {"l": "10.0.0.2"}}},
        "links": {"l": {"between": ["a", "b"], "rate_mbit": rate_mbit, "queue_packets": 10}},
        "flows": {"f": {"source": "a", "destination": "b", "kind": "cbr", "rate_mbit": 2, **flow}},
    }
    return run(decode(table))


def test_a_constant_rate_is_one() -> None:
    result = simulate(start_s=5, stop_s=10, packet_octets=500)
    flow = result["flows"]["f"]
    assert flow["delivered"] == 1_250_000
    assert result["links"]["l/forth"]["packets"] == 2500
    assert set(flow["deliveries"][50:]) == {25_000}
    assert not any(flow["deliveries"][:50])


def test_bursts_have_their_share_of_the_time() -> None:
    flow = simulate(kind="onoff", on_ms=20, off_ms=60)["flows"]["f"]
    assert flow["delivered"] == pytest.approx(1_250_000, rel=0.25)
    assert 0 in flow["deliveries"]


def test_it_heeds_no_loss() -> None:
    result = simulate(rate_mbit=1)
    assert result["links"]["l/forth"]["overflowed"] == pytest.approx(1666, abs=20)
    assert result["flows"]["f"]["goodput"] == pytest.approx(1e6, rel=0.01)


def test_no_host_sees_it() -> None:
    hosts = simulate()["hosts"]
    assert all("InSegs" not in host["counters"] for host in hosts.values())

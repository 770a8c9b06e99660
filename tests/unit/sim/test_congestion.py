"""Congestion controllers on simulated paths: what they reach, queue and leave to others."""

from __future__ import annotations

from typing import Any

import pytest

from plait.sim.run import run
from plait.sim.scenario import (
    EventSpec,
    FlowSpec,
    HostSpec,
    LinkSpec,
    Scenario,
    Shape,
    WindowSpec,
)

PAYLOAD = 1448 / 1500
"""Share of each packet that is payload."""


def path(
    *controllers: str,
    rate_mbit: float,
    seconds: float,
    queue_ms: float = 100,
    loss: float = 0.0,
    since: float = 1.0,
    events: tuple[EventSpec, ...] = (),
) -> dict[str, Any]:
    """Run one bulk flow for each controller over one path of 40 ms; measure from `since` on."""
    shape = Shape(rate_mbit=rate_mbit, delay_ms=20, queue_ms=queue_ms, loss=loss)
    ends = {"a": "10.0.1.1", "b": "10.0.1.2"}
    return run(
        Scenario(
            duration_s=seconds,
            series=("queue",),
            hosts={name: HostSpec(addresses={"wire": (at,)}) for name, at in ends.items()},
            links={
                "wire": LinkSpec(
                    between=("a", "b"), forth=shape, back=Shape(rate_mbit=rate_mbit, delay_ms=20)
                )
            },
            flows={
                f"{name}{at}": FlowSpec(
                    source="a", destination=("b",), settings={"mptcp": False, "congestion": name}
                )
                for at, name in enumerate(controllers)
            },
            events=events,
            windows={"steady": WindowSpec(start_s=since, stop_s=seconds)},
        )
    )


def rates(result: dict[str, Any]) -> list[float]:
    """Return what each flow reached in the window, in Mbit/s of packets."""
    flows = result["windows"]["steady"]["flows"].values()
    return [flow["goodput"] / 1e6 / PAYLOAD for flow in flows]


def standing_queue(result: dict[str, Any], since: float) -> float:
    """Return the average octets in the queue."""
    queue: list[tuple[float, int]] = result["links"]["wire/forth"]["queue"]
    seen = [octets for time, octets in queue if time >= since]
    return sum(seen) / len(seen)


def test_bbr_fills_a_path_with_little_in_its_queue() -> None:
    bbr = path("bbr", rate_mbit=50, seconds=3)
    assert rates(bbr)[0] >= 0.9 * 50
    assert standing_queue(bbr, 1) < 0.25 * 250_000
    assert bbr["links"]["wire/forth"]["overflowed"] == 0


def test_bbr_keeps_a_much_shorter_queue_than_cubic() -> None:
    bbr = path("bbr", rate_mbit=5, seconds=8, queue_ms=200)
    cubic = path("cubic", rate_mbit=5, seconds=8, queue_ms=200)
    assert min(rates(bbr) + rates(cubic)) >= 0.9 * 5
    assert standing_queue(bbr, 2) < standing_queue(cubic, 2) / 4


def test_bbr_sees_through_random_loss_that_stops_reno() -> None:
    bbr = path("bbr", rate_mbit=10, seconds=6, loss=0.01)
    reno = path("reno", rate_mbit=10, seconds=6, loss=0.01)
    assert rates(bbr)[0] >= 0.8 * 10
    assert rates(reno)[0] < 0.6 * 10


@pytest.mark.parametrize(("before", "after"), [(20, 5), (5, 20)])
def test_bbr_follows_a_rate_that_changes(before: float, after: float) -> None:
    change = EventSpec(at_s=2, link="wire", rate_mbit=after, direction="forth")
    result = path("bbr", rate_mbit=before, seconds=8, since=6, events=(change,))
    assert rates(result)[0] >= 0.85 * after


def test_bbr_probes_the_round_trip_time() -> None:
    result = path("bbr", rate_mbit=10, seconds=6.5)
    steps = result["flows"]["bbr0"]["deliveries"][40:60]  # of a tenth of a second each
    slow = [octets for octets in steps if octets < 0.7 * max(steps)]
    assert 1 <= len(slow) <= 5


def test_two_bbr_flows_share() -> None:
    shares = rates(path("bbr", "bbr", rate_mbit=5, seconds=12, queue_ms=30, since=4))
    assert sum(shares) >= 0.9 * 5
    assert min(shares) >= 0.3 * sum(shares)


@pytest.mark.parametrize("queue_ms", [30, 100])
def test_bbr_and_cubic_leave_each_other_something(queue_ms: float) -> None:
    shares = rates(path("bbr", "cubic", rate_mbit=5, seconds=12, queue_ms=queue_ms, since=3))
    assert sum(shares) >= 0.9 * 5
    assert min(shares) >= 0.2 * sum(shares)

"""A simulation, and the same set-up between the stack and the kernel, agree on goodput.

The paths have one rate, delay and queue in both: links of the simulation in one, emulation before
TUN devices in the other.  What is compared is the steady state, after slow start and the joins.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from interop.lab import Ends, Lab, Plan, connect, in_lab, subflows_up

from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.sim.run import run
from plait.sim.scenario import (
    FlowSpec,
    HostSpec,
    LinkSpec,
    RouteSpec,
    Scenario,
    Shape,
    WindowSpec,
)
from plait.units import MILLISECOND

pytestmark = pytest.mark.privileged

QUEUE = 64 * 1024
WARM_UP = 1.5
BLOCK = bytes(1 << 18)


@dataclass(frozen=True)
class Way:
    """One path, the same in both directions."""

    rate_mbit: int
    delay_ms: int


SETUPS = {
    "TCP": (Way(20, 10),),
    "Multipath TCP": (Way(20, 10), Way(10, 20)),
}


def simulated(ways: tuple[Way, ...], seconds: float) -> float:
    """Return the goodput in bit/s between two hosts of a simulation."""
    names = [f"path{number}" for number in range(len(ways))]
    shapes = [
        Shape(rate_mbit=way.rate_mbit, delay_ms=way.delay_ms, queue_octets=QUEUE) for way in ways
    ]
    routes = tuple(
        RouteSpec(to=f"10.77.{number + 1}.1", via=(name,))
        for number, name in enumerate(names)
        if number
    )
    scenario = Scenario(
        duration_s=WARM_UP + seconds,
        hosts={
            "stack": HostSpec(
                addresses={name: (f"10.77.{n + 1}.1",) for n, name in enumerate(names)}
            ),
            "kernel": HostSpec(addresses={names[0]: ("10.77.1.2",)}, routes=routes),
        },
        links={
            name: LinkSpec(between=("stack", "kernel"), forth=shape, back=shape)
            for name, shape in zip(names, shapes, strict=True)
        },
        flows={
            "bulk": FlowSpec(
                source="stack", destination=("kernel",), settings={"mptcp": len(ways) > 1}
            )
        },
        windows={"steady": WindowSpec(start_s=WARM_UP, stop_s=WARM_UP + seconds)},
    )
    goodput: float = run(scenario)["windows"]["steady"]["flows"]["bulk"]["goodput"]
    return goodput


def emulated(ways: tuple[Way, ...], seconds: float) -> float:
    """Return the goodput in bit/s from the stack to the kernel."""

    def wrap(path: int, driver: Driver) -> Driver:
        way = ways[path]
        rate, delay = way.rate_mbit * 1_000_000, way.delay_ms * MILLISECOND
        return Emulation(driver, LinkShape(rate=rate, delay=delay, queue=QUEUE))

    async def scenario(lab: Lab) -> float:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, len(ways))
        sending = asyncio.create_task(fill(ours))
        await count(theirs, WARM_UP)
        octets, took = await count(theirs, seconds)
        sending.cancel()
        return octets * 8 / took

    many = len(ways) > 1
    plan = Plan(paths=len(ways), wrap=wrap, kernel_mptcp=many, settings={"mptcp": many})
    return in_lab(plan, scenario, seconds=WARM_UP + seconds + 15)


async def fill(end: Ends) -> None:
    """Write without end."""
    while True:
        end[1].write(BLOCK)
        await end[1].drain()


async def count(end: Ends, seconds: float) -> tuple[int, float]:
    """Read for a time; return the octets that came and the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    octets = 0
    while loop.time() < began + seconds:
        octets += len(await end[0].read(1 << 16))
    return octets, loop.time() - began


@pytest.mark.parametrize("name", SETUPS)
def test_goodput_agrees_within_a_tenth(name: str) -> None:
    ways = SETUPS[name]
    ratio = 0.0
    for seconds in (3.0, 9.0):  # a machine busy elsewhere delays real packets: ask once more
        ratio = emulated(ways, seconds) / simulated(ways, seconds)
        if 0.9 <= ratio <= 1.1:
            break
    assert 0.9 <= ratio <= 1.1

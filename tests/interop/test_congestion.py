"""BBR to the kernel over a link of known rate, on real timers, which are late."""

from __future__ import annotations

import asyncio
import time

import pytest
from interop.lab import Lab, Plan, close, connect, in_lab, send

from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.units import MILLISECOND

pytestmark = pytest.mark.privileged

RATE = 40_000_000
"""Bits per second."""

LEAST = RATE / 5
"""More than a sender reaches to which losses mean congestion: about a seventh at this rate of loss.

On a machine that does nothing else BBR takes most of the link.
"""

SIZE = 6 << 20


def lossy(_: int, driver: Driver) -> Driver:
    """A path of 40 ms that loses one packet in two hundred."""
    forth = LinkShape(rate=RATE, delay=20 * MILLISECOND, loss=0.005)
    return Emulation(driver, forth, LinkShape(delay=20 * MILLISECOND))


TRIES = 3
"""A machine busy elsewhere delays packets and timers: ask again."""


@pytest.mark.parametrize("mptcp", [True, False], ids=["MPTCP", "TCP"])
def test_bbr_is_not_held_up_by_random_losses(mptcp: bool) -> None:
    plan = Plan(wrap=lossy, settings={"congestion": "bbr", "mptcp": mptcp}, kernel_mptcp=mptcp)

    async def scenario(lab: Lab) -> float:
        ours, theirs = await connect(lab, stack_connects=True)
        began = time.monotonic()
        data = bytes(SIZE)
        _, arrived = await asyncio.gather(send(ours, data), theirs[0].read())
        took = time.monotonic() - began
        assert arrived == data
        (subflow,) = lab.stack.info(ours[1].transport).subflows
        assert subflow.tcp.total_retrans < 200
        theirs[1].write_eof()
        await close((ours, theirs))
        return SIZE * 8 / took

    rates: list[float] = []
    while len(rates) < TRIES and max(rates, default=0) <= LEAST:
        rates.append(in_lab(plan, scenario))
    assert max(rates) > LEAST

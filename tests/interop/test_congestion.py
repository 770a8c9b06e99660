"""BBR to the kernel over a link that loses packets, on real timers, which are late.

How fast it is depends on what else the machine does; the simulator judges that.
"""

from __future__ import annotations

import asyncio

import pytest
from interop.lab import Lab, Plan, close, connect, in_lab, send

from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.units import MILLISECOND

pytestmark = pytest.mark.privileged

RATE = 40_000_000
"""Bits per second."""

SIZE = 6 << 20


def lossy(_: int, driver: Driver) -> Driver:
    """A path of 40 ms that loses one packet in two hundred."""
    forth = LinkShape(rate=RATE, delay=20 * MILLISECOND, loss=0.005)
    return Emulation(driver, forth, LinkShape(delay=20 * MILLISECOND))


@pytest.mark.parametrize("mptcp", [True, False], ids=["MPTCP", "TCP"])
def test_bbr_repairs_what_a_link_loses_and_no_more(mptcp: bool) -> None:
    plan = Plan(wrap=lossy, settings={"congestion": "bbr", "mptcp": mptcp}, kernel_mptcp=mptcp)

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        data = bytes(SIZE)
        _, arrived = await asyncio.gather(send(ours, data), theirs[0].read())
        assert arrived == data
        (subflow,) = lab.stack.info(ours[1].transport).subflows
        assert subflow.tcp.total_retrans < SIZE // subflow.tcp.snd_mss // 4  # 22 are lost
        theirs[1].write_eof()
        await close((ours, theirs))

    in_lab(plan, scenario, seconds=60)

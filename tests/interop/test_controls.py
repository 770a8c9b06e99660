"""Negative controls: with a defect put in, the claims of the matrix fail as they should."""

from __future__ import annotations

import asyncio

import pytest
from interop.faults import Tampering, keep, strip_mptcp
from interop.lab import Lab, Plan, close, connect, exchange, in_lab, send, subflows_up

from plait.drivers.base import Driver
from plait.wire.mptcp.mp_join import MpJoinAck
from plait.wire.segment import SYN, Segment

pytestmark = pytest.mark.privileged

SIZE = 300_000


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-11")
def test_a_forbidden_second_subflow_does_not_come_up() -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await subflows_up(lab, ours, theirs, 2)
        await exchange(ours, theirs, SIZE)
        await close((ours, theirs))
        counted = lab.counted()
        assert counted["MPJoinRejected"] == 1
        assert "MPJoinAckRx" not in counted

    in_lab(Plan(paths=2, subflow_limit=0), scenario)


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-20")
def test_a_wrong_key_is_refused() -> None:
    def forge(segment: Segment) -> Segment:
        segment.options = tuple(
            MpJoinAck(bytes(20)) if isinstance(option, MpJoinAck) else option
            for option in segment.options
        )
        return segment

    def wrap(path: int, driver: Driver) -> Driver:
        return Tampering(driver, outbound=forge) if path == 1 else driver

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await subflows_up(lab, ours, theirs, 2)
        await exchange(ours, theirs, SIZE)
        await close((ours, theirs))
        assert lab.counted()["MPJoinAckHMacFailure"] == 1

    in_lab(Plan(paths=2, wrap=wrap), scenario)


STRIPPED = {
    "SYN": (lambda segment: bool(segment.flags & SYN), keep),
    "SYN/ACK": (None, lambda segment: bool(segment.flags & SYN)),
    "third ACK and all data": (lambda segment: not segment.flags & SYN, keep),
    "all but the SYN/ACK from the peer": (None, lambda segment: not segment.flags & SYN),
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-39")
@pytest.mark.parametrize("stack_connects", [True, False], ids=["connects", "listens"])
@pytest.mark.parametrize("where", STRIPPED, ids=list(STRIPPED))
def test_a_stripped_option_means_plain_tcp_and_the_same_octets(
    where: str, stack_connects: bool
) -> None:
    out, into = STRIPPED[where]

    def outbound(segment: Segment) -> Segment:
        return strip_mptcp(segment) if out is not None and out(segment) else segment

    def inbound(segment: Segment) -> Segment:
        return strip_mptcp(segment) if into is not keep and into(segment) else segment

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=stack_connects)
        await exchange(ours, theirs, SIZE)
        info = lab.stack.info(ours[1].transport)
        await close((ours, theirs))
        assert not info.is_mptcp
        assert info.fallback_reason is not None
        assert any("Fallback" in name for name in lab.counted()) or where == "SYN"

    def wrap(_: int, driver: Driver) -> Driver:
        return Tampering(driver, outbound=outbound, inbound=inbound)

    in_lab(Plan(wrap=wrap), scenario)


class Corrupter:
    """Changes one octet of the next `left` segments that carry much."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, segment: Segment) -> Segment:
        if segment.length > 1000 and self.left:
            self.left -= 1
            octets = bytearray(b"".join(segment.payload))
            octets[500] ^= 0xFF
            segment.payload = (bytes(octets),)
        return segment

    def wrap(self, _: int, driver: Driver) -> Driver:
        return Tampering(driver, outbound=self)


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-09")
@pytest.mark.parametrize("checksum", [True, False], ids=["checksum", "bare"])
def test_a_changed_octet_is_noticed_only_with_checksums(checksum: bool) -> None:
    corrupter = Corrupter(1)

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        data, tail = bytes(2000), b"the next mapping can say that TCP goes on"
        ours[1].write(b"x" * 10)
        assert await theirs[0].readexactly(10) == b"x" * 10
        await send(ours, data, end_stream=False)
        arrived = await theirs[0].readexactly(len(data))
        assert arrived != data
        await asyncio.sleep(0.1)
        await send(ours, tail)
        assert await theirs[0].read() == tail
        counted = lab.counted()
        if checksum:
            assert counted["DataCsumErr"] == 1
            assert counted["MPFailTx"] == 1
            assert not lab.stack.info(ours[1].transport).is_mptcp
        else:
            assert "DataCsumErr" not in counted
            assert lab.stack.info(ours[1].transport).is_mptcp

    in_lab(Plan(wrap=corrupter.wrap, checksum=checksum), scenario)


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-10")
def test_a_changed_octet_on_one_of_two_subflows_is_healed() -> None:
    corrupter = Corrupter(0)

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, 2)
        corrupter.left = 1
        await exchange(ours, theirs, SIZE)
        assert corrupter.left == 0
        counted = lab.counted()
        assert counted["DataCsumErr"] == 1
        assert lab.stack.info(ours[1].transport).is_mptcp

    in_lab(Plan(paths=2, wrap=corrupter.wrap), scenario)

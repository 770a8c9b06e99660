"""SYN cookies and Fast Open with the kernel, in both roles, plain and Multipath TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from interop.faults import Tampering
from interop.lab import Ends, Lab, Plan, close, connect, exchange, in_lab, tcp_counters

from plait.aio.streams import open_connection
from plait.drivers.base import Driver
from plait.linux.mptcp_sockets import make_socket
from plait.linux.socket_options import SocketOptions
from plait.wire.segment import SYN, Segment
from plait.wire.tcp_options import FastOpen

pytestmark = pytest.mark.privileged

SIZE = 200_000
EARLY = b"early data" * 10
MODES = {"MPTCP": True, "TCP": False}


class Syns:
    """The segments with SYN of one path, in order."""

    def __init__(self) -> None:
        self.seen: list[Segment] = []
        self.edit: Callable[[Segment], None] | None = None
        """Changes what leaves the stack."""

    def note(self, segment: Segment) -> Segment:
        if segment.flags & SYN:
            self.seen.append(segment)
        return segment

    def note_outbound(self, segment: Segment) -> Segment:
        if self.edit is not None and segment.flags & SYN:
            self.edit(segment)
        return self.note(segment)

    def wrap(self, path: int, driver: Driver) -> Driver:
        return (
            Tampering(driver, outbound=self.note_outbound, inbound=self.note)
            if not path
            else driver
        )

    def summary(self) -> list[tuple[str, int | None, int]]:
        """Return of each SYN its kind, the length of its cookie if it has the option, its data."""
        kinds = {SYN: "SYN"}
        return [
            (kinds.get(one.flags & 0x12, "SYN/ACK"), _cookie_length(one), one.length)
            for one in self.seen
        ]


def _cookie_length(segment: Segment) -> int | None:
    for option in segment.options:
        if isinstance(option, FastOpen):
            return len(option.cookie)
    return None


# ---- SYN cookies


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-13")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_the_kernel_takes_our_syn_cookies(mode: str, family: int) -> None:
    mptcp = MODES[mode]

    async def scenario(lab: Lab) -> None:
        for number in range(3):
            ours, theirs = await connect(lab, stack_connects=False)
            await exchange(ours, theirs, SIZE, seed=number)
            assert lab.stack.info(ours[1].transport).is_mptcp is mptcp
            await close((ours, theirs))
        counters = lab.stack.counters
        assert counters.syncookies_sent == counters.syncookies_recv == 3
        assert counters.syncookies_failed == 0
        if mptcp:
            assert not any("Fallback" in name for name in lab.counted())

    in_lab(
        Plan(family=family, kernel_mptcp=mptcp, settings={"syn_cookies": "always"}),
        scenario,
    )


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@pytest.mark.parametrize("mode", MODES)
def test_we_take_the_kernels_syn_cookies(mode: str) -> None:
    mptcp = MODES[mode]

    async def scenario(lab: Lab) -> None:
        before = tcp_counters()
        ours, theirs = await connect(lab, stack_connects=True)
        await exchange(ours, theirs, SIZE)
        assert lab.stack.info(ours[1].transport).is_mptcp is mptcp
        await close((ours, theirs))
        after = tcp_counters()
        assert after["SyncookiesSent"] > before["SyncookiesSent"]
        assert after["SyncookiesRecv"] > before["SyncookiesRecv"]

    in_lab(Plan(kernel_mptcp=mptcp, sysctls={"net.ipv4.tcp_syncookies": 2}), scenario)


# ---- Fast Open


async def we_connect(lab: Lab, accepted: asyncio.Queue[Ends], data: bytes) -> tuple[Ends, Ends]:
    here = await open_connection(lab.plan.kernel_address(), lab.port, stack=lab.stack, data=data)
    there = await accepted.get()
    lab.writers.append(here[1])
    return here, there


ENABLED: dict[str, int | str] = {
    "net.ipv4.tcp_fastopen": 0x403,
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec": 0,
}
"""Both roles, the listener's without a socket option."""


@pytest.mark.rfc("7413", "4.2", "B7413-01")
@pytest.mark.rfc("8684", "B.2", "M8684-B.2-01")
@pytest.mark.parametrize("checksum", [False, True], ids=["", "checksum"])
@pytest.mark.parametrize("mode", MODES)
def test_our_syn_carries_data_to_the_kernel(mode: str, checksum: bool) -> None:
    mptcp = MODES[mode]
    syns = Syns()

    async def scenario(lab: Lab) -> None:
        accepted = await lab.serve(lab.kernel)
        for number in range(3):
            ours, theirs = await we_connect(lab, accepted, EARLY)
            assert await theirs[0].readexactly(len(EARLY)) == EARLY
            await exchange(ours, theirs, SIZE, seed=number)
            info = lab.stack.info(ours[1].transport)
            assert info.is_mptcp is mptcp
            assert info.bytes_sent == len(EARLY) + SIZE
            await close((ours, theirs))
        assert [one for one in syns.summary() if one[0] == "SYN"] == [
            ("SYN", 0, 0),
            ("SYN", 8, len(EARLY)),
            ("SYN", 8, len(EARLY)),
        ]
        assert lab.stack.counters.tcp_fast_open_active == 2
        assert tcp_counters()["TCPFastOpenPassive"] == 2

    plan = Plan(
        kernel_mptcp=mptcp,
        checksum=checksum,
        settings={"fast_open": "client"},
        sysctls=ENABLED,
        wrap=syns.wrap,
    )
    in_lab(plan, scenario)


@pytest.mark.rfc("7413", "4.2", "B7413-01")
@pytest.mark.rfc("8684", "B.3", "M8684-B.3-01")
@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_cookie_costs_us_nothing_but_time(mode: str) -> None:
    mptcp = MODES[mode]
    syns = Syns()

    def forge(segment: Segment) -> None:
        segment.options = tuple(
            FastOpen(bytes(8)) if isinstance(one, FastOpen) and one.cookie else one
            for one in segment.options
        )

    async def scenario(lab: Lab) -> None:
        accepted = await lab.serve(lab.kernel)
        for number in range(2):
            ours, theirs = await we_connect(lab, accepted, EARLY)
            assert await theirs[0].readexactly(len(EARLY)) == EARLY
            await exchange(ours, theirs, SIZE, seed=number)
            assert lab.stack.info(ours[1].transport).is_mptcp is mptcp
            await close((ours, theirs))
        assert lab.stack.counters.tcp_fast_open_active == 0
        assert lab.stack.counters.tcp_fast_open_active_fail == 1
        assert tcp_counters()["TCPFastOpenPassiveFail"] == 1

    syns.edit = forge
    plan = Plan(
        kernel_mptcp=mptcp, settings={"fast_open": "client"}, sysctls=ENABLED, wrap=syns.wrap
    )
    in_lab(plan, scenario)


async def kernel_connects(lab: Lab, data: bytes, *, mptcp: bool) -> socket.socket:
    """Connect from the kernel with data on the SYN if it knows a cookie, after it if not."""
    sock = make_socket(socket.AF_INET, SocketOptions(mptcp=mptcp))
    sock.settimeout(0)
    sent = 0
    with suppress(BlockingIOError):
        sent = sock.sendto(data, socket.MSG_FASTOPEN, (lab.plan.stack_address(), lab.port))
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(sock.fileno(), ready.set)
    await ready.wait()
    loop.remove_writer(sock.fileno())
    await loop.sock_sendall(sock, data[sent:])
    return sock


async def kernel_round(lab: Lab, accepted: asyncio.Queue[Ends], *, mptcp: bool) -> bool:
    """Have the kernel connect, send early data and more, and be answered.

    Returns whether the connection is a Multipath TCP one.
    """
    more = b"and more" * 1000
    sock = await kernel_connects(lab, EARLY, mptcp=mptcp)
    reader, writer = await accepted.get()
    assert await reader.readexactly(len(EARLY)) == EARLY
    writer.write(b"answer")
    loop = asyncio.get_running_loop()
    assert await loop.sock_recv(sock, 100) == b"answer"
    await loop.sock_sendall(sock, more)
    assert await reader.readexactly(len(more)) == more
    info = lab.stack.info(writer.transport)
    assert info.bytes_received == len(EARLY) + len(more)
    sock.close()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    return info.is_mptcp


def in_fast_lab(
    scenario: Callable[[Lab], Awaitable[None]], syns: Syns, *, mptcp: bool, checksum: bool = False
) -> None:
    settings = {"fast_open": "server"}
    plan = Plan(
        kernel_mptcp=mptcp, checksum=checksum, settings=settings, sysctls=ENABLED, wrap=syns.wrap
    )
    in_lab(plan, scenario)


@pytest.mark.rfc("7413", "4.2", "B7413-01")
@pytest.mark.rfc("8684", "B.1", "M8684-B.1-01")
@pytest.mark.rfc("8684", "B.2", "M8684-B.2-01")
@pytest.mark.parametrize("checksum", [False, True], ids=["", "checksum"])
@pytest.mark.parametrize("mode", MODES)
def test_the_kernels_syn_carries_data_to_us(mode: str, checksum: bool) -> None:
    syns = Syns()

    async def scenario(lab: Lab) -> None:
        accepted = await lab.serve(lab.stack)
        for _ in range(3):
            assert await kernel_round(lab, accepted, mptcp=MODES[mode]) is MODES[mode]
        assert syns.summary() == [
            ("SYN", 0, 0),
            ("SYN/ACK", 6, 0),
            ("SYN", 6, len(EARLY)),
            ("SYN/ACK", None, 0),
            ("SYN", 6, len(EARLY)),
            ("SYN/ACK", None, 0),
        ]
        assert lab.stack.counters.tcp_fast_open_passive == 2

    in_fast_lab(scenario, syns, mptcp=MODES[mode], checksum=checksum)


@pytest.mark.rfc("7413", "4.1.2", "B7413-01")
@pytest.mark.parametrize("mode", MODES)
def test_a_forged_cookie_gives_the_kernel_a_new_one(mode: str) -> None:
    """Linux 6.x sends data that a SYN did not deliver without MP_CAPABLE: RFC 8684, B.3 has it."""
    mptcp = MODES[mode]
    syns = Syns()

    def forge(segment: Segment) -> None:
        segment.options = tuple(
            FastOpen(bytes(6)) if isinstance(one, FastOpen) else one for one in segment.options
        )

    async def scenario(lab: Lab) -> None:
        accepted = await lab.serve(lab.stack)
        syns.edit = forge  # what the kernel learns is worth nothing
        assert await kernel_round(lab, accepted, mptcp=mptcp) is mptcp
        syns.edit = None
        assert not await kernel_round(lab, accepted, mptcp=mptcp)
        assert await kernel_round(lab, accepted, mptcp=mptcp) is mptcp
        assert lab.stack.counters.tcp_fast_open_passive_fail == 1
        assert lab.stack.counters.tcp_fast_open_passive == 1

    in_fast_lab(scenario, syns, mptcp=mptcp)

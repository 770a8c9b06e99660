"""Close, half-close and abort, seen from both sides."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from interop.lab import Lab, Plan, close, connect, in_lab, send, subflows_up

pytestmark = pytest.mark.privileged

LINGER_ZERO = struct.pack("ii", 1, 0)


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-02")
@pytest.mark.parametrize("paths", [1, 2])
@pytest.mark.parametrize("stack_first", [True, False], ids=["stack first", "kernel first"])
def test_half_close_leaves_the_other_direction_open(stack_first: bool, paths: int) -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, paths)
        first, second = (ours, theirs) if stack_first else (theirs, ours)
        await send(first, b"last words")
        assert await second[0].read() == b"last words"
        await asyncio.sleep(0.3)
        await send(second, b"y" * 100_000)
        assert await first[0].read() == b"y" * 100_000
        await close((ours, theirs))
        counted = lab.counted()
        assert not any("Rst" in name or "Fastclose" in name for name in counted)

    in_lab(Plan(paths=paths), scenario)


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-01")
@pytest.mark.parametrize("paths", [1, 2])
def test_our_abort_resets_the_peer(paths: int) -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, paths)
        ours[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await theirs[0].read()
        assert lab.counted()["MPFastcloseRx"] >= 1

    in_lab(Plan(paths=paths), scenario)


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-05")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-12")
@pytest.mark.parametrize("paths", [1, 2])
def test_the_peers_abort_resets_us(paths: int) -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, paths)
        sock = theirs[1].get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        theirs[1].close()
        with pytest.raises(ConnectionResetError):
            await ours[0].read()
        assert lab.counted()["MPFastcloseTx"] >= 1
        assert lab.stack.counters.mp_fastclose_rx == 1

    in_lab(Plan(paths=paths), scenario)


def test_nobody_listens() -> None:
    async def scenario(lab: Lab) -> None:
        with pytest.raises(ConnectionRefusedError):
            await lab.stack.create_connection(asyncio.Protocol, lab.plan.kernel_address(), 9)

    in_lab(Plan(), scenario)

"""A relay between two TCP connections over loopback, as programs at both ends see it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from plait.proxy.relay import pair

SECONDS = 5.0
MEGABYTES = bytes(range(256)) * 16384


class Ends:
    """A program's sockets on either side of a relay."""

    def __init__(self, left: socket.socket, right: socket.socket) -> None:
        self.left = left
        self.right = right


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    theirs.settimeout(0)
    return ours, theirs


def play(scenario: Callable[[Ends], Awaitable[None]]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        (ours, left), (mine, right) = connected(), connected()
        one, other = pair()
        first, _ = await loop.connect_accepted_socket(lambda: one, ours)
        second, _ = await loop.connect_accepted_socket(lambda: other, mine)
        try:
            async with asyncio.timeout(SECONDS):
                await scenario(Ends(left, right))
        finally:
            for closing in (left, right):
                closing.close()
            for transport in (first, second):
                transport.abort()
            await asyncio.sleep(0)

    asyncio.run(run())


async def receive(sock: socket.socket, octets: int) -> bytes:
    loop = asyncio.get_running_loop()
    got = bytearray()
    while len(got) < octets:
        piece = await loop.sock_recv(sock, 1 << 20)
        if not piece:
            break
        got += piece
    return bytes(got)


def test_both_directions_pass_whole_at_the_same_time() -> None:
    async def scenario(ends: Ends) -> None:
        loop = asyncio.get_running_loop()
        _, _, there, back = await asyncio.gather(
            loop.sock_sendall(ends.left, MEGABYTES),
            loop.sock_sendall(ends.right, MEGABYTES[::-1]),
            receive(ends.right, len(MEGABYTES)),
            receive(ends.left, len(MEGABYTES)),
        )
        assert (there, back) == (MEGABYTES, MEGABYTES[::-1])

    play(scenario)


def test_each_direction_ends_by_itself() -> None:
    async def scenario(ends: Ends) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(ends.left, b"question")
        ends.left.shutdown(socket.SHUT_WR)
        assert await receive(ends.right, 100) == b"question"
        await loop.sock_sendall(ends.right, b"answer")
        ends.right.close()
        assert await receive(ends.left, 100) == b"answer"
        assert await receive(ends.left, 100) == b""

    play(scenario)


def test_who_reads_nothing_stops_who_writes() -> None:
    async def scenario(ends: Ends) -> None:
        written = 0
        with suppress(BlockingIOError, TimeoutError):
            while True:
                async with asyncio.timeout(0.3):
                    await asyncio.get_running_loop().sock_sendall(ends.left, bytes(1 << 16))
                written += 1 << 16
                assert written < 64 << 20
        assert written
        assert len(await receive(ends.right, written)) >= written  # and part of the last piece

    play(scenario)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_reset_passes(side: str) -> None:
    async def scenario(ends: Ends) -> None:
        here, there = (ends.left, ends.right) if side == "left" else (ends.right, ends.left)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        here.close()
        with pytest.raises(ConnectionResetError):
            await receive(there, 1)

    play(scenario)


def test_a_side_that_comes_after_the_other_was_lost_is_reset() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        (ours, left), (mine, right) = connected(), connected()
        one, other = pair()
        first, _ = await loop.connect_accepted_socket(lambda: one, ours)
        first.abort()
        left.close()
        await asyncio.sleep(0)
        await loop.connect_accepted_socket(lambda: other, mine)
        with right, pytest.raises(ConnectionResetError):
            await asyncio.wait_for(loop.sock_recv(right, 1), SECONDS)

    asyncio.run(run())

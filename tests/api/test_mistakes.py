"""The likeliest mistakes, and every word that is said of them."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from support.api_world import World, echo, play

from plait.aio.connection import connection_of
from plait.aio.streams import open_connection, start_server
from plait.errors import NotSupportedError, UnknownNameError, UsageError
from plait.host.settings import Settings
from plait.linux.netns import Namespace, can_make_namespaces
from plait.units import SECOND

Mistake = Callable[[World], Awaitable[Any]]

HOST = "192.0.2.1"
"""Nobody's (RFC 5737)."""


async def _nothing(*_: Any) -> None:
    """Serve nobody."""


def _connect(**options: Any) -> Mistake:
    host, port = options.pop("host", None), options.pop("port", 9)
    return lambda world: open_connection(
        host or world.address, port, **({"backend": world.client} | options)
    )


def _serve(host: str | None, port: int) -> Mistake:
    return lambda world: start_server(_nothing, host, port, backend=world.server)


async def _twice(world: World) -> None:
    server = await world.serve(_nothing)
    await start_server(_nothing, None, server.port, backend=world.server)


async def _after_the_end(world: World) -> None:
    await world.serve(echo)
    _, writer = await world.connect()
    connection = connection_of(writer)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    connection.change(congestion="reno")


async def _on_a_closed_stack(world: World) -> None:
    await world.client.close(0)
    await open_connection(world.address, 9, backend=world.client)


NOT_OURS = f"{HOST} is not an address of this network namespace: see `ip addr`"
NOT_AN_ADDRESS = "local_addr 'wlan0' is not an IP address: give one of this machine, see `ip addr`"
NOT_THE_HOSTS = f"{HOST} is no address of this host"
REFUSED = "[Errno 111] cannot connect to {address} port 9: connection refused"
LATE = "[Errno 110] cannot connect to 10.0.1.9 port 9: no answer within 0.1 s"

MISTAKES: dict[str, tuple[str, Mistake, type[Exception], str]] = {
    "no such interface": ("tcp", _connect(local_addr="wlan0"), UsageError, NOT_AN_ADDRESS),
    "no such interface, stack": ("stack", _connect(local_addr="wlan0"), UsageError, NOT_AN_ADDRESS),
    "no such address": ("kernel", _connect(local_addr=HOST), UsageError, NOT_OURS),
    "no such address, stack": ("stack", _connect(local_addr=HOST), UsageError, NOT_THE_HOSTS),
    "listening elsewhere": ("kernel", _serve(HOST, 0), UsageError, NOT_OURS),
    "listening elsewhere, stack": ("stack", _serve(HOST, 0), UsageError, NOT_THE_HOSTS),
    "a port in use": (
        "tcp",
        _twice,
        UsageError,
        "port {port} is in use: stop its user or choose another port",
    ),
    "a port in use, stack": (
        "stack",
        _twice,
        UsageError,
        "port {port} is in use: choose another or stop who listens there",
    ),
    "a wrong back end": (
        "tcp",
        _connect(backend="quic"),
        UnknownNameError,
        "unknown backend 'quic': choose from auto, kernel, stack, tcp",
    ),
    "no stack": (
        "tcp",
        _connect(backend="stack"),
        NotSupportedError,
        "no stack is configured: see plait.use_stack",
    ),
    "a connection that has ended": (
        "kernel",
        _after_the_end,
        UsageError,
        "the connection has ended",
    ),
    "a connection that has ended, stack": (
        "stack",
        _after_the_end,
        UsageError,
        "the connection has ended",
    ),
    "a stack that is closed": (
        "stack",
        _on_a_closed_stack,
        UsageError,
        "the stack is closed: make another one",
    ),
    "unreachable": (
        "kernel",
        _connect(host=HOST),
        OSError,
        f"[Errno 101] cannot connect to {HOST} port 9: network is unreachable",
    ),
    "unreachable, stack": (
        "stack",
        _connect(host="fd09::1"),
        UsageError,
        "no local IPv6 address to reach fd09::1 from",
    ),
    "refused": ("kernel", _connect(), ConnectionRefusedError, REFUSED),
    "refused, tcp": ("tcp", _connect(), ConnectionRefusedError, REFUSED),
    "refused, stack": ("stack", _connect(), ConnectionRefusedError, REFUSED),
    "timed out": ("kernel to stack", _connect(host="10.0.1.9", timeout=0.1), TimeoutError, LATE),
    "timed out, stack": ("stack", _connect(host="10.0.1.9", timeout=0.1), TimeoutError, LATE),
    "a bad address": (
        "kernel",
        _connect(host="10.0.0.300"),
        UsageError,
        "'10.0.0.300' is not an IP address",
    ),
    "a bad port": (
        "kernel",
        _connect(port=70_000),
        UsageError,
        "port 70000 is not between 1 and 65535",
    ),
    "a bad port, stack": (
        "stack",
        _connect(port=0),
        UsageError,
        "port 0 is not between 1 and 65535",
    ),
    "an option refused": (
        "kernel",
        _connect(backend="kernel", settings=Settings(user_timeout=30 * SECOND)),
        NotSupportedError,
        "TCP_USER_TIMEOUT needs TCP: the kernel's Multipath TCP refuses it",
    ),
    "a congestion control the kernel has not": (
        "kernel",
        _connect(settings=Settings(congestion="olia")),
        NotSupportedError,
        (
            "the kernel has no congestion control 'olia': "
            "see sysctl net.ipv4.tcp_available_congestion_control"
        ),
    ),
    "a wrong intent": (
        "stack",
        _connect(intent="fast"),
        UnknownNameError,
        (
            "unknown intent 'fast': "
            "choose from aggregate, cheap-first, handover, interactive, redundant"
        ),
    ),
}


@pytest.mark.parametrize(
    ("row", "mistake", "kind", "message"), MISTAKES.values(), ids=MISTAKES.keys()
)
def test_every_word(row: str, mistake: Mistake, kind: type[Exception], message: str) -> None:
    async def scenario(world: World) -> str:
        with pytest.raises(kind) as raised:
            await mistake(world)
        told = str(raised.value).replace(world.address, "{address}")
        return told.replace(f"port {world.port} ", "port {port} ") if world.port else told

    assert play(row, scenario) == message


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    if not can_make_namespaces():
        pytest.skip("making network namespaces needs root")
    with Namespace() as made:
        yield made


OFF = "Multipath TCP is switched off in this kernel: run `sysctl net.mptcp.enabled=1`"
NO_STACK = "no stack is configured: see plait.use_stack"

SWITCHED_OFF = {
    "kernel": OFF,
    ("kernel", "stack"): f"{OFF}; {NO_STACK}",
}


@pytest.mark.privileged
@pytest.mark.parametrize(
    ("backend", "message"), SWITCHED_OFF.items(), ids=["alone", "before a stack"]
)
def test_multipath_tcp_switched_off(namespace: Namespace, backend: Any, message: str) -> None:
    namespace.set_sysctl("net.mptcp.enabled", 0)
    connecting = open_connection("127.0.0.1", 9, backend=backend)
    with pytest.raises(NotSupportedError) as raised:
        namespace.run(lambda: asyncio.run(connecting))
    assert str(raised.value) == message


@pytest.mark.privileged
def test_plain_tcp_at_worst_and_it_is_said_why(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLAIT_BACKEND", raising=False)
    namespace.set_sysctl("net.mptcp.enabled", 0)

    async def scenario() -> None:
        server = await start_server(echo, None, 0)
        reader, writer = await open_connection("127.0.0.1", server.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        info = connection_of(writer).info
        assert info.backend == "tcp"
        assert info.fallback_reason == f"{OFF}; {NO_STACK}"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    namespace.run(lambda: asyncio.run(scenario()))


@pytest.mark.privileged
def test_no_permission(namespace: Namespace) -> None:
    """The thread that asks gives its privileges up: they are not the process's but its own."""

    def work() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
        assert libc.capset(header, (ctypes.c_uint32 * 6)()) == 0
        asyncio.run(start_server(_nothing, "127.0.0.1", 80, backend="tcp"))

    with pytest.raises(UsageError) as raised:
        namespace.run(work)
    assert str(raised.value) == "127.0.0.1 port 80 needs privileges: choose one above 1023"

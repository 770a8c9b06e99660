"""Two namespaces joined by two cables, and one connection of the kernel between them."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface

from plait.aio.connection import connection_of
from plait.aio.kernel import Kernel
from plait.aio.kernel_connection import KernelConnection
from plait.aio.kernel_server import KernelServer
from plait.linux import mptcp_sockets
from plait.linux.netns import Namespace, veth_pair
from plait.linux.socket_options import SocketOptions

PORT = 5001


class Peer(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.made = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connection = connection_of(transport)
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@dataclass
class Pair:
    """Both ends; the loop runs in the namespace of `here`."""

    near: Namespace
    far: Namespace
    here: Peer
    there: Peer
    server: KernelServer

    @property
    def mine(self) -> KernelConnection:
        assert isinstance(self.here.connection, KernelConnection)
        return self.here.connection

    @property
    def other(self) -> KernelConnection:
        assert isinstance(self.there.connection, KernelConnection)
        return self.there.connection

    async def talk(self) -> None:
        """Send a little both ways and see it arrive."""
        for one, other in ((self.here, self.there), (self.there, self.here)):
            before = len(other.data)
            one.transport.write(b"hello")
            await until(lambda other=other, before=before: len(other.data) == before + 5)  # type: ignore[misc]


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  there is no event to wait for
        await asyncio.sleep(0.005)


def drop_privileges() -> None:
    """Give up the capabilities of the calling thread for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    assert libc.capset(header, (ctypes.c_uint32 * 6)()) == 0


def in_pair(
    scenario: Callable[[Pair], Awaitable[None]],
    *,
    userspace: tuple[bool, bool] = (True, False),
    privileged: bool = True,
    mptcp: tuple[bool, bool] = (True, True),
    endpoints: Sequence[tuple[str, int, int]] = (),
) -> None:
    """Connect, run the scenario and take everything away.

    Args:
        userspace: Whether here and there connections can be steered one by one.
        privileged: Whether the loop's thread keeps CAP_NET_ADMIN.
        mptcp: Whether here and there speak Multipath TCP.
        endpoints: Address, id and flags for the near kernel's path manager.
    """
    with Namespace() as near, Namespace() as far:
        for at in (1, 2):
            veth_pair(near, f"va{at}", far, f"vb{at}")
            for version, mask in (("10.9.{}.{}", 24), ("fd09:{}::{}", 64)):
                near.add_address(f"va{at}", ip_interface(f"{version.format(at, 1)}/{mask}"))
                far.add_address(f"vb{at}", ip_interface(f"{version.format(at, 2)}/{mask}"))
        for namespace, ours in zip((near, far), userspace, strict=True):
            namespace.set_mptcp_limits(subflows=8, add_addr_accepted=8)
            namespace.set_sysctl("net.mptcp.pm_type", int(ours))
        for address, address_id, flags in endpoints:
            near.add_mptcp_endpoint(ip_address(address), address_id, flags)

        async def main() -> None:
            await _run(near, far, mptcp, scenario, privileged=privileged)

        near.run(lambda: asyncio.run(main()))


async def _run(
    near: Namespace,
    far: Namespace,
    mptcp: tuple[bool, bool],
    scenario: Callable[[Pair], Awaitable[None]],
    *,
    privileged: bool,
) -> None:
    accepted: list[Peer] = []

    def accept() -> Peer:
        accepted.append(Peer())
        return accepted[-1]

    options = SocketOptions(mptcp=mptcp[1])
    listener = far.run(lambda: mptcp_sockets.listen(None, PORT, options))
    server = KernelServer(listener, accept, options, options.why_tcp)
    async with asyncio.timeout(10):
        _, here = await Kernel(mptcp=mptcp[0]).create_connection(Peer, "10.9.1.2", PORT)
        await until(lambda: bool(accepted))
        await accepted[0].made.wait()
        pair = Pair(near, far, here, accepted[0], server)
        try:
            await pair.talk()
            if not privileged:
                drop_privileges()
            await scenario(pair)
        finally:
            server.close()
            here.transport.abort()
            accepted[0].transport.abort()
            await asyncio.sleep(0.01)

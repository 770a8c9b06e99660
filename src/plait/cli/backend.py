"""Builds the network that the options describe: plait's stack on TUN devices, or the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path as FilePath
from typing import Final, Protocol, TypeVar

from plait.aio.kernel import Kernel
from plait.cli.options import NetworkOptions
from plait.cli.stack import open_stack
from plait.cli.udp import UdpPaths
from plait.cli.workers import Part
from plait.errors import UsageError
from plait.mptcp.info import ConnectionInfo

_PROTOCOL = TypeVar("_PROTOCOL", bound=asyncio.BaseProtocol)

_CHECKSUM_SYSCTL: Final = FilePath("/proc/sys/net/mptcp/checksum_enabled")


class Server(Protocol):
    """A listener of either back end."""

    port: int

    def close(self) -> None:
        """Stop accepting."""


class Counters(Protocol):
    """Events counted under Linux's names."""

    def snapshot(self) -> dict[str, int]:
        """Return what was counted so far."""


class Network(Protocol):
    """What both back ends can do."""

    @property
    def counters(self) -> Counters:
        """What this back end counts."""

    async def create_connection(
        self,
        protocol_factory: Callable[[], _PROTOCOL],
        host: str,
        port: int,
        *,
        local_addr: str | None = None,
    ) -> tuple[asyncio.Transport, _PROTOCOL]:
        """Connect."""

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None,
        port: int,
    ) -> Server:
        """Listen."""

    def info(self, transport: asyncio.BaseTransport) -> ConnectionInfo:
        """Return a snapshot of a connection."""

    async def close(self, seconds: float = ...) -> None:
        """End everything: in order, and after `seconds` by force."""


@asynccontextmanager
async def open_network(
    options: NetworkOptions,
    command: str,
    *,
    listening: bool = False,
    verbose: bool = False,
    part: Part | None = None,
) -> AsyncIterator[Network]:
    """Build what the options describe and take all of it away afterwards.

    Args:
        command: Name of the command as typed, for messages.
        listening: Peers call, and have to know the UDP port.
        verbose: Say on standard error what becomes of UDP sessions.
        part: That of one process among several, which bring their drivers.

    Raises:
        UsageError: The options contradict each other, or the machine cannot do it.
    """
    options.check()
    udp = UdpPaths(options, listening=listening)
    with ExitStack() as kept:
        network: Network
        if options.via == "kernel":
            network = Kernel(mptcp=options.mptcp != "off", congestion=options.cc)
            _check_kernel_checksum(options)
        else:
            network = open_stack(options, kept, command, udp, listening=listening, part=part)
        try:
            async with udp.told(verbose=verbose):
                yield network
        except BaseException:
            await network.close(0)
            raise
        await network.close()


def _check_kernel_checksum(options: NetworkOptions) -> None:
    """Raise UsageError if the kernel would not do what `--checksum` says."""
    if options.checksum is None or options.mptcp == "off":
        return
    wanted = options.checksum == "on"
    if wanted != (_CHECKSUM_SYSCTL.read_text(encoding="ascii").strip() == "1"):
        raise UsageError(
            f"the kernel does not have checksums {options.checksum}: "
            f"run `sysctl net.mptcp.checksum_enabled={int(wanted)}`"
        )

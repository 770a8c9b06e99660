"""Builds the network that the options describe: plait's stack on TUN devices, or the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, Final, Protocol, TypeVar

from plait.aio.kernel import Kernel
from plait.aio.stack import Stack
from plait.cli.options import NetworkOptions
from plait.cli.udp import UdpPaths
from plait.drivers.base import Driver
from plait.drivers.capture import Capture, wall_clock_epoch
from plait.drivers.packet import PacketDriver
from plait.drivers.packet_spec import PacketSpec, with_shared_ports
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.errors import UsageError
from plait.host.intents import intent_settings
from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo
from plait.trace.pcap import PcapWriter
from plait.uplinks.journal import load
from plait.uplinks.slots import attach

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
    options: NetworkOptions, command: str, *, listening: bool = False, verbose: bool = False
) -> AsyncIterator[Network]:
    """Build what the options describe and take all of it away afterwards.

    Args:
        command: Name of the command as typed, for messages.
        listening: Peers call, and have to know the UDP port.
        verbose: Say on standard error what becomes of UDP sessions.

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
            network = _open_stack(options, kept, command, udp, listening=listening)
        try:
            async with udp.told(verbose=verbose):
                yield network
        except BaseException:
            await network.close(0)
            raise
        await network.close()


def settings_of(options: NetworkOptions) -> Settings:
    """Return the settings of the stack; an option not given keeps its default."""
    given = {
        "path_manager": options.pm,
        "scheduler": options.scheduler,
        "congestion": options.cc,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if options.checksum is not None:
        chosen["checksum"] = options.checksum == "on"
    if options.mptcp == "off":
        chosen["mptcp"] = False
    else:
        chosen["mptcp_versions"] = options.mptcp
    if options.intent is None:
        return Settings(**chosen)
    return replace(intent_settings(options.intent), **chosen)


def _open_stack(
    options: NetworkOptions, kept: ExitStack, command: str, udp: UdpPaths, *, listening: bool
) -> Stack:
    """Return plait's stack on the networks asked for; `kept` closes its capture file."""
    specs = [TunSpec.parse(text) for text in options.tun]
    packets = [PacketSpec.parse(text) for text in options.packet]
    settings = with_shared_ports(settings_of(options), packets)
    with ExitStack() as made:
        drivers: list[Driver] = []
        for spec in specs:
            driver: Driver = Tun(spec)
            made.callback(driver.close)
            drivers.append(driver)
        for packet in packets:
            driver = PacketDriver(packet)
            made.callback(driver.close)
            drivers.append(driver)
        for opened in udp.open():
            made.callback(opened.close)
            drivers.append(opened)
        if not drivers:
            drivers = _uplinks(command, listening=listening)
            for uplink in drivers:
                made.callback(uplink.close)
        if options.pcap is not None:
            file = kept.enter_context(FilePath(options.pcap).open("wb"))
            writer, epoch = PcapWriter(file), wall_clock_epoch()
            drivers = [Capture(driver, writer, epoch) for driver in drivers]
        stack = Stack(drivers, settings)
        made.pop_all()
    return stack


def _uplinks(command: str, *, listening: bool) -> list[Driver]:
    """Return the devices of `plait up`.  Raises UsageError if there are none that are free."""
    journal = load()
    if journal is None:
        raise UsageError(
            f"plait's own stack needs a network: run `plait up` as root, give {command} "
            "--udp LOCAL or --tun NAME,local=A,peer=B/LEN, or use the kernel's Multipath TCP with "
            "--via kernel"
        )
    if listening:
        raise UsageError(
            f"nobody can call through the uplinks of `plait up`, which masquerade: give {command} "
            "--packet IF,shared,ports=LO-HI, or listen with --via kernel"
        )
    return attach(journal)


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

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
from plait.drivers.base import Driver
from plait.drivers.capture import Capture, wall_clock_epoch
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.errors import UsageError
from plait.host.intents import intent_settings
from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo
from plait.trace.pcap import PcapWriter

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
async def open_network(options: NetworkOptions, command: str) -> AsyncIterator[Network]:
    """Build what the options describe and take all of it away afterwards.

    Args:
        command: Name of the command as typed, for messages.

    Raises:
        UsageError: The options contradict each other, or the machine cannot do it.
    """
    options.check(command)
    with ExitStack() as kept:
        network: Network
        if options.via == "kernel":
            network = Kernel(mptcp=options.mptcp != "off", congestion=options.cc)
            _check_kernel_checksum(options)
        else:
            network = _open_stack(options, kept)
        try:
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


def _open_stack(options: NetworkOptions, kept: ExitStack) -> Stack:
    """Return plait's stack on the TUN devices asked for; `kept` closes its capture file."""
    settings = settings_of(options)
    specs = [TunSpec.parse(text) for text in options.tun]
    with ExitStack() as made:
        drivers: list[Driver] = []
        for spec in specs:
            driver = Tun(spec)
            made.callback(driver.close)
            drivers.append(driver)
        if options.pcap is not None:
            file = kept.enter_context(FilePath(options.pcap).open("wb"))
            writer, epoch = PcapWriter(file), wall_clock_epoch()
            drivers = [Capture(driver, writer, epoch) for driver in drivers]
        stack = Stack(drivers, settings)
        made.pop_all()
    return stack


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

"""Builds plait's stack on the networks that the options name."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from plait.aio.stack import Stack
from plait.cli.options import PolicyOptions, StackOptions
from plait.cli.udp import UdpPaths
from plait.cli.workers import Part
from plait.drivers.base import Driver
from plait.drivers.capture import Capture, wall_clock_epoch
from plait.drivers.packet import PacketDriver
from plait.drivers.packet_spec import PacketSpec, with_shared_ports
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.errors import UsageError
from plait.host.intents import intent_settings
from plait.host.settings import Settings
from plait.trace.pcap import PcapWriter
from plait.uplinks.journal import load
from plait.uplinks.slots import attach


def policies_of(options: PolicyOptions) -> Settings:
    """Return the settings of a stack with these policies.  Raises UsageError for unknown names."""
    chosen: dict[str, Any] = options.chosen()
    intent = chosen.pop("intent", None)
    base = Settings() if intent is None else intent_settings(intent)
    return replace(base, **chosen)


def settings_of(options: StackOptions) -> Settings:
    """Return the settings of the stack; an option not given keeps its default."""
    chosen: dict[str, Any] = {}
    if options.checksum is not None:
        chosen["checksum"] = options.checksum == "on"
    if options.mptcp == "off":
        chosen["mptcp"] = False
    else:
        chosen["mptcp_versions"] = options.mptcp
    return replace(policies_of(options), **chosen)


def open_stack(
    options: StackOptions,
    kept: ExitStack,
    command: str,
    udp: UdpPaths,
    *,
    listening: bool = False,
    part: Part | None = None,
) -> Stack:
    """Return plait's stack, which closes its drivers.

    Args:
        options: What it is attached to; the uplinks of `plait up` if they name nothing.
        kept: Closes the capture file.
        command: Name of the command as typed, for messages.
        udp: The UDP sockets that the options name.
        listening: Peers call.
        part: That of one process among several, which brings its drivers.

    Raises:
        UsageError: The machine cannot do it.
    """
    if part is not None:
        return Stack(part.drivers, settings_of(options), worker=part.worker)
    packets = [PacketSpec.parse(text) for text in options.packet]
    settings = with_shared_ports(settings_of(options), packets)
    with ExitStack() as made:
        drivers: list[Driver] = []

        def add(driver: Driver) -> None:
            drivers.append(driver)
            made.callback(driver.close)

        for tun in [TunSpec.parse(text) for text in options.tun]:
            add(Tun(tun))
        for packet in packets:
            add(PacketDriver(packet))
        for socket in udp.open():
            add(socket)
        if not drivers:
            for uplink in _uplinks(command, listening=listening):
                add(uplink)
        if options.pcap is not None:
            file = kept.enter_context(Path(options.pcap).open("wb"))
            writer, epoch = PcapWriter(file), wall_clock_epoch()
            drivers = [Capture(driver, writer, epoch) for driver in drivers]
        stack = Stack(drivers, settings)
        made.pop_all()
    return stack


def missing_network(options: StackOptions, command: str) -> str | None:
    """Return what to do if there is nothing to attach a stack to, else None."""
    if options.tun or options.packet or options.udp or load() is not None:
        return None
    return (
        f"plait's own stack needs a network: run `plait up` as root, give {command} "
        "--udp LOCAL or --tun NAME,local=A,peer=B/LEN, or use the kernel's Multipath TCP with "
        "--via kernel"
    )


def check_listening(options: StackOptions, port: int) -> None:
    """Raise UsageError if peers that call this port would reach the kernel."""
    for text in options.packet:
        spec = PacketSpec.parse(text)
        if spec.shared and port not in spec.ports:
            raise UsageError(
                f"port {port} of {spec.interface} is the kernel's: listen on one of "
                f"{spec.ports.start}-{spec.ports.stop - 1}, or give --packet "
                f"{spec.interface},shared,ports=LO-HI with others"
            )


def _uplinks(command: str, *, listening: bool) -> list[Driver]:
    """Return the devices of `plait up`.  Raises UsageError if there are none that are free."""
    journal = load()
    if journal is None:
        raise UsageError(missing_network(StackOptions(), command))
    if listening:
        raise UsageError(
            f"nobody can call through the uplinks of `plait up`, which masquerade: give {command} "
            "--packet IF,shared,ports=LO-HI, or listen with --via kernel"
        )
    return attach(journal)

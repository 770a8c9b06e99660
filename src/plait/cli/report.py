"""What a command tells at the end: one JSON object for programs, a few lines for people."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import click

from plait.addresses import Path, show_endpoint
from plait.aio.happenings import Happenings
from plait.aio.stack import Stack
from plait.aio.stack_connection import StackConnection
from plait.cli.backend import Network
from plait.cli.chronicle import Chronicle
from plait.drivers.base import Driver
from plait.errors import UsageError
from plait.mptcp.info import ConnectionInfo, SubflowInfo
from plait.units import MILLISECOND, Octets

verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Say on standard error what becomes of subflows, addresses and policies of the stack.",
)


class Watcher:
    """Remembers the last that was known about a connection and each of its subflows.

    A back end forgets a subflow when it ends and the connection when it closes; a report wants
    them all.

    Args:
        network: The back end.
        verbose: Print on standard error what happens.
    """

    def __init__(self, network: Network, *, verbose: bool = False) -> None:
        self._network = network
        self._verbose = verbose
        self._chronicle = Chronicle(time.monotonic_ns())
        self._happenings: Happenings | None = None
        self._transport: asyncio.BaseTransport | None = None
        self._last: ConnectionInfo | None = None
        self._subflows: dict[Path, SubflowInfo] = {}

    def watch(self, transport: asyncio.BaseTransport) -> None:
        """Follow this connection from now on, and forget the one before."""
        self._transport = transport
        self._last = None
        self._subflows = {}
        self._chronicle = Chronicle(time.monotonic_ns())
        connection = transport.get_extra_info("plait")
        self._happenings = connection.events() if isinstance(connection, StackConnection) else None
        self.update()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened to the connection, as JSON objects; the kernel tells nothing."""
        return self._chronicle.objects

    def update(self) -> ConnectionInfo | None:
        """Look again, and return the connection with every subflow it ever had."""
        self._follow()
        if self._transport is not None:
            try:
                self._merge(self._network.info(self._transport))
            except UsageError:
                self._transport = None  # it is closed: what was seen last is what there is
        if self._last is None:
            return None
        return dataclasses.replace(self._last, subflows=tuple(self._subflows.values()))

    def write(self, path: str) -> None:
        """Write all that is known as one JSON object to a file, to standard output for `-`."""
        network = self._network
        drivers = network.drivers if isinstance(network, Stack) else ()
        counters = network.counters.snapshot()
        write_json(path, connection_object(self.update(), counters, self.events, drivers))

    def settle(self, sent: Octets) -> None:
        """Note that the connection ended cleanly after `sent` octets of ours.

        A kernel socket whose peer has finished as well tells no more of what it sent.
        """
        if self._last is not None:
            counted = max(self._last.bytes_sent, sent)
            self._last = dataclasses.replace(self._last, bytes_sent=counted)

    def live_subflows(self) -> int:
        """Return how many subflows carried data when last looked at."""
        return sum(subflow.alive for subflow in self._subflows.values())

    def _follow(self) -> None:
        """Note what happened since the last look."""
        for happening in [] if self._happenings is None else self._happenings.take():
            line = self._chronicle.add(happening)
            if self._verbose:
                click.echo(line, err=True)

    def _merge(self, info: ConnectionInfo) -> None:
        """Take over a snapshot; subflows it no longer has stay, as closed ones."""
        if self._last is not None and self._last.is_mptcp and not info.subflows:
            info = dataclasses.replace(
                self._last,
                subflows=(),
                bytes_sent=max(self._last.bytes_sent, info.bytes_sent),
                bytes_received=max(self._last.bytes_received, info.bytes_received),
            )
        self._last = info
        present = {subflow.path: subflow for subflow in info.subflows}
        for path, subflow in self._subflows.items():
            if path not in present:
                self._subflows[path] = subflow.closed()
        self._subflows.update(present)


def connection_object(
    info: ConnectionInfo | None,
    counters: dict[str, int],
    events: Sequence[dict[str, Any]] = (),
    drivers: Sequence[Driver] = (),
) -> dict[str, Any]:
    """Return the JSON object of a connection.

    Args:
        info: None if there was none.
        counters: Of the back end.
        events: What happened to the connection; the kernel tells nothing.
        drivers: The networks of the stack.
    """
    if info is None:
        info = ConnectionInfo(
            is_mptcp=False,
            version=None,
            token=None,
            csum_enabled=False,
            fallback_reason=None,
            bytes_sent=0,
            bytes_received=0,
            subflows=(),
        )
    return {field.name: getattr(info, field.name) for field in dataclasses.fields(info)} | {
        "token": None if info.token is None else f"{info.token:08x}",
        "subflows": [_subflow_object(subflow) for subflow in info.subflows],
        "events": list(events),
        "counters": counters,
        "drivers": [
            {"addresses": list(map(str, one.addresses)), **dataclasses.asdict(one.counters)}
            for one in drivers
        ],
    }


def write_json(path: str, told: dict[str, Any]) -> None:
    """Write an object to a file, or to standard output if `path` is `-`."""
    text = json.dumps(told, indent=2)
    if path == "-":
        click.echo(text)
    else:
        FilePath(path).write_text(text + "\n", encoding="utf-8")


def show_rate(octets: int, seconds: float) -> str:
    """Return a rate in Mbit/s or Gbit/s, right-aligned in 13 columns."""
    megabits = octets * 8 / max(seconds, 1e-9) / 1e6
    if megabits < 1000:
        return f"{megabits:6.1f} Mbit/s"
    return f"{megabits / 1000:6.2f} Gbit/s"


def show_amount(octets: int) -> str:
    """Return an amount of data in the largest unit that leaves a digit before the point."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if octets >= unit:
            return f"{octets / unit:.2f} {name}"
    return f"{octets} B"


def describe_connection(info: ConnectionInfo) -> list[str]:
    """Return a line about the connection and one about each subflow."""
    if info.is_mptcp:
        checksum = ", checksums" if info.csum_enabled else ""
        first = f"Multipath TCP v{info.version}{checksum}, token {info.token or 0:08x}"
    else:
        first = f"TCP ({info.fallback_reason or 'Multipath TCP was off'})"
    return [first, *(f"  {describe_subflow(subflow)}" for subflow in info.subflows)]


def describe_subflow(subflow: SubflowInfo) -> str:
    """Return one line: path, state, octets each way, round-trip time, retransmissions."""
    tcp = subflow.tcp
    return (
        f"{subflow.path}  {tcp.state.lower()}  "
        f"sent {show_amount(tcp.bytes_sent)}, received {show_amount(tcp.bytes_received)}, "
        f"rtt {tcp.rtt / 1000:.1f} ms, {tcp.total_retrans} retransmissions"
    )


def _subflow_object(subflow: SubflowInfo) -> dict[str, Any]:
    """Return the JSON object of a subflow."""
    path, tcp = subflow.path, subflow.tcp
    return {
        "local": show_endpoint(path.local, path.local_port),
        "remote": show_endpoint(path.remote, path.remote_port),
        "bytes_sent": tcp.bytes_sent,
        "bytes_received": tcp.bytes_received,
        "srtt_ms": tcp.rtt * 1000 / MILLISECOND,
        "retransmissions": tcp.total_retrans,
        "state": tcp.state,
        "tcp_info": dataclasses.asdict(tcp),
    }

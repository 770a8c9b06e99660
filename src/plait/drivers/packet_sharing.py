"""A table of the packet filter that leaves some packets to the stack and keeps the kernel out.

The kernel would answer a segment for a port that none of its sockets has with a RST, and would pass
on packets for a stranger's address where it is a router.  Packet sockets see packets before.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from plait.addresses import IpAddress
from plait.drivers.nft import objects, run_nft
from plait.drivers.programs import check_program
from plait.errors import UsageError

_NAME: Final = re.compile(r"plait-(\d+)-(\d+)-\d+")
"""Process, its start in clock ticks since boot, and a number: a number of a process comes again."""

_FAMILY: Final = "inet"
_START_TIME: Final = 18
"""Place in /proc/PID/stat after the state, which follows the name in parentheses."""

_ENDED: Final = frozenset("ZX")
"""States of a process that nobody has waited for."""

_LOCAL_PORT: Final = 1
"""Column of /proc/net/tcp, as ADDRESS:PORT in hexadecimal digits."""

_numbers: Final = itertools.count()


class Guard:
    """Keeps the kernel away from what is the stack's, until it is closed.

    Args:
        interface: Where the packets arrive.
        addresses: Where to they go.
        ports: The local ports of the stack, None for whole addresses.

    Raises:
        UsageError: The packet filter cannot be changed.
    """

    def __init__(self, interface: str, addresses: Sequence[IpAddress], ports: range | None) -> None:
        check_program("nft", "sharing an address with the kernel")
        remove_stale()
        self._name = f"plait-{os.getpid()}-{start_of(os.getpid())}-{next(_numbers)}"
        table = f"{_FAMILY} {self._name}"
        which = "" if ports is None else f" tcp dport {ports.start}-{ports.stop - 1}"
        lines = [
            f"create table {table}",
            f"add chain {table} arriving {{ type filter hook prerouting priority raw; }}",
        ]
        for address in addresses:
            ip = "ip6" if address.version == 6 else "ip"
            lines.append(
                f'add rule {table} arriving iifname "{interface}" {ip} daddr {address}{which} drop'
            )
        run_nft("\n".join(lines))
        self._open = True

    def close(self) -> None:
        """Remove the table; somebody may have done so before."""
        if self._open:
            self._open = False
            with suppress(UsageError):
                run_nft(f"delete table {_FAMILY} {self._name}")


def remove_stale() -> None:
    """Remove the tables of processes that ended without doing so."""
    for table in objects("table"):
        found = _NAME.fullmatch(table["name"])
        if found is not None and start_of(int(found[1])) != int(found[2]):
            with suppress(UsageError):
                run_nft(f"delete table {table['family']} {table['name']}")


def check_ports(interface: str, ports: range) -> None:
    """Raise UsageError if the kernel's own sockets use one of the ports, or may be given one."""
    own = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    low, high = map(int, own)
    if ports.start <= high and low < ports.stop:
        raise UsageError(
            f"packet {interface}: ports {ports.start}-{ports.stop - 1} overlap those that the "
            f"kernel gives its own connections, {low}-{high}: choose others, or move the kernel's "
            "with `sysctl net.ipv4.ip_local_port_range`"
        )
    for port in sorted(_kernel_ports()):
        if port in ports:
            raise UsageError(
                f"packet {interface}: a socket of the kernel's has port {port}: choose others"
            )


def forwards(interface: str, version: int) -> bool:
    """Return whether the kernel passes on packets that arrive by an interface."""
    name = f"ipv4/conf/{interface}/forwarding" if version == 4 else "ipv6/conf/all/forwarding"
    try:
        return Path("/proc/sys/net", name).read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False


def _kernel_ports() -> set[int]:
    """Return the local ports of the kernel's TCP sockets."""
    ports = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = Path("/proc/thread-self/net", name).read_text(encoding="ascii").splitlines()
            ports |= {int(line.split()[_LOCAL_PORT].rpartition(":")[2], 16) for line in lines[1:]}
    return ports


def start_of(process: int) -> int:
    """Return when a process began, 0 if there is none of the number that still runs."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    state, *numbers = stat.rpartition(")")[2].split()
    return 0 if state in _ENDED else int(numbers[_START_TIME])

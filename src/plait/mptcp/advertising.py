"""Addresses and priorities: ADD_ADDR, REMOVE_ADDR and MP_PRIO (RFC 8684, 3.3.8 and 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plait.addresses import IpAddress
from plait.mptcp.state import Phase
from plait.tcp.receiver import NEVER
from plait.units import SECOND, Nanos
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.option import Option

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow

FIRST_REPEAT: Final = SECOND // 5
"""Least time before an ADD_ADDR without echo is sent again; doubles (Linux: the RTO)."""

MAX_ID: Final = 255

MAX_PORTS: Final = 8
"""Ports of one id of the peer that are told from each other in version 0."""


@dataclass(init=False, slots=True)
class Announcement:
    """An address of ours that the peer is told of and has not echoed."""

    option: AddAddr
    tries: int
    repeat_at: Nanos

    def __init__(self, option: AddAddr) -> None:
        self.option = option
        self.tries = 0
        self.repeat_at = 0


class AddressBook:
    """Address ids of both sides (RFC 8684, 3.2 and 3.4.1): id 0 is the first subflow's address."""

    __slots__ = ("_last_id", "_ports", "announcements", "local", "remote")

    def __init__(self, local: IpAddress, remote: IpAddress) -> None:
        self.local: dict[IpAddress, int] = {local: 0}
        self.remote: dict[int, IpAddress] = {0: remote}
        self.announcements: dict[int, Announcement] = {}
        self._ports: dict[int, set[int]] = {}
        """Ports that came with ids of the peer, kept in version 0."""

        self._last_id = 0

    def local_id(self, address: IpAddress) -> int:
        """Return the id of a local address; a new address gets a new one."""
        known = self.local.get(address)
        if known is None:
            self._last_id = self._last_id % MAX_ID + 1
            known = self.local[address] = self._last_id
        return known

    def is_new(self, address_id: int, port: int) -> bool:
        """Return, once, whether an id of the peer comes with a new port (RFC 6824, 3.4.1)."""
        known = self._ports.setdefault(address_id, set())
        if port in known or len(known) >= MAX_PORTS:
            return False
        known.add(port)
        return True

    def forget(self, address_id: int) -> bool:
        """Drop an address of the peer and return whether it was known."""
        self._ports.pop(address_id, None)
        return self.remote.pop(address_id, None) is not None

    def next_timeout(self) -> Nanos:
        """Return when an announcement is to be repeated."""
        return min((entry.repeat_at for entry in self.announcements.values()), default=NEVER)


def on_option(connection: Connection, now: Nanos, subflow: Subflow, option: Option) -> None:
    """Apply an option of path management."""
    if isinstance(option, AddAddr):
        if option.echo:
            _on_echo(connection, option)
        else:
            _on_add_addr(connection, now, subflow, option)
    elif isinstance(option, RemoveAddr):
        _on_remove_addr(connection, now, option)
    elif isinstance(option, MpPrio):
        connection.counters.mp_prio_rx += 1
        _on_prio(connection, subflow, option)


def _on_prio(connection: Connection, subflow: Subflow, option: MpPrio) -> None:
    """Note the priority of the subflow it came on, or of those at an address of the peer's."""
    if option.address_id is None or not connection.version.names_priorities:
        subflow.backup = option.backup
        return
    for other in connection.subflows:
        if other.remote_id == option.address_id:
            other.backup = option.backup


def _on_echo(connection: Connection, option: AddAddr) -> None:
    """The peer heard of our address: stop repeating it."""
    connection.counters.echo_add += 1
    waiting = connection.addresses.announcements.get(option.address_id)
    if waiting is not None and waiting.option.address == option.address:
        del connection.addresses.announcements[option.address_id]


def _on_add_addr(connection: Connection, now: Nanos, subflow: Subflow, option: AddAddr) -> None:
    """Check, echo and remember an address of the peer (RFC 8684, 3.4.1)."""
    if not connection.version.believes(connection.keys, option):
        return
    connection.counters.add_addr += 1
    book = connection.addresses
    known = book.remote.get(option.address_id)
    if known is not None and known != option.address:
        return
    if connection.version.echoes:
        _echo(connection, subflow, option)
    elif not book.is_new(option.address_id, option.port):
        return
    if known is None and len(book.remote) >= connection.settings.max_addresses:
        connection.counters.add_addr_drop += 1
        return
    book.remote[option.address_id] = option.address
    if reachable(connection, option.address):
        actions = connection.path_manager.on_address_advertised(
            connection.view(), option.address, option.address_id, option.port
        )
        connection.perform(now, actions)


def _echo(connection: Connection, subflow: Subflow, option: AddAddr) -> None:
    connection.counters.echo_add_tx += 1
    echo = AddAddr(
        address_id=option.address_id, address=option.address, port=option.port, echo=True
    )
    subflow.signals.append((echo,))


def reachable(connection: Connection, address: IpAddress) -> bool:
    """Return whether a connection to an advertised address makes sense."""
    return not (
        address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address in connection.local_addresses
        or int(address) == (1 << address.max_prefixlen) - 1
    )


def _on_remove_addr(connection: Connection, now: Nanos, option: RemoveAddr) -> None:
    """Close what uses the address; ids nobody knows are ignored (RFC 8684, 3.4.2)."""
    for address_id in option.address_ids:
        connection.counters.rm_addr += 1
        if not connection.addresses.forget(address_id):
            continue
        for subflow in connection.subflows:
            if subflow.remote_id == address_id and subflow.alive and not _last(connection, subflow):
                connection.counters.rm_subflow += 1
                connection.retire(now, subflow)
        actions = connection.path_manager.on_address_removed(connection.view(), address_id)
        connection.perform(now, actions)


def _last(connection: Connection, subflow: Subflow) -> bool:
    """Return whether no other subflow could carry the data."""
    return not any(other.can_send and other is not subflow for other in connection.subflows)


def announce(connection: Connection, address: IpAddress, port: int) -> None:
    """Tell the peer of a local address: until it echoes, or in version 0 once on every subflow."""
    address_id = connection.addresses.local_id(address)
    option = connection.version.advertisement(connection.keys, address_id, address, port)
    connection.addresses.announcements[address_id] = Announcement(option)


def withdraw(connection: Connection, now: Nanos, address: IpAddress) -> None:
    """Tell the peer that a local address is gone, on subflows that do not use it."""
    address_id = connection.addresses.local.pop(address, None)
    if address_id is None:
        return
    connection.addresses.announcements.pop(address_id, None)
    for subflow in connection.subflows:
        if subflow.alive and subflow.path.local == address:
            connection.retire(now, subflow)
    for carrier in _carriers(connection):
        connection.counters.rm_addr_tx += 1
        carrier.signals.append((RemoveAddr((address_id,)),))


def set_backup(connection: Connection, subflow: Subflow, backup: bool) -> None:
    """Ask the peer to spare this subflow, or to use it again (RFC 8684, 3.3.8).

    In version 0 another subflow can say it for one that does not answer (RFC 6824, 3.3.8).
    """
    connection.counters.mp_prio_tx += 1
    other = carrier(connection)
    if subflow.stale and other is not None and connection.version.names_priorities:
        other.signals.append((MpPrio(backup, subflow.local_id),))
    else:
        subflow.signals.append((MpPrio(backup),))


def send_due(connection: Connection, now: Nanos) -> None:
    """Queue the announcements that are due; give up after some tries."""
    book = connection.addresses
    tries = connection.settings.add_addr_tries if connection.version.echoes else 1
    for address_id, entry in list(book.announcements.items()):
        if entry.repeat_at > now:
            continue
        carriers = _carriers(connection)
        if not carriers:
            entry.repeat_at = now + FIRST_REPEAT
            continue
        if entry.tries >= tries:
            del book.announcements[address_id]
            continue
        for subflow in carriers:
            connection.counters.add_addr_tx += 1
            subflow.signals.append((entry.option,))
        rto = max(carriers[0].tcp.sender.rtt.rto, FIRST_REPEAT)
        entry.repeat_at = now + (rto << entry.tries)
        entry.tries += 1


def _carriers(connection: Connection) -> list[Subflow]:
    """Return the subflows to signal addresses on: one, or all where nothing is echoed."""
    if not connection.version.echoes:
        return [subflow for subflow in connection.subflows if subflow.phase is Phase.ACTIVE]
    one = carrier(connection)
    return [] if one is None else [one]


def carrier(connection: Connection) -> Subflow | None:
    """Return the subflow to signal on."""
    active = [subflow for subflow in connection.subflows if subflow.phase is Phase.ACTIVE]
    answering = [subflow for subflow in active if not subflow.stale]
    return next(iter(answering or active), None)

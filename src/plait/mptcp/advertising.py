"""Addresses that come: ids of both sides, and ADD_ADDR (RFC 8684, 3.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plait.addresses import IpAddress
from plait.mptcp import healing
from plait.mptcp.selection import NO_ADDRESSES
from plait.mptcp.state import AddressChange, Phase
from plait.pathing.base import advertised
from plait.tcp.receiver import NEVER
from plait.units import SECOND, Nanos
from plait.wire.mptcp.add_addr import AddAddr

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow

FIRST_REPEAT: Final = SECOND // 5
"""Least time before an ADD_ADDR without echo is sent again; doubles (Linux: the RTO)."""

MAX_ID: Final = 255

NO_IDS: Final[frozenset[int]] = frozenset()
"""Shared by the connections that know of none."""

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

    __slots__ = (
        "_endpoints",
        "_last_id",
        "_ports",
        "accepted",
        "announced",
        "announcements",
        "leaving",
        "local",
        "offers",
        "remote",
        "removed",
        "withdrawn",
    )

    def __init__(self, local: IpAddress, remote: IpAddress) -> None:
        self.local: dict[IpAddress, int] = {local: 0}
        self.remote: dict[int, IpAddress] = {0: remote}
        self.offers: dict[int, tuple[IpAddress, int]] = {}
        """Addresses of the peer that it advertised and that can be joined, with their ports."""

        self.announcements: dict[int, Announcement] = {}
        self.announced: frozenset[int] = NO_IDS
        """Ids of ours that the peer was told of, some of which may be gone."""

        self.accepted: frozenset[int] = NO_IDS
        """Ids that the peer told of by ADD_ADDR and did not remove."""

        self.removed: frozenset[int] = NO_IDS
        """Ids of the peer that it removed and has not given again: nothing joins them."""

        self.withdrawn: list[int] = []
        """Ids of ours that the peer is still to be told of by REMOVE_ADDR."""

        self.leaving: frozenset[IpAddress] = NO_ADDRESSES
        """Addresses of ours to be given up as soon as a subflow works elsewhere."""

        self._endpoints: dict[tuple[IpAddress, int], int] = {}
        """Ids of ours for the first address with another port than the first subflow's."""

        self._ports: dict[int, set[int]] = {}
        """Ports that came with ids of the peer, kept in version 0."""

        self._last_id = 0

    def local_id(self, address: IpAddress) -> int:
        """Return the id of a local address; a new address gets a new one."""
        known = self.local.get(address)
        if known is None:
            known = self.local[address] = self._next_id()
        return known

    def endpoint_id(self, address: IpAddress, port: int) -> int:
        """Return the id to advertise an address with a port by.

        Id 0 means the port of the first subflow as well, so another port needs another id.
        """
        known = self.local_id(address)
        if known or not port:
            return known
        if (address, port) not in self._endpoints:
            self._endpoints[address, port] = self._next_id()
        return self._endpoints[address, port]

    def arrival_id(self, address: IpAddress, port: int) -> int:
        """Return the id of the address and port that a peer joined."""
        return self._endpoints.get((address, port)) or self.local_id(address)

    def _next_id(self) -> int:
        """Return the id that was not in use for longest.

        The peer may not have heard yet that an id was freed, so all others come first (RFC 8684,
        3.4.2).
        """
        used = {*self.local.values(), *self._endpoints.values(), *self.withdrawn}
        for _ in range(MAX_ID):
            self._last_id = self._last_id % MAX_ID + 1
            if self._last_id not in used:
                break
        return self._last_id

    def signaled(self) -> int:
        """Return how many addresses of ours the peer was told of that are still good."""
        return len(self.announced & {*self.local.values(), *self._endpoints.values()})

    def learn(self, address_id: int, address: IpAddress) -> None:
        """Remember an address of the peer."""
        self.remote[address_id] = address
        self.removed -= {address_id}

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
        self.offers.pop(address_id, None)
        self.accepted -= {address_id}
        known = self.remote.pop(address_id, None) is not None
        if known:
            self.removed |= {address_id}
        return known

    def next_timeout(self) -> Nanos:
        """Return when an announcement is to be repeated."""
        return min((entry.repeat_at for entry in self.announcements.values()), default=NEVER)


def on_add_addr(connection: Connection, now: Nanos, subflow: Subflow, option: AddAddr) -> None:
    """Apply an ADD_ADDR: the peer's address, or its echo of ours."""
    if option.echo:
        _on_echo(connection, option)
    else:
        _on_address(connection, now, subflow, option)


def _on_echo(connection: Connection, option: AddAddr) -> None:
    """The peer heard of our address: stop repeating it."""
    connection.counters.echo_add += 1
    waiting = connection.addresses.announcements.get(option.address_id)
    if waiting is not None and waiting.option.address == option.address:
        del connection.addresses.announcements[option.address_id]


def _on_address(connection: Connection, now: Nanos, subflow: Subflow, option: AddAddr) -> None:
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
    book.learn(option.address_id, option.address)
    book.accepted |= {option.address_id}
    if reachable(connection, option.address):
        offer = (option.address, option.port)
        if known is None or book.offers.get(option.address_id) != offer:
            change = AddressChange(option.address_id, *offer, present=True)
            connection.changed.append((subflow, change))
        book.offers[option.address_id] = offer
        healing.forgive(connection, option.address)
        connection.consult(now, advertised(option.address, option.address_id, option.port))


def _echo(connection: Connection, subflow: Subflow, option: AddAddr) -> None:
    """Queue an echo, unless so many wait that only a flood can be why; the peer will ask again."""
    if len(subflow.signals) >= connection.settings.max_addresses:
        connection.counters.echo_add_tx_drop += 1
        return
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


def announce(connection: Connection, address: IpAddress, port: int) -> None:
    """Tell the peer of a local address: until it echoes, or in version 0 once on every subflow."""
    address_id = connection.addresses.endpoint_id(address, port)
    option = connection.version.advertisement(connection.keys, address_id, address, port)
    connection.addresses.announced |= {address_id}
    connection.addresses.announcements[address_id] = Announcement(option)


def send_due(connection: Connection, now: Nanos) -> None:
    """Queue the announcements that are due; give up after some tries."""
    book = connection.addresses
    tries = connection.settings.add_addr_tries if connection.version.echoes else 1
    for address_id, entry in list(book.announcements.items()):
        if entry.repeat_at > now:
            continue
        ways = carriers(connection)
        if not ways:
            entry.repeat_at = now + FIRST_REPEAT
            continue
        if entry.tries >= tries:
            del book.announcements[address_id]
            continue
        for subflow in ways:
            connection.counters.add_addr_tx += 1
            subflow.signals.append((entry.option,))
        rto = max(ways[0].tcp.sender.rtt.rto, FIRST_REPEAT)
        entry.repeat_at = now + (rto << entry.tries)
        entry.tries += 1


def carriers(connection: Connection) -> list[Subflow]:
    """Return the subflows to signal addresses on: one, or all where nothing is echoed."""
    if not connection.version.echoes:
        return [subflow for subflow in connection.subflows if subflow.phase is Phase.ACTIVE]
    one = carrier(connection)
    return [] if one is None else [one]


def carrier(connection: Connection) -> Subflow | None:
    """Return the subflow to signal on."""
    active = [subflow for subflow in connection.subflows if subflow.phase is Phase.ACTIVE]
    answering = [one for one in active if one.can_send and not one.stale]
    return next(iter(answering or active), None)

"""The sessions of one socket: by the ids of datagrams, and by the addresses that the stack uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from plait.addresses import IpAddress
from plait.drivers.udp.format import ID_OCTETS, is_control
from plait.drivers.udp.session import Notice, Outer, Session, UdpCounters
from plait.units import SECOND, Nanos

MAX_SESSIONS: Final = 4096
"""Sessions of one socket.  One more takes the place of the one heard longest ago, if that was
silent for `IDLE`; if none was, it is refused."""

IDLE: Final[Nanos] = 60 * SECOND

VIRTUAL_V4: Final = IPv4Network("240.0.0.0/4")
"""Addresses for peers whose own is taken; no host has one of these (RFC 1112, 4)."""

VIRTUAL_V6: Final = IPv6Network("fd70:6c61:7564::/48")
"""The same: a prefix of RFC 4193 that is never on a wire."""

_MAX_NOTICES: Final = 256

Entropy = Callable[[int], bytes]


class Table:
    """Holds sessions; every one has an id and an inner address that no other one has.

    Args:
        local: Our inner address.
        entropy: Returns so many random octets.
        counters: Of the driver.

    Attributes:
        outbox: Datagrams to send and their destinations.
        notices: What happened, the last of it.
    """

    def __init__(self, local: IpAddress, entropy: Entropy, counters: UdpCounters) -> None:
        self.local = local
        self.counters = counters
        self.outbox: list[tuple[bytes, Outer]] = []
        self.notices: deque[Notice] = deque(maxlen=_MAX_NOTICES)
        self.by_id: dict[bytes, Session] = {}
        self.by_remote: dict[bytes, Session] = {}
        self._entropy = entropy
        self._by_initiator: dict[bytes, Session] = {}

    def random(self, octets: int) -> bytes:
        """Return random octets."""
        return self._entropy(octets)

    def new_id(self) -> bytes:
        """Return a session id that nobody has."""
        while True:
            found = self._entropy(ID_OCTETS)
            if not is_control(found) and found not in self.by_id:
                return found

    def sessions(self) -> Iterable[Session]:
        """Return all there are."""
        return tuple(self.by_id.values())

    def of_initiator(self, initiator_id: bytes) -> Session | None:
        """Return the session that an initiator's id names."""
        return self._by_initiator.get(initiator_id)

    def add(self, session: Session) -> None:
        """Take in a session, whose id and inner address are free."""
        self.by_id[session.local_id] = session
        self.by_remote[session.remote.packed] = session
        self._by_initiator[session.initiator_id] = session

    def remove(self, session: Session, what: str) -> None:
        """Forget a session and what waits for it."""
        del self.by_id[session.local_id]
        del self.by_remote[session.remote.packed]
        del self._by_initiator[session.initiator_id]
        self.counters.dropped += len(session.held)
        session.held.clear()
        if session.remote_id:
            self.counters.closed += 1
        self.note(what, session)

    def make_room(self, now: Nanos) -> bool:
        """Return whether one more session may be added, after dropping one if need be."""
        if len(self.by_id) < MAX_SESSIONS:
            return True
        oldest = min(self.by_id.values(), key=lambda session: session.heard)
        if now - oldest.heard < IDLE:
            return False
        self.remove(oldest, "closed")
        return True

    def inner_address(self, outer: Outer) -> IpAddress:
        """Return the inner address of a new peer: its outer one, a virtual one if that is taken.

        Two peers behind one NAT, or two paths through one, have the same outer address.
        """
        own = ip_address(outer[0].partition("%")[0])
        if own.packed not in self.by_remote and not is_virtual(own) and own != self.local:
            return own
        network = VIRTUAL_V4 if own.version == 4 else VIRTUAL_V6
        while True:
            offset = int.from_bytes(self._entropy(16), "big") % (network.num_addresses - 2)
            found = network[offset + 1]
            if found.packed not in self.by_remote:
                return found

    def note(self, what: str, session: Session) -> None:
        """Remember what happened to a session."""
        self.notices.append(Notice(what, session.remote, session.outer))


def is_virtual(address: IpAddress) -> bool:
    """Return whether the address stands for a peer and leads nowhere."""
    return address in (VIRTUAL_V4 if address.version == 4 else VIRTUAL_V6)

"""Listeners: who accepts connections on which port, and how many may wait for it.

A connection waits twice: until its handshake is complete, and until `Host.take_events` hands out
its `Accepted`.  `Settings.backlog` bounds both.  Beyond the first bound SYNs are answered with
cookies or not at all; beyond the second neither SYNs nor third ACKs are heard, and come again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plait.addresses import IpAddress
from plait.host.fast_open import Pending
from plait.host.settings import Settings
from plait.units import Nanos
from plait.wire.segment import ACK, RST, SYN, Segment


@dataclass(slots=True)
class Listener:
    """A port that accepts connections."""

    listener_id: int
    address: IpAddress | None
    """None accepts on every local address."""

    port: int
    settings: Settings
    opening: set[int] = field(default_factory=set)
    """Connections whose handshake is not complete."""

    waiting: int = 0
    """Connections that are open and whose `Accepted` was not taken yet."""

    cookies_until: Nanos = -1
    """Until then an ACK may bring a SYN cookie back."""

    fast_open: Pending = field(default_factory=Pending)
    """Connections that a Fast Open cookie opened."""

    def takes(self, address: IpAddress) -> bool:
        """Return whether a SYN to this address is for us."""
        return self.address is None or self.address == address

    def full(self) -> bool:
        """Return whether no further handshake may begin."""
        return len(self.opening) >= self.settings.backlog

    def overflows(self) -> bool:
        """Return whether no further connection may become open."""
        return self.waiting >= self.settings.backlog


class Listeners:
    """The listeners of a host, found by port."""

    def __init__(self) -> None:
        self._by_id: dict[int, Listener] = {}
        self._by_port: dict[int, list[Listener]] = {}
        self._waited_for: set[int] = set()

    def add(self, listener: Listener) -> None:
        """Start one."""
        self._by_id[listener.listener_id] = listener
        self._by_port.setdefault(listener.port, []).append(listener)

    def remove(self, listener_id: int) -> Listener | None:
        """Stop one and return it; its connections live on."""
        listener = self._by_id.pop(listener_id, None)
        if listener is not None:
            others = self._by_port[listener.port]
            others.remove(listener)
            if not others:
                del self._by_port[listener.port]
        return listener

    def defers(self, listener_id: int | None, segment: Segment) -> bool:
        """Return whether to leave a third ACK unheard, since too many connections wait."""
        listener = None if listener_id is None else self._by_id.get(listener_id)
        third = segment.flags & (SYN | ACK | RST) == ACK
        return third and listener is not None and listener.overflows()

    def on_accepted(self, listener_id: int | None, connection_id: int) -> None:
        """A connection is open and waits for its `Accepted` to be taken."""
        listener = None if listener_id is None else self._by_id.get(listener_id)
        if listener is not None:
            listener.opening.discard(connection_id)
            listener.waiting += 1
            self._waited_for.add(listener.listener_id)

    def on_forgotten(self, listener_id: int | None, connection_id: int) -> None:
        """A connection is gone, perhaps before its handshake was complete."""
        listener = None if listener_id is None else self._by_id.get(listener_id)
        if listener is not None:
            listener.opening.discard(connection_id)

    def on_events_taken(self) -> None:
        """Nothing waits any more."""
        for listener_id in self._waited_for:
            listener = self._by_id.get(listener_id)
            if listener is not None:
                listener.waiting = 0
        self._waited_for.clear()

    def get(self, listener_id: int) -> Listener | None:
        """Return the listener with this id."""
        return self._by_id.get(listener_id)

    def find(self, address: IpAddress, port: int) -> Listener | None:
        """Return who listens there, one bound to the address before one bound to all."""
        found = [one for one in self._by_port.get(port, ()) if one.takes(address)]
        return min(found, key=_unbound, default=None)

    def in_use(self, address: IpAddress | None, port: int) -> bool:
        """Return whether a new listener would take from one that exists."""
        return any(address is None or one.takes(address) for one in self._by_port.get(port, ()))


def _unbound(listener: Listener) -> bool:
    return listener.address is None

"""Listeners: who accepts connections on which port."""

from __future__ import annotations

from dataclasses import dataclass, field

from plait.addresses import IpAddress
from plait.host.settings import Settings


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

    def takes(self, address: IpAddress) -> bool:
        """Return whether a SYN to this address is for us."""
        return self.address is None or self.address == address

    def full(self) -> bool:
        """Return whether no further handshake may begin."""
        return len(self.opening) >= self.settings.backlog


class Listeners:
    """The listeners of a host, found by port."""

    def __init__(self) -> None:
        self._by_id: dict[int, Listener] = {}
        self._by_port: dict[int, list[Listener]] = {}

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

    def on_opened(self, listener_id: int | None, connection_id: int) -> None:
        """The handshake of a connection is complete, or failed."""
        listener = None if listener_id is None else self._by_id.get(listener_id)
        if listener is not None:
            listener.opening.discard(connection_id)

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

"""Which addresses of the host a connection may use (RFC 6897, 5.3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from plait.addresses import IpAddress

NO_ADDRESSES: Final[frozenset[IpAddress]] = frozenset()


@dataclass(frozen=True, slots=True)
class Selection:
    """All addresses of the host, but for what is said here.

    Path managers see what it admits, and what they ask for beyond that is not done.
    """

    chosen: frozenset[IpAddress] | None = None
    """No others are used; None sets no such limit."""

    given_up: frozenset[IpAddress] = NO_ADDRESSES
    ports: Mapping[IpAddress, int] = field(default_factory=dict)
    """Ports that subflows from these addresses are bound to."""

    def admits(self, address: IpAddress) -> bool:
        """Return whether an address may be used."""
        return (self.chosen is None or address in self.chosen) and address not in self.given_up

    def including(self, endpoints: Sequence[tuple[IpAddress, int]]) -> Selection:
        """Return one that admits these addresses too; those with a port are bound to it."""
        addresses = frozenset(address for address, _ in endpoints)
        return Selection(
            None if self.chosen is None else self.chosen | addresses,
            self.given_up - addresses,
            {**self.ports, **{address: port for address, port in endpoints if port}},
        )

    def without(self, addresses: frozenset[IpAddress]) -> Selection:
        """Return one that does not admit these addresses."""
        return Selection(self.chosen, self.given_up | addresses, self.ports)


EVERYTHING: Final = Selection()
"""Shared by the connections that know no limits."""


def selection_of(chosen: Sequence[tuple[IpAddress, int]]) -> Selection:
    """Return what settings choose; nothing chosen is everything."""
    return Selection(NO_ADDRESSES).including(chosen) if chosen else EVERYTHING

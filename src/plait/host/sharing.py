"""Several hosts behind the same addresses, each in a process of its own: what belongs to whom.

The network spreads flows over the hosts and knows nothing of Multipath TCP, so a subflow may begin
at a host that does not have the connection.  A connection belongs to the host that took its first
SYN.  Its key is drawn until the token names that host, so that a SYN with MP_JOIN can be handed to
it, and an ACK that repeats the key.  Any other segment without a connection is looked at by one
host after the other; the last one answers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plait.errors import UsageError
from plait.mptcp.handshake import find_echo
from plait.wire.crypto import token
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.segment import ACK, SYN, Segment

if TYPE_CHECKING:
    from plait.mptcp.settings import ConnectionSettings

MOST: Final = 16
"""Hosts that can share addresses: drawing a key takes as many tries, on the average."""

ELSEWHERE: Final = 0
"""The id of no connection."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one host.  Raises UsageError if there is no such part."""

    index: int
    """Which one it is, from 0."""

    count: int
    """How many there are."""

    secret: bytes
    """What all of them know and nobody else, 32 octets: a Fast Open cookie of one is good at any,
    and an ISS goes on from where another left off."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 1 <= self.count <= MOST or not 0 <= self.index < self.count:
            raise UsageError(f"no host {self.index} of {self.count}: 1 to {MOST} can share")

    @property
    def others(self) -> int:
        """Return how many hosts there are besides this one."""
        return self.count - 1

    @property
    def following(self) -> int:
        """Return which host is asked after this one."""
        return (self.index + 1) % self.count

    def owner(self, token: int) -> int:
        """Return which host has the connection with a token."""
        return token % self.count

    def owns(self, token: int) -> bool:
        """Return whether a connection with a token is this host's."""
        return token % self.count == self.index

    def ports(self, ephemeral: range) -> range:
        """Return the local ports that this host may choose: no two choose the same path."""
        return ephemeral[self.index :: self.count]


ALONE: Final = Share(0, 1, b"")


@dataclass(frozen=True, slots=True)
class Stray:
    """A segment that concerns no connection of this host, and perhaps one of another."""

    segment: Segment
    to: int
    """Which host is to look at it."""

    passes: int
    """How many others that one may ask; with 0 it gives the answer."""

    connection_id: int = ELSEWHERE


class Strays:
    """The segments that wait to be handed to other hosts."""

    def __init__(self, share: Share, settings: ConnectionSettings) -> None:
        self._share = share
        self._settings = settings
        self._waiting: list[Stray] = []

    def goes_to_owner(self, segment: Segment) -> bool:
        """Hand a segment over if it tells whose it is: another host's, that is."""
        owner = owner_of(self._share, self._settings, segment)
        if owner is None or owner == self._share.index:
            return False
        self._waiting.append(Stray(segment, owner, 0))
        return True

    def pass_on(self, segment: Segment, passes: int) -> bool:
        """Hand a segment to the next host, if it may be asked."""
        if passes:
            self._waiting.append(Stray(segment, self._share.following, passes - 1))
        return passes > 0

    def take(self) -> list[Stray]:
        """Return what waits, and forget it."""
        taken = self._waiting
        if taken:
            self._waiting = []
        return taken


def owner_of(share: Share, settings: ConnectionSettings, segment: Segment) -> int | None:
    """Return which host a segment without a connection names; None if it names none.

    A SYN does by the token of MP_JOIN, a third ACK by the key of MP_CAPABLE.
    """
    if segment.flags & (SYN | ACK) == SYN:
        for option in segment.options:
            if isinstance(option, MpJoinSyn):
                return share.owner(option.token)
        return None
    found = find_echo(settings, segment)
    if found is None:
        return None
    version, echo = found
    return share.owner(token(echo.receiver_key, version.number))

"""A session: one proved pair of UDP endpoints, and what is counted about all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from plait.addresses import IpAddress
from plait.drivers.base import DriverCounters
from plait.units import SECOND, Nanos
from plait.wire.segment import Segment

Outer: TypeAlias = tuple[Any, ...]
"""A UDP endpoint as `socket` names it: host and port, and for IPv6 flow label and scope."""

SILENCE: Final[Nanos] = 600 * SECOND
"""A session whose peer was not heard for so long is over; keep-alives count."""

MAX_HELD: Final = 8
"""Segments that wait for their session to be proved; more are dropped."""


@dataclass(slots=True)
class UdpCounters(DriverCounters):
    """What became of datagrams and sessions.

    `malformed` counts datagrams of sessions that hold no TCP segment.  `dropped` counts segments
    that the socket did not take, and those towards addresses that no session leads to.
    """

    strange: int = 0
    """Control messages that are none, or made with another secret."""

    unknown: int = 0
    """Datagrams with a session id that nobody has."""

    misaddressed: int = 0
    """Datagrams of a session from another address than its own."""

    stale: int = 0
    """Sound control messages that nothing waits for: late, repeated or replayed."""

    refused: int = 0
    """Proved sessions that there was no room for."""

    opened: int = 0
    """Sessions that were proved, by either side."""

    renewed: int = 0
    """Sessions that were proved again after a silence."""

    moved: int = 0
    """Sessions whose peer proved another address."""

    closed: int = 0
    """Sessions that ended."""

    unanswered: int = 0
    """Peers that did not answer: silent, away, or with another secret."""

    keep_alives: int = 0
    """Keep-alives that were sent because nothing was heard."""


class Opening:
    """An attempt to prove a session, from its first INIT to its ACCEPT."""

    __slots__ = ("began", "nonce", "tries")

    def __init__(self, now: Nanos, nonce: bytes) -> None:
        self.nonce = nonce
        self.began = now
        self.tries = 0


class Session:
    """One peer, and the addresses it has outside and inside.

    Attributes:
        initiator_id: The id that the initiator chose; control messages name the session by it.
        local_id: What stands before the data that we receive.
        remote_id: What we put before data; empty until the session is proved.
        outer: Where datagrams go, and the only place they are taken from.
        remote: The peer's address as the stack knows it, whatever becomes of `outer`.
        arriving: What the flow of everything that it sends begins with: `remote`, then our address.
        initiated: We opened it, and keep it alive.
        heard: When something last came from it.
        used: When something but keep-alives last left for it, as exact as the timer is.
        waiting: When something left for it that nothing was heard after; 0 if there is none.
        silent: Keep-alives sent since then.
        due: When the timer has to look at it; initiated sessions only.
        challenged: When its peer was last asked to prove another address.
        opening: The attempt that is under way.
        held: Segments that wait for it.
    """

    __slots__ = (
        "arriving",
        "challenged",
        "due",
        "heard",
        "held",
        "initiated",
        "initiator_id",
        "local_id",
        "opening",
        "outer",
        "remote",
        "remote_id",
        "silent",
        "used",
        "waiting",
    )

    def __init__(
        self,
        now: Nanos,
        initiator_id: bytes,
        local_id: bytes,
        outer: Outer,
        addresses: tuple[IpAddress, IpAddress],
        *,
        initiated: bool,
    ) -> None:
        self.remote = addresses[0]
        self.arriving = addresses[0].packed + addresses[1].packed
        self.initiator_id = initiator_id
        self.local_id = local_id
        self.remote_id = b""
        self.outer = outer
        self.initiated = initiated
        self.heard = now
        self.used = now
        self.waiting: Nanos = 0
        self.silent = 0
        self.due = now
        self.challenged: Nanos | None = None
        self.opening: Opening | None = None
        self.held: list[Segment] = []


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to a session."""

    what: str
    """`opened`, `renewed`, `moved`, `closed` or `unanswered`."""

    remote: IpAddress
    """The peer's address as the stack knows it."""

    outer: Outer

    def __str__(self) -> str:
        """Return a line for people."""
        host, port = self.outer[:2]
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"UDP session with {self.remote} at {where}: {self.what}"

"""Who may send to this socket, and where its peers are: the protocol of sessions, without a socket.

Datagrams and times go in; datagrams to send come out of `Table.outbox`.
"""

from __future__ import annotations

from typing import Final

from plait.addresses import IpAddress
from plait.drivers.udp.format import (
    ACCEPT,
    CHALLENGE,
    CLOSE,
    ID_OCTETS,
    INIT,
    MARKER,
    PROOF,
    Control,
    is_control,
    is_keep_alive,
    keep_alive,
)
from plait.drivers.udp.initiating import NEVER, Initiator
from plait.drivers.udp.responding import Responder
from plait.drivers.udp.session import Outer, Session, UdpCounters
from plait.drivers.udp.table import Entropy, Table
from plait.errors import DecodeError
from plait.units import SECOND, Nanos
from plait.wire.segment import ACK, SYN, Segment

SWEEP: Final[Nanos] = 60 * SECOND
"""How often sessions are looked for whose peers are gone."""

_CONTROL_ID: Final = slice(8, 8 + ID_OCTETS)
"""Where a control message has its initiator's id."""


class Sessions:
    """The sessions of one socket.

    Args:
        local: Our inner address.
        secret: What all ends share.
        entropy: Returns so many random octets.
        counters: Of the driver.
        port: UDP port of peers that we call.
        interval: Between keep-alives.
    """

    def __init__(
        self,
        local: IpAddress,
        secret: bytes,
        entropy: Entropy,
        counters: UdpCounters,
        *,
        port: int,
        interval: Nanos,
    ) -> None:
        self.table = Table(local, entropy, counters)
        self._secret = secret
        self._initiator = Initiator(self.table, secret, port, interval)
        self._responder = Responder(self.table, secret)
        self._sweep: Nanos = NEVER

    @property
    def due(self) -> Nanos:
        """When `on_timer` has something to do."""
        return min(self._initiator.due, self._sweep)

    def on_control(self, now: Nanos, octets: bytes, outer: Outer) -> list[Segment]:
        """Take a control message; return the segments that may leave now."""
        try:
            message = Control.parse(octets, self._secret)
        except DecodeError:
            self.table.counters.strange += 1
            return []
        if message.type == INIT:
            self._responder.on_init(now, message, outer)
            return []
        if message.type == PROOF:
            self._responder.on_proof(now, message, outer)
            self._sweep = min(self._sweep, now + SWEEP)
            return []
        session = self.table.of_initiator(message.initiator_id)
        if session is None or session.outer != outer:
            self.table.counters.stale += 1
            return []
        return self._on_answer(now, session, message)

    def arrived(
        self, now: Nanos, octets: bytes, at: int, stop: int, outer: Outer
    ) -> Session | None:
        """Return the session of a datagram that holds data, and note that its peer is there.

        None if there is nothing for the stack in it.

        Args:
            at: Where the datagram begins in `octets`.
            stop: Where it ends.
        """
        session = self.table.by_id.get(octets[at : at + ID_OCTETS])
        if session is None:
            self.table.counters.unknown += 1
            return None
        if session.outer != outer:
            if session.initiated:
                self.table.counters.misaddressed += 1
            else:
                self._responder.on_stray(now, session, outer, stop - at)
            return None
        session.heard = now
        session.waiting = 0
        if octets[at + ID_OCTETS : at + ID_OCTETS + 4] == MARKER:
            self._on_empty(session, octets[at:stop])
            return None
        return session

    def towards(self, now: Nanos, segment: Segment, remote: bytes) -> Session | None:
        """Return the session that a segment is to leave by.

        None if it has to wait, or leads nowhere.  Only a SYN opens a session: for everything else
        there was one, and whoever is at its address now is somebody else.

        Args:
            remote: The address it goes to, packed.
        """
        session = self.table.by_remote.get(remote)
        if session is None and segment.flags & (SYN | ACK) == SYN:
            session = self._initiator.open(now, remote)
        if session is None:
            self.table.counters.dropped += 1
            return None
        if not session.remote_id:
            self._initiator.hold(session, segment)
            return None
        if not session.waiting:
            self._initiator.expect(now, session)
        return session

    def quoted(self, octets: bytes, outer: Outer) -> Session | None:
        """Return the session of ours that a datagram was sent for, if an ICMP error quotes it."""
        if is_control(octets):
            session = self.table.of_initiator(octets[_CONTROL_ID])
        else:
            session_id = octets[:ID_OCTETS]
            session = self.table.of_initiator(session_id)
            if session is None or session.initiated:
                session = self._initiator.find(session_id)
        return session if session is not None and session.outer[:2] == outer[:2] else None

    def on_unreachable(self, session: Session) -> None:
        """Give up a peer that never answered, and now is said to be unreachable."""
        if not session.remote_id:
            self._initiator.give_up(session)

    def on_timer(self, now: Nanos) -> None:
        """Do what is due."""
        self._initiator.on_timer(now)
        if now >= self._sweep:
            self._responder.expire(now)
            waiting = any(not session.initiated for session in self.table.sessions())
            self._sweep = now + SWEEP if waiting else NEVER

    def close(self) -> None:
        """Tell every peer that its session is over."""
        for session in self.table.sessions():
            if session.remote_id:
                body = session.remote_id + bytes(16 - ID_OCTETS)
                message = Control(type=CLOSE, initiator_id=session.initiator_id, body=body)
                self.table.outbox.append((message.serialize(self._secret), session.outer))
            self.table.remove(session, "closed")

    def _on_answer(self, now: Nanos, session: Session, message: Control) -> list[Segment]:
        """Take what concerns a session and came from its peer's address."""
        if message.type == CLOSE and message.body[:ID_OCTETS] == session.local_id:
            self.table.remove(session, "closed")
        elif message.type == CHALLENGE and session.initiated:
            self._initiator.on_challenge(session, message)
        elif message.type == ACCEPT and session.initiated:
            return self._initiator.on_accept(now, session, message)
        else:
            self.table.counters.stale += 1
        return []

    def _on_empty(self, session: Session, octets: bytes) -> None:
        """Answer a keep-alive; the answer to ours has done its work by coming."""
        if not is_keep_alive(octets):
            self.table.counters.malformed += 1
        elif not session.initiated:
            self.table.outbox.append((keep_alive(session.remote_id), session.outer))

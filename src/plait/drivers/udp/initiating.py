"""The initiator's side: opening a session, keeping it alive, opening it again after a silence."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from plait.drivers.udp.format import ID_OCTETS, INIT, NO_NONCE, PROOF, Control, keep_alive
from plait.drivers.udp.session import MAX_HELD, SILENCE, Opening, Outer, Session
from plait.drivers.udp.table import Table, is_virtual
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.segment import Segment

NEVER: Final[Nanos] = 1 << 63

FIRST_RETRY: Final[Nanos] = 250 * MILLISECOND
"""How long an answer to INIT is waited for, doubled each time."""

LAST_RETRY: Final[Nanos] = 8 * SECOND
"""What that grows to."""

PATIENCE: Final[Nanos] = 60 * SECOND
"""How long a peer that never answered is asked."""

SOON: Final[Nanos] = SECOND
"""How long after sending a keep-alive asks why nothing was heard, doubled up to the interval."""

MAX_SILENT: Final = 3
"""Keep-alives without an answer after which the session is opened again."""

MIN_TRIES: Final = 4
"""How often a peer that is silent has to be asked before its session is over: we may have been
stopped for most of that time."""

UNUSED: Final[Nanos] = 7440 * SECOND
"""One that carried no segment for so long is over as well: 2 hours and 4 minutes (RFC 5382,
REQ-5)."""

MAX_OPENING: Final = 64
"""Peers that may owe their first answer at a time; the oldest attempt makes room."""


class Initiator:
    """Opens sessions and keeps them.

    Args:
        table: Where they are.
        secret: Proves who we are.
        port: UDP port of the peers.
        interval: Between keep-alives while nothing else is heard.
    """

    def __init__(self, table: Table, secret: bytes, port: int, interval: Nanos) -> None:
        self.due: Nanos = NEVER
        self._table = table
        self._secret = secret
        self._port = port
        self._interval = interval
        self._sessions: dict[bytes, Session] = {}

    def open(self, now: Nanos, remote: bytes) -> Session | None:
        """Begin a session with an address, packed; None if there can be none."""
        address = ip_address(remote)
        table = self._table
        if is_virtual(address) or address.is_unspecified or address.is_multicast:
            return None
        if not table.make_room(now):
            return None
        self._limit_openings()
        session_id = table.new_id()
        outer: Outer = (str(address), self._port)
        if address.version == 6:
            outer += (0, 0)
        session = Session(
            now, session_id, session_id, outer, (address, table.local), initiated=True
        )
        session.opening = Opening(now, table.random(len(NO_NONCE)))
        table.add(session)
        self._sessions[session_id] = session
        self._ask(now, session, session.opening)
        return session

    def hold(self, session: Session, segment: Segment) -> None:
        """Keep a segment until the session is proved."""
        if len(session.held) < MAX_HELD:
            session.held.append(segment)
        else:
            self._table.counters.dropped += 1

    def on_challenge(self, session: Session, message: Control) -> None:
        """Return the cookie: to an INIT of ours, or because a NAT changed our address."""
        opening = session.opening
        asked = opening is not None and message.nonce == opening.nonce
        if not asked and (message.nonce != NO_NONCE or not session.remote_id):
            self._table.counters.stale += 1
            return
        proof = Control(
            type=PROOF,
            initiator_id=session.initiator_id,
            nonce=message.nonce,
            body=message.body,
        )
        self._send(session, proof)

    def on_accept(self, now: Nanos, session: Session, message: Control) -> list[Segment]:
        """Take the session for proved; return the segments that waited for it."""
        session_id = message.body[:ID_OCTETS]
        opening = session.opening
        if opening is None or message.nonce != opening.nonce:
            if message.nonce == NO_NONCE and session_id == session.remote_id:
                heard(session, now)
            else:
                self._table.counters.stale += 1
            return []
        counters = self._table.counters
        if session.remote_id:
            counters.renewed += 1
            self._table.note("renewed", session)
        else:
            counters.opened += 1
            self._table.note("opened", session)
        session.remote_id = session_id
        session.opening = None
        heard(session, now)
        self._wake(session, now + self._interval)
        held, session.held = session.held, []
        return held

    def expect(self, now: Nanos, session: Session) -> None:
        """Something leaves for the session, and nothing is waited for yet."""
        session.waiting = session.used = now
        session.silent = 0
        if session.initiated and session.due > now + SOON:
            self._wake(session, now + SOON)

    def find(self, session_id: bytes) -> Session | None:
        """Return the session of ours to whose peer this id belongs."""
        for session in self._sessions.values():
            if session.remote_id == session_id:
                return session
        return None

    def give_up(self, session: Session) -> None:
        """Open a session no longer."""
        self._end(session, "unanswered")

    def on_timer(self, now: Nanos) -> None:
        """Do what is due."""
        if now < self.due:
            return
        for session in tuple(self._sessions.values()):
            if self._table.by_id.get(session.local_id) is not session:
                del self._sessions[session.local_id]
            elif session.due <= now:
                self._tend(now, session)
        self.due = min((session.due for session in self._sessions.values()), default=NEVER)

    def _tend(self, now: Nanos, session: Session) -> None:
        """Look after one session."""
        opening = session.opening
        asked = opening is not None and opening.tries >= MIN_TRIES
        if (asked and now - session.heard >= SILENCE) or now - session.used >= UNUSED:
            self._end(session, "closed")
        elif opening is not None:
            if not session.remote_id and now - opening.began >= PATIENCE:
                self._end(session, "unanswered")
            else:
                self._ask(now, session, opening)
        else:
            self._keep_alive(now, session)

    def _keep_alive(self, now: Nanos, session: Session) -> None:
        """Send a keep-alive if it is time for one."""
        if session.waiting:
            at = session.waiting + min(SOON << session.silent, self._interval)
        else:
            at = session.heard + self._interval
            session.silent = 0
        if now < at:
            session.due = at
            return
        if session.silent >= MAX_SILENT:
            session.opening = Opening(now, self._table.random(len(NO_NONCE)))
            self._ask(now, session, session.opening)
            return
        self._table.outbox.append((keep_alive(session.remote_id), session.outer))
        self._table.counters.keep_alives += 1
        session.silent += 1
        session.waiting = now
        session.due = now + min(SOON << session.silent, self._interval)

    def _ask(self, now: Nanos, session: Session, opening: Opening) -> None:
        """Send INIT, and look again after a while."""
        self._send(
            session,
            Control(type=INIT, initiator_id=session.initiator_id, nonce=opening.nonce),
        )
        self._wake(session, now + min(FIRST_RETRY << opening.tries, LAST_RETRY))
        opening.tries += 1

    def _end(self, session: Session, what: str) -> None:
        if not session.remote_id:
            self._table.counters.unanswered += 1
        del self._sessions[session.local_id]
        self._table.remove(session, what)

    def _limit_openings(self) -> None:
        """Give up the oldest attempt if there are too many."""
        unproved = [one for one in self._sessions.values() if not one.remote_id]
        if len(unproved) >= MAX_OPENING:
            self._end(unproved[0], "unanswered")

    def _wake(self, session: Session, due: Nanos) -> None:
        session.due = due
        self.due = min(self.due, due)

    def _send(self, session: Session, message: Control) -> None:
        self._table.outbox.append((message.serialize(self._secret), session.outer))


def heard(session: Session, now: Nanos) -> None:
    """Note that the peer is there."""
    session.heard = now
    session.waiting = 0

"""The responder's side: who may have a session, and where its peer is.

Nothing is kept of whoever has not proved that it knows the secret and receives at its address.
"""

from __future__ import annotations

from typing import Final

from plait.drivers.udp.cookies import Cookies
from plait.drivers.udp.format import (
    ACCEPT,
    CHALLENGE,
    CONTROL_OCTETS,
    ID_OCTETS,
    NO_NONCE,
    Control,
)
from plait.drivers.udp.session import SILENCE, Outer, Session
from plait.drivers.udp.table import Table
from plait.units import MILLISECOND, Nanos, Octets

CHALLENGE_INTERVAL: Final[Nanos] = 50 * MILLISECOND
"""How often at most the peer of one session is asked to prove another address."""

_KEY_OCTETS: Final = 32


class Responder:
    """Answers INIT and PROOF, and asks for a proof of whoever sends from elsewhere."""

    def __init__(self, table: Table, secret: bytes) -> None:
        self._table = table
        self._secret = secret
        self._cookies = Cookies(table.random(_KEY_OCTETS))

    def on_init(self, now: Nanos, message: Control, outer: Outer) -> None:
        """Answer with a cookie; keep nothing."""
        self._challenge(now, message.initiator_id, message.nonce, outer)

    def on_proof(self, now: Nanos, message: Control, outer: Outer) -> None:
        """Make a session, or move the one there is to the address that was proved."""
        cookie = message.body
        if not self._cookies.is_good(now, cookie, outer, message.initiator_id, message.nonce):
            self._table.counters.stale += 1
            return
        session = self._table.of_initiator(message.initiator_id)
        spent_on = self._cookies.spent_on(cookie)
        if spent_on is not None:
            self._again(session, spent_on, message, outer)
        elif session is None:
            self._admit(now, message, outer)
        elif session.initiated:
            self._table.counters.stale += 1  # our own, come back to us
        elif self._spend(now, cookie, session.local_id):
            self._confirm(now, session, message, outer)

    def on_stray(self, now: Nanos, session: Session, outer: Outer, length: Octets) -> None:
        """Data of a session came from elsewhere: ask for a proof, if that is no longer."""
        self._table.counters.misaddressed += 1
        last = session.challenged
        if length < CONTROL_OCTETS or (last is not None and now - last < CHALLENGE_INTERVAL):
            return
        session.challenged = now
        self._challenge(now, session.initiator_id, NO_NONCE, outer)

    def expire(self, now: Nanos) -> None:
        """Drop sessions whose peers are gone."""
        for session in self._table.sessions():
            if not session.initiated and now - session.heard >= SILENCE:
                self._table.remove(session, "closed")

    def _again(
        self, session: Session | None, spent_on: bytes, message: Control, outer: Outer
    ) -> None:
        """Repeat the answer to a PROOF that came twice, if it is still true."""
        if session is None or session.local_id != spent_on or session.outer != outer:
            self._table.counters.stale += 1
            return
        self._accept(session, message.nonce)

    def _admit(self, now: Nanos, message: Control, outer: Outer) -> None:
        """Make a new session."""
        table = self._table
        session_id = table.new_id()
        if not (table.make_room(now) and self._spend(now, message.body, session_id)):
            table.counters.refused += 1
            return
        addresses = table.inner_address(outer), table.local
        session = Session(now, message.initiator_id, session_id, outer, addresses, initiated=False)
        session.remote_id = message.initiator_id
        table.add(session)
        table.counters.opened += 1
        table.note("opened", session)
        self._accept(session, message.nonce)

    def _confirm(self, now: Nanos, session: Session, message: Control, outer: Outer) -> None:
        """Keep a session whose peer proved its address anew, wherever that is now."""
        table = self._table
        if session.outer != outer:
            session.outer = outer
            table.counters.moved += 1
            table.note("moved", session)
        elif message.nonce != NO_NONCE:
            table.counters.renewed += 1
        session.heard = now
        self._accept(session, message.nonce)

    def _spend(self, now: Nanos, cookie: bytes, session_id: bytes) -> bool:
        return self._cookies.spend(now, cookie, session_id)

    def _challenge(self, now: Nanos, initiator_id: bytes, nonce: bytes, outer: Outer) -> None:
        cookie = self._cookies.make(now, outer, initiator_id, nonce)
        self._send(
            Control(type=CHALLENGE, initiator_id=initiator_id, nonce=nonce, body=cookie), outer
        )

    def _accept(self, session: Session, nonce: bytes) -> None:
        body = session.local_id + bytes(16 - ID_OCTETS)
        message = Control(type=ACCEPT, initiator_id=session.initiator_id, nonce=nonce, body=body)
        self._send(message, session.outer)

    def _send(self, message: Control, outer: Outer) -> None:
        self._table.outbox.append((message.serialize(self._secret), outer))

"""Which station has the address of a next hop: the cache behind ARP and neighbor discovery.

It sends and reads nothing itself.  A next hop without a known station is asked for a few times,
and what waits for it meanwhile is kept, within bounds.  An entry that was not confirmed for a while
is still used, but asked again (RFC 4861, 7.3); without an answer it is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from plait.units import SECOND, Nanos
from plait.wire.segment import Segment

MAX_ENTRIES: Final = 512
"""Next hops known; the one that was asked for longest ago makes room."""

MAX_HELD: Final = 64
"""Segments that wait for one next hop; the oldest make room."""

TRIES: Final = 3
"""MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT (RFC 4861, 10)."""

RETRANSMISSION: Final[Nanos] = SECOND
"""RETRANS_TIMER (RFC 4861, 10)."""

REACHABLE: Final[Nanos] = 30 * SECOND
"""REACHABLE_TIME (RFC 4861, 10)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One to send."""

    hop: bytes
    """Address of the next hop, as octets."""

    mac: bytes
    """The station to ask, empty to ask all."""


@dataclass(init=False, slots=True)
class _Entry:
    """One next hop."""

    mac: bytes
    """Empty while it is not known."""

    due: Nanos
    """When to ask again, or when to doubt."""

    tries: int
    """Questions sent without an answer; 0 is confirmed."""

    held: list[Segment]

    def __init__(self) -> None:
        self.mac = b""
        self.due = 0
        self.tries = 0
        self.held = []


class Neighbors:
    """The stations of one link.

    Attributes:
        dropped: Segments that were held in vain.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._entries: dict[bytes, _Entry] = {}
        self._questions: list[Question] = []
        self._soonest: Nanos | None = None

    def find(self, now: Nanos, hop: bytes) -> bytes:
        """Return the station of a next hop, empty if it is not known yet; ask if need be."""
        entry = self._entries.get(hop)
        if entry is None:
            entry = self._enter(hop)
        if not entry.tries and (not entry.mac or now >= entry.due):
            self._ask(now, hop, entry)
        return entry.mac

    def hold(self, hop: bytes, segment: Segment) -> None:
        """Keep a segment until the station of its next hop is known; `find` was asked before."""
        held = self._entries[hop].held
        if len(held) >= MAX_HELD:
            del held[0]
            self.dropped += 1
        held.append(segment)

    def learn(self, now: Nanos, hop: bytes, mac: bytes, *, override: bool = True) -> list[Segment]:
        """Take in which station a next hop has, and return what waited for it.

        Only next hops that somebody asked for are entered: others cannot fill the cache.

        Args:
            override: It counts even if another station is known (RFC 4861, 7.2.5).
        """
        entry = self._entries.get(hop)
        if entry is None or (entry.mac not in {b"", mac} and not override):
            return []
        entry.mac = mac
        entry.tries = 0
        entry.due = now + REACHABLE
        held, entry.held = entry.held, []
        return held

    def take_questions(self) -> list[Question]:
        """Return and forget the questions to send."""
        taken = self._questions
        if taken:
            self._questions = []
        return taken

    def holding(self) -> bool:
        """Return whether segments wait."""
        return any(entry.held for entry in self._entries.values())

    def next_timeout(self) -> Nanos | None:
        """Return when `handle_timeout` is due; it may be early."""
        return self._soonest

    def handle_timeout(self, now: Nanos) -> list[bytes]:
        """Ask again, and forget who does not answer; return the next hops whose entry is doubtful.

        They are asked about when they are used the next time.
        """
        doubtful = []
        for hop, entry in list(self._entries.items()):
            if now < entry.due:
                continue
            if entry.tries == 0:
                doubtful.append(hop)
            elif entry.tries < TRIES:
                self._ask(now, hop, entry)
            else:
                self._forget(hop)
                doubtful.append(hop)
        waiting = [entry.due for entry in self._entries.values() if entry.due > now]
        self._soonest = min(waiting, default=None)
        return doubtful

    def _enter(self, hop: bytes) -> _Entry:
        if len(self._entries) >= MAX_ENTRIES:
            self._forget(next(iter(self._entries)))
        entry = self._entries[hop] = _Entry()
        return entry

    def _forget(self, hop: bytes) -> None:
        self.dropped += len(self._entries.pop(hop).held)

    def _ask(self, now: Nanos, hop: bytes, entry: _Entry) -> None:
        entry.tries += 1
        entry.due = now + RETRANSMISSION
        if self._soonest is None or entry.due < self._soonest:
            self._soonest = entry.due
        self._questions.append(Question(hop, entry.mac))

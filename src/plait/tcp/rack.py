"""RACK: losses are told by time (RFC 8985, 6).

A segment is lost if one that was sent after it has arrived, and it itself had a round trip and a
reordering window more to do so.  Transmission times are kept for what left at once, a *flight*: one
super-segment, as a rule.  First transmissions are in order of both time and sequence, repeated ones
in order of time; an octet that is in flight is in one flight only, the last that carried it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from plait.tcp.receiver import NEVER
from plait.tcp.rtt import RttEstimator
from plait.tcp.scoreboard import Block, Scoreboard
from plait.tcp.timestamps import tick
from plait.units import Nanos, Octets

MAX_FLIGHTS: Final = 4096
"""First transmissions that are told apart; later ones join the last and count as sent with it."""

REO_WND_PERSIST: Final = 16
"""Recoveries that a widened reordering window lasts (RFC 8985, 6.2, step 4)."""


@dataclass(init=False, slots=True)
class Flight:
    """A stretch of octets that left at one time."""

    start: Octets
    stop: Octets
    sent_at: Nanos
    again: bool
    """It had been sent before: its ACK may be that of an earlier transmission."""

    def __init__(self, start: Octets, stop: Octets, sent_at: Nanos, again: bool) -> None:
        self.start = start
        self.stop = stop
        self.sent_at = sent_at
        self.again = again


class Rack:
    """Transmission times and what they tell; names as in RFC 8985, 5."""

    __slots__ = (
        "_again",
        "_dsack_round",
        "_estimator",
        "_first",
        "_reo_wnd_persist",
        "_scoreboard",
        "deadline",
        "end_seq",
        "fack",
        "reo_wnd_mult",
        "reordering_seen",
        "rtt",
        "xmit_ts",
    )

    def __init__(self, scoreboard: Scoreboard, estimator: RttEstimator) -> None:
        self.xmit_ts: Nanos = -1
        """When the segment was sent that left last among those delivered; -1 before one was."""

        self.end_seq: Octets = 0
        """Where that segment ends."""

        self.rtt: Nanos = 0
        """Its round-trip time."""

        self.fack: Octets = 0
        """The highest position delivered."""

        self.reordering_seen = False
        self.reo_wnd_mult = 1
        self.deadline: Nanos = NEVER
        """When the next flight counts as lost unless it is acknowledged."""

        self._reo_wnd_persist = 0
        self._dsack_round: Octets = -1
        self._first: list[Flight] = []
        self._again: list[Flight] = []
        self._scoreboard = scoreboard
        self._estimator = estimator

    def on_sent(self, now: Nanos, start: Octets, stop: Octets) -> None:
        """New octets left."""
        flights = self._first
        if flights:
            last = flights[-1]
            together = last.sent_at == now or len(flights) >= MAX_FLIGHTS
            if together and last.stop == start:
                last.stop = stop
                last.sent_at = now
                return
        flights.append(Flight(start, stop, now, again=False))

    def on_resent(self, now: Nanos, start: Octets, stop: Octets) -> None:
        """Octets left that no flight holds, being lost."""
        self._again.append(Flight(start, stop, now, again=True))

    def sent_at(self, una: Octets, ack: Octets) -> Nanos:
        """Return when the newest of these octets left, all sent once; -1 if that is not known."""
        if self._scoreboard.resent.total and self._scoreboard.resent.first[0] < ack:
            return -1
        flight = self._newest_first(una, ack)
        return flight.sent_at if flight is not None else -1

    def on_cumulative_ack(self, now: Nanos, una: Octets, ack: Octets, echoed_at: Nanos) -> Nanos:
        """Note that all up to `ack` was delivered where nothing had been SACKed.

        Returns when the newest of the octets left, -1 if they were sent more than once.
        """
        if self._again:
            sent_at = self.sent_at(una, ack)
            self.on_delivered(now, una, ack, echoed_at)
            self.forget_below(ack)
            return sent_at
        newest: Flight | None = None
        done = 0
        for flight in self._first:
            if flight.start >= ack:
                break
            newest = flight
            if flight.stop > ack:
                break
            done += 1
        if newest is None:
            return -1
        del self._first[:done]
        self.rtt = now - newest.sent_at
        self.xmit_ts = newest.sent_at
        self.end_seq = self.fack = ack
        return newest.sent_at

    def on_delivered(self, now: Nanos, start: Octets, stop: Octets, echoed_at: Nanos) -> bool:
        """Note that the range was delivered (RFC 8985, 6.2, steps 1 to 3).

        Args:
            start: Where it begins; none of it had been SACKed.
            stop: Where it ends.
            echoed_at: When the segment was sent whose timestamp the ACK echoes, -1 if unknown.

        Returns:
            Whether some of it was sent only once.
        """
        original = not self._scoreboard.resent.covers(start, stop)
        if original and start < self.fack:
            self.reordering_seen = True
        self.fack = max(self.fack, stop)
        flight = self._newest(start, stop)
        if flight is None:
            return original
        rtt = now - flight.sent_at
        if flight.again and (
            0 <= echoed_at < tick(flight.sent_at) or rtt < self._estimator.min_rtt
        ):
            return original  # the ACK of an earlier transmission
        self.rtt = rtt
        end = min(stop, flight.stop)
        if (flight.sent_at, end) > (self.xmit_ts, self.end_seq):
            self.xmit_ts = flight.sent_at
            self.end_seq = end
        return original

    def _newest(self, start: Octets, stop: Octets) -> Flight | None:
        """Return the flight with octets of the range that left last."""
        first = self._newest_first(start, stop)
        for flight in reversed(self._again):
            if flight.start < stop and flight.stop > start:
                return flight if first is None or flight.sent_at >= first.sent_at else first
        return first

    def _newest_first(self, start: Octets, stop: Octets) -> Flight | None:
        at = bisect_left(self._first, stop, key=_start) - 1
        return self._first[at] if at >= 0 and self._first[at].stop > start else None

    def forget_below(self, una: Octets) -> None:
        """Drop the flights that are acknowledged whole."""
        done = 0
        for flight in self._first:
            if flight.stop > una:
                break
            done += 1
        del self._first[:done]
        if self._again:
            self._again = [flight for flight in self._again if flight.stop > una]

    def on_duplicate_report(self, nxt: Octets, una: Octets) -> None:
        """Widen the reordering window, once a round trip: a retransmission was not needed."""
        if una > self._dsack_round:
            self._dsack_round = nxt
            self.reo_wnd_mult += 1
        self._reo_wnd_persist = REO_WND_PERSIST

    def on_recovery_end(self) -> None:
        """Narrow the reordering window again after some recoveries without a D-SACK."""
        self._reo_wnd_persist -= 1
        if self._reo_wnd_persist <= 0:
            self.reo_wnd_mult = 1

    def reordering_window(self, mss: Octets, *, recovering: bool) -> Nanos:
        """Return how much later than others a segment may arrive (RFC 8985, 6.2, step 4)."""
        if not self.reordering_seen and (recovering or self._scoreboard.many_sacked(mss)):
            return 0
        return min(self.reo_wnd_mult * self._estimator.min_rtt // 4, self._estimator.srtt)

    def detect_losses(self, now: Nanos, una: Octets, mss: Octets, *, recovering: bool) -> Octets:
        """Mark as lost what is overdue, set `deadline` for what may be (RFC 8985, 6.2, step 5).

        Returns the octets newly marked.
        """
        self.deadline = NEVER
        if self.xmit_ts < 0:
            return 0
        patience = self.rtt + self.reordering_window(mss, recovering=recovering)
        lost = self._sweep(self._first, now, una, patience)
        if self._again:
            lost += self._sweep(self._again, now, una, patience)
        return lost

    def _sweep(self, flights: list[Flight], now: Nanos, una: Octets, patience: Nanos) -> Octets:
        lost = 0
        done = 0
        for flight in flights:
            tied = flight.sent_at == self.xmit_ts
            if flight.sent_at > self.xmit_ts or (tied and flight.start >= self.end_seq):
                break
            start = max(flight.start, una)
            if not self._scoreboard.sacked.covers(start, flight.stop):
                if flight.sent_at + patience > now:
                    # The RFC waits for the last one; the first costs no search and is no later.
                    self.deadline = min(self.deadline, flight.sent_at + patience)
                    break
                if tied and flight.stop > self.end_seq:
                    lost += self._scoreboard.mark_lost(start, self.end_seq)
                    flight.start = self.end_seq
                    break
                lost += self._scoreboard.mark_lost(start, flight.stop)
            done += 1
        del flights[:done]
        return lost

    def oldest(self) -> Nanos:
        """Return when what has been in flight for longest left; `NEVER` if nothing is."""
        first = self._first[0].sent_at if self._first else NEVER
        return min(first, self._again[0].sent_at) if self._again else first

    def forget(self, start: Octets, stop: Octets) -> None:
        """Take a range out of all flights: it is lost, or about to leave once more."""
        self._first = _without(self._first, start, stop)
        self._again = _without(self._again, start, stop)

    def readmit(self, now: Nanos, ranges: list[Block]) -> None:
        """Take ranges for in flight again that were lost by mistake."""
        for start, stop in ranges:
            self._again.append(Flight(start, stop, now, again=True))

    def on_timeout(self, now: Nanos, una: Octets, mss: Octets) -> list[Block]:
        """Keep only what left too recently to be overdue, never the first segment.

        Returns the ranges that stay in flight (RFC 8985, 6.3).
        """
        self.deadline = NEVER
        patience = self.rtt + self.reordering_window(mss, recovering=False)
        recent = now - patience if self.xmit_ts >= 0 else now
        self._first = [one for one in self._first if one.sent_at > recent and one.start > una]
        self._again = [one for one in self._again if one.sent_at > recent and one.start > una]
        return [(one.start, one.stop) for one in self._first + self._again]


def _without(flights: list[Flight], start: Octets, stop: Octets) -> list[Flight]:
    """Return the flights, in order, without the octets of a range."""
    kept: list[Flight] = []
    for flight in flights:
        if flight.stop <= start or flight.start >= stop:
            kept.append(flight)
            continue
        if flight.start < start:
            kept.append(Flight(flight.start, start, flight.sent_at, flight.again))
        if flight.stop > stop:
            kept.append(Flight(stop, flight.stop, flight.sent_at, flight.again))
    return kept


def _start(flight: Flight) -> Octets:
    return flight.start

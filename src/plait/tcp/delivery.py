"""Delivery rate sampling (draft-ietf-ccwg-bbr-06, 4.1): how fast the path delivers.

Whatever leaves at once, as a rule one super-segment, remembers what had been delivered by then.
When it is acknowledged, what was delivered since, over the time that took, is a sample of the rate.
Time counts from departures too, so that a burst of ACKs is not taken for a fast path.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from plait.congestion.base import LossSample, RateSample
from plait.ranges import RangeSet
from plait.tcp.scoreboard import Block
from plait.units import SECOND, Nanos, Octets


@dataclass(init=False, slots=True)
class Snapshot:
    """What was known when a stretch of octets left (the draft's per-packet state, 4.1.2.1.2)."""

    start: Octets
    stop: Octets
    sent_at: Nanos
    delivered: Octets
    delivered_time: Nanos
    first_sent_time: Nanos
    lost: Octets
    tx_in_flight: Octets
    """Octets in flight, itself counted."""

    is_app_limited: bool
    again: bool
    """It had been sent before."""

    def __init__(
        self,
        start: Octets,
        stop: Octets,
        sent_at: Nanos,
        delivered: Octets,
        delivered_time: Nanos,
        first_sent_time: Nanos,
        lost: Octets,
        tx_in_flight: Octets,
        is_app_limited: bool,
        again: bool,
    ) -> None:
        self.start = start
        self.stop = stop
        self.sent_at = sent_at
        self.delivered = delivered
        self.delivered_time = delivered_time
        self.first_sent_time = first_sent_time
        self.lost = lost
        self.tx_in_flight = tx_in_flight
        self.is_app_limited = is_app_limited
        self.again = again


class DeliveryRate:
    """The connection's state of the estimator; names as in the draft, 4.1.2.1.1."""

    __slots__ = (
        "_again",
        "_counted",
        "_first",
        "_newest",
        "_newly_acked",
        "_newly_lost",
        "app_limited",
        "delivered",
        "delivered_time",
        "first_sent_time",
        "lost",
    )

    def __init__(self) -> None:
        self.delivered: Octets = 0
        """Octets delivered so far."""

        self.lost: Octets = 0
        """Octets that were marked as lost so far."""

        self.delivered_time: Nanos = 0
        self.first_sent_time: Nanos = 0
        self.app_limited: Octets = 0
        """Samples count as limited by the application until more than this is delivered."""

        self._first: list[Snapshot] = []
        self._again: list[Snapshot] = []
        self._counted = RangeSet()
        """Octets that count as delivered although the scoreboard forgot so."""

        self._newest: Snapshot | None = None
        self._newly_acked: Octets = 0
        self._newly_lost: Octets = 0

    def start(self, now: Nanos) -> None:
        """Begin in the middle of a connection, with data in flight that was not followed."""
        self.first_sent_time = self.delivered_time = now

    def on_sent(
        self, now: Nanos, start: Octets, stop: Octets, in_flight: Octets, *, again: bool
    ) -> None:
        """A stretch leaves (4.1.2.2).

        Args:
            now: The time.
            start: Where it begins.
            stop: Where it ends.
            in_flight: Octets in flight, itself counted.
            again: It was sent before.
        """
        if in_flight <= stop - start:
            self.first_sent_time = self.delivered_time = now
        snapshot = Snapshot(
            start,
            stop,
            now,
            self.delivered,
            self.delivered_time,
            self.first_sent_time,
            self.lost,
            in_flight,
            self.app_limited > 0,
            again,
        )
        (self._again if again else self._first).append(snapshot)

    def on_delivered(self, start: Octets, stop: Octets) -> None:
        """A range was acknowledged that had not been (4.1.2.3: UpdateRateSample)."""
        fresh = stop - start
        if self._counted.total:
            fresh = sum(high - low for low, high in self._counted.holes(start, stop))
        self.delivered += fresh
        self._newly_acked += fresh
        found = self._newest_in(start, stop)
        newest = self._newest
        if found is not None and (
            newest is None
            or found.sent_at > newest.sent_at
            or (found.sent_at == newest.sent_at and found.stop > newest.stop)
        ):
            self._newest = found

    def _newest_in(self, start: Octets, stop: Octets) -> Snapshot | None:
        """Return what of the range left last."""
        found: Snapshot | None = None
        at = bisect_left(self._first, stop, key=_start) - 1
        if at >= 0 and self._first[at].stop > start:
            found = self._first[at]
        for snapshot in self._again:
            overlaps = snapshot.start < stop and snapshot.stop > start
            if overlaps and (found is None or snapshot.sent_at >= found.sent_at):
                found = snapshot
        return found

    def take_sample(self, now: Nanos, una: Octets, min_rtt: Nanos) -> RateSample:
        """Return the sample of an ACK whose news were told (4.1.2.3: GenerateRateSample).

        Args:
            now: When the ACK came.
            una: SND.UNA after it.
            min_rtt: Least round-trip time of the connection; shorter intervals tell nothing.
        """
        sample = RateSample(now, self._newly_acked, self.delivered)
        sample.newly_lost = self._newly_lost
        newest = self._newest
        self._newest = None
        self._newly_acked = self._newly_lost = 0
        if sample.newly_acked:
            self.delivered_time = now
        if self.app_limited and self.delivered > self.app_limited:
            self.app_limited = 0
        if newest is not None:
            self.first_sent_time = newest.sent_at
            sample.prior_delivered = newest.delivered
            sample.is_app_limited = newest.is_app_limited
            sample.tx_in_flight = newest.tx_in_flight
            sample.lost = self.lost - newest.lost
            sample.delivered = self.delivered - newest.delivered
            if not newest.again:
                sample.rtt = max(now - newest.sent_at, 1)
            sent = newest.sent_at - newest.first_sent_time
            sample.interval = max(sent, now - newest.delivered_time)
            if sample.interval >= max(min_rtt, 1):
                sample.delivery_rate = sample.delivered * SECOND // sample.interval
        self._forget_below(una)
        return sample

    def on_lost(self, now: Nanos, ranges: Sequence[Block], *, sack: bool) -> list[LossSample]:
        """Count ranges as lost; return what that tells, by departures."""
        out: list[LossSample] = []
        for start, stop in ranges:
            at = start
            while at < stop:
                snapshot = self._newest_in(at, at + 1)
                end = stop if snapshot is None else min(stop, snapshot.stop)
                self.lost += end - at
                self._newly_lost += end - at
                if snapshot is not None:
                    # What left behind it in the same burst was not in flight yet.
                    in_flight = snapshot.tx_in_flight - (snapshot.stop - end)
                    lost = self.lost - snapshot.lost
                    limited = snapshot.is_app_limited
                    delivered = self.delivered
                    out.append(LossSample(now, end - at, in_flight, lost, delivered, limited, sack))
                at = end
        return out

    def on_timeout(self, sacked: Sequence[Block]) -> None:
        """The scoreboard forgets what was selectively acknowledged: do not count it twice."""
        for start, stop in sacked:
            self._counted.add(start, stop)

    def mark_app_limited(self, in_flight: Octets) -> None:
        """What is in flight now does not fill the path (4.1.2.4: MarkConnectionAppLimited)."""
        self.app_limited = max(self.delivered + in_flight, 1)

    def _forget_below(self, una: Octets) -> None:
        first = self._first
        done = 0
        for snapshot in first:
            if snapshot.stop > una:
                break
            done += 1
        del first[:done]
        if self._again:
            self._again = [snapshot for snapshot in self._again if snapshot.stop > una]
        if self._counted.total:
            self._counted.discard_below(una)


def _start(snapshot: Snapshot) -> Octets:
    return snapshot.start

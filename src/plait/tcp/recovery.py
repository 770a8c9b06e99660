"""Loss recovery: fast retransmit, fast recovery and what follows a time-out.

With SACK the scoreboard tells what is lost (RFC 6675); without, three duplicate ACKs and partial
ACKs do (RFC 5681, RFC 6582).  One reduction of the window covers all losses up to the recovery
point, and Proportional Rate Reduction spreads it (RFC 9937).  After a time-out everything counts as
lost and slow start clocks it out again.
"""

from __future__ import annotations

from plait.congestion.base import CongestionController
from plait.tcp.prr import Prr
from plait.tcp.scoreboard import DUP_THRESH, Scoreboard
from plait.units import Nanos, Octets


class Recovery:
    """Decides when the window is reduced and which octets count as lost."""

    def __init__(self, scoreboard: Scoreboard, controller: CongestionController) -> None:
        self.reducing = False
        """In fast recovery: ACKs do not grow the window."""

        self.point: Octets = 0
        """The episode ends when everything below is acknowledged (RFC 6675: RecoveryPoint)."""

        self._scoreboard = scoreboard
        self._controller = controller
        self._prr = Prr()
        self.departed: Octets = 0
        """Octets that duplicate ACKs without SACK say have left the network."""

        self._duplicates = 0
        self._forced = False
        self._timed_out = False

    def take_forced(self) -> bool:
        """Return, once, whether the first retransmission may leave in spite of the window."""
        forced = self._forced
        self._forced = False
        return forced

    def on_sent(self, length: Octets) -> None:
        """Payload left, new or again."""
        if self.reducing:
            self._prr.on_sent(length)

    def on_duplicate(self, mss: Octets) -> None:
        """A duplicate ACK came on a connection without SACK (RFC 5681, 3.2)."""
        self._duplicates += 1
        self.departed += mss

    def on_ack(
        self,
        now: Nanos,
        una: Octets,
        nxt: Octets,
        mss: Octets,
        in_flight: Octets,
        delivered: Octets,
        *,
        advanced: bool,
        sack: bool,
    ) -> None:
        """Look for losses after an ACK; begin, continue or end recovery.

        Args:
            una: SND.UNA after the ACK.
            nxt: SND.NXT.
            mss: SMSS.
            in_flight: Octets in flight before the ACK.
            delivered: Octets it newly acknowledged, cumulatively or selectively.
            advanced: SND.UNA moved.
            sack: The connection uses SACK.
        """
        if advanced:
            self._duplicates = 0
            self.departed = 0
            if self.reducing or self._timed_out:
                self._leave(una)
        lost = self._scoreboard.detect_losses(una, mss) if sack else 0
        partial = advanced and self.reducing
        if not sack and una < nxt and (self._duplicates == DUP_THRESH or partial):
            lost = self._scoreboard.mark_lost(una, min(una + mss, nxt))
        if lost and not self.reducing and not self._timed_out:
            self._enter(now, nxt, in_flight)
        if self.reducing and (delivered or not sack):
            self._reduce(una, nxt, mss, delivered or mss, safe=advanced and not lost)

    def _enter(self, now: Nanos, nxt: Octets, in_flight: Octets) -> None:
        self.reducing = True
        self.point = nxt
        self._forced = True
        self._controller.on_loss(now, in_flight)
        self._prr.start(in_flight)

    def _reduce(
        self, una: Octets, nxt: Octets, mss: Octets, delivered: Octets, *, safe: bool
    ) -> None:
        """Let the window follow what is delivered (RFC 9937, 6)."""
        in_flight = max(0, self._scoreboard.in_flight(una, nxt) - self.departed)
        ssthresh = self._controller.ssthresh
        count = self._prr.on_ack(delivered, in_flight, ssthresh, mss, safe=safe)
        self._controller.cwnd = in_flight + count

    def _leave(self, una: Octets) -> None:
        """End the episode once its point is acknowledged."""
        if una >= self.point:
            if self.reducing:
                self._controller.cwnd = self._controller.ssthresh
            self.reducing = False
            self._timed_out = False
            self._forced = False
            self._scoreboard.end_episode()

    def on_timeout(self, now: Nanos, una: Octets, nxt: Octets, first: bool) -> None:
        """Start over from SND.UNA; only the first of several time-outs reduces `ssthresh`."""
        if first:
            self._controller.on_timeout(now, self._scoreboard.in_flight(una, nxt))
        self._controller.cwnd = self._controller.mss
        self._scoreboard.on_timeout(una, nxt)
        self._duplicates = 0
        self.departed = 0
        self.reducing = False
        self._timed_out = True
        self._forced = True
        self.point = nxt

"""Loss recovery: fast retransmit, fast recovery and what follows a time-out.

With SACK, transmission times tell what is lost (RFC 8985: `rack`); without, three duplicate ACKs
and partial ACKs do (RFC 5681, RFC 6582).  One reduction of the window covers all losses up to the
recovery point, and Proportional Rate Reduction spreads it (RFC 9937).  After a time-out everything
counts as lost and slow start clocks it out again, unless F-RTO finds that nothing was (RFC 5682).
Where an episode turns out to have been for nothing, the window is given back (RFC 4015).
"""

from __future__ import annotations

from dataclasses import dataclass

from plait.congestion.base import CongestionController
from plait.tcp.frto import Frto, Verdict
from plait.tcp.mtu_probe import MtuProbe
from plait.tcp.prr import Prr
from plait.tcp.rack import Rack
from plait.tcp.rtt import RttEstimator
from plait.tcp.scoreboard import DUP_THRESH, Block, Scoreboard
from plait.tcp.tail_loss import TailLoss
from plait.tcp.undo import Undo
from plait.tcp.validation import Validation
from plait.trace.counters import Counters
from plait.units import Nanos, Octets

HIGHEST_ACK_STEP = 4
"""Segments by which the last new ACK may have moved SND.UNA if duplicates after it tell of a loss
below the old recovery point (RFC 6582, 4.1)."""


@dataclass(init=False, slots=True)
class AckNews:
    """What one ACK told: the input of recovery."""

    now: Nanos
    una: Octets
    """SND.UNA after the ACK."""

    nxt: Octets
    mss: Octets
    in_flight: Octets
    """Octets in flight before the ACK."""

    delivered: Octets
    """Octets it newly acknowledged, cumulatively or selectively."""

    advanced: Octets
    """How far it moved SND.UNA."""

    original: bool
    """Some of what it acknowledged was sent only once, below the recovery point."""

    duplicate: bool
    """It is a duplicate ACK (RFC 5681, 2)."""

    duplicated: Block | None
    """What it reports to have arrived twice."""

    echoed_at: Nanos
    """When the segment was sent whose timestamp it echoes, -1 if unknown."""

    sack: bool
    """The connection uses SACK."""

    def __init__(
        self,
        now: Nanos,
        una: Octets,
        nxt: Octets,
        mss: Octets,
        in_flight: Octets,
        delivered: Octets,
        advanced: Octets,
        original: bool,
        duplicate: bool,
        duplicated: Block | None,
        echoed_at: Nanos,
        sack: bool,
    ) -> None:
        self.now = now
        self.una = una
        self.nxt = nxt
        self.mss = mss
        self.in_flight = in_flight
        self.delivered = delivered
        self.advanced = advanced
        self.original = original
        self.duplicate = duplicate
        self.duplicated = duplicated
        self.echoed_at = echoed_at
        self.sack = sack


class Recovery:
    """Decides when the window is reduced and which octets count as lost."""

    __slots__ = (
        "_counters",
        "_duplicates",
        "_estimator",
        "_forced",
        "_last_step",
        "_prr",
        "_scoreboard",
        "controller",
        "departed",
        "frto",
        "mtu_probe",
        "point",
        "rack",
        "reducing",
        "rescued",
        "tail",
        "timed_out",
        "undo",
        "undone",
        "validation",
    )

    def __init__(
        self,
        scoreboard: Scoreboard,
        controller: CongestionController,
        estimator: RttEstimator,
        counters: Counters,
    ) -> None:
        self.reducing = False
        """In fast recovery: ACKs do not grow the window."""

        self.timed_out = False
        """In the recovery that follows a time-out."""

        self.point: Octets = 0
        """The episode ends when everything below is acknowledged (RFC 6675: RecoveryPoint)."""

        self.departed: Octets = 0
        """Octets that duplicate ACKs without SACK say have left the network."""

        self.rack = Rack(scoreboard, estimator)
        self.tail = TailLoss()
        self.undo = Undo()
        self.validation = Validation()
        self.frto = Frto()
        self.mtu_probe = MtuProbe()
        self.undone = 0
        """Episodes that turned out to have been for nothing."""

        self.rescued = False
        """The one rescue retransmission of this recovery was spent (RFC 6675, 4: RescueRxt)."""

        self._counters = counters
        self._scoreboard = scoreboard
        self.controller = controller
        self._estimator = estimator
        self._prr = Prr()
        self._duplicates = 0
        self._last_step: Octets = 0
        self._forced = False

    @property
    def quiet(self) -> bool:
        """Whether an ACK that only moves SND.UNA has nothing to tell us."""
        return not (
            self.reducing
            or self.timed_out
            or self.undo.armed
            or self._duplicates
            or self.tail.end_seq >= 0
            or self._scoreboard.sacked.total
            or self._scoreboard.lost.total
        )

    @property
    def asking(self) -> bool:
        """Whether new data may exceed the window to learn what became of older data."""
        return self.tail.due or (self.timed_out and self.frto.holding)

    def take_forced(self) -> bool:
        """Return, once, whether the first retransmission may leave in spite of the window."""
        forced = self._forced
        self._forced = False
        return forced

    def on_sent(self, length: Octets) -> None:
        """Payload left, new or again."""
        if self.reducing:
            self._prr.on_sent(length)

    def on_resent(self, now: Nanos, start: Octets, stop: Octets) -> None:
        """A lost range, or a probe, left again."""
        self._scoreboard.on_resent(start, stop)
        self.rack.on_resent(now, start, stop)
        self.undo.on_resent(now, stop - start)

    def on_ack(self, news: AckNews) -> None:
        """Look for losses after an ACK; begin, continue, end or undo recovery."""
        self._count_duplicates(news)
        probed = self.tail.end_seq
        tail = probed >= 0 and self.tail.on_ack(
            news.una,
            news.duplicated,
            bare_duplicate=news.duplicate and not news.delivered,
        )
        if news.duplicated is not None:
            self._counters.tcp_dsack_recv += 1
        if news.duplicated is not None and news.duplicated[1] != probed:
            self.rack.on_duplicate_report(news.nxt, news.una)
            if not self.timed_out:
                self.rack.reordering_seen = True  # the original arrived, only later
        if self._is_spurious(news):
            self._take_back(news.now, news.una)
        elif tail and not self.reducing and not self.timed_out:
            self._on_tail_repaired(news)
        if self.timed_out and news.una < self.point:
            self._ask_frto(news)
        if news.advanced and (self.reducing or self.timed_out):
            self._leave(news.now, news.una, news.nxt)
        lost = self._detect(news)
        if lost and not self.reducing and not self.timed_out and not self._is_probe(lost):
            self._enter(news.now, news.una, news.nxt, news.in_flight, sack=news.sack)
        if self.reducing and (news.delivered or not news.sack):
            safe = news.advanced > 0 and not lost
            self._reduce(news.una, news.nxt, news.mss, news.delivered or news.mss, safe=safe)

    def _count_duplicates(self, news: AckNews) -> None:
        if news.advanced:
            self._duplicates = 0
            self._last_step = news.advanced
            partial = self.reducing and news.una < self.point
            self.departed = max(0, self.departed - news.advanced + news.mss) if partial else 0
        elif news.duplicate and not news.sack:
            self._duplicates += 1
            self.departed += news.mss

    def _detect(self, news: AckNews) -> Octets:
        """Mark what is lost by now; return the octets newly marked."""
        if news.sack:
            return self.rack.detect_losses(
                news.now, news.una, news.mss, recovering=self.reducing or self.timed_out
            )
        if news.una >= news.nxt:
            return 0
        third = self._duplicates == DUP_THRESH and self._is_fresh_loss(news)
        partial = news.advanced and self.reducing
        if not third and not partial:
            return 0
        self._forced = True
        stop = min(news.una + news.mss, news.nxt)
        holes = self._scoreboard.resent.holes(news.una, stop)
        return sum(self._scoreboard.mark_lost(low, high) for low, high in holes)

    def _is_fresh_loss(self, news: AckNews) -> bool:
        """Return whether third duplicates are no echo of our own retransmissions (RFC 6582, 4)."""
        if self.reducing or news.una > self.point or self.point == 0:
            return True
        step = HIGHEST_ACK_STEP * news.mss
        return self.controller.cwnd > news.mss and self._last_step <= step

    def on_reordering_timeout(self, now: Nanos, una: Octets, nxt: Octets, mss: Octets) -> None:
        """What was given time to arrive late has not (RFC 8985, 6.3)."""
        in_flight = self._scoreboard.in_flight(una, nxt)
        recovering = self.reducing or self.timed_out
        lost = self.rack.detect_losses(now, una, mss, recovering=recovering)
        if lost and not recovering and not self._is_probe(lost):
            self._enter(now, una, nxt, in_flight, sack=True)
            self._reduce(una, nxt, mss, 0, safe=False)

    def _is_probe(self, lost: Octets) -> bool:
        """Return whether only a probe of the path MTU was lost, whose octets go again at once."""
        self._forced = self.mtu_probe.explains(lost, self._scoreboard)
        return self._forced

    def _enter(
        self, now: Nanos, una: Octets, nxt: Octets, in_flight: Octets, *, sack: bool
    ) -> None:
        if sack:
            self._counters.tcp_sack_recovery += 1
        else:
            self._counters.tcp_reno_recovery += 1
        self.reducing = True
        self.rescued = False
        self.point = nxt
        self._forced = True
        self.tail.end()
        self.undo.start(una)
        self.controller.checkpoint()
        self.validation.before_reduction(in_flight, self.controller)
        self.controller.on_loss(now, in_flight)
        self._prr.start(in_flight)

    def _reduce(
        self, una: Octets, nxt: Octets, mss: Octets, delivered: Octets, *, safe: bool
    ) -> None:
        """Let the window follow what is delivered (RFC 9937, 6), unless it follows a model."""
        if self.controller.samples:
            return
        in_flight = max(0, self._scoreboard.in_flight(una, nxt) - self.departed)
        ssthresh = self.controller.ssthresh
        count = self._prr.on_ack(delivered, in_flight, ssthresh, mss, safe=safe)
        self.controller.cwnd = in_flight + count

    def _leave(self, now: Nanos, una: Octets, nxt: Octets) -> None:
        """End the episode once its point is acknowledged; its undo may still come."""
        if una >= self.point:
            self._end_window(now)
            self._end()
            self.undo.expires = nxt

    def _end_window(self, now: Nanos) -> None:
        """Settle the window with which recovery ends (RFC 9937, 6)."""
        if self.controller.samples:
            self.controller.on_recovery_end(now)
        elif self.reducing:
            self.controller.cwnd = self.controller.ssthresh

    def _end(self) -> None:
        self.reducing = False
        self.timed_out = False
        self._forced = False
        self.frto.stop()
        self.rack.on_recovery_end()

    def _on_tail_repaired(self, news: AckNews) -> None:
        """A probe made good a loss that nothing else told: reduce once (RFC 8985, 7.4.2)."""
        self._counters.tcp_loss_probe_recovery += 1
        self.controller.checkpoint()
        self.validation.before_reduction(news.in_flight, self.controller)
        self.controller.on_loss(news.now, news.in_flight)
        if self.controller.samples:
            self.controller.on_recovery_end(news.now)

    def _is_spurious(self, news: AckNews) -> bool:
        """Return whether the episode turns out to have been for nothing."""
        undo = self.undo
        needless = False
        if news.duplicated is not None:
            needless = undo.on_duplicate_report(news.duplicated, news.una)
        if not undo.armed:
            return False
        if 0 <= undo.expires < news.una:
            undo.end()
            return False
        if needless:
            return True
        recovering = self.reducing or self.timed_out
        if not (recovering and news.advanced and undo.is_original(news.echoed_at)):
            return False
        if self.timed_out or news.una >= self.point or not self._scoreboard.lost.total:
            return True
        self.rack.reordering_seen = True
        return False

    def _ask_frto(self, news: AckNews) -> None:
        verdict = self.frto.on_ack(
            advanced=news.advanced > 0,
            original=news.original,
            news=news.duplicate or news.delivered > 0,
            sack=news.sack,
        )
        if verdict is Verdict.SPURIOUS:
            self._take_back(news.now, news.una)
        elif verdict is Verdict.GENUINE:
            self.controller.cwnd = min(self.controller.cwnd, DUP_THRESH * news.mss)

    def _take_back(self, now: Nanos, una: Octets) -> None:
        """Undo the reduction, and take for in flight what was called lost (RFC 4015, 3)."""
        self.undo.end()
        self.undone += 1
        if self.timed_out:
            self._counters.tcp_spurious_rtos += 1
        self.rack.reordering_seen |= self.reducing
        self.controller.on_spurious_loss(now)
        lost = self._scoreboard.lost
        if lost.total:
            self.rack.readmit(now, list(lost))
            lost.clear()
        self._end()

    def on_timeout(
        self, now: Nanos, una: Octets, nxt: Octets, mss: Octets, *, first: bool, sack: bool
    ) -> None:
        """Start over from SND.UNA; only the first of several time-outs reduces `ssthresh`."""
        if first:
            in_flight = self._scoreboard.in_flight(una, nxt)
            self.controller.checkpoint()
            self.validation.before_reduction(in_flight, self.controller)
            self.controller.on_timeout(now, in_flight)
            self.undo.start(una)
            if self.reducing or self._scoreboard.sacked.total:
                self.frto.stop()
            else:
                self.frto.start()
        else:
            self.frto.stop()
        self.controller.cwnd = self.controller.mss
        recent = self.rack.on_timeout(now, una, mss)
        self._scoreboard.on_timeout(una, nxt)
        for start, stop in recent if sack else []:
            self._scoreboard.lost.remove(start, stop)
        self._duplicates = 0
        self.departed = 0
        self.tail.end()
        self.reducing = False
        self.rescued = False
        self.timed_out = True
        self._forced = True
        self.point = nxt

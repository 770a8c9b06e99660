"""The sending half: the queue of runs, windows, acknowledgments and what is sent next.

Positions count from the ISS: the SYN is 0, the first payload octet 1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plait.congestion.base import AckSample, CongestionController
from plait.tcp.control import equip
from plait.tcp.news import note
from plait.tcp.receiver import NEVER
from plait.tcp.recovery import Recovery
from plait.tcp.rtt import RttEstimator
from plait.tcp.run import Departure, Run
from plait.tcp.scoreboard import Block, Scoreboard
from plait.tcp.settings import TcpSettings
from plait.tcp.tail_loss import probe_timeout
from plait.tcp.timestamps import TICK, tick
from plait.trace.counters import Counters
from plait.units import Nanos, Octets

if TYPE_CHECKING:
    from plait.tcp.pacing import Pacer
    from plait.tcp.sampling import Sampling


class Sender:
    """SND.UNA, SND.NXT, SND.WND and what belongs to them."""

    __slots__ = (
        "_counters",
        "_probe_base",
        "_unsent",
        "backoff",
        "controller",
        "fin_again",
        "fin_queued",
        "last_sent",
        "max_window",
        "mss",
        "pacer",
        "recovery",
        "resent_segments",
        "rtt",
        "runs",
        "sack",
        "sampling",
        "scale",
        "scoreboard",
        "sent",
        "small_stop",
        "snd_nxt",
        "snd_una",
        "snd_wl1",
        "snd_wl2",
        "snd_wnd",
        "stop",
        "timeouts",
        "timer_base",
        "unpaced",
    )

    def __init__(
        self, settings: TcpSettings, controller: CongestionController, counters: Counters
    ) -> None:
        self._counters = counters
        self.controller = controller
        self.rtt = RttEstimator(settings)
        self.scoreboard = Scoreboard()
        self.recovery = Recovery(self.scoreboard, controller, self.rtt, counters)
        self.sampling: Sampling | None = None
        self.pacer: Pacer | None = None
        equip(self, settings)
        self.snd_una: Octets = 0
        self.snd_nxt: Octets = 0
        self.snd_wnd: Octets = 0
        self.snd_wl1: Octets = 0
        self.snd_wl2: Octets = 0
        self.max_window: Octets = 0
        self.scale = 0
        """Shift of the windows we receive."""

        self.mss: Octets = controller.mss
        """Payload octets of a full segment, all options counted."""

        self.stop: Octets = 1
        """Position after the last octet queued, which our FIN takes."""

        self.small_stop: Octets = 0
        """Position after the last segment queued that is not full."""

        self.fin_queued = False
        self.runs: list[Run] = []
        self.backoff = 0
        """Retransmission time-outs since the last progress."""

        self.timeouts = 0
        """Retransmission time-outs so far."""

        self.resent_segments = 0
        self.sent: Octets = 0
        """Payload octets sent, retransmissions counted."""

        self.timer_base: Nanos = 0
        """When the retransmission timer was last started."""

        self.last_sent: Nanos = 0
        self.fin_again = False
        """Our FIN is lost, or probes, and is to leave once more."""

        self.sack = True
        """Both sides take SACK."""

        self._unsent = 0
        """Index of the run that ends at SND.NXT or goes beyond it."""

        self._probe_base: Nanos = 0
        """When new data was sent or acknowledged last."""

        self.unpaced: Octets = NEVER
        """What pacing lets go now; `NEVER` without."""

    def in_flight(self) -> Octets:
        """Return the octets on the way by our best knowledge."""
        board = self.scoreboard
        pipe = self.snd_nxt - self.snd_una - board.sacked.total - board.lost.total
        departed = self.recovery.departed
        return pipe - departed if pipe > departed else 0

    def queued(self) -> Octets:
        """Return the octets that were never sent."""
        return self.stop - self.snd_nxt if self.stop > self.snd_nxt else 0

    def outstanding(self) -> bool:
        """Return whether anything sent, SYN and FIN counted, is not yet acknowledged."""
        return self.snd_nxt > self.snd_una

    def room(self, in_flight: Octets) -> Octets:
        """Return how many more octets both windows let us queue and send now."""
        congestion = self.controller.cwnd - in_flight - self.scoreboard.lost.total
        recovery = self.recovery
        if recovery.tail.due or recovery.timed_out:
            congestion = self._room_to_ask(congestion)
        if self.stop > self.snd_nxt:
            congestion -= self.stop - self.snd_nxt
        return max(0, min(congestion, self.snd_una + self.snd_wnd - self.stop))

    def _room_to_ask(self, congestion: Octets) -> Octets:
        """Return how far a probe or F-RTO may go beyond the window with new data."""
        recovery = self.recovery
        if not recovery.asking:
            return congestion
        if recovery.frto.holding:
            return 2 * self.mss - max(0, self.snd_nxt - recovery.point)
        return max(congestion, self.mss)

    def queue(self, run: Run) -> None:
        """Add a run behind the last one."""
        self.runs.append(run)
        self.stop = run.stop
        if (run.stop - run.start) % self.mss:
            self.small_stop = run.stop

    @property
    def fin_acked(self) -> bool:
        """Return whether the peer has all we sent, and our FIN."""
        return self.fin_queued and self.snd_una > self.stop

    def on_ack(
        self,
        now: Nanos,
        ack: Octets,
        blocks: Sequence[Block],
        echoed_at: Nanos,
        duplicate: bool,
    ) -> Octets:
        """Apply an acceptable ACK and return the octets it newly acknowledged cumulatively.

        Args:
            ack: Unwrapped SEG.ACK, between SND.UNA and SND.NXT.
            blocks: Unwrapped SACK blocks.
            echoed_at: When the segment was sent whose timestamp it echoes, -1 if unknown.
            duplicate: The segment counts as a duplicate ACK (RFC 5681, 2).
        """
        advanced = ack - self.snd_una
        if not advanced and not blocks and not duplicate:
            return 0
        before = self.in_flight()
        new_round = self.recovery.validation.on_ack(now, before, ack, self)
        rtt = 0
        sampling = self.sampling
        if sampling is not None:
            sampling.before_ack(self, before)
        if not blocks and not duplicate and self.recovery.quiet:
            if sampling is not None:
                sampling.delivery.on_delivered(self.snd_una, ack)
            sent_at = self.recovery.rack.on_cumulative_ack(now, self.snd_una, ack, echoed_at)
            delivered = self.scoreboard.on_cumulative_ack(self.snd_una, ack)
            rtt = self._advance(now, ack, sent_at, echoed_at, before)
        else:
            news = note(self, now, ack, blocks, echoed_at, duplicate, before)
            delivered = news.delivered
            if advanced:
                sent_at = self.recovery.rack.sent_at(self.snd_una, ack)
                self.scoreboard.on_cumulative_ack(self.snd_una, ack)
                rtt = self._advance(now, ack, sent_at, news.echoed_at, before)
                self.recovery.rack.forget_below(ack)
            self.recovery.on_ack(news)
        grows = advanced or self.recovery.rack.reordering_seen  # RFC 3042: no growth by duplicates
        if sampling is not None:
            sampling.on_ack(now, self, peak=self.recovery.validation.peak)
        elif delivered and grows and not self.recovery.reducing:
            limited = self.recovery.validation.app_limited(self.controller)
            self.controller.on_ack(
                AckSample(now, delivered, before, self.rtt.srtt, limited, rtt, new_round)
            )
        return advanced

    def _advance(
        self, now: Nanos, ack: Octets, sent_at: Nanos, echoed_at: Nanos, in_flight: Octets
    ) -> Nanos:
        """Move SND.UNA; return the sample of the round-trip time, 0 if there is none.

        What was sent more than once gives none (Karn), unless timestamps tell which one came.
        """
        sample = 0
        if sent_at >= 0:
            sample = max(now - sent_at, 1)
        elif echoed_at >= 0:
            sample = max(tick(now) - echoed_at, TICK)
        if sample:
            self.rtt.on_sample(sample, -(-in_flight // (2 * self.mss)))
        self.snd_una = ack
        self._release(ack)
        self.backoff = 0
        self.timer_base = self._probe_base = now
        return sample

    def _release(self, ack: Octets) -> None:
        """Forget the runs that are acknowledged whole."""
        done = 0
        for run in self.runs:
            if run.stop > ack:
                break
            done += 1
        if done:
            del self.runs[:done]
            self._unsent = max(self._unsent - done, 0)

    def update_window(self, seq: Octets, ack: Octets, window: Octets) -> None:
        """Take the peer's window unless the ACK is old: SEG.SEQ tells less (RFC 9293, 3.10.7.4)."""
        if self.snd_wl2 < ack or (self.snd_wl2 == ack and self.snd_wl1 <= seq):
            self.snd_wnd = window
            self.snd_wl1 = seq
            self.snd_wl2 = ack
            self.max_window = max(self.max_window, window)

    def next_departure(self, now: Nanos) -> Departure | None:
        """Return the next stretch that the windows let go, and count it as sent."""
        departure: Departure | None = None
        if self.pacer is not None:
            self.unpaced = self.pacer.budget(now, self.rtt.srtt)
            if not self.unpaced:
                return None
        if self.scoreboard.lost.total:
            departure = self._next_resend(now)
        if departure is None:
            departure = self._next_new(now)
        if departure is None and self.recovery.tail.due:
            departure = self._probe(now)
        return departure

    def _next_resend(self, now: Nanos) -> Departure | None:
        """Return the next lost stretch, unless F-RTO asks with new data."""
        recovery = self.recovery
        if recovery.frto.holding:
            if self.stop > self.snd_nxt and self.snd_una + self.snd_wnd > self.snd_nxt:
                return None
            if self.snd_nxt > recovery.point:
                return None  # it has left already
            recovery.frto.stop()
        start, stop = self.scoreboard.lost.first
        allowed = min(self.controller.cwnd - self.in_flight(), self.unpaced)
        forced = recovery.take_forced()
        if allowed < min(self.mss, stop - start):
            if not forced:
                return None
            allowed = self.mss
        if start >= self.stop:
            self.fin_again = True
            return None
        run = self._run_at(start)
        stop = min(stop, run.stop, start + max(allowed - allowed % self.mss, self.mss))
        return self._again(now, run, start, stop)

    def _again(self, now: Nanos, run: Run, start: Octets, stop: Octets) -> Departure:
        self.recovery.on_resent(now, start, stop)
        segments = -(-(stop - start) // self.mss)
        self.resent_segments += segments
        self._counters.retrans_segs += segments
        if self.recovery.timed_out:
            self._counters.tcp_slow_start_retrans += segments
        elif self.recovery.reducing:
            self._counters.tcp_fast_retrans += segments
        self._on_sent(now, start, stop, again=True)
        return Departure(run, start, stop, last=stop == self.stop, again=True)

    def _next_new(self, now: Nanos) -> Departure | None:
        """Return the next stretch that was only queued so far."""
        start = self.snd_nxt
        if start >= self.stop or start < 1:
            return None
        run = self.runs[self._unsent]
        if start >= run.stop:
            self._unsent += 1
            run = self.runs[self._unsent]
        una = self.snd_una
        waits = start > una
        if not waits and now - self.last_sent > self.rtt.rto:
            self.controller.on_idle(now)
        recovery = self.recovery
        allowed = self.controller.cwnd - self.in_flight()
        if recovery.tail.due or recovery.timed_out:
            allowed = self._room_to_ask(allowed)
        allowed = min(allowed, una + self.snd_wnd - start, self.unpaced)
        stop = run.stop if run.stop - start < allowed else start + allowed
        probe = recovery.mtu_probe
        probing = probe.wanted > 0 and probe.fits(run.stop - start, allowed, self.mss)
        if probing:
            stop = start + probe.wanted
            probe.on_sent(start, stop)
        if stop <= start or (stop < run.stop and stop - start < self.mss and waits):
            return None
        self.snd_nxt = stop
        self._probe_base = now
        recovery.rack.on_sent(now, start, stop)
        if recovery.tail.due:
            recovery.tail.on_sent(stop, again=False)
        self._on_sent(now, start, stop, again=False)
        departure = Departure(run, start, stop, last=stop == self.stop, again=False)
        departure.probe = probing
        return departure

    def _probe(self, now: Nanos) -> Departure | None:
        """Return the last segment once more, since no new data could probe (RFC 8985, 7.3)."""
        tail = self.recovery.tail
        tail.due = False
        top = self.snd_nxt
        holes = self.scoreboard.sacked.holes(self.snd_una, top)
        self.recovery.rescued = self.recovery.reducing
        if not holes:
            return None  # all was SACKed: what is missing below, only a time-out can tell
        if not self.recovery.reducing:
            tail.on_sent(top, again=True)
        if top > self.stop:
            self.fin_again = True
            return None
        low, high = holes[-1]
        run = self._run_at(high - 1)
        low = max(low, run.start, high - self.mss)
        self.recovery.rack.forget(low, high)
        return self._again(now, run, low, high)

    def on_fin_sent(self, now: Nanos) -> None:
        """Our FIN left, for the first time or again."""
        position = self.stop
        if not self.outstanding():
            self.timer_base = now
        if self.snd_nxt > position:
            self.recovery.rack.forget(position, position + 1)
            self.recovery.on_resent(now, position, position + 1)
        else:
            self.snd_nxt = position + 1
            self._probe_base = now
            self.recovery.rack.on_sent(now, position, position + 1)
        self.fin_again = False
        self.last_sent = now

    def _on_sent(self, now: Nanos, start: Octets, stop: Octets, *, again: bool) -> None:
        length = stop - start
        if self.pacer is not None:
            self.pacer.on_sent(now, length)
            if self.sampling is not None:
                self.sampling.on_departure(now, self, start, stop, again=again)
        self.sent += length
        self.last_sent = now
        if self.recovery.reducing:
            self.recovery.on_sent(length)
        board = self.scoreboard
        if self.snd_nxt - self.snd_una - board.sacked.total - board.lost.total <= length:
            self.timer_base = now

    def _run_at(self, position: Octets) -> Run:
        return self.runs[bisect_right(self.runs, position, key=_start) - 1]

    def on_timer(self, now: Nanos) -> bool:
        """Do what is due before a retransmission time-out; return whether that itself is due."""
        recovery = self.recovery
        if recovery.rack.deadline <= now:
            recovery.on_reordering_timeout(now, self.snd_una, self.snd_nxt, self.mss)
            return False
        if self._may_probe() and min(self._probe_at(), self.timer_base + self.rtt.rto) <= now:
            recovery.tail.due = True
            self._counters.tcp_loss_probes += 1
            self.timer_base = now
            return False
        return True

    def _may_probe(self) -> bool:
        """Return whether a probe may ask for the tail of the flight (RFC 8985, 7.2).

        In fast recovery that is RFC 6675's rescue retransmission, which waits as long.
        """
        recovery = self.recovery
        if not self.sack or self.snd_una < 1 or recovery.timed_out or self.scoreboard.lost.total:
            return False
        if recovery.reducing:
            return not recovery.rescued and self.stop <= self.snd_nxt
        tail = recovery.tail
        return tail.end_seq < 0 and not tail.due and not self.scoreboard.sacked.total

    def _probe_at(self) -> Nanos:
        span = probe_timeout(self.rtt, self.snd_nxt - self.snd_una, self.mss)
        base = max(self._probe_base, self.last_sent) if self.recovery.reducing else self._probe_base
        return base + span

    def on_timeout(self, now: Nanos) -> None:
        """The retransmission timer fired (RFC 6298, 5.4 to 5.6)."""
        first = self.backoff == 0
        self.timeouts += 1
        self._counters.tcp_timeouts += 1
        self.back_off(now)
        self.fin_again = False
        if self.sampling is not None:
            self.sampling.delivery.on_timeout(list(self.scoreboard.sacked))
        self.recovery.on_timeout(
            now, self.snd_una, self.snd_nxt, self.mss, first=first, sack=self.sack
        )

    def back_off(self, now: Nanos) -> None:
        """Start the timer anew, twice as long until there is a new sample (RFC 6298, 5.5)."""
        self.backoff += 1
        self.rtt.back_off()
        self.timer_base = now

    def on_established(self, now: Nanos, syns: int) -> None:
        """The handshake is over, after so many SYNs of ours.

        Where one was lost, begin cautiously: with a longer RTO (RFC 6298, 5.7), and, unless it may
        have been too short a time-out, with one segment (RFC 6928, 2).
        """
        self.snd_una = 1
        self.backoff = 0
        self.timer_base = now
        if syns > 1:
            self.rtt.restart_after_syn_loss()
        if syns > 2:
            self.controller.cwnd = min(self.controller.cwnd, self.controller.mss)

    def resend_outstanding(self) -> None:
        """Count all that is in flight as lost for a reason other than congestion."""
        start, stop = max(self.snd_una, 1), min(self.snd_nxt, self.stop)
        self.scoreboard.mark_lost(start, stop)
        self.recovery.rack.forget(start, stop)

    def timeout_at(self) -> Nanos:
        """Return when `on_timer` is to be called; only valid while data is outstanding."""
        due = min(self.timer_base + self.rtt.rto, self.recovery.rack.deadline)
        return min(due, self._probe_at()) if self._may_probe() else due


def _start(run: Run) -> Octets:
    return run.start

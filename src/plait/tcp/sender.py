"""The sending half: the queue of runs, windows, acknowledgments and what is sent next.

A *run* is what one mapping covers.  Runs are queued whole, leave as super-segments and stay until
they are acknowledged, so that a retransmission repeats both octets and mapping (RFC 8684, 3.3.1).
Positions count from the ISS: the SYN is 0, the first payload octet 1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from plait.buffers import Pieces, slice_pieces
from plait.congestion.base import AckSample, CongestionController
from plait.tcp.recovery import Recovery
from plait.tcp.rtt import RttEstimator
from plait.tcp.scoreboard import Scoreboard
from plait.tcp.settings import TcpSettings
from plait.units import Nanos, Octets
from plait.wire.mptcp.dss import Dss
from plait.wire.tcp_options import Option


@dataclass(init=False, slots=True)
class Run:
    """A run of payload with the options that every segment of it carries."""

    start: Octets
    stop: Octets
    pieces: Pieces
    dss: Dss | None
    """Its mapping, without a Data ACK."""

    options: tuple[Option, ...]
    """An MP_CAPABLE in place of the mapping, on the first data of a connection."""

    dsn: Octets
    """Position of the first octet in the data stream."""

    sent_at: Nanos
    resent: bool
    reinjected: bool
    """Its data was given to another subflow too."""

    def __init__(
        self,
        start: Octets,
        stop: Octets,
        pieces: Pieces,
        dss: Dss | None,
        options: tuple[Option, ...],
        dsn: Octets,
    ) -> None:
        self.start = start
        self.stop = stop
        self.pieces = pieces
        self.dss = dss
        self.options = options
        self.dsn = dsn
        self.sent_at = 0
        self.resent = False
        self.reinjected = False


@dataclass(init=False, slots=True)
class Departure:
    """One stretch of a run that leaves now."""

    run: Run
    start: Octets
    stop: Octets
    last: bool
    """Nothing is queued behind it."""

    def __init__(self, run: Run, start: Octets, stop: Octets, last: bool) -> None:
        self.run = run
        self.start = start
        self.stop = stop
        self.last = last

    def pieces(self) -> Pieces:
        """Return the payload of the stretch."""
        if self.start == self.run.start and self.stop == self.run.stop:
            return self.run.pieces
        return slice_pieces(
            self.run.pieces, self.start - self.run.start, self.stop - self.run.start
        )


class Sender:
    """SND.UNA, SND.NXT, SND.WND and what belongs to them."""

    def __init__(self, settings: TcpSettings, controller: CongestionController) -> None:
        self.controller = controller
        self.rtt = RttEstimator(settings)
        self.scoreboard = Scoreboard()
        self.recovery = Recovery(self.scoreboard, controller)
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
        """Position after the last octet queued."""

        self.fin_queued = False
        self.runs: list[Run] = []
        self.backoff = 0
        """Retransmission time-outs since the last progress."""

        self.resent_segments = 0
        self.sent: Octets = 0
        """Payload octets sent, retransmissions counted."""

        self.timer_base: Nanos = 0
        """When the retransmission timer was last started."""

        self.last_sent: Nanos = 0
        self.sack = True
        """Both sides take SACK."""

        self._peak: Octets = 0
        self._round_end: Octets = 0

    def in_flight(self) -> Octets:
        """Return the octets on the way by our best knowledge."""
        pipe = self.scoreboard.in_flight(self.snd_una, self.snd_nxt)
        return max(0, pipe - self.recovery.departed)

    def outstanding(self) -> bool:
        """Return whether anything sent, SYN and FIN counted, is not yet acknowledged."""
        return self.snd_nxt > self.snd_una

    def room(self, in_flight: Octets) -> Octets:
        """Return how many more octets both windows let us queue and send now."""
        queued = self.stop - min(self.snd_nxt, self.stop)
        congestion = self.controller.cwnd - in_flight - queued - self.scoreboard.lost.total
        return max(0, min(congestion, self.snd_una + self.snd_wnd - self.stop))

    def queue(self, run: Run) -> None:
        """Add a run behind the last one."""
        self.runs.append(run)
        self.stop = run.stop

    def fin_position(self) -> Octets:
        """Return the position our FIN takes."""
        return self.stop

    def on_ack(
        self,
        now: Nanos,
        ack: Octets,
        blocks: Sequence[tuple[Octets, Octets]],
        echoed_rtt: Nanos,
        duplicate: bool,
    ) -> Octets:
        """Apply an acceptable ACK and return the octets it newly acknowledged cumulatively.

        Args:
            ack: Unwrapped SEG.ACK, between SND.UNA and SND.NXT.
            blocks: Unwrapped SACK blocks.
            echoed_rtt: What the echoed timestamp says of the RTT, 0 if nothing.
            duplicate: The segment counts as a duplicate ACK (RFC 5681, 2).
        """
        advanced = ack - self.snd_una
        if not advanced and not blocks and not duplicate:
            return 0
        before = self.in_flight()
        new_round = self._note_peak(before, ack)
        rtt = 0
        delivered = self.scoreboard.on_sack(blocks, self.snd_una, self.snd_nxt) if blocks else 0
        if advanced:
            delivered += self.scoreboard.on_cumulative_ack(self.snd_una, ack)
            rtt = self._sample_rtt(now, ack, echoed_rtt)
            self.snd_una = ack
            self._release(ack)
            self.backoff = 0
            self.timer_base = now
        elif duplicate and not self.sack:
            self.recovery.on_duplicate(self.mss)
        self.recovery.on_ack(
            now,
            self.snd_una,
            self.snd_nxt,
            self.mss,
            before,
            delivered,
            advanced=advanced > 0,
            sack=self.sack,
        )
        if delivered and not self.recovery.reducing:
            limited = self._app_limited()
            self.controller.on_ack(
                AckSample(now, delivered, before, self.rtt.srtt, limited, rtt, new_round)
            )
        return advanced

    def _note_peak(self, in_flight: Octets, ack: Octets) -> bool:
        """Remember the most that was in flight in a round trip; return whether one begins."""
        if ack > self._round_end:
            self._round_end = self.snd_nxt
            self._peak = in_flight
            return True
        self._peak = max(self._peak, in_flight)
        return False

    def _app_limited(self) -> bool:
        """Return whether the window went unused (RFC 7661, 4.1: half of it in slow start)."""
        cwnd = self.controller.cwnd
        if cwnd < self.controller.ssthresh:
            return 2 * self._peak < cwnd
        return self._peak + 2 * self.mss < cwnd

    def _sample_rtt(self, now: Nanos, ack: Octets, echoed_rtt: Nanos) -> Nanos:
        """Measure the newest run this ACK reaches, unless it was sent twice (Karn).

        Returns the sample, 0 if there is none.
        """
        newest: Run | None = None
        for run in self.runs:
            if run.start >= ack:
                break
            newest = run
        sample = echoed_rtt
        if newest is not None and not newest.resent:
            sample = now - newest.sent_at
        if sample:
            self.rtt.on_sample(sample)
        return sample

    def _release(self, ack: Octets) -> None:
        """Forget the runs that are acknowledged whole."""
        done = 0
        for run in self.runs:
            if run.stop > ack:
                break
            done += 1
        del self.runs[:done]

    def update_window(self, seq: Octets, ack: Octets, window: Octets) -> None:
        """Take the peer's window unless the segment is old (RFC 9293, 3.10.7.4).

        ACKs never go back, so they tell better than SEG.SEQ what is old: a retransmission may well
        bring a new ACK, and a window that is less by what it acknowledges.
        """
        if self.snd_wl2 < ack or (self.snd_wl2 == ack and self.snd_wl1 <= seq):
            self.snd_wnd = window
            self.snd_wl1 = seq
            self.snd_wl2 = ack
            self.max_window = max(self.max_window, window)

    def next_resend(self, now: Nanos) -> Departure | None:
        """Return the next lost stretch that the window lets go, and count it as sent."""
        lost = self.scoreboard.lost
        if not lost.total:
            return None
        start, stop = lost.first
        allowed = self.controller.cwnd - self.in_flight()
        forced = self.recovery.take_forced()
        if allowed < min(self.mss, stop - start):
            if not forced:
                return None
            allowed = self.mss
        if start >= self.stop:
            self.scoreboard.on_resent(start, stop, self.snd_nxt)
            return None
        run = self._run_at(start)
        stop = min(stop, run.stop, start + max(allowed - allowed % self.mss, self.mss))
        self.scoreboard.on_resent(start, stop, self.snd_nxt)
        run.resent = True
        self.resent_segments += -(-(stop - start) // self.mss)
        self._on_sent(now, stop - start)
        return Departure(run, start, stop, last=False)

    def next_new(self, now: Nanos) -> Departure | None:
        """Return the next queued stretch that both windows let go, and count it as sent."""
        start = self.snd_nxt
        if start >= self.stop or start < 1:
            return None
        run = self._run_at(start)
        if not self.outstanding() and now - self.last_sent > self.rtt.rto:
            self.controller.on_idle(now)
        congestion = self.controller.cwnd - self.in_flight()
        allowed = min(congestion, self.snd_una + self.snd_wnd - start)
        stop = min(run.stop, start + allowed)
        if stop <= start or (stop < run.stop and stop - start < self.mss and self.outstanding()):
            return None
        if not run.sent_at:
            run.sent_at = now
        self.snd_nxt = stop
        self._on_sent(now, stop - start)
        return Departure(run, start, stop, last=stop == self.stop)

    def _on_sent(self, now: Nanos, length: Octets) -> None:
        self.sent += length
        self.last_sent = now
        self.recovery.on_sent(length)
        if self.scoreboard.in_flight(self.snd_una, self.snd_nxt) <= length:
            self.timer_base = now

    def _run_at(self, position: Octets) -> Run:
        return self.runs[bisect_right(self.runs, position, key=_start) - 1]

    def on_timeout(self, now: Nanos) -> None:
        """The retransmission timer fired (RFC 6298, 5.4 to 5.6)."""
        first = self.backoff == 0
        self.back_off(now)
        self.recovery.on_timeout(now, self.snd_una, self.snd_nxt, first)

    def back_off(self, now: Nanos) -> None:
        """Start the timer anew, twice as long (RFC 6298, 5.5)."""
        self.backoff += 1
        self.timer_base = now

    def resend_outstanding(self) -> None:
        """Count all that is in flight as lost for a reason other than congestion."""
        self.scoreboard.mark_lost(max(self.snd_una, 1), min(self.snd_nxt, self.stop))

    def timeout_at(self) -> Nanos:
        """Return when the retransmission timer fires; only valid while data is outstanding."""
        rtt = self.rtt
        return self.timer_base + (rtt.backed_off(self.backoff) if self.backoff else rtt.rto)


def _start(run: Run) -> Octets:
    return run.start

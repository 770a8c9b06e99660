"""BBR congestion control, version 3 (draft-ietf-ccwg-bbr-06).

BBR sends at the rate that the path delivers and keeps about as much in flight as that rate needs.
It learns both by experiments: it sends faster to see whether more is delivered, slower to drain the
queue that this builds, and every few seconds so little that the round trip shows its real length.
The model is in `bbr_model`, its states in `bbr_state`; here is what moves between them, and the
window and rate that follow.  Sections and names are the draft's.  A mark counts as a loss.
"""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from plait.congestion.base import (
    INFINITE,
    AckSample,
    CongestionController,
    LossSample,
    RateSample,
    initial_window,
    send_quantum,
)
from plait.congestion.bbr_model import (
    BETA_PERCENT,
    PathModel,
    inflight_at_loss,
    is_inflight_too_high,
)
from plait.congestion.bbr_state import ACCELERATING, GAINS, PROBE_BW, AckPhase, State
from plait.units import MILLISECOND, SECOND, Nanos, Octets

PACING_MARGIN_PERCENT: Final = 1
"""How much below the bandwidth to pace (2.4)."""

MIN_PIPE_SEGMENTS: Final = 4
"""Least window, in segments (2.5: BBR.MinPipeCwnd)."""

STARTUP_FULL_LOSSES: Final = 6
"""Ranges lost in a round trip that may end Startup (5.3.1.3)."""

DRAIN_ROUNDS: Final = 3
"""Round trips that Drain may take (5.3.2)."""

PROBE_RTT_DURATION: Final = 200 * MILLISECOND
MAX_RENO_ROUNDS: Final = 63
"""Round trips between two probes at most, for coexistence with Reno (5.3.3.8)."""

MIN_PROBE_WAIT: Final = 2 * SECOND
"""Least time between two probes; up to a second more is drawn (5.3.3.8)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Bbr(CongestionController):
    """Sends at the rate the path delivers, with little in its queues."""

    name: ClassVar[str] = "bbr"
    samples: ClassVar[bool] = True

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.model = PathModel()
        self.state = State.STARTUP
        self.ack_phase = AckPhase.INIT
        self.drain_start_round = 0
        self.cycle_stamp: Nanos = 0
        self.bw_probe_wait: Nanos = 0
        self.probe_up_acked_per_inc: Octets = INFINITE
        self.bw_probe_up_acked: Octets = 0
        self.bw_probe_up_rounds = 0
        self.is_bw_probe_sample = False
        self.prev_probe_too_high = False
        self.prev_probe_precautionary = False
        self.probe_rtt_done_stamp: Nanos = 0
        self.probe_rtt_round_done = False
        self.idle_restart = False
        self.prior_cwnd: Octets = 0
        self.undo_state: State | None = None
        self.undo_bw_shortterm = 0
        self.undo_inflight_shortterm: Octets = 0
        self.undo_inflight_longterm: Octets = 0
        self._recovering = False
        self._recovery_round = 0
        """Round trip in which the recovery began."""

        self._begun = False

    # ---- events: section 5.2 of the draft

    def on_ack(self, sample: AckSample) -> None:
        """Nothing: `on_rate` is called instead."""

    def on_departure(
        self, now: Nanos, in_flight: Octets, srtt: Nanos, *, app_limited: bool
    ) -> None:
        """Set out, or restart from idle (5.2.1, 5.4.1: HandleRestartFromIdle)."""
        model = self.model
        if not self._begun:
            self._begun = True
            model.min_rtt_stamp = model.probe_rtt_min_stamp = now
            model.extra_acked_interval_start = now
            nominal = initial_window(self.mss) * SECOND // (srtt or MILLISECOND)
            self.pacing_rate = GAINS[State.STARTUP][0] * nominal // 100
        if in_flight == 0 and app_limited:
            self.idle_restart = True
            model.extra_acked_interval_start = now
            if self.state in PROBE_BW:
                self._set_pacing_rate(100)
            elif self.state is State.PROBE_RTT:
                self._check_probe_rtt_done(now, 0)

    def on_rate(self, sample: RateSample) -> None:
        """Update model, state and control parameters (5.2.3)."""
        model = self.model
        model.update_latest_delivery_signals(sample)
        probing = self.state in ACCELERATING
        model.update_congestion_signals(sample, self.cwnd, probing=probing)
        model.update_ack_aggregation(sample, self.cwnd)
        model.check_full_bw_reached(sample)
        self._check_startup_done(sample)
        self._check_drain_done(sample)
        self._update_probe_bw_cycle_phase(sample)
        model.update_min_rtt(sample)
        self._check_probe_rtt(sample)
        model.advance_latest_delivery_signals(sample)
        model.bound_bw()
        self._set_pacing_rate(GAINS[self.state][0])
        self._set_cwnd(sample)
        self.holds_back = self.state is State.PROBE_RTT

    def on_lost(self, sample: LossSample) -> None:
        """Find out at which volume losses became too many (5.5.10.2: HandleLostPacket)."""
        if self.model.note_loss(sample.total_delivered):
            self._save_state_upon_loss()
        if self.is_bw_probe_sample and is_inflight_too_high(
            sample.lost, sample.tx_in_flight, sack=sample.sack
        ):
            at_loss = inflight_at_loss(sample)
            self._handle_inflight_too_high(
                sample.now, at_loss, sample.total_delivered, app_limited=sample.is_app_limited
            )

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Recovery begins (5.6.4.4); what it means for the window, `on_lost` and ACKs tell."""
        self._enter_recovery()

    def on_timeout(self, now: Nanos, in_flight: Octets) -> None:
        """The retransmission timer fired (5.6.4.4: OnEnterRTO)."""
        self._enter_recovery()
        self.cwnd = self.mss

    def on_congestion_mark(self, now: Nanos, in_flight: Octets) -> None:
        """Take a mark for a loss in this round trip; the draft leaves marks open."""
        self.model.is_loss_in_round = True

    def on_recovery_end(self, now: Nanos) -> None:
        """Return to the window of before, which the next ACK bounds (5.6.4.4)."""
        self._recovering = False
        self._restore_cwnd()

    def checkpoint(self) -> None:
        """Nothing: what may have to be undone is saved when the first loss shows."""

    def on_spurious_loss(self, now: Nanos) -> None:
        """Take back what losses taught (5.5.11.2: HandleSpuriousLossDetection)."""
        model = self.model
        self._recovering = False
        self._restore_cwnd()
        model.is_loss_in_round = False
        model.reset_full_bw()
        model.bw_shortterm = max(model.bw_shortterm, self.undo_bw_shortterm)
        held = self.undo_inflight_shortterm
        model.inflight_shortterm = max(model.inflight_shortterm, held)
        model.inflight_longterm = max(model.inflight_longterm, self.undo_inflight_longterm)
        undo, self.undo_state = self.undo_state, None
        if undo is None or self.state is undo:
            return
        if undo is State.STARTUP:
            model.full_bw_reached = False
        if self.state is State.PROBE_RTT:
            return
        if undo is State.STARTUP:
            self.state = State.STARTUP
        else:
            self._start_probe_bw_refill(model.next_round_delivered)

    def on_idle(self, now: Nanos) -> None:
        """Nothing: pacing at the known rate restarts gently enough (5.4.2)."""

    # ---- Startup and Drain (5.3.1, 5.3.2)

    def _check_startup_done(self, sample: RateSample) -> None:
        """Leave Startup where the rate has come to a plateau, or much is lost (5.3.1.1)."""
        model = self.model
        if self.state is not State.STARTUP:
            return
        self._check_startup_high_loss(sample)
        if model.full_bw_reached:
            self.state = State.DRAIN
            self.drain_start_round = model.round_count

    def _check_startup_high_loss(self, sample: RateSample) -> None:
        """Take many losses in a round trip for a full pipe (5.3.1.3)."""
        model = self.model
        losses = model.losses_in_round
        if model.loss_round_start:
            model.losses_in_round = 0
        if model.full_bw_reached or not self._recovering:
            return
        if sample.sack:
            whole_round = model.round_count > self._recovery_round
            if not model.loss_round_start or not whole_round or losses < STARTUP_FULL_LOSSES:
                return
        if is_inflight_too_high(sample.lost, sample.tx_in_flight, sack=sample.sack):
            self.undo_state = State.STARTUP
            model.full_bw_reached = True
            model.inflight_longterm = max(self._bdp_multiple(100), model.inflight_latest)

    def _check_drain_done(self, sample: RateSample) -> None:
        """Leave Drain once the queue is gone by estimate (5.3.2)."""
        model = self.model
        if self.state is State.DRAIN and (
            sample.in_flight <= self._inflight(100)
            or model.round_count > self.drain_start_round + DRAIN_ROUNDS
        ):
            self._start_probe_bw_down(sample.now, sample.total_delivered)

    # ---- ProbeBW (5.3.3)

    def _start_probe_bw_down(self, now: Nanos, total_delivered: Octets) -> None:
        """Send slower, to drain what was built up (5.3.3.9)."""
        model = self.model
        model.reset_congestion_signals()
        self.probe_up_acked_per_inc = INFINITE
        chance = _scatter(now + total_delivered)
        model.rounds_since_probe_up = chance & 1
        self.bw_probe_wait = MIN_PROBE_WAIT + SECOND * chance // _SCATTER_RANGE
        self.cycle_stamp = now
        self.ack_phase = AckPhase.PROBE_STOPPING
        model.start_round(total_delivered)
        self.state = State.PROBE_BW_DOWN

    def _start_probe_bw_refill(self, total_delivered: Octets) -> None:
        """Fill the pipe without a queue, on the way to a probe (5.3.3.9)."""
        model = self.model
        model.reset_short_term()
        self.bw_probe_up_rounds = 0
        self.bw_probe_up_acked = 0
        self.prev_probe_precautionary = False
        self.ack_phase = AckPhase.REFILLING
        model.start_round(total_delivered)
        self.state = State.PROBE_BW_REFILL

    def _start_probe_bw_up(self, sample: RateSample) -> None:
        """Send faster, to see whether more is delivered (5.3.3.9)."""
        self.ack_phase = AckPhase.PROBE_STARTING
        self.model.start_round(sample.total_delivered)
        self.model.reset_full_bw(sample.delivery_rate)
        self.state = State.PROBE_BW_UP
        self._raise_inflight_longterm_slope()

    def _update_probe_bw_cycle_phase(self, sample: RateSample) -> None:
        """Go through the phases of a cycle (5.3.3.9)."""
        model = self.model
        if not model.full_bw_reached or self._adapt_long_term_model(sample):
            return
        if self.state in (State.PROBE_BW_DOWN, State.PROBE_BW_CRUISE):
            if self._is_time_to_probe_bw(sample.now):
                self._start_probe_bw_refill(sample.total_delivered)
            elif self.state is State.PROBE_BW_DOWN and self._is_time_to_cruise(sample):
                self.state = State.PROBE_BW_CRUISE
        elif self.state is State.PROBE_BW_REFILL:
            if model.round_start:
                self.is_bw_probe_sample = True
                self._start_probe_bw_up(sample)
        elif self.state is State.PROBE_BW_UP and self._is_time_to_go_down(sample):
            self.prev_probe_too_high = False
            self._start_probe_bw_down(sample.now, sample.total_delivered)

    def _is_time_to_probe_bw(self, now: Nanos) -> bool:
        """Return whether the last probe is long enough ago (5.3.3.8)."""
        rounds = min(self._target_inflight() // self.mss, MAX_RENO_ROUNDS)
        waited = now > self.cycle_stamp + self.bw_probe_wait
        return waited or self.model.rounds_since_probe_up >= rounds

    def _is_time_to_cruise(self, sample: RateSample) -> bool:
        """Return whether the queue is drained and others have room (5.3.3.9)."""
        if sample.in_flight > self._inflight_with_headroom():
            return False
        return sample.in_flight <= self._quantized(self._bdp_multiple(100, self.model.max_bw))

    def _is_time_to_go_down(self, sample: RateSample) -> bool:
        """Return whether the probe has shown what there is (5.3.3.7)."""
        model = self.model
        if self.prev_probe_too_high and sample.in_flight >= model.inflight_longterm:
            self.prev_probe_precautionary = True
            return True
        if sample.cwnd_limited and self.cwnd >= model.inflight_longterm:
            model.reset_full_bw(sample.delivery_rate)
            return False
        return model.full_bw_now

    def _raise_inflight_longterm_slope(self) -> None:
        """Let the bound grow twice as fast as in the last round trip (5.3.3.9)."""
        growth_this_round = 1 << self.bw_probe_up_rounds
        self.bw_probe_up_rounds = min(self.bw_probe_up_rounds + 1, 30)
        self.probe_up_acked_per_inc = max(self.cwnd // growth_this_round, self.mss)

    def _probe_inflight_longterm_upward(self, sample: RateSample) -> None:
        """Raise the bound while it is what limits us (5.3.3.9)."""
        model = self.model
        if not sample.cwnd_limited or self.cwnd < model.inflight_longterm:
            return
        self.bw_probe_up_acked += sample.newly_acked
        delta = self.bw_probe_up_acked // self.probe_up_acked_per_inc
        if delta:
            self.bw_probe_up_acked -= delta * self.probe_up_acked_per_inc
            model.inflight_longterm += delta * self.mss
        if model.round_start:
            self._raise_inflight_longterm_slope()

    def _adapt_long_term_model(self, sample: RateSample) -> bool:
        """Follow a probe by its ACKs; return whether that began another phase (5.3.3.9)."""
        model = self.model
        probing = self.state in PROBE_BW
        if self.ack_phase is AckPhase.PROBE_STARTING and model.round_start:
            self.ack_phase = AckPhase.PROBE_FEEDBACK
        if self.ack_phase is AckPhase.PROBE_STOPPING and model.round_start:
            self.is_bw_probe_sample = False
            self.ack_phase = AckPhase.INIT
            if probing and not sample.is_app_limited:
                model.cycle_count += 1  # 5.5.6: AdvanceMaxBwFilter
            if probing and self.prev_probe_precautionary and not self.prev_probe_too_high:
                self._start_probe_bw_refill(sample.total_delivered)
                return True
        if model.inflight_longterm == INFINITE or is_inflight_too_high(
            sample.lost, sample.tx_in_flight, sack=sample.sack
        ):
            return False
        model.inflight_longterm = max(model.inflight_longterm, sample.tx_in_flight)
        if self.state is State.PROBE_BW_UP:
            self._probe_inflight_longterm_upward(sample)
        return False

    def _handle_inflight_too_high(
        self, now: Nanos, tx_in_flight: Octets, total_delivered: Octets, *, app_limited: bool
    ) -> None:
        """Losses say that a probe put too much in flight: bound it (5.5.10.2)."""
        self.prev_probe_too_high = True
        self.is_bw_probe_sample = False
        if not app_limited:
            least = self._target_inflight() * BETA_PERCENT // 100
            self.model.inflight_longterm = max(tx_in_flight, least)
        if self.state is State.PROBE_BW_UP:
            self.undo_state = State.PROBE_BW_UP
            self._start_probe_bw_down(now, total_delivered)

    # ---- ProbeRTT (5.3.4)

    def _check_probe_rtt(self, sample: RateSample) -> None:
        """Enter ProbeRTT when it is due, and leave it again (5.3.4.3)."""
        model = self.model
        if self.state is not State.PROBE_RTT and model.probe_rtt_expired and not self.idle_restart:
            self._save_cwnd()
            self.state = State.PROBE_RTT
            self.probe_rtt_done_stamp = 0
            self.ack_phase = AckPhase.PROBE_STOPPING
            model.start_round(sample.total_delivered)
        if self.state is State.PROBE_RTT:
            self._handle_probe_rtt(sample)
        if sample.delivered > 0:
            self.idle_restart = False

    def _handle_probe_rtt(self, sample: RateSample) -> None:
        """Hold what is in flight low for a while and a round trip (5.3.4.3)."""
        if self.probe_rtt_done_stamp == 0:
            if sample.in_flight <= self._probe_rtt_cwnd():
                self.probe_rtt_done_stamp = sample.now + PROBE_RTT_DURATION
                self.probe_rtt_round_done = False
                self.model.start_round(sample.total_delivered)
            return
        if self.model.round_start:
            self.probe_rtt_round_done = True
        if self.probe_rtt_round_done:
            self._check_probe_rtt_done(sample.now, sample.total_delivered)

    def _check_probe_rtt_done(self, now: Nanos, total_delivered: Octets) -> None:
        """Go back to where the pipe is filled or being filled (5.3.4.3, 5.3.4.4)."""
        if self.probe_rtt_done_stamp == 0 or now <= self.probe_rtt_done_stamp:
            return
        model = self.model
        model.probe_rtt_min_stamp = now
        self._restore_cwnd()
        model.reset_short_term()
        if model.full_bw_reached:
            self._start_probe_bw_down(now, max(total_delivered, model.next_round_delivered))
            self.state = State.PROBE_BW_CRUISE
        else:
            self.state = State.STARTUP
        self.holds_back = False

    # ---- losses (5.5.11, 5.6.4.4)

    def _enter_recovery(self) -> None:
        """Losses are to be repaired (5.6.4.4: OnEnterFastRecovery)."""
        self._save_state_upon_loss()
        if not self._recovering:
            self._recovering = True
            self._recovery_round = self.model.round_count

    def _save_state_upon_loss(self) -> None:
        """Remember what a spurious recovery has to restore (5.5.11.1)."""
        model = self.model
        self._save_cwnd()
        self.undo_state = None
        self.undo_bw_shortterm = model.bw_shortterm
        self.undo_inflight_shortterm = model.inflight_shortterm
        self.undo_inflight_longterm = model.inflight_longterm

    def _save_cwnd(self) -> None:
        """Remember the last window that no recovery bounds (5.6.4.4)."""
        if self._recovering or self.state is State.PROBE_RTT:
            self.prior_cwnd = max(self.prior_cwnd, self.cwnd)
        else:
            self.prior_cwnd = self.cwnd

    def _restore_cwnd(self) -> None:
        self.cwnd = max(self.cwnd, self.prior_cwnd)

    # ---- control parameters (5.6)

    def _set_pacing_rate(self, gain: int) -> None:
        """Pace at a share of the bandwidth, in percent; Startup only goes up (5.6.2)."""
        rate = self.model.bw * gain * (100 - PACING_MARGIN_PERCENT) // 10_000
        if rate and (self.model.full_bw_reached or rate > self.pacing_rate):
            self.pacing_rate = rate

    def _bdp_multiple(self, gain: int, bw: int = -1) -> Octets:
        """Return a share of the bandwidth-delay product, in percent (5.6.4.2)."""
        if self.model.min_rtt == INFINITE:
            return initial_window(self.mss)
        return gain * self.model.bdp(self.model.bw if bw < 0 else bw) // 100

    def _quantized(self, inflight_cap: Octets) -> Octets:
        """Return a volume that offload and delayed ACKs can work with (5.5.8, 5.6.4.2)."""
        budget = 3 * send_quantum(self.pacing_rate, self.mss)
        inflight_cap = max(inflight_cap, budget, self._min_pipe_cwnd())
        if self.state is State.PROBE_BW_UP:
            inflight_cap += 2 * self.mss
        return inflight_cap

    def _inflight(self, gain: int) -> Octets:
        return self._quantized(self._bdp_multiple(gain))

    def _inflight_with_headroom(self) -> Octets:
        return self.model.inflight_with_headroom(self.mss, self._min_pipe_cwnd())

    def _target_inflight(self) -> Octets:
        """Return what is wanted in flight, unless losses cut the window (5.3.3.8)."""
        return min(self._bdp_multiple(100), self.cwnd)

    def _min_pipe_cwnd(self) -> Octets:
        return MIN_PIPE_SEGMENTS * self.mss

    def _probe_rtt_cwnd(self) -> Octets:
        """Return the window of ProbeRTT (5.6.4.5)."""
        return max(self._bdp_multiple(GAINS[State.PROBE_RTT][1]), self._min_pipe_cwnd())

    def _set_cwnd(self, sample: RateSample) -> None:
        """Move the window towards what the model allows in flight (5.6.4.6)."""
        wanted = self._bdp_multiple(GAINS[self.state][1]) + self.model.extra_acked
        max_inflight = self._quantized(wanted)
        few = sample.total_delivered < initial_window(self.mss)
        if self.model.full_bw_reached:
            self.cwnd = min(self.cwnd + sample.newly_acked, max_inflight)
        elif self.cwnd < max_inflight or few:
            self.cwnd += sample.newly_acked
        self.cwnd = max(self.cwnd, self._min_pipe_cwnd())
        if self.state is State.PROBE_RTT:
            self.cwnd = min(self.cwnd, self._probe_rtt_cwnd())
        self._bound_cwnd_for_model()

    def _bound_cwnd_for_model(self) -> None:
        """Keep the window below what recent losses allow (5.6.4.7)."""
        cap: Octets = INFINITE
        if self.state in (State.PROBE_RTT, State.PROBE_BW_CRUISE):
            cap = self._inflight_with_headroom()
        elif self.state in PROBE_BW:
            cap = self.model.inflight_longterm
        cap = max(min(cap, self.model.inflight_shortterm), self._min_pipe_cwnd())
        self.cwnd = min(self.cwnd, cap)


_SCATTER_RANGE: Final = 1 << 16


def _scatter(number: int) -> int:
    """Return a number below `_SCATTER_RANGE` that neighbors do not share: the core has no dice."""
    return (number * 0x9E3779B97F4A7C15 >> 40) & (_SCATTER_RANGE - 1)

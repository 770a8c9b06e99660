"""BBR's model of the path: how fast it delivers, how long it is, how much it holds.

Sections are those of draft-ietf-ccwg-bbr-06; names are the draft's, in lower case.
"""

from __future__ import annotations

from typing import Final

from plait.congestion.base import INFINITE, LossSample, RateSample
from plait.congestion.windowed_max import WindowedMax
from plait.units import SECOND, Nanos, Octets

LOSS_THRESH_PERCENT: Final = 2
"""Loss rate in a round trip that is too much (2.5: BBR.LossThresh)."""

BETA_PERCENT: Final = 70
"""What is left by a reduction at least (2.5: BBR.Beta)."""

HEADROOM_PERCENT: Final = 15
"""What is left free for others (2.5: BBR.Headroom)."""

MAX_BW_FILTER_LEN: Final = 2
"""Probing cycles that the largest bandwidth is remembered (2.5)."""

EXTRA_ACKED_FILTER_LEN: Final = 10
"""Round trips that the largest aggregation is remembered (2.5)."""

PROBE_RTT_INTERVAL: Final = 5 * SECOND
MIN_RTT_FILTER_LEN: Final = 10 * SECOND
FULL_BW_ROUNDS: Final = 3
"""Round trips without growth that tell a full pipe (5.3.1.2)."""


class PathModel:
    """What recent ACKs and losses say of the path."""

    def __init__(self) -> None:
        self.max_bw = 0
        """Largest recent delivery rate, in octets per second."""

        self.bw = 0
        """What the flow may use of it: less after recent losses."""

        self.bw_shortterm = INFINITE
        self.inflight_shortterm: Octets = INFINITE
        self.inflight_longterm: Octets = INFINITE
        self.bw_latest = 0
        self.inflight_latest: Octets = 0
        self.min_rtt: Nanos = INFINITE
        self.min_rtt_stamp: Nanos = 0
        self.probe_rtt_min_delay: Nanos = INFINITE
        self.probe_rtt_min_stamp: Nanos = 0
        self.probe_rtt_expired = False
        self.extra_acked: Octets = 0
        """Octets that aggregation may hold back in a round trip."""

        self.extra_acked_interval_start: Nanos = 0
        self.extra_acked_delivered: Octets = 0
        self.round_start = False
        self.round_count = 0
        self.rounds_since_probe_up = 0
        self.next_round_delivered: Octets = 0
        self.loss_round_start = False
        self.loss_round_delivered: Octets = 0
        self.is_loss_in_round = False
        self.losses_in_round = 0
        """Ranges lost in this round trip."""

        self.cycle_count = 0
        self.full_bw = 0
        self.full_bw_count = 0
        self.full_bw_now = False
        self.full_bw_reached = False
        self._max_bw_filter = WindowedMax()
        self._extra_acked_filter = WindowedMax()

    def bdp(self, bw: int) -> Octets:
        """Return the octets that a rate keeps on the way; only if `min_rtt` is known."""
        return bw * self.min_rtt // SECOND

    def start_round(self, total_delivered: Octets) -> None:
        """Begin a round trip: it ends when what leaves from now on is delivered (5.5.1)."""
        self.next_round_delivered = total_delivered

    def update_latest_delivery_signals(self, sample: RateSample) -> None:
        """Take what was delivered in the last round trip (5.5.10.3)."""
        self.loss_round_start = False
        self.bw_latest = max(self.bw_latest, sample.delivery_rate)
        self.inflight_latest = max(self.inflight_latest, sample.delivered)
        if sample.prior_delivered >= self.loss_round_delivered:
            self.loss_round_delivered = sample.total_delivered
            self.loss_round_start = True

    def advance_latest_delivery_signals(self, sample: RateSample) -> None:
        """Begin the next such round trip with this ACK (5.5.10.3)."""
        if self.loss_round_start:
            self.bw_latest = sample.delivery_rate
            self.inflight_latest = sample.delivered

    def reset_congestion_signals(self) -> None:
        """Forget what the last round trip told (5.5.10.3)."""
        self.is_loss_in_round = False
        self.bw_latest = 0
        self.inflight_latest = 0

    def update_congestion_signals(self, sample: RateSample, cwnd: Octets, *, probing: bool) -> None:
        """Follow rounds and bandwidth; adapt to losses once a round trip (5.5.10.3)."""
        self._update_max_bw(sample)
        if not self.loss_round_start:
            return
        if self.is_loss_in_round and not probing:
            self._adapt_lower_bounds(cwnd)
        self.is_loss_in_round = False

    def _update_max_bw(self, sample: RateSample) -> None:
        """Follow round trips and the largest delivery rate (5.5.1, 5.5.5)."""
        self.round_start = sample.prior_delivered >= self.next_round_delivered
        if self.round_start:
            self.start_round(sample.total_delivered)
            self.round_count += 1
            self.rounds_since_probe_up += 1
        rate = sample.delivery_rate
        if rate > 0 and (rate >= self.max_bw or not sample.is_app_limited):
            self.max_bw = self._max_bw_filter.update(self.cycle_count, rate, MAX_BW_FILTER_LEN)

    def _adapt_lower_bounds(self, cwnd: Octets) -> None:
        """Come down to what was delivered, by no more than beta (5.5.10.3)."""
        if self.bw_shortterm == INFINITE:
            self.bw_shortterm = self.max_bw
        if self.inflight_shortterm == INFINITE:
            self.inflight_shortterm = cwnd
        self.bw_shortterm = max(self.bw_latest, self.bw_shortterm * BETA_PERCENT // 100)
        held = self.inflight_shortterm * BETA_PERCENT // 100
        self.inflight_shortterm = max(self.inflight_latest, held)

    def reset_short_term(self) -> None:
        """Forget recent losses (5.5.10.3: ResetShortTermModel)."""
        self.bw_shortterm = INFINITE
        self.inflight_shortterm = INFINITE

    def bound_bw(self) -> None:
        """Settle the bandwidth to use (5.5.10.3: BoundBWForModel)."""
        self.bw = min(self.max_bw, self.bw_shortterm)

    def update_ack_aggregation(self, sample: RateSample, cwnd: Octets) -> None:
        """Estimate how much more than the rate says ACKs bring at once (5.5.9)."""
        expected = self.bw * (sample.now - self.extra_acked_interval_start) // SECOND
        if self.extra_acked_delivered <= expected:
            self.extra_acked_delivered = 0
            self.extra_acked_interval_start = sample.now
            expected = 0
        self.extra_acked_delivered += sample.newly_acked
        extra = min(self.extra_acked_delivered - expected, cwnd)
        length = EXTRA_ACKED_FILTER_LEN if self.full_bw_reached else 1
        self.extra_acked = self._extra_acked_filter.update(self.round_count, extra, length)

    def reset_full_bw(self, full_bw: int = 0) -> None:
        """Look anew for a plateau of the rate, above this one (5.3.1.2)."""
        self.full_bw = full_bw
        self.full_bw_count = 0
        self.full_bw_now = False

    def check_full_bw_reached(self, sample: RateSample) -> None:
        """Look whether three round trips brought less than a quarter more (5.3.1.2)."""
        if self.full_bw_now or not self.round_start or sample.is_app_limited:
            return
        if 4 * sample.delivery_rate >= 5 * self.full_bw:
            self.reset_full_bw(sample.delivery_rate)
            return
        self.full_bw_count += 1
        self.full_bw_now = self.full_bw_count >= FULL_BW_ROUNDS
        if self.full_bw_now:
            self.full_bw_reached = True

    def update_min_rtt(self, sample: RateSample) -> None:
        """Follow the least round-trip time, and whether it is due for a probe (5.3.4.3)."""
        now = sample.now
        self.probe_rtt_expired = now > self.probe_rtt_min_stamp + PROBE_RTT_INTERVAL
        lower = sample.rtt < self.probe_rtt_min_delay
        if sample.rtt and (lower or self.probe_rtt_expired):
            self.probe_rtt_min_delay = sample.rtt
            self.probe_rtt_min_stamp = now
        expired = now > self.min_rtt_stamp + MIN_RTT_FILTER_LEN
        if self.probe_rtt_min_delay < self.min_rtt or expired:
            self.min_rtt = self.probe_rtt_min_delay
            self.min_rtt_stamp = self.probe_rtt_min_stamp

    def note_loss(self, total_delivered: Octets) -> bool:
        """Note a lost range; return whether it is the first in its round trip (5.5.10.2)."""
        first = not self.is_loss_in_round
        if first:
            self.loss_round_delivered = total_delivered
        self.is_loss_in_round = True
        self.losses_in_round += 1
        return first

    def inflight_with_headroom(self, mss: Octets, least: Octets) -> Octets:
        """Return what leaves room for others in the path (5.3.3.9), at least `least`."""
        if self.inflight_longterm == INFINITE:
            return INFINITE
        headroom = max(mss, self.inflight_longterm * HEADROOM_PERCENT // 100)
        return max(self.inflight_longterm - headroom, least)


def is_inflight_too_high(lost: Octets, tx_in_flight: Octets, *, sack: bool) -> bool:
    """Return whether losses say that too much was in flight (5.5.10.2)."""
    if not sack:
        return lost > 0
    return 100 * lost > LOSS_THRESH_PERCENT * tx_in_flight


def inflight_at_loss(sample: LossSample) -> Octets:
    """Return what was in flight where the loss rate became too high (5.5.10.2).

    That may be anywhere in a burst, of which a whole range was lost.
    """
    inflight_prev = sample.tx_in_flight - sample.length
    lost_prev = sample.lost - sample.length
    lost_prefix = (LOSS_THRESH_PERCENT * inflight_prev - 100 * lost_prev) // (
        100 - LOSS_THRESH_PERCENT
    )
    return inflight_prev + lost_prefix

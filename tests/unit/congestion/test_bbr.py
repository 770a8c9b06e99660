"""BBR's phases by synthetic samples, section by section of draft-ietf-ccwg-bbr-06."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.congestion.base import INFINITE, LossSample, RateSample, initial_window
from plait.congestion.bbr import PROBE_RTT_DURATION, Bbr
from plait.congestion.bbr_model import PROBE_RTT_INTERVAL
from plait.congestion.bbr_state import GAINS, PROBE_BW, State
from plait.units import MILLISECOND, SECOND, Nanos, Octets

MSS = 1000
MS = MILLISECOND
RTT = 100 * MS
BW = 1_000_000
"""Octets per second that the path delivers."""

BDP = BW * RTT // SECOND


class Path:
    """Feeds a controller with one ACK each round trip."""

    def __init__(self) -> None:
        self.bbr = Bbr(MSS)
        self.now: Nanos = SECOND
        self.delivered: Octets = 0
        self._rounds = 0
        self.bbr.on_departure(self.now, 0, RTT, app_limited=False)

    def sample(
        self,
        rate: int,
        *,
        rtt: Nanos = 0,
        in_flight: Octets = BDP,
        lost: Octets = 0,
        limited: bool = False,
        full: bool = False,
    ) -> RateSample:
        """Return the sample of an ACK of what left just after the last one.

        Unless told, round trips get shorter by so little that none has to be probed for.
        """
        self._rounds += 1
        octets = rate * RTT // SECOND
        sample = RateSample(self.now, octets, self.delivered + octets)
        sample.prior_delivered = self.delivered
        sample.delivered = octets
        sample.delivery_rate = rate
        sample.interval = RTT
        sample.rtt = rtt or RTT - self._rounds
        sample.in_flight = in_flight
        sample.tx_in_flight = in_flight
        sample.lost = lost
        sample.is_app_limited = limited
        sample.cwnd_limited = full
        self.delivered += octets
        return sample

    def round(self, rate: int = BW, **more: int) -> None:
        """Let a round trip pass whose data is delivered at `rate`."""
        self.now += RTT
        self.bbr.on_rate(self.sample(rate, **more))  # type: ignore[arg-type]  # bool is int

    def lose(self, octets: Octets, tx_in_flight: Octets, lost: Octets = 0) -> None:
        """Mark a range as lost."""
        sample = LossSample(
            self.now,
            octets,
            tx_in_flight,
            lost or octets,
            self.delivered,
            is_app_limited=False,
            sack=True,
        )
        self.bbr.on_lost(sample)

    def run_to(self, state: State, rounds: int = 200, **more: int) -> None:
        """Let round trips pass until the controller is in a state."""
        for _ in range(rounds):
            if self.bbr.state is state:
                return
            self.round(**more)
        raise AssertionError(f"never in {state}")


def cruising() -> Path:
    """Return a path whose bandwidth is known."""
    path = Path()
    path.run_to(State.PROBE_BW_CRUISE, in_flight=BDP // 2)
    return path


# ---- Startup and Drain


def test_the_first_rate_is_the_initial_window_times_the_gain() -> None:
    rate = initial_window(MSS) * SECOND // RTT
    assert Path().bbr.pacing_rate == rate * 277 // 100


def test_startup_doubles_its_rate_while_delivery_grows() -> None:
    path = Path()
    for rate in (100_000, 200_000, 400_000, 800_000):
        path.round(rate)
        assert path.bbr.state is State.STARTUP
        assert path.bbr.pacing_rate >= rate * 277 * 99 // 10_000
    assert path.bbr.model.full_bw == 800_000


@pytest.mark.parametrize(("growth", "ends"), [(1.26, False), (1.2, True), (1.0, True)])
def test_three_rounds_of_little_growth_end_startup(growth: float, ends: bool) -> None:
    path = Path()
    rate = 500_000.0
    for _ in range(4):
        path.round(int(rate), in_flight=10 * BDP)
        rate *= growth ** (1 / 3) if growth < 1.25 else growth
    assert (path.bbr.state is State.DRAIN) is ends


def test_rounds_without_enough_to_send_do_not_end_startup() -> None:
    path = Path()
    for _ in range(20):
        path.round(limited=True)
    assert path.bbr.state is State.STARTUP


@pytest.mark.parametrize(("ranges", "ends"), [(5, False), (6, True)])
def test_many_lost_ranges_end_startup(ranges: int, ends: bool) -> None:
    path = Path()
    path.round(400_000)
    path.bbr.checkpoint()
    path.bbr.on_loss(path.now, BDP)
    path.round(600_000)
    path.round(800_000)
    for _ in range(ranges):
        path.lose(MSS, BDP)
    path.round(1_200_000, in_flight=2 * BDP, lost=ranges * 2 * MSS)
    path.round(1_800_000, in_flight=2 * BDP, lost=ranges * 2 * MSS)
    assert path.bbr.model.full_bw_reached is ends
    assert (path.bbr.model.inflight_longterm < INFINITE) is ends


def test_drain_lasts_until_the_queue_is_gone() -> None:
    path = Path()
    path.run_to(State.DRAIN, in_flight=2 * BDP)
    assert path.bbr.pacing_rate == BW * 50 * 99 // 10_000
    path.round(in_flight=2 * BDP)
    assert path.bbr.state is State.DRAIN
    path.round(in_flight=BDP - MSS)
    assert path.bbr.state in PROBE_BW


def test_drain_gives_up_after_some_rounds() -> None:
    path = Path()
    path.run_to(State.DRAIN, in_flight=2 * BDP)
    for _ in range(4):
        path.round(in_flight=2 * BDP)
    assert path.bbr.state in PROBE_BW


# ---- ProbeBW


def test_a_cycle_goes_through_all_phases_in_order() -> None:
    path = cruising()
    seen = [path.bbr.state]
    for _ in range(80):
        path.round(in_flight=BDP // 2)
        if path.bbr.state is not seen[-1]:
            seen.append(path.bbr.state)
        if len(seen) == 5:
            break
    assert seen == [
        State.PROBE_BW_CRUISE,
        State.PROBE_BW_REFILL,
        State.PROBE_BW_UP,
        State.PROBE_BW_DOWN,
        State.PROBE_BW_CRUISE,
    ]


@pytest.mark.parametrize("state", PROBE_BW)
def test_each_phase_has_its_gain(state: State) -> None:
    path = cruising()
    path.run_to(state, in_flight=BDP // 2 if state is not State.PROBE_BW_DOWN else 3 * BDP)
    assert path.bbr.pacing_rate == BW * GAINS[state][0] * 99 // 10_000


def test_probes_are_two_to_three_seconds_apart() -> None:
    path = cruising()
    starts: list[Nanos] = []
    while len(starts) < 6:
        path.run_to(State.PROBE_BW_UP, in_flight=BDP // 2)
        starts.append(path.now)
        path.run_to(State.PROBE_BW_DOWN)
        path.run_to(State.PROBE_BW_CRUISE, in_flight=BDP // 2)
    waits = [later - earlier for earlier, later in pairwise(starts)]
    assert all(2 * SECOND <= wait <= 4 * SECOND for wait in waits)
    assert len(set(waits)) > 1


def test_a_short_path_is_probed_about_as_often_as_reno_would() -> None:
    path = Path()
    rate = 10 * MSS * SECOND // RTT
    for _ in range(12):
        path.round(rate, in_flight=4 * MSS)
    path.run_to(State.PROBE_BW_CRUISE, rate=rate, in_flight=4 * MSS)
    began = path.bbr.model.round_count
    path.run_to(State.PROBE_BW_REFILL, rate=rate, in_flight=4 * MSS)
    assert path.bbr.model.round_count - began <= 11


def test_more_bandwidth_is_found_by_probing() -> None:
    path = cruising()
    path.run_to(State.PROBE_BW_UP, in_flight=BDP // 2)
    path.round(2 * BW)
    assert path.bbr.model.bw == 2 * BW
    assert path.bbr.pacing_rate == 2 * BW * 125 * 99 // 10_000


def test_bandwidth_that_is_gone_is_forgotten_after_two_cycles() -> None:
    path = cruising()
    cycles = path.bbr.model.cycle_count
    while path.bbr.model.cycle_count < cycles + 2:
        path.round(BW // 2, in_flight=BDP // 4)
    path.round(BW // 2, in_flight=BDP // 4)
    assert path.bbr.model.max_bw == BW // 2


@pytest.mark.parametrize(("percent", "bounded"), [(1, False), (3, True)])
def test_loss_in_a_probe_bounds_what_is_in_flight(percent: int, bounded: bool) -> None:
    path = cruising()
    path.run_to(State.PROBE_BW_UP, in_flight=BDP // 2)
    path.lose(percent * 2 * BDP // 100, 2 * BDP)
    bbr = path.bbr
    assert (bbr.state is State.PROBE_BW_DOWN) is bounded
    assert (bbr.model.inflight_longterm < INFINITE) is bounded
    if bounded:
        assert 0.97 * 2 * BDP <= bbr.model.inflight_longterm <= 2 * BDP
        path.round(in_flight=BDP // 2)
        path.run_to(State.PROBE_BW_CRUISE, in_flight=BDP // 2)
        assert bbr.cwnd <= 0.85 * bbr.model.inflight_longterm + 1


def test_the_probe_after_one_that_lost_is_short() -> None:
    path = cruising()
    path.run_to(State.PROBE_BW_UP, in_flight=BDP // 2)
    path.lose(BDP // 10, 2 * BDP)
    assert path.bbr.prev_probe_too_high
    path.run_to(State.PROBE_BW_REFILL, in_flight=BDP // 2)
    path.run_to(State.PROBE_BW_UP, in_flight=BDP // 2)
    path.round(in_flight=2 * BDP)
    assert (path.bbr.prev_probe_precautionary, path.bbr.state) == (True, State.PROBE_BW_DOWN)
    path.round(in_flight=BDP // 2)
    assert (path.bbr.prev_probe_precautionary, path.bbr.state) == (False, State.PROBE_BW_REFILL)


# ---- losses outside of probes


def test_losses_while_cruising_lower_the_short_term_bounds_by_at_most_beta() -> None:
    path = cruising()
    cwnd = path.bbr.cwnd
    model = path.bbr.model
    bounds = []
    for _ in range(2):
        path.lose(MSS, BDP)
        path.round(BW // 4, in_flight=BDP // 4)
        bounds.append((model.bw, model.inflight_shortterm))
    assert [bw for bw, _ in bounds] == [BW, BW * 70 // 100]
    assert [held for _, held in bounds] == pytest.approx([cwnd * 0.7, cwnd * 0.49], abs=2)
    path.run_to(State.PROBE_BW_REFILL, rate=BW // 2, in_flight=BDP // 2)
    assert model.bw_shortterm == model.inflight_shortterm == INFINITE
    assert model.bw == BW


def test_a_time_out_leaves_one_segment_and_the_end_of_recovery_restores() -> None:
    path = cruising()
    cwnd = path.bbr.cwnd
    path.bbr.checkpoint()
    path.bbr.on_timeout(path.now, BDP)
    assert path.bbr.cwnd == MSS
    path.bbr.on_recovery_end(path.now)
    assert path.bbr.cwnd == cwnd


def test_a_spurious_loss_in_a_probe_is_taken_back() -> None:
    path = cruising()
    path.run_to(State.PROBE_BW_UP, in_flight=BDP // 2)
    path.bbr.on_loss(path.now, BDP)
    path.lose(BDP // 10, 2 * BDP)
    assert path.bbr.model.inflight_longterm < INFINITE
    path.bbr.on_spurious_loss(path.now)
    assert path.bbr.model.inflight_longterm == INFINITE
    assert path.bbr.state is State.PROBE_BW_REFILL


# ---- ProbeRTT and idleness


def test_the_round_trip_is_probed_when_it_was_not_seen_for_five_seconds() -> None:
    path = cruising()
    while path.bbr.state is not State.PROBE_RTT:
        path.round(rtt=RTT + 20 * MS, in_flight=BDP // 2)
        assert path.now < 20 * SECOND
    assert path.now - path.bbr.model.min_rtt_stamp > PROBE_RTT_INTERVAL
    assert path.bbr.cwnd <= BDP // 2 + MSS
    assert path.bbr.holds_back
    began = path.now
    path.run_to(State.PROBE_BW_CRUISE, rtt=RTT + 5 * MS, in_flight=BDP // 3)
    assert path.now - began >= PROBE_RTT_DURATION
    assert path.bbr.cwnd > BDP
    assert not path.bbr.holds_back


def test_a_lower_round_trip_needs_no_probe() -> None:
    path = cruising()
    for step in range(100):
        path.round(rtt=RTT - step * MS // 2, in_flight=BDP // 2)
        assert path.bbr.state is not State.PROBE_RTT


def test_a_longer_path_is_learned_after_ten_seconds() -> None:
    path = cruising()
    for _ in range(140):
        path.round(rtt=2 * RTT, in_flight=BDP // 3)
    assert path.bbr.model.min_rtt == 2 * RTT


def test_idleness_spares_the_probe_and_restarts_at_the_rate() -> None:
    path = cruising()
    path.run_to(State.PROBE_BW_UP, in_flight=BDP // 2)
    path.now += 2 * PROBE_RTT_INTERVAL
    path.bbr.on_idle(path.now)
    path.bbr.on_departure(path.now, 0, RTT, app_limited=True)
    assert path.bbr.pacing_rate == BW * 99 // 100
    path.round(rtt=RTT + MS)
    assert path.bbr.state is not State.PROBE_RTT


def test_aggregated_acks_widen_the_window() -> None:
    path = cruising()
    before = path.bbr.cwnd
    burst = path.sample(BW)
    burst.newly_acked = BDP // 2
    path.now += MS
    burst.now = path.now
    path.bbr.on_rate(burst)
    for _ in range(3):
        path.round(in_flight=BDP // 2)
    assert path.bbr.model.extra_acked > BDP // 3
    assert path.bbr.cwnd > before


calls = st.lists(
    st.tuples(
        st.sampled_from(["round", "lost", "loss", "timeout", "end", "spurious", "idle", "mark"]),
        st.integers(0, 10 * BW),
        st.integers(1, 3 * SECOND),
        st.integers(0, 4 * BDP),
    ),
    max_size=80,
)


@given(calls=calls)
def test_no_sequence_of_calls_breaks_the_bounds(calls: list[tuple[str, int, int, int]]) -> None:
    path = Path()
    bbr = path.bbr
    for call, rate, span, octets in calls:
        path.now += span
        if call == "round":
            bbr.on_rate(path.sample(rate, rtt=span, in_flight=octets, lost=octets // 50))
            assert bbr.cwnd >= 4 * MSS
        elif call == "lost":
            path.lose(min(octets + 1, 4 * BDP), 4 * BDP)
        elif call == "loss":
            bbr.on_loss(path.now, octets)
        elif call == "timeout":
            bbr.on_timeout(path.now, octets)
        elif call == "end":
            bbr.on_recovery_end(path.now)
        elif call == "spurious":
            bbr.on_spurious_loss(path.now)
        elif call == "idle":
            bbr.on_departure(path.now, 0, RTT, app_limited=True)
        else:
            bbr.on_congestion_mark(path.now, octets)
        assert bbr.pacing_rate > 0
        assert bbr.cwnd >= MSS
        assert bbr.model.bw <= bbr.model.max_bw

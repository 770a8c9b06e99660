"""Coupled algorithms against numbers computed by hand, and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.congestion import controllers
from plait.congestion.balia import Balia
from plait.congestion.base import INFINITE, AckSample
from plait.congestion.coupled import FullyCoupled
from plait.congestion.coupling import Coupled
from plait.congestion.ewtcp import Ewtcp
from plait.congestion.lia import Lia
from plait.congestion.olia import Olia
from plait.congestion.reno import Reno
from plait.congestion.wvegas import Wvegas
from plait.units import MILLISECOND, SECOND, Nanos, Octets

MSS = 1460
KINDS: list[type[Coupled]] = [Lia, Olia, Balia, Ewtcp, FullyCoupled, Wvegas]
BY_ACK: list[type[Coupled]] = [Lia, Olia, Balia, Ewtcp, FullyCoupled]


def group(kind: type[Coupled], windows: Sequence[Octets], rtts: Sequence[float]) -> list[Coupled]:
    """Return controllers in congestion avoidance, with windows in octets and seconds of RTT."""
    made: list[Coupled] = []
    for window, rtt in zip(windows, rtts, strict=True):
        one = kind(MSS)
        one.couple(made)
        one.cwnd = one.ssthresh = window
        one.srtt = round(rtt * SECOND)
        made.append(one)
    return made


def ack(one: Coupled, octets: Octets = MSS, *, now: Nanos = 0, app_limited: bool = False) -> None:
    one.on_ack(AckSample(now, octets, one.cwnd, one.srtt, app_limited))


# ---- LIA

ALPHAS = {
    "L1": ((14_600, 14_600), (0.1, 0.1), 0.5, (36.5, 36.5)),
    "L2": ((14_600, 14_600), (0.01, 0.1), 1.652892562, (120.661157, 120.661157)),
    "L3": ((29_200, 7_300), (0.05, 0.2), 1.107266436, (64.664360, 64.664360)),
    "L4": ((14_600,), (0.1,), 1.0, (146.0,)),
    "L5": ((10_000, 20_000, 30_000), (0.02, 0.04, 0.08), 0.793388430, (28.186446,) * 3),
    "L6": ((100_000, 1_460), (0.2, 0.01), 3.549626662, (21.316, 74.575046)),
}


@pytest.mark.rfc("6356", "3", "M6356-3-01")
@pytest.mark.rfc("6356", "4.2", "M6356-4.2-02")
@pytest.mark.parametrize(("windows", "rtts", "alpha", "steps"), ALPHAS.values(), ids=ALPHAS.keys())
def test_lia(
    windows: Sequence[Octets], rtts: Sequence[float], alpha: float, steps: Sequence[float]
) -> None:
    members = group(Lia, windows, rtts)
    found = [one.growth(MSS) for one in members]
    assert found == pytest.approx(steps, rel=1e-6)
    assert [one.alpha for one in members if isinstance(one, Lia)] == pytest.approx(
        [alpha] * len(members), rel=1e-8
    )


@pytest.mark.rfc("6356", "3", "M6356-3-01")
@pytest.mark.rfc("6356", "x", "M6356-x-01")
@pytest.mark.parametrize("window", [10 * MSS, 33 * MSS, 200 * MSS])
def test_lia_alone_is_reno(window: Octets) -> None:
    (lia,) = group(Lia, (window,), (0.1,))
    reno = Reno(MSS)
    reno.cwnd = reno.ssthresh = window
    for _ in range(3 * window // MSS):
        ack(lia)
        reno.on_ack(AckSample(0, MSS, window, lia.srtt, app_limited=False))
    assert abs(lia.cwnd - reno.cwnd) <= MSS


@pytest.mark.rfc("6356", "3", "M6356-3-03")
def test_an_increase_of_less_than_an_octet_is_one() -> None:
    one, _ = group(Lia, (1 << 30, 1 << 30), (0.1, 0.1))
    before = one.cwnd
    for _ in range(5):
        ack(one)
    assert one.cwnd == before + 5


@pytest.mark.rfc("6356", "3", "M6356-3-04")
def test_growth_is_by_octets_acknowledged() -> None:
    one, _ = group(Lia, (20 * MSS, 20 * MSS), (0.1, 0.1))
    assert one.growth(4 * MSS) == pytest.approx(4 * one.growth(MSS))
    assert one.growth(MSS // 2) == pytest.approx(one.growth(MSS) / 2)


@pytest.mark.rfc("6356", "3", "M6356-3-05")
def test_recovery_of_one_subflow_does_not_inflate_alpha() -> None:
    one, other = group(Lia, (20 * MSS, 20 * MSS), (0.1, 0.1))
    other.on_loss(0, 20 * MSS)
    assert other.ssthresh == 10 * MSS
    expected = one.growth(MSS)
    other.cwnd = 35 * MSS  # what recovery lets go at the moment
    one.on_loss(0, 40 * MSS)
    ack(one, 0)
    assert one.growth(MSS) == pytest.approx(expected)


@pytest.mark.rfc("6356", "3", "M6356-3-05")
def test_what_goes_unused_does_not_count() -> None:
    _, idle = group(Lia, (20 * MSS, 20 * MSS), (0.1, 0.1))
    idle.on_ack(AckSample(0, MSS, 3 * MSS, idle.srtt, app_limited=True))
    assert (idle.window(), idle.cwnd) == (3 * MSS, 20 * MSS)
    ack(idle)
    assert idle.window() == idle.cwnd


@pytest.mark.rfc("6356", "4.1", "M6356-4.1-03")
def test_alpha_is_computed_once_for_each_segment_the_window_grew() -> None:
    one, other = group(Lia, (50 * MSS, 50 * MSS), (0.1, 0.1))
    assert isinstance(other, Lia)
    computed = 0
    for _ in range(400):
        other.alpha = -1.0
        ack(one)
        computed += other.alpha > 0
    assert computed == one.cwnd // MSS - 50 + 1 > 1


# ---- OLIA

INCREASES = {
    "OL1": ((10, 10), (0.1, 0.1), (1e5, 1e5), (0.025, 0.025)),
    "OL2": ((20, 5), (0.1, 0.1), (1e5, 4e5), (0.007, 0.108)),
    "OL3": ((20, 5, 5), (0.1,) * 3, (1e5, 4e5, 4e5), (0.005555556, 0.038888889, 0.038888889)),
    "OL4": ((10, 30), (0.05, 0.1), (2e5, 2e5), (0.066, -0.004666667)),
}


@pytest.mark.rfc("olia", "3", "OLIA-01")
@pytest.mark.rfc("olia", "3", "OLIA-02")
@pytest.mark.parametrize(
    ("windows", "rtts", "between", "steps"), INCREASES.values(), ids=INCREASES.keys()
)
def test_olia(
    windows: Sequence[int], rtts: Sequence[float], between: Sequence[float], steps: Sequence[float]
) -> None:
    members = group(Olia, [window * MSS for window in windows], rtts)
    for one, octets in zip(members, between, strict=True):
        assert isinstance(one, Olia)
        one.between = round(octets)
    assert [one.growth(MSS) / MSS for one in members] == pytest.approx(steps, abs=5e-9)


@pytest.mark.rfc("olia", "3", "OLIA-04")
def test_olia_counts_between_losses_and_a_repeated_timeout_is_no_further_loss() -> None:
    one, _ = group(Olia, (20 * MSS, 20 * MSS), (0.1, 0.1))
    assert isinstance(one, Olia)
    ack(one, 7 * MSS)
    one.on_loss(0, 20 * MSS)
    ack(one, 5 * MSS)
    one.on_loss(0, 10 * MSS)
    assert (one.between, one.since) == (5 * MSS, 0)
    one.on_timeout(0, 10 * MSS)
    assert (one.between, one.since) == (5 * MSS, 0)


@pytest.mark.rfc("olia", "3", "OLIA-05")
def test_olia_shrinks_the_largest_window_of_a_path_that_is_not_the_best() -> None:
    small, large = group(Olia, (10 * MSS, 30 * MSS), (0.05, 0.1))
    assert isinstance(small, Olia)
    small.between = 1 << 40
    for _ in range(4000):
        ack(large)
    assert MSS <= large.cwnd < 30 * MSS


# ---- BALIA

BALANCES = {
    "B1": ((10, 10), (0.1, 0.1), (0.025, 0.025), (5.0, 5.0)),
    "B2": ((20, 5), (0.1, 0.1), (0.032, 0.032), (10.0, 3.75)),
    "B3": ((10, 10), (0.02, 0.2), (0.082644628, 0.012727273), (5.0, 7.5)),
    "B4": ((10,), (0.1,), (0.1,), (5.0,)),
}


@pytest.mark.rfc("balia", "3", "BALIA-01")
@pytest.mark.rfc("balia", "3", "BALIA-02")
@pytest.mark.rfc("balia", "3", "BALIA-03")
@pytest.mark.rfc("balia", "3", "BALIA-05")
@pytest.mark.parametrize(
    ("windows", "rtts", "steps", "losses"), BALANCES.values(), ids=BALANCES.keys()
)
def test_balia(
    windows: Sequence[int], rtts: Sequence[float], steps: Sequence[float], losses: Sequence[float]
) -> None:
    octets = [window * MSS for window in windows]
    members = group(Balia, octets, rtts)
    assert [one.growth(MSS) / MSS for one in members] == pytest.approx(steps, abs=5e-9)
    for number, loss in enumerate(losses):
        one = group(Balia, octets, rtts)[number]
        one.on_loss(0, octets[number])
        assert one.cwnd == max(octets[number] - round(loss * MSS), one.floor())


# ---- for research


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_n_equally_weighted_windows_grow_as_one_of_their_sum(count: int) -> None:
    members = group(Ewtcp, [10 * MSS] * count, [0.1] * count)
    together = sum(one.growth(MSS) for one in members)
    (alone,) = group(Ewtcp, (10 * MSS,), (0.1,))
    assert together == pytest.approx(alone.growth(MSS) / count)


def test_full_coupling_takes_half_of_all_from_the_path_of_the_loss() -> None:
    members = group(FullyCoupled, (10 * MSS, 30 * MSS), (0.1, 0.1))
    assert [one.growth(MSS) / MSS for one in members] == pytest.approx([1 / 40, 1 / 40])
    members[1].on_loss(0, 30 * MSS)
    assert [one.cwnd // MSS for one in members] == [10, 10]
    members[0].on_loss(0, 10 * MSS)
    assert [one.cwnd // MSS for one in members] == [1, 10]


# ---- wVegas


class Round:
    """Feeds a controller whole round trips with one RTT each."""

    def __init__(self, *members: Wvegas) -> None:
        self.members = members

    def pass_(self, rtts_ms: Sequence[float], *, samples: int = 5) -> None:
        """Let every member see a round trip: its samples, and the ACK that ends it."""
        for one, rtt_ms in zip(self.members, rtts_ms, strict=True):
            rtt = round(rtt_ms * MILLISECOND)
            for _ in range(samples - 1):
                one.on_ack(AckSample(0, 0, one.cwnd, rtt, app_limited=False, rtt=rtt))
            last = AckSample(0, 0, one.cwnd, rtt, app_limited=False, rtt=rtt, new_round=True)
            one.on_ack(last)


def vegas(windows: Sequence[int], base_ms: float = 100) -> Round:
    members = group(Wvegas, [window * MSS for window in windows], [base_ms / 1000] * len(windows))
    made = [one for one in members if isinstance(one, Wvegas)]
    for one in made:
        one.base_rtt = round(base_ms * MILLISECOND)
    return Round(*made)


ROUNDS = {
    "W1": ((20, 20), (110, 110), (1, 1)),
    "W2": ((40, 10), (110, 150), (1, -1)),
    "W3": ((30, 30), (101, 200), (1, -1)),
}


@pytest.mark.rfc("wvegas", "3", "WVEGAS-03")
@pytest.mark.rfc("wvegas", "3", "WVEGAS-04")
@pytest.mark.parametrize(("windows", "rtts", "steps"), ROUNDS.values(), ids=ROUNDS.keys())
def test_wvegas(windows: Sequence[int], rtts: Sequence[float], steps: Sequence[int]) -> None:
    rounds = vegas(windows)
    for one, window, rtt in zip(rounds.members, windows, rtts, strict=True):
        one.speed = window / (rtt * MILLISECOND)
        one._least_queue = round((rtt - 100) * 0.75 * MILLISECOND)  # nothing is to be drained
    rounds.pass_(rtts)
    found = [one.cwnd // MSS - window for one, window in zip(rounds.members, windows, strict=True)]
    assert found == list(steps)


@pytest.mark.rfc("wvegas", "3", "WVEGAS-01")
def test_few_samples_mean_reno_for_that_round() -> None:
    rounds = vegas((20,))
    rounds.pass_((300,), samples=2)
    assert rounds.members[0].cwnd == 21 * MSS


@pytest.mark.rfc("wvegas", "3", "WVEGAS-02")
def test_slow_start_ends_with_packets_in_the_queue() -> None:
    rounds = vegas((20,))
    (one,) = rounds.members
    one.ssthresh = INFINITE
    rounds.pass_((100,))
    assert one.ssthresh == INFINITE
    rounds.pass_((120,))
    assert one.cwnd == 20 * MSS * 100 // 120 + MSS
    assert one.ssthresh == one.cwnd - MSS


@pytest.mark.rfc("wvegas", "3", "WVEGAS-05")
def test_a_queue_twice_the_shortest_is_drained() -> None:
    rounds = vegas((20,))
    (one,) = rounds.members
    one.alpha = 10
    rounds.pass_((110,))
    rounds.pass_((119,))
    assert one.cwnd == 22 * MSS
    rounds.pass_((120,))
    assert one.cwnd == 23 * MSS * 100 // 240


@pytest.mark.rfc("wvegas", "3", "WVEGAS-06")
def test_the_floor_is_two_segments_and_idle_time_forgets_the_base() -> None:
    rounds = vegas((2,))
    (one,) = rounds.members
    one._least_queue = MILLISECOND
    rounds.pass_((900,))
    assert one.cwnd == 2 * MSS
    one.on_loss(0, 2 * MSS)
    assert one.cwnd == 2 * MSS
    one.on_idle(0)
    rounds.pass_((500,))
    assert one.base_rtt == 500 * MILLISECOND


# ---- common to all


@pytest.mark.rfc("6356", "3", "M6356-3-02")
@pytest.mark.rfc("olia", "3", "OLIA-06")
@pytest.mark.rfc("balia", "3", "BALIA-04")
@pytest.mark.parametrize("kind", BY_ACK)
def test_slow_start_is_that_of_tcp(kind: type[Coupled]) -> None:
    one, other = group(kind, (10 * MSS, 10 * MSS), (0.1, 0.1))
    one.ssthresh = 18 * MSS
    for _ in range(8):
        ack(one)
    assert one.cwnd == 18 * MSS
    assert other.cwnd == 10 * MSS


@pytest.mark.rfc("6356", "3", "M6356-3-02")
@pytest.mark.rfc("olia", "3", "OLIA-03")
@pytest.mark.parametrize("kind", [Lia, Olia, Ewtcp, Wvegas])
def test_a_loss_halves_what_is_in_flight(kind: type[Coupled]) -> None:
    one, other = group(kind, (20 * MSS, 20 * MSS), (0.1, 0.1))
    one.on_loss(0, 20 * MSS)
    assert (one.cwnd, one.ssthresh, other.cwnd) == (10 * MSS, 10 * MSS, 20 * MSS)
    one.on_loss(0, MSS)
    assert one.cwnd == (MSS if kind is Olia else 2 * MSS)


@pytest.mark.parametrize("kind", KINDS)
def test_who_leaves_counts_no_more(kind: type[Coupled]) -> None:
    members = group(kind, [10 * MSS] * 3, [0.1] * 3)
    members[0].leave()
    assert members[0].members() == [members[0]]
    assert members[1].members() == members[2].members() == members[1:]
    members[1].leave()
    assert members[2].members() == [members[2]]


@pytest.mark.parametrize("kind", KINDS)
def test_only_one_kind_is_coupled(kind: type[Coupled]) -> None:
    stranger = next(other for other in KINDS if other is not kind)(MSS)
    one = kind(MSS)
    one.couple([stranger, Reno(MSS)])
    assert one.group == [one]


@pytest.mark.rfc("6356", "x", "M6356-x-01")
@pytest.mark.parametrize("kind", BY_ACK)
def test_subflows_without_a_sample_do_not_count(kind: type[Coupled]) -> None:
    one, fresh = group(kind, (10 * MSS, 10 * MSS), (0.1, 0.1))
    fresh.srtt = 0
    (alone,) = group(kind, (10 * MSS,), (0.1,))
    assert one.growth(MSS) == pytest.approx(alone.growth(MSS))


@pytest.mark.rfc("6356", "1", "M6356-1-01")
@given(
    paths=st.lists(st.tuples(st.integers(2, 500), st.floats(0.001, 2.0)), min_size=2, max_size=8)
)
def test_no_subflow_grows_faster_than_reno_would(paths: list[tuple[int, float]]) -> None:
    windows = [window * MSS for window, _ in paths]
    for one in group(Lia, windows, [rtt for _, rtt in paths]):
        assert one.growth(MSS) <= max(MSS * MSS / one.cwnd, 1.0) * (1 + 1e-9)


@pytest.mark.parametrize("name", ["lia", "olia", "balia", "ewtcp", "coupled", "wvegas"])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["ack", "limited", "loss", "timeout", "idle", "mark"]),
            st.integers(0, 2),
            st.integers(1, 40 * MSS),
            st.integers(1, 3 * SECOND),
        ),
        max_size=60,
    )
)
def test_windows_stay_in_range(name: str, steps: list[tuple[str, int, int, int]]) -> None:
    members = [controllers.find(name)(MSS) for _ in range(3)]
    for number, one in enumerate(members):
        one.couple(members[:number])
    for step, number, octets, rtt in steps:
        one = members[number]
        before = one.cwnd
        if step in ("ack", "limited"):
            sample = AckSample(0, octets, octets, rtt, step == "limited", rtt, octets % 3 == 0)
            one.on_ack(sample)
            assert one.cwnd <= before + max(octets, MSS)
        elif step == "loss":
            one.on_loss(0, octets)
        elif step == "timeout":
            one.on_timeout(0, octets)
        elif step == "mark":
            one.on_congestion_mark(0, octets)
        else:
            one.on_idle(0)
        assert one.cwnd >= one.mss

"""LIA against numbers computed by hand, and against the integer recipes of RFC 6356."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coupling import MSS, ack, group

from plait.congestion.base import AckSample
from plait.congestion.lia import Lia
from plait.units import Octets

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
    assert [one.alpha for one in members] == pytest.approx([alpha] * len(members), rel=1e-8)


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
    computed = 0
    for _ in range(400):
        other.alpha = -1.0
        ack(one)
        computed += other.alpha > 0
    assert computed == one.cwnd // MSS - 50 + 1 > 1


@pytest.mark.rfc("6356", "1", "M6356-1-01")
@given(
    paths=st.lists(st.tuples(st.integers(2, 500), st.floats(0.001, 2.0)), min_size=2, max_size=8)
)
def test_no_subflow_grows_faster_than_reno_would(paths: list[tuple[int, float]]) -> None:
    windows = [window * MSS for window, _ in paths]
    for one in group(Lia, windows, [rtt for _, rtt in paths]):
        assert one.growth(MSS) <= max(MSS * MSS / one.cwnd, 1.0) * (1 + 1e-9)


# ---- the integer recipes of RFC 6356, 4

SCALE = 512
"""`alpha_scale`, as RFC 6356, 4.1 proposes."""

paths = st.lists(st.tuples(st.integers(2, 500), st.integers(1, 2000)), min_size=1, max_size=8)
"""Windows in segments and round-trip times in milliseconds."""


def scaled_alpha(windows: Sequence[int], rtts: Sequence[int]) -> int:
    """Return alpha in units of 1 / SCALE, rounded down once."""
    best = max(Fraction(window, rtt**2) for window, rtt in zip(windows, rtts, strict=True))
    rate = sum(Fraction(window, rtt) for window, rtt in zip(windows, rtts, strict=True))
    return int(SCALE * sum(windows) * best / rate**2)


@pytest.mark.rfc("6356", "4.1", "M6356-4.1-01")
@pytest.mark.parametrize(
    ("row", "expected"), {"L1": 256, "L2": 846, "L3": 566, "L4": 512, "L5": 406}.items()
)
def test_alpha_in_512ths(row: str, expected: int) -> None:
    windows, rtts, _, _ = ALPHAS[row]
    one = group(Lia, windows, rtts)[0]
    one.growth(MSS)
    assert scaled_alpha(windows, [round(rtt * 1000) for rtt in rtts]) == expected
    assert expected <= one.alpha * SCALE + 1e-9 < expected + 1


@pytest.mark.rfc("6356", "4.1", "M6356-4.1-01")
@given(paths=paths, acked=st.integers(1, 65_535))
def test_growth_is_that_of_integers_but_for_what_they_round_off(
    paths: list[tuple[int, int]], acked: Octets
) -> None:
    """The recipe loses less than 1 / SCALE of alpha and less than an octet, we lose nothing."""
    windows = [window * MSS for window, _ in paths]
    total = sum(windows)
    alpha = scaled_alpha(windows, [rtt for _, rtt in paths])
    for one in group(Lia, windows, [rtt / 1000 for _, rtt in paths]):
        coupled = alpha * acked * MSS // (SCALE * total)
        recipe = max(min(coupled, acked * MSS // one.cwnd), 1)
        lost = 1 + acked * MSS / (SCALE * total)
        assert recipe - 1e-6 <= one.growth(acked) <= recipe + lost + 1e-6


@pytest.mark.rfc("6356", "4.2", "M6356-4.2-01")
@pytest.mark.rfc("6356", "4.2", "M6356-4.2-02")
@pytest.mark.parametrize(
    ("windows", "rtts"),
    [((10, 10), (100, 100)), ((10, 10), (10, 100)), ((20, 5), (50, 200)), ((68, 1), (200, 10))],
)
def test_windows_grow_as_windows_of_whole_packets_do(
    windows: Sequence[int], rtts: Sequence[int]
) -> None:
    """The recipe of RFC 6356, 4.2 beside ours, whose windows grow in parts of a segment."""
    members = group(Lia, [window * MSS for window in windows], [rtt / 1000 for rtt in rtts])
    packets = list(windows)
    counts = [0] * len(packets)
    before = sum(packets)
    while sum(packets) < before + 8:
        for number, one in enumerate(members):
            for _ in range(packets[number]):
                ack(one)
                counts[number] += 1
                total = sum(packets)
                if counts[number] > max(
                    SCALE * total // scaled_alpha(packets, rtts), packets[number]
                ):
                    packets[number] += 1
                    counts[number] = 0
                assert -0.25 < one.cwnd / MSS - packets[number] < 1.25

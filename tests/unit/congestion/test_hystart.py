"""HyStart++ against RFC 9406."""

from __future__ import annotations

import pytest

from plait.congestion.hystart import CSS_ROUNDS, N_RTT_SAMPLE, HyStart
from plait.units import MILLISECOND, Nanos

MS = MILLISECOND


def feed(hystart: HyStart, *rounds: Nanos) -> bool:
    """Run whole rounds of equal samples; return whether slow start ended."""
    over = False
    for rtt in rounds:
        over = hystart.on_round()
        for _ in range(N_RTT_SAMPLE):
            hystart.on_rtt(rtt)
    return over


@pytest.mark.rfc("9406", "4.2", "B9406-01")
@pytest.mark.parametrize(
    ("before", "after", "slower"),
    [
        (16 * MS, 20 * MS - 1, False),
        (16 * MS, 20 * MS, True),
        (80 * MS, 90 * MS - 1, False),
        (80 * MS, 90 * MS, True),
        (800 * MS, 816 * MS, True),
    ],
)
def test_a_round_that_took_longer_by_the_threshold_slows_down(
    before: Nanos, after: Nanos, slower: bool
) -> None:
    hystart = HyStart()
    feed(hystart, before, after)
    assert hystart.css is slower


def test_few_samples_decide_nothing() -> None:
    hystart = HyStart()
    feed(hystart, 20 * MS)
    hystart.on_round()
    for _ in range(N_RTT_SAMPLE - 1):
        hystart.on_rtt(200 * MS)
    assert not hystart.css


def test_slow_start_ends_after_five_slow_rounds() -> None:
    hystart = HyStart()
    ends = [feed(hystart, 20 * MS), feed(hystart, 40 * MS)]
    ends += [feed(hystart, 40 * MS) for _ in range(CSS_ROUNDS)]
    assert ends == [False] * (CSS_ROUNDS + 1) + [True]


def test_a_faster_round_resumes_slow_start() -> None:
    hystart = HyStart()
    feed(hystart, 20 * MS, 40 * MS, 39 * MS)
    assert not hystart.css

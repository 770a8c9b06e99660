"""Proportional Rate Reduction against the arithmetic of RFC 9937."""

from __future__ import annotations

import pytest

from plait.tcp.prr import Prr

MSS = 1000


def started(flight: int) -> Prr:
    prr = Prr()
    prr.start(flight)
    return prr


@pytest.mark.rfc("9937", "6")
def test_half_the_window_lets_go_one_segment_for_two_delivered() -> None:
    prr = started(20 * MSS)
    in_flight = 19 * MSS
    sent = 0
    for _ in range(10):
        count = prr.on_ack(MSS, in_flight - MSS, 10 * MSS, MSS, safe=True) // MSS * MSS
        prr.on_sent(count)
        sent += count
        in_flight += count - MSS
    assert sent == 5 * MSS


@pytest.mark.rfc("9937", "6")
@pytest.mark.parametrize(("safe", "count"), [(False, 2 * MSS), (True, 3 * MSS)])
def test_below_ssthresh_it_grows_back_faster_when_that_is_safe(safe: bool, count: int) -> None:
    prr = started(20 * MSS)
    assert prr.on_ack(2 * MSS, 4 * MSS, 10 * MSS, MSS, safe=safe) == count


def test_below_ssthresh_it_goes_no_further_than_that() -> None:
    prr = started(20 * MSS)
    assert prr.on_ack(9 * MSS, 9 * MSS, 10 * MSS, MSS, safe=True) == MSS


def test_the_first_retransmission_always_goes() -> None:
    prr = started(20 * MSS)
    assert prr.on_ack(0, 20 * MSS, 10 * MSS, MSS, safe=False) == MSS
    prr.on_sent(MSS)
    assert prr.on_ack(0, 20 * MSS, 10 * MSS, MSS, safe=False) == 0


TRACE = (
    (16000, 556, 1000), (16000, 112, 0), (15000, 667, 0), (14000, 1223, 1000), (14000, 778, 0),
    (13000, 1334, 1000), (13000, 889, 0), (12000, 1445, 1000), (12000, 1000, 1000),
    (12000, 556, 0), (11000, 1112, 1000), (11000, 667, 0), (10000, 0, 0), (9000, 1000, 1000),
    (9000, 1000, 1000), (9000, 1000, 1000),
)  # fmt: skip
"""Octets in flight, SndCnt and what is sent; ACK by ACK, 20 segments, the first one lost."""


@pytest.mark.rfc("9937", "6", "B9937-02")
def test_a_whole_recovery_ack_by_ack() -> None:
    prr = started(18 * MSS)
    for in_flight, count, sent in TRACE:
        assert prr.on_ack(MSS, in_flight, 10 * MSS, MSS, safe=False) == count
        prr.on_sent(sent)

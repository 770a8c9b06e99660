"""What coupled algorithms have in common."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coupling import MSS, ack, group

from plait.congestion import controllers
from plait.congestion.auto import Auto
from plait.congestion.balia import Balia
from plait.congestion.base import AckSample
from plait.congestion.coupled import FullyCoupled
from plait.congestion.coupling import Coupled
from plait.congestion.ewtcp import Ewtcp
from plait.congestion.lia import Lia
from plait.congestion.olia import Olia
from plait.congestion.reno import Reno
from plait.congestion.wvegas import Wvegas
from plait.units import SECOND, Octets

KINDS: list[type[Coupled]] = [Lia, Auto, Olia, Balia, Ewtcp, FullyCoupled, Wvegas]
BY_ACK: list[type[Coupled]] = [Lia, Auto, Olia, Balia, Ewtcp, FullyCoupled]


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


@pytest.mark.rfc("6356", "3", "M6356-3-05")
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_that_is_not_used_does_not_grow(kind: type[Coupled]) -> None:
    one, _ = group(kind, (20 * MSS, 20 * MSS), (0.1, 0.1))
    for _ in range(100):
        sample = AckSample(0, MSS, 5 * MSS, one.srtt, app_limited=True, rtt=one.srtt)
        one.on_ack(sample)
    assert one.cwnd == 20 * MSS


@pytest.mark.rfc("6356", "x", "M6356-x-01")
@pytest.mark.rfc("balia", "3", "BALIA-03")
@pytest.mark.parametrize("kind", BY_ACK)
@pytest.mark.parametrize("window", [10 * MSS, 33 * MSS, 200 * MSS])
def test_a_single_path_is_reno(kind: type[Coupled], window: Octets) -> None:
    (one,) = group(kind, (window,), (0.1,))
    reno = Reno(MSS)
    reno.cwnd = reno.ssthresh = window
    for _ in range(3 * window // MSS):
        ack(one)
        reno.on_ack(AckSample(0, MSS, window, one.srtt, app_limited=False))
        assert abs(one.cwnd - reno.cwnd) <= MSS
    reno.on_loss(0, one.cwnd)
    one.on_loss(0, one.cwnd)
    assert one.cwnd == one.ssthresh == pytest.approx(reno.cwnd, abs=1)
    one.on_loss(0, 0)
    assert one.cwnd == 2 * MSS


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


@pytest.mark.rfc("8041", "3.2", "M8041-3.2-1")
@pytest.mark.parametrize("name", ["lia", "auto", "olia", "balia", "ewtcp", "coupled", "wvegas"])
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

"""Congestion window validation against RFC 7661."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plait.congestion.base import INFINITE, CongestionController, initial_window
from plait.congestion.cubic import Cubic
from plait.congestion.reno import Reno
from plait.tcp.sender import Sender
from plait.tcp.settings import TcpSettings
from plait.tcp.validation import NVP
from plait.trace.counters import Counters
from plait.units import MILLISECOND, SECOND, Nanos, Octets

MSS = 1000
RTT = 100 * MILLISECOND
CWND = 100 * MSS


def sender_with(kind: Callable[[Octets], CongestionController], ssthresh: Octets) -> Sender:
    """Return a sender whose window has grown to `CWND`."""
    controller = kind(MSS)
    controller.cwnd, controller.ssthresh = CWND, ssthresh
    sender = Sender(TcpSettings(), controller, Counters())
    sender.snd_una = sender.snd_nxt = 1
    sender.rtt.on_sample(RTT)
    return sender


def use(sender: Sender, octets: Octets, began: Nanos, rounds: int) -> Nanos:
    """Send and acknowledge so many octets in each of some round trips; return the time after."""
    now = began
    for _ in range(rounds):
        sender.snd_nxt += octets
        now += RTT
        for _ in range(4):
            sender.on_ack(now, sender.snd_una + octets // 4, [], now - RTT, duplicate=False)
    return now


@pytest.mark.rfc("7661", "4.4", "B7661-01")
@pytest.mark.parametrize("kind", [Cubic, Reno])
@pytest.mark.parametrize(("share", "grows"), [(0.2, False), (0.45, False), (1.0, True)])
def test_a_window_grows_only_if_it_is_used(
    kind: Callable[[Octets], CongestionController], share: float, grows: bool
) -> None:
    sender = sender_with(kind, INFINITE)
    use(sender, int(share * CWND), 0, 5)
    assert (sender.controller.cwnd > CWND) is grows


@pytest.mark.rfc("7661", "4.4.2", "B7661-01")
def test_an_unused_window_is_kept_for_minutes_and_then_shrinks() -> None:
    sender = sender_with(Reno, CWND)
    now = use(sender, 4 * MSS, 0, (NVP - 5 * SECOND) // RTT)
    assert sender.controller.cwnd == CWND
    now = use(sender, 4 * MSS, now, 10 * SECOND // RTT)
    assert (sender.controller.cwnd, sender.controller.ssthresh) == (CWND // 2, CWND)
    use(sender, 4 * MSS, now, NVP // RTT)
    assert sender.controller.cwnd == CWND // 4


@pytest.mark.rfc("7661", "4.4.1", "B7661-01")
@pytest.mark.parametrize(("used", "expected"), [(20, 14), (4, 7), (80, 70)])
def test_a_loss_starts_from_what_was_used(used: int, expected: int) -> None:
    sender = sender_with(Cubic, CWND)
    use(sender, used * MSS, 0, 40)
    before = sender.controller.cwnd
    sender.recovery.validation.before_reduction(used * MSS, sender.controller)
    sender.controller.on_loss(0, used * MSS)
    if used == 80:
        assert sender.controller.ssthresh == before * 7 // 10
    else:
        assert sender.controller.ssthresh == expected * MSS


@pytest.mark.rfc("7661", "4.2", "B7661-01")
def test_a_busy_moment_is_remembered_for_a_second() -> None:
    sender = sender_with(Reno, CWND)
    validation = sender.recovery.validation
    now = use(sender, 80 * MSS, 0, 2)
    now = use(sender, 4 * MSS, now, 5)
    assert validation.validated(sender.controller)
    use(sender, 4 * MSS, now, 20)
    assert not validation.validated(sender.controller)


def test_the_initial_window_needs_no_proof() -> None:
    sender = sender_with(Reno, INFINITE)
    sender.controller.cwnd = initial_window(MSS)
    use(sender, 4, 0, 30)
    assert sender.recovery.validation.validated(sender.controller)

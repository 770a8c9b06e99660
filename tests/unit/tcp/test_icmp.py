"""ICMP errors: what they may do, and what forged ones may not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import BARE, PEER, PLAIN, PORT, Script, TcpPeer

from plait.host.events import LossReason
from plait.tcp.icmp import is_unreachable
from plait.wire.icmp import SOURCE_QUENCH, IcmpError
from plait.wire.segment import Segment
from plait.wire.seq import MASK32

DATA = bytes(range(200)) * 100


def error_about(segment: Segment, kind: int, code: int, mtu: int = 0) -> IcmpError:
    """Return what an IPv4 router says about a segment."""
    return IcmpError(version=4, type=kind, code=code, mtu=mtu, flow=segment.flow, seq=segment.seq)


@pytest.mark.parametrize(
    ("version", "kind", "code", "answer"),
    [
        (4, 3, 1, True),
        (4, 3, 3, True),
        (4, 3, 4, False),  # fragmentation needed
        (4, 11, 0, False),  # time exceeded
        (6, 1, 0, True),
        (6, 2, 0, False),  # packet too big
        (6, 3, 0, False),  # time exceeded
    ],
)
@pytest.mark.rfc("5927", "4")
def test_which_errors_mean_unreachable(version: int, kind: int, code: int, answer: bool) -> None:
    error = IcmpError(version=version, type=kind, code=code, mtu=0, flow=bytes(12), seq=0)
    assert is_unreachable(error) is answer


@pytest.mark.rfc("9293", "3.9.2.2", "B9293-16")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, LossReason.UNREACHABLE),  # network
        (1, LossReason.UNREACHABLE),  # host
        (2, LossReason.REFUSED),  # protocol
        (3, LossReason.REFUSED),  # port
        (13, LossReason.UNREACHABLE),  # prohibited
    ],
)
def test_an_unreachable_peer_is_known_at_once_while_opening(code: int, reason: LossReason) -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    script.host.on_icmp_error(0, error_about(syn, 3, code))
    assert script.endings() == [reason]


@pytest.mark.rfc("5927", "4.1", "B5927-01")
@pytest.mark.parametrize("shift", [1, -1, 1 << 31, 77_777])
def test_a_guess_at_the_sequence_number_is_ignored_and_counted(shift: int) -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    error = error_about(syn, 3, 3)
    script.host.on_icmp_error(0, replace(error, seq=(error.seq + shift) & MASK32))
    assert script.endings() == []
    assert script.host.counters.out_of_window_icmps == 1


@pytest.mark.rfc("5927", "5.2", "B5927-01", "B9293-16")
@pytest.mark.parametrize("code", [0, 1, 2, 3, 13])
def test_hard_errors_are_soft_once_synchronized(code: int) -> None:
    peer = TcpPeer(PLAIN)
    (first, *_) = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(0, error_about(first, 3, code))
    assert peer.script.turn() == []
    assert peer.script.endings() == []
    assert peer.script.host.counters.out_of_window_icmps == 0


@pytest.mark.rfc("9293", "3.9.2.2", "B9293-16")
def test_source_quench_is_dropped() -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    script.host.on_icmp_error(0, error_about(syn, SOURCE_QUENCH, 0))
    assert script.turn() == []
    assert script.endings() == []

"""Remembering paths on which SYNs with MP_CAPABLE vanish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.script import HOST, HOST_2, KEY, PEER, PEER_2, PORT, UNCHECKED, Script

from plait.addresses import IpAddress
from plait.host.black_holes import MAX_DOUBLINGS
from plait.host.settings import Settings
from plait.units import SECOND, Nanos
from plait.wire.mptcp.mp_capable import MpCapableSyn, MpCapableSynAck
from plait.wire.option import Option
from plait.wire.segment import ACK, RST, SYN, Segment

HOUR: Nanos = 3600 * SECOND
ANSWER: list[Option] = [MpCapableSynAck(version=1, sender_key=KEY)]
VANISHED = "SYNs with MP_CAPABLE went unanswered"
SPARED = "SYNs with MP_CAPABLE vanish on this path"


def offers(segment: Segment) -> bool:
    return any(isinstance(option, MpCapableSyn) for option in segment.options)


class Initiator:
    """A host that connects again and again."""

    def __init__(self, settings: Settings = UNCHECKED) -> None:
        self.script = Script(settings)

    def connect(
        self,
        *,
        lost: bool = False,
        answer: Sequence[Option] = (),
        local: IpAddress = HOST,
        peer: IpAddress = PEER,
    ) -> str | None:
        """Connect where SYNs are answered, or only those without the option.

        Returns why the connection is plain TCP, None if it is not.
        """
        script = self.script
        connection_id = script.host.connect(script.now, peer, PORT, local=local)
        (syn,) = script.turn()
        while lost and offers(syn):
            syn = (script.wait(SECOND) or [syn])[-1]
        flow = script.flows[syn.flow]
        flow.send(SYN | ACK, options=answer)
        reason = script.host.info(connection_id).fallback_reason
        flow.send(RST)
        return reason

    def pass_time(self, span: Nanos) -> None:
        """Let nothing happen for so long."""
        self.script.wait(span)


@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-01")
def test_the_next_connection_spares_the_wait() -> None:
    initiator = Initiator()
    assert initiator.connect(lost=True) == VANISHED
    assert initiator.connect(lost=True) == SPARED
    counters = initiator.script.host.counters
    assert (counters.mp_capable_syn_tx_drop, counters.mp_capable_syn_tx_disabled) == (1, 1)


def test_other_paths_are_not_blamed() -> None:
    initiator = Initiator()
    initiator.connect(lost=True)
    assert initiator.connect(answer=ANSWER, local=HOST_2) is None
    assert initiator.connect(answer=ANSWER, peer=PEER_2) is None
    assert initiator.connect() == SPARED


def test_an_answer_without_the_option_is_no_black_hole() -> None:
    initiator = Initiator()
    assert initiator.connect() == "no MP_CAPABLE in the SYN/ACK"
    assert initiator.connect(answer=ANSWER) is None


@pytest.mark.parametrize("failures", [1, 2, 3, MAX_DOUBLINGS + 1, MAX_DOUBLINGS + 3])
def test_each_failure_doubles_the_while(failures: int) -> None:
    initiator = Initiator()
    span = 0
    for count in range(failures):
        initiator.pass_time(span + SECOND)
        assert initiator.connect(lost=True) == VANISHED
        span = HOUR << min(count, MAX_DOUBLINGS)
    initiator.pass_time(span - SECOND)
    assert initiator.connect(lost=True) == SPARED


def test_an_answer_ends_it() -> None:
    initiator = Initiator()
    for _ in range(2):
        initiator.connect(lost=True)
        initiator.pass_time(2 * HOUR)
    assert initiator.connect(answer=ANSWER) is None
    initiator.connect(lost=True)
    initiator.pass_time(HOUR)
    assert initiator.connect(answer=ANSWER) is None


def test_without_a_time_nothing_is_remembered() -> None:
    initiator = Initiator(replace(UNCHECKED, black_hole_timeout=0))
    assert [initiator.connect(lost=True) for _ in range(2)] == [VANISHED] * 2


def test_plain_tcp_learns_nothing() -> None:
    initiator = Initiator(replace(UNCHECKED, mptcp=False))
    connection_id = initiator.script.host.connect(0, PEER, PORT, local=HOST)
    (syn,) = initiator.script.turn()
    initiator.script.wait(20 * SECOND)
    initiator.script.flows[syn.flow].send(SYN | ACK)
    assert connection_id
    assert len(initiator.script.host._opener._black_holes) == 0


def test_the_table_is_bounded() -> None:
    initiator = Initiator(replace(UNCHECKED, black_hole_cache=1))
    initiator.connect(lost=True)
    initiator.connect(lost=True, peer=PEER_2)
    assert initiator.connect(answer=ANSWER) is None
    assert initiator.connect(peer=PEER_2) == SPARED

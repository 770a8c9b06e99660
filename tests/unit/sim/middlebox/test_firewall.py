from __future__ import annotations

import pytest
from support.boxes import FLOW, segment, stream, through
from support.world import NEAR

from plait.sim.middlebox import StatefulFirewall
from plait.units import MILLISECOND
from plait.wire.segment import ACK, RST, SYN

BACK_FLOW = FLOW[4:8] + FLOW[:4] + FLOW[10:] + FLOW[8:10]
DATA = stream(300_000)
BACK = stream(200_000, 2)


def passes(box: StatefulFirewall, flags: int, now: int = 0, *, outbound: bool = True) -> bool:
    flow = FLOW if outbound else BACK_FLOW
    return bool(box.process(now, segment(flow=flow, flags=flags), outbound=outbound))


def test_only_what_began_inside_passes() -> None:
    box = StatefulFirewall()
    assert not passes(box, ACK)
    assert not passes(box, SYN, outbound=False)
    assert passes(box, SYN)
    assert passes(box, SYN | ACK, outbound=False)
    assert passes(box, ACK)


def test_silence_and_rst_end_a_connection() -> None:
    box = StatefulFirewall(idle=10)
    assert passes(box, SYN, 0)
    assert passes(box, ACK, 10, outbound=False)
    assert not passes(box, ACK, 21)
    assert passes(box, SYN, 30)
    assert passes(box, RST | ACK, 31, outbound=False)
    assert not passes(box, ACK, 32)


def test_refusing_aloud() -> None:
    box = StatefulFirewall(reset=True)
    (crossing,) = box.process(0, segment(flow=BACK_FLOW, flags=SYN), outbound=False)
    assert crossing.outbound
    assert crossing.packet.flow == FLOW


@pytest.mark.rfc("8684", "6", "M8684-6-01")
def test_both_subflows_begin_with_a_syn_of_their_own() -> None:
    outcome = through(StatefulFirewall(), DATA, BACK, near=NEAR)
    assert outcome.mptcp
    assert outcome.ups == 2
    assert outcome.received == DATA
    assert outcome.answered == BACK


@pytest.mark.parametrize("reset", [False, True], ids=["silently", "with RST"])
def test_a_join_from_outside_fails_and_the_connection_lives(reset: bool) -> None:
    outcome = through(
        StatefulFirewall(reset=reset),
        DATA,
        BACK,
        near=NEAR,
        crossing=NEAR[1:],
        inside_listener=True,
        slow=30 * MILLISECOND,
    )
    assert outcome.mptcp
    assert outcome.ups == 1
    assert outcome.received == DATA
    assert outcome.answered == BACK

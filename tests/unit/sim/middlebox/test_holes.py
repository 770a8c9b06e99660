from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.boxes import FLOW, lossy, payload_of, segment, stream, through
from support.world import NEAR

from plait.host.reset import reverse_flow
from plait.sim.middlebox import DropUnseenAcks, HoldBehindHole, Middlebox
from plait.wire.segment import ACK, RST, SYN, Segment

DATA = stream(300_000)
BACK = stream(200_000, 2)
BACK_FLOW = reverse_flow(FLOW)


def opened(box: Middlebox, initial: int = 99) -> None:
    box.process(0, segment(initial, flags=SYN), outbound=True)


@pytest.mark.parametrize(("ack", "passes"), [(100, True), (108, True), (109, False)])
def test_acks_of_what_it_never_saw_are_dropped(ack: int, passes: bool) -> None:
    box = DropUnseenAcks()
    opened(box)
    box.process(0, segment(500, flow=BACK_FLOW, ack=100, flags=SYN | ACK), outbound=False)
    box.process(0, segment(104, b"data", ack=501), outbound=True)
    out = box.process(0, segment(501, flow=BACK_FLOW, ack=ack), outbound=False)
    assert bool(out) is passes


def test_an_answer_to_nothing_is_dropped() -> None:
    assert DropUnseenAcks().process(0, segment(ack=5), outbound=True) == []
    assert DropUnseenAcks().process(0, segment(ack=5, flags=RST), outbound=True)


@given(seed=st.integers(0, 1000), pieces=st.integers(1, 20))
def test_what_leaves_is_in_order_and_whole(seed: int, pieces: int) -> None:
    box = HoldBehindHole()
    opened(box, 2**32 - 20)
    data = stream(pieces * 10)
    order = list(range(pieces))
    Random(seed).shuffle(order)
    out = b""
    for number in order:
        piece = segment((2**32 - 19 + 10 * number) % 2**32, data[10 * number : 10 * number + 10])
        out += b"".join(payload_of(each.packet) for each in box.process(0, piece, outbound=True))
    assert out == data


def test_what_it_holds_is_bounded() -> None:
    box = HoldBehindHole(buffer=8)
    opened(box)
    for seq in (104, 108, 112):
        assert box.process(0, segment(seq, b"data"), outbound=True) == []
    out = box.process(0, segment(100, b"data"), outbound=True)
    found = [each.packet.seq for each in out if isinstance(each.packet, Segment)]
    assert found == [100, 104, 108]


def test_acks_and_resets_do_not_wait() -> None:
    box = HoldBehindHole()
    opened(box)
    assert box.process(0, segment(104, b"data"), outbound=True) == []
    assert box.process(0, segment(108), outbound=True)
    assert box.process(0, segment(108, flags=RST), outbound=True)
    assert box.process(0, segment(104, b"data"), outbound=False)


@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.parametrize("kind", [DropUnseenAcks, HoldBehindHole])
@pytest.mark.parametrize("paths", [1, 2])
def test_each_subflow_has_a_whole_sequence_space(kind: type[Middlebox], paths: int) -> None:
    outcome = through(kind(), DATA, BACK, near=NEAR[:paths], hook=lossy(23))
    assert outcome.mptcp
    assert outcome.ups == paths
    assert not outcome.downs
    assert outcome.received == DATA
    assert outcome.answered == BACK

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.boxes import FLOW, lossy, segment, stream, through
from support.world import NEAR

from plait.host.reset import reverse_flow
from plait.sim.middlebox import IsnRewriter
from plait.wire.segment import SYN, Segment
from plait.wire.seq import MASK32

DATA = stream(300_000)
BACK = stream(200_000, 2)
uint32 = st.integers(0, MASK32)


def passed(box: IsnRewriter, packet: Segment, *, outbound: bool) -> Segment:
    (crossing,) = box.process(0, packet, outbound=outbound)
    assert isinstance(crossing.packet, Segment)
    return crossing.packet


@given(seq=uint32, sack=st.tuples(uint32, uint32), direction=st.sampled_from(["both", "outbound"]))
def test_acknowledgments_name_the_numbers_the_host_sent(
    seq: int, sack: tuple[int, int], direction: str
) -> None:
    box = IsnRewriter(direction=direction)
    changed = passed(box, segment(seq), outbound=True)
    assert changed.seq != seq
    shift = changed.seq - seq
    answer = segment(flow=reverse_flow(FLOW), ack=changed.seq)
    answer.sack = (((sack[0] + shift) & MASK32, (sack[1] + shift) & MASK32),)
    back = passed(box, answer, outbound=False)
    assert back.ack == seq
    assert back.sack == (sack,)


def test_a_field_without_meaning_stays_zero() -> None:
    assert passed(IsnRewriter(), segment(flags=SYN), outbound=True).ack == 0


def test_one_that_leaves_sack_alone() -> None:
    answer = segment(flow=reverse_flow(FLOW), ack=1)
    answer.sack = ((5, 9),)
    assert passed(IsnRewriter(sack=False), answer, outbound=False).sack == ((5, 9),)


def test_flows_and_seeds_have_numbers_of_their_own() -> None:
    other = bytes((10, 0, 9, 9)) + FLOW[4:]
    shifts = {
        passed(IsnRewriter(seed=seed), segment(0, flow=flow), outbound=True).seq
        for seed in (1, 2)
        for flow in (FLOW, other)
    }
    assert len(shifts) == 4


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-01")
@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.parametrize("sack", [True, False], ids=["all", "not SACK"])
@pytest.mark.parametrize("direction", ["both", "outbound", "inbound"])
def test_mappings_count_from_the_isn(sack: bool, direction: str) -> None:
    box = IsnRewriter(sack=sack, direction=direction)
    outcome = through(box, DATA, BACK, near=NEAR, hook=lossy(23))
    assert outcome.mptcp
    assert outcome.ups == 2
    assert outcome.received == DATA
    assert outcome.answered == BACK

from __future__ import annotations

from itertools import count

import pytest
from support.boxes import FLOW, ONE, Place, segment, stream, through
from support.world import NEAR, World

from plait.host.reset import reverse_flow
from plait.sim.middlebox import EarlyAck
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.mptcp.dss import DATA_ACK, Dss
from plait.wire.segment import ACK, SYN, Segment

DATA = stream(300_000)
BACK = stream(200_000, 2)
BACK_FLOW = reverse_flow(FLOW)


def opened(box: EarlyAck) -> EarlyAck:
    box.process(0, segment(99, flags=SYN), outbound=True)
    answer = segment(499, flow=BACK_FLOW, ack=100, flags=SYN | ACK)
    answer.ts_val = 7
    box.process(0, answer, outbound=False)
    return box


def acks(box: EarlyAck, packet: Segment, now: Nanos = 0) -> list[int]:
    first, *made = box.process(now, packet, outbound=True)
    assert first.packet is packet
    assert not any(crossing.outbound for crossing in made)
    return [crossing.packet.ack for crossing in made if isinstance(crossing.packet, Segment)]


def test_data_in_order_is_acknowledged_at_once_without_options() -> None:
    box = opened(EarlyAck())
    data = segment(100, b"data", ack=500)
    data.dss = Dss(DATA_ACK, 5)
    data.ts_val = 42
    _, made = box.process(0, data, outbound=True)
    ack = made.packet
    assert isinstance(ack, Segment)
    assert (ack.flow, ack.seq, ack.ack, ack.flags) == (BACK_FLOW, 500, 104, ACK)
    assert (ack.dss, ack.options, ack.length) == (None, (), 0)
    assert (ack.ts_val, ack.ts_ecr) == (7, 42)


def test_what_is_not_next_is_left_to_the_receiver() -> None:
    box = opened(EarlyAck())
    assert acks(box, segment(104, b"late")) == []
    assert acks(box, segment(100, b"data")) == [104]
    assert acks(box, segment(100, b"data")) == []


def test_it_begins_late_and_answers_for_no_more_than_it_holds() -> None:
    box = opened(EarlyAck(after_octets=4, buffer=8))
    assert acks(box, segment(100, b"data")) == []
    box.process(0, segment(500, flow=BACK_FLOW, ack=104), outbound=False)
    found = [acks(box, segment(at, b"data")) for at in range(104, 120, 4)]
    assert found == [[108], [112], [], []]
    box.process(0, segment(500, flow=BACK_FLOW, ack=120), outbound=False)
    assert acks(box, segment(120, b"data")) == [124]


def test_it_answers_for_nothing_before_the_receiver_has_what_it_did_not_keep() -> None:
    box = opened(EarlyAck(after_octets=4))
    assert acks(box, segment(100, b"data")) == []
    assert acks(box, segment(104, b"data")) == []
    box.process(0, segment(500, flow=BACK_FLOW, ack=104), outbound=False)
    assert acks(box, segment(108, b"data")) == [112]


def test_it_answers_for_no_more_than_the_receiver_takes() -> None:
    box = EarlyAck()
    box.process(0, segment(99, flags=SYN), outbound=True)
    small = segment(500, flow=BACK_FLOW, ack=100)
    small.window = 6
    box.process(0, small, outbound=False)
    assert acks(box, segment(100, b"data")) == [104]
    assert acks(box, segment(104, b"data")) == []


def test_it_sends_again_until_the_receiver_has_it() -> None:
    box = opened(EarlyAck(resend=10))
    first = segment(100, b"data")
    acks(box, first, 1)
    acks(box, segment(104, b"more"), 5)
    assert box.next_timeout() == 11
    (crossing,) = box.handle_timeout(11)
    assert crossing.packet is first
    assert crossing.outbound
    box.process(12, segment(500, flow=BACK_FLOW, ack=108), outbound=False)
    assert box.next_timeout() is None


def test_it_gives_up_in_the_end() -> None:
    box = opened(EarlyAck(resend=10))
    acks(box, segment(100, b"data"))
    tries = 0
    while (due := box.next_timeout()) is not None:
        tries += len(box.handle_timeout(due))
    assert tries == 8


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-06")
def test_from_the_start_the_only_subflow_falls_back() -> None:
    outcome = through(EarlyAck(), DATA, BACK)
    assert outcome.plain
    assert outcome.received == DATA
    assert outcome.answered == BACK


@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.parametrize("paths", [1, 2])
def test_later_data_acks_tell_the_truth(paths: int) -> None:
    outcome = through(EarlyAck(after_octets=20_000), DATA, BACK, near=NEAR[:paths])
    assert outcome.mptcp
    assert outcome.ups == paths
    assert outcome.received == DATA
    assert outcome.answered == BACK


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-07")
@pytest.mark.rfc("8684", "6", "M8684-6-01")
def test_what_a_dying_proxy_acknowledged_comes_over_the_other_path() -> None:
    world = World(near=NEAR, whole=False)
    slow = 30 * MILLISECOND
    place = Place(world, EarlyAck(resend=1000 * SECOND), NEAR[1:], world.initiator, slow)
    world.start()
    world.initiator.to_send = DATA
    place.lose = lambda sent: sent.flow.startswith(NEAR[1].packed)
    world.run(60 * SECOND)
    assert bytes(world.listener.received) == DATA
    assert world.initiator.host.counters.mptcp_retrans > 0


def test_a_loss_behind_it_is_its_own_to_repair() -> None:
    world = World(near=ONE, whole=False)
    place = Place(world, EarlyAck(after_octets=20_000), ONE, world.initiator)
    seen = count(1)
    place.lose = lambda sent: sent.length > 0 and next(seen) % 23 == 0
    world.transfer(DATA)

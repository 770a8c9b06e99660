from __future__ import annotations

import pytest
from support.boxes import FLOW, ONE, Place, segment, stream
from support.world import NEAR, World

from plait.host.events import LossReason, Lost, SubflowDown
from plait.host.reset import reverse_flow
from plait.sim.middlebox import FinInjector, RstInjector
from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ACK, FIN, RST, Segment

DATA = stream(300_000)
BACK = stream(200_000, 2)
KINDS = {"RST": RstInjector, "FIN": FinInjector}


@pytest.mark.parametrize(("kind", "flag"), [(RstInjector, RST), (FinInjector, FIN)])
def test_it_strikes_once_in_sequence(kind: type[RstInjector], flag: int) -> None:
    box = kind(after_octets=6)
    assert len(box.process(0, segment(100, b"data", ack=50), outbound=True)) == 1
    forged = box.process(0, segment(104, b"data", ack=50), outbound=True)[1:]
    found = [
        (each.outbound, packet.flow, packet.seq, packet.ack, packet.flags)
        for each in forged
        if isinstance(packet := each.packet, Segment)
    ]
    assert found == [
        (True, FLOW, 108, 50, flag | ACK),
        (False, reverse_flow(FLOW), 50, 108, flag | ACK),
    ]
    assert len(box.process(0, segment(108, b"data", ack=50), outbound=True)) == 1


@pytest.mark.parametrize(
    ("toward", "outbound"), [("outbound", True), ("inbound", False)], ids=["outside", "inside"]
)
def test_who_is_told(toward: str, outbound: bool) -> None:
    out = RstInjector(toward=toward).process(0, segment(0, b"data"), outbound=True)
    assert [each.outbound for each in out[1:]] == [outbound]


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-01")
@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("toward", ["both", "outbound", "inbound"])
@pytest.mark.parametrize("first", [False, True], ids=["second subflow", "first subflow"])
def test_it_ends_one_subflow_and_the_connection_lives(
    kind: type[RstInjector], toward: str, first: bool
) -> None:
    world = World(near=NEAR, whole=False)
    crossing = NEAR[:1] if first else NEAR[1:]
    slow = 30 * MILLISECOND
    Place(world, kind(after_octets=30_000, toward=toward), crossing, world.initiator, slow)
    world.start()
    world.initiator.finish = world.listener.finish = True
    world.initiator.to_send = DATA
    world.listener.to_send = BACK
    world.run(600 * SECOND)
    assert bytes(world.listener.received) == DATA
    assert bytes(world.initiator.received) == BACK
    for end in world.ends:
        assert [down.path.local for down in end.heard(SubflowDown)][:1] == [
            crossing[0] if end is world.initiator else world.far[0]
        ]
        assert not end.heard(Lost)


def test_on_the_only_path_rst_is_the_end_with_an_error() -> None:
    world = World(near=ONE, whole=False)
    Place(world, RstInjector(after_octets=30_000), ONE, world.initiator)
    world.initiator.to_send = DATA
    world.connect()
    world.run(600 * SECOND)
    for end in world.ends:
        (lost,) = end.heard(Lost)
        assert lost.reason in (LossReason.RESET, LossReason.TIMED_OUT)
    assert DATA.startswith(bytes(world.listener.received))


@pytest.mark.rfc("5961", "7", "B5961-03")
def test_hosts_that_were_set_apart_do_not_answer_each_other_for_ever() -> None:
    world = World(near=ONE, whole=False)
    box = FinInjector(after_octets=50_000, toward="inbound")
    Place(world, box, ONE, world.initiator)
    world.initiator.to_send = DATA
    world.connect()
    world.run(2 * SECOND)
    before = sum(len(end.line.sent) for end in world.ends)
    world.run(60 * SECOND)
    assert sum(len(end.line.sent) for end in world.ends) - before < 300


@pytest.mark.parametrize("toward", ["both", "outbound", "inbound"])
def test_a_connection_that_falls_back_while_it_closes_comes_to_rest(toward: str) -> None:
    world = World(near=ONE, whole=False)
    Place(world, FinInjector(toward=toward), ONE, world.initiator)
    world.initiator.to_send = world.listener.to_send = b"a"
    world.connect()
    world.run(3600 * SECOND)
    assert all(end.empty for end in world.ends)

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.boxes import FLOW, Place, segment, stream, through
from support.world import FAR, NEAR, World

from plait.host.events import SubflowDown
from plait.sim.middlebox import Nat, StrictNat
from plait.sim.packet import too_big
from plait.units import MILLISECOND, SECOND
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, RST, SYN, Segment

OUTSIDE = ip_address("192.0.2.1")
OTHER = ip_address("192.0.2.2")
DATA = stream(300_000)
BACK = stream(200_000, 2)
SLOW = 30 * MILLISECOND


def back(flow: bytes) -> bytes:
    return flow[4:8] + flow[:4] + flow[10:] + flow[8:10]


def out(box: Nat, now: int = 0, *, flow: bytes = FLOW, flags: int = ACK) -> bytes:
    (crossing,) = box.process(now, segment(flow=flow, flags=flags), outbound=True)
    assert crossing.outbound
    return crossing.packet.flow


def test_addresses_and_ports_there_and_back() -> None:
    box = Nat(address=OUTSIDE)
    flow = out(box)
    assert flow[:4] == OUTSIDE.packed
    assert flow[4:8] == FLOW[4:8]
    assert flow[8:10] != FLOW[8:10]
    assert out(box) == flow
    (crossing,) = box.process(0, segment(flow=back(flow)), outbound=False)
    assert crossing.packet.flow == back(FLOW)
    assert not crossing.outbound


def test_two_hosts_with_one_port_are_told_apart() -> None:
    box = Nat(address=OUTSIDE)
    assert out(box) != out(box, flow=bytes((10, 0, 1, 9)) + FLOW[4:])


def test_nothing_comes_in_unasked() -> None:
    flow = FAR[0].packed + OUTSIDE.packed + FLOW[10:] + FLOW[8:10]
    assert Nat(address=OUTSIDE).process(0, segment(flow=flow), outbound=False) == []


def test_silence_ends_a_binding_and_the_next_one_differs() -> None:
    box = Nat(address=OUTSIDE, second=OTHER, idle=10)
    flow = out(box, 0)
    assert out(box, 10) == flow
    assert box.process(21, segment(flow=back(flow)), outbound=False) == []
    assert out(box, 22)[:4] == OTHER.packed


def test_age_ends_a_binding_that_is_in_use() -> None:
    box = Nat(address=OUTSIDE, rebind=10)
    flows = [out(box, now) for now in range(0, 25, 5)]
    assert flows[0] == flows[1] != flows[2] == flows[3] != flows[4]


def test_a_binding_is_for_its_family() -> None:
    six = ip_address("2001:db8::1").packed + ip_address("2001:db8::2").packed + FLOW[8:]
    flow = out(Nat(address=OUTSIDE, second=ip_address("2001:db8::9")), flow=six)
    assert flow[:16] == ip_address("2001:db8::9").packed
    assert out(Nat(address=OUTSIDE), flow=six)[:16] == six[:16]


@pytest.mark.parametrize("outbound", [True, False])
def test_errors_are_translated_with_what_they_quote(outbound: bool) -> None:
    box = Nat(address=OUTSIDE)
    flow = out(box)
    quoted = back(FLOW) if outbound else flow
    (crossing,) = box.process(0, too_big(segment(flow=quoted), 1280), outbound=outbound)
    assert isinstance(crossing.packet, IcmpError)
    assert crossing.packet.flow == (back(flow) if outbound else FLOW)
    unknown = too_big(segment(flow=bytes(12)), 1280)
    assert box.process(0, unknown, outbound=outbound) == []


def test_a_strict_one_refuses_syns_even_to_a_binding() -> None:
    box = StrictNat(address=OUTSIDE)
    flow = back(out(box))
    (crossing,) = box.process(0, segment(flow=flow, flags=SYN), outbound=False)
    assert crossing.outbound
    assert isinstance(crossing.packet, Segment)
    assert crossing.packet.flags & RST
    assert crossing.packet.flow == back(flow)
    (crossing,) = box.process(0, segment(flow=flow, flags=SYN | ACK), outbound=False)
    assert crossing.packet.flow == back(FLOW)


@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.rfc("8041", "3.1", "M8041-3.1-1")
@pytest.mark.parametrize("kind", [Nat, StrictNat])
def test_joins_find_the_connection_from_behind_it(kind: type[Nat]) -> None:
    box = kind(address=OUTSIDE)
    outcome = through(box, DATA, BACK, near=NEAR, crossing=(NEAR[1], OUTSIDE), slow=SLOW)
    assert outcome.mptcp
    assert outcome.ups == 2
    seen = {subflow.path.remote for subflow in outcome.listener.subflows}
    assert seen == {NEAR[0], OUTSIDE}
    assert outcome.received == DATA
    assert outcome.answered == BACK


def test_rebinding_ends_a_subflow_and_the_connection_lives() -> None:
    box = Nat(address=OUTSIDE, second=OTHER, rebind=100 * MILLISECOND)
    crossing = (NEAR[1], OUTSIDE, OTHER)
    outcome = through(box, DATA, BACK, near=NEAR, crossing=crossing, slow=SLOW)
    assert outcome.mptcp
    assert outcome.ups == 2
    assert outcome.downs == {NEAR[1]}
    assert outcome.received == DATA
    assert outcome.answered == BACK


def test_a_binding_forgotten_in_silence_ends_a_subflow_and_the_connection_lives() -> None:
    world = World(near=NEAR, whole=False)
    box = Nat(address=OUTSIDE, idle=5 * SECOND)
    Place(world, box, (NEAR[1], OUTSIDE), world.initiator, SLOW)
    world.start()
    world.run(10 * SECOND)
    assert not world.initiator.heard(SubflowDown)
    world.initiator.to_send = DATA
    world.run(60 * SECOND)
    (down,) = world.initiator.heard(SubflowDown)
    assert isinstance(down, SubflowDown)
    assert down.path.local == NEAR[1]
    assert bytes(world.listener.received) == DATA

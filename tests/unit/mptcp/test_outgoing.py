"""What every segment that leaves must and must not carry."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from support.world import World

from plait.host.settings import Settings
from plait.units import SECOND, Nanos
from plait.wire.mptcp.dss import DATA_ACK
from plait.wire.mptcp.mp_capable import (
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_join import MpJoinSyn, MpJoinSynAck
from plait.wire.packet import serialize_packet
from plait.wire.segment import ACK, RST, SYN, Segment

CARRY_KEYS = (MpCapableSynAck, MpCapableAck, MpCapableData, MpFastclose)
ON_SYNS = (MpCapableSyn, MpCapableSynAck, MpJoinSyn, MpJoinSynAck)


def sent_by(world: World) -> Iterable[Segment]:
    return (segment for end in world.ends for _, segment in end.line.sent)


@pytest.fixture(scope="module")
def life() -> World:
    """A connection with two subflows, data both ways and an orderly end."""
    world = World(Settings(), whole=False)
    world.transfer(bytes(300_000), back=bytes(50_000))
    return world


def keys_of(world: World) -> list[bytes]:
    return [
        option.sender_key
        for segment in sent_by(world)
        for option in segment.options
        if isinstance(option, MpCapableSynAck | MpCapableAck | MpCapableData)
    ]


@pytest.mark.rfc("8684", "5", "M8684-5-02")
def test_keys_cross_the_wire_only_where_they_must(life: World) -> None:
    keys = set(keys_of(life))
    assert len(keys) == 2
    for segment in sent_by(life):
        exposed = any(key in serialize_packet(segment) for key in keys)
        allowed = any(isinstance(option, CARRY_KEYS) for option in segment.options)
        assert allowed or not exposed


@pytest.mark.rfc("8684", "3", "M8684-3-02")
def test_what_belongs_on_a_syn_is_nowhere_else(life: World) -> None:
    for segment in sent_by(life):
        if not segment.flags & SYN:
            assert not any(isinstance(option, ON_SYNS) for option in segment.options)


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-09")
def test_every_segment_of_an_open_subflow_has_a_data_ack(life: World) -> None:
    bare = [
        segment
        for segment in sent_by(life)
        if not segment.flags & (SYN | RST)
        and not segment.options  # handshakes and signals have no room for one
        and (segment.dss is None or not segment.dss.flags & DATA_ACK)
    ]
    assert bare == []


@pytest.mark.rfc("8684", "6", "M8684-6-04")
@pytest.mark.parametrize("every", [2, 3])
def test_lost_data_acks_only_cost_time(every: int) -> None:
    world = World(Settings(), whole=False)
    seen = iter(range(1 << 30))

    def lose(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        pure = segment.flags == ACK and not segment.length and not segment.options
        return [] if pure and next(seen) % every == 0 else [(0, segment)]

    world.listener.line.hook = lose
    world.transfer(bytes(500_000), span=60 * SECOND)


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-08")
@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-05")
def test_what_is_recommended_is_the_default() -> None:
    assert Settings().checksum
    assert Settings().send_buffer >= Settings().receive_buffer

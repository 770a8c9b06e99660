"""Middleboxes that strip options or change payload: the stream survives (RFC 8684, 3.7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.script import BARE, UNCHECKED, MpPeer, payload, resets
from support.world import Hook, World

from plait.host.settings import Settings
from plait.units import SECOND, Nanos
from plait.wire.mptcp.dss import DATA_ACK, DSN_8, MAPPING, Dss
from plait.wire.mptcp.mp_capable import (
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_tcprst import MIDDLEBOX_INTERFERENCE, MpTcprst
from plait.wire.option import Option
from plait.wire.segment import ACK, FIN, RST, SYN, Segment

ONE = Settings(path_manager="default")
STREAM = bytes(range(256)) * 800
CAPABLE: tuple[type[Option], ...] = (MpCapableSyn, MpCapableSynAck, MpCapableAck, MpCapableData)

Test = Callable[[Segment], bool]


def strip(where: Test, *kinds: type[Option], dss: bool = False) -> Hook:
    """Return a hook that takes options off the segments that pass a test."""

    def hook(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        if where(segment):
            segment.options = tuple(one for one in segment.options if not isinstance(one, kinds))
            if dss:
                segment.dss = None
        return [(0, segment)]

    return hook


def always(_segment: Segment) -> bool:
    return True


def on_syn(segment: Segment) -> bool:
    return bool(segment.flags & SYN)


def on_ack(segment: Segment) -> bool:
    return not segment.flags & SYN


def on_data(segment: Segment) -> bool:
    return segment.length > 0


BOXES: dict[str, tuple[Hook | None, Hook | None]] = {
    "strips the SYN": (strip(on_syn, *CAPABLE), None),
    "strips the SYN/ACK": (None, strip(on_syn, *CAPABLE)),
    "strips the third ACK": (strip(on_ack, *CAPABLE), None),
    "strips all but SYNs": (strip(on_ack, Option, dss=True), strip(on_ack, Option, dss=True)),
    "strips all but SYNs forward": (strip(on_ack, Option, dss=True), None),
    "strips all but SYNs backward": (None, strip(on_ack, Option, dss=True)),
    "strips data": (strip(on_data, Option, dss=True), strip(on_data, Option, dss=True)),
    "strips everything": (strip(always, Option, dss=True), strip(always, Option, dss=True)),
}


@pytest.mark.rfc("6182", "2.2", "M6182-2.2-02")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-22")
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "split"])
@pytest.mark.parametrize("checksum", [True, False], ids=["checksum", "no checksum"])
@pytest.mark.parametrize(("forth", "back"), BOXES.values(), ids=BOXES.keys())
def test_the_stream_passes_a_box_that(
    forth: Hook | None, back: Hook | None, checksum: bool, whole: bool
) -> None:
    world = World(replace(ONE, checksum=checksum), whole=whole)
    if forth is not None:
        world.initiator.line.hook = forth
    if back is not None:
        world.listener.line.hook = back
    world.transfer(STREAM, back=STREAM[::-1])
    assert all(end.empty for end in world.ends)


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
@pytest.mark.parametrize("answers", [True, False], ids=["without options", "not at all"])
def test_a_data_fin_without_data_ack_means_tcp_only_if_the_path_answers(answers: bool) -> None:
    peer = MpPeer(BARE)
    peer.script.close(peer.id)
    for _ in range(8):
        if peer.script.wait(2 * SECOND) and answers:
            peer.first.send()
    assert (peer.connection.fallback_reason is not None) == answers


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-16")
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("octets", [0, 5, 100_000])
def test_the_stream_survives_the_loss_of_any_packet_of_the_handshake(
    index: int, octets: int
) -> None:
    world = World(ONE)
    lost = [index == 0, index == 1, index == 2]

    def forth(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        position = 0 if segment.flags & SYN else 2
        if lost[position]:
            lost[position] = False
            return []
        return [(0, segment)]

    def back(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        if lost[1]:
            lost[1] = False
            return []
        return [(0, segment)]

    world.initiator.line.hook, world.listener.line.hook = forth, back
    world.transfer(bytes(octets), back=b"answer")
    assert world.listener.host.counters.mp_capable_ack_rx == 1


def corrupting(at: int) -> Hook:
    """Return a hook that changes one octet of the stream the first time it passes."""
    seen = [0]

    def hook(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        if segment.length:
            if seen[0] <= at < seen[0] + segment.length:
                changed = bytearray(b"".join(segment.payload))
                changed[at - seen[0]] ^= 0xFF
                segment.payload = (bytes(changed),)
            seen[0] += segment.length
        return [(0, segment)]

    return hook


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-12")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-13")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-14")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-20")
@pytest.mark.parametrize("at", [0, 5, 70_000])
def test_on_the_only_subflow_a_changed_payload_means_tcp_with_mp_fail_both_ways(at: int) -> None:
    world = World(ONE)
    world.initiator.line.hook = corrupting(at)
    world.initiator.to_send = STREAM
    world.connect()
    world.run(60 * SECOND)
    assert len(world.listener.received) == len(STREAM)
    changed = [one != two for one, two in zip(world.listener.received, STREAM, strict=True)]
    assert changed.index(True) == at
    assert changed.count(True) == 1
    assert [end.host.counters.mp_fail_tx for end in world.ends] == [1, 1]
    assert world.initiator.host.counters.mp_fail_rx == 1
    last = world.initiator.line.sent[-1][1]
    assert (last.dss, last.options) == (None, ())


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-09")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-10")
def test_on_one_of_two_subflows_a_changed_payload_ends_it_and_comes_again() -> None:
    peer = MpPeer(BARE)
    second = peer.join()
    peer.data(b"before", flow=second)
    dss = peer.dss(7, 7, b"right")
    answers = second.send(ACK, b"wrong", dss=dss)
    (reset,) = resets(answers)
    dsn = (peer.keys.local_idsn + 7) % (1 << 64)
    assert reset.options == (MpFail(dsn), MpTcprst(MIDDLEBOX_INTERFERENCE))
    peer.data(b"right")
    assert peer.script.read(2) == b"beforeright"


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-15")
def test_with_a_gap_in_the_stream_it_cannot_go_on() -> None:
    peer = MpPeer(BARE)
    peer.first.send(ACK, b"later", dss=peer.dss(100, 1, b"later"))
    answers = peer.first.send(ACK, b"wrong", dss=peer.dss(1, 6, b"right"))
    (reset,) = resets(answers)
    assert any(isinstance(option, MpFail) for option in reset.options)


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-13")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-14")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-17")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-18")
def test_mp_fail_is_answered_in_kind_then_an_infinite_mapping_then_nothing() -> None:
    peer = MpPeer(BARE)
    peer.script.write(2, b"hello")
    answers = peer.first.send(options=[MpFail(peer.keys.remote_idsn + 1)])
    (fail,) = [option for one in answers for option in one.options]
    assert fail == MpFail((peer.keys.local_idsn + 1) % (1 << 64))
    (infinite,) = peer.script.write(2, b" world")
    assert infinite.dss is not None
    assert (infinite.dss.length, infinite.dss.checksum) == (0, 0)
    assert infinite.dss.flags & DATA_ACK == 0
    peer.first.send()
    (plain,) = peer.script.write(2, b"!")
    assert (plain.dss, plain.options) == (None, ())
    (ack,) = peer.first.send(ACK, b"answer")
    assert (ack.dss, ack.options) == (None, ())
    assert peer.script.read(2) == b"answer"


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-23")
@pytest.mark.parametrize("checksum", [True, False])
def test_an_infinite_mapping_means_tcp(checksum: bool) -> None:
    peer = MpPeer(replace(BARE, checksum=checksum))
    peer.data(b"hello")
    infinite = peer.dss(6, 6, b"", checksum=0 if checksum else None)
    peer.first.send(ACK, b" world", dss=infinite)
    peer.first.send(ACK, b"!")
    assert peer.script.read(2) == b"hello world!"
    assert not peer.script.host.info(2).is_mptcp


def test_an_infinite_mapping_on_one_of_two_subflows_ends_it() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    answers = second.send(ACK, b"hello", dss=peer.dss(1, 1, b""))
    assert len(resets(answers)) == 1
    peer.data(b"goes on")
    assert peer.script.read(2) == b"goes on"


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-24")
def test_a_length_of_zero_without_a_mapping_is_none() -> None:
    peer = MpPeer(UNCHECKED)
    peer.first.send(dss=Dss(DATA_ACK, peer.keys.remote_idsn + 1 & 0xFFFF_FFFF))
    assert peer.script.host.info(2).is_mptcp


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-21")
def test_after_fall_back_fin_ends_the_stream_and_rst_the_connection() -> None:
    for flags, endings in ((ACK | FIN, 0), (RST, 1)):
        peer = MpPeer(UNCHECKED)
        peer.first.send(ACK, b"plain")
        peer.first.send(flags)
        assert len(peer.script.endings()) == endings
        if not endings:
            assert peer.script.read(2) == b"plain"
            assert peer.script.read(2) == b""


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-20")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-21")
def test_after_fall_back_options_mean_nothing() -> None:
    peer = MpPeer(UNCHECKED)
    peer.first.send(ACK, b"plain")
    peer.first.send(ACK, b" text", dss=peer.dss(900, 900, b" text", fin=True))
    assert peer.script.read(2) == b"plain text"
    assert peer.script.read(2) is None
    assert payload(peer.script.write(2, b"answer")) == b"answer"


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-05")
def test_an_ack_of_data_without_data_ack_ends_a_joined_subflow() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    peer.first.send(dss=peer.ack(), window=0)
    peer.script.write(2, bytes(200_000))
    assert payload(second.sent)
    answers = second.send(ACK, ack=2)
    (reset,) = resets(answers)
    assert reset.options == (MpTcprst(MIDDLEBOX_INTERFERENCE),)
    assert peer.script.endings() == []


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-03")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-04")
def test_every_data_segment_is_mapped() -> None:
    world = World(whole=False)
    world.transfer(STREAM)
    for _, segment in world.initiator.line.sent:
        if segment.length:
            mapped = segment.dss is not None and segment.dss.flags & (MAPPING | DSN_8)
            assert mapped or any(isinstance(one, MpCapableData) for one in segment.options)

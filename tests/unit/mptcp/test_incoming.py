"""Mappings and Data ACKs of every shape (RFC 8684, 3.3.1 and 3.3.2)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.script import BARE, UNCHECKED, MpPeer, payload, resets
from support.world import End, World

from plait.host.settings import Settings
from plait.mptcp.subflow import MANY_PIECES
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, DSN_8, MAPPING, Dss
from plait.wire.mptcp.mp_tcprst import MIDDLEBOX_INTERFERENCE, MPTCP_SPECIFIC, MpTcprst
from plait.wire.segment import ACK, Segment
from plait.wire.seq import MASK32, MOD32

TEXT = bytes(at * 7 % 251 for at in range(4000))
WRAPS_AFTER_1240 = b"k1482130"
"""A key whose IDSN is 1,240 below a multiple of 2**32."""

WRAPS_AFTER_17569 = b"wraps 697736"
"""A seed that gives a listening host such a key, 17,569 below."""


def reason(segments: list[Segment]) -> list[int]:
    return [
        option.reason
        for segment in resets(segments)
        for option in segment.options
        if isinstance(option, MpTcprst)
    ]


@pytest.fixture(params=[BARE, UNCHECKED], ids=["checksum", "no checksum"])
def peer(request: pytest.FixtureRequest) -> MpPeer:
    chosen: Settings = request.param
    return MpPeer(chosen)


# ---- shapes of mappings


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-01")
@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-02")
def test_mapped_data_is_acknowledged_on_both_levels(peer: MpPeer) -> None:
    (answer,) = peer.data(b"hello")
    assert peer.first.acked(answer) == 6
    assert peer.data_acked(answer) == 6
    assert answer.dss is not None
    assert answer.dss.flags & DATA_ACK_8
    assert peer.script.read(2) == b"hello"


@pytest.mark.rfc("6182", "5.1", "M6182-5.1-01")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-02")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-09")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-22")
@pytest.mark.parametrize("repeated", [True, False], ids=["on each", "on the first"])
def test_one_mapping_over_many_segments(peer: MpPeer, repeated: bool) -> None:
    dss = peer.dss(1, 1, TEXT)
    for at in range(0, len(TEXT), 1000):
        piece = TEXT[at : at + 1000]
        peer.first.send(ACK, piece, dss=dss if repeated or at == 0 else peer.ack())
    assert peer.data_acked(peer.first.sent[-1]) == 1 + len(TEXT)
    assert peer.script.read(2) == TEXT


def test_crumbs_that_wait_for_the_end_of_a_mapping_are_gathered() -> None:
    peer = MpPeer(BARE)
    dss = peer.dss(1, 1, TEXT)
    for at in range(len(TEXT) - 1):
        peer.first.send(ACK, TEXT[at : at + 1], dss=dss)
    subflow = peer.script.host._connections.by_id[2].connection.subflows[0]
    assert len(subflow._pending) + len(subflow.tcp.receiver.reassembly.ready) <= MANY_PIECES + 1
    assert peer.script.read(2) is None
    peer.first.send(ACK, TEXT[-1:], dss=dss)
    assert peer.script.read(2) == TEXT


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-26")
def test_many_mappings_for_one_segment(peer: MpPeer) -> None:
    for at in range(10, 40, 10):
        peer.first.send(dss=peer.dss(1 + at, 1 + at, TEXT[at : at + 10]))
    peer.first.send(ACK, TEXT[:40], dss=peer.dss(1, 1, TEXT[:10]))
    assert peer.script.read(2) == TEXT[:40]


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-26")
def test_a_mapping_may_come_on_a_later_segment(peer: MpPeer) -> None:
    peer.data(b"a")
    (early,) = peer.first.send(ACK, b"bcd", dss=peer.ack())
    assert (peer.first.acked(early), peer.data_acked(early)) == (5, 2)
    peer.first.send(ACK, b"e", dss=peer.dss(2, 2, b"bcde"))
    assert peer.script.read(2) == b"abcde"


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-12")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-13")
def test_unmapped_octets_before_a_mapping_are_skipped_and_come_again(peer: MpPeer) -> None:
    peer.data(b"a")
    peer.first.send(ACK, b"??", dss=peer.ack())
    peer.first.send(ACK, b"d", dss=peer.dss(4, 4, b"d"))
    assert peer.script.read(2) == b"a"
    again = peer.first.send(ACK, b"bc", dss=peer.dss(2, 5, b"bc"))
    assert peer.data_acked(again[-1]) == 5
    assert peer.script.read(2) == b"bcd"


@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-06")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-21")
@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-01")
def test_the_data_ack_waits_at_a_gap_in_the_stream(peer: MpPeer) -> None:
    (answer,) = peer.first.send(ACK, b"world", dss=peer.dss(6, 1, b"world"))
    assert (peer.first.acked(answer), peer.data_acked(answer)) == (6, 1)
    (answer,) = peer.first.send(ACK, b"hello", dss=peer.dss(1, 6, b"hello"))
    assert peer.data_acked(answer) == 11
    assert peer.script.read(2) == b"helloworld"


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-04")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-05")
@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-02")
def test_of_data_on_two_subflows_the_first_copy_counts(peer: MpPeer) -> None:
    flow = peer.join()
    flow.send(ACK, b"WORLD", dss=peer.dss(6, 1, b"WORLD"))
    peer.first.send(ACK, b"helloworld!", dss=peer.dss(1, 1, b"helloworld!"))
    assert peer.script.read(2) == b"helloWORLD!"
    assert peer.script.host.counters.duplicate_data == 1


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-06")
def test_contradicting_mappings_on_the_only_subflow_mean_tcp(peer: MpPeer) -> None:
    peer.first.send(dss=peer.dss(1, 1, b"hello"))
    peer.first.send(ACK, b"hello", dss=peer.dss(9, 1, b"hello"))
    assert peer.script.read(2) == b"hello"
    assert not peer.script.host.info(2).is_mptcp


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-06")
def test_contradicting_mappings_on_one_of_two_end_it(peer: MpPeer) -> None:
    flow = peer.join()
    flow.send(dss=peer.dss(1, 1, b"hello"))
    answers = flow.send(ACK, b"hello", dss=peer.dss(9, 1, b"hello"))
    assert reason(answers) == [MIDDLEBOX_INTERFERENCE]
    assert peer.script.read(2) is None
    peer.data(b"hello")
    assert peer.script.read(2) == b"hello"


def test_without_checksum_a_mapping_may_extend_a_known_one() -> None:
    peer = MpPeer(UNCHECKED)
    peer.first.send(dss=peer.dss(1, 1, b"hel"))
    peer.first.send(dss=peer.dss(1, 1, b"hello"))
    peer.first.send(ACK, b"hello", dss=peer.ack())
    assert peer.script.read(2) == b"hello"


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-25")
@pytest.mark.parametrize("ssn", [MOD32 - 5, 1 << 30], ids=["before the start", "far ahead"])
def test_mappings_of_nothing_near_are_no_harm(peer: MpPeer, ssn: int) -> None:
    peer.data(b"hello")
    peer.first.send(dss=peer.dss(50, ssn, b"xx"))
    peer.data(b" world")
    assert peer.script.read(2) == b"hello world"


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-14")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-07")
def test_bare_data_on_one_of_two_subflows_ends_it(peer: MpPeer) -> None:
    flow = peer.join()
    peer.data(b"ok", flow=flow)
    assert reason(flow.send(ACK, b"stripped")) == [MIDDLEBOX_INTERFERENCE]
    peer.data(b"!")
    assert peer.script.read(2) == b"ok!"


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-14")
def test_more_than_a_window_without_a_mapping_ends_the_subflow() -> None:
    peer = MpPeer(replace(UNCHECKED, receive_buffer=10_000))
    flow = peer.join()
    peer.data(b"ok", flow=flow)
    answers = []
    for _ in range(20):
        answers += flow.send(ACK, bytes(1000), dss=peer.ack())
        if resets(answers):
            break
    assert reason(answers) == [MIDDLEBOX_INTERFERENCE]
    assert flow.nxt <= 2 + 12_000


@pytest.mark.rfc("8684", "3.3", "M8684-3.3-06")
@pytest.mark.rfc("8684", "3.3", "M8684-3.3-07")
def test_a_checksum_that_was_not_agreed_or_is_missing_ends_the_subflow(peer: MpPeer) -> None:
    flow = peer.join()
    wrong = -1 if peer.checksum else 99
    answers = flow.send(ACK, b"hello", dss=peer.dss(1, 1, b"hello", checksum=wrong))
    assert reason(answers) == [MPTCP_SPECIFIC]
    assert peer.script.read(2) is None


@pytest.mark.rfc("8684", "3.3", "M8684-3.3-02")
@pytest.mark.parametrize("flags", [0, DATA_ACK_8, DSN_8, DATA_ACK_8 | DSN_8])
def test_widths_without_their_field_mean_nothing(peer: MpPeer, flags: int) -> None:
    peer.data(b"a")
    peer.first.send(dss=Dss(flags))
    peer.data(b"b")
    assert peer.script.read(2) == b"ab"


@pytest.mark.rfc("8684", "3.8", "M8684-3.8-02")
@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-03")
def test_data_far_beyond_the_window_is_acknowledged_on_its_subflow_only() -> None:
    peer = MpPeer(replace(UNCHECKED, receive_buffer=10_000))
    (answer,) = peer.first.send(ACK, b"far", dss=peer.dss(1 << 20, 1, b"far"))
    assert (peer.first.acked(answer), peer.data_acked(answer)) == (4, 1)
    assert peer.script.host.counters.no_dss_in_window == 1


# ---- widths and wraps


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-15")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-17")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-19")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-20")
@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("widths", ["wide", "narrow", "mixed"])
def test_dsns_of_either_width_across_two_to_the_32(checked: bool, widths: str) -> None:
    peer = MpPeer(BARE if checked else UNCHECKED, key=WRAPS_AFTER_1240)
    assert MOD32 - (peer.keys.local_idsn & MASK32) == 1240
    order = [1, 0, *range(2, 40)]
    for count, at in enumerate(order):
        wide = widths == "wide" or (widths == "mixed" and count % 2 == 0)
        start = 100 * at
        dss = peer.dss(1 + start, peer.first.nxt, TEXT[start : start + 100], wide=wide)
        peer.first.send(ACK, TEXT[start : start + 100], dss=dss)
    assert peer.script.read(2) == TEXT
    last = peer.script.wait(SECOND) or peer.first.sent
    assert peer.data_acked(last[-1]) == 4001


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-03")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-17")
@pytest.mark.parametrize("wide", [True, False])
def test_data_acks_of_either_width_across_two_to_the_32(wide: bool) -> None:
    peer = MpPeer(UNCHECKED, seed=WRAPS_AFTER_17569)
    assert MOD32 - (peer.keys.remote_idsn & MASK32) == 17_569
    stream = bytes(100_000)
    peer.script.host.write(0, 2, stream)
    sent = peer.script.turn()
    got = b""
    while sent:
        for segment in sent:
            assert peer.dsn_of(segment) == 1 + len(got)
            got += payload([segment])
        peer.acked = 1 + len(got)
        sent = peer.first.send(dss=peer.ack(wide=wide))
    assert got == stream
    assert peer.connection.sender.snd_una == 100_001


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-15")
def test_a_transfer_across_both_wraps_arrives() -> None:
    probe = World()
    probe.connect()
    probe.run(1)
    iss = probe.initiator.line.sent[0][1].seq
    world = World(seeds=(b"initiator", WRAPS_AFTER_17569), whole=False)
    world.now = (MOD32 - 9_000 - iss) % MOD32 * 4_000
    stream = bytes(range(256)) * 200
    world.transfer(stream, back=stream)
    assert MOD32 - world.initiator.line.sent[0][1].seq == 9_000


def skip_ahead(sender: End, receiver: End, octets: int) -> None:
    """Pretend that the first subflow has carried so much more, one way."""
    there = sender.connection.subflows[0].tcp
    there.sender.snd_una += octets
    there.sender.snd_nxt += octets
    there.sender.stop += octets
    subflow = receiver.connection.subflows[0]
    subflow.consumed += octets
    subflow.tcp.receiver.reassembly.next += octets
    for tcp in (there, subflow.tcp):
        tcp.timestamps.last_ack_sent += octets
    subflow.tcp.sender.snd_wl1 += octets


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-01")
def test_subflow_positions_beyond_two_to_the_32_wrap_in_the_option() -> None:
    world = World(replace(Settings(), path_manager="default"))
    world.start(subflows=1)
    world.initiator.to_send = b"before"
    world.run(200 * MILLISECOND)
    skip_ahead(world.initiator, world.listener, MOD32 - 20_000)
    stream = bytes(range(256)) * 400
    world.initiator.to_send = stream
    world.run()
    assert bytes(world.listener.received) == b"before" + stream
    ssns = [
        segment.dss.ssn
        for _, segment in world.initiator.line.sent
        if segment.dss is not None and segment.dss.flags & MAPPING
    ]
    assert any(later < earlier for earlier, later in pairwise(ssns))


# ---- Data ACKs


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-05")
def test_a_window_counts_only_with_a_data_ack() -> None:
    peer = MpPeer(UNCHECKED)
    edge = peer.connection.sender.edge
    peer.first.send(dss=Dss(MAPPING | DSN_8, 0, 0, 0, 1), window=65_535)
    assert peer.connection.sender.edge == edge
    peer.first.send(dss=peer.ack(), window=1000)
    assert peer.connection.sender.edge == edge


@pytest.mark.rfc("6182", "5.2", "M6182-5.2-01")
@pytest.mark.rfc("8684", "4", "M8684-4-01")
@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-07")
@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-10")
def test_data_is_kept_until_its_data_ack() -> None:
    peer = MpPeer(UNCHECKED)
    peer.script.write(2, TEXT)
    peer.first.send(dss=peer.ack())
    buffer = peer.connection.sender.buffer
    assert b"".join(buffer.pieces(1, 4001)) == TEXT
    peer.acked = 4001
    peer.first.send(dss=peer.ack())
    assert buffer.start == 4001


shapes = st.lists(
    st.tuples(st.integers(0, 39), st.integers(1, 12), st.booleans(), st.booleans()),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60)
@given(shapes, st.booleans())
def test_any_mix_of_mappings_on_two_subflows_gives_the_stream(
    pieces: list[tuple[int, int, bool, bool]], checked: bool
) -> None:
    peer = MpPeer(BARE if checked else UNCHECKED)
    flows = (peer.first, peer.join())
    known: set[int] = set()
    for start, length, second, wide in pieces:
        flow = flows[second]
        data = TEXT[start : start + length]
        flow.send(ACK, data, dss=peer.dss(1 + start, flow.nxt, data, wide=wide))
        known |= set(range(start, start + length))
    ready = next(at for at in range(60) if at not in known)
    assert peer.script.read(2) == (TEXT[:ready] or None)
    assert peer.connection.receiver.rcv_nxt == 1 + ready


@pytest.mark.parametrize(("narrow_dsn", "narrow_ack"), list(product([True, False], repeat=2)))
def test_all_four_forms_of_dss(peer: MpPeer, narrow_dsn: bool, narrow_ack: bool) -> None:
    dss = peer.dss(1, 1, b"hello", wide=not narrow_dsn, wide_ack=not narrow_ack)
    assert bool(dss.flags & DATA_ACK_8) is not narrow_ack
    assert dss.flags & DATA_ACK
    peer.first.send(ACK, b"hello", dss=dss)
    assert peer.script.read(2) == b"hello"

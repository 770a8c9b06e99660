"""Peers that fill a host's memory: data far out of order, and in crumbs."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace

import pytest
from support.attack import unharmed
from support.script import PEER_2, UNCHECKED, Flow, MpPeer

from plait.buffers import MAX_RUNS
from plait.wire.segment import ACK

WINDOW = 1 << 16
SMALL = replace(UNCHECKED, receive_buffer=WINDOW)
CRUMB_COST = 1000
"""Octets of memory for one octet out of order, more than it takes."""


def put(peer: MpPeer, flow: Flow, dsn: int, data: bytes, *, gap: int = 0) -> None:
    """Send data for a place in the stream, `gap` octets beyond the next of its subflow."""
    ssn = flow.nxt + gap
    made = flow.segment(ACK, data, seq=ssn, dss=peer.dss(dsn, ssn, data))
    peer.script.host.receive(peer.script.now, [made])


@pytest.mark.rfc("8684", "3.3.4", "T-x-4")
@pytest.mark.parametrize("paths", [1, 3])
def test_what_is_out_of_order_is_bounded_by_the_window_whatever_the_paths(paths: int) -> None:
    peer = MpPeer(SMALL)
    flows = [peer.first, *(peer.join(PEER_2 + number) for number in range(paths - 1))]
    piece = bytes(1000)
    for number in range(3 * WINDOW // 1000):
        for index, flow in enumerate(flows):
            put(peer, flow, 2 + 1000 * (paths * number + index), piece)
            peer.script.host.transmit(0)
    receiver = peer.connection.receiver
    assert WINDOW <= receiver.reassembly.buffered <= 2 * WINDOW
    assert peer.script.host.counters.no_dss_in_window > 0
    assert peer.script.read(peer.id) is None
    peer.dsn = 1
    peer.data(b"x")
    assert len(peer.script.read(peer.id) or b"") == 1 + (receiver.rcv_nxt - 2)


@pytest.mark.rfc("8684", "3.3.4", "T-x-4")
@pytest.mark.parametrize("level", ["subflow", "stream"])
def test_crumbs_take_no_more_than_runs_are_allowed(level: str) -> None:
    peer = MpPeer(replace(UNCHECKED, receive_buffer=4 * WINDOW))
    gc.collect()
    tracemalloc.start()
    for number in range(1, 3 * MAX_RUNS):
        if level == "subflow":
            put(peer, peer.first, 1 + 2 * number, b"x", gap=2 * number)
        else:
            put(peer, peer.first, 1 + 2 * number, b"x")
        if number % 64 == 0:
            peer.script.host.transmit(0)
    peer.script.host.transmit(0)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    connection = peer.connection
    reassembly = (
        connection.subflows[0].tcp.receiver.reassembly
        if level == "subflow"
        else connection.receiver.reassembly
    )
    assert reassembly.buffered == MAX_RUNS
    assert taken < MAX_RUNS * CRUMB_COST
    peer.script.turn()
    if level == "stream":
        peer.data(b"unharmed"[:2])  # the first gap and a crumb
        assert len(peer.script.read(peer.id) or b"") == 3


@pytest.mark.rfc("8684", "3.3.4", "T-x-4")
def test_a_stream_with_more_gaps_than_runs_arrives_whole() -> None:
    peer = MpPeer(replace(UNCHECKED, receive_buffer=4 * WINDOW))
    length = 2 * (MAX_RUNS + 100)
    data = bytes(number * 7 % 251 for number in range(length))
    for number in range(1, length, 2):
        put(peer, peer.first, 1 + number, data[number : number + 1])
        peer.script.turn()
    for start in range(0, length, 1000):  # and again, as nothing was acknowledged
        peer.dsn = 1 + start
        peer.data(data[start : start + 1000])
    assert peer.script.read(peer.id) == data
    peer.dsn = 1 + length
    assert unharmed(peer)


PLACES = {
    "unread": (False, 0, 0),
    "behind a gap of the subflow": (False, 0, 1),
    "behind a gap of the stream": (False, 1, 0),
    "before the end of a mapping with a checksum": (True, 0, 0),
}


@pytest.mark.rfc("8684", "3.3.4", "T-x-4")
@pytest.mark.parametrize(("checked", "ahead", "gap"), PLACES.values(), ids=PLACES.keys())
def test_crumbs_that_follow_each_other_take_little_more_than_their_octets(
    checked: bool, ahead: int, gap: int
) -> None:
    """A view of one octet keeps its packet in memory, and costs more than that itself."""
    peer = MpPeer(replace(UNCHECKED, receive_buffer=4 * WINDOW), checksum=checked)
    count = 8000
    whole = peer.dss(1 + ahead + gap, 1 + gap, bytes(60_000))
    packet = bytes(100)
    gc.collect()
    tracemalloc.start()
    for number in range(count):
        made = peer.first.segment(ACK, b"", seq=1 + gap + number, dss=whole)
        made.length = 1
        made.payload = (memoryview(bytearray(packet))[-1:],)
        peer.script.host.receive(peer.script.now, [made])
        if number % 64 == 0:
            peer.script.host.transmit(0)
    peer.script.host.transmit(0)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 20 * count
    read = peer.script.read(peer.id)
    assert read == (None if checked or ahead or gap else bytes(count))

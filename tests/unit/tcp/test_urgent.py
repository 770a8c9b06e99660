"""Urgent data, which new applications should not use (RFC 9293, 3.8.5; RFC 6093)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import PLAIN, MpPeer, TcpPeer, payload

from plait.host.events import Readable, Urgent
from plait.wire.segment import ACK, URG
from plait.wire.tcp_options import Mss

MSS = 1000
DATA = bytes(at % 251 for at in range(5 * MSS))


def arrive(peer: TcpPeer, data: bytes, pointer: int) -> None:
    segment = peer.flow.segment(ACK | URG, data)
    segment.urgent = pointer
    peer.script.receive([segment])


def urged(peer: TcpPeer) -> list[int]:
    return [event.end for event in peer.script.heard(Urgent)]


@pytest.mark.rfc("9293", "3.8.5", "B9293-15")
def test_the_application_hears_of_urgent_data_and_reads_it_in_its_place() -> None:
    peer = TcpPeer(PLAIN)
    peer.flow.send(ACK, b"calm ")
    arrive(peer, b"urgent, calm", 6)
    assert urged(peer) == [11]
    assert peer.script.read(peer.id) == b"calm urgent, calm"


@pytest.mark.rfc("9293", "3.8.5", "B9293-15")
def test_it_hears_before_the_data_is_there() -> None:
    peer = TcpPeer(PLAIN)
    arrive(peer, b"", 5000)
    assert urged(peer) == [5000]
    assert not peer.script.heard(Readable)


@pytest.mark.rfc("9293", "3.8.5", "B9293-15")
def test_it_hears_of_more_but_not_of_less() -> None:
    peer = TcpPeer(PLAIN)
    arrive(peer, b"one", 3)
    arrive(peer, b"two", 3)
    arrive(peer, b"", 0)
    peer.flow.send(ACK, b"calm")
    assert urged(peer) == [3, 6]


@pytest.mark.rfc("9293", "3.8.5", "B9293-15")
@pytest.mark.parametrize("length", [1, MSS, 3 * MSS + 7])
def test_every_segment_up_to_its_end_points_there(length: int) -> None:
    peer = TcpPeer(PLAIN, options=[Mss(MSS)])
    host = peer.script.host
    assert host.write(0, peer.id, DATA[:length], urgent=True) == length
    sent = [*peer.script.turn(), *peer.script.write(peer.id, b"calm")]
    assert payload(sent) == DATA[:length] + b"calm"
    for segment in sent:
        at = peer.flow.position(segment) - 1
        assert bool(segment.flags & URG) == (at < length)
        assert segment.urgent == (length - at if at < length else 0)


def test_what_is_sent_again_points_again() -> None:
    peer = TcpPeer(PLAIN, options=[Mss(MSS)])
    peer.script.host.write(0, peer.id, b"urgent", urgent=True)
    (first,) = peer.script.turn()
    (again, *_) = peer.script.wait(peer.script.connection(peer.id).settings.initial_rto * 3)
    assert (again.flags & URG, again.urgent, again.seq) == (URG, 6, first.seq)


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-10")
@pytest.mark.rfc("6897", "4.4.4", "M6897-4.4.4-01")
def test_a_mapping_is_never_urgent() -> None:
    peer = MpPeer()
    peer.script.host.write(0, peer.id, b"urgent", urgent=True)
    (sent,) = peer.script.turn()
    assert (sent.flags & URG, sent.urgent) == (0, 0)


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-11")
@pytest.mark.rfc("6897", "4.4.4", "M6897-4.4.4-01")
def test_urgent_data_under_a_mapping_is_delivered_in_its_place() -> None:
    peer = MpPeer()
    segment = peer.first.segment(ACK | URG, b"urgent", dss=peer.dss(1, 1, b"urgent"))
    segment.urgent = 6
    peer.script.receive([segment])
    assert peer.script.read(peer.id) == b"urgent"


def test_a_pointer_beyond_its_field_is_cut() -> None:
    peer = TcpPeer(replace(PLAIN, send_buffer=1 << 20), options=[Mss(MSS)])
    peer.script.host.write(0, peer.id, bytes(200_000), urgent=True)
    assert {segment.urgent for segment in peer.script.turn()} == {0xFFFF}

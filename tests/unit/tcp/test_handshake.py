"""Opening: what the SYNs settle, lost and strange segments, both roles."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from support.script import ISS, PEER, PLAIN, PORT, Flow, Script, TcpPeer, payload

from plait.host.events import Accepted, Established, LossReason, Lost
from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ABSENT, ACK, FIN, RST, SYN
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

DATA = bytes(3000)


def opening() -> tuple[Script, Flow]:
    """Return a host that has sent its SYN, and the flow to answer on."""
    script = Script(PLAIN)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    return script, script.flows[syn.flow]


COMBINATIONS = list(product([True, False], repeat=4))


@pytest.mark.rfc("7323", "2.2", "B7323-01")
@pytest.mark.rfc("7323", "3.2", "B7323-02")
@pytest.mark.rfc("2018", "2", "B2018-01")
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
@pytest.mark.parametrize(("mss", "scale", "sack", "stamps"), COMBINATIONS)
def test_each_option_needs_both_sides(
    passive: bool, mss: bool, scale: bool, sack: bool, stamps: bool
) -> None:
    options = [
        *([Mss(1000)] if mss else []),
        *([WindowScale(7)] if scale else []),
        *([SackPermitted()] if sack else []),
    ]
    peer = TcpPeer(
        replace(PLAIN, timestamps=True),
        passive=passive,
        options=options,
        window=1000,
        ts_val=99 if stamps else ABSENT,
    )
    tcp = peer.script.connection(peer.id).subflows[0].tcp
    expected = (1000 if mss else 536) - (12 if stamps else 0)
    assert tcp.sender.mss == expected
    assert tcp.sender.scale == (7 if scale else 0)
    assert tcp.receiver.scale == (7 if scale else 0)  # of 4 MiB
    assert tcp.sack is sack
    assert tcp.timestamps.on is stamps
    assert tcp.sender.snd_wnd == (1000 << 7 if scale and passive else 1000)


@pytest.mark.rfc("9293", "3.7.1", "B9293-06")
@pytest.mark.parametrize(("mtu", "announced"), [(1500, 1460), (9000, 8960), (576, 536)])
def test_the_mss_we_announce_follows_the_mtu(mtu: int, announced: int) -> None:
    script = Script(PLAIN, mtu=mtu)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    assert Mss(announced) in syn.options


@pytest.mark.rfc("9293", "3.7.1", "B9293-06")
def test_segments_leave_room_for_their_options() -> None:
    peer = TcpPeer(replace(PLAIN, timestamps=True), options=[Mss(1460)], ts_val=5)
    sent = peer.script.write(peer.id, DATA)
    assert max(segment.length for segment in sent) == 1448


def test_an_absurd_mss_is_raised_so_that_options_fit() -> None:
    peer = TcpPeer(PLAIN, options=[Mss(1)])
    assert payload(peer.script.write(peer.id, b"x" * 100)) == b"x" * 100


def test_a_shift_beyond_14_counts_as_14() -> None:
    peer = TcpPeer(PLAIN, options=[WindowScale(15)])
    assert peer.script.connection(peer.id).subflows[0].tcp.sender.scale == 14


@pytest.mark.rfc("6298", "5.5", "B6298-02")
def test_an_unanswered_syn_is_repeated_at_doubling_intervals_and_given_up() -> None:
    script, flow = opening()
    script.wait(300 * SECOND)
    assert [segment.flags for segment in flow.sent] == [SYN] * 7
    assert [lost.reason for lost in script.heard(Lost)] == [LossReason.TIMED_OUT]


def test_syn_intervals_double() -> None:
    script, _ = opening()
    times = []
    for _ in range(4):
        due = script.host.next_timeout()
        assert due is not None
        times.append(due)
        script.wait(due - script.now)
    assert times == [1 * SECOND, 3 * SECOND, 7 * SECOND, 15 * SECOND]


def test_an_unanswered_syn_ack_is_repeated_and_forgotten_in_silence() -> None:
    script = Script(PLAIN)
    script.host.listen(0, PORT)
    flow = script.flow()
    flow.send(SYN)
    script.wait(300 * SECOND)
    assert [segment.flags for segment in flow.sent] == [SYN | ACK] * 7
    assert script.events == []
    assert not script.host._connections.by_id


def test_a_repeated_syn_is_answered_by_the_same_syn_ack() -> None:
    script = Script(PLAIN)
    script.host.listen(0, PORT)
    flow = script.flow()
    first = flow.send(SYN, seq=0)
    again = flow.send(SYN, seq=0)
    assert [(one.seq, one.ack, one.options) for one in first] == [
        (one.seq, one.ack, one.options) for one in again
    ]


@pytest.mark.rfc("9293", "3.10.7.3", "B9293-02")
def test_an_ack_of_what_was_never_sent_is_reset_in_syn_sent() -> None:
    script, flow = opening()
    (reset,) = flow.send(ACK, seq=77, ack=1234)
    assert (reset.flags, flow.position(reset), reset.ack) == (RST, 1234, 0)
    flow.send(SYN | ACK)
    assert script.heard(Established) == [Established(1)]


def test_a_rst_in_syn_sent_counts_only_if_it_acks_the_syn() -> None:
    script, flow = opening()
    flow.send(RST)
    flow.send(RST | ACK, ack=7)
    assert script.events == []
    flow.send(RST | ACK, ack=1)
    assert [event.reason for event in script.heard(Lost)] == [LossReason.REFUSED]


@pytest.mark.rfc("9293", "3.5", "B9293-02")
def test_simultaneous_open() -> None:
    script, flow = opening()
    (answer,) = flow.send(SYN)
    assert answer.flags == SYN | ACK
    flow.send(SYN | ACK, seq=0)
    flow.send(ACK)
    assert script.heard(Established) == [Established(1)]
    assert payload(script.write(1, b"hello")) == b"hello"


def test_data_on_the_third_ack_is_taken() -> None:
    script = Script(PLAIN)
    script.host.listen(0, PORT)
    flow = script.flow()
    flow.send(SYN)
    flow.send(ACK, b"hello")
    assert script.heard(Accepted) == [Accepted(2, 1)]
    assert script.read(2) == b"hello"


def test_a_lost_third_ack_is_made_good_by_data() -> None:
    script = Script(PLAIN)
    script.host.listen(0, PORT)
    flow = script.flow()
    flow.send(SYN)
    script.wait(SECOND)
    flow.send(ACK, b"late")
    assert script.read(2) == b"late"


@pytest.mark.parametrize("ack", [0, 2, 1000])
def test_a_wrong_third_ack_opens_nothing(ack: int) -> None:
    script = Script(PLAIN)
    script.host.listen(0, PORT)
    flow = script.flow()
    flow.send(SYN)
    flow.send(ACK, ack=ack)
    assert script.events == []


def test_written_and_closed_before_the_answer_all_is_sent_after_it() -> None:
    script, flow = opening()
    script.host.write(0, 1, b"early")
    assert script.close(1) == []
    sent = flow.send(SYN | ACK)
    assert payload(sent) == b"early"
    assert sent[-1].flags & FIN


def test_closed_before_the_answer_with_nothing_written() -> None:
    script, flow = opening()
    script.close(1)
    sent = flow.send(SYN | ACK)
    assert sent[-1].flags & FIN
    assert script.heard(Established) == [Established(1)]


def test_the_round_trip_of_the_handshake_is_measured_unless_the_syn_was_repeated() -> None:
    for repeated in (False, True):
        script, flow = opening()
        if repeated:
            script.wait(SECOND)
        script.wait(50 * MILLISECOND)
        flow.send(SYN | ACK)
        srtt = script.connection(1).subflows[0].tcp.sender.rtt.srtt
        assert srtt == (0 if repeated else 50 * MILLISECOND)


@pytest.mark.rfc("6528", "3", "M8684-3-06")
def test_iss_differs_by_path_and_grows_on_one() -> None:
    script = Script(PLAIN)
    script.host.connect(0, PEER, PORT, local_port=1000)
    script.host.connect(0, PEER, PORT, local_port=1001)
    first, second = script.turn()
    assert abs(first.seq - second.seq) > 1 << 10
    again = Script(PLAIN)
    again.now = SECOND
    again.host.connect(SECOND, PEER, PORT, local_port=1000)
    (later,) = again.turn()
    assert (later.seq - first.seq) % (1 << 32) == 250_000
    assert ISS not in (first.seq, second.seq)


@pytest.mark.rfc("9293", "3.1")
@pytest.mark.parametrize("max_mss", [1, 11, 12, 13, 100, 1460])
@pytest.mark.parametrize("timestamps", [True, False])
def test_the_window_of_a_syn_ack_fits_its_field(max_mss: int, timestamps: bool) -> None:
    settings = replace(PLAIN, max_mss=max_mss, timestamps=timestamps, receive_buffer=1 << 20)
    peer = TcpPeer(settings, options=(Mss(1460),), ts_val=7 if timestamps else ABSENT)
    syn_ack = peer.flow.sent[0]
    assert syn_ack.flags == SYN | ACK
    assert 32_768 <= syn_ack.window <= 65_535

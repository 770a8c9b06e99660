"""DATA_FIN in all shapes, the end of subflows, and MP_FASTCLOSE (RFC 8684, 3.3.3 and 3.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import BARE, UNCHECKED, Flow, MpPeer, payload, resets
from support.world import World

from plait.host.events import Closed, LossReason, Lost
from plait.host.settings import Settings
from plait.mptcp.state import State
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.dss import DATA_FIN, MAPPING
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_tcprst import TOO_MUCH_OUTSTANDING_DATA, MpTcprst
from plait.wire.option import Option
from plait.wire.segment import ACK, FIN, RST, Segment

ID = 2


@pytest.fixture(params=[BARE, UNCHECKED], ids=["checksum", "no checksum"])
def peer(request: pytest.FixtureRequest) -> MpPeer:
    chosen: Settings = request.param
    return MpPeer(chosen)


def data_fins(segments: list[Segment]) -> list[Segment]:
    return [one for one in segments if one.dss is not None and one.dss.flags & DATA_FIN]


def acknowledge(peer: MpPeer, position: int, flow: Flow | None = None) -> list[Segment]:
    """Send a Data ACK."""
    peer.acked = position
    return (flow or peer.first).send(dss=peer.ack())


# ---- ours


@pytest.mark.rfc("8684", "4", "M8684-4-04")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-02")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-04")
@pytest.mark.rfc("6897", "4.3.1", "M6897-4.3.1-01")
def test_our_data_fin_alone_takes_one_position_and_no_subflow_octet(peer: MpPeer) -> None:
    peer.script.write(ID, b"hello")
    acknowledge(peer, 6)
    (fin,) = peer.script.close(ID)
    assert fin.dss is not None
    assert fin.dss.flags & (MAPPING | DATA_FIN) == MAPPING | DATA_FIN
    assert (fin.dss.ssn, fin.dss.length, fin.length) == (0, 1, 0)
    assert (fin.dss.dsn - peer.keys.remote_idsn) % (1 << 64) == 6
    assert fin.dss.checksum == peer.dss(1, 0, b"", fin=True).checksum or peer.checksum
    assert not fin.flags & FIN


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-14")
def test_our_data_fin_is_repeated_on_every_subflow_until_acknowledged(peer: MpPeer) -> None:
    second = peer.join()
    assert len(data_fins(peer.script.close(ID))) == 2
    repeated = data_fins(peer.script.wait(4 * SECOND))
    assert {one.flow for one in repeated} == {peer.first.sent[-1].flow, second.sent[-1].flow}
    assert len(repeated) >= 4
    acknowledge(peer, 2)
    assert data_fins(peer.script.wait(60 * SECOND)) == []


def test_a_peer_that_never_acknowledges_it_is_given_up(peer: MpPeer) -> None:
    peer.script.close(ID)
    peer.script.wait(100 * SECOND)
    assert peer.script.endings() == []
    peer.script.wait(3600 * SECOND)
    assert peer.script.endings() == [LossReason.TIMED_OUT]
    assert not peer.script.host._connections.by_flow


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-06")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-07")
def test_subflows_stay_open_until_all_data_is_acknowledged(peer: MpPeer) -> None:
    peer.script.host.write(0, ID, b"hello")
    sent = peer.script.close(ID)
    peer.data_fin()
    sent += acknowledge(peer, 6)
    assert not any(one.flags & FIN for one in sent)
    assert any(one.flags & FIN for one in acknowledge(peer, 7))


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-08")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-09")
def test_after_both_data_fins_every_subflow_is_closed_with_fin(peer: MpPeer) -> None:
    second = peer.join()
    peer.data_fin()
    peer.script.close(ID)
    sent = acknowledge(peer, 2)
    assert {one.flow for one in sent if one.flags & FIN} == {
        peer.first.sent[-1].flow,
        second.sent[-1].flow,
    }
    assert peer.script.read(ID) == b""
    assert peer.script.endings() == [None]
    for flow in (peer.first, second):
        flow.send(ACK | FIN)
    peer.script.wait(61 * SECOND)
    assert not peer.script.host._connections.by_id


def test_subflows_whose_fins_are_not_answered_are_reset_after_a_while(peer: MpPeer) -> None:
    peer.data_fin()
    peer.script.close(ID)
    acknowledge(peer, 2)
    assert peer.script.read(ID) == b""
    sent = resets(peer.script.wait(61 * SECOND))
    assert [one.options for one in sent] == [(MpTcprst(TOO_MUCH_OUTSTANDING_DATA, transient=True),)]
    assert not peer.script.host._connections.by_id
    assert peer.script.endings() == [None]


# ---- the peer's

SHAPES = {
    "with the last data": [(b"0123456789", 1, True)],
    "on a segment of its own": [(b"0123456789", 1, False), (b"", 11, True)],
    "before the data": [(b"", 11, True), (b"0123456789", 1, False)],
    "twice": [(b"0123456789", 1, True), (b"", 11, True)],
    "on data that comes again": [(b"0123456789", 1, False), (b"0123456789", 1, True)],
    "between data out of order": [(b"56789", 6, True), (b"01234", 1, False)],
}


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-03")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-05")
@pytest.mark.parametrize("parts", SHAPES.values(), ids=SHAPES.keys())
def test_the_peers_data_fin(peer: MpPeer, parts: list[tuple[bytes, int, bool]]) -> None:
    for data, dsn, fin in parts:
        dss = peer.dss(dsn, peer.first.nxt if data else 0, data, fin=fin)
        peer.first.send(ACK, data, dss=dss)
    assert peer.data_acked(peer.first.sent[-1]) == 12
    assert peer.script.read(ID) == b"0123456789"
    assert peer.script.read(ID) == b""
    assert peer.connection.state is State.CLOSE_WAIT


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-03")
def test_the_example_of_the_text_octets_80_to_90() -> None:
    peer = MpPeer(UNCHECKED)
    peer.data(bytes(79))
    dss = peer.dss(80, 80, b"0123456789", fin=True)
    assert dss.length == 11
    (answer,) = peer.first.send(ACK, b"0123456789", dss=dss)
    assert peer.data_acked(answer) == 91
    assert peer.first.acked(answer) == 90


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-05")
def test_a_data_fin_beyond_a_gap_is_not_acknowledged(peer: MpPeer) -> None:
    (answer,) = peer.first.send(dss=peer.dss(11, 0, b"", fin=True))
    assert peer.data_acked(answer) == 1
    assert peer.script.read(ID) is None


def test_a_repeated_data_fin_is_acknowledged_again(peer: MpPeer) -> None:
    peer.data_fin()
    peer.dsn = 1
    (answer,) = peer.data_fin()
    assert peer.data_acked(answer) == 2


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-01")
def test_a_fin_ends_its_subflow_only(peer: MpPeer) -> None:
    second = peer.join()
    answers = second.send(ACK | FIN, dss=peer.ack())
    assert any(one.flags & FIN for one in answers)
    second.send(ACK)
    peer.data(b"goes on")
    assert peer.script.read(ID) == b"goes on"
    assert peer.script.endings() == []


@pytest.mark.rfc("8684", "3.3", "M8684-3.3-05")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-13")
@pytest.mark.parametrize("joined", [True, False])
def test_without_subflows_the_connection_waits_for_one(peer: MpPeer, joined: bool) -> None:
    peer.first.send(ACK | FIN, dss=peer.ack())
    peer.first.send(ACK)
    peer.script.write(ID, b"waits")
    peer.script.wait(29 * SECOND)
    if joined:
        flow = peer.join()
        flow.send(dss=peer.ack())
        assert payload(flow.sent) == b"waits"
    peer.script.wait(2 * SECOND)
    assert peer.script.endings() == ([] if joined else [LossReason.TIMED_OUT])


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-11")
def test_a_stale_subflow_is_reset_at_the_end() -> None:
    world = World()
    world.start()
    dead = world.listener.connection.subflows[1].path.flow_in()

    def cut(_now: int, segment: Segment) -> list[tuple[int, Segment]]:
        return [] if segment.flow in (dead, reverse) else [(0, segment)]

    reverse = world.listener.connection.subflows[1].path.flow_out()
    for end in world.ends:
        end.line.hook = cut
    world.initiator.to_send = bytes(1_000_000)
    world.run(2 * SECOND)
    for end in world.ends:
        end.finish = True
    world.run(2 * SECOND)
    gone = [one for _, one in world.initiator.line.sent if one.flags & RST]
    assert [one.options for one in gone] == [(MpTcprst(TOO_MUCH_OUTSTANDING_DATA, transient=True),)]
    assert len(world.listener.received) == 1_000_000


# ---- closing early


@pytest.mark.parametrize("mptcp", [True, False])
@pytest.mark.parametrize("octets", [0, 1, 100_000])
def test_closed_before_the_handshake_is_over_all_still_arrives(mptcp: bool, octets: int) -> None:
    world = World(Settings(mptcp=mptcp))
    world.connect()
    host = world.initiator.host
    assert host.write(0, 1, bytes(octets)) == octets
    host.close(0, 1)
    world.initiator.finish = False
    world.run(100 * SECOND)
    assert len(world.listener.received) == octets
    for end in world.ends:
        assert len(end.heard(Closed)) == 1
        assert end.empty


def released_while_the_peer_writes(*, mptcp: bool) -> World:
    world = World(Settings(mptcp=mptcp, receive_buffer=50_000))
    world.initiator.to_send = bytes(500_000)
    world.listener.reading = False
    world.listener.finish = False
    world.connect()
    world.run(5 * SECOND)
    assert world.initiator.to_send or world.initiator.connection.sender.snd_una < 500_001
    world.listener.host.release(world.now, world.listener.connection_id)
    world.run(100 * SECOND)
    return world


@pytest.mark.rfc("9293", "3.6.1", "B9293-14")
def test_a_peer_of_plain_tcp_learns_that_nobody_reads_any_more() -> None:
    world = released_while_the_peer_writes(mptcp=False)
    assert [lost.reason for lost in world.initiator.heard(Lost)] == [LossReason.RESET]
    assert world.listener.host.counters.tcp_abort_on_data == 1
    for end in world.ends:
        assert end.empty


def test_release_lets_the_peer_finish_what_nobody_reads() -> None:
    world = released_while_the_peer_writes(mptcp=True)
    for end in world.ends:
        assert len(end.heard(Closed)) == 1
        assert end.empty


# ---- MP_FASTCLOSE


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-11")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-01")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-03")
def test_an_abort_is_a_rst_with_the_peers_key_on_every_subflow(peer: MpPeer) -> None:
    peer.join()
    peer.script.host.abort(0, ID)
    sent = peer.script.turn()
    assert [one.flags for one in sent] == [RST | ACK] * 2
    assert all(MpFastclose(peer.keys.local) in one.options for one in sent)
    assert peer.script.endings() == [LossReason.ABORTED]
    assert not peer.script.host._connections.by_flow


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-04")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-05")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-12")
@pytest.mark.parametrize("flags", [ACK, RST | ACK], ids=["on an ACK", "on a RST"])
def test_the_peers_fastclose_ends_every_subflow(peer: MpPeer, flags: int) -> None:
    peer.join()
    peer.data(b"unread")
    answers = peer.first.send(flags, options=[MpFastclose(peer.keys.remote)])
    assert len(resets(answers)) == (2 if flags == ACK else 1)
    assert peer.script.endings() == [LossReason.RESET]
    assert not peer.script.host._connections.by_flow


IGNORED: dict[str, tuple[int, int, Option | None]] = {
    "wrong key": (ACK, 0, MpFastclose(b"nonsense")),
    "our key, but outside the window": (ACK, 1 << 25, None),
    "our key, on a RST that is not exact": (RST, 5, None),
}


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-06")
@pytest.mark.rfc("8684", "3", "M8684-3-05")
@pytest.mark.parametrize(("flags", "ahead", "option"), IGNORED.values(), ids=IGNORED.keys())
def test_fastclose_that_is_ignored(
    peer: MpPeer, flags: int, ahead: int, option: Option | None
) -> None:
    chosen = option or MpFastclose(peer.keys.remote)
    answers = peer.first.send(flags, seq=peer.first.nxt + ahead, options=[chosen])
    assert resets(answers) == []
    assert peer.script.endings() == []
    peer.data(b"goes on")
    assert peer.script.read(ID) == b"goes on"


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-08")
def test_mp_tcprst_without_rst_means_nothing(peer: MpPeer) -> None:
    peer.first.send(options=[MpTcprst(1)])
    peer.data(b"goes on")
    assert peer.script.read(ID) == b"goes on"


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-08")
@pytest.mark.rfc("8684", "3.6", "M8684-3.6-07")
def test_the_reason_of_a_reset_is_reported(peer: MpPeer) -> None:
    second = peer.join()
    second.send(RST, seq=7, options=[MpTcprst(5)])
    assert len(peer.script.heard(Lost)) == 0
    assert [flow for flow in peer.connection.subflows if not flow.alive] == []
    second.send(RST, options=[MpTcprst(0x7F, transient=True)])
    (gone,) = [flow for flow in peer.connection.subflows if not flow.alive]
    assert (gone.reset_reason, gone.transient) == (0x7F, True)


def test_time_passes_quickly_in_a_closed_world() -> None:
    world = World(replace(Settings(), time_wait=SECOND))
    world.transfer(b"bye", span=5 * SECOND)
    assert all(end.empty for end in world.ends)
    assert world.initiator.events[-1][0] < 200 * MILLISECOND


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-10")
@pytest.mark.parametrize(("mptcp", "span"), [(True, 15), (False, 60)])
def test_time_wait_is_short_once_the_stream_ended_in_both_directions(
    mptcp: bool, span: int
) -> None:
    world = World(Settings(mptcp=mptcp))
    world.transfer(b"hello", back=b"answer", span=10 * SECOND)
    waiting = [len(end.host._time_wait) for end in world.ends]
    assert sum(waiting) > 0
    world.run((span - 11) * SECOND)
    assert [len(end.host._time_wait) for end in world.ends] == waiting
    world.run(2 * SECOND)
    assert all(end.empty for end in world.ends)


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-03")
def test_no_bare_reset_overtakes_our_fastclose(peer: MpPeer) -> None:
    second = peer.join()
    peer.script.host.abort(peer.script.now, peer.id)
    late = [flow.segment(ACK, dss=peer.ack()) for flow in (peer.first, second)]
    sent = resets(peer.script.receive(late))
    closing = [any(isinstance(option, MpFastclose) for option in one.options) for one in sent]
    assert closing == sorted(closing, reverse=True)
    assert closing.count(True) == 2


@pytest.mark.parametrize("acked", [True, False], ids=["all data is acknowledged", "some is not"])
def test_a_peer_that_is_gone_before_its_last_data_ack_costs_nothing(
    peer: MpPeer, acked: bool
) -> None:
    peer.script.write(ID, b"hello")
    if acked:
        acknowledge(peer, 6)
    peer.data_fin()
    assert peer.script.read(ID) == b""
    peer.script.close(ID)
    peer.first.send(RST)
    peer.script.wait(60 * SECOND)
    assert peer.script.endings() == [None if acked else LossReason.TIMED_OUT]

"""TIME-WAIT: little is kept, late segments are answered, and new connections get through."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import (
    HOST,
    ISS,
    PEER,
    PLAIN,
    PORT,
    UNCHECKED,
    MpPeer,
    TcpPeer,
    payload,
)

from plait.errors import UsageError
from plait.host.events import Accepted, Established
from plait.host.settings import Settings
from plait.host.time_wait import ISS_STEP, REUSE_AFTER
from plait.units import SECOND
from plait.wire.mptcp.dss import DATA_ACK, MAPPING
from plait.wire.segment import ABSENT, ACK, FIN, RST, SYN, Segment
from plait.wire.seq import HALF32, MASK32

STAMPED = replace(PLAIN, timestamps=True)
RECENT = 1000
"""The peer's last timestamp in these tests."""


def closed_by_us(
    settings: Settings = PLAIN, *, passive: bool = True, stamps: bool = False
) -> TcpPeer:
    """Return a peer whose connection the host closed first, 20 octets after its beginning."""
    ts_val = RECENT if stamps else ABSENT
    peer = TcpPeer(settings, passive=passive, ts_val=ts_val)
    peer.script.write(peer.id, bytes(20))
    peer.flow.send(ACK, ts_val=ts_val)
    peer.script.close(peer.id)
    peer.flow.send(FIN | ACK, ts_val=ts_val)
    peer.script.read(peer.id)
    assert waiting(peer) == 1
    return peer


def waiting(peer: TcpPeer | MpPeer) -> int:
    return len(peer.script.host._time_wait)


@pytest.mark.rfc("9293", "3.6.1", "B9293-13")
def test_nothing_but_numbers_is_kept() -> None:
    peer = closed_by_us()
    known = peer.script.host._connections
    assert not known.by_id
    assert not known.by_flow
    assert not known.by_token
    assert peer.script.endings() == [None]
    peer.script.wait(60 * SECOND)
    assert waiting(peer) == 0
    assert peer.script.host.next_timeout() is None
    assert peer.script.host.counters.tw == 1


LATE = {
    "FIN again": (FIN | ACK, b"", 1, True, True),
    "old data": (ACK, b"old", -40, True, False),
    "new data": (ACK, b"new", 2, True, False),
    "bare, out of place": (ACK, b"", 90, True, False),
    "bare, in place": (ACK, b"", 2, False, False),
    "SYN, old duplicate": (SYN, b"", -9, True, False),
    "SYN/ACK": (SYN | ACK, b"", 0, True, False),
    "RST, exact": (RST, b"", 2, False, False),
    "RST/ACK": (RST | ACK, b"", 2, False, False),
}


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-13")
@pytest.mark.rfc("1337", "3", "B9293-13")
@pytest.mark.parametrize(
    ("flags", "data", "seq", "answered", "restarts"), LATE.values(), ids=LATE.keys()
)
def test_a_late_segment(flags: int, data: bytes, seq: int, answered: bool, restarts: bool) -> None:
    peer = closed_by_us()
    peer.script.wait(30 * SECOND)
    answers = peer.flow.send(flags, data, seq=seq)
    assert [(one.flags, peer.flow.position(one), peer.flow.acked(one)) for one in answers] == (
        [(ACK, 22, 2)] if answered else []
    )
    peer.script.wait(31 * SECOND)
    assert waiting(peer) == restarts


@pytest.mark.rfc("5961", "7", "B5961-03")
def test_answers_to_strangers_are_rationed() -> None:
    peer = closed_by_us()
    assert sum(len(peer.flow.send(ACK, b"x", seq=2)) for _ in range(20)) == 1
    assert sum(len(peer.flow.send(FIN | ACK, seq=1)) for _ in range(3)) == 3


def test_an_old_fin_does_not_prolong_it() -> None:
    peer = closed_by_us(STAMPED, stamps=True)
    peer.script.wait(30 * SECOND)
    peer.flow.send(FIN | ACK, seq=1, ts_val=RECENT - 1)
    peer.script.wait(31 * SECOND)
    assert waiting(peer) == 0


# ---- a new connection on the old path (RFC 6191)

NEW = {
    "later ISN": (ABSENT, ABSENT, 3, True),
    "far later ISN": (ABSENT, ABSENT, HALF32 - 1, True),
    "same ISN": (ABSENT, ABSENT, 2, False),
    "older ISN": (ABSENT, ABSENT, -1, False),
    "newer timestamp, older ISN": (RECENT, RECENT + 1, -1000, True),
    "same timestamp, later ISN": (RECENT, RECENT, 3, True),
    "same timestamp, older ISN": (RECENT, RECENT, -1, False),
    "older timestamp, later ISN": (RECENT, RECENT - 1, 3, False),
    "timestamps for the first time": (ABSENT, 5, -1000, True),
    "timestamps no more, later ISN": (RECENT, ABSENT, 3, True),
    "timestamps no more, older ISN": (RECENT, ABSENT, -1, False),
}


@pytest.mark.rfc("6191", "2", "B6191-01")
@pytest.mark.parametrize(("old", "new", "seq", "begins"), NEW.values(), ids=NEW.keys())
def test_a_syn_that_is_surely_new_begins_another(
    old: int, new: int, seq: int, begins: bool
) -> None:
    peer = closed_by_us(STAMPED, stamps=old != ABSENT)
    last = peer.flow.irs + 22
    (answer,) = peer.flow.send(SYN, seq=seq, ts_val=new)
    counters = peer.script.host.counters
    if not begins:
        assert (answer.flags, counters.tw_recycled, waiting(peer)) == (ACK, 0, 1)
        return
    assert (answer.flags, counters.tw_recycled, waiting(peer)) == (SYN | ACK, 1, 0)
    assert answer.ack == (ISS + seq + 1) & MASK32
    assert ISS_STEP - 1 <= (answer.seq - last) & MASK32 < HALF32
    third = peer.flow.segment(ACK, b"anew", seq=seq + 1, ts_val=new)
    third.ack = (answer.seq + 1) & MASK32
    peer.script.receive([third])
    accepted = peer.script.heard(Accepted)
    assert len(accepted) == 2
    assert peer.script.read(accepted[-1].connection_id) == b"anew"


@pytest.mark.rfc("6191", "2", "B6191-01")
def test_without_a_listener_it_is_left_alone() -> None:
    peer = closed_by_us(passive=False)
    (answer,) = peer.flow.send(SYN, seq=1000)
    assert (answer.flags, waiting(peer)) == (ACK, 1)


@pytest.mark.rfc("6191", "2", "B6191-01")
@pytest.mark.parametrize(
    ("stamps", "wait", "free"),
    [(False, 0, False), (False, REUSE_AFTER, False), (True, 0, False), (True, REUSE_AFTER, True)],
)
def test_we_connect_anew_once_timestamps_can_tell(stamps: bool, wait: int, free: bool) -> None:
    peer = closed_by_us(STAMPED, passive=False, stamps=stamps)
    script = peer.script
    port = peer.flow.path.remote_port
    last = peer.flow.irs + 22
    script.wait(wait)
    if not free:
        with pytest.raises(UsageError, match="no free port"):
            script.host.connect(script.now, PEER, PORT, local_port=port)
        return
    connection_id = script.host.connect(script.now, PEER, PORT, local_port=port)
    (syn,) = script.turn()
    assert 0 < (syn.seq - last) & MASK32 < HALF32
    assert waiting(peer) == 0
    answer = Segment(peer.flow.path.flow_out(), 9, (syn.seq + 1) & MASK32, SYN | ACK, 1000)
    script.receive([answer])
    assert script.heard(Established)[-1] == Established(connection_id)


@pytest.mark.rfc("6056", "3.3.1", "B6056-01")
def test_other_ports_are_chosen_before_one_in_time_wait() -> None:
    peer = closed_by_us(STAMPED, passive=False, stamps=True)
    script = peer.script
    script.wait(REUSE_AFTER)
    for _ in range(50):
        script.host.connect(script.now, PEER, PORT)
    assert waiting(peer) == 1
    assert peer.flow.path.flow_out() not in script.host._connections.by_flow


# ---- bounds


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_the_oldest_go_first(limit: int) -> None:
    script = TcpPeer(replace(PLAIN, max_time_wait=limit)).script
    for port in range(1000, 1005):
        flow = script.flow(local_port=port)
        flow.send(SYN)
        flow.send(ACK)
        connection_id = script.heard(Accepted)[-1].connection_id
        script.close(connection_id)
        flow.send(FIN | ACK)
        script.read(connection_id)
    kept = [
        flow for flow in script.flows.values() if flow.path.flow_out() in script.host._time_wait
    ]
    assert [flow.path.local_port for flow in kept] == list(range(1005 - limit, 1005))
    assert script.host.counters.tcp_time_wait_overflow == 5 - limit


def test_the_last_ack_leaves_even_if_nothing_is_kept() -> None:
    peer = TcpPeer(replace(PLAIN, max_time_wait=0))
    peer.script.close(peer.id)
    (ack,) = peer.flow.send(FIN | ACK)
    assert (ack.flags, peer.flow.acked(ack)) == (ACK, 2)


# ---- subflows


def test_unread_data_stays_after_the_connection_went() -> None:
    peer = TcpPeer(PLAIN)
    peer.script.close(peer.id)
    peer.flow.send(FIN | ACK, b"legacy")
    assert waiting(peer) == 1
    peer.script.wait(3600 * SECOND)
    assert peer.script.read(peer.id) == b"legacy"
    assert peer.script.endings() == [None]


@pytest.mark.rfc("8684", "3.3.3", "B9293-13")
def test_a_subflow_in_time_wait_counts_no_more() -> None:
    peer = MpPeer(replace(UNCHECKED, max_subflows=2))
    second = peer.join()
    connection = peer.connection
    (subflow,) = connection.subflows[1:]
    assert peer.join_syn(port=7000)[1][0].flags & RST
    connection.retire(0, subflow)
    peer.script.host._touch(peer.script.host._connections.by_id[2])
    peer.script.turn()
    second.send(FIN | ACK, dss=peer.ack())
    assert waiting(peer) == 1
    assert not subflow.alive
    assert not peer.join_syn(port=7001)[1][0].flags & RST
    peer.data(b"on the first")
    assert peer.script.read(2) == b"on the first"


@pytest.mark.rfc("8684", "3.3.3", "B9293-13")
def test_a_late_segment_of_a_subflow_gets_its_data_ack() -> None:
    peer = MpPeer(UNCHECKED)
    peer.data(b"all", fin=True)
    assert peer.script.read(2) == b"all"
    peer.script.close(2)
    peer.acked += 1
    peer.first.send(dss=peer.ack())
    peer.first.send(FIN | ACK, dss=peer.ack())
    peer.first.send(ACK, dss=peer.ack())
    assert waiting(peer) == 1
    for late in (FIN | ACK, ACK):
        dss = peer.dss(4, 0, b"", fin=True) if late == ACK else peer.ack()
        (answer,) = peer.first.send(late, seq=4, dss=dss)
        assert answer.dss is not None
        assert answer.dss.flags & (DATA_ACK | MAPPING) == DATA_ACK
        assert peer.data_acked(answer) == 5


def test_a_whole_life_after_time_wait() -> None:
    peer = closed_by_us()
    peer.script.wait(61 * SECOND)
    flow = peer.script.flow(local=PEER, remote=HOST)
    flow.send(SYN)
    flow.send(ACK, b"again")
    assert payload(flow.sent) == b""
    assert len(peer.script.heard(Accepted)) == 2

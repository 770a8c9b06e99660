"""Attackers on one path who lie about the data level: mappings, DATA_FIN, Data ACK, MP_FAIL.

Such an attacker can spoil the subflow he sits on.  He must not change what the application reads,
nor take the other paths with it.
"""

from __future__ import annotations

import pytest
from support.attack import state, unharmed
from support.script import KEY, PEER_2, Flow, MpPeer, found, payload, resets

from plait.mptcp.mapping import MAX_MAPPINGS
from plait.mptcp.state import Mode
from plait.units import SECOND
from plait.wire.mptcp.dss import MAPPING, NO_CHECKSUM, Dss
from plait.wire.mptcp.mp_capable import MpCapableData
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.segment import ACK, PSH
from plait.wire.seq import wrap64

FAR = 1 << 40
"""Where a guess of a 64-bit number lies: nowhere near."""


def joined() -> tuple[MpPeer, Flow]:
    peer = MpPeer()
    second = peer.join(PEER_2)
    second.send(dss=peer.ack())
    return peer, second


@pytest.mark.parametrize("dsn", [1, FAR, -FAR], ids=["right", "far ahead", "far behind"])
def test_data_at_a_guessed_place_is_not_delivered(dsn: int) -> None:
    peer, second = joined()
    second.send(ACK | PSH, b"forged", dss=peer.dss(dsn, second.nxt, b"forged"))
    read = peer.script.read(peer.id)
    counters = peer.script.host.counters
    if dsn == 1:  # who knows the numbers writes the stream: only encryption helps
        assert read == b"forged"
        return
    assert read is None
    assert counters.no_dss_in_window + counters.duplicate_data == 1
    assert counters.no_dss_in_window == (dsn == FAR)
    assert unharmed(peer)


def test_the_same_octets_in_two_places_cost_the_path_and_not_the_stream() -> None:
    peer, second = joined()
    start = second.nxt
    second.send(dss=peer.dss(1, start, b"genuine!"))
    answers = second.send(dss=peer.dss(5, start, b"genuine!"))
    assert peer.script.host.counters.dss_not_matching == 1
    assert [one.flow for one in resets(answers)] == [second.path.flow_in()]
    assert not peer.connection.subflows[1].alive
    assert unharmed(peer)


def test_the_same_octets_twice_in_one_place_are_no_attack() -> None:
    peer, second = joined()
    start = second.nxt
    for _ in range(3):
        assert resets(second.send(dss=peer.dss(1, start, b"genuine!"))) == []
    peer.data(b"genuine!", flow=second)
    assert peer.script.read(peer.id) == b"genuine!"


@pytest.mark.parametrize("copy", [b"a forger", b"genuine!"])
def test_octets_that_came_first_are_kept(copy: bytes) -> None:
    """Else an attacker on a slow path could change what a fast one delivered."""
    peer, second = joined()
    peer.first.send(ACK, b"uine!", dss=peer.dss(4, peer.first.nxt, b"uine!"))
    second.send(ACK, copy, dss=peer.dss(1, second.nxt, copy))
    assert peer.script.read(peer.id) == copy[:3] + b"uine!"
    assert peer.script.host.counters.duplicate_data == 1


@pytest.mark.rfc("6181", "5", "T-6181-8")
@pytest.mark.parametrize("guess", [FAR, None], ids=["guessed", "right"])
def test_the_end_of_the_stream_cannot_be_guessed(guess: int | None) -> None:
    """One that is believed would keep the true one from being heard: the stream would never end."""
    peer, second = joined()
    second.send(dss=peer.dss(peer.dsn if guess is None else guess, 0, b"", fin=True))
    assert (peer.connection.receiver.fin_at >= 0) == (guess is None)
    if guess is not None:
        peer.data(b"all", fin=True)
        assert peer.script.read(peer.id) == b"all"
    assert peer.script.read(peer.id) == b""


@pytest.mark.parametrize("ahead", [5, 10, 11, FAR])
def test_a_data_ack_for_what_was_not_sent_is_ignored_and_one_for_what_was_loses_nothing(
    ahead: int,
) -> None:
    """The subflow delivers what it took whatever another path says of it."""
    peer, second = joined()
    sent = peer.script.write(peer.id, b"0123456789")
    (carrier,) = {one.flow for one in sent}
    forged = peer.ack()
    forged.data_ack = wrap64(1 + ahead, peer.keys.remote_idsn)
    other = second if carrier == peer.first.path.flow_in() else peer.first
    other.send(dss=forged)
    believed = ahead <= 10
    assert peer.connection.sender.snd_una == (1 + ahead if believed else 1)
    again = [one for one in peer.script.wait(5 * SECOND) if one.flow == carrier]
    assert payload(again)[:10] == b"0123456789"


@pytest.mark.rfc("8684", "5", "M8684-5-01")
@pytest.mark.parametrize("known", [True, False], ids=["right keys", "wrong keys"])
def test_the_mapping_of_the_first_data_counts_with_both_keys_only(known: bool) -> None:
    """It needs no DSN, so that the keys are all that a guess would have to get right."""
    peer = MpPeer()
    peer.data(b"true and ")
    option = MpCapableData(
        sender_key=KEY,
        receiver_key=peer.keys.remote if known else bytes(8),
        length=15,
        checksum=NO_CHECKSUM,
    )
    peer.first.send(ACK, b"forged", options=[option])
    assert peer.script.read(peer.id) == b"true and " + b"forged" * known


@pytest.mark.parametrize("paths", [1, 2])
@pytest.mark.parametrize("lie", ["MP_FAIL", "infinite mapping"])
def test_going_back_to_tcp_is_not_to_be_had_on_two_paths(lie: str, paths: int) -> None:
    """On one path it is what the RFC asks for, and counted: a downgrade, not a change of data."""
    peer = MpPeer()
    flow = peer.first
    flow.send(dss=peer.ack())
    if paths == 2:
        flow = peer.join(PEER_2)
        flow.send(dss=peer.ack())
    if lie == "MP_FAIL":
        answers = flow.send(dss=peer.ack(), options=[MpFail(0)])
        assert peer.script.host.counters.mp_fail_rx == 1
        assert len(found(answers, MpFail)) == (paths == 1)
    else:
        flow.send(dss=Dss(MAPPING, 0, 0, 0, 0, NO_CHECKSUM))
        assert peer.script.host.counters.infinite_map_rx == 1
    assert (peer.connection.mode is Mode.TCP) == (paths == 1)
    assert bool(peer.connection.fallback_reason) == (paths == 1)
    if paths == 2:
        assert unharmed(peer)
    else:
        peer.first.send(ACK, b"unharmed")
        assert peer.script.read(peer.id) == b"unharmed"


@pytest.mark.rfc("8684", "3.3.4", "T-x-4")
def test_mappings_without_data_are_bounded() -> None:
    peer, second = joined()
    before = state(peer)
    for number in range(3 * MAX_MAPPINGS):
        second.send(dss=peer.dss(1 + 10 * number, second.nxt + 10 * number, b"ten octets"))
    assert len(peer.connection.subflows[1].mappings._mappings) == MAX_MAPPINGS
    assert state(peer) == before
    assert unharmed(peer)

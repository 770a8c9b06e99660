"""Opening under attack: SYN cookies, both queues of a listener, half-open joins."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import (
    BARE,
    HOST,
    KEY,
    PEER,
    PLAIN,
    PORT,
    UNCHECKED,
    Flow,
    MpPeer,
    Script,
    payload,
    resets,
)

from plait.errors import UsageError
from plait.host.events import Accepted
from plait.host.settings import Settings
from plait.host.syn_cookies import CANDIDATES, MAX_AGE, MINUTE
from plait.mptcp.keys import Keys
from plait.units import SECOND
from plait.wire.crypto import token
from plait.wire.mptcp.mp_capable import (
    CHECKSUM_REQUIRED,
    HMAC_SHA256,
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.option import Option
from plait.wire.segment import ACK, RST, SYN, Segment
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

ALWAYS = replace(PLAIN, syn_cookies="always")


def listening(settings: Settings) -> Script:
    script = Script(settings)
    script.host.listen(0, PORT)
    return script


def entries(script: Script) -> int:
    return len(script.host._connections.by_id)


# ---- SYN cookies


@pytest.mark.rfc("4987", "3.6", "B4987-01")
def test_a_cookie_keeps_nothing_until_it_comes_back() -> None:
    script = listening(ALWAYS)
    flow = script.flow()
    (answer,) = flow.send(SYN, options=[Mss(1000)])
    assert (answer.flags, flow.acked(answer)) == (SYN | ACK, 1)
    assert (entries(script), script.host.next_timeout()) == (0, None)
    flow.send(ACK, b"hello")
    assert script.heard(Accepted) == [Accepted(2, 1)]
    assert script.read(2) == b"hello"
    assert payload(script.write(2, bytes(5000))) == bytes(5000)
    tcp = script.connection(2).subflows[0].tcp
    assert tcp.sender.mss == 536  # the largest that a cookie tells and 1000 allows
    counters = script.host.counters
    assert (counters.syncookies_sent, counters.syncookies_recv) == (1, 1)


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@pytest.mark.parametrize("stamps", [True, False])
def test_options_survive_by_timestamps(stamps: bool) -> None:
    script = listening(replace(ALWAYS, timestamps=True))
    flow = script.flow()
    offer = [Mss(1460), SackPermitted(), WindowScale(5)]
    ts_val = 77 if stamps else -1
    flow.send(SYN, options=offer, ts_val=ts_val)
    flow.send(ACK, ts_val=ts_val, window=1000)
    tcp = script.connection(2).subflows[0].tcp
    assert (tcp.sack, tcp.timestamps.on) == (stamps, stamps)
    assert (tcp.sender.scale, tcp.sender.snd_wnd) == ((5, 32000) if stamps else (0, 1000))
    assert tcp.sender.mss == 1460 - (12 if stamps else 0)
    sent = script.write(2, b"x")
    assert all((one.ts_val - flow.sent[0].ts_val) % (1 << 32) < 128 for one in sent if stamps)


@pytest.mark.rfc("4987", "3.6", "B4987-01")
def test_cookies_only_when_needed() -> None:
    script = listening(replace(PLAIN, backlog=2))
    flows = [script.flow(local_port=port) for port in range(1000, 1200)]
    assert all(len(flow.send(SYN)) == 1 for flow in flows)
    assert entries(script) == 2
    counters = script.host.counters
    assert counters.syncookies_sent == counters.tcp_req_q_full_do_cookies == 198
    flows[-1].send(ACK, b"I am real")
    assert script.read(script.heard(Accepted)[0].connection_id) == b"I am real"
    assert entries(script) == 3


def test_forged_acks_are_not_even_looked_at_while_no_cookie_is_out() -> None:
    script = listening(PLAIN)
    assert resets(script.flow().send(ACK, seq=1, ack=1))
    assert script.host.counters.syncookies_failed == 0


WAITS = {
    "at once": (0, True),
    "in the next minute": (2 * MINUTE - SECOND, True),
    "two minutes on": (2 * MINUTE, False),
    "when no cookie is out": (MAX_AGE + MINUTE, False),
}


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@pytest.mark.parametrize(("wait", "good"), WAITS.values(), ids=WAITS.keys())
def test_a_cookie_expires(wait: int, good: bool) -> None:
    script = listening(ALWAYS)
    flow = script.flow()
    flow.send(SYN)
    script.wait(wait)
    answers = flow.send(ACK)
    assert len(script.heard(Accepted)) == good
    assert bool(resets(answers)) is not good


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@pytest.mark.parametrize(("seq", "ack"), [(1, 2), (2, 1), (1, 1 << 31)])
def test_a_wrong_cookie_is_reset(seq: int, ack: int) -> None:
    script = listening(ALWAYS)
    flow = script.flow()
    flow.send(SYN)
    assert resets(flow.send(ACK, seq=seq, ack=ack))
    assert script.host.counters.syncookies_failed == 1
    assert entries(script) == 0


def offer(flow: Flow, flags: int = HMAC_SHA256) -> bytes:
    """Send a SYN with MP_CAPABLE and return the key of the answer, empty if it has none."""
    (answer,) = flow.send(SYN, options=[MpCapableSyn(flags=flags)], seq=0)
    keys = [one.sender_key for one in answer.options if isinstance(one, MpCapableSynAck)]
    return keys[0] if keys else b""


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-13")
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
@pytest.mark.parametrize("data", [b"", b"first"], ids=["ACK", "data"])
def test_the_key_of_a_stateless_answer_is_recognized(right: bool, data: bytes) -> None:
    script = listening(replace(UNCHECKED, syn_cookies="always"))
    flow = script.flow()
    key = offer(flow)
    assert len(key) == 8
    assert not script.host._connections.by_token
    echoed = key if right else KEY
    option: Option = (
        MpCapableData(sender_key=KEY, receiver_key=echoed, length=len(data))
        if data
        else MpCapableAck(sender_key=KEY, receiver_key=echoed)
    )
    flow.send(ACK, data, options=[option])
    info = script.host.info(2)
    assert info.is_mptcp is right
    assert info.token == (token(key) if right else None)
    if data:
        assert script.read(2) == data


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-13")
@pytest.mark.parametrize("flags", [HMAC_SHA256, HMAC_SHA256 | CHECKSUM_REQUIRED])
def test_a_wish_for_checksums_survives(flags: int) -> None:
    script = listening(replace(UNCHECKED, syn_cookies="always"))
    flow = script.flow()
    key = offer(flow, flags)
    flow.send(ACK, options=[MpCapableAck(flags=flags, sender_key=KEY, receiver_key=key)])
    assert script.host.info(2).csum_enabled is bool(flags & CHECKSUM_REQUIRED)


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-14")
@pytest.mark.parametrize("collisions", range(CANDIDATES + 1))
def test_a_token_in_use_means_another_key_or_none(collisions: int) -> None:
    script = listening(replace(UNCHECKED, syn_cookies="always"))
    flow = script.flow()
    known = script.host._connections.by_token
    other = MpPeer(UNCHECKED).script
    entry = next(iter(other.host._connections.by_id.values()))
    used = []
    for _ in range(collisions):
        key = offer(flow)
        used.append(key)
        known[token(key)] = entry
    key = offer(flow)
    assert key not in used
    assert bool(key) is (collisions < CANDIDATES)
    assert script.host.counters.mp_fallback_token_init == (collisions == CANDIDATES)
    if key:
        flow.send(ACK, options=[MpCapableAck(sender_key=KEY, receiver_key=key)], seq=1)
        assert script.host.info(2).is_mptcp


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-14")
def test_a_token_taken_while_the_cookie_was_out_means_plain_tcp() -> None:
    script = listening(replace(UNCHECKED, syn_cookies="always"))
    flow = script.flow()
    key = offer(flow)
    entry = next(iter(MpPeer(UNCHECKED).script.host._connections.by_id.values()))
    script.host._connections.by_token[token(key)] = entry
    flow.send(ACK, options=[MpCapableAck(sender_key=KEY, receiver_key=key)])
    assert not script.host.info(2).is_mptcp
    assert script.host._connections.by_token[token(key)] is entry


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-09")
def test_stateless_keys_differ() -> None:
    script = listening(replace(UNCHECKED, syn_cookies="always"))
    keys = [offer(script.flow(local_port=port)) for port in range(1, 200)]
    assert len(set(keys)) == len(keys)
    assert len({Keys(key).local_token for key in keys}) == len(keys)


# ---- the accept queue


def quietly(script: Script, segments: list[Segment]) -> list[Segment]:
    """Give the host segments in one burst and return the answers; no event is taken."""
    script.host.receive(script.now, segments)
    out = []
    while batch := script.host.transmit(script.now):
        out += batch
    for segment in out:
        script.flows[segment.flow].note(segment)
    return out


@pytest.mark.parametrize("cookies", ["never", "always"])
@pytest.mark.parametrize("burst", [True, False], ids=["one burst", "one by one"])
def test_connections_that_nobody_takes_are_bounded(cookies: str, burst: bool) -> None:
    script = listening(replace(PLAIN, backlog=3, syn_cookies=cookies))
    flows = [script.flow(local_port=port) for port in range(1000, 1004)]
    for flow in flows[:3]:
        quietly(script, [flow.segment(SYN)])
    thirds = [flow.segment(ACK) for flow in flows[:3]]
    for batch in [thirds] if burst else [[one] for one in thirds]:
        quietly(script, batch)
    listener = script.host._listeners.get(1)
    assert listener is not None
    assert (listener.waiting, len(listener.opening)) == (3, 0)
    assert quietly(script, [flows[3].segment(SYN, seq=0)]) == []
    assert script.host.counters.listen_overflows == 1
    assert script.host.counters.listen_drops == 1
    script.events += script.host.take_events()
    assert len(script.heard(Accepted)) == 3
    assert len(flows[3].send(SYN, seq=0)) == 1


def test_a_third_ack_too_many_is_left_unheard_and_comes_again() -> None:
    script = listening(replace(PLAIN, backlog=2, syn_cookies="never"))
    first, second, third = (script.flow(local_port=port) for port in (1000, 1001, 1002))
    quietly(script, [first.segment(SYN), second.segment(SYN)])
    quietly(script, [first.segment(ACK)])
    quietly(script, [third.segment(SYN)])
    quietly(script, [second.segment(ACK)])
    quietly(script, [third.segment(ACK, b"patience")])
    assert script.host.counters.listen_overflows == 1
    script.events += script.host.take_events()
    assert len(script.heard(Accepted)) == 2
    again = script.wait(SECOND)
    assert [one.flags for one in again] == [SYN | ACK]
    third.send(ACK, b"patience", seq=1)
    accepted = script.heard(Accepted)
    assert len(accepted) == 3
    assert script.read(accepted[-1].connection_id) == b"patience"


def test_a_rst_is_heard_even_then() -> None:
    script = listening(replace(PLAIN, backlog=1, syn_cookies="never"))
    first, second = (script.flow(local_port=port) for port in (1000, 1001))
    quietly(script, [first.segment(SYN)])
    quietly(script, [first.segment(ACK)])
    script.events += script.host.take_events()
    quietly(script, [second.segment(SYN)])
    listener = script.host._listeners.get(1)
    assert listener is not None
    listener.waiting = 1
    quietly(script, [second.segment(RST)])
    assert entries(script) == 1


# ---- joins


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-25")
@pytest.mark.rfc("8684", "5", "M8684-5-01")
def test_half_open_joins_are_bounded() -> None:
    peer = MpPeer(replace(UNCHECKED, max_half_open_joins=2))
    opened = [peer.join_syn(port=port) for port in range(5000, 5004)]
    assert [one[1][0].flags & RST for one in opened] == [0, 0, RST, RST]
    assert peer.script.host.counters.mp_join_rejected == 2
    flow, (answer,) = opened[0]
    flow.send(options=[peer.join_ack(flow, answer)])
    assert not peer.join_syn(port=6000)[1][0].flags & RST


# ---- data given to connect


def test_more_data_than_the_send_buffer_holds_is_refused() -> None:
    script = Script(replace(BARE, send_buffer=1000))
    with pytest.raises(UsageError, match="send buffer"):
        script.host.connect(0, PEER, PORT, data=bytes(1001))
    assert entries(script) == 0


def test_without_fast_open_data_follows_the_handshake() -> None:
    script = Script(PLAIN)
    script.host.connect(0, PEER, PORT, local=HOST, data=b"hello")
    (syn,) = script.turn()
    assert (syn.length, syn.options) == (0, (Mss(1460), SackPermitted(), WindowScale(7)))
    assert payload(script.flows[syn.flow].send(SYN | ACK)) == b"hello"

"""Fast Open in both roles on plain TCP (RFC 7413)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import BARE, HOST, PEER, PLAIN, PORT, Flow, Script, payload

from plait.host.events import Accepted, Established, LossReason, Readable
from plait.host.fast_open import HOLD, KEY_LIFE, PAUSE
from plait.host.settings import Settings
from plait.units import SECOND
from plait.wire.mptcp.mp_capable import MpCapableSyn
from plait.wire.packing import option_length
from plait.wire.segment import ACK, FIN, RST, SYN, Segment
from plait.wire.tcp_options import FastOpen, Mss

FAST = replace(PLAIN, fast_open="both")
COOKIE = b"8octets!"
DATA = b"abcdefghij"


def cookie_on(segment: Segment) -> bytes | None:
    """Return the cookie of a segment, None if it has no option."""
    found = [one.cookie for one in segment.options if isinstance(one, FastOpen)]
    return found[0] if found else None


# ---- the initiator


def begin(script: Script, data: bytes = DATA) -> tuple[Flow, Segment]:
    """Connect with data and return the flow and the SYN."""
    script.host.connect(script.now, PEER, PORT, data=data)
    (syn,) = script.turn()
    return script.flows[syn.flow], syn


def acquainted(settings: Settings = FAST, *, cookie: bytes = COOKIE, mss: int = 1460) -> Script:
    """Return a host that knows the cookie of the peer."""
    script = Script(settings)
    flow, _ = begin(script)
    flow.send(SYN | ACK, ack=1, options=[Mss(mss), FastOpen(cookie)])
    return script


@pytest.mark.rfc("7413", "4.2.1", "B7413-01")
def test_the_first_syn_asks_and_the_second_pays() -> None:
    script = Script(FAST)
    flow, syn = begin(script)
    assert (cookie_on(syn), syn.length) == (b"", 0)
    sent = flow.send(SYN | ACK, ack=1, options=[FastOpen(COOKIE)])
    assert payload(sent) == DATA
    flow, syn = begin(script)
    assert (cookie_on(syn), payload([syn])) == (COOKIE, DATA)


@pytest.mark.rfc("7413", "4.2.1", "B7413-01")
@pytest.mark.parametrize("acked", range(len(DATA) + 1))
def test_what_the_syn_ack_leaves_out_is_sent_again(acked: int) -> None:
    script = acquainted()
    flow, _ = begin(script, DATA)
    script.host.write(0, 2, b"klm")
    sent = flow.send(SYN | ACK, ack=1 + acked)
    assert payload(sent) == (DATA + b"klm")[acked:]
    assert [flow.position(one) for one in sent if one.length] == [1 + acked]
    assert script.heard(Established)[-1] == Established(2)
    flow.send(ACK, ack=1 + len(DATA) + 3)
    assert payload(script.write(2, b"more")) == b"more"
    info = script.host.info(2)
    assert info.bytes_sent == len(DATA) + 7
    counters = script.host.counters
    assert (counters.tcp_fast_open_active, counters.tcp_fast_open_active_fail) == (
        (1, 0) if acked else (0, 1)
    )


@pytest.mark.parametrize("ack", [0, len(DATA) + 2])
def test_an_ack_of_more_or_less_is_reset(ack: int) -> None:
    script = acquainted()
    flow, _ = begin(script)
    (answer,) = flow.send(SYN | ACK, ack=ack)
    assert answer.flags == RST


@pytest.mark.rfc("9293", "3.10.7.3", "B9293-20")
def test_a_refusal_may_acknowledge_the_data() -> None:
    script = acquainted()
    flow, _ = begin(script)
    flow.send(RST | ACK, ack=1 + len(DATA))
    assert script.endings() == [LossReason.REFUSED]


@pytest.mark.rfc("7413", "4.1.3.1", "B7413-01")
@pytest.mark.parametrize("known", [True, False], ids=["with cookie", "asking"])
def test_a_syn_that_was_lost_goes_again_without_and_the_path_is_spared(known: bool) -> None:
    script = acquainted() if known else Script(FAST)
    flow, first = begin(script)
    (again,) = (one for one in script.wait(SECOND) if one.flags & SYN)
    assert (again.flags, again.seq) == (SYN, first.seq)
    assert (cookie_on(again), again.length) == (None, 0)
    assert payload(flow.send(SYN | ACK, ack=1)) == DATA
    assert script.host.counters.tcp_fast_open_blackhole == 1
    _, plain = begin(script)
    assert (cookie_on(plain), plain.length) == (None, 0)
    script.now += PAUSE
    _, later = begin(script)
    assert cookie_on(later) == (COOKIE if known else b"")


@pytest.mark.rfc("7413", "4.2.1", "B7413-01")
def test_a_late_answer_may_still_acknowledge_the_first_syns_data() -> None:
    script = acquainted()
    flow, _ = begin(script)
    script.wait(SECOND)
    assert payload(flow.send(SYN | ACK, ack=1 + 4, options=[FastOpen(COOKIE)])) == DATA[4:]
    assert script.host.counters.tcp_fast_open_blackhole == 0


@pytest.mark.rfc("7413", "4.1.3", "B7413-01")
@pytest.mark.parametrize("mss", [600, 1460, 9000])
def test_data_on_the_syn_fits_the_segment_size_cached(mss: int) -> None:
    script = acquainted(mss=mss)
    flow, syn = begin(script, bytes(5000))
    assert syn.length == min(mss, 1460) - option_length(syn)
    sent = flow.send(SYN | ACK, ack=1 + syn.length)
    assert len(payload(sent)) == 5000 - syn.length


@pytest.mark.rfc("8684", "B.1", "M8684-B.1-01")
@pytest.mark.parametrize("octets", [4, 8, 12, 14, 16])
def test_a_cookie_without_room_beside_mp_capable_is_left_out(octets: int) -> None:
    settings = replace(BARE, fast_open="client", timestamps=True)
    script = acquainted(settings, cookie=bytes(octets))
    _, syn = begin(script)
    assert any(isinstance(one, MpCapableSyn) for one in syn.options)
    assert option_length(syn) <= 40
    fits = octets <= 14
    assert (cookie_on(syn), payload([syn])) == ((bytes(octets), DATA) if fits else (None, b""))


@pytest.mark.rfc("7413", "4.1.3", "B7413-01")
def test_cookies_remembered_are_bounded() -> None:
    script = Script(replace(FAST, fast_open_cache=1), addresses=(HOST,))
    flow, _ = begin(script)
    flow.send(SYN | ACK, ack=1, options=[FastOpen(COOKIE)])
    script.host.connect(0, HOST, PORT)
    (syn,) = script.turn()
    script.flows[syn.flow].send(SYN | ACK, ack=1, options=[FastOpen(COOKIE)])
    assert cookie_on(begin(script)[1]) == b""


@pytest.mark.parametrize("role", ["no", "server"])
def test_initiators_use_it_only_if_told(role: str) -> None:
    _, syn = begin(Script(replace(PLAIN, fast_open=role)))
    assert (cookie_on(syn), syn.length) == (None, 0)


def test_crossing_syns_deliver_no_data() -> None:
    script = acquainted()
    flow, _ = begin(script)
    (answer,) = flow.send(SYN, b"theirs", options=[FastOpen(COOKIE)], seq=0)
    assert (answer.flags, flow.acked(answer), answer.length) == (SYN | ACK, 1, 0)
    flow.send(SYN | ACK, seq=0, ack=1)
    assert payload(flow.sent[1:]) + payload(script.turn()) == DATA
    flow.send(ACK, b"theirs", seq=1)
    assert script.read(2) == b"theirs"


# ---- the listener


def listening(settings: Settings = FAST) -> tuple[Script, bytes]:
    """Return a host that listens, and its cookie for the peer."""
    script = Script(settings)
    script.host.listen(0, PORT)
    flow = script.flow(local_port=999)
    (answer,) = flow.send(SYN, options=[FastOpen()])
    cookie = cookie_on(answer)
    flow.send(RST, seq=1)
    return script, cookie or b""


def knock(script: Script, cookie: bytes, data: bytes = DATA, port: int = 40000) -> tuple[Flow, int]:
    """Send a SYN with cookie and data; return the flow and how much data was acknowledged."""
    flow = script.flow(local_port=port)
    answer = flow.send(SYN, data, options=[FastOpen(cookie)], seq=0)[0]
    assert answer.flags == SYN | ACK
    return flow, flow.acked(answer) - 1


@pytest.mark.rfc("7413", "4.2.2", "B7413-01")
def test_data_with_a_cookie_is_read_before_the_third_ack() -> None:
    script, cookie = listening()
    flow, acked = knock(script, cookie)
    assert acked == len(DATA)
    connection_id = script.heard(Accepted)[0].connection_id
    assert script.heard(Readable)
    assert script.read(connection_id) == DATA
    flow.send(ACK, b" and more", seq=1 + len(DATA))
    assert script.read(connection_id) == b" and more"
    assert script.host.info(connection_id).bytes_received == len(DATA) + 9
    assert script.host.counters.tcp_fast_open_passive == 1


@pytest.mark.rfc("7413", "4.2.2", "B7413-01")
def test_the_answer_leaves_before_the_third_ack() -> None:
    script, cookie = listening()
    flow, _ = knock(script, cookie)
    connection_id = script.heard(Accepted)[0].connection_id
    sent = script.write(connection_id, b"answer")
    assert [(one.flags & ACK, flow.position(one), payload([one])) for one in sent] == [
        (ACK, 1, b"answer")
    ]
    flow.send(ACK)
    assert payload(script.close(connection_id)) == b""
    flow.send(ACK | FIN)
    assert script.read(connection_id) == DATA
    assert script.endings() == [None]


def test_an_answer_that_was_lost_comes_again_after_the_third_ack() -> None:
    script, cookie = listening()
    flow, _ = knock(script, cookie)
    script.write(script.heard(Accepted)[0].connection_id, b"answer")
    flow.send(ACK, ack=1)
    assert payload(script.wait(SECOND)).startswith(b"answer")


COOKIES = {
    "none in use": ("no", b"right", 0, None),
    "client only": ("client", b"right", 0, None),
    "asked for": ("server", b"", 0, 6),
    "right": ("server", b"right", len(DATA), None),
    "wrong": ("server", b"wrong!", 0, 6),
    "too long": ("server", bytes(16), 0, 6),
}


@pytest.mark.rfc("7413", "4.2.2", "B7413-01")
@pytest.mark.parametrize(("role", "cookie", "acked", "given"), COOKIES.values(), ids=COOKIES.keys())
def test_only_a_right_cookie_opens(role: str, cookie: bytes, acked: int, given: int | None) -> None:
    script, right = listening(replace(PLAIN, fast_open=role))
    flow, taken = knock(script, right or COOKIE if cookie == b"right" else cookie)
    assert taken == acked
    answered = cookie_on(flow.sent[-1])
    assert (None if answered is None else len(answered)) == given
    assert bool(script.heard(Accepted)) is bool(acked)
    if not acked:
        flow.send(ACK, DATA, seq=1)
        assert script.read(script.heard(Accepted)[0].connection_id) == DATA


AGES = {"this key": (0, True, False), "last key": (1, True, True), "older": (2, False, True)}


@pytest.mark.rfc("7413", "4.1.2", "B7413-01")
@pytest.mark.parametrize(("keys", "good", "renewed"), AGES.values(), ids=AGES.keys())
def test_a_cookie_expires(keys: int, good: bool, renewed: bool) -> None:
    script, cookie = listening()
    script.now = keys * KEY_LIFE
    flow, acked = knock(script, cookie)
    assert acked == (len(DATA) if good else 0)
    assert (cookie_on(flow.sent[-1]) is not None) is renewed
    assert cookie_on(flow.sent[-1]) != cookie


@pytest.mark.rfc("7413", "5.1", "B7413-02")
def test_requests_that_are_pending_are_bounded() -> None:
    script, cookie = listening(replace(FAST, fast_open_pending=2))
    one, _ = knock(script, cookie, port=1)
    two, _ = knock(script, cookie, port=2)
    assert knock(script, cookie, port=3)[1] == 0
    assert script.host.counters.tcp_fast_open_listen_overflow == 1
    one.send(ACK)
    assert knock(script, cookie, port=4)[1] == len(DATA)
    two.send(RST, seq=1 + len(DATA))
    assert script.endings()[-1] is LossReason.RESET
    assert knock(script, cookie, port=5)[1] == 0
    script.now += HOLD
    assert knock(script, cookie, port=6)[1] == len(DATA)


@pytest.mark.rfc("7413", "4.2.2", "B7413-01")
def test_a_syn_that_comes_again_delivers_nothing_twice() -> None:
    script, cookie = listening()
    flow, _ = knock(script, cookie)
    for data in (DATA, b""):
        (answer,) = flow.send(SYN, data, seq=0, options=[FastOpen(cookie)])
        assert (answer.flags, flow.acked(answer)) == (SYN | ACK, 1 + len(DATA))
    assert script.read(script.heard(Accepted)[0].connection_id) == DATA
    assert len(script.heard(Accepted)) == 1


def test_a_fin_on_the_syn_comes_again() -> None:
    script, cookie = listening()
    flow = script.flow()
    (answer,) = flow.send(SYN | FIN, DATA, options=[FastOpen(cookie)])
    assert flow.acked(answer) == 1 + len(DATA)
    flow.send(FIN | ACK, seq=1 + len(DATA))
    connection_id = script.heard(Accepted)[0].connection_id
    assert script.read(connection_id) == DATA
    assert script.read(connection_id) == b""


def test_without_a_third_ack_it_is_lost_in_the_end() -> None:
    script, cookie = listening()
    knock(script, cookie)
    script.wait(300 * SECOND)
    assert script.endings() == [LossReason.TIMED_OUT]
    assert not script.host._connections.by_id


def test_more_data_than_the_window_is_cut() -> None:
    script, cookie = listening(replace(FAST, receive_buffer=1000))
    _, acked = knock(script, cookie, bytes(1400))
    assert acked <= 1000
    assert len(script.read(script.heard(Accepted)[0].connection_id) or b"") == acked


# ---- data on a SYN without a cookie


@pytest.mark.rfc("9293", "3.10.7.2", "B9293-02")
@pytest.mark.parametrize("flags", [SYN, SYN | FIN])
def test_what_comes_with_a_syn_is_not_acknowledged_and_comes_again(flags: int) -> None:
    script = Script(PLAIN)
    script.host.listen(0, PORT)
    flow = script.flow()
    (answer,) = flow.send(flags, DATA)
    assert (answer.flags, flow.acked(answer)) == (SYN | ACK, 1)
    flow.send(ACK, DATA, seq=1)
    assert script.read(2) == DATA

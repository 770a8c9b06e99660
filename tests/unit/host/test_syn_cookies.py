"""SYN cookies: what they tell, to whom and for how long (RFC 4987, 3.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.host.settings import Settings
from plait.host.syn_cookies import CANDIDATES, MINUTE, SIZES, SynCookies, answer_syn, restore_syn
from plait.tcp.timestamps import clock
from plait.wire.option import Option
from plait.wire.segment import ABSENT, ACK, SYN, Segment
from plait.wire.seq import MASK32
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

COOKIES = SynCookies(b"secret")
flows = st.binary(min_size=12, max_size=12) | st.binary(min_size=36, max_size=36)
uint32 = st.integers(0, MASK32)
times = st.integers(0, 1 << 60)


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@given(times, flows, uint32, st.integers(0, 65535), st.integers(0, 3 * MINUTE))
def test_a_cookie_tells_the_segment_size_for_a_while(
    now: int, flow: bytes, irs: int, announced: int, age: int
) -> None:
    cookie = COOKIES.make(now, flow, irs, announced)
    told = COOKIES.check(now + age, flow, irs, cookie)
    if (now + age) // MINUTE - now // MINUTE > 1:
        assert told is None
    else:
        assert told == max([size for size in SIZES if size <= announced], default=SIZES[0])


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@given(times, flows, uint32, st.integers(1, MASK32))
def test_a_cookie_is_good_for_one_flow_isn_and_secret(
    now: int, flow: bytes, irs: int, change: int
) -> None:
    cookie = COOKIES.make(now, flow, irs, 1460)
    other = bytes([flow[0] ^ 1]) + flow[1:]
    assert COOKIES.check(now, flow, irs, cookie ^ change) is None
    assert COOKIES.check(now, other, irs, cookie) is None
    assert COOKIES.check(now, flow, irs ^ change, cookie) is None
    assert SynCookies(b"other").check(now, flow, irs, cookie) is None


@pytest.mark.rfc("6528", "3", "B6528-01")
def test_cookies_of_neighbors_tell_nothing_of_each_other() -> None:
    made = [COOKIES.make(0, bytes(10) + port.to_bytes(2, "big"), 7, 1460) for port in range(4096)]
    assert len({cookie >> 8 for cookie in made}) > 4080
    ones = [sum(cookie >> bit & 1 for cookie in made) for bit in range(8, 32)]
    assert all(1850 < count < 2250 for count in ones)


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-13")
def test_keys_follow_from_flow_isn_and_secret() -> None:
    flow = bytes(12)
    keys = list(COOKIES.keys(flow, 7))
    assert len(set(keys)) == CANDIDATES
    assert list(COOKIES.keys(flow, 7)) == keys
    for others in (
        COOKIES.keys(bytes(11) + b"\1", 7),
        COOKIES.keys(flow, 8),
        SynCookies(b"other").keys(flow, 7),
    ):
        assert not set(others) & set(keys)


OFFERS: dict[str, list[Option]] = {
    "nothing": [],
    "SACK": [SackPermitted()],
    "scale 0": [WindowScale(0)],
    "scale 14, SACK": [WindowScale(14), SackPermitted()],
    "scale 7": [WindowScale(7)],
}


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
@given(now=times, iss=uint32)
def test_timestamps_tell_what_the_syn_offered(offer: list[Option], now: int, iss: int) -> None:
    syn = Segment(bytes(12), 100, 0, SYN, 65535)
    syn.ts_val = 5
    syn.options = tuple(offer)
    answer = answer_syn(now, syn, iss, 1460, Settings(), ())
    behind = (clock(now, iss) - answer.ts_val) & MASK32
    assert behind < 128
    assert (answer.flags, answer.seq, answer.ack, answer.ts_ecr) == (SYN | ACK, iss, 101, 5)
    third = Segment(bytes(12), 101, (iss + 1) & MASK32, ACK, 65535)
    third.ts_val, third.ts_ecr = 6, answer.ts_val
    restored = restore_syn(third, 1460, ())
    assert restored.seq == 100
    assert {*restored.options} == {Mss(1460), *offer}


@pytest.mark.rfc("4987", "3.6", "B4987-01")
@pytest.mark.parametrize("timestamps", [False, True])
def test_without_timestamps_scale_and_sack_are_given_up(timestamps: bool) -> None:
    syn = Segment(bytes(12), 100, 0, SYN, 65535)
    syn.ts_val = ABSENT if timestamps else 5
    syn.options = (SackPermitted(), WindowScale(7))
    answer = answer_syn(0, syn, 9, 1460, Settings(timestamps=timestamps), ())
    assert answer.options == (Mss(1460),)
    assert answer.ts_val == ABSENT
    third = Segment(bytes(12), 101, 10, ACK, 65535)
    assert restore_syn(third, 536, ()).options == (Mss(536),)

"""Fast Open cookies: made, judged, counted and cached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.host.fast_open import (
    COOKIE_OCTETS,
    HOLD,
    KEY_LIFE,
    CookieCache,
    CookieMaker,
    Pending,
    Worth,
)

HERE = bytes([10, 0, 1, 2])
times = st.integers(0, 1000 * KEY_LIFE)


@pytest.mark.rfc("7413", "4.1.2", "B7413-01")
@given(times, st.integers(0, 3 * KEY_LIFE), st.binary(min_size=4, max_size=16))
def test_a_cookie_ages(now: int, age: int, source: bytes) -> None:
    maker = CookieMaker(b"secret")
    worth = maker.judge(now + age, source, maker.make(now, source))
    keys = (now + age) // KEY_LIFE - now // KEY_LIFE
    assert worth is (Worth.VALID, Worth.OLD, Worth.WRONG, Worth.WRONG)[keys]


@pytest.mark.rfc("7413", "4.1.2", "B7413-01")
@given(times, st.binary(min_size=4, max_size=16))
def test_a_cookie_is_good_for_one_address_and_one_secret(now: int, source: bytes) -> None:
    maker = CookieMaker(b"secret")
    cookie = maker.make(now, HERE)
    assert maker.judge(now, source, cookie) is (Worth.VALID if source == HERE else Worth.WRONG)
    assert CookieMaker(b"other").judge(now, HERE, cookie) is Worth.WRONG
    assert maker.judge(now, HERE, bytes(COOKIE_OCTETS)) is Worth.WRONG


@pytest.mark.rfc("7413", "4.1.1", "B7413-01")
def test_the_length_is_one_that_initiators_take() -> None:
    cookie = CookieMaker(b"secret").make(0, HERE)
    assert len(cookie) == COOKIE_OCTETS
    assert 4 <= COOKIE_OCTETS <= 16
    assert COOKIE_OCTETS % 2 == 0


@pytest.mark.rfc("7413", "5.1", "B7413-02")
def test_a_request_that_was_reset_counts_for_a_while() -> None:
    pending = Pending()
    for number in range(3):
        pending.add(number)
    pending.discard(0, 0, reset=False)
    assert pending.count(0) == 2
    pending.discard(0, 1, reset=True)
    pending.discard(0, 1, reset=True)
    pending.discard(0, 9, reset=True)
    assert pending.count(HOLD - 1) == 2
    assert pending.count(HOLD) == 1


@pytest.mark.rfc("7413", "4.1.3", "B7413-01")
def test_the_pair_least_recently_used_makes_room() -> None:
    cache = CookieCache(2)
    cache.learn(b"one", b"1111", 1000)
    cache.learn(b"two", b"2222", 1000)
    assert cache.find(b"one") is not None
    cache.pause(b"three", 9)
    assert len(cache) == 2
    assert cache.find(b"two") is None
    known = cache.find(b"one")
    assert known is not None
    assert (known.cookie, known.mss, known.paused_until) == (b"1111", 1000, 0)

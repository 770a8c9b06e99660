from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli.perf_protocol import MESSAGE, Request, parse_result, serialize_result
from plait.errors import DecodeError

amounts = st.integers(0, 2**64 - 1)


@given(reverse=st.booleans(), timed=st.booleans(), amount=amounts)
def test_requests_come_back(reverse: bool, timed: bool, amount: int) -> None:
    request = Request(
        reverse=reverse,
        octets=None if timed else amount,
        milliseconds=amount if timed else None,
    )
    assert len(request.serialize()) == MESSAGE
    assert Request.parse(request.serialize()) == request


def test_the_form_of_a_request() -> None:
    request = Request(reverse=True, milliseconds=10_000)
    assert request.serialize() == bytes.fromhex("706c5066 01 01 01 00 0000000000002710")


@given(octets=amounts)
def test_results_come_back(octets: int) -> None:
    assert parse_result(serialize_result(octets)) == octets


GOOD = Request(reverse=False, octets=5).serialize()


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.1\r\n", GOOD[:4] + b"\2" + GOOD[5:], GOOD[:5] + b"\2" + GOOD[6:]],
    ids=["another protocol", "another version", "another direction"],
)
def test_what_is_no_request_is_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        Request.parse(octets)


@pytest.mark.parametrize("message", [b"", GOOD, serialize_result(5)[:-1], serialize_result(5) * 2])
def test_what_is_no_result_is_refused(message: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_result(message)

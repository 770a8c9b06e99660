"""Keys: both ends compute the same proofs, and nobody else does."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.mptcp.keys import Keys

keys = st.binary(min_size=8, max_size=8)
nonces = st.integers(0, (1 << 32) - 1)


def ends(one: bytes, other: bytes, version: int = 1) -> tuple[Keys, Keys]:
    """Return what either end knows after the handshake."""
    left, right = Keys(one, version), Keys(other, version)
    left.learn(other)
    right.learn(one)
    return left, right


@pytest.mark.parametrize("version", [0, 1])
@given(one=keys, other=keys)
def test_what_is_local_here_is_remote_there(version: int, one: bytes, other: bytes) -> None:
    left, right = ends(one, other, version)
    assert (left.local_token, left.local_idsn) == (right.remote_token, right.remote_idsn)
    assert (right.local_token, right.local_idsn) == (left.remote_token, left.remote_idsn)


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-18")
@given(one=keys, other=keys, near=nonces, far=nonces)
def test_each_end_expects_what_the_other_sends(
    one: bytes, other: bytes, near: int, far: int
) -> None:
    left, right = ends(one, other)
    assert right.expected_hmac(far, near) == left.sent_hmac(near, far)
    assert left.expected_hmac(near, far) == right.sent_hmac(far, near)
    if (one, near) != (other, far):
        assert left.sent_hmac(near, far) != right.sent_hmac(far, near)


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-09")
@given(one=keys, other=keys, address_id=st.integers(0, 255), port=st.integers(0, 65535))
def test_advertisements_are_proved_by_the_sender(
    one: bytes, other: bytes, address_id: int, port: int
) -> None:
    left, right = ends(one, other)
    address = ip_address("192.0.2.1")
    sent = left.advertising_hmac(address_id, address, port)
    assert right.advertised_hmac(address_id, address, port) == sent
    if one != other:
        assert left.advertised_hmac(address_id, address, port) != sent

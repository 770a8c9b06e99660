"""The datagrams of docs/udp-encapsulation.md, octet for octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.udp.format import (
    ACCEPT,
    CHALLENGE,
    CLOSE,
    CONTROL_OCTETS,
    INIT,
    PROOF,
    Control,
    is_control,
    is_keep_alive,
    keep_alive,
)
from plait.errors import DecodeError

SECRET = b"0123456789abcdef"
ID = bytes.fromhex("0102030405060708")
NONCE = bytes.fromhex("1112131415161718")
COOKIE = bytes.fromhex("202122232425262728292a2b2c2d2e2f")
TAKEN = bytes.fromhex("3132333435363738") + bytes(8)

HEAD = "0102030405060708 1112131415161718"
SHAPES = {
    "INIT": (
        Control(type=INIT, initiator_id=ID, nonce=NONCE),
        f"00000000 01 01 0000 {HEAD} 00000000000000000000000000000000",
    ),
    "CHALLENGE": (
        Control(type=CHALLENGE, initiator_id=ID, nonce=NONCE, body=COOKIE),
        f"00000000 01 02 0000 {HEAD} 202122232425262728292a2b2c2d2e2f",
    ),
    "PROOF": (
        Control(type=PROOF, initiator_id=ID, nonce=NONCE, body=COOKIE),
        f"00000000 01 03 0000 {HEAD} 202122232425262728292a2b2c2d2e2f",
    ),
    "ACCEPT": (
        Control(type=ACCEPT, initiator_id=ID, nonce=NONCE, body=TAKEN),
        f"00000000 01 04 0000 {HEAD} 31323334353637380000000000000000",
    ),
    "CLOSE": (
        Control(type=CLOSE, initiator_id=ID, body=TAKEN),
        "00000000 01 05 0000 0102030405060708 0000000000000000 31323334353637380000000000000000",
    ),
}


@pytest.mark.parametrize(("message", "octets"), SHAPES.values(), ids=SHAPES.keys())
def test_shape(message: Control, octets: str) -> None:
    made = message.serialize(SECRET)
    assert made[:-16] == bytes.fromhex(octets)
    assert len(made) == CONTROL_OCTETS
    assert Control.parse(made, SECRET) == message


def test_mac_is_hmac_sha_256_128_of_all_before_it() -> None:
    made = SHAPES["INIT"][0].serialize(SECRET)
    assert made[-16:] == bytes.fromhex("e730eb5007204aa46e57dc2aed7904b3")


BAD = {
    "short": lambda made: made[:-1],
    "long": lambda made: made + b"\0",
    "another secret": lambda made: Control.parse(made, SECRET).serialize(SECRET[::-1]),
    "version 2": lambda made: made[:4] + b"\2" + made[5:],
    "type 6": lambda made: made[:5] + b"\6" + made[6:],
    "reserved": lambda made: made[:7] + b"\1" + made[8:],
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD.keys())
def test_strangers_are_known(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(DecodeError):
        Control.parse(spoil(SHAPES["PROOF"][0].serialize(SECRET)), SECRET)


def test_an_id_that_looks_like_a_control_message_is_refused() -> None:
    made = Control(type=INIT, initiator_id=bytes(8)).serialize(SECRET)
    with pytest.raises(DecodeError):
        Control.parse(made, SECRET)


@given(bit=st.integers(0, CONTROL_OCTETS * 8 - 1))
def test_no_bit_can_be_changed(bit: int) -> None:
    made = bytearray(SHAPES["ACCEPT"][0].serialize(SECRET))
    made[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecodeError):
        Control.parse(bytes(made), SECRET)


@given(octets=st.binary(max_size=80))
def test_parsing_raises_nothing_else(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        Control.parse(octets, SECRET)


def test_keep_alives_are_no_control_messages_and_as_long() -> None:
    made = keep_alive(ID)
    assert made == ID + bytes(48)
    assert is_keep_alive(made)
    assert not is_control(made)
    assert not is_keep_alive(made[:-1])
    assert not is_keep_alive(made[:-1] + b"\1")

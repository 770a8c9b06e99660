from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.addresses import IpAddress
from plait.errors import DecodeError
from plait.script.frame import Frame, decode_frame, flags_of, letters_of
from plait.script.options import Option, decode_options, encode_options, show_option
from plait.wire.packet import parse_packet, serialize_packet
from plait.wire.segment import Segment

DATA = Path(__file__).parents[2] / "data"
VECTORS: dict[str, Any] = json.loads((DATA / "vectors.json").read_text())

_IP = 20
"""Octets of the IPv4 header, whose identification is not kept."""

V4 = (ip_address("10.0.0.1"), ip_address("10.0.0.2"))
V6 = (ip_address("fd00::1"), ip_address("fd00::2"))


@pytest.mark.parametrize("row", VECTORS["packets"], ids=lambda row: row["id"])
def test_packets_of_the_vectors_survive(row: dict[str, str]) -> None:
    octets = bytes.fromhex(row["octets"])
    frame = decode_frame(octets)
    assert frame is not None
    again = frame.encode()
    assert again[_IP:] == octets[_IP:]
    assert decode_frame(again) == frame


@pytest.mark.parametrize("row", VECTORS["options"], ids=lambda row: row["id"])
def test_options_of_the_vectors_survive(row: dict[str, str]) -> None:
    octets = bytes.fromhex(row["option"])
    (option, *padding) = decode_options(octets)
    assert all(one.name == "eol" for one in padding)
    assert encode_options([option])[: len(octets)] == octets
    assert show_option(option)


@pytest.mark.parametrize("row", VECTORS["malformed"], ids=lambda row: row["id"])
def test_malformed_options_are_kept_as_they_are(row: dict[str, str]) -> None:
    options = decode_options(bytes.fromhex(row["option"]))
    assert options[0].name in {"kind", "dss", "mpcapable", "mp_join_syn", "add_address"}


OPTION_LISTS: dict[str, list[Option]] = {
    "SYN": [
        Option("mss", {"value": 1460}),
        Option("sackOK"),
        Option("TS", {"val": 1, "ecr": 0}),
        Option("nop"),
        Option("wscale", {"shift": 7}),
    ],
    "SACK": [Option("nop"), Option("nop"), Option("sack", {"blocks": [(1, 2), (3, 4)]})],
    "Fast Open": [Option("FO", {"cookie": b"abcdef"})],
    "Fast Open, experimental": [Option("FOEXP", {"cookie": b"abcdef"})],
    "unknown": [Option("kind", {"kind": 77, "body": b"\1\2"})],
    "AccECN 0": [Option("ECN", {"counters": [("e0b", 1), ("ceb", 0), ("e1b", 1)]})],
    "AccECN 1": [Option("ECN", {"counters": [("e1b", 1), ("ceb", 70000)]})],
    "MD5": [Option("md5", {"digest": bytes(range(16))})],
}


@pytest.mark.parametrize("options", OPTION_LISTS.values(), ids=OPTION_LISTS.keys())
def test_option_lists(options: list[Option]) -> None:
    decoded = decode_options(encode_options(options))
    assert decoded[: len(options)] == options


@given(
    addresses=st.sampled_from([V4, V6]),
    numbers=st.tuples(*(st.integers(0, (1 << 32) - 1) for _ in range(2))),
    flags=st.integers(0, 0x3F),
    window=st.integers(0, 65535),
    payload=st.binary(max_size=50),
    options=st.sampled_from(list(OPTION_LISTS.values())),
    ecn=st.integers(0, 3),
)
def test_both_codecs_agree(
    addresses: tuple[IpAddress, IpAddress],
    numbers: tuple[int, int],
    flags: int,
    window: int,
    payload: bytes,
    options: list[Option],
    ecn: int,
) -> None:
    frame = Frame(
        source=addresses[0],
        destination=addresses[1],
        source_port=4000,
        destination_port=80,
        seq=numbers[0],
        ack=numbers[1],
        flags=flags,
        window=window,
        options=options,
        payload=payload,
        tos=ecn,
    )
    segment = parse_packet(frame.encode())
    assert isinstance(segment, Segment)
    assert (segment.seq, segment.ack) == numbers
    assert (segment.flags, segment.window, segment.ecn) == (flags, window, ecn)
    assert b"".join(bytes(piece) for piece in segment.payload) == payload
    seen = decode_frame(serialize_packet(segment))
    assert seen is not None
    assert (seen.path, seen.seq, seen.payload) == (frame.path, frame.seq, payload)


def test_a_wrong_checksum_is_an_error() -> None:
    octets = bytearray(
        Frame(source=V4[0], destination=V4[1], source_port=1, destination_port=2).encode()
    )
    octets[-1] ^= 1
    with pytest.raises(DecodeError, match="checksum"):
        decode_frame(bytes(octets))


def test_other_packets_are_none() -> None:
    octets = bytearray(
        Frame(source=V6[0], destination=V6[1], source_port=1, destination_port=2).encode()
    )
    octets[6] = 58
    assert decode_frame(bytes(octets)) is None


LETTERS = {"S": 2, "S.": 0x12, ".": 0x10, "FP.": 0x19, "SEW": 0xC2, "R": 4, "-": 0, "U.": 0x30}


@pytest.mark.parametrize(("letters", "bits"), LETTERS.items())
def test_flags(letters: str, bits: int) -> None:
    assert flags_of(letters) == bits
    assert letters_of(bits) == letters

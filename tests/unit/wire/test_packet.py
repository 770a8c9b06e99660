"""Whole packets: vectors, round trips and fuzz."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.cutting import packets
from plait.errors import DecodeError, UsageError
from plait.wire.checksum import fold, ones_sum
from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, DATA_FIN, DSN_8, MAPPING, Dss
from plait.wire.mptcp.mp_capable import (
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_tcprst import MPTCP_SPECIFIC, MpTcprst
from plait.wire.option import Option
from plait.wire.packet import (
    Packet,
    _parse_any,
    _parse_usual,
    _usual_headers,
    header_length,
    headers,
    ip_header,
    parse_packet,
    segment_header,
    serialize_packet,
)
from plait.wire.segment import ACK, PSH, RST, SYN, Marking, Segment
from plait.wire.tcp import serialize_tcp, tcp_header
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

DATA = Path(__file__).parents[2] / "data"
PACKETS = json.loads((DATA / "vectors.json").read_text())["packets"]
OCTETS = {row["id"]: bytes.fromhex(row["octets"]) for row in PACKETS}

TO_SERVER = bytes.fromhex("0a000001 0a000002 9c40 0050")
TO_CLIENT = bytes.fromhex("0a000002 0a000001 0050 9c40")
FLOW6 = bytes(range(32)) + bytes.fromhex("9c400050")
KEY_A, KEY_B = bytes.fromhex("0102030405060708"), bytes.fromhex("deadbeefcafebabe")
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
SYN_OPTIONS = (Mss(1460), SackPermitted(), WindowScale(7))
CHECKED = 0x81


def told(
    flow: bytes,
    numbers: tuple[int, int],
    flags: int,
    window: int,
    timestamps: tuple[int, int] | None,
    *options: Option,
    payload: bytes = b"",
) -> Segment:
    pieces = (payload,) if payload else ()
    segment = Segment(flow, *numbers, flags, window, pieces, len(payload))
    if timestamps:
        segment.ts_val, segment.ts_ecr = timestamps
    segment.options = options
    return segment


SEGMENTS = {
    "P1": told(
        TO_SERVER,
        (1000, 0),
        SYN,
        64240,
        (100, 0),
        *SYN_OPTIONS,
        MpCapableSyn(flags=CHECKED),
    ),
    "P2": told(
        TO_CLIENT,
        (5000, 1001),
        SYN | ACK,
        65160,
        (700, 100),
        *SYN_OPTIONS,
        MpCapableSynAck(flags=CHECKED, sender_key=KEY_B),
    ),
    "P3": told(
        TO_SERVER,
        (1001, 5001),
        ACK,
        502,
        (101, 700),
        MpCapableAck(flags=CHECKED, sender_key=KEY_A, receiver_key=KEY_B),
    ),
    "P4": told(
        TO_SERVER,
        (1001, 5001),
        PSH | ACK,
        502,
        (101, 700),
        MpCapableData(
            flags=CHECKED, sender_key=KEY_A, receiver_key=KEY_B, length=18, checksum=0xE7C6
        ),
        payload=REQUEST,
    ),
    "P5": told(
        bytes.fromhex("0a000002 0a000001 0050 9c41"),
        (0, 2001),
        RST | ACK,
        0,
        None,
        MpTcprst(MPTCP_SPECIFIC),
    ),
}


def test_every_vector_has_a_segment() -> None:
    assert SEGMENTS.keys() == OCTETS.keys()


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-01")
@pytest.mark.parametrize("name", SEGMENTS)
def test_vector(name: str) -> None:
    octets, segment = OCTETS[name], SEGMENTS[name]
    assert parse_packet(octets) == segment
    body = serialize_tcp(segment)
    assert ip_header(segment.flow, len(body), 0, identification=1) + body == octets


@pytest.mark.rfc("9293", "3.1", "B9293-01")
@pytest.mark.parametrize("name", OCTETS)
def test_every_flipped_bit_of_the_segment_is_noticed(name: str) -> None:
    octets = OCTETS[name]
    for bit in range(20 * 8, len(octets) * 8):
        damaged = bytearray(octets)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            parse_packet(bytes(damaged))


def sample(flow: bytes, payload: bytes) -> Segment:
    segment = Segment(flow, 1, 2, ACK, 3, (payload,) if payload else (), len(payload))
    segment.dss = Dss(13, 1, 2, 3, len(payload))
    segment.ts_val = 9
    segment.ecn = 2
    return segment


@given(
    flow=st.sampled_from([TO_SERVER, FLOW6]), payload=st.binary(max_size=99), padding=st.binary()
)
def test_packets_survive(flow: bytes, payload: bytes, padding: bytes) -> None:
    segment = sample(flow, payload)
    octets = serialize_packet(segment)
    assert parse_packet(octets + padding) == segment
    assert parse_packet(memoryview(octets)) == segment


@given(flow=st.sampled_from([TO_SERVER, FLOW6]), payload=st.binary(max_size=99))
def test_headers_leave_the_checksum_to_the_kernel(flow: bytes, payload: bytes) -> None:
    segment = sample(flow, payload)
    head = headers(segment)
    assert len(head) == header_length(segment)
    assert parse_packet(head + payload, checksum_valid=True) == segment
    # What a kernel does with NEEDS_CSUM: sum from the TCP header on, put in the complement.
    at = len(head) - len(serialize_tcp(segment)) + len(payload)
    complete = fold(ones_sum(head[at:] + payload)) ^ 0xFFFF
    finished = head[: at + 16] + complete.to_bytes(2, "big") + head[at + 18 :] + payload
    assert finished == serialize_packet(segment)


@given(
    flow=st.sampled_from([TO_SERVER, FLOW6]),
    tos=st.integers(0, 63).map(lambda dscp: dscp << 2),
    ttl=st.integers(1, 255),
    length=st.integers(0, 200),
)
def test_marks_are_in_the_header_of_every_packet(
    flow: bytes, tos: int, ttl: int, length: int
) -> None:
    segment = sample(flow, bytes(length))
    segment.marking = Marking(tos, ttl)
    segment.segment_size = 100
    whole = [serialize_packet(segment), headers(segment)]
    for packet in [*whole, *(b"".join(pieces) for pieces in packets(segment))]:
        if flow == TO_SERVER:
            assert (packet[1], packet[8]) == (tos | segment.ecn, ttl)
        else:
            word = int.from_bytes(packet[:4], "big")
            assert (word >> 20 & 0xFF, packet[7]) == (tos | segment.ecn, ttl)


def test_super_segments_are_one_packet() -> None:
    segment = sample(TO_SERVER, bytes(64_080))
    assert parse_packet(serialize_packet(segment)) == segment


@pytest.mark.parametrize(
    "octets",
    [b"", b"\x10", bytes(40), ip_header(TO_SERVER, 8, 0, protocol=17) + bytes(8)],
    ids=["empty", "version 1", "version 0", "UDP"],
)
def test_everything_else_is_an_error(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_packet(octets)


@given(octets=st.binary(max_size=120), first=st.sampled_from([b"", b"\x45\x00", b"\x60\x00"]))
def test_any_octets_decode_or_raise(octets: bytes, first: bytes) -> None:
    with suppress(DecodeError):
        parse_packet(first + octets, checksum_valid=True)


def outcome(parse: Callable[..., Packet | None], octets: bytes, trusted: bool) -> object:
    """Return what a parser makes of octets: a segment, an error's text or nothing."""
    try:
        return parse(octets, checksum_valid=trusted)
    except DecodeError as error:
        return str(error)


USUAL_DSS = [
    Dss(DATA_ACK, 7),
    Dss(DATA_ACK | DATA_ACK_8, 7),
    Dss(DATA_ACK | MAPPING, 7, 8, 9, 10),
    Dss(DATA_ACK | DATA_ACK_8 | MAPPING | DSN_8, 7, 8, 9, 10),
    Dss(DATA_ACK | DATA_ACK_8 | MAPPING | DSN_8, 7, 8, 9, 10, 11),
    Dss(DATA_ACK | DATA_ACK_8 | MAPPING | DSN_8 | DATA_FIN, 7, 8, 9, 1, 11),
]


def usual(dss: Dss, payload: bytes) -> bytes:
    segment = told(TO_CLIENT, (1, 2), ACK, 500, (3, 4), payload=payload)
    segment.dss = dss
    return serialize_packet(segment)


@pytest.mark.parametrize("dss", [None, *USUAL_DSS], ids=str)
@pytest.mark.parametrize("length", [0, 1, 64_080, 65_455])
@pytest.mark.parametrize("tos", [0, 0x28])
def test_usual_headers_are_what_others_are(dss: Dss | None, length: int, tos: int) -> None:
    segment = told(TO_CLIENT, (1, (1 << 32) - 1), ACK | PSH, 500, (3, 4), payload=bytes(length))
    segment.dss, segment.urgent, segment.ecn, segment.marking = dss, 5, 2, Marking(tos, 63)
    short = _usual_headers(segment)
    assert short == headers(segment)
    assert short[20:] == tcp_header(segment, partial=True)
    assert short[:20] == segment_header(segment, len(short) - 20 + length)


def test_what_is_too_long_for_a_packet_is_refused() -> None:
    segment = told(TO_CLIENT, (1, 2), ACK, 500, (3, 4), payload=bytes(65_530))
    with pytest.raises(UsageError, match="IPv4 packets have at most 65535 octets"):
        headers(segment)


@pytest.mark.parametrize("dss", USUAL_DSS, ids=str)
@pytest.mark.parametrize("payload", [b"", b"x" * 99])
@pytest.mark.parametrize("trusted", [False, True])
def test_usual_segments_take_the_short_way(dss: Dss, payload: bytes, trusted: bool) -> None:
    octets = usual(dss, payload)
    short = outcome(_parse_usual, octets, trusted)
    assert short is not None
    assert short == outcome(_parse_any, octets, trusted)


@pytest.mark.parametrize("dss", USUAL_DSS, ids=str)
@pytest.mark.parametrize("payload", [b"", b"payload"])
def test_the_short_way_leads_to_where_the_long_one_does(dss: Dss, payload: bytes) -> None:
    right = usual(dss, payload)
    for at, octet in enumerate(right):
        for value in (0, 255, *(octet ^ 1 << bit for bit in range(8))):
            octets = bytearray(right)
            octets[at] = value
            if at not in (10, 11):
                octets[10:12] = bytes(2)
                octets[10:12] = (~fold(ones_sum(bytes(octets[:20]))) & 0xFFFF).to_bytes(2, "big")
            for made in (octets, octets[:-3], octets + bytes(3)):
                for trusted in (False, True):
                    short = outcome(parse_packet, bytes(made), trusted)
                    assert short == outcome(_parse_any, bytes(made), trusted)


def test_what_stands_in_place_of_padding_is_heard() -> None:
    octets = bytearray(usual(USUAL_DSS[3], b""))
    assert octets[-2:] == b"\x01\x01"
    octets[-2:] = b"\x04\x02"
    segment = parse_packet(bytes(octets), checksum_valid=True)
    assert isinstance(segment, Segment)
    assert segment.options == (SackPermitted(),)

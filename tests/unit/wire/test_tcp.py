"""TCP headers: the common layouts, the general one, and damage."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DecodeError
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import Dss
from plait.wire.mptcp.mp_capable import MpCapableSyn
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.option import UnknownOption
from plait.wire.segment import ABSENT, ACK, PSH, SYN, Segment
from plait.wire.tcp import (
    _parse_general,
    checksum_ok,
    header_length,
    parse_tcp,
    pseudo_sum,
    serialize_tcp,
    tcp_header,
)
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

FLOW4 = bytes.fromhex("0a000001 0a000002 9c40 0050")
FLOW6 = bytes(range(32)) + bytes.fromhex("9c400050")
TS = "0101080a0000000700000009"
DSS26 = "1e1a200f99aabbccddeeff0011223344556677880000000105b4"

uint16, uint32, uint64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
flows = st.sampled_from([FLOW4, FLOW6])


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """Segments whose options fit in the header."""
    pieces = tuple(draw(st.lists(st.binary(min_size=1, max_size=40), max_size=3)))
    segment = Segment(
        draw(flows),
        draw(uint32),
        draw(uint32),
        draw(st.integers(0, 255)),
        draw(uint16),
        pieces,
        sum(len(piece) for piece in pieces),
    )
    segment.urgent = draw(uint16)
    if draw(st.booleans()):
        segment.ts_val, segment.ts_ecr = draw(uint32), draw(uint32)
    kind = draw(st.sampled_from(["none", "dss", "sack", "syn", "prio"]))
    if kind == "dss":
        flags = draw(st.sampled_from([0, 1, 3, 4, 5, 7, 12, 13, 15, 31]))
        segment.dss = Dss(flags)
        if flags & 1:
            segment.dss.data_ack = draw(uint64 if flags & 2 else uint32)
        if flags & 4:
            segment.dss.dsn = draw(uint64 if flags & 8 else uint32)
            segment.dss.ssn, segment.dss.length = draw(uint32), draw(uint16)
            segment.dss.checksum = draw(st.just(-1) | uint16)
    elif kind == "sack":
        blocks = draw(st.lists(st.tuples(uint32, uint32), min_size=1, max_size=3))
        segment.sack = tuple(blocks)
    elif kind == "syn":
        segment.options = (Mss(1460), SackPermitted(), WindowScale(7), MpCapableSyn())
    elif kind == "prio":
        segment.dss = Dss(1, 5)
        segment.options = (MpPrio(backup=True), UnknownOption(99, b"ab"))
    return segment


def joined(segment: Segment) -> Segment:
    whole = b"".join(segment.payload)
    segment.payload = (whole,) if whole else ()
    return segment


@given(segment=segments(), before=st.integers(0, 7), after=st.integers(0, 7))
def test_segments_survive_the_wire(segment: Segment, before: int, after: int) -> None:
    octets = serialize_tcp(segment)
    frame = bytes(before) + octets + bytes(after)
    found = parse_tcp(segment.flow, frame, before, before + len(octets))
    assert found == joined(segment)
    assert len(octets) == header_length(segment) + segment.length


@pytest.mark.rfc("9293", "3.1", "B9293-01")
@given(segment=segments(), bit=st.integers(0, 159))
def test_checksum_notices_every_bit(segment: Segment, bit: int) -> None:
    octets = bytearray(serialize_tcp(segment))
    assert checksum_ok(segment.flow, bytes(octets))
    octets[bit // 8] ^= 1 << bit % 8
    assert not checksum_ok(segment.flow, bytes(octets))


def test_payload_is_a_view() -> None:
    segment = Segment(FLOW4, 1, 2, ACK, 3, (b"abc",), 3)
    octets = serialize_tcp(segment)
    (payload,) = parse_tcp(FLOW4, octets).payload
    assert isinstance(payload, memoryview)
    assert payload.obj is octets


@pytest.mark.parametrize(("flow", "expected"), [(FLOW4, 0x141D), (FLOW6, 0xF11A)])
def test_pseudo_sum(flow: bytes, expected: int) -> None:
    """Addresses, protocol 6 and a length of 20, added up by hand."""
    assert pseudo_sum(flow, 20) == expected


def header(area: str) -> bytes:
    octets = bytes.fromhex(area)
    assert len(octets) % 4 == 0
    head = bytes.fromhex("9c400050 00000001 00000002")
    return head + bytes(((20 + len(octets)) << 2, ACK | PSH, 0, 9, 0, 0, 0, 0)) + octets


LAYOUTS = {
    "no options": ("", ABSENT, False),
    "timestamps": (TS, 7, False),
    "DSS": (DSS26 + "0101", ABSENT, True),
    "timestamps and DSS": (TS + DSS26 + "0101", 7, True),
    "DSS and timestamps": (DSS26 + "0101" + TS, 7, True),
    "timestamps unpadded": ("080a0000000700000009" + DSS26, 7, True),
    "DSS padded with an end": (TS + DSS26 + "0000", 7, True),
    "DSS padded in front": (TS + "0101" + DSS26, 7, True),
    "DSS with reserved bits": (TS + DSS26.replace("200f", "2fef") + "0101", 7, True),
    "two DSS": ("1e08200100000001" * 2, ABSENT, False),
    "two equal DSS after timestamps": (TS + "1e08200100000001" * 2, 7, False),
    "DSS of a wrong length": (TS + "1e0a200100000001aaaa0101", 7, False),
    "DSS cut short": (TS + "1e1a200f00000000", 7, False),
    "timestamps cut short": ("0101080a00000007", ABSENT, False),
    "a wrong DSS beside a right one": ("1e09200100000001aa010101" + DSS26 + "0101", ABSENT, True),
}


@pytest.mark.rfc("8684", "3.3", "M8684-3.3-08")
@pytest.mark.parametrize(("area", "ts_val", "dss"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layout(area: str, ts_val: int, dss: bool) -> None:
    segment = parse_tcp(FLOW4, header(area))
    assert segment.ts_val == ts_val
    assert segment.ts_ecr == (9 if ts_val == 7 else 0)
    expected = Dss(15, 0x99AABBCCDDEEFF00, 0x1122334455667788, 1, 1460)
    assert segment.dss == (expected if dss else None)


@given(area=st.binary(max_size=10).map(lambda octets: octets * 4), common=st.booleans())
def test_both_ways_of_parsing_agree(area: bytes, common: bool) -> None:
    if common:
        area = (bytes.fromhex(TS + DSS26) + area)[:40]
    area = area[: len(area) & ~3]
    segment = parse_tcp(FLOW4, header(area.hex()))
    general = parse_tcp(FLOW4, header(""))
    _parse_general(general, area)
    assert segment == general


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        bytes(19),
        header("")[:12] + b"\x40" + header("")[13:],
        header("")[:12] + b"\x60" + header("")[13:],
        header(TS)[:31],
    ],
    ids=["empty", "19 octets", "offset 4", "offset past the end", "options cut short"],
)
def test_broken_header(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_tcp(FLOW4, octets)


@pytest.mark.rfc("9293", "3.1", "B9293-18")
def test_reserved_bits_are_ignored_and_not_sent() -> None:
    octets = bytearray(header(TS))
    octets[12] |= 0x0F
    segment = parse_tcp(FLOW4, bytes(octets))
    assert segment == parse_tcp(FLOW4, header(TS))
    assert tcp_header(segment)[12] & 0x0F == 0


def test_syn_options_stand_where_linux_has_them() -> None:
    segment = Segment(FLOW4, 1, 0, SYN, 64240)
    segment.options = (MpCapableSyn(flags=0x81), WindowScale(7), SackPermitted(), Mss(1460))
    segment.ts_val = 100
    assert tcp_header(segment)[20:].hex() == (
        "020405b4" + "0402080a0000006400000000" + "01030307" + "1e040181"
    )


def test_echo_of_an_address_stands_alone() -> None:
    segment = Segment(FLOW4, 1, 1, ACK, 1)
    segment.ts_val, segment.ts_ecr = 7, 9
    address = IPv4Address("10.9.2.2")
    segment.options = (AddAddr(address_id=2, address=address, port=5555, echo=True),)
    assert tcp_header(segment)[20:].hex() == TS + "1e0a31020a09020215b3" + "0101"


@pytest.mark.rfc("8684", "3.7")
def test_mp_fail_follows_the_data_ack() -> None:
    segment = Segment(FLOW4, 1, 1, ACK, 1)
    segment.dss = Dss(3, 0x075ABEE840FFE668)
    segment.options = (MpFail(0x075ABEE840FFE668),)
    assert tcp_header(segment)[20:].hex() == (
        "1e0c2003075abee840ffe668" + "1e0c6000075abee840ffe668"
    )

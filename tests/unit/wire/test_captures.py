"""What Linux sent, decoded and encoded again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.errors import DecodeError
from plait.trace.pcap import ip_packet, read_pcap
from plait.wire.mptcp.dss import Dss
from plait.wire.option import UnknownOption
from plait.wire.packet import parse_packet
from plait.wire.segment import Segment
from plait.wire.tcp import tcp_header
from plait.wire.tcp_options import parse_options

CAPTURES = sorted((Path(__file__).parents[2] / "data" / "captures").glob("*.pcap"))
NAMES = [path.stem for path in CAPTURES]


def packets_of(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [bytes(ip_packet(record)) for record in read_pcap(file)]


def tcp_of(packet: bytes) -> bytes:
    return packet[40 if packet[0] >> 4 == 6 else (packet[0] & 15) * 4 :]


def area_of(packet: bytes) -> bytes:
    tcp = tcp_of(packet)
    return tcp[20 : (tcp[12] >> 4) * 4]


ALL = [packet for path in CAPTURES for packet in packets_of(path)]


def test_there_are_captures() -> None:
    assert len(CAPTURES) == 11
    assert len(ALL) > 600


@pytest.mark.parametrize("path", CAPTURES, ids=NAMES)
def test_every_option_is_known_and_encodes_to_the_same_octets(path: Path) -> None:
    for packet in packets_of(path):
        area = area_of(packet)
        found = parse_options(area)
        assert b"".join(option.serialize() for option in found) == area
        assert not any(isinstance(option, UnknownOption) for option in found)


def from_linux(packet: bytes) -> bool:
    """Tell Linux's own segments from those of the raw peer, which pads its SYNs behind."""
    return not area_of(packet).startswith(bytes.fromhex("020405b40402010303"))


@pytest.mark.parametrize("path", CAPTURES, ids=NAMES)
def test_headers_of_linux_come_out_the_same(path: Path) -> None:
    for packet in filter(from_linux, packets_of(path)):
        segment = parse_packet(packet, checksum_valid=True)  # its checksums were offloaded
        assert isinstance(segment, Segment)
        header = tcp_header(segment)
        expected = tcp_of(packet)
        assert header[:16] == expected[:16]
        assert header[18:] == expected[18 : len(header)]
        assert b"".join(segment.payload) == expected[len(header) :]


def test_all_kinds_of_options_occur() -> None:
    kinds = {type(option).__name__ for packet in ALL for option in parse_options(area_of(packet))}
    assert kinds >= {
        "AddAddr",
        "Dss",
        "MpCapableAck",
        "MpCapableData",
        "MpCapableSyn",
        "MpCapableSynAck",
        "MpFastclose",
        "MpJoinAck",
        "MpJoinSyn",
        "MpJoinSynAck",
        "MpPrio",
        "MpTcprst",
        "RemoveAddr",
    }


@given(
    packet=st.sampled_from(ALL),
    at=st.integers(0, 99),
    change=st.binary(min_size=1, max_size=4),
    keep=st.integers(1, 2000),
)
@settings(max_examples=400)
def test_damaged_packets_decode_or_raise(packet: bytes, at: int, change: bytes, keep: int) -> None:
    at %= len(packet)
    damaged = (packet[:at] + change + packet[at + len(change) :])[:keep]
    try:
        segment = parse_packet(damaged, checksum_valid=True)
    except DecodeError:
        return
    if isinstance(segment, Segment):
        assert segment.dss is None or isinstance(segment.dss, Dss)
        assert 20 <= len(tcp_header(segment)) <= 60

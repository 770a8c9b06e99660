from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.whole_segments import V4, V6, make

from plait.drivers.cutting import packets
from plait.host.output import split
from plait.wire.packet import serialize_packet
from plait.wire.segment import ACK, CWR, FIN, PSH


@given(
    length=st.integers(2, 5000),
    size=st.integers(1, 1500),
    flow=st.sampled_from((V4, V6)),
    flags=st.sampled_from((ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR)),
    seq=st.sampled_from((0, 1000, (1 << 32) - 100)),
)
def test_packets_are_those_of_split(
    length: int, size: int, flow: bytes, flags: int, seq: int
) -> None:
    whole = make(length, size, flow=flow, flags=flags, seq=seq)
    assert [b"".join(pieces) for pieces in packets(whole)] == [
        serialize_packet(piece) for piece in split(whole)
    ]

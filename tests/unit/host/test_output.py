from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.host.output import split
from plait.wire.mptcp.dss import DATA_ACK, MAPPING, Dss
from plait.wire.segment import ACK, CWR, FIN, PSH, Segment
from plait.wire.tcp_options import Nop

FLOW = bytes((10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 1, 0))


def make(pieces: list[bytes], size: int, seq: int = 1000, flags: int = ACK) -> Segment:
    payload = tuple(piece for piece in pieces if piece)
    segment = Segment(FLOW, seq, 7, flags, 99, payload, sum(map(len, payload)))
    segment.segment_size = size
    segment.dss = Dss(DATA_ACK | MAPPING, 1, 2, 3, segment.length)
    segment.options = (Nop(),)
    segment.sack = ((1, 2),)
    segment.ts_val = 11
    segment.ts_ecr = 12
    segment.ecn = 2
    return segment


@given(
    pieces=st.lists(st.binary(max_size=60), max_size=8),
    size=st.integers(1, 40),
    seq=st.integers(0, (1 << 32) - 1),
)
def test_pieces_are_the_payload_in_order(pieces: list[bytes], size: int, seq: int) -> None:
    whole = make(pieces, size, seq)
    cut = split(whole)
    assert b"".join(b"".join(piece.payload) for piece in cut) == b"".join(pieces)
    assert all(piece.length == sum(map(len, piece.payload)) for piece in cut)
    assert all(piece.length == size for piece in cut[:-1])
    assert 0 <= cut[-1].length <= size
    position = seq
    for piece in cut:
        assert piece.seq == position
        position = (position + piece.length) % (1 << 32)
        assert all(len(part) for part in piece.payload)


@pytest.mark.parametrize(
    ("flags", "first", "middle", "last"),
    [
        (ACK, ACK, ACK, ACK),
        (ACK | PSH, ACK, ACK, ACK | PSH),
        (ACK | FIN | PSH, ACK, ACK, ACK | FIN | PSH),
        (ACK | CWR, ACK | CWR, ACK, ACK),
    ],
)
@pytest.mark.rfc("3168", "6.1.2")
def test_flags(flags: int, first: int, middle: int, last: int) -> None:
    cut = split(make([bytes(30)], 10, flags=flags))
    assert [piece.flags for piece in cut] == [first, middle, last]


@pytest.mark.rfc("8684", "3.3")
def test_everything_else_is_repeated() -> None:
    whole = make([bytes(25)], 10)
    for piece in split(whole):
        assert piece.segment_size == 0
        for name in (
            "flow ack window urgent ts_val ts_ecr sack dss options ecn".split()  # noqa: SIM905
        ):
            assert getattr(piece, name) == getattr(whole, name), name


def test_payload_is_not_copied() -> None:
    data = bytes(100)
    for piece in split(make([data], 30)):
        for part in piece.payload:
            assert isinstance(part, memoryview)
            assert part.obj is data


@pytest.mark.parametrize(("length", "size"), [(0, 10), (10, 10), (10, 0), (9, 10)])
def test_a_plain_segment_is_its_only_piece(length: int, size: int) -> None:
    whole = make([bytes(length)], size)
    assert split(whole) == [whole]

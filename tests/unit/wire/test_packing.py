"""Fitting options into 40 octets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import Dss
from plait.wire.mptcp.mp_capable import MpCapableAck, MpCapableSyn, MpCapableSynAck
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.option import Option, UnknownOption
from plait.wire.packing import option_length, pack
from plait.wire.segment import ABSENT, ACK, Segment
from plait.wire.tcp_options import (
    MAX_OPTIONS,
    FastOpen,
    Mss,
    Nop,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
    parse_options,
)

BLOCKS = ((1, 2), (3, 4), (5, 6), (7, 8))
KEY = bytes(8)
SYN_OPTIONS = (Mss(1460), SackPermitted(), WindowScale(7))
JOIN_ACK = MpJoinAck(bytes(20))
ACK_8 = Dss(3, 1)
FULL = Dss(15, 1, 2, 3, 4, 5)
ADD_V4 = AddAddr(address_id=2, address=IPv4Address("192.0.2.1"), hmac=KEY)
ADD_V6 = AddAddr(address_id=2, address=IPv6Address("2001:db8::1"), port=80, hmac=KEY)


def segment_of(
    *options: Option,
    dss: Dss | None = None,
    timestamps: bool = True,
    sack: tuple[tuple[int, int], ...] = (),
) -> Segment:
    segment = Segment(bytes(12), 1, 2, ACK, 3)
    segment.options = options
    segment.dss = dss
    segment.ts_val = 7 if timestamps else ABSENT
    segment.sack = sack
    return segment


BUDGETS = {
    "SYN": (segment_of(*SYN_OPTIONS, MpCapableSyn()), 24, ()),
    "SYN without timestamps": (segment_of(*SYN_OPTIONS, MpCapableSyn(), timestamps=False), 16, ()),
    "SYN/ACK": (segment_of(*SYN_OPTIONS, MpCapableSynAck(sender_key=KEY)), 32, ()),
    "join SYN": (segment_of(*SYN_OPTIONS, MpJoinSyn(token=1, nonce=2, address_id=3)), 32, ()),
    "join SYN/ACK": (
        segment_of(*SYN_OPTIONS, MpJoinSynAck(hmac=KEY, nonce=2, address_id=3)),
        36,
        (),
    ),
    "third ACK": (segment_of(MpCapableAck(sender_key=KEY, receiver_key=KEY)), 32, ()),
    "join ACK": (segment_of(JOIN_ACK), 36, ()),
    "data": (segment_of(dss=FULL), 40, ()),
    "data without timestamps": (segment_of(dss=FULL, timestamps=False), 28, ()),
    "SACK alone": (segment_of(sack=BLOCKS), 40, (Sack(BLOCKS[3:]),)),
    "SACK with Data ACK": (segment_of(dss=ACK_8, sack=BLOCKS), 36, (Sack(BLOCKS[1:]),)),
    "SACK without timestamps": (
        segment_of(dss=ACK_8, sack=BLOCKS, timestamps=False),
        40,
        (Sack(BLOCKS[3:]),),
    ),
    "SACK beside a mapping": (segment_of(dss=FULL, sack=BLOCKS), 40, (Sack(BLOCKS),)),
    "address": (segment_of(ADD_V4, dss=ACK_8), 40, ()),
    "address beside a mapping": (segment_of(ADD_V4, dss=FULL), 40, (ADD_V4,)),
    "long address with timestamps": (segment_of(ADD_V6), 12, (ADD_V6,)),
    "long address without": (segment_of(ADD_V6, timestamps=False), 32, ()),
    "MP_FAIL": (segment_of(MpFail(1), dss=ACK_8), 36, ()),
    "reset": (segment_of(MpFastclose(KEY), MpTcprst(1)), 28, ()),
    "join before timestamps and mapping": (
        segment_of(JOIN_ACK, dss=FULL),
        36,
        (FULL,),
    ),
    "mapping before timestamps": (
        segment_of(MpFastclose(KEY), dss=FULL),
        40,
        (Timestamps(7, 0),),
    ),
    "unknown last": (
        segment_of(UnknownOption(99, bytes(14)), dss=ACK_8, sack=BLOCKS[:1]),
        36,
        (UnknownOption(99, bytes(14)),),
    ),
}


@pytest.mark.rfc("8684", "A", "M8684-A-01")
@pytest.mark.rfc("8684", "A", "M8684-A-02")
@pytest.mark.parametrize(("segment", "length", "left_out"), BUDGETS.values(), ids=BUDGETS.keys())
def test_budget(segment: Segment, length: int, left_out: tuple[Option, ...]) -> None:
    area, left = pack(segment)
    assert (len(area), left) == (length, left_out)
    assert option_length(segment) == length


SOME = st.sampled_from(
    [
        *SYN_OPTIONS,
        MpCapableSyn(),
        JOIN_ACK,
        MpFastclose(KEY),
        MpFail(9),
        MpTcprst(6),
        MpPrio(backup=True),
        RemoveAddr((1, 2, 3)),
        FastOpen(bytes(8)),
        ADD_V4,
        ADD_V6,
        UnknownOption(99, b"x"),
    ]
)


@pytest.mark.rfc("8684", "A", "M8684-A-02")
@given(
    options=st.lists(SOME, max_size=6, unique=True),
    dss=st.sampled_from([None, ACK_8, FULL]),
    timestamps=st.booleans(),
    blocks=st.integers(0, 4),
)
def test_nothing_is_lost_and_nothing_overflows(
    options: list[Option], dss: Dss | None, timestamps: bool, blocks: int
) -> None:
    segment = segment_of(*options, dss=dss, timestamps=timestamps, sack=BLOCKS[:blocks])
    area, left_out = pack(segment)
    packed = [option for option in parse_options(area) if not isinstance(option, Nop)]
    everything = [*packed, *left_out]
    sacked = [block for sack in everything if isinstance(sack, Sack) for block in sack.blocks]
    others = [option for option in everything if not isinstance(option, Sack)]
    offered = [*options, *([dss] if dss else []), *([Timestamps(7, 0)] if timestamps else [])]
    assert len(area) <= MAX_OPTIONS
    assert len(area) % 4 == 0
    assert tuple(sacked) == BLOCKS[:blocks]
    assert sorted(map(repr, others)) == sorted(map(repr, offered))


@given(
    dss=st.sampled_from([None, ACK_8, FULL, Dss(1, 2), Dss(4), Dss(5)]),
    timestamps=st.booleans(),
    blocks=st.integers(0, len(BLOCKS)),
)
def test_common_lengths_are_what_is_packed(dss: Dss | None, timestamps: bool, blocks: int) -> None:
    segment = segment_of(dss=dss, timestamps=timestamps, sack=BLOCKS[:blocks])
    assert option_length(segment) == len(pack(segment)[0])

"""Fitting options into the 40 octets of a TCP header (RFC 8684, appendix A).

When space is short the handshake of Multipath TCP comes first, then the mapping, timestamps,
advertisements and last SACK, whose blocks are dropped one by one.  On the wire the order is that
of Linux, each group starting at a 4-octet boundary.
"""

from __future__ import annotations

from typing import Final

from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import Dss
from plait.wire.mptcp.experimental import MpExperimental
from plait.wire.mptcp.mp_capable import (
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.option import Option
from plait.wire.segment import Segment
from plait.wire.tcp_options import (
    MAX_OPTIONS,
    FastOpen,
    Mss,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
)

PADDING: Final = (b"", b"\x01\x01\x01", b"\x01\x01", b"\x01")
"""NOPs that fill up to 4 octets, by length modulo 4."""

_TIMESTAMPS_ROOM: Final = 12
_SACK_ROOM: Final = 4
_BLOCK_ROOM: Final = 8
_LAST: Final = (9, 9)

_ORDER: Final[dict[type[Option], tuple[int, int]]] = {
    Mss: (0, 0),
    SackPermitted: (0, 1),
    WindowScale: (0, 3),
    MpCapableSyn: (1, 6),
    MpCapableSynAck: (1, 6),
    MpCapableAck: (1, 6),
    MpCapableData: (1, 6),
    MpJoinSyn: (1, 6),
    MpJoinSynAck: (1, 6),
    MpJoinAck: (1, 6),
    MpFastclose: (1, 6),
    MpTcprst: (1, 7),
    MpFail: (1, 7),
    Dss: (2, 6),
    Timestamps: (3, 2),
    FastOpen: (4, 4),
    AddAddr: (4, 7),
    RemoveAddr: (4, 7),
    MpPrio: (4, 7),
    MpExperimental: (4, 8),
    Sack: (5, 4),
}
"""By option: rank for the space, then place on the wire; options not listed come last in both."""


def pack(segment: Segment) -> tuple[bytes, tuple[Option, ...]]:
    """Return the option area, padded to 4 octets, and the options that did not fit in it."""
    offered = list(segment.options)
    if segment.dss is not None:
        offered.append(segment.dss)
    if segment.ts_val >= 0:
        offered.append(Timestamps(segment.ts_val, segment.ts_ecr))
    if segment.sack:
        offered.append(Sack(segment.sack))
    offered.sort(key=_rank)
    # SACK-permitted takes the place of the two NOPs before timestamps.
    paired = segment.ts_val >= 0 and SackPermitted() in offered
    room = MAX_OPTIONS
    placed: list[tuple[int, bytes]] = []
    left_out: list[Option] = []
    for option in offered:
        octets = _align(option, paired)
        if len(octets) > room and isinstance(option, Sack):
            blocks = max(0, room - _SACK_ROOM) // _BLOCK_ROOM
            octets = _align(Sack(option.blocks[:blocks]), paired) if blocks else b""
            left_out.append(Sack(option.blocks[blocks:]))
        elif len(octets) > room:
            left_out.append(option)
            continue
        room -= len(octets)
        placed.append((_place(option), octets))
    placed.sort(key=_first)
    area = b"".join([octets for _, octets in placed])
    return area + PADDING[len(area) & 3], tuple(left_out)


def option_length(segment: Segment) -> int:
    """Return the octets that `pack` fills, 0 to 40."""
    if segment.options:
        return len(pack(segment)[0])
    length = _TIMESTAMPS_ROOM if segment.ts_val >= 0 else 0
    if segment.dss is not None:
        length += segment.dss.size() + 3 & ~3
    if segment.sack:
        length += _SACK_ROOM + _BLOCK_ROOM * len(segment.sack)
        if length > MAX_OPTIONS:
            return len(pack(segment)[0])
    return length


def _align(option: Option, paired: bool) -> bytes:
    """Return the option with the NOPs that Linux gives it."""
    octets = option.serialize()
    if isinstance(option, SackPermitted | Timestamps):
        return octets if paired else b"\x01\x01" + octets
    if isinstance(option, Sack | WindowScale):
        return PADDING[len(octets) & 3] + octets
    return octets + PADDING[len(octets) & 3]


def _rank(option: Option) -> int:
    """Return how early the option gets space."""
    return _ORDER.get(type(option), _LAST)[0]


def _place(option: Option) -> int:
    """Return how early the option stands in the header."""
    return _ORDER.get(type(option), _LAST)[1]


def _first(placed: tuple[int, bytes]) -> int:
    """Return the place of an option that has one."""
    return placed[0]

"""The segment: what hosts, drivers, links and captures pass to each other.

One `Segment` is one TCP header and its payload.  A driver that has segmentation offload, and the
simulator, carry *super-segments*: more payload than one packet holds, to be cut into pieces of
`segment_size` octets that all repeat the same options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from plait.units import Octets
from plait.wire.mptcp.dss import Dss
from plait.wire.tcp_options import Option

Buffer: TypeAlias = bytes | memoryview

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

ABSENT: Final = -1
"""The value of `ts_val` in a segment without the timestamps option."""


TTL: Final = 64
"""Time to live, or hop limit, unless settings say otherwise (RFC 1700)."""


@dataclass(frozen=True, slots=True)
class Marking:
    """What the IP header of a segment says beside addresses and length."""

    tos: int = 0
    """Type of service, or traffic class (RFC 2474, 3); `Segment.ecn` is its last two bits."""

    ttl: int = TTL
    """Time to live, or hop limit."""


UNMARKED: Final = Marking()


@dataclass(init=False, slots=True)
class Segment:
    """A TCP segment or super-segment with the flow it belongs to.

    Sequence fields hold what the wire holds: 32 bits, not unwrapped.
    """

    flow: bytes
    """Source address, destination address, source port, destination port, as octets."""

    seq: int
    ack: int
    flags: int
    window: int
    """The 16-bit field, not scaled."""

    urgent: int
    payload: tuple[Buffer, ...]
    """Pieces in order; none is empty."""

    length: int
    """Octets of payload; SYN and FIN are not counted."""

    ts_val: int
    """TSval of the timestamps option (RFC 7323), `ABSENT` if there is none."""

    ts_ecr: int
    sack: tuple[tuple[int, int], ...]
    """SACK blocks (RFC 2018), left and right edge as on the wire."""

    dss: Dss | None
    options: tuple[Option, ...]
    """Every other option, in wire order, padding left out."""

    ecn: int
    """The ECN field of the IP header, 0 to 3."""

    marking: Marking
    """The rest of that header as it is sent; of what arrives nobody reads it."""

    segment_size: int
    """Payload octets of each piece of a super-segment; 0 for a plain segment."""

    def __init__(
        self,
        flow: bytes,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        payload: tuple[Buffer, ...] = (),
        length: int = 0,
    ) -> None:
        self.flow = flow
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.window = window
        self.urgent = 0
        self.payload = payload
        self.length = length
        self.ts_val = ABSENT
        self.ts_ecr = 0
        self.sack = ()
        self.dss = None
        self.options = ()
        self.ecn = 0
        self.marking = UNMARKED
        self.segment_size = 0


def successor(
    before: Segment, seq: int, flags: int, payload: tuple[Buffer, ...], length: Octets
) -> Segment:
    """Return a segment that leaves after another one: on its flow, with its ACK and timestamps."""
    after = Segment(before.flow, seq, before.ack, flags, before.window, payload, length)
    after.ts_val = before.ts_val
    after.ts_ecr = before.ts_ecr
    after.marking = before.marking
    return after


def piece_of(
    whole: Segment, seq: int, flags: int, payload: tuple[Buffer, ...], length: Octets
) -> Segment:
    """Return a segment like `whole` but for these; it shares the options, which nobody changes."""
    piece = successor(whole, seq, flags, payload, length)
    piece.urgent = whole.urgent
    piece.sack = whole.sack
    piece.dss = whole.dss
    piece.options = whole.options
    piece.ecn = whole.ecn
    return piece

"""TCP options other than Multipath TCP's, and the parser of the whole option area."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.mptcp.parse import parse_mptcp
from plait.wire.option import Option, UnknownOption

__all__ = [
    "EndOfOptions",
    "FastOpen",
    "Mss",
    "Nop",
    "Option",
    "Sack",
    "SackPermitted",
    "Timestamps",
    "UnknownOption",
    "WindowScale",
    "parse_options",
]

END_OF_OPTIONS: Final = 0
NOP: Final = 1
MSS: Final = 2
WINDOW_SCALE: Final = 3
SACK_PERMITTED: Final = 4
SACK: Final = 5
TIMESTAMPS: Final = 8
MPTCP: Final = 30
FAST_OPEN: Final = 34

MAX_OPTIONS: Final = 40
"""Octets of options that a TCP header has room for (RFC 9293, 3.1)."""

_MSS: Final = struct.Struct("!BBH")
_BLOCK: Final = struct.Struct("!II")
_TIMESTAMPS: Final = struct.Struct("!BBII")


@dataclass(frozen=True, slots=True)
class EndOfOptions(Option):
    """The end of the option list (RFC 9293, 3.2)."""

    rest: bytes = b""
    """Octets between the end of the list and the end of the header, normally zeros."""

    def serialize(self) -> bytes:
        """Return the end mark and what follows it."""
        return b"\x00" + self.rest


@dataclass(frozen=True, slots=True)
class Nop(Option):
    """Padding before or between options (RFC 9293, 3.2)."""

    def serialize(self) -> bytes:
        """Return the one octet of the option."""
        return b"\x01"


@dataclass(frozen=True, slots=True)
class Mss(Option):
    """Maximum segment size that the sender of this SYN accepts (RFC 9293, 3.7.1)."""

    value: int
    """Octets of payload, options not subtracted."""

    def serialize(self) -> bytes:
        """Return the 4 octets of the option."""
        return _MSS.pack(MSS, _MSS.size, self.value)

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != _MSS.size:
            raise DecodeError("MSS is 4 octets", 1)
        return cls(_MSS.unpack(option)[2])


@dataclass(frozen=True, slots=True)
class WindowScale(Option):
    """Shift of every later window field (RFC 7323, 2.2)."""

    shift: int
    """As received; whoever applies it caps it at 14 (RFC 7323, 2.3)."""

    def serialize(self) -> bytes:
        """Return the 3 octets of the option."""
        return bytes((WINDOW_SCALE, 3, self.shift))

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != 3:
            raise DecodeError("window scale is 3 octets", 1)
        return cls(option[2])


@dataclass(frozen=True, slots=True)
class SackPermitted(Option):
    """The sender of this SYN understands SACK (RFC 2018, 2)."""

    def serialize(self) -> bytes:
        """Return the 2 octets of the option."""
        return b"\x04\x02"

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != 2:
            raise DecodeError("SACK-permitted is 2 octets", 1)
        return cls()


@dataclass(frozen=True, slots=True)
class Sack(Option):
    """Blocks of data that arrived out of order (RFC 2018, 3)."""

    blocks: tuple[tuple[int, int], ...]
    """Left and right edge of each block, 32 bits as on the wire."""

    def serialize(self) -> bytes:
        """Return the option, 8 octets a block and 2 before them."""
        body = b"".join([_BLOCK.pack(left, right) for left, right in self.blocks])
        return bytes((SACK, len(body) + 2)) + body

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) < 10 or len(option) % 8 != 2:
            raise DecodeError("SACK is 2 octets and 8 a block", 1)
        edges = struct.unpack(f"!{len(option) // 4}I", option[2:])
        return cls(tuple(zip(edges[::2], edges[1::2], strict=True)))


@dataclass(frozen=True, slots=True)
class Timestamps(Option):
    """The sender's clock and the latest one it saw from us (RFC 7323, 3.2)."""

    value: int
    """TSval, 32 bits."""

    echo: int
    """TSecr, 32 bits."""

    def serialize(self) -> bytes:
        """Return the 10 octets of the option."""
        return _TIMESTAMPS.pack(TIMESTAMPS, _TIMESTAMPS.size, self.value, self.echo)

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != _TIMESTAMPS.size:
            raise DecodeError("timestamps are 10 octets", 1)
        _, _, value, echo = _TIMESTAMPS.unpack(option)
        return cls(value, echo)


@dataclass(frozen=True, slots=True)
class FastOpen(Option):
    """A TCP Fast Open cookie, or the request for one (RFC 7413, 4.1.1)."""

    cookie: bytes = b""
    """4 to 16 octets; empty to ask for one."""

    def serialize(self) -> bytes:
        """Return the option, 2 octets and the cookie."""
        return bytes((FAST_OPEN, len(self.cookie) + 2)) + self.cookie

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != 2 and not 6 <= len(option) <= 18:
            raise DecodeError("a Fast Open cookie is 4 to 16 octets", 1)
        return cls(option[2:])


_PARSERS: Final[dict[int, Callable[[bytes], Option]]] = {
    MSS: Mss.parse,
    WINDOW_SCALE: WindowScale.parse,
    SACK_PERMITTED: SackPermitted.parse,
    SACK: Sack.parse,
    TIMESTAMPS: Timestamps.parse,
    MPTCP: parse_mptcp,
    FAST_OPEN: FastOpen.parse,
}


def parse_options(octets: bytes) -> list[Option]:
    """Decode the option area of a TCP header; padding keeps its place.

    An option that claims more octets than there are, or fewer than two, ends the list: what came
    before it counts (RFC 9293, MUST-7).  An option whose own format is wrong is an `UnknownOption`.
    """
    found: list[Option] = []
    at = 0
    end = len(octets)
    while at < end:
        kind = octets[at]
        if kind == NOP:
            found.append(Nop())
            at += 1
            continue
        if kind == END_OF_OPTIONS:
            found.append(EndOfOptions(octets[at + 1 :]))
            break
        if at + 1 == end:
            break
        stop = at + octets[at + 1]
        if stop < at + 2 or stop > end:
            break
        found.append(_parse_option(octets[at:stop]))
        at = stop
    return found


def _parse_option(option: bytes) -> Option:
    """Decode one option whose length octet is right."""
    parser = _PARSERS.get(option[0])
    if parser is not None:
        try:
            return parser(option)
        except DecodeError:
            pass
    return UnknownOption(option[0], option[2:])

"""SYN cookies: answering SYNs without keeping anything (RFC 4987, 3.6).

The ISS of the SYN/ACK is the cookie.  Its upper 24 bits authenticate the path, the peer's ISN, the
announced segment size and a count of minutes; its lower 8 bits tell the latter two.  The count is
part of what is hashed, so each secret is good for a minute and accepted for at most two.  Window
scale and SACK travel in the lowest bits of TSval, which the peer echoes, as Linux does it; without
timestamps they are given up.

A key of Multipath TCP is a keyed hash of the same (RFC 8684, 3.1).  There is one candidate after
the other, so that a token already in use does not end it.
"""

from __future__ import annotations

import hmac
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from plait.host.reset import reverse_flow
from plait.host.settings import Settings
from plait.tcp.timestamps import clock
from plait.units import SECOND, Nanos, Octets
from plait.wire.crypto import KEY_OCTETS
from plait.wire.option import Option
from plait.wire.segment import ABSENT, ACK, SYN, Segment
from plait.wire.seq import MASK32
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

MINUTE: Final = 60 * SECOND

MAX_AGE: Final = 2 * MINUTE
"""How long after the last cookie an ACK may bring one back."""

SIZES: Final = (88, 536, 1220, 1300, 1400, 1440, 1460, 8960)
"""Segment sizes that a cookie can tell; the peer's announcement is rounded down to one."""

CANDIDATES: Final = 16
"""Keys that are tried for one path, times the hosts that share the secret."""

_COUNT_BITS: Final = 5
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
_NO_SCALE: Final = 0xF
_SACK: Final = 0x10
_OPTION_BITS: Final = 6
_OPTION_MASK: Final = (1 << _OPTION_BITS) - 1


class SynCookies:
    """Makes and verifies cookies; flows are those of the peer's segments."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        """Use a secret of at least 16 octets."""
        self._secret = secret

    def make(self, now: Nanos, flow: bytes, irs: int, announced: Octets) -> int:
        """Return the ISS that answers a SYN.

        Args:
            irs: SEG.SEQ of the SYN.
            announced: Segment size that the SYN announces.
        """
        size = max(0, bisect_right(SIZES, announced) - 1)
        return self._cookie(flow, irs, size, now // MINUTE)

    def check(self, now: Nanos, flow: bytes, irs: int, cookie: int) -> Octets | None:
        """Return the segment size that a cookie of ours tells; None for any other number."""
        size = (cookie & 0xFF) >> _COUNT_BITS
        minute = now // MINUTE
        for count in (minute, minute - 1):
            if count >= 0 and count & _COUNT_MASK == cookie & _COUNT_MASK:
                known = self._cookie(flow, irs, size, count)
                return SIZES[size] if known == cookie else None
        return None

    def _cookie(self, flow: bytes, irs: int, size: int, count: int) -> int:
        text = flow + irs.to_bytes(4, "big") + bytes((size,)) + count.to_bytes(8, "big")
        code = hmac.digest(self._secret, b"cookie" + text, "sha256")
        return int.from_bytes(code[:3], "big") << 8 | size << _COUNT_BITS | count & _COUNT_MASK

    def keys(self, flow: bytes, irs: int, hosts: int = 1) -> Iterator[bytes]:
        """Yield the keys that a connection on this path may have, the preferred one first."""
        text = flow + irs.to_bytes(4, "big")
        for number in range(CANDIDATES * hosts):
            code = hmac.digest(self._secret, b"key" + text + bytes((number,)), "sha256")
            yield code[:KEY_OCTETS]


def _stamp(now: Nanos, iss: int, options: tuple[Option, ...]) -> int:
    """Return a TSval, not after the present, whose lowest bits tell what a SYN offered."""
    bits = _NO_SCALE
    for option in options:
        if isinstance(option, WindowScale):
            bits = bits & ~_NO_SCALE | min(option.shift, 14)
        elif isinstance(option, SackPermitted):
            bits |= _SACK
    present = clock(now, iss)
    stamp = present & ~_OPTION_MASK | bits
    if stamp > present:
        stamp -= 1 << _OPTION_BITS
    return stamp & MASK32


def answer_syn(
    now: Nanos, syn: Segment, iss: int, mss: Octets, settings: Settings, more: tuple[Option, ...]
) -> Segment:
    """Return the SYN/ACK whose ISS is a cookie.

    Args:
        mss: Segment size that we announce.
        more: Options besides TCP's own.
    """
    flow = reverse_flow(syn.flow)
    answer = Segment(flow, iss, (syn.seq + 1) & MASK32, SYN | ACK, told_window(settings))
    answer.marking = settings.marking
    options: list[Option] = [Mss(mss)]
    if settings.timestamps and syn.ts_val != ABSENT:
        offered = {type(option) for option in syn.options}
        if settings.sack and SackPermitted in offered:
            options.append(SackPermitted())
        if settings.window_scale >= 0 and WindowScale in offered:
            options.append(WindowScale(settings.window_scale))
        answer.ts_val = _stamp(now, iss, syn.options)
        answer.ts_ecr = syn.ts_val
    answer.options = (*options, *more)
    return answer


def told_window(settings: Settings) -> Octets:
    """Return the window that a SYN/ACK with a cookie tells, in octets."""
    return min(65535, settings.receive_buffer)


def restore_syn(segment: Segment, size: Octets, options: tuple[Option, ...]) -> Segment:
    """Return the SYN that must have preceded this ACK, with these options besides TCP's own."""
    syn = Segment(segment.flow, (segment.seq - 1) & MASK32, 0, SYN, segment.window)
    restored: list[Option] = [Mss(size)]
    if segment.ts_val != ABSENT:
        syn.ts_val = segment.ts_val
        bits = segment.ts_ecr
        if bits & _SACK:
            restored.append(SackPermitted())
        if bits & _NO_SCALE != _NO_SCALE:
            restored.append(WindowScale(bits & _NO_SCALE))
    syn.options = (*restored, *options)
    return syn

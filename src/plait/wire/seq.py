"""Sequence numbers: where the wire's wrapping numbers become plain integers and back.

A position counts octets from the initial number (ISN or IDSN) and never wraps.  Everything else
in plait compares positions with `<`; only this module does modular arithmetic.
"""

from __future__ import annotations

from typing import Final

MOD32: Final = 1 << 32
MASK32: Final = MOD32 - 1
HALF32: Final = 1 << 31
MOD64: Final = 1 << 64
MASK64: Final = MOD64 - 1
_HALF64: Final = 1 << 63


def wrap32(position: int, initial: int) -> int:
    """Return the 32-bit number of `position` octets after `initial`."""
    return (initial + position) & MASK32


def unwrap32(number: int, initial: int, near: int) -> int:
    """Return the position nearest to `near` that the 32-bit `number` can stand for.

    It is negative for a number from before `initial`.
    """
    ahead = (number - initial - near) & MASK32
    return near + (ahead if ahead < HALF32 else ahead - MOD32)


def wrap64(position: int, initial: int) -> int:
    """Return the 64-bit number of `position` octets after `initial`."""
    return (initial + position) & MASK64


def unwrap64(number: int, initial: int, near: int) -> int:
    """Return the position nearest to `near` that the 64-bit `number` stands for."""
    ahead = (number - initial - near) & MASK64
    return near + (ahead if ahead < _HALF64 else ahead - MOD64)


def unwrap_low32(number: int, initial: int, near: int) -> int:
    """Return the position nearest to `near` whose 64-bit number ends in these 32 bits.

    Args:
        number: A 4-octet DSN or Data ACK (RFC 8684, 3.3.1).
        initial: The 64-bit IDSN.
        near: RCV.NXT for a DSN, SND.UNA for a Data ACK, as positions.
    """
    return unwrap32(number, initial, near)  # the upper halves cancel under the mask


def promote(reference: int, number: int) -> int:
    """Return the 64-bit number that a 4-octet DSN or Data ACK stands for (RFC 8684, 3.3.1).

    The upper half advances when the low half wrapped, and goes back for reordered old data, so
    that such data cannot advance it.  A number from before the first wrap stays where it is, far
    outside every window.

    Args:
        reference: RCV.NXT for a DSN, SND.UNA for a Data ACK; 64 bits as on the wire.
        number: The 32 bits received.
    """
    candidate = (reference & ~MASK32) | number
    if candidate < reference - HALF32:
        candidate += MOD32
    elif candidate > reference + HALF32 and reference >= MOD32:
        candidate -= MOD32
    return candidate & MASK64

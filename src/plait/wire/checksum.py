"""Internet checksums (RFC 1071) and the DSS checksum built on them (RFC 8684, 3.3.1).

A sum here is the one's-complement sum of 16-bit words, carries folded in.  Modulo 65,535 it is an
ordinary sum, which lets big integers and vectors compute it; but zero and 65,535 differ: only
zeros sum to zero.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any, Final

from plait.wire.segment import Buffer

np: Any = None
if importlib.util.find_spec("numpy") is not None:
    import numpy as np

native: Any = None
if importlib.util.find_spec("plait.wire.summing") is not None:
    native = importlib.import_module("plait.wire.summing").ones_sum

BACKEND: Final[str] = "C" if native is not None else "pure" if np is None else "numpy"
"""What sums long buffers.  C comes with a compiled core; without, short ones are summed purely."""

_VECTOR: Final = 1024
"""Octets from which the vectored sum is faster: its 3.7 us are the pure one's for 1,000 octets."""

_CHUNK: Final = 2048
"""Octets per integer, even.  64 KB take 94 us; 200 as one integer, 129 if that is halved first."""

_SWAP: Final = sys.byteorder == "little"

_add: Any = None if np is None else np.add.reduce
_WORDS: Any = None if np is None else np.dtype(np.uint32)
_WIDE: Any = None if np is None else np.dtype(np.uint64)
"""Looked up once: of 64 KB a microsecond, of 1,428 octets a fifth, would be spent on names."""


def fold(total: int) -> int:
    """Return 16 bits with the same sum; only zero gives zero."""
    if total == 0:
        return 0
    return total % 0xFFFF or 0xFFFF


def ones_sum(data: Buffer) -> int:
    """Return the sum of the 16-bit words of `data`, an odd last octet padded with zero."""
    if native is not None:
        total: int = native(data)
        return total
    if np is None or len(data) < _VECTOR:
        return _sum_pure(data)
    return _sum_numpy(data)


def sum_each(data: Buffer, size: int) -> list[int]:
    """Return the sum of every `size` octets of `data`; the last piece may be shorter.

    One pass over 64 KB in 1,420s takes 30 us by numpy; summing piece by piece takes 180.
    """
    sums: list[int] = []
    vectored = np is not None and native is None and size % 4 == 0
    whole = len(data) // size if vectored else 0
    if whole > 1:
        words = np.frombuffer(data, dtype=np.uint32, count=whole * size >> 2)
        totals = words.reshape(whole, size >> 2).sum(axis=1, dtype=np.uint64).tolist()
        sums = [_swap(fold(total)) if _SWAP else fold(total) for total in totals]
    rest = memoryview(data)[len(sums) * size :]
    return sums + [ones_sum(rest[at : at + size]) for at in range(0, len(rest), size)]


def sum_pieces(pieces: Sequence[Buffer]) -> int:
    """Return the sum over the concatenation of pieces of any length.

    To copy them together costs less than to sum each: 64 KB in 46 pieces take 13 us, not 149.
    """
    return ones_sum(pieces[0] if len(pieces) == 1 else b"".join(pieces))


def internet_checksum(pieces: Sequence[Buffer], initial: int = 0) -> int:
    """Return the checksum field that makes everything sum to 65,535.

    Args:
        pieces: The octets covered, the checksum field zero.
        initial: Sum of what goes before them, such as a pseudo-header.
    """
    return ~fold(initial + sum_pieces(pieces)) & 0xFFFF


def dss_checksum(dsn: int, ssn: int, length: int, pieces: Sequence[Buffer]) -> int:
    """Return the checksum of a mapping (RFC 8684, 3.3.1).

    Args:
        dsn: All 64 bits, even if the option carries 32.
        ssn: As in the option.
        length: Data-Level Length as in the option, DATA_FIN counted.
        pieces: The payload that the mapping covers.
    """
    return ~fold(_pseudo(dsn, ssn, length) + sum_pieces(pieces)) & 0xFFFF


def dss_checksum_ok(
    dsn: int, ssn: int, length: int, pieces: Sequence[Buffer], checksum: int
) -> bool:
    """Return whether a mapping arrived with the checksum that its octets have."""
    return fold(_pseudo(dsn, ssn, length) + sum_pieces(pieces) + checksum) == 0xFFFF


def _pseudo(dsn: int, ssn: int, length: int) -> int:
    """Return what has the sum of the DSS pseudo-header."""
    return (dsn >> 32) + (dsn & 0xFFFFFFFF) + ssn + length


def _swap(word: int) -> int:
    """Return 16 bits with their octets exchanged."""
    return (word & 0xFF) << 8 | word >> 8


def _sum_pure(data: Buffer) -> int:
    """Return the sum by big integers."""
    length = len(data)
    if length <= _CHUNK:
        total = int.from_bytes(data, "big")
        return fold(total << 8 if length & 1 else total)
    last = length - length % _CHUNK
    total = sum([int.from_bytes(data[at : at + _CHUNK], "big") for at in range(0, last, _CHUNK)])
    return fold(total + _sum_pure(data[last:]))


def _sum_numpy(data: Buffer) -> int:
    """Return the sum by 32-bit words in the machine's order (RFC 1071, 2: order is free)."""
    words = np.frombuffer(data, _WORDS, len(data) >> 2)
    total = fold(int(_add(words, 0, _WIDE)))
    if _SWAP:
        total = (total & 0xFF) << 8 | total >> 8
    tail = len(data) & 3
    if not tail:
        return total
    last = int.from_bytes(data[-tail:], "big")
    return fold(total + (last << 8 if tail & 1 else last))

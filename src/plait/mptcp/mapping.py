"""Data sequence mappings that were received (RFC 8684, 3.3.1).

A mapping is keyed by its place in the subflow, never by the packet it came on: offload repeats one
option over many packets, and middleboxes move it to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from plait.units import Octets

MAX_MAPPINGS: Final = 1024
"""Mappings of one subflow that wait for their data."""


class Verdict(Enum):
    """What became of a mapping that was declared."""

    TAKEN = "new"
    KNOWN = "the same as one known, or its data is consumed"
    CONFLICT = "maps octets that another mapping maps elsewhere"
    REFUSED = "too many wait for their data"


@dataclass(init=False, slots=True)
class Mapping:
    """A run of subflow octets and its place in the data stream; positions count from zero."""

    dsn: Octets
    ssn: Octets
    length: Octets
    """Payload octets; a DATA_FIN is not counted."""

    dll: int
    """Data-Level Length as declared, which the checksum covers."""

    checksum: int
    """As declared, negative if none is in use."""

    def __init__(self, dsn: Octets, ssn: Octets, length: Octets, dll: int, checksum: int) -> None:
        self.dsn = dsn
        self.ssn = ssn
        self.length = length
        self.dll = dll
        self.checksum = checksum


def _ssn(mapping: Mapping) -> Octets:
    return mapping.ssn


def _gaps(mappings: list[Mapping], start: Octets, stop: Octets) -> list[tuple[Octets, Octets]]:
    """Return the parts from `start` to `stop` that none of the mappings covers."""
    gaps: list[tuple[Octets, Octets]] = []
    for mapping in mappings:
        if mapping.ssn > start:
            gaps.append((start, mapping.ssn))
        start = max(start, mapping.ssn + mapping.length)
    if start < stop:
        gaps.append((start, stop))
    return gaps


class MappingTable:
    """The mappings of one subflow whose data is not consumed, ordered by subflow position."""

    __slots__ = ("_mappings",)

    def __init__(self) -> None:
        self._mappings: list[Mapping] = []

    def add(self, new: Mapping, consumed: Octets) -> Verdict:
        """Declare a mapping; `consumed` is the subflow position below which data was used."""
        stop = new.ssn + new.length
        if stop <= consumed:
            return Verdict.KNOWN
        mappings = self._mappings
        high = len(mappings)
        while high and mappings[high - 1].ssn >= stop:
            high -= 1
        low = high
        while low and mappings[low - 1].ssn + mappings[low - 1].length > new.ssn:
            low -= 1
        if low < high:
            return self._overlap(low, high, new, consumed)
        if new.checksum >= 0 and new.ssn < consumed:
            return Verdict.CONFLICT  # its first octets are gone, the sum cannot be verified
        if len(mappings) >= MAX_MAPPINGS:
            return Verdict.REFUSED
        mappings.insert(high, new)
        return Verdict.TAKEN

    def _overlap(self, low: int, high: int, new: Mapping, consumed: Octets) -> Verdict:
        """Settle an overlap with the mappings from `low` to `high`.

        The same octets must go to the same place.  What else the new mapping covers is taken;
        with a checksum it cannot be, since that covers all or nothing.
        """
        overlapped = self._mappings[low:high]
        if any(known.dsn - known.ssn != new.dsn - new.ssn for known in overlapped):
            return Verdict.CONFLICT
        first = overlapped[0]
        if first.ssn == new.ssn and first.length == new.length:
            if new.dll > first.dll:  # a retransmission grew by the DATA_FIN (Linux does so)
                first.dll = new.dll
                first.checksum = new.checksum
            return Verdict.KNOWN
        gaps = _gaps(overlapped, max(new.ssn, consumed), new.ssn + new.length)
        if not gaps:
            return Verdict.KNOWN
        if new.checksum >= 0:
            return Verdict.CONFLICT
        if len(self._mappings) + len(gaps) > MAX_MAPPINGS:
            return Verdict.REFUSED
        shift = new.dsn - new.ssn
        pieces = [
            Mapping(start + shift, start, stop - start, stop - start, new.checksum)
            for start, stop in gaps
        ]
        self._mappings[low:high] = sorted([*overlapped, *pieces], key=_ssn)
        return Verdict.TAKEN

    @property
    def empty(self) -> bool:
        """Return whether no mapping waits for its data."""
        return not self._mappings

    def find(self, position: Octets) -> Mapping | None:
        """Return the mapping of the subflow octet at `position`."""
        for mapping in self._mappings:
            if mapping.ssn <= position < mapping.ssn + mapping.length:
                return mapping
            if mapping.ssn > position:
                break
        return None

    def next_start(self, position: Octets) -> Octets | None:
        """Return where the first mapping above `position` starts."""
        for mapping in self._mappings:
            if mapping.ssn > position:
                return mapping.ssn
        return None

    def in_step(self, shift: Octets) -> bool:
        """Return whether all of them have this distance between stream and subflow."""
        return all(mapping.dsn - mapping.ssn == shift for mapping in self._mappings)

    def release(self, position: Octets) -> None:
        """Forget mappings whose octets all lie below `position`."""
        done = 0
        for mapping in self._mappings:
            if mapping.ssn + mapping.length > position:
                break
            done += 1
        del self._mappings[:done]

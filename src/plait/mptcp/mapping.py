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


class MappingTable:
    """The mappings of one subflow whose data is not consumed, ordered by subflow position."""

    def __init__(self) -> None:
        self._mappings: list[Mapping] = []

    def add(self, new: Mapping, consumed: Octets) -> Verdict:
        """Declare a mapping; `consumed` is the subflow position below which data was used."""
        if new.ssn + new.length <= consumed:
            return Verdict.KNOWN
        at = len(self._mappings)
        while at and self._mappings[at - 1].ssn >= new.ssn + new.length:
            at -= 1
        if at:
            known = self._mappings[at - 1]
            if known.ssn + known.length > new.ssn:
                return self._compare(known, new)
        if len(self._mappings) >= MAX_MAPPINGS:
            return Verdict.REFUSED
        self._mappings.insert(at, new)
        return Verdict.TAKEN

    def _compare(self, known: Mapping, new: Mapping) -> Verdict:
        """Settle an overlap: the same octets must go to the same place."""
        if known.dsn - known.ssn != new.dsn - new.ssn:
            return Verdict.CONFLICT
        if known.ssn == new.ssn and known.length == new.length:
            if new.dll > known.dll:  # a retransmission grew by the DATA_FIN (Linux does so)
                known.dll = new.dll
                known.checksum = new.checksum
            return Verdict.KNOWN
        return Verdict.KNOWN if new.ssn >= known.ssn else Verdict.CONFLICT

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

    def release(self, position: Octets) -> None:
        """Forget mappings whose octets all lie below `position`."""
        done = 0
        for mapping in self._mappings:
            if mapping.ssn + mapping.length > position:
                break
            done += 1
        del self._mappings[:done]

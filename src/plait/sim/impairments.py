"""What a wire does to packets besides losing them: jitter, reordering, duplicates, damage."""

from __future__ import annotations

from random import Random
from typing import Final, TypeAlias

from plait.addresses import V4_FLOW
from plait.errors import DecodeError
from plait.sim.loss import check_probability
from plait.sim.packet import Opaque, Packet, serialize
from plait.units import Nanos
from plait.wire.checksum import internet_checksum
from plait.wire.packet import header_length, parse_packet
from plait.wire.segment import Segment
from plait.wire.tcp import CHECKSUM_OFFSET, pseudo_sum

Arrivals: TypeAlias = list[tuple[Nanos, Packet]]

_PORTS: Final = 4
"""Octets of the ports, which damage to a header spares: the packet would be somebody else's."""


class Impairment:
    """Makes of one arrival none, one or several."""

    def apply(self, arrival: Nanos, packet: Packet) -> Arrivals:
        """Return what arrives, and when, of a packet that is to arrive at `arrival`."""
        raise NotImplementedError


class Jitter(Impairment):
    """Adds up to `most` nanoseconds, evenly distributed, and keeps the order."""

    def __init__(self, random: Random, most: Nanos) -> None:
        self._random = random
        self._most = most
        self._last: Nanos = 0

    def apply(self, arrival: Nanos, packet: Packet) -> Arrivals:
        """Delay one packet, but let it overtake nobody."""
        arrival += int(self._random.random() * self._most)
        self._last = max(self._last, arrival)
        return [(self._last, packet)]


class Reorder(Impairment):
    """Holds packets back for `extra` nanoseconds with a probability, so that others overtake."""

    def __init__(self, random: Random, probability: float, extra: Nanos) -> None:
        check_probability("reorder", probability)
        self._random = random
        self._probability = probability
        self._extra = extra

    def apply(self, arrival: Nanos, packet: Packet) -> Arrivals:
        """Throw once."""
        late = self._random.random() < self._probability
        return [(arrival + self._extra if late else arrival, packet)]


class Duplicate(Impairment):
    """Delivers packets twice with a probability."""

    def __init__(self, random: Random, probability: float) -> None:
        check_probability("duplicate", probability)
        self._random = random
        self._probability = probability

    def apply(self, arrival: Nanos, packet: Packet) -> Arrivals:
        """Throw once."""
        twice = self._random.random() < self._probability
        return [(arrival, packet)] * (1 + twice)


class Corrupt(Impairment):
    """Changes one bit of segments with a probability.

    Args:
        probability: 0 to 1, of every segment.
        header: Hit the TCP header instead of the payload; segments without payload are spared
            otherwise.
        fixed: Correct the TCP checksum afterwards, as a device that rewrites content does.  If
            not, the receiving host drops the packet.
    """

    def __init__(
        self, random: Random, probability: float, *, header: bool = False, fixed: bool = False
    ) -> None:
        check_probability("corrupt", probability)
        self._random = random
        self._probability = probability
        self._header = header
        self._fixed = fixed

    def apply(self, arrival: Nanos, packet: Packet) -> Arrivals:
        """Throw once, then choose the bit."""
        if self._random.random() >= self._probability or not isinstance(packet, Segment):
            return [(arrival, packet)]
        if not self._header and not packet.length:
            return [(arrival, packet)]
        return [(arrival, self._damage(packet))]

    def _damage(self, segment: Segment) -> Packet:
        octets = bytearray(serialize(segment))
        ip = 20 if len(segment.flow) == V4_FLOW else 40
        body = header_length(segment)
        low, high = (ip + _PORTS, body) if self._header else (body, len(octets))
        at = low + int(self._random.random() * (high - low))
        octets[at] ^= 1 << int(self._random.random() * 8)
        if not self._fixed:
            return Opaque(segment.flow, len(octets), bytes(octets))
        field = slice(ip + CHECKSUM_OFFSET, ip + CHECKSUM_OFFSET + 2)
        octets[field] = bytes(2)
        total = pseudo_sum(segment.flow, len(octets) - ip)
        octets[field] = internet_checksum((bytes(octets[ip:]),), total).to_bytes(2, "big")
        whole = bytes(octets)
        try:
            return parse_packet(whole)
        except DecodeError:
            return Opaque(segment.flow, len(whole), whole)

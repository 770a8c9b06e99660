"""Network address translators: many inside addresses and ports behind few outside ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from plait.addresses import IpAddress
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import MAX_FLOWS, refuse
from plait.sim.packet import copy_segment
from plait.units import SECOND, Nanos
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, SYN, Segment

IDLE: Final = 7440 * SECOND
"""Least idle time of a TCP binding: 2 hours and 4 minutes (RFC 5382, REQ-5)."""

_PORTS: Final = (1024, 65536)


@dataclass(slots=True)
class _Binding:
    """An inside address and port, and the outside ones that stand for them."""

    inside: bytes
    """Address, then port."""

    outside: bytes
    made: Nanos
    used: Nanos


def _source(flow: bytes) -> bytes:
    size = (len(flow) - 4) // 2
    return flow[:size] + flow[-4:-2]


def _destination(flow: bytes) -> bytes:
    size = (len(flow) - 4) // 2
    return flow[size : 2 * size] + flow[-2:]


def _flow(source: bytes, destination: bytes) -> bytes:
    return source[:-2] + destination[:-2] + source[-2:] + destination[-2:]


class Nat(Middlebox):
    """Translates source addresses and ports, and forgets translations after a time of silence.

    Every home gateway and most mobile carriers (RFC 8041, 3.1; RFC 8684, 6).  Mappings and filters
    do not depend on the remote endpoint.  A segment from inside without a binding gets a new one,
    whatever its flags: the remote host then sees an unknown flow and answers with RST.
    """

    name: ClassVar[str] = "nat"

    def __init__(
        self,
        *,
        address: IpAddress,
        second: IpAddress | None = None,
        idle: Nanos = IDLE,
        rebind: Nanos = 0,
    ) -> None:
        """Make the box.

        Args:
            address: The outside address.
            second: Another one, which every second binding takes; or one of the other family.
            idle: Silence after which a binding is forgotten, in nanoseconds; many gateways keep
                theirs for minutes only.
            rebind: Age at which a binding in use is replaced, in nanoseconds; 0 for never.
        """
        self._pool = [each.packed for each in (address, second) if each is not None]
        self._idle = idle
        self._rebind = rebind
        self._by_inside: dict[bytes, _Binding] = {}
        self._by_outside: dict[bytes, _Binding] = {}
        self._made = 0
        self._port = _PORTS[0]

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Translate; drop what comes from outside without a binding."""
        flow = segment.flow
        if outbound:
            binding = self._bind(now, _source(flow))
            twin = copy_segment(segment)
            twin.flow = _flow(binding.outside, _destination(flow))
            return [Crossing(twin, outbound)]
        known = self._known(now, self._by_outside, _destination(flow))
        if known is None:
            return []
        twin = copy_segment(segment)
        twin.flow = _flow(_source(flow), known.inside)
        return [Crossing(twin, outbound)]

    def on_error(self, now: Nanos, error: IcmpError, outbound: bool) -> list[Crossing]:
        """Translate what the error quotes (RFC 5508, 4.2)."""
        if outbound:
            found = self._by_inside.get(_destination(error.flow))
            flow = b"" if found is None else _flow(_source(error.flow), found.outside)
        else:
            found = self._by_outside.get(_source(error.flow))
            flow = b"" if found is None else _flow(found.inside, _destination(error.flow))
        return [Crossing(replace(error, flow=flow), outbound)] if flow else []

    def _known(self, now: Nanos, table: dict[bytes, _Binding], key: bytes) -> _Binding | None:
        """Return a binding that is still good, and note that it was used."""
        binding = table.get(key)
        if binding is None:
            return None
        if now - binding.used > self._idle or (self._rebind and now - binding.made >= self._rebind):
            self._forget(binding)
            return None
        binding.used = now
        return binding

    def _bind(self, now: Nanos, inside: bytes) -> _Binding:
        binding = self._known(now, self._by_inside, inside)
        if binding is None:
            if len(self._by_inside) >= MAX_FLOWS:
                self._forget(min(self._by_inside.values(), key=_used))
            binding = _Binding(inside, self._outside(inside), now, now)
            self._by_inside[inside] = self._by_outside[binding.outside] = binding
        return binding

    def _outside(self, inside: bytes) -> bytes:
        """Return a free outside address and port."""
        family = [address for address in self._pool if len(address) == len(inside) - 2]
        if not family:
            family = [inside[:-2]]  # of the other family: ports are translated alone
        address = family[self._made % len(family)]
        self._made += 1
        while True:
            self._port = self._port + 1 if self._port + 1 < _PORTS[1] else _PORTS[0]
            outside = address + self._port.to_bytes(2, "big")
            if outside not in self._by_outside:
                return outside

    def _forget(self, binding: _Binding) -> None:
        del self._by_inside[binding.inside]
        del self._by_outside[binding.outside]


def _used(binding: _Binding) -> Nanos:
    return binding.used


class StrictNat(Nat):
    """A NAT that refuses every SYN from outside with RST, even where there is a binding.

    Why RFC 8684, 3.2 and 3.4 let a host behind it advertise addresses but open the subflows itself,
    and RFC 8041, 3.3 found that only clients do.
    """

    name: ClassVar[str] = "strict-nat"

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Refuse, or translate."""
        if not outbound and segment.flags & (SYN | ACK) == SYN:
            return refuse(segment, outbound)
        return super().on_segment(now, segment, outbound)

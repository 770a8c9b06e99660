"""The packet driver: an interface of the kernel's, used beside the kernel.

Frames pass a packet socket with the super-segments of TUN.  The stack has an address of its own,
for which the driver answers ARP and neighbor discovery, or shares the interface's with the kernel,
which then answers for both and is kept from the stack's ports.  The kernel's own sockets on this
machine are not reached: what one writes to an interface, that interface does not receive.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from plait.addresses import V4_FLOW
from plait.drivers.base import (
    Capabilities,
    Driver,
    DriverCounters,
    Interface,
    network_namespace,
)
from plait.drivers.claiming import claim
from plait.drivers.discovery import Discovery
from plait.drivers.interfaces import LEAST_MTU, interface_mtu, too_big
from plait.drivers.kernel_view import read_kernel
from plait.drivers.merging import merge
from plait.drivers.offload import READ_OCTETS, cut, parse_whole, whole
from plait.drivers.packet_sharing import Guard, check_ports, forwards
from plait.drivers.packet_socket import is_gone, open_packet_socket
from plait.drivers.packet_spec import PacketSpec, settle
from plait.drivers.virtio import GSO_NONE, HEADER_OCTETS, NO_HEADER
from plait.errors import DecodeError, UsageError
from plait.units import Nanos, Octets
from plait.wire.ethernet import HEADER_OCTETS as ETHERNET
from plait.wire.ethernet import IPV4, IPV6, ethernet_header
from plait.wire.segment import Buffer, Segment

_READ_OCTETS: Final = READ_OCTETS + ETHERNET
_BEFORE: Final = HEADER_OCTETS + ETHERNET
"""Octets of a read before the IP packet."""

_MERGED: Final = 512
"""Octets of a read worth joining to others: acknowledgments are not."""

_MAX_LINKS: Final = 4096
"""Destinations whose Ethernet header is at hand."""

_KIND: Final = slice(_BEFORE - 2, _BEFORE)
_IPV4: Final = IPV4.to_bytes(2, "big")

_DOWN: Final = frozenset({errno.ENETDOWN, errno.ENXIO, errno.ENODEV})


@dataclass(slots=True)
class PacketCounters(DriverCounters):
    """What became of frames."""

    conflicts: int = 0
    """Claims of other stations to addresses of the stack."""


class PacketDriver(Driver):
    """A packet socket on an interface, as `spec` says; raises UsageError when it cannot be."""

    counters: PacketCounters

    def __init__(self, spec: PacketSpec) -> None:
        station = settle(spec, read_kernel())
        if spec.shared:
            check_ports(station.name, spec.ports)
        ports = spec.ports if spec.shared else None
        capabilities = Capabilities(mtu=station.mtu, segmentation=True, checksum=True)
        super().__init__(capabilities, station.addresses)
        self.counters = PacketCounters()
        self.interface = Interface(station.name, network_namespace())
        self._station = station
        self._discovery = Discovery(station, answers=not spec.shared)
        self._links: dict[bytes, bytes] = {}  # Ethernet headers by destination
        self._suspect = False
        self._room: Octets = 0  # of packets, once the MTU was lowered
        self._singles: list[bytes] = []  # packets that follow each other and were not joined
        self._verified = False  # whether their checksums were
        try:
            self._open(ports)
        except OSError as error:  # it was there and up a moment ago
            raise UsageError(
                f"packet {station.name}: the interface cannot be used ({error.strerror}): see "
                "`ip link`"
            ) from None

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._fd

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Read up to `limit` frames and return the segments among them."""
        due = self._discovery.next_timeout()
        if due is not None and now >= due:
            self._on_timeout(now)
        if self._suspect:
            self._check_link()
        segments: list[Segment] = []
        for _ in range(limit):
            try:
                octets = os.read(self._fd, _READ_OCTETS)
            except BlockingIOError:
                break
            except OSError as error:  # told once, and then nothing more comes
                if error.errno not in _DOWN:
                    raise
                self._suspect = True
                break
            try:
                self._take(now, octets, segments)
            except DecodeError:
                self.counters.malformed += 1
        self._join(segments)
        return segments

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Write the segments; what the kernel does not take is dropped."""
        links = self._links
        for segment in segments:
            flow = segment.flow
            destination = flow[4:8] if len(flow) == V4_FLOW else flow[16:32]
            link = links.get(destination) or self._link_to(now, destination, segment)
            if link:
                self._send(segment, link)

    def next_timeout(self) -> Nanos | None:
        """Return when neighbors are to be asked again; at once if the interface is in doubt."""
        return 0 if self._suspect or self._errors else self._discovery.next_timeout()

    def pending(self) -> bool:
        """Return whether segments wait for the station of their next hop."""
        return self._discovery.holding()

    def close(self) -> None:
        """Give the interface back to the kernel."""
        self._fd = -1
        self._made.close()

    def _open(self, ports: range | None) -> None:
        """Open the socket, and see to it that the addresses are the stack's.

        Args:
            ports: Of the stack, if it shares the addresses with the kernel.
        """
        station = self._station
        with ExitStack() as made:
            opened = made.enter_context(open_packet_socket(station, ports))
            self._fd = opened.fileno()
            guarded = list(station.addresses)
            if ports is None:
                claim(opened, self._discovery)
                guarded = [one for one in guarded if forwards(station.name, one.version)]
            if guarded:
                made.callback(Guard(station.name, guarded, ports).close)
            self._made = made.pop_all()

    def _take(self, now: Nanos, octets: bytes, segments: list[Segment]) -> None:
        """Parse one frame: a segment, an ICMP error, or a neighbor who asks or tells."""
        if octets[_KIND] != _IPV4 and self._discovery.concerns(octets[HEADER_OCTETS:]):
            frame = memoryview(octets)[HEADER_OCTETS:]
            answers, released = self._discovery.take(now, frame)
            self.counters.conflicts = self._discovery.conflicts
            for answer in answers:
                self._write([NO_HEADER + answer])
            if released is not None:
                self._links.clear()
                self.write_burst(now, released)
            return
        single = octets[1] == GSO_NONE and len(octets) >= _MERGED  # no GRO: it is done here
        verified = octets[0] != 0
        if self._singles and not (single and verified == self._verified):
            self._join(segments)
        if single:
            self._singles.append(octets[_BEFORE:])
            self._verified = verified
            return
        parsed = parse_whole(octets, ETHERNET)
        if isinstance(parsed, Segment):
            segments.append(parsed)
        else:
            self._errors.append(parsed)

    def _join(self, segments: list[Segment]) -> None:
        """Parse the packets that wait to be joined."""
        singles, self._singles = self._singles, []
        self.counters.malformed += merge(
            singles, segments, self._errors, checksum_valid=self._verified
        )

    def _link_to(self, now: Nanos, destination: bytes, segment: Segment) -> bytes:
        """Return the Ethernet header towards a destination; without one, keep the segment."""
        hop = self._station.next_hop(ip_address(destination))
        if hop is None:
            self.counters.dropped += 1
            return b""
        mac = self._discovery.find(now, hop.packed)
        self._ask()
        if not mac:
            self._discovery.hold(hop.packed, segment)
            return b""
        kind = IPV4 if hop.version == 4 else IPV6
        if len(self._links) >= _MAX_LINKS:
            self._links.clear()
        link = self._links[destination] = ethernet_header(mac, self._station.mac, kind)
        return link

    def _on_timeout(self, now: Nanos) -> None:
        """Ask again, and doubt what was not confirmed for a while."""
        if self._discovery.handle_timeout(now):
            self._links.clear()
        self.counters.dropped += self._discovery.take_dropped()
        self._ask()

    def _ask(self) -> None:
        for frame in self._discovery.questions():
            self._write([NO_HEADER + frame])

    def _check_link(self) -> None:
        """Raise OSError if the interface is gone for good; one that is down may come back."""
        self._suspect = False
        if is_gone(self._station):
            raise OSError(errno.ENODEV, f"the interface {self._station.name} is gone")

    def _send(self, segment: Segment, link: bytes) -> None:
        """Write a segment, in pieces if the interface no longer takes it.

        The MTU was lowered then, and the stack is told; super-segments, which the kernel takes all
        the same and loses, are cut from now on as well.
        """
        if self._room:
            segment = cut(segment, self._room)
        if self._write(whole(segment, link)) == errno.EMSGSIZE:
            self._room = interface_mtu(self._station.name) or LEAST_MTU
            self._errors.append(too_big(segment, self._room))
            self._write(whole(cut(segment, self._room), link))

    def _write(self, pieces: list[Buffer]) -> int:
        """Write a frame; return the number of the error if the kernel does not take it."""
        try:
            os.writev(self._fd, pieces)
        except OSError as error:  # a full queue, or the link is down: a network that loses packets
            self.counters.dropped += 1
            self._suspect = self._suspect or error.errno in _DOWN
            return error.errno or 0
        return 0

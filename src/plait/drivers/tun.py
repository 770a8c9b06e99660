"""The TUN driver: the kernel of this network namespace is the network.

With offload a whole super-segment crosses in one read or write, behind a virtio-net header; that
is where the speed comes from.  Without, packets are at most one MTU and checksums complete;
super-segments are cut and joined here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from plait.drivers.base import Capabilities, Driver, Interface, network_namespace
from plait.drivers.cutting import packets
from plait.drivers.merging import merge
from plait.drivers.offload import READ_OCTETS, parse_whole, whole
from plait.drivers.tun_device import TunDevice
from plait.drivers.tun_spec import TunSpec
from plait.errors import DecodeError
from plait.units import Nanos, Octets
from plait.wire.packet import serialize_packet
from plait.wire.segment import Buffer, Segment

_BURST: Final = 64
"""Packets read in one turn."""

_BURST_OF_PACKETS: Final = 192
"""Without offload: some super-segments, so that few of them are cut by the end of a turn."""


class Tun(Driver):
    """A TUN device, made as `spec` says; raises UsageError when it cannot be."""

    def __init__(self, spec: TunSpec) -> None:
        self._device = TunDevice(spec)
        capabilities = Capabilities(
            mtu=spec.mtu,
            segmentation=True,
            checksum=self._device.header,
            burst=_BURST if self._device.header else _BURST_OF_PACKETS,
        )
        super().__init__(capabilities, spec.local)
        self.interface = Interface(spec.name, network_namespace())

    def fileno(self) -> int:
        """Return the device's descriptor."""
        return self._device.fd

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Read up to `limit` packets and return the segments among them."""
        segments: list[Segment] = []
        if not self._device.header:
            octets = self._read(limit, self.capabilities.mtu)
            self.counters.malformed += merge(octets, segments, self._errors)
            return segments
        for packet in self._read(limit, READ_OCTETS):
            try:
                parsed = parse_whole(packet)
            except DecodeError:
                self.counters.malformed += 1
                continue
            if isinstance(parsed, Segment):
                segments.append(parsed)
            else:
                self._errors.append(parsed)
        return segments

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Write the segments; what the kernel does not take is dropped."""
        for segment in segments:
            if self._device.header:
                self._write(whole(segment))
            elif 0 < segment.segment_size < segment.length:
                for packet in packets(segment):
                    self._write(packet)
            else:
                self._write([serialize_packet(segment)])

    def close(self) -> None:
        """Remove the device."""
        self._device.close()

    def _read(self, limit: int, octets: Octets) -> list[bytes]:
        """Read up to `limit` packets; to ask for more octets than one has costs half a read."""
        fd = self._device.fd
        packets: list[bytes] = []
        while len(packets) < limit:
            try:
                packets.append(os.read(fd, octets))
            except BlockingIOError:
                break
        return packets

    def _write(self, pieces: list[Buffer]) -> None:
        try:
            os.writev(self._device.fd, pieces)
        except OSError:  # a full queue, or the device is down: a network that loses packets
            self.counters.dropped += 1

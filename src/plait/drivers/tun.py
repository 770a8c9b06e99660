"""The TUN driver: the kernel of this network namespace is the network.

With offload a whole super-segment crosses in one read or write, behind a virtio-net header; that
is where the speed comes from.  Without, packets are at most one MTU and checksums complete;
super-segments are cut and joined here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from plait.drivers.base import Capabilities, Driver, Interface, network_namespace
from plait.drivers.merging import Merger, packets
from plait.drivers.offload import READ_OCTETS, parse_whole, whole
from plait.drivers.tun_device import TunDevice
from plait.drivers.tun_spec import TunSpec
from plait.errors import DecodeError
from plait.units import Nanos
from plait.wire.packet import parse_packet, serialize_packet
from plait.wire.segment import Buffer, Segment


class Tun(Driver):
    """A TUN device, made as `spec` says; raises UsageError when it cannot be."""

    def __init__(self, spec: TunSpec) -> None:
        self._device = TunDevice(spec)
        capabilities = Capabilities(
            mtu=spec.mtu,
            segmentation=True,
            checksum=self._device.header,
        )
        super().__init__(capabilities, spec.local)
        self.interface = Interface(spec.name, network_namespace())
        self._merger = None if self._device.header else Merger()

    def fileno(self) -> int:
        """Return the device's descriptor."""
        return self._device.fd

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Read up to `limit` packets and return the segments among them."""
        fd = self._device.fd
        segments: list[Segment] = []
        for _ in range(limit):
            try:
                octets = os.read(fd, READ_OCTETS)
            except BlockingIOError:
                break
            try:
                self._take(octets, segments)
            except DecodeError:
                self.counters.malformed += 1
        if self._merger is not None:
            self._merger.finish()
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

    def _write(self, pieces: list[Buffer]) -> None:
        try:
            os.writev(self._device.fd, pieces)
        except OSError:  # a full queue, or the device is down: a network that loses packets
            self.counters.dropped += 1

    def _take(self, octets: bytes, segments: list[Segment]) -> None:
        """Parse what one read returned, or join it to the segment before."""
        if self._merger is None:
            parsed = parse_whole(octets)
        else:
            if self._merger.extend(octets):
                return
            parsed = parse_packet(octets)
            if isinstance(parsed, Segment):
                self._merger.begin(octets, parsed)
        if isinstance(parsed, Segment):
            segments.append(parsed)
        else:
            self._errors.append(parsed)

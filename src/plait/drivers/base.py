"""What a driver is: the only part of a stack that touches a network.

A driver is polled, never called back by its packets.  It is ready when its descriptor is readable
or when its next timeout has come; in both cases the pump calls `read_burst`, which takes in what
arrived and moves along whatever the driver holds back.  So one loop serves drivers that are driven
by a descriptor, by a clock, or by both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plait.addresses import IpAddress
from plait.units import Nanos, Octets
from plait.wire.icmp import (
    IcmpError,
)
from plait.wire.segment import Segment

NO_DESCRIPTOR: Final = -1
"""What `Driver.fileno` returns where there is nothing to wait on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the network behind a driver takes and gives."""

    mtu: Octets
    """Octets of the largest IP packet, headers counted."""

    segmentation: bool
    """Super-segments pass whole in both directions."""

    checksum: bool
    """TCP checksums are left to the network behind the driver."""

    burst: int = 64
    """Packets worth moving in one call."""


@dataclass(slots=True)
class DriverCounters:
    """What a driver could not pass on."""

    malformed: int = 0
    """Packets read that are neither a TCP segment nor an ICMP error."""

    dropped: int = 0
    """Segments the network behind the driver did not take, as if a queue were full."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of the kernel that packets of a driver pass."""

    name: str
    namespace: int
    """Inode of the network namespace it is in."""


def network_namespace() -> int:
    """Return the inode of the calling thread's network namespace, 0 where there are none."""
    try:
        return Path("/proc/thread-self/ns/net").stat().st_ino
    except OSError:
        return 0


class Driver:
    """Moves segments between a host and one network; subclasses fill in every method they need.

    Drivers raise OSError from `read_burst` when the network is gone for good, and never for the
    content of a packet or a full queue.

    Attributes:
        interface: The kernel's interface that packets pass, None if there is none.
    """

    def __init__(self, capabilities: Capabilities, addresses: Sequence[IpAddress]) -> None:
        self.capabilities = capabilities
        self.addresses = tuple(addresses)
        self.interface: Interface | None = None
        self.counters = DriverCounters()
        self._errors: list[IcmpError] = []

    def fileno(self) -> int:
        """Return the descriptor that is readable when packets wait, or `NO_DESCRIPTOR`."""
        return NO_DESCRIPTOR

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Return up to `limit` segments that have arrived; none waiting is an empty list."""
        raise NotImplementedError

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Send segments, super-segments only where `capabilities` allow them."""
        raise NotImplementedError

    def next_timeout(self) -> Nanos | None:
        """Return when `read_burst` is due without the descriptor being readable; None is never."""
        return None

    def pending(self) -> bool:
        """Return whether segments are held back that `read_burst` will move along."""
        return self.next_timeout() is not None

    def take_errors(self) -> list[IcmpError]:
        """Return and forget the ICMP errors that were read."""
        taken = self._errors
        if taken:
            self._errors = []
        return taken

    def close(self) -> None:
        """Give back everything the driver made; closing twice is harmless."""


class Wrapper(Driver):
    """A driver in front of another one: passes everything through until a subclass differs."""

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner.capabilities, inner.addresses)
        self.counters = inner.counters
        self.interface = inner.interface
        self._inner = inner

    def fileno(self) -> int:
        """Return the inner driver's descriptor."""
        return self._inner.fileno()

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Return what the inner driver reads."""
        return self._inner.read_burst(now, limit)

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Have the inner driver send."""
        self._inner.write_burst(now, segments)

    def next_timeout(self) -> Nanos | None:
        """Return the inner driver's next timeout."""
        return self._inner.next_timeout()

    def pending(self) -> bool:
        """Return whether the inner driver holds segments back."""
        return self._inner.pending()

    def take_errors(self) -> list[IcmpError]:
        """Return and forget the inner driver's errors."""
        return self._inner.take_errors()

    def close(self) -> None:
        """Close the inner driver."""
        self._inner.close()

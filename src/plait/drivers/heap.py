"""Keeping the memory of packets in the process between bursts.

glibc gives free memory at the top of its heap back to the system as soon as it is more than twice
the largest block that was ever mapped on its own and freed (`mallopt(3)`, M_MMAP_THRESHOLD).
That is 256 KB at first, and a burst of super-segments megabytes: each would be given back and
faulted in again, page by page, which took a fifth of a receiver's time.
"""

from __future__ import annotations

from typing import Final

from plait.units import Octets

_KEPT: Final[Octets] = 32 << 20
"""What may lie idle from now on: some bursts, and a window that an application was slow to read."""


def keep_freed() -> None:
    """Have the C library keep what bursts free; without glibc nothing changes.

    A block is mapped and freed at once.  Nothing touches it, so that it takes no memory itself.
    """
    bytes(_KEPT >> 1)

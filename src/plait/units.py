"""Units of the core: time is integer nanoseconds, lengths are octets."""

from __future__ import annotations

from typing import Final, TypeAlias

Nanos: TypeAlias = int
"""A point in time or a span, in nanoseconds; points never decrease within one host."""

Octets: TypeAlias = int
"""A length or a position in a sequence space, in octets."""

MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000

ENDLESS: Final = 1 << 61
"""Beyond every time and length.  A compiled core has one machine word for numbers up to twice it;
larger ones it compares and adds by calls."""

"""What every TCP option is: something that serializes, and the option nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Option:
    """One TCP option.  Subclasses are values: equal when their octets are."""

    __slots__ = ()

    def serialize(self) -> bytes:
        """Return the option, kind octet first, unpadded."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class UnknownOption(Option):
    """An option that plait does not understand, or one whose length its format forbids."""

    kind: int
    body: bytes
    """What follows the length octet, 0 to 38 octets."""

    def serialize(self) -> bytes:
        """Return the option as it was received."""
        return bytes((self.kind, len(self.body) + 2)) + self.body

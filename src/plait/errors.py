"""The errors plait raises; each says who is at fault."""

from __future__ import annotations

from collections.abc import Sequence


class PlaitError(Exception):
    """Base of every error that plait raises on purpose."""


class DecodeError(PlaitError):
    """A field could not be decoded; `offset` is counted from the first octet of the unit named."""

    def __init__(self, what: str, offset: int = 0) -> None:
        super().__init__(f"{what} (at octet {offset})")
        self.what = what
        self.offset = offset


class UsageError(PlaitError):
    """The caller asked for something impossible; the message says what to do instead."""


class AddressError(UsageError):
    """An address is none of this host's."""


class NotSupportedError(UsageError):
    """What a connection runs on cannot do this; the message says what can."""


class PrivilegeError(NotSupportedError):
    """It could with privileges that the process lacks; the message names them."""


class UnknownNameError(UsageError):
    """No plug-in of this kind has the name."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}: choose from {', '.join(known)}")
        self.kind = kind
        self.name = name
        self.known = known


def check_name(kind: str, name: str, known: Sequence[str]) -> None:
    """Raise UnknownNameError unless the name is known."""
    if name not in known:
        raise UnknownNameError(kind, name, list(known))

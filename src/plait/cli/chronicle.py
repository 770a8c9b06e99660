"""What happened to a connection of plait's stack: lines for people, objects for programs."""

from __future__ import annotations

import re
from dataclasses import fields
from enum import Enum
from typing import Any, Final

from plait.addresses import Path, show_endpoint
from plait.aio.happenings import Happening
from plait.host.events import (
    AddressAdvertised,
    AddressWithdrawn,
    ChecksumFailed,
    Event,
    FellBack,
    JoinFailed,
    Lost,
    PolicyFailed,
    SubflowDown,
    SubflowPriority,
    SubflowUp,
)
from plait.units import SECOND, Nanos
from plait.wire.mptcp import mp_tcprst

_REASONS: Final = {
    mp_tcprst.UNSPECIFIED: "unspecified",
    mp_tcprst.MPTCP_SPECIFIC: "a Multipath TCP error",
    mp_tcprst.LACK_OF_RESOURCES: "lack of resources",
    mp_tcprst.ADMINISTRATIVELY_PROHIBITED: "administratively prohibited",
    mp_tcprst.TOO_MUCH_OUTSTANDING_DATA: "too much outstanding data",
    mp_tcprst.UNACCEPTABLE_PERFORMANCE: "unacceptable performance",
    mp_tcprst.MIDDLEBOX_INTERFERENCE: "middlebox interference",
}
"""Of MP_TCPRST, as RFC 8684, 3.6 calls them."""

_LINES: Final[dict[type[Event], str]] = {
    SubflowUp: "subflow up: {path}",
    SubflowDown: "subflow down: {path}: {end}{reason}",
    JoinFailed: "join failed: {path}: {end}{reason}",
    SubflowPriority: "the peer asks to {backup} {path}",
    AddressAdvertised: "address {address_id} advertised: {address}{port}",
    AddressWithdrawn: "address {address_id} withdrawn: {address}",
    FellBack: "TCP from now on: {cause}",
    ChecksumFailed: "wrong checksum, {remote}: {path}",
    PolicyFailed: "{kind} {name} failed, a default is in its place: {text}",
    Lost: "lost: {reason}",
}

_WORDS: Final = {
    "backup": ("use", "spare"),
    "remote": ("seen here", "seen by the peer"),
}
"""For False and True."""

_LEFT_OUT: Final = frozenset({"connection_id", "info"})


class Chronicle:
    """Keeps what happened, in the order it did.

    Args:
        began: The time that others count from, in nanoseconds of the monotonic clock.
    """

    def __init__(self, began: Nanos) -> None:
        self.objects: list[dict[str, Any]] = []
        self._began = began

    def add(self, happening: Happening) -> str:
        """Keep one and return a line about it."""
        seconds = max(happening.at - self._began, 0) / SECOND
        self.objects.append({"seconds": round(seconds, 6)} | event_object(happening.event))
        return f"{seconds:9.3f} s  {describe_event(happening.event)}"


def event_object(event: Event) -> dict[str, Any]:
    """Return the JSON object of an event: its name in snake case and its fields."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    found: dict[str, Any] = {"event": name}
    for field in fields(event):
        if field.name not in _LEFT_OUT:
            found |= _member(field.name, getattr(event, field.name))
    return found


def _member(name: str, value: Any) -> dict[str, Any]:
    """Return what becomes of a field of an event."""
    if isinstance(value, Path):
        return {
            "local": show_endpoint(value.local, value.local_port),
            "remote": show_endpoint(value.remote, value.remote_port),
        }
    if isinstance(value, Enum):
        return {name: value.value}
    return {name: value if value is None or isinstance(value, bool | int | str) else str(value)}


def describe_event(event: Event) -> str:
    """Return one line without the time."""
    line = _LINES.get(type(event), type(event).__name__.lower())
    return line.format(**{field.name: _shown(event, field.name) for field in fields(event)})


def _shown(event: Event, name: str) -> str:
    """Return what a line says of a field; reasons and ports only where there are any."""
    value = getattr(event, name)
    if name == "reason" and not isinstance(value, Enum):
        return "" if value is None else f" ({_REASONS.get(value, f'reason {value}')})"
    if isinstance(value, bool):
        return _WORDS[name][value]
    if name == "port":
        return f" port {value}" if value else ""
    return str(value.value if isinstance(value, Enum) else value)

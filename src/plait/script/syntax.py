"""A script as the parser leaves it: values that say nothing about how they are run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from plait.units import Nanos, Octets


class TimeKind(Enum):
    """What the time of an event counts from."""

    ABSOLUTE = "from the start of the script"
    RELATIVE = "from the event before"
    ANY = "any time"


@dataclass(frozen=True, slots=True)
class Time:
    """When an event happens."""

    kind: TimeKind
    start: Nanos = 0
    stop: Nanos | None = None
    """Latest time of a range, None for a point."""


@dataclass(frozen=True, slots=True)
class Anything:
    """`...`: a value that is not compared, or that the interpreter chooses."""


@dataclass(frozen=True, slots=True)
class Number:
    """An integer."""

    value: int
    digits: str = field(default="", compare=False)
    """As it is written; leading zeros count in a Fast Open cookie."""


@dataclass(frozen=True, slots=True)
class Word:
    """A symbolic constant or a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string in quotes."""

    value: bytes
    prefix: bool = False
    """More may follow: the string was written with `...` behind it."""


@dataclass(frozen=True, slots=True)
class Union:
    """Flags joined by `|`."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of constants: `htons(80)`, `inet_addr("10.0.0.1")`, `sha256_32(skey)`."""

    name: str
    arguments: tuple[Expression, ...]
    offset: int = 0
    """What is added to it."""


@dataclass(frozen=True, slots=True)
class Array:
    """Values in brackets."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Struct:
    """Fields in braces; a field without a name has its place instead."""

    fields: tuple[tuple[str, Expression], ...]

    def get(self, name: str) -> Expression | None:
        """Return the field of this name."""
        return next((value for key, value in self.fields if key == name), None)


Expression: TypeAlias = Anything | Number | Word | Text | Union | Function | Array | Struct


@dataclass(frozen=True, slots=True)
class Item:
    """One word of a TCP option: `val`, `100`, `1:2`, `dll=10`, `flags[flag_h]`, `key[ckey=2]`."""

    text: str
    """The word or number itself."""

    value: Expression | None = None
    """What stands behind `=` or, of `1:2`, behind the colon."""

    bindings: tuple[tuple[str, Expression | None], ...] | None = None
    """What stands in brackets: names, each with a value if one is given."""


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """A TCP option as it is written."""

    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """`start:stop(length)`, relative to the initial sequence number."""

    start: int
    stop: int
    length: Octets


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketSpec:
    """A TCP segment to inject or to expect."""

    inbound: bool
    """It arrives at the host under test."""

    flags: str
    sequence: Sequence
    ack: int | None = None
    window: int | None = None
    urgent: int | None = None
    options: tuple[OptionSpec, ...] | None = ()
    """None for `<...>`: options are not compared."""

    source: tuple[str, Expression | None] | None = None
    """Name of the source address, and its value if the packet gives one."""

    destination: tuple[str, Expression | None] | None = None
    ports: tuple[int, int] | None = None
    ip: tuple[str, ...] = ()
    """Words about the IP header: `ect0`, `tos 0x10`."""

    text: str = ""
    """As it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpSpec:
    """An ICMP error to inject."""

    inbound: bool
    kind: str
    code: str | None = None
    mtu: Octets = 0
    echoed: Sequence | None = None
    """The segment it quotes."""

    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpec:
    """A system call with what it has to return."""

    name: str
    arguments: tuple[Expression, ...]
    result: Expression
    errno: str | None = None
    until: Nanos | None = None
    """When a blocking call has to return, counted like the event's time."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class ShellSpec:
    """A command line for the shell."""

    command: str


@dataclass(frozen=True, slots=True)
class CodeSpec:
    """Python code with the variables of TCP_INFO."""

    code: str


Action: TypeAlias = PacketSpec | IcmpSpec | CallSpec | ShellSpec | CodeSpec


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a script."""

    line: int
    time: Time
    action: Action


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script."""

    path: str
    options: tuple[tuple[int, str, str], ...]
    """Option lines: line number, name without dashes, value."""

    events: tuple[Event, ...]

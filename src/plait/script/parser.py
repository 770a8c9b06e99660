"""From the text of a script to its syntax.

The grammar is read by Lark: the language is large, but regular enough for a grammar of eighty lines
that also serves as its description, and a parser of our own would only repeat a well-kept one.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, cast

from lark import Lark, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken
from lark.lexer import Token

from plait.script.errors import ScriptError
from plait.script.syntax import (
    Anything,
    Array,
    CallSpec,
    CodeSpec,
    Event,
    Expression,
    Function,
    IcmpSpec,
    Item,
    Number,
    OptionSpec,
    PacketSpec,
    Script,
    Sequence,
    ShellSpec,
    Struct,
    Text,
    Time,
    TimeKind,
    Union,
    Word,
)
from plait.units import SECOND, Nanos

if TYPE_CHECKING:
    from lark.tree import Meta

_FOREIGN: Final = ("udp", "gre", "mpls", "ipv4", "ipv6", "raw", "sock")
"""Words of packetdrill for packets that are no TCP."""

_DECIMALS: Final = 9


def parse_script(text: str, path: str) -> Script:
    """Return the script in `text`.  Raises ScriptError with the line that cannot be read."""
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as error:
        raise _explain(error, text, path) from None
    options, events = cast("tuple[Any, Any]", _Builder(text).transform(tree))
    return Script(path, options, events)


@cache
def _grammar() -> Lark:
    text = files("plait.script").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _explain(error: UnexpectedInput, text: str, path: str) -> ScriptError:
    """Return what is wrong, and where, in the script's own words."""
    if isinstance(error, UnexpectedEOF) or (
        isinstance(error, UnexpectedToken) and error.token.type == "$END"
    ):
        return ScriptError(path, max(1, len(text.splitlines())), "the script ends in mid-line")
    if isinstance(error, UnexpectedToken):
        found = str(error.token)
    else:
        assert isinstance(error, UnexpectedCharacters)
        rest = text[error.pos_in_stream :].split(None, 1)
        found = rest[0] if rest else ""
    word = found.split("(")[0]
    if word in _FOREIGN:
        return ScriptError(path, error.line, f"unsupported: packet {word}")
    return ScriptError(path, error.line, f"cannot read {found!r} here (column {error.column})")


def nanos(seconds: str) -> Nanos:
    """Return decimal seconds in nanoseconds, without a detour over floating point."""
    whole, _, part = seconds.partition(".")
    return int(whole or "0") * SECOND + int(part.ljust(_DECIMALS, "0")[:_DECIMALS])


def _integer(text: str) -> int:
    return int(text, 16) if text[:2].lower() == "0x" else int(text)


def _unquoted(text: str) -> bytes:
    """Return the octets of a string of C, whose escapes are Python's."""
    octets: bytes = ast.literal_eval("b" + text)
    return octets


class _Builder(Transformer[Token, Any]):
    """Turns the tree into syntax, bottom up; a method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def _written(self, meta: Meta) -> str:
        return " ".join(self._text[meta.start_pos : meta.end_pos].split())

    # ---- the script

    def start(self, children: list[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Sort option lines from events."""
        return (
            tuple(child for child in children if not isinstance(child, Event)),
            tuple(child for child in children if isinstance(child, Event)),
        )

    def option(self, children: list[Token]) -> tuple[int, str, str]:
        """Split `--name=value`."""
        name, _, value = str(children[0]).removeprefix("--").partition("=")
        return children[0].line or 0, name, value.strip('"')

    @v_args(meta=True)
    def event(self, meta: Meta, children: list[Any]) -> Event:
        """Join a time with what happens then."""
        time, action = children
        return Event(meta.line, time, _command(action) if isinstance(action, Token) else action)

    @v_args(meta=True)
    def untimed(self, meta: Meta, children: list[Token]) -> Event:
        """A command of the shell at once."""
        return Event(meta.line, Time(TimeKind.RELATIVE), _command(children[0]))

    def number(self, children: list[Token]) -> Nanos:
        """Read a time in seconds."""
        return nanos(str(children[0]))

    def relative(self, children: list[Nanos]) -> Time:
        """A time after the event before, or a range of such times."""
        return Time(TimeKind.RELATIVE, *children)

    def absolute(self, children: list[Nanos]) -> Time:
        """A time after the start, or a range of such times."""
        return Time(TimeKind.ABSOLUTE, *children)

    def any(self, _: list[Any]) -> Time:
        """Whenever it comes."""
        return Time(TimeKind.ANY)

    # ---- packets

    @v_args(meta=True)
    def packet(self, meta: Meta, children: list[Any]) -> PacketSpec:
        """Join the parts of a packet line, each a dictionary of fields."""
        fields: dict[str, Any] = {}
        for child in children:
            if isinstance(child, Token):
                fields["flags"] = str(child)
            elif isinstance(child, Sequence):
                fields["sequence"] = child
            else:
                fields.update(child)
        return PacketSpec(text=self._written(meta), **fields)

    @v_args(meta=True)
    def icmp(self, meta: Meta, children: list[Any]) -> IcmpSpec:
        """Join the parts of an ICMP line."""
        *before, kind, code, mtu, _, echoed = children
        return IcmpSpec(
            inbound=before[0]["inbound"],
            kind=str(kind),
            code=None if code is None else str(code),
            mtu=0 if mtu is None else mtu.value,
            echoed=echoed,
            text=self._written(meta),
        )

    def inbound(self, _: list[Any]) -> dict[str, Any]:
        """`<`."""
        return {"inbound": True}

    def outbound(self, _: list[Any]) -> dict[str, Any]:
        """`>`."""
        return {"inbound": False}

    def ip(self, children: list[str]) -> dict[str, Any]:
        """Words about the IP header."""
        return {"ip": tuple(children)}

    def ip_word(self, children: list[Any]) -> str:
        """One of them, with its number."""
        word, number = children
        return str(word) if number is None else f"{word} {number.value}"

    def addresses(self, children: list[Any]) -> dict[str, Any]:
        """Source, and destination if it is named."""
        return dict(zip(("source", "destination"), children, strict=False))

    def to_address(self, children: list[Any]) -> dict[str, Any]:
        """Destination alone."""
        return {"destination": children[0]}

    def address(self, children: list[Any]) -> tuple[str, Expression | None]:
        """A named address."""
        binding: tuple[str, Expression | None] = children[0]
        return binding

    def ports(self, children: list[Token]) -> dict[str, Any]:
        """Both ports."""
        return {"ports": (int(children[0]), int(children[1]))}

    def sequence(self, children: list[Token]) -> Sequence:
        """`start:stop(length)`."""
        return Sequence(*(int(child) for child in children))

    def ack(self, children: list[Token]) -> dict[str, Any]:
        """SEG.ACK."""
        return {"ack": int(children[0])}

    def window(self, children: list[Token]) -> dict[str, Any]:
        """SEG.WND, not scaled."""
        return {"window": int(children[0])}

    def urgent(self, children: list[Token]) -> dict[str, Any]:
        """SEG.UP."""
        return {"urgent": int(children[0])}

    def options(self, children: list[Any]) -> dict[str, Any]:
        """All options."""
        return {"options": tuple(child for child in children if child is not None)}

    def any_options(self, _: list[Any]) -> dict[str, Any]:
        """`<...>`."""
        return {"options": None}

    def tcp_option(self, children: list[Any]) -> OptionSpec:
        """One option."""
        return OptionSpec(str(children[0]), tuple(children[1:]))

    def block(self, children: list[Token]) -> Item:
        """`left:right`."""
        return Item(str(children[0]), Number(int(children[1])))

    def plain(self, children: list[Any]) -> Item:
        """A word or a number, digits as they are written."""
        child = children[0]
        return Item(str(child) if isinstance(child, Token) else child.digits)

    def plus(self, children: list[Any]) -> Item:
        """`+number`."""
        return Item("+", children[0])

    def assigned(self, children: list[Any]) -> Item:
        """`word=value`."""
        return Item(str(children[0]), children[1])

    def bracketed(self, children: list[Any]) -> Item:
        """`word[names]`."""
        return Item(str(children[0]), bindings=tuple(children[1:]))

    def binding(self, children: list[Any]) -> tuple[str, Expression | None]:
        """A name that may be given a value."""
        return str(children[0]), children[1]

    def value(self, children: list[Any]) -> Expression:
        """A number, a variable or a function of variables, all with an offset."""
        head = children[0]
        if not isinstance(head, Token):
            return cast("Expression", head)
        offset = children[-1]
        added = 0 if offset is None else offset.value
        if len(children) == 2 and not added:
            return Word(str(head))
        return Function(str(head), tuple(children[1:-1]), added)

    def argument(self, children: list[Any]) -> Expression:
        """An argument of such a function."""
        return _term(children[0])

    def numbers(self, children: list[Any]) -> Array:
        """Numbers in brackets."""
        return Array(tuple(children))

    # ---- system calls

    @v_args(meta=True)
    def call(self, meta: Meta, children: list[Any]) -> CallSpec:
        """Join the parts of a system call."""
        *head, result, errno, _ = children
        until = head.pop(0) if isinstance(head[0], int) else None
        return CallSpec(
            name=str(head[0]),
            arguments=tuple(child for child in head[1:] if child is not None),
            result=result,
            errno=None if errno is None else str(errno),
            until=until,
            text=self._written(meta),
        )

    def until(self, children: list[Nanos]) -> Nanos:
        """When a blocking call returns."""
        return children[-1]

    def result(self, children: list[Any]) -> Expression:
        """What a call returns."""
        return _term(children[0])

    def expression(self, children: list[Any]) -> Expression:
        """One value, or flags joined by `|`."""
        return cast("Expression", children[0]) if len(children) == 1 else Union(tuple(children))

    def term(self, children: list[Any]) -> Expression:
        """A constant by name, or a number."""
        return _term(children[0])

    def anything(self, _: list[Any]) -> Anything:
        """`...`."""
        return Anything()

    def text(self, children: list[Token]) -> Text:
        """A whole string."""
        return Text(_unquoted(str(children[0])))

    def prefix(self, children: list[Token]) -> Text:
        """The beginning of a string."""
        return Text(_unquoted(str(children[0])), prefix=True)

    def function(self, children: list[Any]) -> Function:
        """A function of constants."""
        arguments = tuple(child for child in children[1:] if child is not None)
        return Function(str(children[0]), arguments)

    def array(self, children: list[Any]) -> Array:
        """Values in brackets."""
        return Array(tuple(child for child in children if child is not None))

    def struct(self, children: list[Any]) -> Struct:
        """Values in braces."""
        fields = [child for child in children if child is not None]
        return Struct(tuple((name or str(at), value) for at, (name, value) in enumerate(fields)))

    def field(self, children: list[Any]) -> tuple[str | None, Expression]:
        """One of them."""
        return children[0], children[1]

    def name(self, children: list[Any]) -> str:
        """The name of a field; what `msg_iov(1)` counts is not needed."""
        return str(children[0])

    def integer(self, children: list[Token]) -> Number:
        """A number in decimal or hexadecimal."""
        text = str(children[0])
        if "." in text:
            return Number(0, text)
        return Number(_integer(text), text)

    def negative(self, children: list[Token]) -> Number:
        """A number below zero."""
        return Number(-int(children[0]), f"-{children[0]}")


def _term(child: Any) -> Expression:
    if isinstance(child, Token):
        text = str(child)
        return Text(_unquoted(text)) if text.startswith('"') else Word(text)
    return cast("Expression", child)


def _command(token: Token) -> ShellSpec | CodeSpec:
    text = str(token)
    if text.startswith("`"):
        return ShellSpec(text.strip("`").strip())
    return CodeSpec(text[2:-2])

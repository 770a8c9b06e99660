"""What the options of a script say on the wire.

For a packet to inject, a rule returns every field.  For one that is expected it returns those to be
compared: what the script leaves open is absent, and a key or address without a value is learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from plait.script import mptcp_meaning
from plait.script.conversation import Conversation, Flow
from plait.script.errors import UnsupportedError
from plait.script.options import Fields, Option
from plait.script.scope import Scope
from plait.script.syntax import Item, Number, OptionSpec, PacketSpec


@dataclass(frozen=True)
class Context:
    """The packet whose options are read."""

    conversation: Conversation
    flow: Flow
    packet: PacketSpec
    payload: bytes


def meaning(context: Context, spec: OptionSpec, actual: Fields | None = None) -> Option:
    """Return the option that `spec` stands for.

    Args:
        context: Where it stands.
        spec: The option as it is written.
        actual: Of an expected packet, the fields of the option that came in this place.

    Raises:
        UnsupportedError: The option, or a word of it, is unknown.
    """
    rule = _RULES.get(spec.name)
    scope = Scope(context.conversation, context.flow, context.packet, spec, actual or {})
    scope.payload = context.payload
    if rule is None:
        return Option(spec.name, mptcp_meaning.meaning(scope))
    return Option(spec.name, rule(scope))


def _number(items: tuple[Item, ...]) -> int:
    if len(items) != 1:
        raise UnsupportedError("an option with other than one number")
    return int(items[0].text, 0)


def _sack(scope: Scope) -> Fields:
    """Translate blocks: they are of the sequence space of the side that is told."""
    flow = scope.flow
    offset = (flow.local_offset or 0) if scope.inbound else flow.remote_offset
    blocks = []
    for item in scope.spec.items:
        if not isinstance(item.value, Number):
            raise UnsupportedError(f"SACK block {item.text}")
        edges = (int(item.text) + offset, item.value.value + offset)
        blocks.append((edges[0] & 0xFFFFFFFF, edges[1] & 0xFFFFFFFF))
    return {"blocks": blocks}


def _timestamps(scope: Scope) -> Fields:
    """Map the clock of the host under test; what it says is not compared."""
    texts = [item.text for item in scope.spec.items]
    if len(texts) != 4 or (texts[0], texts[2]) != ("val", "ecr"):
        raise UnsupportedError("TS other than `TS val N ecr N`")
    value, echo = int(texts[1]), int(texts[3])
    flow = scope.flow
    if scope.inbound:
        # A script that never compared the option cannot know what to echo.
        unknown = echo + flow.stamp_offset if flow.stamps else flow.last_stamp
        live = flow.stamps.get(echo, unknown)
        return {"val": value, "ecr": live & 0xFFFFFFFF if echo else 0}
    if "val" in scope.actual:
        flow.stamp_offset = scope.actual["val"] - value
        flow.stamps[value] = scope.actual["val"]
    return {"ecr": echo} if scope.conversation.config.compare_echo else {}


def _cookie(scope: Scope) -> Fields:
    """Read a cookie in hexadecimal; a name in its place is learned, or used once it is known."""
    text = "".join(item.text for item in scope.spec.items)
    cookies = scope.conversation.cookies
    try:
        return {"cookie": bytes.fromhex(text)}
    except ValueError:
        pass
    if text in cookies:
        return {"cookie": cookies[text]}
    if scope.inbound:
        raise UnsupportedError(f"cookie {text} before it has a value")
    cookies[text] = scope.actual.get("cookie", b"")
    return {}


def _accurate(scope: Scope) -> Fields:
    """Read counters of octets, each a word and a number (RFC 9768)."""
    texts = [item.text for item in scope.spec.items]
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    if len(texts) % 2 or any(name not in {"e0b", "ceb", "e1b"} for name, _ in pairs):
        raise UnsupportedError("ECN other than `e0b N ceb N e1b N`")
    return {"counters": [(name, int(number)) for name, number in pairs]}


def _digest(scope: Scope) -> Fields:
    return {"digest": bytes.fromhex("".join(item.text for item in scope.spec.items))}


def _raw(scope: Scope) -> Fields:
    """Read an option octet by octet: its kind, and in hexadecimal what follows the length."""
    texts = [item.text for item in scope.spec.items]
    try:
        return {"kind": int(texts[0], 0), "body": bytes.fromhex("".join(texts[1:])[2:])}
    except (IndexError, ValueError):
        raise UnsupportedError("kind other than `kind N 0x...`") from None


def _nothing(_: Scope) -> Fields:
    return {}


_RULES: Final[dict[str, Callable[[Scope], dict[str, Any]]]] = {
    "nop": _nothing,
    "eol": _nothing,
    "mss": lambda scope: {"value": _number(scope.spec.items)},
    "wscale": lambda scope: {"shift": _number(scope.spec.items)},
    "sackOK": _nothing,
    "sack": _sack,
    "TS": _timestamps,
    "md5": _digest,
    "ECN": _accurate,
    "FO": _cookie,
    "FOEXP": _cookie,
    "kind": _raw,
}
"""By name: what the option's words mean."""

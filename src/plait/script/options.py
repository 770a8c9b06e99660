"""TCP options as names and fields, and as octets; those of Multipath TCP are in `mptcp_options`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from plait.script import mptcp_options

Fields: TypeAlias = dict[str, Any]
"""What an option says; a field that is not there has no key."""

NOP: Final = "nop"
EOL: Final = "eol"
_MPTCP: Final = 30
_EXPERIMENT: Final = 254
_FAST_OPEN_MAGIC: Final = b"\xf9\x89"
"""RFC 7413's number under the experimental kind (RFC 6994)."""


@dataclass
class Option:
    """One option by the name that scripts have for it."""

    name: str
    fields: Fields = field(default_factory=dict)


def _encode_sack(fields: Fields) -> bytes:
    return b"".join(struct.pack("!II", *block) for block in fields["blocks"])


def _decode_sack(body: bytes) -> Fields:
    edges = struct.unpack(f"!{len(body) // 4}I", body[: len(body) // 4 * 4])
    return {"blocks": list(zip(edges[::2], edges[1::2], strict=False))}


def _encode_fast_open_experiment(fields: Fields) -> bytes:
    cookie: bytes = fields["cookie"]
    return _FAST_OPEN_MAGIC + cookie


_COUNTERS: Final = {172: ("e0b", "ceb", "e1b"), 174: ("e1b", "ceb", "e0b")}
"""Order of the counters by kind: ECT(0), CE and ECT(1) octets (RFC 9768, 3.2.3)."""


def _encode_accurate(fields: Fields) -> bytes:
    counters: list[tuple[str, int]] = fields["counters"]
    return b"".join(number.to_bytes(3, "big") for _, number in counters)


def _decode_accurate(kind: int, body: bytes) -> Fields:
    numbers = [int.from_bytes(body[at : at + 3], "big") for at in range(0, len(body), 3)]
    return {"counters": list(zip(_COUNTERS[kind], numbers, strict=False))}


_Coder: TypeAlias = tuple[int, Callable[[Fields], bytes], Callable[[bytes], Fields]]

_CODERS: Final[dict[str, _Coder]] = {
    "mss": (
        2,
        lambda fields: struct.pack("!H", fields["value"]),
        lambda body: {"value": int.from_bytes(body, "big")},
    ),
    "wscale": (
        3,
        lambda fields: bytes((fields["shift"],)),
        lambda body: {"shift": int.from_bytes(body, "big")},
    ),
    "sackOK": (4, lambda _: b"", lambda _: {}),
    "sack": (5, _encode_sack, _decode_sack),
    "TS": (
        8,
        lambda fields: struct.pack("!II", fields["val"], fields["ecr"]),
        lambda body: dict(zip(("val", "ecr"), struct.unpack("!II", body), strict=True)),
    ),
    "md5": (19, lambda fields: fields["digest"], lambda body: {"digest": body}),
    "FO": (34, lambda fields: fields["cookie"], lambda body: {"cookie": body}),
    "FOEXP": (
        _EXPERIMENT,
        _encode_fast_open_experiment,
        lambda body: {"cookie": body.removeprefix(_FAST_OPEN_MAGIC)},
    ),
}
"""By name: kind, and both directions of what follows kind and length."""

_NAMES: Final = {kind: name for name, (kind, _, _) in _CODERS.items()}


def encode_option(option: Option) -> bytes:
    """Return one option, kind and length included."""
    if option.name == NOP:
        return b"\x01"
    if option.name == EOL:
        return b"\x00"
    if option.name in mptcp_options.CODERS:
        return mptcp_options.encode(option.name, option.fields)
    body: bytes
    if option.name == "ECN":
        body = _encode_accurate(option.fields)
        first = option.fields["counters"][:1]
        kind = 174 if first and first[0][0] == "e1b" else 172
    elif option.name == "kind":
        kind, body = option.fields["kind"], option.fields["body"]
    else:
        kind, coder, _ = _CODERS[option.name]
        body = coder(option.fields)
    return bytes((kind, len(body) + 2)) + body


def encode_options(options: list[Option]) -> bytes:
    """Return all options, filled up with zeros to four octets."""
    area = b"".join(encode_option(option) for option in options)
    return area + bytes(-len(area) % 4)


def decode_options(area: bytes) -> list[Option]:
    """Return all options with the padding between them; what is broken ends the list."""
    found: list[Option] = []
    at = 0
    while at < len(area):
        if area[at] == 1:
            found.append(Option(NOP))
            at += 1
            continue
        if area[at] == 0:
            found.extend(Option(EOL) for _ in area[at:])
            break
        length = area[at + 1] if at + 1 < len(area) else 0
        if length < 2 or at + length > len(area):
            found.append(Option("kind", {"kind": area[at], "body": area[at + 1 :]}))
            break
        found.append(_decode_option(area[at], area[at + 2 : at + length]))
        at += length
    return found


def _decode_option(kind: int, body: bytes) -> Option:
    """Return one option; a known kind with a body that does not fit is an unknown one."""
    if kind == _MPTCP:
        decoded = mptcp_options.decode(body)
        if decoded is not None:
            return Option(*decoded)
    if kind in _COUNTERS and len(body) % 3 == 0:
        return Option("ECN", _decode_accurate(kind, body))
    name = _NAMES.get(kind)
    if name is not None and (kind != _EXPERIMENT or body.startswith(_FAST_OPEN_MAGIC)):
        try:
            return Option(name, _CODERS[name][2](body))
        except struct.error:
            pass
    return Option("kind", {"kind": kind, "body": body})


_WORDS: Final = {"nonce": "rand", "hmac": "sender_hmac"}
"""Words of scripts for fields that have other names here."""


def show_option(option: Option) -> str:
    """Return an option much as a script writes it."""
    fields = option.fields
    match option.name:
        case "sack":
            return "sack " + " ".join(f"{left}:{right}" for left, right in fields["blocks"])
        case "TS":
            return f"TS val {fields['val']} ecr {fields['ecr']}"
        case "mss" | "wscale":
            return f"{option.name} {next(iter(fields.values()))}"
        case "kind":
            return f"kind {fields['kind']} 0x{fields['body'].hex()}"
    shown = (
        f"{_WORDS.get(name, name)}={_show(value)}"
        for name, value in fields.items()
        if value is not None
    )
    return " ".join((option.name, *shown))


def _show(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

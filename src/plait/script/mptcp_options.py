"""The options of Multipath TCP (RFC 8684, 3) as names and fields, and as octets.

A field that an option does not have is None; an encoder takes what its form needs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, TypeAlias

Fields: TypeAlias = dict[str, Any]

KIND: Final = 30

_ACK: Final = 0x01
_ACK_8: Final = 0x02
_MAP: Final = 0x04
_MAP_8: Final = 0x08
_FIN: Final = 0x10

_KEY: Final = 8


def encode(name: str, fields: Fields) -> bytes:
    """Return a whole option, kind and length included."""
    body = CODERS[name](fields)
    return bytes((KIND, len(body) + 2)) + body


def decode(body: bytes) -> tuple[str, Fields] | None:
    """Return name and fields of what follows kind and length, None where nothing fits."""
    if not body:
        return None
    decoder = _DECODERS.get(body[0] >> 4)
    return None if decoder is None else decoder(body)


# ---- MP_CAPABLE and MP_JOIN


def _encode_capable(fields: Fields) -> bytes:
    body = bytes((fields["version"], fields["flags"]))
    for key in ("sender_key", "receiver_key"):
        body += fields.get(key) or b""
    if fields.get("length") is not None:
        body += struct.pack("!H", fields["length"])
        if fields.get("checksum") is not None:
            body += struct.pack("!H", fields["checksum"])
    return body


def _decode_capable(body: bytes) -> tuple[str, Fields] | None:
    if len(body) not in {2, 10, 18, 20, 22}:
        return None
    fields: Fields = {
        "version": body[0] & 0xF,
        "flags": body[1],
        "sender_key": body[2:10] or None,
        "receiver_key": body[10:18] or None,
        "length": int.from_bytes(body[18:20], "big") if len(body) > 18 else None,
        "checksum": int.from_bytes(body[20:22], "big") if len(body) > 20 else None,
    }
    return "mpcapable", fields


def _join_head(fields: Fields) -> bytes:
    return bytes((0x10 | bool(fields.get("backup")), fields.get("address_id") or 0))


def _encode_join_syn(fields: Fields) -> bytes:
    return _join_head(fields) + struct.pack("!II", fields["token"], fields["nonce"])


def _encode_join_syn_ack(fields: Fields) -> bytes:
    return _join_head(fields) + struct.pack("!8sI", fields["hmac"], fields["nonce"])


def _encode_join_ack(fields: Fields) -> bytes:
    return struct.pack("!H20s", 0x1000, fields["hmac"])


def _decode_join(body: bytes) -> tuple[str, Fields] | None:
    head: Fields = {"backup": body[0] & 1, "address_id": body[1] if len(body) > 1 else None}
    match len(body):
        case 10:
            token, nonce = struct.unpack("!II", body[2:])
            return "mp_join_syn", head | {"token": token, "nonce": nonce}
        case 14:
            digest, nonce = struct.unpack("!8sI", body[2:])
            return "mp_join_syn_ack", head | {"hmac": digest, "nonce": nonce}
        case 22:
            return "mp_join_ack", {"hmac": body[2:]}
    return None


# ---- DSS


def _encode_dss(fields: Fields) -> bytes:
    ack, dsn = fields.get("data_ack"), fields.get("dsn")
    flags = _FIN if fields.get("fin") else 0
    body = b""
    if ack is not None:
        wide = fields["data_ack_octets"] == 8
        flags |= _ACK | (_ACK_8 if wide else 0)
        body += struct.pack("!Q" if wide else "!I", ack)
    if dsn is not None:
        wide = fields["dsn_octets"] == 8
        flags |= _MAP | (_MAP_8 if wide else 0)
        body += struct.pack("!Q" if wide else "!I", dsn)
        body += struct.pack("!IH", fields["ssn"], fields["length"])
        if fields.get("checksum") is not None:
            body += struct.pack("!H", fields["checksum"])
    return bytes((0x20, flags)) + body


def _decode_dss(body: bytes) -> tuple[str, Fields] | None:
    flags = body[1] if len(body) > 1 else 0
    at = 2
    fields: Fields = {"fin": int(bool(flags & _FIN)), "data_ack": None, "dsn": None}
    if flags & _ACK:
        octets = 8 if flags & _ACK_8 else 4
        fields |= {"data_ack": int.from_bytes(body[at : at + octets], "big")}
        fields |= {"data_ack_octets": octets}
        at += octets
    if flags & _MAP:
        octets = 8 if flags & _MAP_8 else 4
        fields |= {"dsn": int.from_bytes(body[at : at + octets], "big"), "dsn_octets": octets}
        at += octets
        if len(body) < at + 6:
            return None
        fields["ssn"], fields["length"] = struct.unpack_from("!IH", body, at)
        at += 6
        checksum = body[at : at + 2]
        fields["checksum"] = int.from_bytes(checksum, "big") if checksum else None
        at += len(checksum)
    return ("dss", fields) if at == len(body) else None


# ---- addresses and priorities


def _encode_add_address(fields: Fields) -> bytes:
    address = fields["address"]
    echo = bool(fields.get("echo"))
    low = echo if echo or fields.get("hmac") else address.version  # without either it is version 0
    packed: bytes = address.packed
    body = bytes((0x30 | low, fields["address_id"])) + packed
    if fields.get("port"):
        body += struct.pack("!H", fields["port"])
    hmac: bytes = fields.get("hmac") or b""
    return body + hmac


def _is_version_0(body: bytes) -> bool:
    """Return whether an ADD_ADDR tells the IP version and has no HMAC (RFC 6824, 3.4.1)."""
    return (body[0] & 0xF, len(body)) in {(4, 6), (4, 8), (6, 18), (6, 20)}


def _decode_add_address(body: bytes) -> tuple[str, Fields] | None:
    plain = len(body) if body[0] & 1 or _is_version_0(body) else len(body) - 8
    if plain not in {6, 8, 18, 20}:
        return None
    end = 6 if plain < 18 else 18
    packed = body[2:end]
    fields: Fields = {
        "echo": body[0] & 1,
        "address_id": body[1],
        "address": IPv4Address(packed) if end == 6 else IPv6Address(packed),
        "port": int.from_bytes(body[end:plain], "big") if plain > end else None,
        "hmac": body[plain:] or None,
    }
    return "add_address", fields


def _decode_remove_address(body: bytes) -> tuple[str, Fields] | None:
    return ("remove_address", {"ids": list(body[1:])}) if len(body) > 1 else None


def _encode_prio(fields: Fields) -> bytes:
    head = bytes((0x50 | bool(fields.get("backup")),))
    address_id = fields.get("address_id")
    return head if address_id is None else head + bytes((address_id,))


def _decode_prio(body: bytes) -> tuple[str, Fields] | None:
    if len(body) > 2:
        return None
    return "mp_prio", {"backup": body[0] & 1, "address_id": body[1] if len(body) > 1 else None}


# ---- failures


def _decode_fail(body: bytes) -> tuple[str, Fields] | None:
    return ("mp_fail", {"dsn": int.from_bytes(body[2:], "big")}) if len(body) == 10 else None


def _decode_fastclose(body: bytes) -> tuple[str, Fields] | None:
    return ("mp_fastclose", {"key": body[2:]}) if len(body) == 2 + _KEY else None


def _decode_reset(body: bytes) -> tuple[str, Fields] | None:
    if len(body) != 2:
        return None
    return "mp_reset", {"flags": body[0] & 0xF, "reason": body[1]}


CODERS: Final[dict[str, Callable[[Fields], bytes]]] = {
    "mpcapable": _encode_capable,
    "mp_join_syn": _encode_join_syn,
    "mp_join_syn_ack": _encode_join_syn_ack,
    "mp_join_ack": _encode_join_ack,
    "dss": _encode_dss,
    "add_address": _encode_add_address,
    "remove_address": lambda fields: bytes((0x40, *fields["ids"])),
    "mp_prio": _encode_prio,
    "mp_fail": lambda fields: struct.pack("!HQ", 0x6000, fields["dsn"]),
    "mp_fastclose": lambda fields: struct.pack("!H8s", 0x7000, fields["key"]),
    "mp_reset": lambda fields: bytes((0x80 | fields["flags"], fields["reason"])),
}
"""Encoders of what follows kind and length."""

_DECODERS: Final[dict[int, Callable[[bytes], tuple[str, Fields] | None]]] = {
    0: _decode_capable,
    1: _decode_join,
    2: _decode_dss,
    3: _decode_add_address,
    4: _decode_remove_address,
    5: _decode_prio,
    6: _decode_fail,
    7: _decode_fastclose,
    8: _decode_reset,
}
"""By subtype."""

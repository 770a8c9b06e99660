"""What the options of Multipath TCP in a script say on the wire (RFC 8684, 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plait.script.conversation import MASK32, MASK64, dss_sum
from plait.script.errors import UnsupportedError
from plait.script.options import Fields
from plait.script.scope import Scope
from plait.script.syntax import Expression, Function, Number, Word

FLAG_BITS: Final = {f"flag_{letter}": 0x80 >> at for at, letter in enumerate("abcdefgh")}
"""Flags of MP_CAPABLE, A the highest (RFC 8684, figure 4)."""

_VERSIONS: Final = {f"v{number}": number for number in range(16)}
"""Words for versions, also of those that nobody speaks yet."""

_TRANSIENT: Final = 0x01
_JOIN_SYN_ACK: Final = 8
_JOIN_ACK: Final = 20
_NONCE: Final = 0x5C_41_07_00
"""Nonce of the script's side where it names none; the flow's port is added."""


def meaning(scope: Scope) -> Fields:
    """Return the fields of an option of Multipath TCP.  Raises UnsupportedError for others."""
    rule = _RULES.get(scope.spec.name)
    if rule is None:
        raise UnsupportedError(f"option {scope.spec.name}")
    reader, words = rule
    if scope.spec.name != "mp_fastclose":  # its words are names of keys
        scope.check(words)
    return reader(scope)


# ---- MP_CAPABLE


def _capable(scope: Scope) -> Fields:
    conversation = scope.conversation
    version = next((number for word, number in _VERSIONS.items() if scope.has(word)), 1)
    conversation.version = min(version, 1)
    if scope.has("nokey"):
        conversation.local_dsn = conversation.remote_dsn = 1
    fields: Fields = {"version": version, "flags": _capable_flags(scope)}
    key = scope.item("key")
    names = key.bindings or () if key is not None else ()
    live = (scope.actual.get("sender_key"), scope.actual.get("receiver_key"))
    for at, name in enumerate(("sender_key", "receiver_key")):
        fields[name] = _key(scope, *names[at], live[at], own=not at) if at < len(names) else None
    fields["length"] = scope.following("mpcdatalen")
    fields["checksum"] = _capable_sum(scope, fields["length"])
    length = fields["length"] or 0
    if scope.inbound:
        conversation.remote_dsn = max(conversation.remote_dsn, 1 + length)
    else:
        conversation.local_dsn = max(conversation.local_dsn, 1 + length)
    return fields


def _capable_flags(scope: Scope) -> int:
    item = scope.item("flags")
    if item is None:
        return 0x01
    if item.bindings is None:
        return scope.following("flags") or 0
    return _bits(scope, FLAG_BITS)


def _bits(scope: Scope, table: dict[str, int]) -> int:
    item = scope.item("flags")
    bits = 0
    for name, _ in (item.bindings or ()) if item is not None else ():
        if name not in table:
            raise UnsupportedError(f"{scope.spec.name} {name}")
        bits |= table[name]
    return bits


def _key(
    scope: Scope, name: str, value: Expression | None, live: bytes | None, *, own: bool = True
) -> bytes:
    """Return a key: one that is given, one that is known, or one that is learned now.

    Args:
        own: The place is that of the sender's key; another one is only remembered by its name.
    """
    conversation = scope.conversation
    if isinstance(value, Number):
        if conversation.keys.get(name) == value.value.to_bytes(8, "little"):
            return conversation.keys[name]
        return conversation.assign(name, value.value, own=own)
    if name not in conversation.keys:
        if scope.inbound:  # the script does not care what its own key is
            return conversation.assign(name, 0x0706050403020100 + len(conversation.keys))
        if live is not None:
            conversation.learn(name, live)
    return conversation.key(name)


def _capable_sum(scope: Scope, length: int | None) -> int | None:
    if not scope.has("cksum"):
        return None
    given = scope.integer("cksum")
    if given is not None:
        return given
    key = scope.conversation.remote_key if scope.inbound else scope.conversation.local_key
    dsn = (scope.conversation.idsn(key) + 1) & MASK64
    return dss_sum(dsn, 1, length or 0, scope.payload)


# ---- MP_JOIN


def _join_head(scope: Scope, own: tuple[str, Expression | None] | None) -> Fields:
    backup = scope.integer("backup")
    address_id = scope.integer("address_id")
    if scope.inbound and address_id is None:
        address_id = scope.conversation.address_id(own[0]) if own is not None else 0
    return scope.given(backup=backup or (0 if scope.inbound else backup), address_id=address_id)


def _join_nonce(scope: Scope) -> int | None:
    """Return the nonce of this side, and note it."""
    flow = scope.flow
    given = scope.integer("rand")
    if scope.inbound:
        flow.remote_nonce = given if given is not None else _NONCE + flow.remote_port
        return flow.remote_nonce
    flow.local_nonce = scope.actual.get("nonce", 0)
    return given


def _join_syn(scope: Scope) -> Fields:
    conversation = scope.conversation
    fields = _join_head(scope, scope.packet.source)
    receiver = conversation.local_key if scope.inbound else conversation.remote_key
    value = scope.value("token")
    if value is not None:
        token = conversation.number(value, 0) & MASK32
    else:
        token = conversation.token(receiver or b"")
    return fields | {"token": token} | scope.given(nonce=_join_nonce(scope))


def _join_syn_ack(scope: Scope) -> Fields:
    fields = _join_head(scope, scope.packet.source)
    nonce = scope.given(nonce=_join_nonce(scope))
    return fields | nonce | {"hmac": _join_hmac(scope)[:_JOIN_SYN_ACK]}


def _join_ack(scope: Scope) -> Fields:
    return {"hmac": _join_hmac(scope)[:_JOIN_ACK]}


def _join_hmac(scope: Scope) -> bytes:
    conversation = scope.conversation
    value = scope.value("sender_hmac")
    keys = conversation.both_keys(inbound=scope.inbound)
    match value:
        case Number():
            size = _JOIN_SYN_ACK if scope.spec.name == "mp_join_syn_ack" else _JOIN_ACK
            return value.value.to_bytes(size, "big")
        case Function(arguments=(Number(value=number),)):
            return number.to_bytes(_JOIN_SYN_ACK, "big")
        case Function(arguments=(Word(name=first), Word(name=second))):
            keys = conversation.key(first) + conversation.key(second)
        case None:
            pass
        case _:
            raise UnsupportedError("sender_hmac of this form")
    return conversation.join_digest(keys, scope.flow, inbound=scope.inbound)


# ---- DSS


def _dss(scope: Scope) -> Fields:
    fields = _data_ack(scope) | _mapping(scope)
    fields["fin"] = int(scope.has("fin"))
    _follow(scope, fields)
    return fields


def _octets(scope: Scope, word: str) -> int:
    """Return 4 or 8, the form that the script names, 0 if it names none."""
    return next((octets for octets in (4, 8) if scope.has(f"{word}{octets}")), 0)


def _cut(number: int, octets: int) -> int:
    return number & ((1 << 8 * octets) - 1)


def _data_ack(scope: Scope) -> Fields:
    """Return the Data ACK: `dack4` or `dack8`, or `dack` where either form may come."""
    octets = _octets(scope, "dack")
    word = f"dack{octets}"
    if not octets and scope.has("dack"):
        octets, word = scope.actual.get("data_ack_octets", 8), "dack"
    if not octets:
        return {"data_ack": None}
    conversation = scope.conversation
    base = conversation.idsn(conversation.local_key if scope.inbound else conversation.remote_key)
    value = scope.value(word)
    fields: Fields = {"data_ack_octets": octets}
    if value is not None:
        fields["data_ack"] = _cut(conversation.number(value, base), octets)
    elif scope.inbound:
        fields["data_ack"] = _cut(base + conversation.local_dsn, octets)
    return fields


def _mapping(scope: Scope) -> Fields:
    octets = _octets(scope, "dsn")
    if not octets:
        return {"dsn": None}
    conversation = scope.conversation
    base = conversation.idsn(conversation.remote_key if scope.inbound else conversation.local_key)
    value = scope.value(f"dsn{octets}")
    length = scope.integer("dll")
    fields: Fields = {"dsn_octets": octets, "ssn": scope.integer("ssn"), "length": length}
    if value is not None:
        fields["dsn"] = conversation.number(value, base)
    elif scope.inbound:
        fields["dsn"] = (base + conversation.remote_dsn) & MASK64
    if scope.inbound:
        if fields["ssn"] is None:
            fields["ssn"] = scope.packet.sequence.start
        if length is None:
            fields["length"] = scope.packet.sequence.length + scope.has("fin")
    fields["checksum"] = _checksum(scope, fields)
    if "dsn" in fields:
        fields["dsn"] = _cut(fields["dsn"], octets)
    return {key: value for key, value in fields.items() if value is not None or key == "checksum"}


def _checksum(scope: Scope, fields: Fields) -> int | None:
    """Return the checksum: none with `nocs` or nothing, a number, or what is right for `cksum`."""
    if not scope.has("cksum"):
        return None
    given = scope.integer("cksum")
    if given is not None:
        return given
    wide = {**scope.actual, **fields}
    return dss_sum(fields.get("dsn", 0), wide["ssn"], wide["length"], scope.payload)


def _follow(scope: Scope, fields: Fields) -> None:
    """Note how far the data of this side goes, for values the script leaves open."""
    conversation = scope.conversation
    actual = fields if scope.inbound else scope.actual
    if actual.get("dsn") is None:
        return
    key = conversation.remote_key if scope.inbound else conversation.local_key
    octets = actual["dsn_octets"]
    end = _cut(actual["dsn"] + actual["length"] - conversation.idsn(key), octets)
    if end >= 1 << (8 * octets - 1):
        return
    if scope.inbound:
        conversation.remote_dsn = max(conversation.remote_dsn, end)
    else:
        conversation.local_dsn = max(conversation.local_dsn, end)


# ---- addresses, priorities, failures


def _add_address(scope: Scope) -> Fields:
    conversation = scope.conversation
    echo = scope.has("addr_echo")
    item = scope.item("addr") or scope.item("addr_echo")
    if item is None or not item.bindings:
        raise UnsupportedError("add_address without addr[...]")
    name, value = item.bindings[0]
    live = scope.actual.get("address")
    default = live if live is not None else conversation.config.remote
    address = conversation.address(name, value, default, known=live is not None)
    address_id = scope.integer("address_id")
    if scope.inbound and address_id is None:
        address_id = conversation.address_id(name)
    port = scope.integer("port")
    fields = scope.given(address_id=address_id, port=port)
    fields |= {"address": address, "echo": int(echo), "hmac": None}
    if not echo:
        known_id = address_id if address_id is not None else scope.actual.get("address_id", 0)
        fields["hmac"] = _address_hmac(scope, known_id, port or 0, fields)
    return fields


def _address_hmac(scope: Scope, address_id: int, port: int, fields: Fields) -> bytes | None:
    given = scope.integer("hmac")
    if given is not None:
        return given.to_bytes(8, "big")
    conversation = scope.conversation
    if not scope.has("hmac") and not conversation.version:
        return None
    keys = conversation.both_keys(inbound=scope.inbound)
    return conversation.address_digest(address_id, fields["address"], port, keys)


def _remove_address(scope: Scope) -> Fields:
    item = scope.item("address_id")
    values = getattr(item.value, "items", (item.value,)) if item is not None else ()
    return {"ids": [value.value for value in values if isinstance(value, Number)]}


def _prio(scope: Scope) -> Fields:
    return {"backup": scope.integer("backup") or 0, "address_id": scope.integer("address_id")}


def _fail(scope: Scope) -> Fields:
    value = scope.value("dsn8")
    conversation = scope.conversation
    base = conversation.idsn(conversation.local_key if scope.inbound else conversation.remote_key)
    if value is None:
        return scope.given(dsn=(base + conversation.local_dsn) & MASK64 if scope.inbound else None)
    return {"dsn": conversation.number(value, base)}


def _fastclose(scope: Scope) -> Fields:
    """Return the receiver's key, one that the script names, and what it adds to that."""
    conversation = scope.conversation
    receiver = conversation.local_key if scope.inbound else conversation.remote_key
    key = receiver or b""
    items = [item for item in scope.spec.items if item.text != "+"]
    if items:
        name, value = items[0].text, items[0].value
        key = _key(scope, name, value, scope.actual.get("key"), own=False)
    plus = scope.item("+")
    if plus is not None and isinstance(plus.value, Number):
        number = int.from_bytes(key, "little") + plus.value.value
        key = (number & MASK64).to_bytes(8, "little")
    return {"key": key}


def _reset(scope: Scope) -> Fields:
    reason = scope.spec.items[0].text if scope.spec.items else "0"
    flags = scope.following("flags")
    return {
        "flags": flags if flags is not None else _bits(scope, {"flag_t": _TRANSIENT}),
        "reason": int(reason, 0),
    }


_RULES: Final[dict[str, tuple[Callable[[Scope], Fields], frozenset[str]]]] = {
    "mpcapable": (
        _capable,
        frozenset({*_VERSIONS, "flags", "nokey", "key", "mpcdatalen", "cksum", "nocs"}),
    ),
    "mp_join_syn": (_join_syn, frozenset({"backup", "address_id", "token", "rand"})),
    "mp_join_syn_ack": (_join_syn_ack, frozenset({"backup", "address_id", "sender_hmac", "rand"})),
    "mp_join_ack": (_join_ack, frozenset({"sender_hmac"})),
    "dss": (
        _dss,
        frozenset({"dack", "dack4", "dack8", "dsn4", "dsn8", "ssn", "dll", "nocs", "cksum", "fin"}),
    ),
    "add_address": (
        _add_address,
        frozenset({"address_id", "addr", "addr_echo", "port", "hmac"}),
    ),
    "remove_address": (_remove_address, frozenset({"address_id"})),
    "mp_prio": (_prio, frozenset({"backup", "address_id"})),
    "mp_fail": (_fail, frozenset({"dsn8"})),
    "mp_fastclose": (_fastclose, frozenset({"+"})),
    "mp_reset": (_reset, frozenset({"flags"})),
}
"""By name: the rule, and the words it knows."""

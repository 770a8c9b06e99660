"""Live packets and options in the words of scripts, with relative numbers."""

from __future__ import annotations

from typing import Any, Final

from plait.script.conversation import MASK32, SYN, Conversation, Flow
from plait.script.frame import Frame, letters_of
from plait.script.mptcp_meaning import FLAG_BITS
from plait.script.options import Fields, Option, show_option

_ACK: Final = 0x10
_HALF: Final = 1 << 31
_DATA_NUMBERS: Final = ("data_ack", "dsn")


def signed(number: int) -> int:
    """Return a 32-bit difference as a number around zero."""
    number &= MASK32
    return number - (1 << 32) if number >= _HALF else number


def relative(
    conversation: Conversation, field: str, fields: Fields, value: Any, *, inbound: bool
) -> Any:
    """Return a field as a script counts it: data sequence numbers from the IDSN."""
    if field not in _DATA_NUMBERS or not isinstance(value, int):
        return value
    of_sender = field == "dsn"
    key = conversation.remote_key if inbound is of_sender else conversation.local_key
    octets = fields.get(f"{field}_octets", 8)
    space = 1 << 8 * octets
    ahead = (value - conversation.idsn(key)) % space
    return ahead if ahead < space // 2 else ahead - space


def show(conversation: Conversation, option: Option, *, inbound: bool) -> str:
    """Return an option as a script writes it."""
    fields = option.fields
    match option.name:
        case "dss":
            return _show_dss(conversation, fields, inbound=inbound)
        case "mpcapable":
            return _show_capable(conversation, fields)
        case "mp_reset":
            return f"mp_reset {fields['reason']}" + (" flags[flag_t]" if fields["flags"] else "")
        case "mp_fastclose":
            return f"mp_fastclose {_key(conversation, fields['key'])}"
    return show_option(option)


def _show_dss(conversation: Conversation, fields: Fields, *, inbound: bool) -> str:
    words = ["dss"]
    for word, field in (("dack", "data_ack"), ("dsn", "dsn")):
        if fields.get(field) is not None:
            number = relative(conversation, field, fields, fields[field], inbound=inbound)
            words.append(f"{word}{fields[f'{field}_octets']}={number}")
    if fields.get("dsn") is not None:
        words += [f"ssn={fields['ssn']}", f"dll={fields['length']}"]
        checksum = fields.get("checksum")
        words.append("nocs" if checksum is None else f"cksum={checksum}")
    else:
        words.append("nocs")
    if fields.get("fin"):
        words.append("fin")
    return " ".join(words)


def _show_capable(conversation: Conversation, fields: Fields) -> str:
    flags = ",".join(name for name, bit in FLAG_BITS.items() if fields["flags"] & bit)
    keys = [fields[name] for name in ("sender_key", "receiver_key") if fields.get(name)]
    shown = ",".join(_key(conversation, key) for key in keys)
    text = f"mpcapable v{fields['version']} flags[{flags}] "
    text += f"key[{shown}]" if keys else "nokey"
    if fields.get("length") is not None:
        text += f" mpcdatalen {fields['length']}"
    return text


def _key(conversation: Conversation, key: bytes) -> str:
    """Return the name of a key, or its octets."""
    names = [name for name, known in conversation.keys.items() if known == key]
    return names[0] if names else f"0x{key.hex()}"


def _names(conversation: Conversation, frame: Frame) -> str:
    """Return the addresses of a packet if the script has names for them."""
    names = {address: name for name, address in conversation.addresses.items()}
    if frame.source not in names or frame.destination not in names:
        return ""
    return f"addr[{names[frame.source]}] > addr[{names[frame.destination]}] "


def describe(conversation: Conversation, frame: Frame, *, inbound: bool) -> str:
    """Return a packet as a script would write it."""
    path = frame.path if not inbound else (*frame.path[2:], *frame.path[:2])
    flow = conversation.at(path) or Flow(*path)
    mine, other = flow.local_offset or 0, flow.remote_offset
    if inbound:
        mine, other = other, mine
    start = signed(frame.seq - mine) if not frame.flags & SYN or flow.local_offset else 0
    length = len(frame.payload)
    text = f"{'<' if inbound else '>'} {_names(conversation, frame)}{letters_of(frame.flags)} "
    text += f"{start}:{start + length}({length})"
    if frame.flags & _ACK:
        text += f" ack {signed(frame.ack - other)}"
    text += f" win {frame.window}"
    options = ",".join(show(conversation, option, inbound=inbound) for option in frame.options)
    return f"{text} <{options}>" if options else text

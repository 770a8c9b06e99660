"""Making the packets that a script injects, and comparing those it expects."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, Final

from plait.script.conversation import MASK32, RST, SYN, Conversation, Flow
from plait.script.errors import Difference, Mismatch, UnsupportedError
from plait.script.frame import (
    Frame,
    flags_of,
    internet_sum,
    ip_packet,
    letters_of,
    transport_sum,
)
from plait.script.meaning import Context, meaning
from plait.script.options import EOL, NOP, Option
from plait.script.showing import describe, relative, show, signed
from plait.script.syntax import IcmpSpec, OptionSpec, PacketSpec

_ECN: Final = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
_ACK: Final = 0x10
_DEFAULT_WINDOW: Final = 65535

_ICMP: Final[dict[str, tuple[int, dict[str, int]]]] = {
    "unreachable": (
        3,
        {
            "net_unreachable": 0,
            "host_unreachable": 1,
            "protocol_unreachable": 2,
            "port_unreachable": 3,
            "frag_needed": 4,
            "source_route_failed": 5,
            "net_prohibited": 9,
            "host_prohibited": 10,
            "packet_filtered": 13,
        },
    ),
    "source_quench": (4, {}),
    "time_exceeded": (11, {"ttl": 0, "frag": 1}),
    "parameter_problem": (12, {}),
}
"""Types of ICMP and their codes (RFC 792)."""

_ICMP_V6: Final[dict[str, tuple[int, dict[str, int]]]] = {
    "unreachable": (
        1,
        {"no_route": 0, "admin_prohibited": 1, "address_unreachable": 3, "port_unreachable": 4},
    ),
    "packet_too_big": (2, {}),
    "time_exceeded": (3, {"hop_limit": 0, "frag": 1}),
    "parameter_problem": (4, {}),
}
"""The same of ICMPv6 (RFC 4443)."""


@dataclass(frozen=True, slots=True)
class Strictness:
    """How closely packets are compared."""

    loose: bool = False
    """The order of options and the padding between them do not count."""


# ---- injecting


def make(conversation: Conversation, spec: PacketSpec) -> Frame:
    """Return the packet that a line injects."""
    flow = _inbound_flow(conversation, spec)
    payload = bytes(spec.sequence.length)
    frame = Frame(
        source=flow.remote,
        destination=flow.local,
        source_port=flow.remote_port,
        destination_port=flow.local_port,
        seq=(spec.sequence.start + flow.remote_offset) & MASK32,
        ack=0 if spec.ack is None else (spec.ack + (flow.local_offset or 0)) & MASK32,
        flags=flags_of(spec.flags),
        window=_DEFAULT_WINDOW if spec.window is None else spec.window,
        urgent=spec.urgent or 0,
        payload=payload,
        **_ip_fields(spec),
    )
    context = Context(conversation, flow, spec, payload)
    frame.options = [meaning(context, option) for option in spec.options or ()]
    flow.note(frame.flags, inbound=True)
    return frame


def _ip_fields(spec: PacketSpec) -> dict[str, Any]:
    """Return the fields of the IP header that a line names."""
    fields: dict[str, Any] = {}
    for text in spec.ip:
        word, _, number = text.partition(" ")
        if word in _ECN:
            fields["tos"] = fields.get("tos", 0) | _ECN[word]
        elif word == "ect01":
            fields["tos"] = fields.get("tos", 0) | _ECN["ect0"]
        elif word in {"tos", "ttl"}:
            fields[word] = int(number)
        else:
            raise UnsupportedError(f"IP word {word}")
    return fields


def _inbound_flow(conversation: Conversation, spec: PacketSpec) -> Flow:
    """Return the flow that an injected packet belongs to; a SYN may begin one."""
    config = conversation.config
    opens = "S" in spec.flags and "." not in spec.flags
    if spec.ports is not None:
        return _flow_by_ports(conversation, spec.ports)
    if spec.source is None and spec.destination is None:
        flow = conversation.current
        if flow is None or (opens and flow.ended):
            flow = conversation.begin(config.local.ip, config.remote)
            conversation.current = flow
        return flow
    remote, local = config.remote, config.local.ip
    if spec.source is not None:
        remote = conversation.address(*spec.source, remote, known=False)
    if spec.destination is not None:
        local = conversation.address(*spec.destination, local, known=False)
    found = conversation.between(local, remote)
    if found is None or (opens and found.ended):
        found = conversation.begin(local, remote)
    conversation.current = found
    return found


def _flow_by_ports(conversation: Conversation, ports: tuple[int, int]) -> Flow:
    config = conversation.config
    found = conversation.at((config.local.ip, ports[1], config.remote, ports[0]))
    if found is None:
        found = Flow(config.local.ip, ports[1], config.remote, ports[0])
        conversation.flows.append(found)
    conversation.current = found
    return found


def make_icmp(conversation: Conversation, spec: IcmpSpec) -> bytes:
    """Return the ICMP error that a line injects: it quotes a segment of the host under test."""
    flow = conversation.current
    if flow is None or not spec.inbound:
        raise UnsupportedError("icmp without a connection, or outbound")
    table = _ICMP if flow.local.version == 4 else _ICMP_V6
    kind, codes = table.get(spec.kind, (None, {}))
    if kind is None or (spec.code is not None and spec.code not in codes):
        raise UnsupportedError(f"icmp {spec.kind} {spec.code or ''}".strip())
    code = codes[spec.code] if spec.code is not None else 0
    seq = spec.echoed.start if spec.echoed is not None else 0
    quoted = Frame(
        source=flow.local,
        destination=flow.remote,
        source_port=flow.local_port,
        destination_port=flow.remote_port,
        seq=(seq + (flow.local_offset or 0)) & MASK32,
        flags=_ACK,
        payload=bytes(spec.echoed.length if spec.echoed is not None else 0),
    ).encode()
    quoted = quoted[: 28 if flow.local.version == 4 else 1232]
    body = struct.pack("!BBHI", kind, code, 0, spec.mtu) + quoted
    router = conversation.config.gateway
    if flow.local.version == 4:
        checksum, protocol = internet_sum(body), 1
    else:
        checksum, protocol = transport_sum(router, flow.local, 58, body), 58
    body = body[:2] + struct.pack("!H", checksum) + body[4:]
    return ip_packet(router, flow.local, protocol, body, 0, 64)


# ---- expecting


def joined(frames: list[Frame]) -> Frame:
    """Return the super-segment of which these are the pieces."""
    first, last = frames[0], frames[-1]
    if len(frames) == 1:
        return first
    payload = b"".join(frame.payload for frame in frames)
    return replace(first, payload=payload, flags=first.flags | last.flags)


def continues(first: list[Frame], following: Frame) -> bool:
    """Return whether a packet is the next piece of a super-segment."""
    last = first[-1]
    return (
        bool(following.payload)
        and following.path == last.path
        and following.seq == (last.seq + len(last.payload)) & MASK32
    )


def compare(
    conversation: Conversation, spec: PacketSpec, frame: Frame, strictness: Strictness
) -> tuple[Difference, ...]:
    """Return where a packet that left differs from a line, and learn what the line names."""
    flow = conversation.of_frame(frame)
    if flow is None:
        flow = Flow(*frame.path, local_offset=0)
    elif spec.source is not None or spec.destination is not None:
        conversation.current = flow
    if frame.flags & SYN and spec.flags.startswith(("S", "SE", "SW")) and flow.local_offset is None:
        flow.local_offset = (frame.seq - spec.sequence.start) & MASK32
    found: list[Difference] = []
    _compare_addresses(conversation, spec, frame, found)
    _compare_header(flow, spec, frame, found)
    if spec.options is not None:
        context = Context(conversation, flow, spec, frame.payload)
        _compare_options(context, spec.options, frame.options, strictness, found)
    if frame.payload.strip(b"\0") and not found and not conversation.free_payload:
        found.append(Difference("payload", "zeros", frame.payload[:16].hex()))
    for option in frame.options:
        if option.name == "TS":
            flow.last_stamp = option.fields["val"]
    flow.note(frame.flags, inbound=False)
    return tuple(found)


def _differ(found: list[Difference], name: str, expected: Any, actual: Any) -> None:
    if expected != actual:
        found.append(Difference(name, str(expected), str(actual)))


def _compare_addresses(
    conversation: Conversation, spec: PacketSpec, frame: Frame, found: list[Difference]
) -> None:
    for name, binding, actual in (
        ("source", spec.source, frame.source),
        ("destination", spec.destination, frame.destination),
    ):
        if binding is not None:
            expected = conversation.address(*binding, actual, known=True)
            _differ(found, f"{name} address", expected, actual)
    if spec.ports is not None:
        _differ(found, "ports", spec.ports, (frame.source_port, frame.destination_port))


def _compare_header(flow: Flow, spec: PacketSpec, frame: Frame, found: list[Difference]) -> None:
    expected_flags = flags_of(spec.flags)
    _differ(found, "flags", letters_of(expected_flags), letters_of(frame.flags))
    if not frame.flags & RST or flow.local_offset is not None or spec.ack is not None:
        seq = signed(frame.seq - (flow.local_offset or 0))
    else:
        seq = signed(frame.seq)
    _differ(found, "seq", spec.sequence.start, seq)
    _differ(found, "length", spec.sequence.length, len(frame.payload))
    if spec.ack is not None:
        _differ(found, "ack", spec.ack, signed(frame.ack - flow.remote_offset))
    if spec.window is not None:
        _differ(found, "win", spec.window, frame.window)
    if spec.urgent is not None:
        _differ(found, "urg", spec.urgent, frame.urgent)
    _compare_ip(spec, frame, found)


def _compare_ip(spec: PacketSpec, frame: Frame, found: list[Difference]) -> None:
    """Compare what a line says of the IP header."""
    names = {code: name for name, code in _ECN.items()}
    marked = names[frame.tos & 3]
    for text in spec.ip:
        word, _, number = text.partition(" ")
        if word in {"tos", "ttl"}:
            _differ(found, word, int(number), getattr(frame, word))
        elif word == "ect01":
            _differ(found, "ECN", word, word if marked in {"ect0", "ect1"} else marked)
        elif word in _ECN:
            _differ(found, "ECN", word, marked)
        else:
            raise UnsupportedError(f"IP word {word}")


def _compare_options(
    context: Context,
    specs: tuple[OptionSpec, ...],
    options: list[Option],
    strictness: Strictness,
    found: list[Difference],
) -> None:
    if strictness.loose:
        specs = tuple(spec for spec in specs if spec.name not in {NOP, EOL})
        specs = tuple(sorted(specs, key=lambda spec: spec.name))
        options = [option for option in options if option.name not in {NOP, EOL}]
        options = sorted(options, key=lambda option: option.name)
    conversation = context.conversation
    names = [spec.name for spec in specs]
    actual_names = [option.name for option in options]
    if names != actual_names:
        shown = ",".join(show(conversation, option, inbound=False) for option in options)
        found.append(Difference("options", f"<{','.join(names)}>", f"<{shown}>"))
        return
    for spec, option in zip(specs, options, strict=True):
        expected = meaning(context, spec, option.fields)
        for name, value in expected.fields.items():
            actual = option.fields.get(name)
            if value != actual:
                told = [
                    _shown(relative(conversation, name, fields, number, inbound=False))
                    for fields, number in ((expected.fields, value), (option.fields, actual))
                ]
                _differ(found, f"{spec.name} {name}", *told)


def _shown(value: Any) -> Any:
    if value is None:
        return "absent"
    return value.hex() if isinstance(value, bytes) else value


def wrong(
    conversation: Conversation, spec: PacketSpec, frame: Frame, found: tuple[Difference, ...]
) -> Mismatch:
    """Return the finding about a packet that differs from its line."""
    return Mismatch(
        "the packet differs",
        found,
        expected=spec.text,
        actual=describe(conversation, frame, inbound=False),
    )

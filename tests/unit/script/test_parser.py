from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.script.errors import ScriptError
from plait.script.parser import nanos, parse_script
from plait.script.syntax import (
    Action,
    Anything,
    Array,
    CallSpec,
    CodeSpec,
    Function,
    IcmpSpec,
    Item,
    Number,
    OptionSpec,
    PacketSpec,
    Sequence,
    ShellSpec,
    Struct,
    Text,
    Time,
    TimeKind,
    Union,
    Word,
)
from plait.units import MILLISECOND, SECOND


def action_of(line: str) -> Action:
    (event,) = parse_script(line, "t.pkt").events
    return event.action


def packet_of(line: str) -> PacketSpec:
    action = action_of(line)
    assert isinstance(action, PacketSpec)
    return action


def call_of(line: str) -> CallSpec:
    action = action_of(f"0 {line}")
    assert isinstance(action, CallSpec)
    return action


TIMES = {
    "0": Time(TimeKind.ABSOLUTE, 0),
    "0.25": Time(TimeKind.ABSOLUTE, 250 * MILLISECOND),
    "+0": Time(TimeKind.RELATIVE, 0),
    "+.1": Time(TimeKind.RELATIVE, 100 * MILLISECOND),
    "+0.2~+0.3": Time(TimeKind.RELATIVE, 200 * MILLISECOND, 300 * MILLISECOND),
    "1~2": Time(TimeKind.ABSOLUTE, SECOND, 2 * SECOND),
    "*": Time(TimeKind.ANY),
}


@pytest.mark.parametrize(("text", "time"), TIMES.items(), ids=TIMES.keys())
def test_times(text: str, time: Time) -> None:
    (event,) = parse_script(f"{text} > . 1:1(0) ack 1", "t.pkt").events
    assert event.time == time


@given(whole=st.integers(0, 10**6), part=st.integers(0, 999_999_999))
def test_seconds_are_exact(whole: int, part: int) -> None:
    assert nanos(f"{whole}.{part:09}") == whole * SECOND + part


FLAGS = ["S", "S.", ".", "P.", "F.", "FP.", "R", "R.", "-", "SEW", "S.E", "U.", "SEWA"]


@pytest.mark.parametrize("flags", FLAGS)
def test_flags(flags: str) -> None:
    assert packet_of(f"+0 < {flags} 0:0(0) win 1").flags == flags


def test_every_part_of_a_packet() -> None:
    packet = packet_of("+0 < [ect0] 4000 > 8080 P. 1:11(10) ack 5 win 6 urg 7 <nop>")
    assert packet.inbound
    assert packet.ip == ("ect0",)
    assert packet.ports == (4000, 8080)
    assert packet.sequence == Sequence(1, 11, 10)
    assert (packet.ack, packet.window, packet.urgent) == (5, 6, 7)
    assert packet.options == (OptionSpec("nop", ()),)


def test_addresses() -> None:
    both = packet_of("+0 < addr[caddr1] > addr[saddr0] . 1:1(0) ack 1")
    assert (both.source, both.destination) == (("caddr1", None), ("saddr0", None))
    one = packet_of('+0 > addr[saddr1=inet_addr("10.0.0.1")] . 1:1(0) ack 1')
    assert one.source == ("saddr1", Function("inet_addr", (Text(b"10.0.0.1"),)))
    assert one.destination is None
    other = packet_of("+0 > > addr[saddr1] S 0:0(0)")
    assert (other.source, other.destination) == (None, ("saddr1", None))


def test_options_that_are_not_compared() -> None:
    assert packet_of("+0 > . 1:1(0) ack 1 <...>").options is None
    assert packet_of("+0 > . 1:1(0) ack 1").options == ()


OPTIONS = {
    "mss 1460": ("mss", Item("1460")),
    "TS val 1 ecr 0": ("TS", Item("val"), Item("1"), Item("ecr"), Item("0")),
    "sack 1:2 3:4": ("sack", Item("1", Number(2)), Item("3", Number(4))),
    "FO 00ab12": ("FO", Item("00"), Item("ab12")),
    "mpcapable v1 flags[flag_a,flag_h] key[ckey=2, skey] mpcdatalen 9": (
        "mpcapable",
        Item("v1"),
        Item("flags", bindings=(("flag_a", None), ("flag_h", None))),
        Item("key", bindings=(("ckey", Number(2)), ("skey", None))),
        Item("mpcdatalen"),
        Item("9"),
    ),
    "mpcapable v0 flags 0x81 nokey": (
        "mpcapable",
        Item("v0"),
        Item("flags"),
        Item("0x81"),
        Item("nokey"),
    ),
    "mp_join_syn backup=1 address_id=auto token=sha256_32(skey) rand=0x10": (
        "mp_join_syn",
        Item("backup", Number(1)),
        Item("address_id", Word("auto")),
        Item("token", Function("sha256_32", (Word("skey"),))),
        Item("rand", Number(16)),
    ),
    "mp_join_syn_ack sender_hmac=trunc_l64_hmac(skey ckey)": (
        "mp_join_syn_ack",
        Item("sender_hmac", Function("trunc_l64_hmac", (Word("skey"), Word("ckey")))),
    ),
    "mp_join_ack sender_hmac=full_160_hmac(ckey, skey)": (
        "mp_join_ack",
        Item("sender_hmac", Function("full_160_hmac", (Word("ckey"), Word("skey")))),
    ),
    "dss dack8=trunc_r64_hmac(ckey)+7 dsn4 ssn=1 dll=2 nocs fin": (
        "dss",
        Item("dack8", Function("trunc_r64_hmac", (Word("ckey"),), 7)),
        Item("dsn4"),
        Item("ssn", Number(1)),
        Item("dll", Number(2)),
        Item("nocs"),
        Item("fin"),
    ),
    "add_address address_id=1 addr[saddr1] port=81 hmac=auto": (
        "add_address",
        Item("address_id", Number(1)),
        Item("addr", bindings=(("saddr1", None),)),
        Item("port", Number(81)),
        Item("hmac", Word("auto")),
    ),
    "remove_address address_id=[1,2]": (
        "remove_address",
        Item("address_id", Array((Number(1), Number(2)))),
    ),
    "mp_fastclose skey +1": ("mp_fastclose", Item("skey"), Item("+", Number(1))),
    "mp_reset 1 flags[flag_t]": (
        "mp_reset",
        Item("1"),
        Item("flags", bindings=(("flag_t", None),)),
    ),
}


@pytest.mark.parametrize(("text", "parts"), OPTIONS.items(), ids=OPTIONS.keys())
def test_options(text: str, parts: tuple[str, *tuple[Item, ...]]) -> None:
    name, *items = parts
    packet = packet_of(f"+0 < . 1:1(0) ack 1 win 1 <nop, {text},nop>")
    assert packet.options is not None
    assert packet.options[1] == OptionSpec(name, tuple(items))


CALLS = {
    "socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP) = 3": CallSpec(
        name="socket",
        arguments=(
            Anything(),
            Union((Word("SOCK_STREAM"), Word("SOCK_NONBLOCK"))),
            Word("IPPROTO_MPTCP"),
        ),
        result=Number(3),
    ),
    "fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)": CallSpec(
        name="fcntl", arguments=(Number(3), Word("F_GETFL")), result=Number(2)
    ),
    "read(4, ..., 10) = -1 EAGAIN (Resource temporarily unavailable)": CallSpec(
        name="read",
        arguments=(Number(4), Anything(), Number(10)),
        result=Number(-1),
        errno="EAGAIN",
    ),
    '...0.5 read(4, "ab\\x00"..., 10) = 3': CallSpec(
        name="read",
        arguments=(Number(4), Text(b"ab\0", prefix=True), Number(10)),
        result=Number(3),
        until=SECOND // 2,
    ),
    "setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0": CallSpec(
        name="setsockopt",
        arguments=(
            Number(4),
            Word("SOL_SOCKET"),
            Word("SO_LINGER"),
            Struct((("onoff", Number(1)), ("linger", Number(0)))),
            Number(8),
        ),
        result=Number(0),
    ),
    "poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 1": CallSpec(
        name="poll",
        arguments=(
            Array(
                (
                    Struct(
                        (
                            ("fd", Number(4)),
                            ("events", Word("POLLIN")),
                            ("revents", Word("POLLIN")),
                        )
                    ),
                )
            ),
            Number(1),
            Number(0),
        ),
        result=Number(1),
    ),
    "recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 9}], msg_flags=0}, 0) = 9": CallSpec(
        name="recvmsg",
        arguments=(
            Number(4),
            Struct(
                (
                    ("msg_name", Anything()),
                    ("msg_iov", Array((Struct((("0", Anything()), ("1", Number(9)))),))),
                    ("msg_flags", Number(0)),
                )
            ),
            Number(0),
        ),
        result=Number(9),
    ),
    'bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("1.2.3.4")}, ...) = 0': (
        CallSpec(
            name="bind",
            arguments=(
                Number(3),
                Struct(
                    (
                        ("sa_family", Word("AF_INET")),
                        ("sin_port", Function("htons", (Number(80),))),
                        ("sin_addr", Function("inet_addr", (Text(b"1.2.3.4"),))),
                    )
                ),
                Anything(),
            ),
            result=Number(0),
        )
    ),
}


@pytest.mark.parametrize(("text", "expected"), CALLS.items(), ids=[c.name for c in CALLS.values()])
def test_calls(text: str, expected: CallSpec) -> None:
    call = call_of(text)
    assert (call.name, call.arguments) == (expected.name, expected.arguments)
    assert (call.result, call.errno, call.until) == (
        expected.result,
        expected.errno,
        expected.until,
    )


def test_the_rest_of_a_script() -> None:
    script = parse_script(
        "// comment\n--mtu=1400\n--ip_version=ipv6 # comment\n`sysctl\n  -q a=b`\n"
        "0 `true`\n+0 %{ assert tcpi_snd_cwnd == 10\nassert True }%\n"
        "/* a\n comment */ +0 < icmp unreachable frag_needed mtu 1200 [1:101(100)]\n",
        "t.pkt",
    )
    assert script.options == ((2, "mtu", "1400"), (3, "ip_version", "ipv6"))
    assert [event.line for event in script.events] == [4, 6, 7, 10]
    first, second, third, fourth = (event.action for event in script.events)
    assert first == ShellSpec("sysctl\n  -q a=b")
    assert second == ShellSpec("true")
    assert isinstance(third, CodeSpec)
    assert isinstance(fourth, IcmpSpec)
    assert (fourth.kind, fourth.code, fourth.mtu) == ("unreachable", "frag_needed", 1200)
    assert fourth.echoed == Sequence(1, 101, 100)


WRONG = {
    "+0 < S 0:0(0)\n+0 nonsense here": (2, "cannot read 'here' here (column 13)"),
    "+0 < udp (100)": (1, "unsupported: packet udp"),
    "+0 > mpls (label 1) . 1:1(0)": (1, "unsupported: packet mpls"),
    "0 socket(": (1, "the script ends in mid-line"),
    "0 `a`\n\n+0 < S. 0:0(0) <mss 1460": (3, "the script ends in mid-line"),
    "0 close(3) = 0\n\n0 %&": (3, "cannot read '%&' here (column 3)"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=range(len(WRONG)))
def test_what_cannot_be_read_is_named_with_its_line(text: str, said: tuple[int, str]) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(text, "t.pkt")
    assert (caught.value.line, caught.value.what) == said

"""Every form of every Multipath TCP option, well-formed and not."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import UsageError
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import (
    BODIES,
    DATA_ACK,
    DATA_ACK_8,
    DATA_FIN,
    DSN_8,
    MAPPING,
    NO_CHECKSUM,
    Dss,
    parse_dss,
    parse_dss_at,
)
from plait.wire.mptcp.experimental import MpExperimental
from plait.wire.mptcp.mp_capable import (
    CHECKSUM_REQUIRED,
    DENY_JOIN_ID0,
    EXTENSIBILITY,
    HMAC_SHA256,
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.mptcp.parse import parse_mptcp
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.option import Option, UnknownOption
from plait.wire.tcp_options import EndOfOptions, parse_options

DATA = Path(__file__).parents[3] / "data"
VECTORS = json.loads((DATA / "vectors.json").read_text())
OCTETS = {row["id"]: row["option"] for row in VECTORS["options"]}

A, A8, M, M8, F = DATA_ACK, DATA_ACK_8, MAPPING, DSN_8, DATA_FIN
KEY_A = bytes.fromhex("0102030405060708")
KEY_B = bytes.fromhex("deadbeefcafebabe")
V4, V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
ACK, ACK4 = 0x99AABBCCDDEEFF00, 0xDDEEFF00
DSN, DSN4 = 0x1122334455667788, 0x55667788
H, C = HMAC_SHA256, DENY_JOIN_ID0
CHECKED = CHECKSUM_REQUIRED | H

FORMS: dict[str, Option] = {
    "O-00": MpCapableSyn(flags=H),
    "O-01": MpCapableSyn(flags=CHECKED),
    "O-02": MpCapableSyn(flags=C | H),
    "O-03": MpCapableSyn(flags=EXTENSIBILITY | H),
    "O-04": MpCapableSyn(flags=CHECKSUM_REQUIRED),
    "O-05": MpCapableSynAck(sender_key=KEY_B),
    "O-06": MpCapableSynAck(flags=CHECKED | C, sender_key=KEY_B),
    "O-07": MpCapableAck(sender_key=KEY_A, receiver_key=KEY_B),
    "O-08": MpCapableData(sender_key=KEY_A, receiver_key=KEY_B, length=18),
    "O-09": MpCapableData(
        flags=CHECKED, sender_key=KEY_A, receiver_key=KEY_B, length=18, checksum=0xE7C6
    ),
    "O-0a": MpCapableSyn(version=2),
    "O-0b": MpCapableSynAck(version=0, flags=CHECKED, sender_key=KEY_A),
    "O-0c": MpCapableSynAck(version=0, sender_key=KEY_B),
    "O-0d": MpCapableAck(version=0, flags=CHECKED, sender_key=KEY_A, receiver_key=KEY_B),
    "O-10": MpJoinSyn(token=0x3F8A286A, nonce=0x11223344, address_id=2),
    "O-11": MpJoinSyn(token=0x3F8A286A, nonce=0x11223344, address_id=2, backup=True),
    "O-12": MpJoinSynAck(hmac=bytes.fromhex("c92390b4396a0c6a"), nonce=0x55667788, address_id=0),
    "O-13": MpJoinAck(bytes.fromhex("7f004cf1418eca81bbe36e897c3f052bcf23c32a")),
    "O-20": Dss(A, ACK4),
    "O-21": Dss(A | A8, ACK),
    "O-22": Dss(M, 0, DSN4, 1, 1460),
    "O-23": Dss(M, 0, DSN4, 1, 1460, 0x1234),
    "O-24": Dss(M | M8, 0, DSN, 1, 1460),
    "O-25": Dss(M | M8, 0, DSN, 1, 1460, 0x1234),
    "O-26": Dss(A | M, ACK4, DSN4, 1, 1460),
    "O-27": Dss(A | M, ACK4, DSN4, 1, 1460, 0x1234),
    "O-28": Dss(A | A8 | M, ACK, DSN4, 1, 1460),
    "O-29": Dss(A | A8 | M, ACK, DSN4, 1, 1460, 0x1234),
    "O-2a": Dss(A | M | M8, ACK4, DSN, 1, 1460),
    "O-2b": Dss(A | M | M8, ACK4, DSN, 1, 1460, 0x1234),
    "O-2c": Dss(A | A8 | M | M8, ACK, DSN, 1, 1460),
    "O-2d": Dss(A | A8 | M | M8, ACK, DSN, 1, 1460, 0x1234),
    "O-2e": Dss(A | M | M8 | F, ACK4, 0xF4240, 0, 1),
    "O-2f": Dss(A | A8 | M | M8 | F, ACK, 0xF4240, 0, 1, 0xBDAF),
    "O-2g": Dss(M | F, 0, 80, 101, 11, 0xFA35),
    "O-2h": Dss(M | M8, 0, DSN, 1461, 0),
    "O-2i": Dss(M | M8, 0, DSN, 1461, 0, 0),
    "O-2j": Dss(0),
    "O-30": AddAddr(address_id=1, address=V4, hmac=bytes.fromhex("f7644d79f5b86995")),
    "O-31": AddAddr(address_id=1, address=V4, port=8080, hmac=bytes.fromhex("f6b78020e53ada06")),
    "O-32": AddAddr(address_id=2, address=V6, hmac=bytes.fromhex("2622b33caac2200e")),
    "O-33": AddAddr(address_id=2, address=V6, port=8080, hmac=bytes.fromhex("7755047d407811a7")),
    "O-34": AddAddr(address_id=1, address=V4, echo=True),
    "O-35": AddAddr(address_id=1, address=V4, port=8080, echo=True),
    "O-36": AddAddr(address_id=2, address=V6, echo=True),
    "O-37": AddAddr(address_id=2, address=V6, port=8080, echo=True),
    "O-38": AddAddr(address_id=1, address=V4, version=0),
    "O-39": AddAddr(address_id=1, address=V4, port=8080, version=0),
    "O-3a": AddAddr(address_id=2, address=V6, version=0),
    "O-3b": AddAddr(address_id=2, address=V6, port=8080, version=0),
    "O-40": RemoveAddr((2,)),
    "O-41": RemoveAddr((2, 3, 7)),
    "O-50": MpPrio(backup=True),
    "O-51": MpPrio(backup=False),
    "O-52": MpPrio(backup=True, address_id=5),
    "O-60": MpFail(DSN),
    "O-70": MpFastclose(KEY_B),
    **{f"O-8{reason}": MpTcprst(reason) for reason in range(7)},
    "O-87": MpTcprst(6, transient=True),
    "O-f0": MpExperimental(),
}


def test_every_vector_has_a_form() -> None:
    assert FORMS.keys() == OCTETS.keys()


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-07")
@pytest.mark.rfc("8684", "3", "M8684-3-01")
@pytest.mark.rfc("8684", "3.3", "M8684-3.3-01")
@pytest.mark.rfc("8684", "3.3", "M8684-3.3-08")
@pytest.mark.rfc("8684", "7", "M8684-7-01")
@pytest.mark.parametrize("name", FORMS)
def test_form(name: str) -> None:
    assert FORMS[name].serialize().hex() == OCTETS[name]
    assert parse_mptcp(bytes.fromhex(OCTETS[name])) == FORMS[name]


@pytest.mark.parametrize("row", VECTORS["joins"], ids=[row["id"] for row in VECTORS["joins"]])
def test_join_options(row: dict[str, str]) -> None:
    nonce_a, nonce_b = int(row["nonce_a"], 16), int(row["nonce_b"], 16)
    hmac_a, hmac_b = bytes.fromhex(row["hmac_a"]), bytes.fromhex(row["hmac_b"])
    backup = bool(row["backup"])
    syn = MpJoinSyn(
        token=int(row["token_b"], 16),
        nonce=nonce_a,
        address_id=int(row["address_id_a"]),
        backup=backup,
    )
    syn_ack = MpJoinSynAck(hmac=hmac_b[:8], nonce=nonce_b, address_id=int(row["address_id_b"]))
    assert syn.serialize().hex() == row["syn"]
    assert syn_ack.serialize().hex() == row["syn_ack"]
    assert MpJoinAck(hmac_a[:20]).serialize().hex() == row["ack"]


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-12")
@pytest.mark.parametrize("row", VECTORS["add_addrs"], ids=[r["id"] for r in VECTORS["add_addrs"]])
def test_echo_repeats_the_advertisement(row: dict[str, str]) -> None:
    advertised = parse_mptcp(bytes.fromhex(row["option"]))
    echoed = parse_mptcp(bytes.fromhex(row["echo"]))
    assert isinstance(advertised, AddAddr)
    assert isinstance(echoed, AddAddr)
    assert advertised.hmac == bytes.fromhex(row["hmac"])
    assert (advertised.echo, echoed.echo, echoed.hmac) == (False, True, None)
    assert (echoed.address_id, echoed.address, echoed.port) == (
        advertised.address_id,
        advertised.address,
        advertised.port,
    )


@pytest.mark.parametrize("row", VECTORS["transcript"], ids=[r["id"] for r in VECTORS["transcript"]])
def test_transcript(row: dict[str, str]) -> None:
    option = parse_mptcp(bytes.fromhex(row["option"]))
    assert not isinstance(option, UnknownOption)
    assert option.serialize().hex() == row["option"]


MALFORMED: dict[str, list[Option]] = {
    "X-0": [],
    "X-2": [UnknownOption(30, b""), EndOfOptions()],
    "X-3": [UnknownOption(30, bytes.fromhex("010100"))],
    "X-4": [MpCapableSynAck(sender_key=bytes(8))],
    "X-5": [],
    "X-6": [UnknownOption(30, bytes.fromhex("200500000000000000000000000000"))],
    "X-7": [UnknownOption(30, bytes.fromhex("31010000000000000000000000"))],
    "X-8": [UnknownOption(30, b"\x40")],
    "X-9": [UnknownOption(30, b"\x90\x00")],
}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-08")
@pytest.mark.parametrize("row", VECTORS["malformed"], ids=[r["id"] for r in VECTORS["malformed"]])
def test_malformed(row: dict[str, str]) -> None:
    """X-4 is well-formed on a SYN/ACK: whether a SYN may have it is the handshake's question."""
    found = parse_options(bytes.fromhex(row["option"]))
    assert found == MALFORMED[row["id"]]


RESERVED = {
    "MP_JOIN SYN": ("1e0c1e023f8a286a11223344", "O-10"),
    "MP_JOIN ACK": ("1e181fff7f004cf1418eca81bbe36e897c3f052bcf23c32a", "O-13"),
    "DSS": ("1e082fe1ddeeff00", "O-20"),
    "ADD_ADDR": ("1e103e01c0000201f7644d79f5b86995", "O-30"),
    "ADD_ADDR echo": ("1e083f01c0000201", "O-34"),
    "REMOVE_ADDR": ("1e044f02", "O-40"),
    "MP_PRIO": ("1e035f", "O-50"),
    "MP_FAIL": ("1e0c6fff1122334455667788", "O-60"),
    "MP_FASTCLOSE": ("1e0c7fffdeadbeefcafebabe", "O-70"),
    "MP_TCPRST": ("1e048e06", "O-86"),
}


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-08")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-17")
@pytest.mark.rfc("8684", "3.3", "M8684-3.3-03")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-11")
@pytest.mark.rfc("8684", "3.6", "M8684-3.6-06")
@pytest.mark.parametrize(("octets", "name"), RESERVED.values(), ids=RESERVED.keys())
def test_reserved_bits_are_ignored(octets: str, name: str) -> None:
    assert parse_mptcp(bytes.fromhex(octets)) == FORMS[name]


LEGAL = {
    0x0: {4, 12, 20, 22, 24},
    0x1: {12, 16, 24},
    0x3: {16, 18, 28, 30},
    0x4: set(range(4, 41)),
    0x5: {3, 4},
    0x6: {12},
    0x7: {12},
    0x8: {4},
    0xF: set(range(3, 41)),
}


FORM_ROWS = {
    0x0: ["F-00"],
    0x1: ["F-10", "F-11", "F-12"],
    0x3: ["F-30", "F-31"],
    0x4: ["F-40"],
    0x5: ["F-50"],
    0x6: ["F-60"],
    0x7: ["F-70"],
    0x8: ["F-80"],
    0xF: ["F-f0"],
}


@pytest.mark.parametrize(
    "subtype",
    [
        pytest.param(subtype, marks=pytest.mark.rfc("8684", "3", *FORM_ROWS.get(subtype, ["F-90"])))
        for subtype in sorted(set(range(16)) - {0x2})
    ],
)
def test_legal_lengths(subtype: int) -> None:
    version = 1 if subtype == 0 else 0
    accepted = {
        length
        for length in range(2, 41)
        if not isinstance(
            parse_mptcp(bytes((30, length, subtype << 4 | version)[:length]).ljust(length, b"\0")),
            UnknownOption,
        )
    }
    assert accepted == LEGAL.get(subtype, set())


@pytest.mark.rfc("8684", "3.3", "M8684-3.3-02", "F-20", "F-21")
@pytest.mark.parametrize("flags", range(32))
def test_legal_lengths_of_dss(flags: int) -> None:
    ack = (8 if flags & A8 else 4) if flags & A else 0
    mapping = (14 if flags & M8 else 10) if flags & M else 0
    legal = {4 + ack + mapping} | ({4 + ack + mapping + 2} if mapping else set())
    accepted = {
        length
        for length in range(3, 41)
        if isinstance(
            parse_mptcp(bytes((30, length, 0x20, flags)[:length]).ljust(length, b"\0")), Dss
        )
    }
    assert accepted == legal


def test_advertisement_without_hmac_is_misuse() -> None:
    with pytest.raises(UsageError):
        AddAddr(address_id=1, address=V4).serialize()


@pytest.mark.parametrize("length", [16, 18, 28, 30])
def test_version_0_has_no_hmac(length: int) -> None:
    option = bytes((30, length, 0x34, 1)).ljust(length, b"\0")
    parsed = parse_mptcp(option)
    assert isinstance(parsed, AddAddr)
    assert (parsed.version, parsed.echo) == (1, False)


uint16, uint32, uint64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))


@st.composite
def dsses(draw: st.DrawFn) -> Dss:
    flags = draw(st.integers(0, 31))
    if not flags & A:
        flags &= ~A8
    if not flags & M:
        return Dss(flags & ~M8, draw(uint64 if flags & A8 else uint32) if flags & A else 0)
    return Dss(
        flags,
        draw(uint64 if flags & A8 else uint32) if flags & A else 0,
        draw(uint64 if flags & M8 else uint32),
        draw(uint32),
        draw(uint16),
        draw(st.just(NO_CHECKSUM) | uint16),
    )


@given(dss=dsses(), before=st.integers(0, 5))
def test_dss_survives_both_parsers(dss: Dss, before: int) -> None:
    octets = dss.serialize()
    assert len(octets) == dss.size() <= 28
    assert parse_dss(octets) == dss
    head = int.from_bytes(octets[:4], "big")
    assert parse_dss_at(bytes(before) + octets, before, head, BODIES[head]) == dss


@given(body=st.binary(max_size=38))
def test_any_body_decodes(body: bytes) -> None:
    option = bytes((30, len(body) + 2)) + body
    parsed = parse_mptcp(option)
    assert parse_mptcp(parsed.serialize()) == parsed

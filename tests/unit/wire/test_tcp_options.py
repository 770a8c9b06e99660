"""TCP options: formats, order, padding and damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.mptcp.dss import Dss
from plait.wire.option import Option, UnknownOption
from plait.wire.tcp_options import (
    EndOfOptions,
    FastOpen,
    Mss,
    Nop,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
    parse_options,
)

FORMS: dict[str, tuple[Option, str]] = {
    "MSS": (Mss(1460), "020405b4"),
    "window scale": (WindowScale(7), "030307"),
    "SACK permitted": (SackPermitted(), "0402"),
    "one SACK block": (Sack(((1, 2),)), "050a0000000100000002"),
    "two SACK blocks": (Sack(((1, 2), (5, 6))), "051200000001000000020000000500000006"),
    "timestamps": (Timestamps(100, 0xFFFFFFFF), "080a00000064ffffffff"),
    "Fast Open request": (FastOpen(), "2202"),
    "Fast Open cookie": (FastOpen(bytes(8)), "220a0000000000000000"),
    "NOP": (Nop(), "01"),
    "end": (EndOfOptions(), "00"),
    "end and rest": (EndOfOptions(b"\x00\x07"), "000007"),
    "unknown": (UnknownOption(253, b"\xf9\x89"), "fd04f989"),
    "unknown, empty": (UnknownOption(99, b""), "6302"),
}

MALFORMED = {
    "MSS": "0203ff",
    "window scale": "03040700",
    "SACK permitted": "040300",
    "SACK without block": "0502",
    "half a SACK block": "050600000001",
    "timestamps": "080900000064000000",
    "Fast Open cookie too short": "220500aabb"[:10],
    "Fast Open cookie too long": "2214" + "00" * 18,
}


@pytest.mark.parametrize(("option", "octets"), FORMS.values(), ids=FORMS.keys())
def test_form(option: Option, octets: str) -> None:
    assert option.serialize().hex() == octets
    assert parse_options(bytes.fromhex(octets)) == [option]


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED.keys())
def test_wrong_length_makes_an_unknown_option(octets: str) -> None:
    option = bytes.fromhex(octets)
    assert parse_options(option + b"\x01") == [UnknownOption(option[0], option[2:]), Nop()]


@pytest.mark.rfc("9293", "3.2", "B9293-04")
@pytest.mark.parametrize("damage", ["05", "0500", "0501", "05ff", "1e03", "020405"])
def test_impossible_length_octet_ends_the_list(damage: str) -> None:
    assert parse_options(bytes.fromhex("01030307" + damage)) == [Nop(), WindowScale(7)]


def test_nothing_counts_after_the_end() -> None:
    area = bytes.fromhex("0101080a00000001000000020000020405b4")
    assert parse_options(area) == [
        Nop(),
        Nop(),
        Timestamps(1, 2),
        EndOfOptions(bytes.fromhex("00020405b4")),
    ]


def test_dss_stands_among_the_others() -> None:
    area = bytes.fromhex("01011e0820010000000903030a")
    assert parse_options(area) == [Nop(), Nop(), Dss(1, 9), WindowScale(10)]


options = st.lists(st.sampled_from([option for option, _ in FORMS.values()]), max_size=12)


@given(options=options)
def test_whole_lists_survive(options: list[Option]) -> None:
    ends = [at for at, option in enumerate(options) if isinstance(option, EndOfOptions)]
    kept = options[: ends[0]] if ends else options
    area = b"".join(option.serialize() for option in kept)
    assert parse_options(area) == kept


@given(area=st.binary(max_size=40))
def test_any_octets_decode_and_what_decodes_serializes(area: bytes) -> None:
    found = parse_options(area)
    again = parse_options(b"".join(option.serialize() for option in found))
    assert again == found

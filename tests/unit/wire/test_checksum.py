"""Checksums: both backends against a definition, and the DSS vectors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire import checksum
from plait.wire.checksum import (
    dss_checksum,
    dss_checksum_ok,
    fold,
    internet_checksum,
    ones_sum,
    sum_each,
    sum_pieces,
)

DATA = Path(__file__).parents[2] / "data"
DSS = json.loads((DATA / "vectors.json").read_text())["dss_checksums"]
KERNEL = json.loads((DATA / "kernel-vectors.json").read_text())

long_octets = st.builds(
    lambda seed, times, tail: seed * times + tail,
    st.binary(min_size=1, max_size=64),
    st.integers(1, 200),
    st.binary(max_size=9),
)


def defined_sum(data: bytes) -> int:
    padded = data + b"\x00" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(data=st.binary(max_size=300) | long_octets)
def test_sum_is_the_folded_sum_of_words(data: bytes) -> None:
    assert ones_sum(data) == defined_sum(data)
    assert ones_sum(memoryview(data)) == defined_sum(data)


@pytest.mark.skipif(checksum.np is None, reason="numpy is not installed")
@given(data=st.binary(max_size=300) | long_octets)
def test_backends_agree(data: bytes) -> None:
    assert checksum._sum_numpy(data) == checksum._sum_pure(data) == defined_sum(data)


@pytest.mark.skipif(checksum.native is None, reason="the core is not compiled")
@given(data=st.binary(max_size=300) | long_octets, at=st.integers(0, 20))
def test_c_agrees_wherever_the_octets_lie(data: bytes, at: int) -> None:
    view = memoryview(data)[at:]
    assert checksum.native(view) == checksum._sum_pure(view) == defined_sum(view.tobytes())


@pytest.mark.parametrize("length", [0, 1, 2, 1023, 1024, 2048, 2049, 4096, 65_535])
@pytest.mark.parametrize("octet", [0x00, 0x5A, 0xFF])
def test_zero_and_all_ones_differ(length: int, octet: int) -> None:
    data = bytes((octet,)) * length
    assert ones_sum(data) == checksum._sum_pure(data) == defined_sum(data)


@given(data=long_octets, unaligned=st.integers(0, 7))
def test_views_need_no_alignment(data: bytes, unaligned: int) -> None:
    assert ones_sum(memoryview(data)[unaligned:]) == defined_sum(data[unaligned:])


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-09")
@given(pieces=st.lists(st.binary(max_size=9) | long_octets, max_size=6))
def test_pieces_of_any_length_sum_like_the_whole(pieces: list[bytes]) -> None:
    assert sum_pieces(pieces) == defined_sum(b"".join(pieces))


def test_odd_split() -> None:
    first, second = b"\x5a" * 729, b"\xa5" * 731
    assert (ones_sum(first), ones_sum(second)) == (0xD278, 0xD22D)
    assert sum_pieces((first, second)) == 0x004B


@given(total=st.integers(0, 1 << 64))
def test_fold_keeps_the_value_and_only_zero_folds_to_zero(total: int) -> None:
    assert fold(total) % 0xFFFF == total % 0xFFFF
    assert (fold(total) == 0) == (total == 0)


@given(data=st.binary(max_size=99).filter(lambda data: len(data) % 2 == 0))
def test_checksum_completes_the_sum(data: bytes) -> None:
    field = internet_checksum((data,)).to_bytes(2, "big")
    assert defined_sum(data + field) == 0xFFFF
    assert internet_checksum((data, field)) == 0


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-07")
@pytest.mark.parametrize("row", DSS, ids=[row["id"] for row in DSS])
def test_dss_vector(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["data"])
    mapping = int(row["dsn"], 16), row["ssn"], row["length"]
    expected = int(row["checksum"], 16)
    assert ones_sum(data) == int(row["data_sum"], 16)
    assert dss_checksum(*mapping, (data,)) == expected
    assert dss_checksum_ok(*mapping, (data[:3], data[3:]), expected)
    assert not dss_checksum_ok(*mapping, (data,), expected ^ 0x0100)


KERNEL_MAPPINGS = [row for capture in KERNEL.values() for row in capture.get("dss_csum", [])]


@pytest.mark.parametrize("row", KERNEL_MAPPINGS, ids=[row["opt"] for row in KERNEL_MAPPINGS])
def test_checksums_of_linux(row: dict[str, Any]) -> None:
    option = bytes.fromhex(row["opt"])
    ack_octets = 8 if option[3] & 0x02 else 4
    dsn, ssn, length, field = struct.unpack("!QIHH", option[4 + ack_octets :])
    # The file has the first 30 octets of long payloads, which repeat one octet.
    data = (bytes.fromhex(row["payload"]) * length)[: length - row["fin"]]
    assert row["ok"]
    assert dss_checksum_ok(dsn, ssn, length, (data,), field)


def first_data_of_linux() -> list[dict[str, Any]]:
    rows = [capture.get("first_data", {}) for capture in KERNEL.values()]
    return [row for row in rows if "csum" in row]


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-19")
@pytest.mark.parametrize("row", first_data_of_linux())
def test_checksum_of_linux_on_mp_capable_with_data(row: dict[str, Any]) -> None:
    payload = (bytes.fromhex(row["payload"]),)
    assert dss_checksum(int(row["dsn"], 16), row["ssn"], row["dlen"], payload) == int(
        row["csum"], 16
    )


@given(data=st.binary(max_size=9000), size=st.integers(1, 1500).map(lambda n: 2 * n))
def test_sum_each_is_the_sum_of_each(data: bytes, size: int) -> None:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert [fold(total) for total in sum_each(data, size)] == [ones_sum(piece) for piece in pieces]

"""Keys, tokens, HMACs and randomness."""

from __future__ import annotations

import hmac
import json
from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.units import MICROSECOND, SECOND
from plait.wire.crypto import (
    ACK_HMAC_OCTETS,
    SYN_ACK_HMAC_OCTETS,
    Entropy,
    add_addr_hmac,
    idsn,
    initial_sequence,
    join_hmac,
    same,
    token,
)
from plait.wire.seq import MASK32

DATA = Path(__file__).parents[2] / "data"
VECTORS = json.loads((DATA / "vectors.json").read_text())
KERNEL = json.loads((DATA / "kernel-vectors.json").read_text())


@pytest.mark.parametrize("row", VECTORS["hmac_sha256"])
def test_key_and_message_order_of_the_kernels_own_test(row: dict[str, str]) -> None:
    key, message = row["key"].encode(), row["message"].encode()
    nonces = int.from_bytes(message[:4], "big"), int.from_bytes(message[4:], "big")
    assert join_hmac(key[:8], key[8:], *nonces).hex() == row["digest"]


@pytest.mark.rfc("8684", "3.1", "KEY-02")
@pytest.mark.rfc("8684", "3.1", "KEY-03")
@pytest.mark.rfc("6824", "3.1", "M6824-3.1-07")
@pytest.mark.parametrize(
    "row", VECTORS["keys"], ids=[f"v{row['version']}-{row['key']}" for row in VECTORS["keys"]]
)
def test_token_and_idsn(row: dict[str, Any]) -> None:
    key = bytes.fromhex(row["key"])
    assert token(key, row["version"]) == int(row["token"], 16)
    assert idsn(key, row["version"]) == int(row["idsn"], 16)


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("capture", KERNEL.values(), ids=KERNEL.keys())
def test_tokens_and_idsns_of_linux(capture: dict[str, str], side: str) -> None:
    key = bytes.fromhex(capture[f"{side}_key"])
    assert token(key) == int(capture[f"{side}_token"], 16)
    assert idsn(key) == int(capture[f"{side}_idsn"], 16)


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-12")
@pytest.mark.rfc("8684", "3.2", "KEY-04")
@pytest.mark.rfc("6824", "3.2", "M6824-3.2-01")
@pytest.mark.parametrize("row", VECTORS["joins"], ids=[row["id"] for row in VECTORS["joins"]])
def test_join_hmac(row: dict[str, Any]) -> None:
    key_a, key_b = bytes.fromhex(row["key_a"]), bytes.fromhex(row["key_b"])
    nonce_a, nonce_b = int(row["nonce_a"], 16), int(row["nonce_b"], 16)
    assert join_hmac(key_a, key_b, nonce_a, nonce_b, row["version"]).hex() == row["hmac_a"]
    assert join_hmac(key_b, key_a, nonce_b, nonce_a, row["version"]).hex() == row["hmac_b"]


JOINS = [
    (capture, join) for capture in KERNEL.values() for join in capture.get("joins", {}).values()
]


@pytest.mark.rfc("8684", "3.2", "KEY-05")
@pytest.mark.parametrize(("capture", "join"), JOINS)
def test_join_hmacs_of_linux(capture: dict[str, str], join: dict[str, str]) -> None:
    client, server = bytes.fromhex(capture["client_key"]), bytes.fromhex(capture["server_key"])
    client_nonce, server_nonce = int(join["syn"][-8:], 16), int(join["synack"][-8:], 16)
    answer = join_hmac(server, client, server_nonce, client_nonce)
    proof = join_hmac(client, server, client_nonce, server_nonce)
    assert answer[:SYN_ACK_HMAC_OCTETS].hex() == join["synack"][8:24]
    assert proof[:ACK_HMAC_OCTETS].hex() == join["ack"][8:]


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-09")
@pytest.mark.rfc("8684", "3.4.1", "KEY-06")
@pytest.mark.parametrize("row", VECTORS["add_addrs"], ids=[r["id"] for r in VECTORS["add_addrs"]])
def test_add_addr_hmac(row: dict[str, Any]) -> None:
    keys = bytes.fromhex(row["sender_key"]), bytes.fromhex(row["receiver_key"])
    address = ip_address(row["address"])
    given_hmac = bytes.fromhex(row["hmac"])
    assert add_addr_hmac(*keys, row["address_id"], address, row["port"]) == given_hmac
    assert add_addr_hmac(*keys[::-1], row["address_id"], address, row["port"]) != given_hmac
    assert add_addr_hmac(*keys, row["address_id"], address, row["port"] ^ 1) != given_hmac


ADVERTISEMENTS = [
    (capture, row) for capture in KERNEL.values() for row in capture.get("add_addr", [])
]


@pytest.mark.parametrize(("capture", "row"), ADVERTISEMENTS)
def test_add_addr_hmacs_of_linux(capture: dict[str, str], row: dict[str, str]) -> None:
    message = bytes.fromhex(row["msg"])
    address, port = ip_address(message[1:-2]), int.from_bytes(message[-2:], "big")
    keys = bytes.fromhex(capture["server_key"]), bytes.fromhex(capture["client_key"])
    assert add_addr_hmac(*keys, message[0], address, port).hex() == row["hmac_full"][-16:]


@pytest.mark.rfc("8684", "5", "KEY-07")
@given(one=st.binary(max_size=9), other=st.binary(max_size=9))
def test_same_is_equality(one: bytes, other: bytes) -> None:
    assert same(one, other) == hmac.compare_digest(one, other) == (one == other)


@pytest.mark.rfc("8684", "3.1", "KEY-01")
@given(seed=st.binary(max_size=40), lengths=st.lists(st.integers(0, 70), max_size=8))
def test_entropy_does_not_depend_on_how_it_is_drawn(seed: bytes, lengths: list[int]) -> None:
    one, other = Entropy(seed), Entropy(seed)
    pieces = [one.octets(length) for length in lengths]
    assert [len(piece) for piece in pieces] == lengths
    assert b"".join(pieces) == other.octets(sum(lengths))


def test_entropy_depends_on_the_seed() -> None:
    assert Entropy(b"a").octets(32) != Entropy(b"b").octets(32)


def test_numbers_have_their_widths() -> None:
    entropy = Entropy(b"widths")
    assert max(entropy.uint32() for _ in range(99)).bit_length() == 32
    assert max(entropy.uint64() for _ in range(99)).bit_length() == 64


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 256, 257])
def test_below_reaches_every_number_equally(limit: int) -> None:
    entropy = Entropy(b"below")
    counts = Counter(entropy.below(limit) for _ in range(200 * limit))
    assert sorted(counts) == list(range(limit))
    assert 120 <= min(counts.values()) <= max(counts.values()) <= 290


@pytest.mark.rfc("8684", "3", "M8684-3-06")
def test_initial_sequence_of_a_flow_follows_the_clock() -> None:
    flow, secret = b"\x0a" * 12, b"secret"
    start = initial_sequence(flow, secret, 0)
    assert initial_sequence(flow, secret, 4 * MICROSECOND) == (start + 1) & MASK32
    assert initial_sequence(flow, secret, SECOND) == (start + 250_000) & MASK32


def test_initial_sequences_of_other_flows_are_unrelated() -> None:
    flows = [bytes((octet,)) * 12 for octet in range(64)]
    starts = {initial_sequence(flow, b"secret", 0) for flow in flows}
    steps = {(b - a) & MASK32 for a, b in zip(sorted(starts), sorted(starts)[1:], strict=False)}
    assert len(starts) == len(flows)
    assert len(steps) == len(flows) - 1
    assert initial_sequence(flows[0], b"other", 0) not in starts

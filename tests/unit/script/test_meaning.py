"""Keys, tokens, HMACs and checksums of scripts against the published vectors."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from plait.script.conversation import Conversation, Flow, dss_sum
from plait.script.errors import UnsupportedError
from plait.script.meaning import Context, meaning
from plait.script.options import Fields, Option, encode_option
from plait.script.parser import parse_script
from plait.script.settings import Configuration
from plait.script.syntax import PacketSpec

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "vectors.json").read_text()
)
CONFIG = Configuration()


def conversation(local: str = "", remote: str = "") -> Conversation:
    """Return one in which the host under test has the key `skey` and the script `ckey`."""
    made = Conversation(CONFIG)
    if local:
        made.learn("skey", bytes.fromhex(local))
    if remote:
        made.assign("ckey", int.from_bytes(bytes.fromhex(remote), "little"))
    return made


def flow() -> Flow:
    return Flow(CONFIG.local.ip, 8080, CONFIG.remote, 40001, local_offset=1000)


def resolve(
    talk: Conversation,
    line: str,
    actual: Fields | None = None,
    *,
    direction: str = "<",
    on: Flow | None = None,
) -> Option:
    """Return the meaning of one option on a packet of 8 octets."""
    (event,) = parse_script(f"+0 {direction} P. 1:9(8) ack 1 win 1 <{line}>", "t.pkt").events
    packet = event.action
    assert isinstance(packet, PacketSpec)
    assert packet.options is not None
    return meaning(Context(talk, on or flow(), packet, bytes(8)), packet.options[0], actual)


@pytest.mark.parametrize("row", VECTORS["keys"])
def test_keys(row: dict[str, Any]) -> None:
    talk = conversation(row["key"])
    talk.version = row["version"]
    key = talk.key("skey")
    assert f"{talk.token(key):08x}" == row["token"]
    assert f"{talk.idsn(key):016x}" == row["idsn"]
    option = resolve(talk, "dss dack8=1 dll=0 nocs")
    assert f"{option.fields['data_ack']:016x}" == row["first_dsn"]
    assert resolve(talk, "dss dack8=trunc_r64_hmac(skey)+1 dll=0").fields == option.fields


@pytest.mark.parametrize("row", VECTORS["joins"])
def test_joins(row: dict[str, Any]) -> None:
    """Host A, the script, joins host B."""
    talk, path = conversation(row["key_b"], row["key_a"]), flow()
    talk.version = row["version"]
    common = f"backup={int(row['backup'])} address_id={row['address_id_a']}"
    syn = resolve(talk, f"mp_join_syn {common} rand=0x{row['nonce_a']}", on=path)
    assert encode_option(syn).hex() == row["syn"]
    live = {"nonce": int(row["nonce_b"], 16), "hmac": bytes.fromhex(row["hmac_b"])[:8]}
    for sender_hmac in ("auto", "trunc_l64_hmac(skey ckey)"):
        answer = resolve(
            talk, f"mp_join_syn_ack sender_hmac={sender_hmac}", live, direction=">", on=path
        )
        assert answer.fields["hmac"] == live["hmac"]
    for sender_hmac in ("auto", "full_160_hmac(ckey skey)"):
        ack = resolve(talk, f"mp_join_ack sender_hmac={sender_hmac}", on=path)
        assert encode_option(ack).hex() == row["ack"]


@pytest.mark.parametrize("row", VECTORS["add_addrs"], ids=lambda row: row["id"])
def test_add_addresses(row: dict[str, Any]) -> None:
    talk = conversation(row["receiver_key"], row["sender_key"])
    function = "inet6_addr" if ":" in row["address"] else "inet_addr"
    port = f"port={row['port']}" if row["port"] else ""
    text = (
        f'add_address address_id={row["address_id"]} addr[x={function}("{row["address"]}")] {port}'
    )
    assert encode_option(resolve(talk, f"{text} hmac=auto")).hex() == row["option"]
    echo = text.replace("addr[x", "addr_echo[x")
    assert encode_option(resolve(talk, echo)).hex() == row["echo"]
    talk.version = 0
    plain = row["echo"][:4] + ("36" if ":" in row["address"] else "34") + row["echo"][6:]
    assert encode_option(resolve(talk, text)).hex() == plain


@pytest.mark.parametrize("row", VECTORS["dss_checksums"], ids=lambda row: row["id"])
def test_checksums(row: dict[str, Any]) -> None:
    dsn, data = int(row["dsn"], 16), bytes.fromhex(row["data"])
    assert f"{dss_sum(dsn, row['ssn'], row['length'], data):04x}" == row["checksum"]


def test_what_a_script_leaves_open_is_chosen_or_not_compared() -> None:
    talk = conversation("01" * 8, "02" * 8)
    sent = resolve(talk, "dss dack8 dsn8 nocs").fields
    assert sent["dsn"] - talk.idsn(talk.remote_key) == 1
    assert (sent["ssn"], sent["length"], sent["checksum"]) == (1, 8, None)
    again = resolve(talk, "dss dack4 dsn4 cksum").fields
    assert again["dsn"] == (talk.idsn(talk.remote_key) + 9) & 0xFFFFFFFF
    assert again["checksum"] is not None
    live = {"dsn": talk.idsn(talk.local_key) + 1, "dsn_octets": 8, "ssn": 1, "length": 8}
    seen = resolve(talk, "dss dack4 dsn8", live, direction=">").fields
    assert set(seen) == {"data_ack_octets", "dsn_octets", "checksum", "fin"}
    assert resolve(talk, "dss dack4").fields["data_ack"] == (
        (talk.idsn(talk.local_key) + 9) & 0xFFFFFFFF
    )


def test_a_key_is_learned_from_what_left_and_assigned_by_what_arrives() -> None:
    talk = conversation()
    live = {"sender_key": bytes(range(8)), "receiver_key": None}
    resolve(talk, "mpcapable v1 flags[flag_h] key[skey]", live, direction=">")
    third = resolve(talk, "mpcapable v1 flags[flag_a,flag_h] key[ckey=2,skey]").fields
    assert (third["sender_key"], third["receiver_key"]) == (b"\2" + bytes(7), bytes(range(8)))
    assert third["flags"] == 0x81
    assert (talk.local_key, talk.remote_key) == (bytes(range(8)), b"\2" + bytes(7))
    closing = resolve(talk, "mp_fastclose skey +1").fields
    assert closing["key"] == b"\1" + bytes(range(1, 8))


def test_a_second_key_is_not_the_senders() -> None:
    talk = conversation("01" * 8)
    third = resolve(talk, "mpcapable v1 flags[flag_h] key[ckey=2,other=3]").fields
    assert third["receiver_key"] == b"\3" + bytes(7)
    assert talk.remote_key == b"\2" + bytes(7)
    resolve(talk, "mp_fastclose another=4")
    assert talk.remote_key == b"\2" + bytes(7)


@pytest.mark.parametrize("octets", [4, 8])
def test_a_data_ack_of_either_width(octets: int) -> None:
    talk = conversation("01" * 8, "02" * 8)
    number = (talk.idsn(talk.remote_key) + 9) & ((1 << 8 * octets) - 1)
    live = {"data_ack": number, "data_ack_octets": octets}
    seen = resolve(talk, "dss dack=9 dll=0 nocs", live, direction=">").fields
    assert {name: seen[name] for name in live} == live


FIXED: dict[str, tuple[str, str]] = {
    "remove_address address_id=[1,2]": ("remove_address", "1e05400102"),
    "mp_prio backup=1": ("mp_prio", "1e0351"),
    "mp_prio backup=0 address_id=3": ("mp_prio", "1e045003"),
    "mp_reset 1": ("mp_reset", "1e048001"),
    "mp_reset 3 flags[flag_t]": ("mp_reset", "1e048103"),
    "mp_fail dsn8=0": ("mp_fail", "1e0c600000" + "00" * 7),
    "mpcapable v1 flags 0x21 nokey": ("mpcapable", "1e040121"),
    "mpcapable v2 flags 0x01 nokey": ("mpcapable", "1e040201"),
    "kind 30 0xa000": ("kind", "1e04a000"),
    "kind 77": ("kind", "4d02"),
}


@pytest.mark.parametrize(("line", "row"), FIXED.items(), ids=FIXED.keys())
def test_options_without_state(line: str, row: tuple[str, str]) -> None:
    option = resolve(conversation(), line)
    assert (option.name, encode_option(option).hex()) == row


def test_timestamps_are_mapped_to_live_ones() -> None:
    talk, path = conversation(), flow()
    resolve(talk, "TS val 100 ecr 7", {"val": 5100, "ecr": 7}, direction=">", on=path)
    assert resolve(talk, "TS val 8 ecr 100", on=path).fields == {"val": 8, "ecr": 5100}
    assert resolve(talk, "TS val 8 ecr 110", on=path).fields == {"val": 8, "ecr": 5110}
    assert resolve(talk, "TS val 8 ecr 0", on=path).fields == {"val": 8, "ecr": 0}


def test_a_timestamp_nobody_compared_is_echoed_as_it_was() -> None:
    talk, path = conversation(), flow()
    path.last_stamp = 4711
    assert resolve(talk, "TS val 8 ecr 100", on=path).fields == {"val": 8, "ecr": 4711}


def test_a_cookie_with_a_name_is_learned() -> None:
    talk = conversation()
    with pytest.raises(UnsupportedError, match="cookie"):
        resolve(talk, "FO TFO_COOKIE")
    resolve(talk, "FO TFO_COOKIE", {"cookie": b"abcd"}, direction=">")
    assert resolve(talk, "FO TFO_COOKIE").fields == {"cookie": b"abcd"}
    assert resolve(talk, "FO 0011aabb").fields == {"cookie": bytes.fromhex("0011aabb")}


WRONG = [
    "dss dll=skey",
    "mpcapable v1 flags[flag_z] nokey",
    "mp_join_ack sender_hmac=a(b c d)",
    "kind",
    "kind 30 some",
    "nothing",
]


@pytest.mark.parametrize("line", WRONG)
def test_what_has_no_meaning(line: str) -> None:
    with pytest.raises(UnsupportedError):
        resolve(conversation("01" * 8), line.replace("dss", "dss dsn8"))


def test_addresses_get_names_in_order() -> None:
    talk = Conversation(CONFIG)
    remote = CONFIG.remote
    assert talk.address("caddr0", None, remote, known=False) == remote
    assert talk.address("caddr1", None, remote, known=False) == remote + 1
    assert talk.address("saddr1", None, ip_address("10.9.9.9"), known=True) == ip_address(
        "10.9.9.9"
    )
    assert [talk.address_id(name) for name in ("caddr0", "caddr1", "caddr1")] == [0, 1, 1]

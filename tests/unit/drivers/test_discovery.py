from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.discovery import DEFEND_INTERVAL, Discovery
from plait.drivers.packet_spec import Station
from plait.errors import DecodeError
from plait.wire import arp, ndp
from plait.wire.arp import Arp
from plait.wire.ethernet import ARP, BROADCAST, IPV6, ethernet_header, parse_ethernet
from plait.wire.ndp import Advertisement, Solicitation, parse_discovery
from plait.wire.segment import ACK, Segment

MAC, PEER_MAC = bytes.fromhex("02005e100001"), bytes.fromhex("02005e100002")
OURS, PEER = ip_address("10.0.0.1").packed, ip_address("10.0.0.2").packed
OURS6, PEER6 = ip_address("2001:db8::1").packed, ip_address("2001:db8::2").packed

STATION = Station(
    name="eth0",
    index=2,
    mac=MAC,
    mtu=1500,
    addresses=(ip_address(OURS), ip_address(OURS6)),
    networks=(ip_network("10.0.0.0/24"), ip_network("2001:db8::/64")),
    gateways=(ip_address("10.0.0.254"), ip_address("fe80::1")),
)


def own() -> Discovery:
    return Discovery(STATION, answers=True)


def shared() -> Discovery:
    return Discovery(STATION, answers=False)


def arp_frame(message: Arp, source: bytes = PEER_MAC) -> bytes:
    return ethernet_header(MAC, source, ARP) + message.serialize() + bytes(18)


def nd_frame(message: Solicitation | Advertisement, source: bytes = PEER_MAC) -> bytes:
    return ethernet_header(MAC, source, IPV6) + message.serialize()


WHO_HAS = arp_frame(arp.request(PEER_MAC, PEER, OURS))
SOLICITED = nd_frame(
    Solicitation(source=PEER6, destination=ndp.solicited_node(OURS6), target=OURS6, mac=PEER_MAC)
)


def test_who_asks_for_an_address_of_ours_is_told() -> None:
    (answer,), _ = own().take(0, WHO_HAS)
    assert parse_ethernet(answer) == (PEER_MAC, MAC, ARP)
    told = Arp.parse(answer[14:])
    assert (told.operation, told.sender, told.sender_mac) == (arp.REPLY, OURS, MAC)
    assert (told.target, told.target_mac) == (PEER, PEER_MAC)


def test_who_solicits_an_address_of_ours_is_told() -> None:
    (answer,), _ = own().take(0, SOLICITED)
    assert parse_ethernet(answer)[:2] == (PEER_MAC, MAC)
    told = parse_discovery(answer[14:])
    assert told == Advertisement(
        source=OURS6,
        destination=PEER6,
        target=OURS6,
        mac=MAC,
        flags=ndp.SOLICITED | ndp.OVERRIDE,
    )


@pytest.mark.parametrize("frame", [WHO_HAS, SOLICITED])
def test_of_shared_addresses_the_kernel_tells(frame: bytes) -> None:
    assert shared().take(0, frame)[0] == []


def test_questions_are_asked_of_all_then_of_one() -> None:
    discovery = own()
    assert discovery.find(0, PEER) == b""
    (asked,) = discovery.questions()
    assert parse_ethernet(asked) == (BROADCAST, MAC, ARP)
    assert Arp.parse(asked[14:]) == arp.request(MAC, OURS, PEER)
    discovery.find(0, PEER6)
    (asked,) = discovery.questions()
    assert parse_ethernet(asked)[0] == bytes.fromhex("3333ff000002")
    assert parse_discovery(asked[14:]) == Solicitation(
        source=OURS6, destination=ndp.solicited_node(PEER6), target=PEER6, mac=MAC
    )


ANSWERS = {
    "ARP": (PEER, arp_frame(arp.reply(arp.request(MAC, OURS, PEER), PEER_MAC))),
    "advertisement": (
        PEER6,
        nd_frame(
            Advertisement(
                source=PEER6, destination=OURS6, target=PEER6, mac=PEER_MAC, flags=ndp.SOLICITED
            )
        ),
    ),
    "its own question": (PEER, WHO_HAS),
    "its own solicitation": (PEER6, SOLICITED),
}


@pytest.mark.parametrize(("hop", "frame"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_releases_what_waits(hop: bytes, frame: bytes) -> None:
    discovery = own()
    discovery.find(0, hop)
    discovery.hold(hop, Segment(bytes(12), 7, 0, ACK, 0))
    assert discovery.holding()
    assert discovery.concerns(frame)
    _, released = discovery.take(1, frame)
    assert released is not None
    assert [segment.seq for segment in released] == [7]
    assert discovery.find(2, hop) == PEER_MAC


def test_nobody_can_be_behind_a_group_address() -> None:
    discovery = own()
    discovery.find(0, PEER)
    asked = arp.request(MAC, OURS, PEER)
    discovery.take(1, arp_frame(arp.reply(asked, BROADCAST)))
    assert discovery.find(2, PEER) == b""


CLAIMS = {
    "probe": arp_frame(arp.request(PEER_MAC, arp.NOBODY, OURS)),
    "announcement": arp_frame(arp.request(PEER_MAC, OURS, OURS)),
    "reply": arp_frame(arp.reply(arp.request(MAC, arp.NOBODY, OURS), PEER_MAC)),
    "probe of IPv6": nd_frame(
        Solicitation(
            source=ndp.NOBODY, destination=ndp.solicited_node(OURS6), target=OURS6, mac=b""
        )
    ),
    "advertisement": nd_frame(
        Advertisement(source=OURS6, destination=ndp.ALL_NODES, target=OURS6, mac=PEER_MAC, flags=0)
    ),
}


@pytest.mark.parametrize("frame", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_claim_to_our_address_is_noticed(frame: bytes) -> None:
    assert own().claimed(frame) in {OURS, OURS6}
    ours = frame[:6] + MAC + frame[12:]
    assert own().claimed(ours) == b""


@pytest.mark.parametrize("frame", [WHO_HAS, SOLICITED])
def test_a_question_is_no_claim(frame: bytes) -> None:
    assert own().claimed(frame) == b""


@pytest.mark.parametrize("frame", list(CLAIMS.values())[1:3], ids=list(CLAIMS)[1:3])
def test_claims_are_answered_but_not_too_often(frame: bytes) -> None:
    discovery = own()
    defended, _ = discovery.take(0, frame)
    assert len(defended) == 2  # both addresses are announced again
    assert discovery.take(DEFEND_INTERVAL - 1, frame)[0] == []
    assert len(discovery.take(DEFEND_INTERVAL, frame)[0]) == 2
    assert discovery.conflicts == 3


def test_probes_claim_nothing_and_announcements_do() -> None:
    probe, solicitation = own().probes()
    assert Arp.parse(probe[14:]).sender == arp.NOBODY
    asked = parse_discovery(solicitation[14:])
    assert isinstance(asked, Solicitation)
    assert (asked.source, asked.target, asked.mac) == (ndp.NOBODY, OURS6, b"")
    claim, told = own().announcements()
    assert (Arp.parse(claim[14:]).sender, Arp.parse(claim[14:]).target) == (OURS, OURS)
    assert isinstance(parse_discovery(told[14:]), Advertisement)
    other = Discovery(STATION, answers=True)
    assert other.claimed(claim[:6] + PEER_MAC + claim[12:]) == OURS


HOPS = {
    "10.0.0.77": "10.0.0.77",
    "192.0.2.1": "10.0.0.254",
    "2001:db8::77": "2001:db8::77",
    "2001:db8:1::1": "fe80::1",
    "fe80::77": "fe80::77",
}


@pytest.mark.parametrize(("destination", "hop"), HOPS.items())
def test_the_next_hop_is_on_the_link_or_the_gateway(destination: str, hop: str) -> None:
    assert STATION.next_hop(ip_address(destination)) == ip_address(hop)


@given(st.sampled_from([*CLAIMS.values(), WHO_HAS, SOLICITED]), st.data())
def test_damaged_frames_raise_nothing_but_decode_error(frame: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(14, len(frame) - 1))
    damaged = frame[:at] + data.draw(st.binary(min_size=1, max_size=4)) + frame[at + 1 :]
    cut = damaged[: data.draw(st.integers(14, len(damaged)))]
    discovery = own()
    discovery.find(0, PEER)
    for one in (damaged, cut):
        if discovery.concerns(one):
            with suppress(DecodeError):
                discovery.take(1, one)
            with suppress(DecodeError):
                discovery.claimed(one)

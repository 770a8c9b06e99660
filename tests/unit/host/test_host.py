"""The host: listeners, strays, bounds, events and determinism."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import (
    BARE,
    HOST,
    HOST_2,
    PEER,
    PLAIN,
    PORT,
    Flow,
    MpPeer,
    Script,
    TcpPeer,
    payload,
    resets,
)
from support.world import World

from plait.addresses import IpAddress, Path
from plait.errors import UsageError
from plait.host.events import (
    Accepted,
    Closed,
    Established,
    Event,
    LossReason,
    Lost,
    Readable,
    SubflowDown,
    SubflowUp,
    Writable,
)
from plait.host.host import Host
from plait.host.settings import Settings
from plait.units import SECOND
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, FIN, RST, SYN, Segment
from plait.wire.tcp import serialize_tcp

# ---- listeners


def listening(settings: Settings = PLAIN) -> Script:
    script = Script(settings)
    script.host.listen(0, PORT)
    return script


def syn(script: Script, *, local_port: int = 40000, remote: IpAddress = HOST) -> list[Segment]:
    return script.flow(local_port=local_port, remote=remote).send(SYN)


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (None, None, True),
        (None, HOST, True),
        (HOST, None, True),
        (HOST, HOST, True),
        (HOST, HOST_2, False),
    ],
)
def test_a_port_has_one_listener_for_an_address(
    first: IpAddress | None, second: IpAddress | None, clash: bool
) -> None:
    host = Script(PLAIN).host
    one = host.listen(0, PORT, address=first)
    if clash:
        with pytest.raises(UsageError, match="in use"):
            host.listen(0, PORT, address=second)
        host.close_listener(0, one)
    host.listen(0, PORT, address=second)


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_such_port(port: int) -> None:
    host = Script(PLAIN).host
    with pytest.raises(UsageError):
        host.listen(0, port)
    with pytest.raises(UsageError):
        host.connect(0, PEER, port)


def test_port_0_is_any_free_one() -> None:
    host = Script(PLAIN).host
    ports = {host.listener_port(host.listen(0, 0)) for _ in range(20)}
    assert len(ports) == 20
    assert all(port in PLAIN.ephemeral for port in ports)


def test_a_listener_on_one_address_does_not_hear_the_other() -> None:
    script = Script(PLAIN)
    script.host.listen(0, PORT, address=HOST_2)
    assert resets(syn(script))
    (answer,) = syn(script, remote=HOST_2)
    assert answer.flags == SYN | ACK


def test_a_closed_listener_keeps_what_is_open_and_resets_what_is_opening() -> None:
    peer = TcpPeer(PLAIN)
    opening = peer.script.flow(local_port=50000)
    opening.send(SYN)
    peer.script.host.close_listener(0, 1)
    assert [one.flow for one in resets(peer.script.turn())] == [opening.path.flow_in()]
    peer.flow.send(ACK, b"still here")
    assert peer.script.read(peer.id) == b"still here"
    assert resets(syn(peer.script, local_port=50001))
    with pytest.raises(UsageError):
        peer.script.host.listener_port(1)


def test_no_more_half_open_connections_than_the_backlog() -> None:
    script = listening(replace(PLAIN, backlog=3, syn_cookies="never"))
    flows = [script.flow(local_port=port) for port in range(1000, 1005)]
    assert [len(flow.send(SYN)) for flow in flows] == [1, 1, 1, 0, 0]
    assert script.host.counters.tcp_req_q_full_drop == 2
    flows[0].send(ACK)
    assert len(flows[3].send(SYN, seq=0)) == 1
    script.wait(300 * SECOND)
    assert len(flows[4].send(SYN, seq=0)) == 1


def test_no_more_connections_than_the_limit() -> None:
    script = listening(replace(PLAIN, max_connections=2))
    for port in (1000, 1001):
        flow = script.flow(local_port=port)
        flow.send(SYN)
        flow.send(ACK)
    assert syn(script, local_port=1002) == []
    with pytest.raises(UsageError, match="2 connections"):
        script.host.connect(0, PEER, PORT)


# ---- strays

STRAYS = {
    "SYN": (SYN, b"", (0, 5_000_001, RST | ACK)),
    "SYN with data": (SYN, b"abc", (0, 5_000_004, RST | ACK)),
    "FIN": (FIN, b"", (0, 5_000_001, RST | ACK)),
    "ACK": (ACK, b"abc", (77, 0, RST)),
    "SYN/ACK": (SYN | ACK, b"", (77, 0, RST)),
    "RST": (RST, b"", None),
    "RST/ACK": (RST | ACK, b"", None),
}


@pytest.mark.rfc("9293", "3.10.7.1", "B9293-20")
@pytest.mark.parametrize(("flags", "data", "answer"), STRAYS.values(), ids=STRAYS.keys())
def test_a_stray_is_reset(flags: int, data: bytes, answer: tuple[int, int, int] | None) -> None:
    script = Script(PLAIN)
    sent = script.flow().send(flags, data, ack=77)
    assert [(one.seq, one.ack, one.flags) for one in sent] == ([] if answer is None else [answer])
    assert all(one.flow == script.flow().path.flow_in() for one in sent)


@pytest.mark.rfc("9293", "3.9.2.3", "B9293-17")
@pytest.mark.parametrize("flags", [SYN, ACK, FIN])
@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("255.255.255.255", str(HOST)),
        ("224.0.0.1", str(HOST)),
        (str(ip_address(0)), str(HOST)),
        (str(PEER), "224.0.0.1"),
        (str(PEER), "255.255.255.255"),
        (str(PEER), "10.0.9.9"),
    ],
)
def test_what_is_not_for_us_or_from_nobody_is_not_answered(
    flags: int, source: str, destination: str
) -> None:
    script = listening()
    flow = script.flow(local=ip_address(source), remote=ip_address(destination))
    assert flow.send(flags) == []


def test_resets_that_wait_are_bounded() -> None:
    script = Script(PLAIN)
    strays = [script.flow(local_port=port).segment(ACK) for port in range(1, 2 * PLAIN.max_answers)]
    assert len(script.receive(strays)) == PLAIN.max_answers


# ---- using it


def uses(host: Host, name: int) -> list[Callable[[], object]]:
    return [
        lambda: host.write(0, name, b"x"),
        lambda: host.read(0, name, 1),
        lambda: host.close(0, name),
        lambda: host.abort(0, name),
        lambda: host.release(0, name),
        lambda: host.change(0, name, replace(PLAIN, keepalive=True)),
        lambda: host.at_end(name),
        lambda: host.info(name),
    ]


def test_ids_that_are_gone_are_the_callers_fault() -> None:
    peer = TcpPeer(PLAIN)
    host = peer.script.host
    host.abort(0, peer.id)
    peer.script.turn()
    host.take_events()
    for call in uses(host, peer.id):
        with pytest.raises(UsageError, match="has ended"):
            call()


@pytest.mark.parametrize("lost", [True, False])
def test_nothing_comes_of_using_a_connection_whose_end_is_news(lost: bool) -> None:
    """An application acts on what it hears before it hears of the end, or in the same breath."""
    peer = TcpPeer(PLAIN)
    host = peer.script.host
    if lost:
        host.abort(0, peer.id)
    else:
        peer.script.close(peer.id)
        peer.flow.send(FIN | ACK)
        assert host.read(0, peer.id, 1) == b""
    told: list[Event] = []
    for _ in range(2):
        before = host.info(peer.id)
        for call in uses(host, peer.id):
            call()
        assert host.write(0, peer.id, b"x") == 0
        assert host.read(0, peer.id, 1) == (None if lost else b"")
        assert host.at_end(peer.id) is not lost
        assert host.info(peer.id) == before
        told += host.take_events()
        host.transmit(0)
    ends = [type(event) for event in told if isinstance(event, Closed | Lost)]
    assert ends == [Lost if lost else Closed]
    with pytest.raises(UsageError, match="has ended"):
        host.info(peer.id)


def test_connect_needs_an_address_that_fits() -> None:
    host = Script(PLAIN).host
    with pytest.raises(UsageError, match="IPv6"):
        host.connect(0, ip_address("2001:db8::1"), PORT)
    with pytest.raises(UsageError, match="no address"):
        host.connect(0, PEER, PORT, local=ip_address("10.9.9.9"))
    host.connect(0, PEER, PORT, local_port=7)
    with pytest.raises(UsageError, match="no free port"):
        host.connect(0, PEER, PORT, local_port=7)


def test_ipv6_connections_work() -> None:
    near, far = [ip_address("2001:db8::1")], [ip_address("2001:db8::2")]
    world = World(near=near, far=far)
    world.transfer(bytes(100_000), back=b"answer")
    assert all(end.empty for end in world.ends)


@pytest.mark.parametrize("flow_of_ours", [True, False])
def test_an_icmp_error_ends_an_opening_connection_only(flow_of_ours: bool) -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT, local_port=7)
    path = Path(HOST, 7, PEER, PORT if flow_of_ours else PORT + 1)
    (syn,) = script.turn()
    error = IcmpError(version=4, type=3, code=1, mtu=0, flow=path.flow_out(), seq=syn.seq)
    script.host.on_icmp_error(0, error)
    assert script.endings() == ([LossReason.UNREACHABLE] if flow_of_ours else [])


# ---- events


def test_events_come_in_the_order_of_a_life() -> None:
    world = World(Settings(path_manager="default"))
    world.transfer(b"hello")
    assert [type(event) for _, event in world.listener.events] == [
        Accepted,
        SubflowUp,
        Readable,
        Closed,
    ]
    assert [type(event) for _, event in world.initiator.events] == [
        Established,
        SubflowUp,
        Readable,
        Closed,
    ]


def test_nothing_follows_the_end() -> None:
    world = World()
    world.transfer(bytes(100_000))
    for end in world.ends:
        kinds = [type(event) for _, event in end.events]
        assert kinds.index(Closed) == len(kinds) - 1


def test_a_lost_connection_reports_its_subflows_first() -> None:
    peer = MpPeer(BARE)
    peer.join()
    peer.script.host.abort(0, peer.id)
    peer.script.turn()
    assert [type(event) for event in peer.script.events[-3:]] == [SubflowDown, SubflowDown, Lost]


def readables(peer: TcpPeer) -> int:
    return len(peer.script.heard(Readable))


def test_readable_comes_once_until_all_is_read() -> None:
    peer = TcpPeer(PLAIN)
    peer.flow.send(ACK, b"one")
    peer.flow.send(ACK, b"two")
    assert readables(peer) == 1
    assert peer.script.host.read(0, peer.id, 3) == b"one"
    peer.flow.send(ACK, b"three")
    assert readables(peer) == 1
    assert peer.script.read(peer.id) == b"twothree"
    assert peer.script.read(peer.id) is None
    peer.flow.send(ACK, b"four")
    assert readables(peer) == 2


def test_readable_comes_for_the_end_too() -> None:
    peer = TcpPeer(PLAIN)
    peer.flow.send(ACK | FIN)
    assert readables(peer) == 1
    assert not peer.script.host.at_end(peer.id)
    assert peer.script.read(peer.id) == b""
    assert peer.script.host.at_end(peer.id)


def test_writable_comes_once_after_a_short_write() -> None:
    peer = TcpPeer(replace(PLAIN, send_buffer=3000))
    host = peer.script.host
    assert host.write(0, peer.id, bytes(2000)) == 2000
    assert host.write(0, peer.id, bytes(2000)) == 1000
    peer.script.turn()
    assert peer.script.heard(Writable) == []
    for _ in range(10):
        peer.flow.send(ACK)
    assert peer.script.heard(Writable) == [Writable(peer.id)]


def test_unread_data_outlives_the_peer() -> None:
    peer = TcpPeer(replace(PLAIN, time_wait=SECOND))
    peer.flow.send(ACK | FIN, b"legacy")
    peer.script.close(peer.id)
    peer.flow.send(ACK)
    peer.script.wait(3600 * SECOND)
    assert peer.script.endings() == []
    assert peer.script.read(peer.id) == b"legacy"
    assert peer.script.endings() == [None]


def test_a_connection_that_never_opened_is_not_reported_to_a_listener() -> None:
    script = listening()
    flow = script.flow()
    flow.send(SYN)
    flow.send(RST)
    assert script.events == []
    assert not script.host._connections.by_id


# ---- turns and deadlines


def test_transmit_keeps_to_its_limit_and_goes_on() -> None:
    script = Script(PLAIN)
    for port in range(1, 101):
        script.host.connect(0, PEER, port)
    counts = []
    while batch := script.host.transmit(0, 16):
        counts.append(len(batch))
    assert counts == [16] * 6 + [4]


def test_the_deadline_is_never_late_and_asking_changes_nothing() -> None:
    script = Script(PLAIN)
    assert script.host.next_timeout() is None
    script.host.connect(0, PEER, PORT)
    script.turn()
    assert [script.host.next_timeout() for _ in range(3)] == [SECOND] * 3
    script.host.handle_timeout(SECOND - 1)
    assert script.turn() == []
    script.host.handle_timeout(SECOND)
    assert [one.flags for one in script.turn()] == [SYN]


def octets_of_a_life(settings: Settings) -> list[bytes]:
    """Return everything a host sends in a scripted life."""
    peer = MpPeer(settings)
    peer.join()
    peer.data(b"hello")
    peer.script.write(2, bytes(5000))
    peer.script.wait(2 * SECOND)
    peer.script.close(2)
    peer.data_fin()
    sent: list[Flow] = list(peer.script.flows.values())
    return [serialize_tcp(segment) for flow in sent for segment in flow.sent]


def test_the_same_calls_give_the_same_octets() -> None:
    first = octets_of_a_life(BARE)
    assert len(first) > 10
    assert octets_of_a_life(BARE) == first


def test_other_entropy_gives_other_keys_and_sequence_numbers() -> None:
    first, second = (
        Script(BARE, seed=seed).host.connect(0, PEER, PORT) for seed in (b"one", b"two")
    )
    assert first == second
    syns = []
    for seed in (b"one", b"two"):
        script = Script(BARE, seed=seed)
        script.host.connect(0, PEER, PORT)
        syns.append(script.turn()[0])
    assert syns[0].seq != syns[1].seq
    assert syns[0].flow != syns[1].flow


def test_many_connections_at_once() -> None:
    script = listening()
    flows = [script.flow(local_port=1000 + at) for at in range(100)]
    script.receive([flow.segment(SYN) for flow in flows])
    script.receive([flow.segment(ACK, bytes([at])) for at, flow in enumerate(flows)])
    accepted = [event.connection_id for event in script.heard(Accepted)]
    assert [script.read(connection) for connection in accepted] == [
        bytes([at]) for at in range(100)
    ]
    assert payload(script.turn()) == b""


@pytest.mark.parametrize("span", [0, SECOND], ids=["opening", "open"])
@pytest.mark.parametrize("mptcp", [False, True], ids=["TCP", "Multipath TCP"])
def test_where_no_network_is_left_connections_end(span: int, mptcp: bool) -> None:
    world = World(Settings(mptcp=mptcp))
    world.initiator.finish = world.listener.finish = False
    world.connect()
    world.run(span)
    host = world.initiator.host
    host.take_events()
    host.on_deserted(world.now)
    (lost,) = [event for event in host.take_events() if isinstance(event, Lost)]
    assert lost.reason is LossReason.UNREACHABLE
    assert not host._connections.by_id

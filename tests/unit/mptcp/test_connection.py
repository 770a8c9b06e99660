"""The whole connection: shared window, bounds, and random networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.script import UNCHECKED, MpPeer, payload
from support.world import FAR, Hook, World

from plait.congestion.coupling import Coupled
from plait.host.events import Closed, Lost, SubflowDown, SubflowUp
from plait.host.output import split
from plait.host.settings import Settings
from plait.mptcp.keys import Keys
from plait.mptcp.paths import MAX_ENDED
from plait.scheduling import schedulers
from plait.scheduling.base import Grant, Scheduler, SubflowView
from plait.tcp.settings import window_scale
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.mptcp.dss import DATA_ACK, MAPPING
from plait.wire.segment import ACK, RST, SYN, Segment
from plait.wire.tcp import serialize_tcp
from plait.wire.tcp_options import WindowScale

# ---- the shared window


@pytest.mark.rfc("6182", "5.3", "M6182-5.3-01")
@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-01")
@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-03")
@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-04")
@pytest.mark.parametrize("buffer", [3_000, 20_000, 300_000])
def test_no_octet_is_sent_beyond_the_shared_window(buffer: int) -> None:
    sender = Settings()
    world = World(sender, replace(sender, receive_buffer=buffer), whole=False)
    edges = [1]
    furthest = [1]
    keys: list[Keys] = []

    def note_window(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        keys[:] = [world.initiator.connection.keys]
        if segment.dss is not None and segment.dss.flags & DATA_ACK and keys[0].remote:
            acked = (segment.dss.data_ack - keys[0].local_idsn) % (1 << 64)
            edges.append(acked + (segment.window << window_scale(buffer)))
            assert edges[-1] >= max(edges[:-1])
        return [(0, segment)]

    def note_data(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        if segment.length and segment.dss is not None and segment.dss.flags & MAPPING:
            start = (segment.dss.dsn - keys[0].local_idsn) % (1 << 64)
            furthest.append(start + segment.dss.length)
        return [(0, segment)]

    world.listener.line.hook, world.initiator.line.hook = note_window, note_data
    world.transfer(bytes(400_000))
    assert max(furthest) <= max(edges)
    assert max(edges) <= 400_001 + buffer + 256


@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-06")
@pytest.mark.parametrize("mptcp", [True, False], ids=["Multipath TCP", "TCP"])
def test_a_lost_window_update_is_made_good_by_a_probe(mptcp: bool) -> None:
    world = World(Settings(mptcp=mptcp, receive_buffer=20_000))
    world.initiator.to_send = bytes(100_000)
    world.listener.reading = False
    world.connect()
    world.run(5 * SECOND)
    assert world.listener.connection.receiver.window() == 0
    until = world.now + SECOND

    def lose(now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        return [] if now < until else [(0, segment)]

    world.listener.line.hook = lose
    world.listener.reading = True
    world.run(120 * SECOND)
    assert len(world.listener.received) == 100_000


@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-06")
def test_a_closed_data_window_is_probed_on_a_subflow_whose_own_is_open() -> None:
    peer = MpPeer(UNCHECKED)
    peer.first.send(dss=peer.ack(), window=20)
    peer.connection.sender.edge = 11
    peer.connection.subflows[0].tcp.sender.max_window = 20
    sent = peer.script.write(2, b"0123456789+")
    assert payload(sent) == b"0123456789"
    peer.acked = 11
    peer.first.send(dss=peer.ack(), window=0)
    assert peer.script.wait(3 * SECOND)
    assert payload(peer.first.send(dss=peer.ack())) == b"+"


# ---- bounds


def test_ended_subflows_are_forgotten_in_time_and_indexes_stay() -> None:
    peer = MpPeer(UNCHECKED)
    indexes = []
    for round_ in range(MAX_ENDED + 20):
        flow = peer.join()
        subflow = peer.connection.subflows[-1]
        indexes.append(subflow.index)
        assert payload(peer.script.write(2, b"x" * 9)) == b"x" * 9
        peer.acked = 1 + 9 * (round_ + 1)
        peer.first.send(dss=peer.ack())
        flow.send(dss=peer.ack())
        flow.send(RST)
    assert indexes == list(range(1, MAX_ENDED + 21))
    kept = [subflow.index for subflow in peer.connection.subflows]
    assert kept[0] == 0
    assert kept[1:] == indexes[-len(kept) + 1 :]
    assert len(kept) <= MAX_ENDED + 1
    assert len(peer.script.host._connections.by_flow) == 1
    assert len(peer.script.host.info(2).subflows) == len(kept)


def test_subflow_events_pair_up() -> None:
    peer = MpPeer(UNCHECKED)
    for _ in range(5):
        peer.join().send(RST)
    assert len(peer.script.heard(SubflowUp)) == 6
    assert len(peer.script.heard(SubflowDown)) == 5


def test_up_and_down_in_one_batch_are_both_told() -> None:
    peer = MpPeer(UNCHECKED)
    flow, (answer,) = peer.join_syn()
    proof = flow.segment(options=[peer.join_ack(flow, answer)])
    peer.script.receive([proof, flow.segment(RST)])
    assert [type(one) for one in peer.script.events[-2:]] == [SubflowUp, SubflowDown]


@pytest.mark.parametrize("mtu", [148, 576, 1280, 9000, 65535])
def test_any_mtu_carries_the_stream(mtu: int) -> None:
    world = World(mtu=mtu, whole=False)
    world.transfer(bytes(range(256)) * 200, back=b"x" * 2000)
    assert all(segment.length <= mtu - 40 for _, segment in world.initiator.line.sent)


def test_a_peer_may_close_and_say_nothing_more() -> None:
    world = World()
    world.initiator.to_send = b"bye"
    world.listener.finish = False
    world.connect()
    world.run(SECOND)
    world.listener.line.hook = world.initiator.line.hook = lambda _now, _segment: []
    world.listener.finish = True
    world.run(4000 * SECOND)
    assert len(world.listener.heard(Closed)) + len(world.listener.heard(Lost)) == 1
    assert world.listener.empty


# ---- random networks


def impaired(random: Random, loss: float, wild: float, until: Nanos) -> Hook:
    """Return a hook that loses, doubles, delays and cuts up segments, fairly after a time."""

    def hook(now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        out: list[tuple[Nanos, Segment]] = []
        for piece in cut_up(random, segment) if random.random() < wild else split(segment):
            if now < until and random.random() < loss:
                continue
            delay = random.randrange(60 * MILLISECOND) if random.random() < wild else 0
            out.append((delay, piece))
            if random.random() < wild / 4:
                out.append((random.randrange(300 * MILLISECOND), piece))
        return out

    return hook


def cut_up(random: Random, segment: Segment) -> list[Segment]:
    """Cut anywhere, as a box may that repeats the options."""
    if segment.length < 2:
        return [segment]
    segment.segment_size = random.randrange(1, segment.length) // 4 * 4 + 500
    return split(segment)


STREAM = Random(1).randbytes(1 << 17)


@dataclass(frozen=True, kw_only=True)
class Network:
    """What lies between two hosts, and what they send through it."""

    seed: int
    loss: float
    wild: float = 0.2
    """How often a segment is delayed, doubled or cut up."""

    paths: int = 2
    mtu: int = 1500
    forth: int = 1 << 17
    """Octets from the initiator."""

    back: int = 5000


networks = st.builds(
    Network,
    seed=st.integers(0, 1 << 32),
    loss=st.sampled_from([0.0, 0.02, 0.1, 0.25]),
    wild=st.sampled_from([0.0, 0.1, 0.4]),
    paths=st.sampled_from([1, 2]),
    mtu=st.sampled_from([576, 1500, 9000]),
    forth=st.integers(0, 1 << 17),
    back=st.sampled_from([0, 1, 5000, 1 << 16]),
)
configurations = st.builds(
    Settings,
    mptcp=st.sampled_from([True, True, True, False]),
    checksum=st.booleans(),
    congestion=st.sampled_from(["cubic", "reno"]),
    receive_buffer=st.sampled_from([2_000, 30_000, 4 << 20]),
    send_buffer=st.sampled_from([2_000, 30_000, 4 << 20]),
    nodelay=st.booleans(),
    timestamps=st.booleans(),
    sack=st.booleans(),
)


def random_world(network: Network, one: Settings, other: Settings) -> World:
    """Return a world with a hostile network between two configurations."""
    random = Random(network.seed)
    near = [ip_address(f"10.0.{path + 1}.1") for path in range(network.paths)]
    world = World(one, other, near=near, mtu=network.mtu)
    for end in world.ends:
        end.line.hook = impaired(random, network.loss, network.wild, 300 * SECOND)
    return world


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(network=networks, one=configurations, other=configurations)
def test_whatever_the_network_does_streams_arrive_and_hosts_end_up_empty(
    network: Network, one: Settings, other: Settings
) -> None:
    world = random_world(network, one, other)
    forth, back = STREAM[: network.forth], STREAM[::-1][: network.back]
    world.initiator.to_send, world.listener.to_send = forth, back
    world.connect()
    world.run(8000 * SECOND)
    if any(end.heard(Lost) for end in world.ends):
        assert forth.startswith(bytes(world.listener.received))
        assert back.startswith(bytes(world.initiator.received))
    else:
        assert bytes(world.listener.received) == forth
        assert bytes(world.initiator.received) == back
        assert [len(end.heard(Closed)) for end in world.ends] == [1, 1]
    assert all(end.empty for end in world.ends)


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_mild_networks_lose_no_connection(loss: float) -> None:
    for seed in range(10):
        world = random_world(Network(seed=seed, loss=loss), Settings(), Settings())
        world.transfer(STREAM, back=STREAM[:5000], span=2000 * SECOND)
        assert all(end.empty for end in world.ends)


def test_the_same_calls_give_the_same_segments() -> None:
    runs = []
    for _ in range(2):
        world = random_world(Network(seed=7, loss=0.05), Settings(), Settings())
        world.transfer(STREAM, back=STREAM[:5000], span=2000 * SECOND)
        sent = [one for end in world.ends for one in end.line.sent]
        runs.append([(at, serialize_tcp(segment)) for at, segment in sent])
    assert runs[0] == runs[1]


def test_a_window_scale_stripped_from_one_subflow_is_no_harm() -> None:
    world = World()

    def hook(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        if segment.flags & SYN and bytes([10, 0, 2, 1]) in segment.flow:
            segment.options = tuple(
                option for option in segment.options if not isinstance(option, WindowScale)
            )
        return [(0, segment)]

    for end in world.ends:
        end.line.hook = hook
    world.start()
    scales = {one.tcp.sender.scale for one in world.initiator.connection.subflows}
    assert scales == {0, 7}
    world.initiator.to_send = STREAM * 10
    world.run(10 * SECOND)
    assert bytes(world.listener.received) == STREAM * 10


# ---- what RFC 8684 asks of a whole connection


@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-04")
def test_one_subflow_may_fill_the_window_of_the_connection() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    far = UNCHECKED.receive_buffer - 10_000
    second.send(ACK, b"far", seq=1 + far, dss=peer.dss(1 + far, 1 + far, b"far"))
    assert peer.connection.subflows[1].tcp.receiver.reassembly.buffered == 3


@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-04")
def test_a_window_that_grew_is_that_of_every_subflow() -> None:
    world = World(Settings(path_manager="fullmesh"))
    world.start()
    first = world.listener.connection.tuning.receive
    world.initiator.to_send = bytes(20_000_000)
    world.run()
    grown = world.listener.connection.tuning.receive
    assert grown > first
    windows = [one.tcp.receiver.window for one in world.listener.connection.subflows]
    assert windows == [grown, grown]


@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-02")
@pytest.mark.parametrize("order", [(1000, 30_000), (30_000, 1000)])
def test_of_windows_that_differ_by_subflow_the_larger_holds(order: tuple[int, int]) -> None:
    peer = MpPeer(replace(UNCHECKED, scheduler="default"))
    second = peer.join()
    peer.connection.sender.edge = 1
    for flow, window in zip((peer.first, second), order, strict=True):
        flow.send(dss=peer.ack(), window=window)
    peer.script.write(2, bytes(100_000))
    assert peer.connection.sender.edge == 30_001
    assert peer.connection.sender.snd_nxt > 1001


class Last(Scheduler):
    """Sends all on the subflow that came last."""

    def schedule(
        self, now: Nanos, start: int, stop: int, edge: int, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        view = subflows[-1]
        length = min(stop - start, view.room, view.burst)
        return [Grant(view.index, start, start + length)] if length else []


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-01")
def test_how_subflows_are_used_is_up_to_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schedulers._known, "last", Last)
    peer = MpPeer(replace(UNCHECKED, scheduler="last"))
    second = peer.join()
    peer.script.write(2, bytes(5000))
    assert len(payload(second.sent)) == 5000
    assert payload(peer.first.sent) == b""


@pytest.mark.rfc("8684", "C", "M8684-C-01")
def test_the_state_of_both_levels_is_there_to_be_looked_at() -> None:
    peer = MpPeer(UNCHECKED)
    peer.data(b"12345")
    peer.script.write(2, b"abc")
    connection = peer.connection
    keys = connection.keys
    assert (keys.local, keys.remote) == (peer.keys.remote, peer.keys.local)
    assert (keys.local_token, keys.remote_token) == (peer.keys.remote_token, peer.keys.local_token)
    assert not connection.checksum
    sender, receiver = connection.sender, connection.receiver
    assert (sender.snd_una, sender.snd_nxt, sender.edge) == (1, 4, 65_536)
    assert (receiver.rcv_nxt, receiver.window()) == (6, UNCHECKED.receive_buffer - 5)
    (subflow,) = connection.subflows
    below = subflow.tcp
    assert (below.sender.snd_una, below.sender.snd_nxt, below.receiver.rcv_nxt) == (1, 4, 6)


@pytest.mark.rfc("6182", "5.4", "M6182-5.4-01")
def test_signals_travel_in_options_and_payload_is_the_stream_alone() -> None:
    stream = bytes(range(256)) * 2000
    world = World(Settings(path_manager="fullmesh"), far=(FAR[0], ip_address("10.0.2.2")))
    world.transfer(stream, back=b"answer")
    sent = world.initiator.line.sent
    assert sum(one.length for _, one in sent) == len(stream)
    assert {type(option).__name__ for _, one in sent for option in one.options} >= {
        "MpCapableSyn",
        "MpJoinSyn",
        "MpJoinAck",
        "AddAddr",
    }


@pytest.mark.rfc("8684", "3.3.7", "M8684-3.3.7-01")
@pytest.mark.rfc("6182", "5.7", "M6182-5.7-01")
def test_subflows_have_windows_of_their_own_that_are_coupled() -> None:
    peer = MpPeer(replace(UNCHECKED, congestion="lia"))
    second = peer.join()
    peer.join(ip_address("10.0.3.2"), address_id=3)
    controllers = [one.tcp.sender.controller for one in peer.connection.subflows]
    assert all(isinstance(one, Coupled) for one in controllers)
    groups = [one.group for one in controllers if isinstance(one, Coupled)]
    assert all(set(map(id, group)) == set(map(id, controllers)) for group in groups)
    second.send(RST)
    left = controllers[0]
    assert isinstance(left, Coupled)
    assert controllers[1] not in left.group
    assert len(left.group) == 2

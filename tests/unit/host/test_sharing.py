"""Several hosts behind one address: wherever segments come, they find their connection."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import UsageError
from plait.host.events import Accepted, Event, Readable
from plait.host.host import Host
from plait.host.settings import Settings
from plait.host.sharing import MOST, Share, Stray, owner_of
from plait.units import MILLISECOND, Nanos
from plait.wire.crypto import token
from plait.wire.mptcp.mp_capable import HMAC_SHA256, MpCapableAck, MpCapableSyn
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.segment import ACK, RST, SYN, Segment

NEAR = [ip_address("10.0.1.1"), ip_address("10.0.2.1")]
FAR = ip_address("10.0.0.2")
PORT = 80
SECRET = bytes(range(32))
FLOW = bytes(12)


@pytest.mark.parametrize(("index", "count"), [(0, 0), (-1, 2), (2, 2), (0, MOST + 1)])
def test_impossible_parts(index: int, count: int) -> None:
    with pytest.raises(UsageError):
        Share(index, count, SECRET)


@given(count=st.integers(1, MOST), name=st.integers(0, 2**32 - 1))
def test_every_token_has_one_owner(count: int, name: int) -> None:
    shares = [Share(index, count, SECRET) for index in range(count)]
    assert [share.index for share in shares if share.owns(name)] == [shares[0].owner(name)]


@given(count=st.integers(1, MOST))
def test_ports_are_parted(count: int) -> None:
    every = range(32768, 61000)
    parts = [Share(index, count, SECRET).ports(every) for index in range(count)]
    assert sorted(port for part in parts for port in part) == list(every)


@given(count=st.integers(1, MOST))
def test_each_host_asks_another_until_all_were_asked(count: int) -> None:
    asked = [0]
    for _ in range(count - 1):
        asked.append(Share(asked[-1], count, SECRET).following)
    assert sorted(asked) == list(range(count))


KEY = b"ourselves"[:8]
NAMES = {
    "a join": (SYN, MpJoinSyn(token=7, nonce=1, address_id=2), 7),
    "a third ACK": (
        ACK,
        MpCapableAck(version=1, flags=HMAC_SHA256, sender_key=bytes(8), receiver_key=KEY),
        token(KEY),
    ),
    "a first SYN": (SYN, MpCapableSyn(version=1, flags=HMAC_SHA256), None),
    "nothing": (ACK, None, None),
}


@pytest.mark.parametrize(("flags", "option", "name"), NAMES.values(), ids=NAMES.keys())
def test_what_names_an_owner(flags: int, option: object, name: int | None) -> None:
    segment = Segment(FLOW, 0, 0, flags, 0)
    segment.options = () if option is None else (option,)  # type: ignore[assignment]  # an option
    share = Share(0, 5, SECRET)
    found = owner_of(share, Settings(), segment)
    assert found == (None if name is None else name % 5)


@dataclass
class Cluster:
    """A host with two addresses, and several behind one; each segment goes to any of those."""

    count: int
    settings: Settings
    seed: int
    handing: bool = True
    now: Nanos = 0
    accepted: list[tuple[int, int]] = field(default_factory=list)
    received: dict[tuple[int, int], bytes] = field(default_factory=dict)
    handed: int = 0
    resets: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.near = Host(Settings(), b"near".ljust(32))
        for address in NEAR:
            self.near.on_local_address(0, address, present=True)
        self.hosts = [
            Host(self.settings, bytes([index]) * 32, Share(index, self.count, SECRET))
            for index in range(self.count)
        ]
        for host in self.hosts:
            host.on_local_address(0, FAR, present=True)
            host.listen(0, PORT)

    def settle(self) -> None:
        """Exchange segments until none is left, in the time that timers need."""
        for _ in range(400):
            self.now += 20 * MILLISECOND
            sent = self.near.transmit(self.now)
            for segment in sent:
                self.random.choice(self.hosts).receive(self.now, [segment])
            answers = self.turn()
            self.resets += sum(1 for one in answers if one.flags & RST)
            self.near.receive(self.now, answers)
            for host in (self.near, *self.hosts):
                due = host.next_timeout()
                if due is not None and due <= self.now:
                    host.handle_timeout(self.now)
            if not sent and not answers:
                return

    def turn(self) -> list[Segment]:
        """Hand segments over, take what came, and return what the hosts send."""
        for _ in range(self.count):
            strays: list[Stray] = []
            for index, host in enumerate(self.hosts):
                for event in host.take_events():
                    self.on_event(index, event, strays)
            self.handed += len(strays)
            for stray in strays if self.handing else ():
                self.hosts[stray.to].receive_stray(self.now, stray.segment, stray.passes)
        return [one for host in self.hosts for one in host.transmit(self.now)]

    def on_event(self, index: int, event: Event, strays: list[Stray]) -> None:
        if isinstance(event, Stray):
            strays.append(event)
        elif isinstance(event, Accepted):
            self.accepted.append((index, event.connection_id))
        elif isinstance(event, Readable):
            data = self.hosts[index].read(self.now, event.connection_id, 1 << 20) or b""
            known = self.received.get((index, event.connection_id), b"")
            self.received[index, event.connection_id] = known + data

    def subflows(self, connection_id: int) -> int:
        """Return how many subflows of a connection of the near host work."""
        info = self.near.info(connection_id)
        return sum(1 for one in info.subflows if one.tcp.state == "ESTABLISHED")


def connected(cluster: Cluster, connections: int) -> list[int]:
    """Open connections that carry data, and return their ids."""
    made = []
    for number in range(connections):
        made.append(cluster.near.connect(cluster.now, FAR, PORT, local=NEAR[0]))
        cluster.settle()
        cluster.near.write(cluster.now, made[-1], b"%d " % number * 2000)
        cluster.settle()
    return made


@pytest.mark.rfc("8684", "3.2")
@pytest.mark.parametrize("cookies", ["never", "always"])
@pytest.mark.parametrize("mptcp", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5, MOST])
def test_segments_may_come_anywhere(count: int, mptcp: bool, cookies: str) -> None:
    settings = Settings(mptcp=mptcp, syn_cookies=cookies)
    cluster = Cluster(count, settings, seed=count)
    made = connected(cluster, 8)
    assert len(cluster.accepted) == len(made)
    sent = {b"%d " % number * 2000 for number in range(len(made))}
    assert set(cluster.received.values()) == sent
    assert [cluster.subflows(one) for one in made] == [2 if mptcp else 1] * len(made)
    assert cluster.resets == 0
    assert (cluster.handed > 0) is (count > 1)


def test_without_handing_over_they_may_not() -> None:
    cluster = Cluster(2, Settings(), seed=1, handing=False)
    connected(cluster, 4)
    assert len(cluster.received) < 4 or any(len(data) < 4000 for data in cluster.received.values())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_nobodys_segment_is_reset_once(count: int) -> None:
    cluster = Cluster(count, Settings(), seed=count)
    flow = NEAR[0].packed + FAR.packed + b"\x30\x39" + PORT.to_bytes(2, "big")
    cluster.hosts[0].receive(0, [Segment(flow, 1, 2, ACK, 100)])
    answers = cluster.turn()
    assert [one.flags for one in answers] == [RST]
    assert cluster.handed == count - 1


@pytest.mark.parametrize("count", [2, 5])
def test_a_join_to_nobody_is_refused_by_the_owner_of_its_token(count: int) -> None:
    cluster = Cluster(count, Settings(), seed=count)
    flow = NEAR[0].packed + FAR.packed + b"\x30\x39" + PORT.to_bytes(2, "big")
    syn = Segment(flow, 1, 0, SYN, 100)
    syn.options = (MpJoinSyn(token=count + 1, nonce=1, address_id=2),)
    cluster.hosts[0].receive(0, [syn])
    assert [one.flags & RST for one in cluster.turn()] == [RST]
    assert [host.counters.mp_join_no_token_found for host in cluster.hosts][:2] == [0, 1]


def test_tokens_name_the_host() -> None:
    cluster = Cluster(3, Settings(), seed=1)
    connected(cluster, 6)
    for index, host in enumerate(cluster.hosts):
        for entry in host._connections.by_id.values():
            assert entry.connection.keys.local_token % 3 == index
    keys = [entry.connection.keys.local for host in cluster.hosts
            for entry in host._connections.by_id.values()]  # fmt: skip
    assert len(set(keys)) == 6


def test_a_fast_open_cookie_of_one_is_good_at_the_others() -> None:
    settings = Settings(fast_open="both")
    cluster = Cluster(4, settings, seed=3)
    cluster.near.settings = settings
    for number in range(6):
        cluster.near.connect(cluster.now, FAR, PORT, settings=settings, data=b"%d" % number)
        cluster.settle()
    opened = [host.counters.tcp_fast_open_passive for host in cluster.hosts]
    assert sum(opened) == 5  # all but the first, which asked for the cookie
    assert sum(map(bool, opened)) > 1
    assert sorted(cluster.received.values()) == [b"%d" % number for number in range(6)]

"""No segment, however mangled, makes a host raise, and it forgets everything in the end."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from support.script import BARE, KEY, UNCHECKED, Flow, MpPeer

from plait.host.settings import Settings
from plait.units import SECOND, Nanos
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import Dss
from plait.wire.mptcp.mp_capable import (
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
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.option import Option
from plait.wire.segment import ACK, PSH, SYN
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

uint32 = st.integers(0, (1 << 32) - 1)
uint64 = st.integers(0, (1 << 64) - 1)
keys = st.sampled_from([KEY, bytes(8)])
near = st.integers(-20, 20)

options: st.SearchStrategy[Option] = st.one_of(
    st.builds(Mss, st.integers(0, 65535)),
    st.builds(WindowScale, st.integers(0, 255)),
    st.just(SackPermitted()),
    st.builds(MpCapableSyn, version=st.integers(0, 2), flags=st.integers(0, 255)),
    st.builds(MpCapableSynAck, sender_key=keys, flags=st.sampled_from([1, 0x81])),
    st.builds(MpCapableAck, sender_key=keys, receiver_key=keys),
    st.builds(
        MpCapableData,
        sender_key=keys,
        receiver_key=keys,
        length=st.integers(0, 65535),
        checksum=st.integers(-1, 65535),
    ),
    st.builds(MpJoinSyn, token=uint32, nonce=uint32, address_id=st.integers(0, 9)),
    st.builds(MpJoinSynAck, hmac=st.just(bytes(8)), nonce=uint32, address_id=st.integers(0, 9)),
    st.builds(MpJoinAck, st.just(bytes(20))),
    st.builds(
        AddAddr,
        address_id=st.integers(0, 9),
        address=st.just(ip_address("10.0.7.7")),
        hmac=st.just(bytes(8)),
    ),
    st.builds(RemoveAddr, st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple)),
    st.builds(MpPrio, st.booleans()),
    st.builds(MpFail, uint64),
    st.builds(MpFastclose, keys),
    st.builds(MpTcprst, st.integers(0, 255)),
)

Shape = tuple[int, int, int, int, int, int]
"""Flags, Data ACK, DSN and SSN as distances from what is right, length, checksum."""

shapes = st.tuples(
    st.integers(0, 31),
    near,
    near,
    near,
    st.sampled_from([0, 1, 7, 8, 1400, 65535]),
    st.sampled_from([-1, 0, 77]),
)


@dataclass(frozen=True)
class Blow:
    """One segment, numbered by distances from what is right, and what happens after it."""

    flow: int
    flags: int
    seq: int
    ack: int
    octets: int
    window: int
    options: list[Option]
    sack: list[tuple[int, int]]
    dss: Shape | None
    pause: Nanos
    call: str


blows = st.builds(
    Blow,
    flow=st.integers(0, 2),
    flags=st.one_of(st.just(ACK), st.just(ACK | PSH), st.integers(0, 255)),
    seq=near,
    ack=near,
    octets=st.sampled_from([0, 1, 7, 1400]),
    window=st.sampled_from([0, 1, 1000, 65535]),
    options=st.lists(options, max_size=3),
    sack=st.lists(st.tuples(near, near), max_size=3),
    dss=st.none() | shapes,
    pause=st.sampled_from([0, 0, 0, SECOND // 10, 3 * SECOND]),
    call=st.sampled_from(["", "", "", "write", "read", "close", "release", "abort"]),
)


def hostile_dss(peer: MpPeer, shape: Shape) -> Dss:
    """Return a DSS near what would be right."""
    flags, ack, dsn, ssn, length, checksum = shape
    wide = (1 << 64) - 1
    return Dss(
        flags,
        (peer.keys.remote_idsn + 1 + ack) & (wide if flags & 2 else 0xFFFF_FFFF),
        (peer.keys.local_idsn + peer.dsn + dsn) & (wide if flags & 8 else 0xFFFF_FFFF),
        (peer.first.nxt + ssn) & 0xFFFF_FFFF,
        length,
        checksum,
    )


def open_ids(peer: MpPeer) -> list[int]:
    """Return the connections whose end was not told yet."""
    entries = peer.script.host._connections.by_id.values()
    return [entry.connection_id for entry in entries if not entry.closed_told]


def call(peer: MpPeer, what: str) -> None:
    """Have the application do something, if the connection still exists."""
    host, now, known = peer.script.host, peer.script.now, peer.id
    if not what or known not in open_ids(peer):
        return
    if what == "write":
        host.write(now, known, bytes(3000))
    elif what == "read":
        host.read(now, known, 1000)
    elif what == "close":
        host.close(now, known)
    elif what == "release":
        host.release(now, known)
    else:
        host.abort(now, known)


def attack(peer: MpPeer, flow: Flow, blow: Blow) -> None:
    """Send one hostile segment and let the host answer."""
    flow.send(
        blow.flags,
        bytes(blow.octets),
        seq=flow.nxt + blow.seq,
        ack=flow.rcv_nxt + blow.ack,
        window=blow.window,
        options=blow.options,
        dss=None if blow.dss is None else hostile_dss(peer, blow.dss),
        sack=[(flow.rcv_nxt + one, flow.rcv_nxt + other) for one, other in blow.sack],
    )
    call(peer, blow.call)
    peer.script.turn()
    peer.script.wait(blow.pause)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(blows, min_size=1, max_size=20),
    st.booleans(),
    st.sampled_from([BARE, UNCHECKED]),
)
def test_no_sequence_of_segments_and_calls_breaks_a_host(
    storm: list[Blow], passive: bool, chosen: Settings
) -> None:
    peer = MpPeer(chosen, passive=passive)
    flows = [peer.first, peer.join(), peer.script.flow(local_port=7)]
    for blow in storm:
        attack(peer, flows[blow.flow], blow)
    for connection_id in open_ids(peer):
        peer.script.host.abort(peer.script.now, connection_id)
    peer.script.turn()
    peer.script.wait(10_000 * SECOND)
    known = peer.script.host._connections
    assert not known.by_id
    assert not known.by_flow
    assert not known.by_token
    assert peer.script.host.next_timeout() is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(options, max_size=4), min_size=1, max_size=10))
def test_no_syn_breaks_a_listener(offers: list[list[Option]]) -> None:
    peer = MpPeer(UNCHECKED)
    for port, offer in enumerate(offers):
        flow = peer.script.flow(local_port=2000 + port)
        flow.send(SYN, options=offer)
        flow.send(options=offer)
    peer.data(b"unharmed")
    assert peer.script.read(2) == b"unharmed"

"""Any octets at any time: the connection stays in a state that RFC 9293 allows.

A machine of random steps plays the peer, the network, the application and the clock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.script import ISS, PLAIN, PORT, Flow, Script

from plait.host.settings import Settings
from plait.tcp.connection import TcpConnection
from plait.tcp.state import State
from plait.units import MILLISECOND, SECOND, Octets
from plait.wire.icmp import IcmpError
from plait.wire.option import Option, UnknownOption
from plait.wire.segment import ABSENT, ACK, FIN, RST, SYN, Segment
from plait.wire.seq import MASK32, unwrap32
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

pytestmark = pytest.mark.rfc("9293", "3.10.7", "B9293-03")

near = st.one_of(
    st.integers(-3, 3),
    st.integers(-70_000, 70_000),
    st.sampled_from([1 << 31, -(1 << 31), 1 << 16, 1 << 30]),
)
lengths = st.one_of(st.sampled_from([0, 0, 0, 1, 10]), st.integers(0, 3000))
windows = st.one_of(st.sampled_from([0, 1, 65535]), st.integers(0, 65535))
flag_sets = st.one_of(st.just(ACK), st.integers(0, 255))
strange: st.SearchStrategy[list[Option]] = st.lists(
    st.one_of(
        st.builds(Mss, st.sampled_from([0, 1, 88, 536, 1460, 65535])),
        st.builds(WindowScale, st.integers(0, 255)),
        st.just(SackPermitted()),
        st.builds(UnknownOption, st.integers(64, 253), st.binary(max_size=6)),
    ),
    max_size=3,
)
configurations = st.builds(
    replace,
    st.just(PLAIN),
    timestamps=st.booleans(),
    sack=st.booleans(),
    nodelay=st.booleans(),
    ecn=st.sampled_from(["no", "passive", "active"]),
    keepalive=st.booleans(),
    receive_buffer=st.sampled_from([100, 5000, 1 << 20]),
    user_timeout=st.sampled_from([0, 0, 30 * SECOND]),
)

MOST_ANSWERS = 200
"""Segments that one step may let a host send; the window limits them to fewer."""


class AnyOctets(RuleBasedStateMachine):
    """A host with one connection, and a world that knows no rules."""

    script: Script
    flow: Flow

    @initialize(
        chosen=configurations,
        options=strange,
        window=windows,
        ts_val=st.sampled_from([ABSENT, 1000, MASK32]),
        passive=st.booleans(),
    )
    def open(
        self, chosen: Settings, options: list[Option], window: int, ts_val: int, passive: bool
    ) -> None:
        self.script = script = Script(chosen)
        script.host.listen(0, PORT)
        self.id = 2 if passive else script.host.connect(0, script.flow().path.local, PORT)
        if passive:
            self.flow = script.flow()
            self.flow.send(SYN, options=options, window=window, ts_val=ts_val)
        else:
            (syn,) = script.turn()
            self.flow = script.flows[syn.flow]
            self.flow.send(SYN | ACK, options=options, window=window, ts_val=ts_val)
        self.flow.send(ACK, window=window, ts_val=ts_val)
        self.read: bytearray = bytearray()
        self.last_nxt: Octets = 0
        self.edge: Octets = 1 << 17
        self.was_closed = False

    @property
    def tcp(self) -> TcpConnection | None:
        entry = self.script.host._connections.by_id.get(self.id)
        return entry.connection.subflows[0].tcp if entry is not None else None

    def _give(self, segment: Segment) -> None:
        """Hand a segment to the host; what it answers must be bounded and no RST of a RST."""
        sent = self.script.receive([segment])
        assert len(sent) <= MOST_ANSWERS
        if segment.flags & RST:
            assert not any(answer.flags & RST for answer in sent)

    # ---- steps

    @rule(
        flags=flag_sets,
        seq=near,
        ack=near,
        length=lengths,
        fill=st.integers(0, 255),
        window=windows,
        urgent=st.sampled_from([0, 0, 1, 65535]),
        ecn=st.integers(0, 3),
        stamp=st.one_of(st.just(ABSENT), st.integers(0, MASK32)),
        options=strange,
        sack=st.lists(st.tuples(near, near), max_size=3),
    )
    def arrive(self, **drawn: Any) -> None:
        base = self.flow.segment(drawn["flags"], bytes([drawn["fill"]]) * drawn["length"])
        base.seq = (base.seq + drawn["seq"]) & MASK32
        base.ack = (base.ack + drawn["ack"]) & MASK32
        base.window = drawn["window"]
        base.urgent = drawn["urgent"]
        base.ecn = drawn["ecn"]
        base.ts_val = drawn["stamp"]
        base.options = tuple(drawn["options"])
        base.sack = tuple(
            ((base.ack + left) & MASK32, (base.ack + right) & MASK32)
            for left, right in drawn["sack"]
        )
        self._give(base)

    @rule(data=st.binary(min_size=1, max_size=2000), window=windows)
    def behave(self, data: bytes, window: int) -> None:
        """Send what a sane peer would."""
        tcp = self.tcp
        at = tcp.receiver.rcv_nxt if tcp is not None else self.flow.nxt
        self._give(self.flow.segment(ACK, data, seq=at, window=window))

    @rule(gap=st.integers(0, 3000), data=st.binary(min_size=1, max_size=1000))
    def overlap(self, gap: int, data: bytes) -> None:
        """Send octets beyond a hole, which others will contradict."""
        tcp = self.tcp
        at = tcp.receiver.rcv_nxt if tcp is not None else self.flow.nxt
        self._give(self.flow.segment(ACK, data, seq=at + gap))

    @rule(flags=st.sampled_from([SYN, RST, FIN | ACK, SYN | ACK, RST | ACK, SYN | FIN]))
    def end(self, flags: int) -> None:
        tcp = self.tcp
        at = tcp.receiver.rcv_nxt if tcp is not None else self.flow.nxt
        self._give(self.flow.segment(flags, seq=at))

    @rule(kind=st.sampled_from([3, 4, 11, 12]), code=st.integers(0, 5), mtu=st.integers(0, 2000))
    def complain(self, kind: int, code: int, mtu: int) -> None:
        tcp = self.tcp
        if tcp is not None:
            seq = (tcp.iss + tcp.sender.snd_una) & MASK32
            flow = tcp.flow_out
            error = IcmpError(version=4, type=kind, code=code, mtu=mtu, flow=flow, seq=seq)
            self.script.host.on_icmp_error(self.script.now, error)
            assert len(self.script.turn()) <= MOST_ANSWERS

    @rule(span=st.sampled_from([1, 50, 1000, 100_000]))
    def wait(self, span: int) -> None:
        self.script.wait(span * MILLISECOND)

    def _alive(self) -> bool:
        return self.tcp is not None

    @precondition(_alive)
    @rule(data=st.binary(min_size=1, max_size=20_000))
    def write(self, data: bytes) -> None:
        self.script.host.write(self.script.now, self.id, data)
        self.script.turn()

    @precondition(_alive)
    @rule()
    def take(self) -> None:
        self.read += self.script.read(self.id) or b""
        self.script.turn()

    @precondition(_alive)
    @rule(abort=st.sampled_from([False, False, True]))
    def close(self, abort: bool) -> None:
        if abort:
            self.script.host.abort(self.script.now, self.id)
        else:
            self.script.host.close(self.script.now, self.id)
        self.script.turn()

    # ---- what always holds

    @invariant()
    def numbers_are_in_order(self) -> None:
        tcp = self.tcp
        if tcp is None:
            return
        sender = tcp.sender
        assert 0 <= sender.snd_una <= sender.snd_nxt <= sender.stop + 1
        assert sender.controller.cwnd >= sender.mss > 0
        assert sender.in_flight() >= 0
        assert tcp.receiver.rcv_nxt >= self.last_nxt
        self.last_nxt = tcp.receiver.rcv_nxt
        assert tcp.state in State

    @invariant()
    def memory_is_bounded(self) -> None:
        tcp = self.tcp
        if tcp is None:
            return
        entry = self.script.host._connections.by_id[self.id]
        receiver = entry.connection.receiver
        held = tcp.receiver.reassembly.buffered + receiver.reassembly.buffered + receiver.unread
        assert held <= 2 * receiver.capacity + 65535
        assert len(list(tcp.sender.scoreboard.sacked)) <= 2000

    @invariant()
    def nothing_exceeds_the_largest_window(self) -> None:
        tcp = self.tcp
        if tcp is None or tcp.receiver.irs != ISS:
            return
        for segment in self.flow.sent[-20:]:
            position = unwrap32(segment.seq, tcp.iss, tcp.sender.snd_una)
            assert position <= tcp.sender.snd_una + tcp.sender.max_window + 2

    def teardown(self) -> None:
        """Aborts and time leave nothing behind."""
        if not hasattr(self, "script"):
            return
        host, now = self.script.host, self.script.now
        for listener in list(host._listeners._by_id):
            host.close_listener(now, listener)
        for entry in list(host._connections.by_id.values()):  # a SYN may have opened others
            if not entry.closed_told:
                host.abort(now, entry.connection_id)
        self.script.turn()
        self.script.wait(300 * SECOND)
        host.take_events()
        assert not host._connections.by_id
        assert not host._connections.by_flow
        assert host.next_timeout() is None


TestAnyOctets = AnyOctets.TestCase
TestAnyOctets.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

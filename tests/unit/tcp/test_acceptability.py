"""What segments do in each state: the test of SEG.SEQ, SYNs, RSTs and ACKs (RFC 9293, 3.10.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script import PEER, PLAIN, PORT, Flow, Script, TcpPeer, resets
from support.world import World

from plait.host.events import Established, LossReason
from plait.host.settings import Settings
from plait.tcp.receiver import acceptable
from plait.tcp.state import State
from plait.units import SECOND
from plait.wire.segment import ACK, FIN, RST, SYN
from plait.wire.tcp_options import Mss, UnknownOption

# ---- the four cases of table 6

NXT = 1000

CASES = {
    "empty, no window, in place": (NXT, 0, 0, True),
    "empty, no window, before": (NXT - 1, 0, 0, False),
    "empty, no window, after": (NXT + 1, 0, 0, False),
    "empty, window, left edge": (NXT, 0, 10, True),
    "empty, window, last octet": (NXT + 9, 0, 10, True),
    "empty, window, right edge": (NXT + 10, 0, 10, False),
    "empty, window, before": (NXT - 1, 0, 10, False),
    "data, no window": (NXT, 1, 0, False),
    "data, window, in place": (NXT, 5, 10, True),
    "data, window, starts before": (NXT - 4, 5, 10, True),
    "data, window, all before": (NXT - 5, 5, 10, False),
    "data, window, last octet": (NXT + 9, 5, 10, True),
    "data, window, all beyond": (NXT + 10, 5, 10, False),
    "data around the window": (NXT - 5, 100, 10, False),
}


@pytest.mark.rfc("9293", "3.4", "B9293-03")
@pytest.mark.parametrize(("seq", "length", "window", "good"), CASES.values(), ids=CASES.keys())
def test_case(seq: int, length: int, window: int, good: bool) -> None:
    assert acceptable(seq, length, NXT, window) is good


@pytest.mark.rfc("9293", "3.4", "B9293-03")
@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 40))
def test_the_first_or_the_last_octet_must_lie_inside(seq: int, length: int, window: int) -> None:
    octets = range(seq, seq + max(length, 1))
    inside = range(window)
    assert acceptable(seq, length, 0, window) is (octets[0] in inside or octets[-1] in inside)


# ---- states


def in_state(state: State) -> tuple[TcpPeer, Flow]:
    """Return a connection in a synchronized state, 3 octets after its beginning both ways."""
    peer = TcpPeer(replace(PLAIN, retries=50))
    flow = peer.flow
    flow.send(ACK, b"abc")
    peer.script.write(peer.id, b"abc")
    flow.send(ACK)
    steps: dict[State, list[str]] = {
        State.ESTABLISHED: [],
        State.FIN_WAIT_1: ["close"],
        State.FIN_WAIT_2: ["close", "ack"],
        State.CLOSE_WAIT: ["fin"],
        State.CLOSING: ["close", "fin"],
        State.LAST_ACK: ["fin", "close"],
        State.TIME_WAIT: ["close", "ack", "fin"],
    }
    for step in steps[state]:
        if step == "close":
            peer.script.close(peer.id)
        else:
            acked = 5 if step == "ack" or state is State.TIME_WAIT else 4
            flow.send(FIN | ACK if step == "fin" else ACK, ack=acked)
    flow.rcv_nxt = max(4, 5 if state in {State.FIN_WAIT_2, State.TIME_WAIT} else 4)
    assert current(peer) is state
    return peer, flow


def current(peer: TcpPeer) -> State:
    if peer.flow.path.flow_out() in peer.script.host._time_wait:
        return State.TIME_WAIT
    entry = peer.script.host._connections.by_id.get(peer.id)
    return State.CLOSED if entry is None else entry.connection.subflows[0].tcp.state


SYNCHRONIZED: Final = [
    State.ESTABLISHED,
    State.FIN_WAIT_1,
    State.FIN_WAIT_2,
    State.CLOSE_WAIT,
    State.CLOSING,
    State.LAST_ACK,
    State.TIME_WAIT,
]
states = pytest.mark.parametrize("state", SYNCHRONIZED, ids=lambda state: state.value)


@pytest.mark.rfc("5961", "4.2", "B5961-02")
@pytest.mark.rfc("9293", "3.10.7.4", "B9293-02")
@states
@pytest.mark.parametrize("seq", [0, -5000])
def test_a_syn_is_challenged_and_changes_nothing(state: State, seq: int) -> None:
    peer, flow = in_state(state)
    (answer,) = flow.send(SYN, seq=seq)
    assert (answer.flags, flow.acked(answer)) == (ACK, flow.nxt)
    assert current(peer) is state


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-20")
@states
def test_nothing_is_answered_by_a_rst(state: State) -> None:
    peer, flow = in_state(state)
    for flags in (ACK, ACK | FIN, SYN | ACK, FIN, 0):
        for seq in (flow.nxt - 1, flow.nxt, flow.nxt + 5, flow.nxt + 100_000):
            assert not resets(flow.send(flags, seq=seq, ack=1 << 20))
    assert current(peer) is state


@pytest.mark.rfc("5961", "3.2", "B5961-01")
@pytest.mark.rfc("1337", "3", "B9293-13")
@states
def test_an_exact_rst_ends_all_but_time_wait(state: State) -> None:
    peer, flow = in_state(state)
    assert flow.send(RST) == []
    assert current(peer) is (State.TIME_WAIT if state is State.TIME_WAIT else State.CLOSED)


@pytest.mark.rfc("5961", "3.2", "B5961-01")
@states
@pytest.mark.parametrize("off", [-1, 1, 60_000])
def test_an_inexact_rst_ends_nothing(state: State, off: int) -> None:
    peer, flow = in_state(state)
    flow.send(RST, seq=flow.nxt + off)
    assert current(peer) is state


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-03")
@states
def test_an_unacceptable_segment_is_answered_and_ignored(state: State) -> None:
    peer, flow = in_state(state)
    (answer,) = flow.send(ACK, b"beyond", seq=flow.nxt + 100_000)
    assert (answer.flags, flow.acked(answer)) == (ACK, flow.nxt)
    assert current(peer) is state


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-03")
@pytest.mark.parametrize("flags", [0, FIN])
def test_a_segment_without_ack_is_dropped(flags: int) -> None:
    peer, flow = in_state(State.ESTABLISHED)
    flow.send(flags, b"no ACK")
    assert peer.script.read(peer.id) == b"abc"
    assert current(peer) is State.ESTABLISHED


# ---- SYN-RECEIVED


def half_open() -> tuple[Script, Flow]:
    script = Script(replace(PLAIN, syn_cookies="never"))
    script.host.listen(0, PORT)
    flow = script.flow()
    flow.send(SYN)
    return script, flow


RECEIVED = {
    "RST, exact": (RST, 1, 1, [], False),
    "RST, in the window": (RST, 5, 1, [ACK], True),
    "RST, outside": (RST, -5, 1, [], True),
    "SYN again": (SYN, 0, 0, [SYN | ACK], True),
    "SYN, another ISN": (SYN, 3, 0, [SYN | ACK], True),
    "SYN, older ISN": (SYN, -9, 0, [ACK], True),
    "ACK of nothing sent": (ACK, 1, 2, [RST], True),
    "no flags": (0, 1, 1, [], True),
}


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-02")
@pytest.mark.parametrize(
    ("flags", "seq", "ack", "answers", "remains"), RECEIVED.values(), ids=RECEIVED.keys()
)
def test_in_syn_received(flags: int, seq: int, ack: int, answers: list[int], remains: bool) -> None:
    script, flow = half_open()
    assert [one.flags for one in flow.send(flags, seq=seq, ack=ack)] == answers
    assert bool(script.host._connections.by_id) is remains
    assert script.events == []


# ---- simultaneous open


def crossing(settings: Settings = PLAIN) -> tuple[Script, Flow]:
    """Return a host in SYN-RECEIVED whose SYN met another."""
    script = Script(settings)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    flow = script.flows[syn.flow]
    (answer,) = flow.send(SYN, options=[Mss(1000)])
    assert (answer.flags, answer.seq, flow.acked(answer)) == (SYN | ACK, syn.seq, 1)
    return script, flow


@pytest.mark.rfc("9293", "3.5", "B9293-02")
@pytest.mark.parametrize("flags", [ACK, SYN | ACK])
def test_either_answer_completes_a_crossing(flags: int) -> None:
    script, flow = crossing()
    flow.send(flags, seq=0 if flags & SYN else 1)
    assert script.heard(Established) == [Established(1)]
    tcp = script.connection(1).subflows[0].tcp
    assert (tcp.state, tcp.sender.mss) == (State.ESTABLISHED, 1000)


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-02")
def test_a_rst_then_means_refused() -> None:
    script, flow = crossing()
    flow.send(RST, seq=1)
    assert script.endings() == [LossReason.REFUSED]


@pytest.mark.rfc("9293", "3.5", "B9293-02")
@pytest.mark.parametrize("options", ["MPTCP", "TCP"])
def test_two_hosts_whose_syns_cross(options: str) -> None:
    settings = Settings(mptcp=options == "MPTCP", fast_open="both")
    world = World(settings)
    near, far = world.initiator, world.listener
    far.host.close_listener(0, 1)
    here, there = near.line.addresses[0], far.line.addresses[0]
    near.connection_id = near.host.connect(0, there, 700, local=here, local_port=700, data=b"early")
    far.connection_id = far.host.connect(0, here, 700, local=there, local_port=700, data=b"bird")
    near.to_send = far.to_send = bytes(100_000)
    world.run(300 * SECOND)
    assert bytes(far.received) == b"early" + bytes(100_000)
    assert bytes(near.received) == b"bird" + bytes(100_000)
    counts = [end.host.counters.simult_connect_fallback for end in world.ends]
    assert counts == [int(options == "MPTCP")] * 2
    assert all(end.empty for end in world.ends)


# ---- a peer that forgot


@pytest.mark.rfc("9293", "3.5.1", "B9293-02")
def test_a_half_open_connection_is_discovered_and_replaced() -> None:
    peer = TcpPeer()
    flow = peer.flow
    (challenge,) = flow.send(SYN, seq=-100_000)
    assert (challenge.flags, current(peer)) == (ACK, State.ESTABLISHED)
    reset = flow.segment(RST, seq=1)
    reset.seq = challenge.ack
    peer.script.receive([reset])
    assert peer.script.endings() == [LossReason.RESET]
    (answer,) = flow.send(SYN, seq=-100_000)
    assert answer.flags == SYN | ACK


# ---- segment sizes

SIZES = {"none": (None, 536), "0": (0, 88), "1": (1, 88), "536": (536, 536), "65535": (65535, 1460)}


@pytest.mark.rfc("9293", "3.7.1", "B9293-05")
@pytest.mark.parametrize(("announced", "used"), SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("passive", [True, False])
def test_segment_sizes(announced: int | None, used: int, passive: bool) -> None:
    options = [] if announced is None else [Mss(announced)]
    peer = TcpPeer(passive=passive, options=options)
    sent = peer.script.write(peer.id, bytes(4000))
    assert max(one.length for one in sent) == used


@pytest.mark.rfc("9293", "3.1", "B9293-04")
def test_unknown_options_on_a_syn_are_skipped() -> None:
    peer = TcpPeer(options=[UnknownOption(77, b"what"), Mss(999)])
    assert max(one.length for one in peer.script.write(peer.id, bytes(4000))) == 999

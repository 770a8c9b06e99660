"""Blind attackers off the path: whatever they send needs both numbers of its subflow right."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from support.attack import ATTACKER, MESH, advertised, state, unharmed
from support.script import UNCHECKED, MpPeer
from support.world import World

from plait.host.settings import Settings
from plait.units import SECOND
from plait.wire.mptcp.dss import MAPPING, NO_CHECKSUM, Dss
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.option import Option
from plait.wire.segment import ACK, FIN, RST, Segment
from plait.wire.seq import wrap64

Blow = tuple[int, bytes, Dss | None, tuple[Option, ...]]
"""Flags, payload, DSS and options: all that lies above the numbers of the subflow."""


def mapped(peer: MpPeer) -> Blow:
    return ACK, b"forged", peer.dss(1, peer.first.nxt, b"forged"), ()


def data_fin(peer: MpPeer) -> Blow:
    return ACK, b"", peer.dss(1, 0, b"", fin=True), ()


def data_ack(peer: MpPeer) -> Blow:
    option = peer.ack()
    option.data_ack = wrap64(7, peer.keys.remote_idsn)
    return ACK, b"", option, ()


def infinite(_: MpPeer) -> Blow:
    return ACK, b"", Dss(MAPPING, 0, 0, 0, 0, NO_CHECKSUM), ()


def address(peer: MpPeer) -> Blow:
    return ACK, b"", None, (advertised(peer, ATTACKER),)


def fast_close(peer: MpPeer) -> Blow:
    return ACK, b"", None, (MpFastclose(peer.keys.remote),)


def plain(flags: int, *options: Option) -> Callable[[MpPeer], Blow]:
    return lambda _: (flags, b"", None, options)


BLOWS: dict[str, Callable[[MpPeer], Blow]] = {
    "data": mapped,
    "DATA_FIN": data_fin,
    "Data ACK": data_ack,
    "infinite mapping": infinite,
    "ADD_ADDR": address,
    "REMOVE_ADDR": plain(ACK, RemoveAddr((0,))),
    "MP_PRIO": plain(ACK, MpPrio(backup=True)),
    "MP_FAIL": plain(ACK, MpFail(0)),
    "MP_FASTCLOSE": fast_close,
    "FIN": plain(ACK | FIN),
}
"""Each with all secrets of the data level, so that nothing but the subflow's numbers is missing."""

GUESSES = {"right": (0, 0), "seq": (1 << 24, 0), "ack": (0, 1 << 24), "old ack": (0, -(1 << 24))}


def strike(peer: MpPeer, blow: Blow, seq: int, ack: int) -> list[Segment]:
    """Send it with numbers that are wrong by so much."""
    flags, data, dss, options = blow
    first = peer.first
    made = first.segment(flags, data, seq=first.nxt, ack=first.rcv_nxt, dss=dss, options=options)
    first.nxt -= len(data) + bool(flags & FIN)  # the peer did not send it
    made.seq = (made.seq + seq) % (1 << 32)
    made.ack = (made.ack + ack) % (1 << 32)
    return peer.script.receive([made])


@pytest.mark.rfc("6181", "5", "T-6181-8")
@pytest.mark.rfc("7430", "2", "T-7430-1")
@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize("name", BLOWS)
def test_options_need_the_numbers_of_the_subflow(name: str, guess: str) -> None:
    peer = MpPeer(MESH)
    peer.script.write(peer.id, b"six...")
    before = state(peer)
    answers = strike(peer, BLOWS[name](peer), *GUESSES[guess])
    if guess == "right":
        assert state(peer) != before
        return
    assert state(peer) == before
    assert len(answers) <= 1
    counted = peer.script.host.counters.tcp_challenge_ack
    assert counted == (0 if guess == "seq" and name in {"data", "FIN"} else 1)
    peer.acked = 7
    peer.first.send(dss=peer.ack())
    assert unharmed(peer)


@pytest.mark.rfc("6181", "5", "T-6181-8")
@pytest.mark.rfc("5961", "3", "B5961-01")
@pytest.mark.parametrize("option", [None, MpTcprst(1), "MP_FASTCLOSE"])
@pytest.mark.parametrize(("seq", "ends"), [(0, True), (1, False), (1 << 24, False)])
def test_a_rst_needs_the_very_next_number(option: object, seq: int, ends: bool) -> None:
    peer = MpPeer(UNCHECKED)
    before = state(peer)
    chosen = MpFastclose(peer.keys.remote) if option == "MP_FASTCLOSE" else option
    options = (chosen,) if isinstance(chosen, Option) else ()
    strike(peer, (RST | ACK, b"", None, options), seq, 0)
    counters = peer.script.host.counters
    assert (state(peer) == before) != ends
    assert counters.estab_resets == ends
    assert counters.mp_rst_rx + counters.mp_fastclose_rx == (ends and bool(options))
    assert counters.tcp_challenge_ack == (seq == 1)
    if not ends:
        assert unharmed(peer)


@pytest.mark.rfc("6181", "5", "T-6181-8")
def test_a_thousand_guesses_bring_two_answers_a_second_at_most() -> None:
    peer = MpPeer(UNCHECKED)
    answers: list[Segment] = []
    for number in range(1000):
        peer.script.now += SECOND // 100
        answers += strike(peer, (ACK, b"", None, (MpPrio(backup=True),)), (number + 1) << 20, 0)
    assert 10 <= len(answers) <= 20
    assert len(answers) == peer.script.host.counters.tcp_challenge_ack
    assert unharmed(peer)


@pytest.mark.rfc("7430", "2", "T-7430-1")
def test_first_numbers_and_ports_are_not_to_be_guessed() -> None:
    """Ports are drawn and ISNs hashed, so that who knows one connection knows no other."""
    world = World(Settings(path_manager="default"))
    for _ in range(40):
        world.connect()
    world.run(SECOND)
    syns = [one for _, one in world.initiator.line.sent if not one.flags & ACK]
    ports = [int.from_bytes(one.flow[8:10], "big") for one in syns]
    numbers = [one.seq for one in syns]
    steps = {(after - before) % (1 << 32) for before, after in pairwise(numbers)}
    assert len(set(ports)) == len(syns) == 40
    assert max(ports) - min(ports) > 4000
    assert len(steps) == 39
    assert max(steps) > 1 << 30

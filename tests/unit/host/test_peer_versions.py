"""Remembering which peers speak version 0 only (RFC 8684, 3.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script import KEY, PEER, PEER_2, PORT, UNCHECKED, Script
from support.world import World

from plait.addresses import Path
from plait.host.peer_versions import LIFE, PeerVersions
from plait.host.settings import Settings
from plait.mptcp.handshake import SERVED
from plait.units import SECOND
from plait.wire.mptcp.mp_capable import MpCapableSyn, MpCapableSynAck
from plait.wire.option import Option
from plait.wire.segment import ACK, RST, SYN

BOTH = replace(UNCHECKED, mptcp_versions="both")
PLAIN: list[Option] = []
V0_ANSWER: list[Option] = [MpCapableSynAck(version=0, sender_key=KEY)]
V1_ANSWER: list[Option] = [MpCapableSynAck(version=1, sender_key=KEY)]


class Initiator:
    """A host that connects again and again."""

    def __init__(self, settings: Settings = BOTH) -> None:
        self.script = Script(settings)

    def offers(self, answer: list[Option], *, port: int = PORT) -> int:
        """Return the version that a new connection offers, and answer its SYN."""
        script = self.script
        connection_id = script.host.connect(script.now, PEER, port)
        (syn,) = script.turn()
        found = [one for one in syn.options if isinstance(one, MpCapableSyn | MpCapableSynAck)]
        flow = script.flows[syn.flow]
        flow.send(SYN | ACK, options=answer)
        flow.send(RST)
        assert connection_id
        return found[0].version


HISTORIES = {
    "version 1 is answered": ([V1_ANSWER, V1_ANSWER], [1, 1]),
    "it is not, version 0 is": ([PLAIN, V0_ANSWER, V0_ANSWER], [1, 0, 0]),
    "version 0 answers an offer of version 1": ([V0_ANSWER, V0_ANSWER], [1, 0]),
    "neither is": ([PLAIN, PLAIN, PLAIN], [1, 0, 1]),
    "the peer learned version 1": ([PLAIN, PLAIN, V1_ANSWER, V1_ANSWER], [1, 0, 1, 1]),
}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-05")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-06")
@pytest.mark.parametrize(("answers", "offered"), HISTORIES.values(), ids=HISTORIES.keys())
def test_what_is_offered_after_what_was_answered(
    answers: list[list[Option]], offered: list[int]
) -> None:
    initiator = Initiator()
    assert [initiator.offers(answer) for answer in answers] == offered


@pytest.mark.parametrize("name", ["v1", "v0"])
def test_a_host_of_one_version_learns_nothing(name: str) -> None:
    initiator = Initiator(replace(BOTH, mptcp_versions=name))
    assert len({initiator.offers(PLAIN) for _ in range(3)}) == 1
    assert len(initiator.script.host._opener._peers) == 0


def test_another_port_is_another_peer() -> None:
    initiator = Initiator()
    assert initiator.offers(PLAIN) == 1
    assert initiator.offers(PLAIN, port=PORT + 1) == 1
    assert initiator.offers(V0_ANSWER) == 0


@pytest.mark.parametrize(("later", "offered"), [(LIFE - 1, 0), (LIFE, 1)])
def test_what_is_known_ages(later: int, offered: int) -> None:
    initiator = Initiator()
    initiator.offers(PLAIN)
    initiator.script.wait(later)
    assert initiator.offers(PLAIN) == offered


def test_the_first_one_told_is_forgotten_first() -> None:
    initiator = Initiator(replace(BOTH, peer_version_cache=2))
    for port in (1, 2, 3):
        initiator.offers(PLAIN, port=port)
    assert len(initiator.script.host._opener._peers) == 2
    assert [initiator.offers(V0_ANSWER, port=port) for port in (3, 2, 1)] == [0, 0, 1]


@given(name=st.sampled_from(list(SERVED)), now=st.integers(0, 1 << 60))
def test_nobody_unknown_is_offered_anything_but_the_first(name: str, now: int) -> None:
    path = Path(PEER, 1, PEER_2, 2)
    assert PeerVersions(1).choose(now, path, SERVED[name]) is SERVED[name][0]


def test_the_second_connection_to_a_version_0_listener_is_of_version_0() -> None:
    world = World(Settings(mptcp_versions="both"), Settings(mptcp_versions="v0"))
    versions = []
    for _ in range(2):
        for end in world.ends:
            end.finish = False
        world.connect()
        world.run(SECOND)
        versions.append(world.initiator.host.info(world.initiator.connection_id).version)
    assert versions == [None, 0]

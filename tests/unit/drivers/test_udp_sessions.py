"""Sessions between ends that have no socket: all they say is moved by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.udp_network import SECRET, SERVER, START, End, Network, connected, flow

from plait.drivers.udp import cookies, initiating, responding, table
from plait.drivers.udp.format import (
    CHALLENGE,
    CLOSE,
    CONTROL_OCTETS,
    INIT,
    PROOF,
    Control,
    is_control,
    keep_alive,
)
from plait.drivers.udp.session import MAX_HELD, SILENCE, Outer
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.segment import ACK, SYN, Segment


def test_the_handshake_takes_four_messages_and_releases_what_waited() -> None:
    network, client, server = connected()
    kinds = [octets[5] if is_control(octets) else 0 for _, _, octets in network.log]
    assert kinds == [1, 2, 3, 4, 0]
    assert client.live[0].remote_id == server.live[0].local_id
    assert server.live[0].remote_id == client.live[0].local_id
    assert server.arrived == [("10.0.0.1", b"\1\2\3\4" + b"held".ljust(60))]
    assert client.counters.opened == server.counters.opened == 1


def test_answers_use_the_address_that_the_peer_was_given() -> None:
    _, client, server = connected()
    server.send(b"back", flow(SERVER[0], "10.0.0.1"))
    assert client.arrived == [(SERVER[0], b"\1\2\3\4" + b"back".ljust(60))]


def test_another_secret_is_silence_without_a_trace() -> None:
    network = Network()
    server = End(network, SERVER, 0)
    stranger = End(network, ("10.0.0.9", 4000), 9, b"not the same one")
    stranger.send(b"", flow("10.0.0.9", SERVER[0]), SYN)
    network.wait(70 * SECOND)
    assert server.live == []
    assert server.counters.strange == server.counters.strange > 5
    assert {destination for _, destination, _ in network.log} == {SERVER}
    assert stranger.counters.unanswered == 1
    assert stranger.counters.dropped == 1
    assert stranger.live == []


STRANGERS = {
    "nothing": b"",
    "one octet": b"\0",
    "control of another secret": Control(type=INIT, initiator_id=b"initiate").serialize(b"x" * 16),
    "data of nobody": b"nobody's" + bytes(100),
    "keep-alive of nobody": keep_alive(b"nobody's"),
    "proof of a cookie made up": Control(
        type=PROOF, initiator_id=b"initiate", body=b"made up and long"
    ).serialize(SECRET),
    "challenge unasked": Control(type=CHALLENGE, initiator_id=b"initiate").serialize(SECRET),
}


@pytest.mark.parametrize("octets", STRANGERS.values(), ids=STRANGERS.keys())
def test_strangers_get_no_answer_and_leave_nothing_but_a_count(octets: bytes) -> None:
    server = End(Network(), SERVER, 0)
    assert server.take(octets, ("10.9.9.9", 9)) == []
    assert server.live == []
    counters = server.counters
    assert counters.strange + counters.unknown + counters.stale == 1


def test_init_alone_leaves_nothing() -> None:
    server = End(Network(), SERVER, 0)
    octets = Control(type=INIT, initiator_id=b"initiate").serialize(SECRET)
    for port in range(1, 100):
        ((answer, outer),) = server.take(octets, ("10.9.9.9", port))
        assert len(answer) == len(octets)
        assert outer == ("10.9.9.9", port)
    assert server.live == []


@given(
    octets=st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda kind, known, body: Control(type=kind, initiator_id=known, body=body).serialize(
                SECRET
            ),
            st.integers(1, 5),
            st.sampled_from([b"initiate", b"known...", b"anotherx"]),
            st.binary(min_size=16, max_size=16),
        ),
        st.builds(lambda rest: b"KNOWN" + rest, st.binary(max_size=200)),
    ),
    port=st.sampled_from([4000, 4001]),
)
@settings(max_examples=200)
def test_no_answer_is_longer_than_the_question(octets: bytes, port: int) -> None:
    _, _, server = connected()
    if octets.startswith(b"KNOWN"):
        octets = server.live[0].local_id + octets[5:]
    answers = server.take(octets, ("10.0.0.1", port))
    assert sum(len(answer) for answer, _ in answers) <= len(octets)
    assert len(server.live) == 1


@pytest.mark.parametrize("lost", range(4), ids=["INIT", "CHALLENGE", "PROOF", "ACCEPT"])
def test_a_lost_message_is_repaired_after_250_ms_and_makes_one_session(lost: int) -> None:
    network = Network()
    server = End(network, SERVER, 0)
    client = End(network, ("10.0.0.1", 4000), 1)

    network.lose = lambda octets: (
        network.now == START and is_control(octets) and octets[5] == lost + 1
    )
    client.send(b"", flow("10.0.0.1", SERVER[0]), SYN)
    assert server.arrived == []
    network.wait(249 * MILLISECOND)
    assert server.arrived == []
    network.wait(2 * MILLISECOND)
    assert len(server.arrived) == 1
    assert len(server.live) == len(client.live) == 1


@given(
    plays=st.lists(
        st.tuples(
            st.integers(0, 1 << 16),
            st.booleans(),
            st.sampled_from([0, MILLISECOND, SECOND, 20 * SECOND, 300 * SECOND]),
        ),
        max_size=40,
    )
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_repeated_never_reaches_a_wrong_connection(
    plays: list[tuple[int, bool, Nanos]],
) -> None:
    """Three clients, one of which has closed; all datagrams again, in any order, from anywhere."""
    network = Network()
    server = End(network, SERVER, 0)
    clients = [End(network, (f"10.0.0.{n}", 4000), n) for n in (1, 2, 3)]
    for client in clients:
        for number in range(3):
            data = f"{client.local} {number}".encode()
            flags = SYN if number == 0 else ACK
            client.send(data, flow(str(client.local), SERVER[0]), flags)
    clients[0].sessions.close()
    network.carry()
    recorded = [(source, octets) for source, to, octets in network.log if to == SERVER]
    truth = {client.live[0].initiator_id: client.outer for client in clients[1:]}
    assert len(server.live) == 2
    for index, spoofed, span in plays:
        network.now += span
        source, octets = recorded[index % len(recorded)]
        server.take(octets, source if spoofed else ("10.6.6.6", 666))
    for session in server.live:
        assert session.outer == truth[session.initiator_id]
    for remote, data in server.arrived:
        text = data[4:].strip()
        assert text == b"held" or text.startswith(remote.encode())


def test_a_proof_that_is_replayed_later_changes_nothing() -> None:
    network, _, server = connected()
    proof = next(octets for _, _, octets in network.log if octets[5] == PROOF)
    before = server.live[0].local_id
    assert len(server.take(proof, ("10.0.0.1", 4000))) == 1  # its ACCEPT may have been lost
    assert server.take(proof, ("10.6.6.6", 4000)) == []
    network.now += cookies.LIFETIME
    assert server.take(proof, ("10.0.0.1", 4000)) == []
    assert [session.local_id for session in server.live] == [before]


ELSEWHERE = {
    "another port": (b"initiate", b"a nonce.", ("10.0.0.1", 4001)),
    "another address": (b"initiate", b"a nonce.", ("10.0.0.2", 4000)),
    "another session": (b"anotherx", b"a nonce.", ("10.0.0.1", 4000)),
    "another nonce": (b"initiate", b"anotherx", ("10.0.0.1", 4000)),
}


@pytest.mark.parametrize(
    ("initiator_id", "nonce", "source"), ELSEWHERE.values(), ids=ELSEWHERE.keys()
)
def test_a_cookie_is_good_where_it_was_sent_and_for_what(
    initiator_id: bytes, nonce: bytes, source: Outer
) -> None:
    server = End(Network(), SERVER, 0)
    asking = Control(type=INIT, initiator_id=b"initiate", nonce=b"a nonce.")
    ((challenge, home),) = server.take(asking.serialize(SECRET), ("10.0.0.1", 4000))
    cookie = Control.parse(challenge, SECRET).body
    stolen = Control(type=PROOF, initiator_id=initiator_id, nonce=nonce, body=cookie)
    assert server.take(stolen.serialize(SECRET), source) == []
    assert server.live == []
    honest = Control(type=PROOF, initiator_id=b"initiate", nonce=b"a nonce.", body=cookie)
    assert len(server.take(honest.serialize(SECRET), home)) == 1
    assert len(server.live) == 1


def test_spent_cookies_are_bounded_and_full_means_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cookies, "MAX_SPENT", 2)
    network = Network()
    server = End(network, SERVER, 0)
    for number in (1, 2, 3):
        client = End(network, (f"10.0.0.{number}", 4000), number)
        client.send(b"", flow(f"10.0.0.{number}", SERVER[0]), SYN)
    assert len(server.live) == 2
    assert server.counters.refused == 1
    network.wait(2 * cookies.LIFETIME)
    assert len(server.live) == 3


def test_data_from_elsewhere_moves_the_session_once_it_is_proved() -> None:
    network, client, server = connected()
    network.nat[client.outer] = ("198.51.100.7", 61000)
    server.arrived.clear()
    client.send(b"lost", flow("10.0.0.1", SERVER[0]))
    assert server.arrived == []
    assert server.live[0].outer == ("198.51.100.7", 61000)
    assert server.counters.moved == server.counters.misaddressed == 1
    client.send(b"after", flow("10.0.0.1", SERVER[0]))
    assert [remote for remote, _ in server.arrived] == ["10.0.0.1"]
    server.send(b"back", flow(SERVER[0], "10.0.0.1"))
    assert client.arrived[-1][1][4:].strip() == b"back"


def test_a_copy_of_the_id_moves_nothing_and_is_asked_seldom() -> None:
    network, _, server = connected()
    copied = server.live[0].local_id + bytes(range(1, 100))
    asked = 0
    for _ in range(100):
        network.now += MILLISECOND
        asked += len(server.take(copied, ("10.6.6.6", 666)))
    assert asked == 100 * MILLISECOND // responding.CHALLENGE_INTERVAL
    assert server.live[0].outer == ("10.0.0.1", 4000)


def test_a_short_datagram_from_elsewhere_is_only_counted() -> None:
    _, _, server = connected()
    short = server.live[0].local_id + b"x" * (CONTROL_OCTETS - 9)
    assert server.take(short, ("10.6.6.6", 666)) == []
    assert server.counters.misaddressed == 1


def test_two_clients_behind_one_nat_get_addresses_of_their_own() -> None:
    network = Network()
    server = End(network, SERVER, 0)
    for number, port in ((1, 61001), (2, 61002)):
        client = End(network, (f"10.0.0.{number}", 4000), number)
        network.nat[client.outer] = ("198.51.100.7", port)
        client.send(b"", flow(f"10.0.0.{number}", SERVER[0]), SYN)
    first, second = server.live
    assert str(first.remote) == "198.51.100.7"
    assert second.remote in table.VIRTUAL_V4
    server.send(b"second", flow(SERVER[0], str(second.remote)))
    assert [end.counters.opened for end in network.ends.values()] == [2, 1, 1]
    assert network.ends["10.0.0.2", 4000].arrived[-1][1][4:].strip() == b"second"
    assert network.ends["10.0.0.1", 4000].arrived == []


@pytest.mark.parametrize("host", ["240.1.2.3", SERVER[0]], ids=["virtual", "our own"])
def test_an_address_that_cannot_be_a_peers_is_replaced(host: str) -> None:
    server = End(Network(), SERVER, 0)
    given = server.sessions.table.inner_address((host, 4000))
    assert given in table.VIRTUAL_V4
    assert str(given) != host


def test_both_may_call_each_other_at_once() -> None:
    network = Network()
    one = End(network, ("192.0.2.1", 8684), 1)
    other = End(network, ("192.0.2.2", 8684), 2)
    for here, there in ((one, other), (other, one)):
        segment = Segment(flow(str(here.local), str(there.local)), 1, 0, SYN, 1)
        here.sessions.towards(network.now, segment, there.local.packed)
    network.carry()
    for here, there in ((one, other), (other, one)):
        assert len(here.live) == 2
        assert sum(session.remote == there.local for session in here.live) == 1


def test_only_a_syn_opens_a_session() -> None:
    network = Network()
    client = End(network, ("10.0.0.1", 4000), 1)
    client.send(b"", flow("10.0.0.1", SERVER[0]), ACK)
    client.send(b"", flow("10.0.0.1", "240.1.2.3"), SYN)
    assert client.live == []
    assert client.counters.dropped == 2


def test_little_is_held_back_for_a_silent_peer() -> None:
    network = Network()
    client = End(network, ("10.0.0.1", 4000), 1)
    for _ in range(MAX_HELD + 3):
        client.send(b"", flow("10.0.0.1", SERVER[0]), SYN)
    assert len(client.live[0].held) == MAX_HELD
    assert client.counters.dropped == 3


def test_only_so_many_peers_are_called_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initiating, "MAX_OPENING", 2)
    network = Network()
    client = End(network, ("10.0.0.1", 4000), 1)
    for number in range(1, 5):
        client.send(b"", flow("10.0.0.1", f"192.0.2.{number}"), SYN)
    assert [str(session.remote) for session in client.live] == ["192.0.2.3", "192.0.2.4"]
    assert client.counters.unanswered == 2


def test_a_full_table_drops_who_is_silent_and_refuses_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "MAX_SESSIONS", 1)
    network, first, server = connected()
    second = End(network, ("10.0.0.2", 4000), 2)
    second.send(b"", flow("10.0.0.2", SERVER[0]), SYN)
    assert [str(session.remote) for session in server.live] == ["10.0.0.1"]
    assert server.counters.refused == 1
    del network.ends[first.outer]  # silent from now on
    network.wait(PATIENT)
    second.send(b"", flow("10.0.0.2", SERVER[0]), SYN)
    network.wait(10 * SECOND)
    assert [str(session.remote) for session in server.live] == ["10.0.0.2"]


PATIENT = table.IDLE + initiating.PATIENCE


def test_an_idle_session_is_kept_alive_and_answers_are_counted_as_life() -> None:
    network, client, server = connected()
    network.wait(20 * 60 * SECOND)
    assert len(server.live) == len(client.live) == 1
    assert client.counters.keep_alives == pytest.approx(20 * 60 / 15, abs=2)
    assert client.counters.renewed == 0


def test_a_session_that_nobody_uses_ends_after_two_hours() -> None:
    network, client, server = connected()
    network.wait(initiating.UNUSED + 20 * SECOND)
    assert client.live == []
    network.wait(SILENCE + 61 * SECOND)
    assert server.live == []


def test_silence_after_data_is_noticed_within_a_second() -> None:
    network, client, server = connected()
    network.wait(5 * SECOND)
    client.send(b"acknowledgment", flow("10.0.0.1", SERVER[0]))
    network.nat[client.outer] = ("198.51.100.7", 61000)  # and what the server sends is lost
    network.wait(SECOND - MILLISECOND)
    assert server.counters.moved == 0
    network.wait(2 * MILLISECOND)
    assert server.counters.moved == 1
    assert server.live[0].outer == ("198.51.100.7", 61000)


def test_a_responder_that_forgot_is_asked_again() -> None:
    network, client, _ = connected()
    again = End(network, SERVER, 77)
    client.send(b"x", flow("10.0.0.1", SERVER[0]))
    assert again.counters.unknown == 1
    network.wait(20 * SECOND)
    assert client.counters.renewed == 1
    assert client.live[0].remote_id == again.live[0].local_id
    client.send(b"y", flow("10.0.0.1", SERVER[0]))
    assert [remote for remote, _ in again.arrived] == ["10.0.0.1"]


def test_an_outage_keeps_session_and_addresses() -> None:
    network, client, server = connected()
    before = client.live[0].remote_id
    network.lose = lambda _: True
    client.send(b"x", flow("10.0.0.1", SERVER[0]))
    network.wait(60 * SECOND)
    network.lose = lambda _: False
    network.wait(10 * SECOND)
    assert client.live[0].remote_id == before
    assert client.counters.renewed == server.counters.renewed == 1
    assert [str(session.remote) for session in server.live] == ["10.0.0.1"]


def test_an_end_that_is_told_from_elsewhere_is_none() -> None:
    _, client, _ = connected()
    told = client.live[0]
    body = told.local_id + bytes(8)
    octets = Control(type=CLOSE, initiator_id=told.initiator_id, body=body).serialize(SECRET)
    assert client.take(octets, ("10.6.6.6", 666)) == []
    assert client.live == [told]
    assert client.counters.stale == 1
    assert client.take(octets, SERVER) == []
    assert client.live == []


def test_a_session_outlives_a_stop_of_its_program() -> None:
    """Ctrl-Z and `fg`: a silence that nobody was asked about ends nothing."""
    network, client, server = connected()
    stopped = network.ends.pop(client.outer)
    network.wait(SILENCE + 100 * SECOND)
    assert server.live == []
    network.ends[client.outer] = stopped
    network.wait(20 * SECOND)
    assert [(str(one.remote), one.outer) for one in server.live] == [("10.0.0.1", client.outer)]
    client.send(b"x", flow("10.0.0.1", SERVER[0]))
    assert server.arrived[-1][0] == "10.0.0.1"


def test_a_peer_that_does_not_come_back_is_given_up() -> None:
    network, client, server = connected()
    del network.ends[server.outer]
    network.wait(SILENCE + 20 * SECOND)
    assert client.live == []
    assert client.counters.closed == 1


def test_who_leaves_says_so() -> None:
    network, client, server = connected()
    client.sessions.close()
    network.carry()
    assert server.live == []
    assert server.counters.closed == 1
    assert [notice.what for notice in server.sessions.table.notices] == ["opened", "closed"]

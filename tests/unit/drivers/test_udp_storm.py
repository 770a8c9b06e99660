"""Recorded datagrams come again: late, twice, cut, changed and from elsewhere, amid restarts."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from support.udp_network import SERVER, End, Network, flow

from plait.drivers.udp.format import CONTROL_OCTETS, ID_OCTETS, MARKER, is_control
from plait.drivers.udp.session import Outer
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.segment import SYN

NAT: Final = "198.51.100.7"
STRANGER: Outer = ("10.6.6.6", 666)
TEXT: Final = slice(ID_OCTETS + 4, ID_OCTETS + 4 + 2 * ID_OCTETS)
_OPENING: Final = frozenset({b"", b"held"})

whole = st.builds(lambda: lambda octets: octets)
cut = st.builds(lambda most: lambda octets: octets[:most], st.integers(0, 55))
longer = st.builds(lambda tail: lambda octets: octets + tail, st.binary(min_size=1, max_size=60))
flipped = st.builds(
    lambda at, bit: lambda octets: _flip(octets, at, bit),
    st.integers(0, 1 << 10),
    st.integers(0, 7),
)
client = st.integers(0, 2)
span = st.sampled_from([0, MILLISECOND, SECOND, 11 * SECOND, 70 * SECOND, 700 * SECOND])
action = st.one_of(
    st.tuples(st.just("call"), client),
    st.tuples(st.just("answer")),
    st.tuples(
        st.just("play"),
        st.integers(0, 1 << 16),
        st.one_of(whole, cut, longer, flipped),
        st.sampled_from(["itself", "a stranger", "a neighbor"]),
    ),
    st.tuples(st.just("rebind"), client),
    st.tuples(st.just("leave"), client, st.booleans()),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("wait"), span),
    st.tuples(st.just("jump"), span),
)


def _flip(octets: bytes, at: int, bit: int) -> bytes:
    """Change one bit of a control message, or of the id before data."""
    if not octets:
        return octets
    at %= len(octets) if is_control(octets) else min(len(octets), ID_OCTETS)
    return octets[:at] + bytes((octets[at] ^ 1 << bit,)) + octets[at + 1 :]


class Storm:
    """A server and three clients, two of them behind one NAT."""

    def __init__(self) -> None:
        self.network = Network()
        self.ends = 0
        self.called: set[bytes] = set()
        self.ports = 61_000
        self.server = self._make(SERVER)
        self.clients = [self._make((f"10.0.0.{number}", 4000)) for number in (1, 2, 3)]
        self.rebind(0)
        self.rebind(1)

    def call(self, number: int) -> None:
        """Have a client send data that names its session, or open one."""
        end = self.clients[number]
        proved = [one for one in end.live if one.remote_id]
        towards = flow(str(end.local), SERVER[0])
        if proved:
            end.send(proved[0].initiator_id.hex().encode(), towards)
        else:
            end.send(b"", towards, SYN)
        self.called |= {one.local_id for one in end.live}

    def answer(self) -> None:
        """Have the server send data that names its session to every peer."""
        for one in self.server.live:
            self.server.send(one.initiator_id.hex().encode(), flow(SERVER[0], str(one.remote)))

    def play(self, index: int, change: Callable[[bytes], bytes], origin: str) -> None:
        """Deliver something that passed before, in whatever shape, from wherever."""
        if not self.network.log:
            return
        source, to, recorded = self.network.log[index % len(self.network.log)]
        octets = change(recorded)
        source = {"a stranger": STRANGER, "a neighbor": (NAT, 60_999)}.get(origin, source)
        inside = {seen: real for real, seen in self.network.nat.items()}
        end = self.network.ends.get(inside.get(to, to))
        if end is None:
            return
        known = len(end.live)
        answers = end.take(octets, source)
        assert sum(len(answer) for answer, _ in answers) <= len(octets)
        if octets != recorded and octets.startswith(MARKER):
            assert answers == []
            assert len(end.live) == known
        for answer, outer in answers:
            assert len(answer) == CONTROL_OCTETS
            self.network.pass_on(end, answer, outer)

    def rebind(self, number: int) -> None:
        """Have the NAT forget a client, and see it anew."""
        self.ports += 1
        self.network.nat[self.clients[number].outer] = (NAT, self.ports)

    def leave(self, number: int, orderly: bool) -> None:
        """End a client, which another one follows at the same address."""
        self._end(self.clients[number], orderly=orderly)
        self.clients[number] = self._make(self.clients[number].outer)

    def restart(self, orderly: bool) -> None:
        """End the server and start it again."""
        self._end(self.server, orderly=orderly)
        self.server = self._make(SERVER)

    def wait(self, time: Nanos) -> None:
        """Let time pass."""
        self.network.wait(time)

    def jump(self, time: Nanos) -> None:
        """Let time pass without anybody noticing, as a machine that is suspended does."""
        self.network.now += time

    def check(self) -> None:
        """Nothing reached a wrong session, and every table is in order."""
        for end in (self.server, *self.clients):
            for (_, data), origin in zip(end.arrived, end.origins, strict=True):
                text = (bytes(ID_OCTETS) + data)[TEXT].strip()
                assert text in _OPENING or origin.hex().encode().startswith(text)
            table = end.sessions.table
            assert len(end.live) == len(table.by_remote) == len(table._by_initiator)
            assert len({one.remote for one in end.live}) == len(end.live)
            for one in end.live:
                assert table.by_remote[one.remote.packed] is one
                assert table.of_initiator(one.initiator_id) is one
        assert {one.initiator_id for one in self.server.live} <= self.called
        assert all(one.outer != STRANGER for one in self.server.live)

    def _make(self, outer: Outer) -> End:
        self.ends += 1
        return End(self.network, outer, self.ends)

    def _end(self, end: End, *, orderly: bool) -> None:
        if orderly:
            end.sessions.close()
            self.network.carry(end)
        del self.network.ends[end.outer]


@given(actions=st.lists(action, max_size=30))
@settings(max_examples=250, deadline=None)
def test_no_storm_mixes_sessions_up_or_keeps_anybody_out(actions: list[tuple[Any, ...]]) -> None:
    storm = Storm()
    for number in range(3):
        storm.call(number)
    for name, *arguments in actions:
        getattr(storm, name)(*arguments)
        storm.check()
    for _ in range(3):  # open if need be; notice who forgot us; be heard
        for number in range(3):
            storm.call(number)
        storm.wait(70 * SECOND)
    before = len(storm.server.origins)
    for number in range(3):
        storm.call(number)
    storm.answer()
    storm.check()
    heard = set(storm.server.origins[before:])
    for end in storm.clients:
        assert end.live[0].initiator_id in heard
        assert end.arrived[-1][0] == str(ip_address(SERVER[0]))

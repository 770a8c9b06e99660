"""Ephemeral ports and initial sequence numbers, by sampling (RFC 6056 and RFC 6528)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script import HOST, PEER, PEER_2, PLAIN, PORT, Script

from plait.addresses import Path
from plait.errors import UsageError
from plait.host.ports import free_path
from plait.units import MICROSECOND, SECOND
from plait.wire.crypto import Entropy, initial_sequence

PORTS = PLAIN.ephemeral


@pytest.mark.rfc("6056", "3.3.1", "B6056-01")
def test_ports_are_spread_and_do_not_follow_each_other() -> None:
    script = Script(PLAIN)
    for _ in range(1000):
        script.host.connect(0, PEER, PORT)
    ports = [int.from_bytes(one.flow[-4:-2], "big") for one in script.turn()]
    while more := script.turn():
        ports += [int.from_bytes(one.flow[-4:-2], "big") for one in more]
    assert len(set(ports)) == 1000
    assert all(port in PORTS for port in ports)
    steps = [(later - sooner) % len(PORTS) for sooner, later in pairwise(ports)]
    assert sum(step < 100 for step in steps) < 20
    quarters = [
        sum(PORTS.index(port) * 4 // len(PORTS) == part for port in ports) for part in range(4)
    ]
    assert all(190 < count < 310 for count in quarters)


@pytest.mark.rfc("6056", "3.3.1", "B6056-01")
def test_one_port_serves_many_remotes() -> None:
    script = Script(PLAIN)
    for remote, port in ((PEER, PORT), (PEER, PORT + 1), (PEER_2, PORT)):
        script.host.connect(0, remote, port, local_port=7)
    with pytest.raises(UsageError, match="no free port"):
        script.host.connect(0, PEER, PORT, local_port=7)
    assert len(script.turn()) == 3


@pytest.mark.rfc("6056", "3.3.1", "B6056-01")
@pytest.mark.parametrize("left", [1, 0])
def test_the_last_free_port_is_found(left: int) -> None:
    wanted = Path(HOST, 0, PEER, PORT)
    taken = {Path(HOST, port, PEER, PORT).flow_in() for port in PORTS[: len(PORTS) - left]}
    if left:
        assert free_path(Entropy(b"any"), PORTS, (taken, ()), wanted).local_port == PORTS[-1]
    else:
        with pytest.raises(UsageError, match="no free port"):
            free_path(Entropy(b"any"), PORTS, ((), taken), wanted)


def test_the_operator_says_which_ports_are_ours() -> None:
    script = Script(replace(PLAIN, local_ports="40000-40001"))
    for _ in range(2):
        script.host.connect(0, PEER, PORT)
    assert {int.from_bytes(one.flow[-4:-2], "big") for one in script.turn()} == {40000, 40001}
    assert script.host.listener_port(script.host.listen(0, 0)) in {40000, 40001}
    with pytest.raises(UsageError, match="no free port"):
        script.host.connect(0, PEER, PORT)


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "0-5", "6-5", "1-65536", "a-b", "1-2-3"])
def test_a_bad_range_of_ports_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="local_ports"):
        replace(PLAIN, local_ports=text)


@pytest.mark.rfc("6528", "3", "B6528-01")
@given(st.integers(0, 1 << 50), st.integers(0, 4 * SECOND))
def test_on_one_path_the_isn_follows_the_clock(now: int, later: int) -> None:
    flow = Path(HOST, 7, PEER, PORT).flow_out()
    first = initial_sequence(flow, b"secret", now)
    second = initial_sequence(flow, b"secret", now + later)
    ticks = (now + later) // (4 * MICROSECOND) - now // (4 * MICROSECOND)
    assert (second - first) % (1 << 32) == ticks


@pytest.mark.rfc("6528", "3", "B6528-01")
def test_on_other_paths_and_hosts_it_tells_nothing() -> None:
    flows = [Path(HOST, port, PEER, PORT).flow_out() for port in range(1, 4097)]
    made = [initial_sequence(flow, b"secret", 0) for flow in flows]
    assert len(set(made)) > 4090
    ones = [sum(isn >> bit & 1 for isn in made) for bit in range(32)]
    assert all(1850 < count < 2250 for count in ones)
    others = [initial_sequence(flow, b"other", 0) for flow in flows]
    assert not set(zip(flows, made, strict=True)) & set(zip(flows, others, strict=True))


GROUPS = ["224.0.0.1", "255.255.255.255", str(IPv4Address(0)), "ff02::1", "::"]


@pytest.mark.rfc("9293", "3.9.2.3", "B9293-17")
@pytest.mark.parametrize("remote", GROUPS)
def test_we_connect_to_no_group(remote: str) -> None:
    script = Script(PLAIN, addresses=(HOST, ip_address("2001:db8::1")))
    with pytest.raises(UsageError, match="no single host"):
        script.host.connect(0, ip_address(remote), PORT)

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from ipaddress import ip_address

import pytest

from plait.drivers.nft import objects, run_nft
from plait.drivers.packet_sharing import Guard, forwards, remove_stale, start_of

ADDRESS = ip_address("10.0.0.1")

pytestmark = [
    pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables"),
    pytest.mark.privileged,
]


def names() -> list[str]:
    return [table["name"] for table in objects("table")]


def test_a_process_is_known_by_when_it_began() -> None:
    assert start_of(os.getpid()) == start_of(os.getpid()) > 0
    assert start_of(0) == 0


def test_a_process_that_ended_counts_no_more_even_before_somebody_waits() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    try:
        assert start_of(child.pid) > 0
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert start_of(child.pid) == 0
    finally:
        child.stdin = None
        child.wait()


@pytest.mark.usefixtures("netns")
def test_tables_of_the_living_stay_and_those_of_the_dead_go() -> None:
    guard = Guard("eth0", [ADDRESS], range(5000, 5100))
    (mine,) = names()
    for other in ("plait", f"plait-{os.getpid()}-1-0", "plait-1-2-3", "plaits-9-9-9"):
        run_nft(f"create table inet {other}")
    remove_stale()
    assert set(names()) == {mine, "plait", "plaits-9-9-9"}
    guard.close()
    guard.close()
    assert mine not in names()


@pytest.mark.usefixtures("netns")
def test_ports_or_whole_addresses_are_guarded() -> None:
    ports, whole = Guard("e0", [ADDRESS], range(5000, 5100)), Guard("e0", [ADDRESS], None)
    told = run_nft("list", "ruleset")
    assert 'iifname "e0" ip daddr 10.0.0.1 tcp dport 5000-5099 drop' in told
    assert 'iifname "e0" ip daddr 10.0.0.1 drop' in told
    ports.close()
    whole.close()
    assert names() == []


@pytest.mark.usefixtures("netns")
def test_only_routers_forward() -> None:
    assert not forwards("lo", 4)
    assert not forwards("nowhere", 4)

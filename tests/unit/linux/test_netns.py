from __future__ import annotations

import os
import socket
import subprocess
import time
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from plait.errors import UsageError
from plait.linux.netns import Namespace, can_make_namespaces, veth_pair
from plait.linux.path_manager import BACKUP, SIGNAL, SUBFLOW

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]


def ip(namespace: Namespace, *arguments: str) -> str:
    def call() -> str:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    return namespace.run(call)


def test_a_new_namespace_has_a_loopback_interface_that_is_up_and_nothing_else() -> None:
    with Namespace() as namespace:
        interfaces = namespace.run(socket.if_nameindex)
        assert [name for _, name in interfaces] == ["lo"]
        assert "UP" in ip(namespace, "link", "show", "lo")


def test_the_callers_namespace_stays_its_own() -> None:
    def inside() -> str:
        return str(Path("/proc/thread-self/ns/net").readlink())

    before = inside()
    with Namespace() as namespace:
        assert namespace.run(inside) != before
    assert inside() == before


def test_what_the_work_raises_reaches_the_caller() -> None:
    with Namespace() as namespace, pytest.raises(ZeroDivisionError):
        namespace.run(lambda: 1 // 0)


def test_a_closed_namespace_is_gone_with_its_interfaces() -> None:
    with Namespace() as near:
        with Namespace() as far:
            veth_pair(near, "va", far, "vb")
            assert "va" in ip(near, "link")
        deadline = time.monotonic() + 5  # the kernel takes a namespace apart in its own time
        while "va" in ip(near, "link") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "va" not in ip(near, "link")


@pytest.mark.parametrize(
    ("family", "here", "there"),
    [
        (socket.AF_INET, "10.9.1.1/24", "10.9.1.2/24"),
        (socket.AF_INET6, "fd09::1/64", "fd09::2/64"),
    ],
    ids=["IPv4", "IPv6"],
)
def test_two_namespaces_reach_each_other_over_a_veth_pair(
    family: socket.AddressFamily, here: str, there: str
) -> None:
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "va", far, "vb")
        near.add_address("va", ip_interface(here))
        far.add_address("vb", ip_interface(there))
        address = str(ip_interface(there).ip)
        with far.run(lambda: socket.create_server((address, 5001), family=family)):
            near.run(lambda: socket.create_connection((address, 5001), timeout=5).close())


def test_a_named_namespace_is_listed_until_it_is_closed() -> None:
    name = f"plait-{os.getpid()}"
    with Namespace(name):
        assert Path("/run/netns", name).exists()
        with pytest.raises(UsageError, match="exists"):
            Namespace(name)
    assert not Path("/run/netns", name).exists()


def test_sysctls_are_those_of_the_namespace() -> None:
    path = Path("/proc/sys/net/mptcp/blackhole_timeout")
    before = path.read_text(encoding="ascii")
    with Namespace() as namespace:
        namespace.set_sysctl("net.mptcp.blackhole_timeout", 17)
        assert namespace.run(lambda: path.read_text(encoding="ascii")) == "17\n"
        with pytest.raises(UsageError, match=r"net\.mptcp\.no_such"):
            namespace.set_sysctl("net.mptcp.no_such", 0)
    assert path.read_text(encoding="ascii") == before


def test_endpoints_and_limits_are_what_ip_mptcp_shows() -> None:
    with Namespace() as namespace:
        namespace.set_mptcp_limits(subflows=5, add_addr_accepted=3)
        assert ip(namespace, "mptcp", "limits") == "add_addr_accepted 3 subflows 5 \n"
        namespace.add_mptcp_endpoint(ip_address("10.9.1.1"), 3, SUBFLOW | BACKUP)
        namespace.add_mptcp_endpoint(ip_address("fd09::1"), 4, SIGNAL)
        shown = [line.rstrip() for line in ip(namespace, "mptcp", "endpoint").splitlines()]
        assert shown == ["10.9.1.1 id 3 subflow backup", "fd09::1 id 4 signal"]
        namespace.remove_mptcp_endpoints()
        assert ip(namespace, "mptcp", "endpoint") == ""


def test_routes_lead_through_the_interface() -> None:
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "va", far, "vb")
        near.add_address("va", ip_interface("10.9.1.1/24"))
        near.add_route(ip_interface("10.99.0.0/16"), "va")
        assert "10.99.0.0/16 dev va" in ip(near, "route")
        near.set_link("va", up=False)
        assert "10.99.0.0/16" not in ip(near, "route")


def test_an_unknown_interface_is_named() -> None:
    with Namespace() as namespace, pytest.raises(UsageError, match="'nope'"):
        namespace.set_link("nope", up=True)

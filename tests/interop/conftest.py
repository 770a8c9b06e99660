"""What every test against the kernel needs of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.shell import Shell

from plait.linux.mptcp_sockets import kernel_has_mptcp
from plait.linux.netns import Namespace, can_make_namespaces


def missing() -> str | None:
    """Return why nothing here can run, if that is so."""
    if not can_make_namespaces():
        return "making network namespaces needs root"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun: the kernel's tun module is not loaded"
    return None if kernel_has_mptcp() else "the kernel has no Multipath TCP"


@pytest.fixture(autouse=True, scope="session")
def _machine() -> None:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Commands in a namespace of their own; what still runs at the end is killed."""
    with Namespace() as namespace:
        namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
        namespace.set_mptcp_limits(subflows=8, add_addr_accepted=8)
        running = Shell(namespace)
        try:
            yield running
        finally:
            running.finish()

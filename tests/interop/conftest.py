"""What every test against the kernel needs of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.linux.mptcp_sockets import kernel_has_mptcp
from plait.linux.netns import can_make_namespaces


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

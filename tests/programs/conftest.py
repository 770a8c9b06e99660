"""What the tests of `plait run` need of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from interop.uplinks import Machines, machines
from programs.judge import USER, USERS_PYTHON, Commands, Judge

import plait
from plait.linux.mptcp_sockets import kernel_has_mptcp
from plait.linux.netns import Namespace, can_make_namespaces

_HERE = Path(__file__).parent


def _missing() -> str | None:
    """Return why nothing here can run, if that is so."""
    if not can_make_namespaces():
        return "making network namespaces needs root"
    if not kernel_has_mptcp():
        return "the kernel has no Multipath TCP"
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    if not actions.exists() or "user_notif" not in actions.read_text():
        return "the kernel has no seccomp user notification"
    return None


@pytest.fixture(autouse=True, scope="session")
def _machine() -> None:
    reason = _missing()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def judge() -> Iterator[Judge]:
    """A namespace with a server that tells its peers what they are."""
    with Namespace() as namespace:
        namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
        running = Judge(namespace)
        try:
            yield running
        finally:
            running.close()


@pytest.fixture
def world() -> Iterator[Machines]:
    """A machine with two uplinks whose kernel has no Multipath TCP."""
    with machines() as made:
        made.client.set_sysctl("net.mptcp.enabled", 0)
        yield made


@pytest.fixture
def server(world: Machines) -> Iterator[Judge]:
    """What the machine reaches over both."""
    judge = Judge(world.server)
    try:
        yield judge
    finally:
        judge.close()


@pytest.fixture
def client(world: Machines) -> Iterator[Commands]:
    """Commands on the machine."""
    commands = Commands(world.client)
    try:
        yield commands
    finally:
        commands.close()


@pytest.fixture(scope="session")
def built() -> Iterator[Path]:
    """A folder that everybody may enter, with the client in all its forms and the shim."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc to build the programs with")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        client = str(_HERE / "client.c")
        _gcc(client, "-o", str(folder / "dynamic"))
        _gcc(client, "-static", "-o", str(folder / "static"))
        _gcc(client, "-DRAW", "-o", str(folder / "raw"))
        _gcc(str(_HERE / "shim.c"), "-shared", "-fPIC", "-o", str(folder / "shim.so"))
        shutil.copy(folder / "dynamic", folder / "setuid")
        (folder / "setuid").chmod(0o4755)
        yield folder


@pytest.fixture(scope="session")
def as_user() -> dict[str, Any]:
    """Options of `subprocess` for an ordinary user, who can start `USERS_PYTHON`."""
    found = [str(Path(module.__file__ or "").parents[1]) for module in (plait, click)]
    options: dict[str, Any] = {
        "user": USER,
        "group": USER,
        "extra_groups": [],
        "env": {**os.environ, "PYTHONPATH": os.pathsep.join(found)},
    }
    words = [USERS_PYTHON, "-m", "plait.cli", "--version"]
    try:
        subprocess.run(words, check=True, capture_output=True, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"user {USER} cannot run plait with {USERS_PYTHON}: {error}")
    return options


def _gcc(*words: str) -> None:
    subprocess.run(["gcc", "-O1", *words], check=True)

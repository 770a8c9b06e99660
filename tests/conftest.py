"""Fixtures for tests that need more of the machine than Python."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings
from pyroute2 import netns as namespaces

settings.register_profile("plait", deadline=None)  # a loaded machine is not a failure
settings.load_profile("plait")

TESTS = Path(__file__).parent

REAL_TIME = (
    *("api", "connectors", "examples", "interop", "programs"),
    *("unit/aio", "unit/cli", "unit/drivers", "unit/linux", "unit/proxy", "unit/sockets"),
    "unit/uplinks",
)
"""Tests with processes, devices and clocks that a loaded machine holds up.  One that fails runs
once more, and the summary says so; all others are deterministic and get no second chance."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests in real time run a second time."""
    for item in items:
        if item.path.relative_to(TESTS).as_posix().startswith(REAL_TIME):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the compliance page be made from what the tests say of themselves."""
    parser.addoption("--rfc-marks", metavar="FILE", help="write which tests carry which ids")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the ids of requirements with the tests that carry them."""
    target = session.config.getoption("--rfc-marks")
    if target is None:
        return
    marked: dict[str, list[str]] = {}
    for item in session.items:
        for mark in item.iter_markers("rfc"):
            for row in mark.args[2:]:
                marked.setdefault(row, []).append(item.nodeid)
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(json.dumps(marked), encoding="utf-8")


@pytest.fixture
def netns() -> Iterator[str]:
    """Put the test's thread into a fresh network namespace; its name is the fixture's value."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("no /dev/net/tun: the kernel's tun module is not loaded")
    name = f"plait-{uuid4().hex[:8]}"
    try:
        namespaces.create(name)
    except OSError as error:
        pytest.skip(f"no network namespace: {error}")
    try:
        namespaces.pushns(name)
        try:
            yield name
        finally:
            namespaces.popns()
    finally:
        namespaces.remove(name)

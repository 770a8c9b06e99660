"""Fixtures for tests that need more of the machine than Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings
from pyroute2 import netns as namespaces

settings.register_profile("plait", deadline=None)  # a loaded machine is not a failure
settings.load_profile("plait")


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

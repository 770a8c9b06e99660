"""The code of the how-to pages, run as it stands."""

from __future__ import annotations

import asyncio
import random
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from support.world import World

import plait
from plait.aio.stack import Stack
from plait.drivers.memory import pair
from plait.host.events import PolicyFailed
from plait.host.settings import Settings
from plait.scheduling import schedulers

PAGES = Path(__file__).parents[3] / "docs" / "how-to"


def blocks_of(page: str) -> list[str]:
    """Return the Python on a page."""
    return re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def test_a_scheduler_in_25_lines() -> None:
    blocks = blocks_of("scheduler.md")
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(lines) <= 25
    known: dict[str, Any] = {"__name__": "emptiest"}
    try:
        for block in blocks:
            exec(compile(block, "scheduler.md", "exec"), known)  # noqa: S102 - our own page
        world = World(known["settings"], Settings())
        world.transfer(bytes(range(256)) * 4000)
        assert [type(end) for end in world.initiator.heard(PolicyFailed)] == []
        sent = {segment.flow for _, segment in world.initiator.line.sent if segment.length}
        assert len(sent) == 2
    finally:
        schedulers.remove("emptiest")


def test_changing_an_open_connection() -> None:
    (block,) = blocks_of("open-connections.md")
    known: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, "open-connections.md", "exec"), known)  # noqa: S102 - our own page
    assert known["seen"].count("SubflowUp") == 2


def test_opening_connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PLAIT_BACKEND", raising=False)
    known: dict[str, Any] = {"__name__": "example"}
    for block in blocks_of("connect.md"):
        exec(compile(block, "connect.md", "exec"), known)  # noqa: S102 - our own page
    assert known["answer"] == b"hello"
    assert (known["backend"] == "kernel") == (known["reason"] is None)
    assert known["over"] == "stack"
    path = tmp_path / "file"
    path.write_bytes(random.Random(6).randbytes(3_000_000))

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await known["send_file"](writer, path)
        writer.close()

    async def fetch() -> bytes:
        near, far = pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")])
        async with Stack([near]) as here, Stack([far]) as there:
            server = await plait.start_server(serve, "10.0.0.2", 80, backend=there)
            reader, writer = await plait.open_connection("10.0.0.2", 80, backend=here)
            try:
                return await reader.read()
            finally:
                writer.close()
                server.close()

    assert asyncio.run(fetch()) == path.read_bytes()


def test_blocking_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAIT_BACKEND", raising=False)
    known: dict[str, Any] = {"__name__": "example"}
    for block in blocks_of("sockets.md"):
        exec(compile(block, "sockets.md", "exec"), known)  # noqa: S102 - our own page
    assert known["answer"] == b"hello"
    assert (known["backend"] == "kernel") == (known["reason"] is None) == known["wanted"]
    assert known["over"] == ("stack", b"hello")


def run_blocks(page: str) -> dict[str, Any]:
    """Run all the code of a page as one program and return its names."""
    known: dict[str, Any] = {"__name__": "example"}
    for block in blocks_of(page):
        exec(compile(block, page, "exec"), known)  # noqa: S102 - our own page
    return known


def test_http_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("aiohttp", "anyio", "httpx", "requests", "trio"):
        pytest.importorskip(library)
    monkeypatch.delenv("PLAIT_BACKEND", raising=False)
    results = run_blocks("http-clients.md")["results"]
    assert len(results) == 6
    assert len({is_mptcp for _, is_mptcp in results}) == 1
    kind = "kernel" if results[0][1] else "tcp"
    assert all(kind in (said if isinstance(said, str) else said.decode()) for said, _ in results)


def test_steering_subflows() -> None:
    known = run_blocks("subflows.md")
    assert known["octets"] == 8_000_000
    assert known["left"] == {"10.0.2.1"}


def test_udp() -> None:
    known = run_blocks("udp.md")
    assert known["answer"] == b"hello"
    assert known["sessions"] == 2


def test_packet_sockets() -> None:
    known = run_blocks("packet.md")
    assert 61_000 in known["settings"].ephemeral
    assert 60_999 not in known["settings"].ephemeral


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.name)
def test_pages_begin_with_a_title(page: Path) -> None:
    assert page.read_text().startswith("# ")

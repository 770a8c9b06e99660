"""The commands as programs, over the kernel's Multipath TCP in a namespace of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from plait.linux.netns import Namespace, can_make_namespaces

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]

PORT = "5001"
PATIENCE = 20


class Shell:
    """Starts commands inside a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, *arguments: str, stdin: int | IO[bytes] = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "plait.cli", *arguments]
        pipe = subprocess.PIPE
        process = self.namespace.run(
            lambda: subprocess.Popen(line, stdin=stdin, stdout=pipe, stderr=pipe)
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
        process = self.start(*arguments)
        out, err = process.communicate(given, timeout=PATIENCE)
        return process.returncode, out, err

    def listen(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = self.start(*arguments, "--via", "kernel")
        deadline = time.monotonic() + PATIENCE
        while f":{int(PORT):04X} " not in self._listening():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        return process

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _listening(self) -> str:
        """Return the listening sockets of the namespace."""

        def read() -> str:
            tables = (Path(f"/proc/thread-self/net/tcp{six}") for six in ("", "6"))
            lines = (line for table in tables for line in table.read_text().splitlines())
            return "\n".join(line for line in lines if line.split()[3] == "0A")

        return self.namespace.run(read)


def listen_for_one() -> socket.socket:
    """Return a listening Multipath TCP socket of the namespace it is called in."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
    listener.bind(("127.0.0.1", int(PORT)))
    listener.listen()
    return listener


@pytest.fixture
def shell() -> Iterator[Shell]:
    with Namespace() as namespace:
        made = Shell(namespace)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.parametrize("octets", [0, 1, 3_000_000])
def test_nc_carries_both_directions_and_half_closes(
    shell: Shell, octets: int, tmp_path: Path
) -> None:
    there, back = os.urandom(octets), os.urandom(octets)
    report = tmp_path / "report.json"
    server = shell.listen("nc", "-l", PORT, "--json", str(report))
    client = shell.start("nc", "127.0.0.1", PORT, "--via", "kernel")
    with ThreadPoolExecutor(1) as reader:
        called = reader.submit(client.communicate, there, timeout=PATIENCE)
        assert server.communicate(back, timeout=PATIENCE) == (there, b"")
        assert called.result() == (back, b"")
    assert (server.returncode, client.returncode) == (0, 0)
    seen = json.loads(report.read_text(encoding="utf-8"))
    assert seen["is_mptcp"]
    assert seen["version"] == 1
    assert seen["counters"]["MPCapableACKRX"] == 1
    assert seen["bytes_received"] == octets


def test_nc_keeps_listening(shell: Shell) -> None:
    server = shell.listen("nc", "-l", "-k", PORT)
    assert server.stdin is not None
    server.stdin.close()
    server.stdin = None
    for word in (b"one ", b"two"):
        assert shell.run("nc", "127.0.0.1", PORT, "--via", "kernel", given=word)[0] == 0
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=PATIENCE)
    assert (server.returncode, out) == (130, b"one two")
    assert b"Traceback" not in err


def test_nc_to_nobody_fails_in_one_line(shell: Shell, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    status, out, err = shell.run("nc", "127.0.0.1", PORT, "--via", "kernel", "--json", str(report))
    told = f"plait nc: cannot connect to 127.0.0.1 port {PORT}: connection refused\n"
    assert (status, out, err.decode()) == (1, b"", told)
    assert json.loads(report.read_text(encoding="utf-8"))["subflows"] == []


def test_nc_says_that_its_peer_reset(shell: Shell) -> None:
    with shell.namespace.run(listen_for_one) as listener:
        client = shell.start("nc", "127.0.0.1", PORT, "--via", "kernel")
        assert client.stdin is not None
        client.stdin.write(b"never read")
        client.stdin.flush()
        listener.settimeout(PATIENCE)
        accepted, _ = listener.accept()
    accepted.settimeout(PATIENCE)
    accepted.recv(1, socket.MSG_PEEK)
    accepted.close()  # with data in its queue, so this is a reset
    out, err = client.communicate(timeout=PATIENCE)
    assert (client.returncode, out) == (1, b"")
    assert err.startswith(b"plait nc: connection reset")
    assert err.count(b"\n") == 1


def test_a_port_in_use_is_impossible(shell: Shell) -> None:
    shell.listen("nc", "-l", PORT)
    status, _, err = shell.run("perf", "server", PORT, "--via", "kernel")
    assert status == 2
    assert err.startswith(b"plait perf server: port 5001 is in use")


@pytest.mark.parametrize("reverse", [(), ("--reverse",)], ids=["forward", "reverse"])
@pytest.mark.parametrize("amount", [("--bytes", "10000001"), ("--seconds", "1.2")])
def test_perf_measures_what_the_receiver_counted(
    shell: Shell, amount: tuple[str, str], reverse: tuple[str, ...], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    server = shell.listen("perf", "server", PORT, "-1", "--json", str(report))
    status, out, err = shell.run(
        "perf", "client", "127.0.0.1", PORT, "--via", "kernel", "--json", "-", *amount, *reverse
    )
    assert status == 0, err
    served, _ = server.communicate(timeout=PATIENCE)
    assert server.returncode == 0
    mine, other = json.loads(out), json.loads(report.read_text(encoding="utf-8"))
    assert mine["is_mptcp"]
    assert other["is_mptcp"]
    sent, received = (other, mine) if reverse else (mine, other)
    carried = sent["bytes_sent"] - (0 if reverse else 16)
    assert received["bytes_received"] == sent["bytes_sent"]
    if amount[0] == "--bytes":
        assert carried == 10_000_001
        assert b"10.00 MB in " in err
        assert b"10.00 MB in " in served
    else:
        assert carried > 0
        assert b"1 subflow" in err


def test_perf_serves_until_it_is_stopped(shell: Shell) -> None:
    server = shell.listen("perf", "server", PORT)
    for _ in range(2):
        assert (
            shell.run("perf", "client", "127.0.0.1", PORT, "--via", "kernel", "--bytes", "1")[0]
            == 0
        )
    server.send_signal(signal.SIGTERM)
    out, err = server.communicate(timeout=PATIENCE)
    assert (server.returncode, err) == (143, b"")
    assert out.count(b"1 B in ") == 2


def test_perf_notices_that_the_server_speaks_something_else(shell: Shell) -> None:
    server = shell.listen("nc", "-l", PORT)
    assert server.stdin is not None
    server.stdin.write(b"hello")
    server.stdin.close()
    server.stdin = None
    status, _, err = shell.run(
        "perf", "client", "127.0.0.1", PORT, "--via", "kernel", "--bytes", "5"
    )
    assert status == 1
    assert b"plait perf client: the server ended without a result" in err

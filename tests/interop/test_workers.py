"""Several processes behind one device: the kernel's joins find their connections."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from interop.shell import TUNS, Shell
from interop.workers_program import KERNEL, PORT, STACK

from plait.cli.perf_protocol import MESSAGE, Request, parse_result
from plait.linux.counters import snapshot
from plait.linux.netns import Namespace

pytestmark = pytest.mark.privileged

CONNECTIONS = 20
DATA = [random.Random(number).randbytes(200_000) for number in range(CONNECTIONS)]
IPPROTO_MPTCP = 262
TESTS = Path(__file__).parent.parent
PATIENCE = 60.0


@contextmanager
def server(namespace: Namespace, *words: str) -> Iterator[list[dict[str, Any]]]:
    """Run the program; what its processes tell at their end is in the list after that."""
    count = int(words[0])
    paths = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    process = namespace.run(
        lambda: subprocess.Popen(
            [sys.executable, "-m", "interop.workers_program", *words],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": paths},
            text=True,
        )
    )
    told: list[dict[str, Any]] = []
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(count)] == ["ready\n"] * count
        yield told
        process.send_signal(signal.SIGTERM)
        told += [json.loads(line) for line in process.communicate(timeout=PATIENCE)[0].splitlines()]
    finally:
        process.kill()
        process.communicate()


def ask(data: bytes) -> bytes:
    """Send half, wait for the join, send the rest and return the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as opened:
        opened.settimeout(PATIENCE)
        opened.bind((KERNEL[0], 0))
        opened.connect((STACK, PORT))
        half = len(data) // 2
        opened.sendall(data[:half])
        time.sleep(0.3)
        opened.sendall(data[half:])
        opened.shutdown(socket.SHUT_WR)
        return opened.recv(1 << 10, socket.MSG_WAITALL)


def called(namespace: Namespace, ask: Callable[[bytes], bytes]) -> tuple[list[bool], int]:
    """Return which answers were right, and how many joins the kernel saw answered."""
    with ThreadPoolExecutor(CONNECTIONS) as clients:
        answers = list(clients.map(lambda data: namespace.run(lambda: ask(data)), DATA))
    right = [
        answer == hashlib.sha256(data).digest() for answer, data in zip(answers, DATA, strict=True)
    ]
    return right, namespace.run(snapshot)["MPJoinSynAckRx"]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        made.set_sysctl("net.mptcp.blackhole_timeout", 0)
        made.set_mptcp_limits(subflows=1, add_addr_accepted=0)
        yield made


def add_endpoint(namespace: Namespace) -> None:
    """Have the kernel join from its second address."""
    words = ["ip", "mptcp", "endpoint", "add", KERNEL[1], "id", "2", "subflow"]
    namespace.run(lambda: subprocess.run(words, check=True))


@pytest.mark.rfc("8684", "3.2")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_joins_reach_the_process_that_has_the_connection(namespace: Namespace, count: int) -> None:
    with server(namespace, str(count)) as told:
        add_endpoint(namespace)
        right, joins = called(namespace, ask)
    assert all(right)
    assert joins == CONNECTIONS
    assert sum(one["served"] for one in told) == CONNECTIONS
    assert sum(one["joined"] for one in told) == CONNECTIONS
    assert all(one["served"] for one in told)
    handed, taken = (sum(one[name] for one in told) for name in ("handed_over", "taken_over"))
    assert handed == taken
    assert (handed > 0) is (count > 1)


def test_without_handing_over_joins_fail(namespace: Namespace) -> None:
    with server(namespace, "2", "apart") as told:
        add_endpoint(namespace)
        right, joins = called(namespace, ask)
    assert all(right)  # on the first subflow alone
    assert 0 < joins < CONNECTIONS
    assert sum(one["dropped"] for one in told) > 0


def measure(octets: int) -> int:
    """Send octets as a client of `plait perf` and return how many the server counted."""
    request = Request(reverse=False, octets=octets)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as opened:
        opened.settimeout(PATIENCE)
        opened.connect(("10.9.1.1", PORT))
        opened.sendall(request.serialize() + bytes(octets))
        opened.shutdown(socket.SHUT_WR)
        return parse_result(opened.recv(MESSAGE, socket.MSG_WAITALL))


def test_perf_serves_with_two_processes(shell: Shell) -> None:
    serving = shell.listen("perf", "server", str(PORT), "--workers", "2", *TUNS)
    octets = range(100_000, 100_000 + CONNECTIONS)
    with ThreadPoolExecutor(CONNECTIONS) as clients:
        counted = clients.map(lambda one: shell.namespace.run(lambda: measure(one)), octets)
        assert list(counted) == list(octets)
    serving.send_signal(signal.SIGINT)
    printed, complaints = serving.communicate(timeout=PATIENCE)
    assert (serving.returncode, complaints.strip()) == (130, b"")
    lines = [line for line in printed.decode().splitlines() if line.startswith("worker ")]
    served = {line.split()[1]: int(line.split()[2]) for line in lines}
    assert served.keys() == {"0:", "1:"}
    assert sum(served.values()) == CONNECTIONS
    assert all(served.values())
    assert "t1" not in shell.output("ip", "-br", "link")


def test_perf_ends_when_one_of_its_processes_is_killed(shell: Shell) -> None:
    serving = shell.listen("perf", "server", "5001", "--workers", "2", *TUNS)
    assert serving.stdout is not None
    assert serving.stdout.readline() == b"listening on port 5001\n"
    time.sleep(0.5)  # the first one said so, and the other one is as far
    children = Path(f"/proc/{serving.pid}/task/{serving.pid}/children").read_text(encoding="ascii")
    os.kill(int(children.split()[1]), signal.SIGKILL)
    _, complaints = serving.communicate(timeout=PATIENCE)
    assert serving.returncode == 1
    assert complaints == b"plait perf server: worker 1 was killed by SIGKILL\n"
    assert "t1" not in shell.output("ip", "-br", "link")

"""Unmodified programs over plait's stack, on a machine whose kernel speaks plain TCP only."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from interop.uplinks import SERVER, Machines
from programs.judge import PORT, RUN, USER, Commands, Judge, until

from plait.linux.families import IPPROTO_MPTCP
from plait.linux.rendezvous import join

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables"),
]

_TCP_IS_MPTCP = 43
DATA = Random(8).randbytes(2 << 20)
STACK = [*RUN, "--via", "stack"]
NODE = (
    f"require('net').connect({PORT}, '{SERVER}', function () {{ this.end('?') }})"
    ".on('data', data => console.log(String(data)))"
)
PYTHON = (
    f"import socket; s = socket.create_connection(('{SERVER}', {PORT}));"
    "s.sendall(b'?'); print(s.recv(9).decode())"
)
UPLOAD = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
    print(s.getpeername(), s.getsockname())
    s.sendall(open(sys.argv[3], "rb").read())
    s.shutdown(socket.SHUT_WR)
    assert s.recv(9) == b"back"
"""
WHERE = f"{SERVER} {PORT}"
SETPRIV = f"setpriv --reuid {USER} --regid {USER} --clear-groups"

PROGRAMS = {
    "curl": f"curl -s {SERVER}:{PORT}; echo",
    "python": f'{sys.executable} -c "{PYTHON}"',
    "dynamic C": "{built}/dynamic " + WHERE,
    "static C": "{built}/static " + WHERE,
    "raw system calls": "{built}/raw " + WHERE,
    "node": f'node -e "{NODE}"',
    "setuid": SETPRIV + " {built}/setuid " + WHERE,
    "cleaned environment": "env -i {built}/dynamic " + WHERE,
}


def test_every_program_becomes_multipath(
    world: Machines, server: Judge, client: Commands, built: Path
) -> None:
    if shutil.which("node") is None:
        pytest.skip("there is no node")
    world.up()
    script = ";".join(words.replace("{built}", str(built)) for words in PROGRAMS.values())
    plain = client.run("sh", "-c", script)
    assert [line.split()[0] for line in plain.stdout.splitlines()] == ["TCP"] * len(PROGRAMS)
    assert server.counted("MPCapableSYNRX") == 0
    done = client.run(*STACK, "--explain", "sh", "-c", script)
    got = dict(zip(PROGRAMS, (line.split()[0] for line in done.stdout.splitlines()), strict=True))
    assert got == dict.fromkeys(PROGRAMS, "MPTCP"), done.stderr
    assert server.counted("MPCapableACKRX") == len(PROGRAMS)
    assert done.stderr.count("MPTCP (plait's stack)") == len(PROGRAMS)


def test_both_uplinks_carry_what_a_program_sends(
    world: Machines, client: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "data"
    file.write_bytes(DATA)
    for number in range(2):
        line = f"tc qdisc add dev e{number} root tbf rate 20mbit burst 32k latency 50ms"
        world.sh(world.client, line)
    world.up()
    with world.listen() as listener, ThreadPoolExecutor(1) as pool:
        served = pool.submit(_take_all, listener)
        words = (sys.executable, "-c", UPLOAD, SERVER, "5001", str(file))
        done = client.run(*STACK, "--json", str(tmp_path / "told"), *words)
        assert served.result() == DATA
    told = json.loads((tmp_path / "told").read_text())
    assert (told["got"], told["destination"]) == ("MPTCP", f"{SERVER}:5001")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"('{SERVER}', 5001) ('10.")
    for number in range(2):
        shown = json.loads(world.sh(world.client, f"ip -j -s link show e{number}"))
        assert shown[0]["stats64"]["tx"]["bytes"] > len(DATA) // 4


def _take_all(listener: socket.socket) -> bytes:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(20)
        octets = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        connection.sendall(b"back")
    return octets


def test_a_server_listens_for_multipath(world: Machines, client: Commands, tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(DATA)
    serving = client.start(
        *STACK, "--packet", "e0,local=10.1.0.77/24,gateway=10.1.0.1", "--explain", "--",
        sys.executable, "-u", "-m", "http.server", "8000", "--directory", str(tmp_path),
    )  # fmt: skip
    assert serving.stdout is not None
    assert "Serving HTTP" in serving.stdout.readline()

    def get(address: str) -> bytes:
        kinds = socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP
        with world.server.run(lambda: socket.socket(*kinds)) as sock:
            sock.settimeout(20)
            sock.connect((address, 8000))
            sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            octets = b"".join(iter(lambda: sock.recv(1 << 16), b""))
            assert sock.getsockopt(socket.IPPROTO_TCP, _TCP_IS_MPTCP) == (address == "10.1.0.77")
        return octets.partition(b"\r\n\r\n")[2]

    assert get("10.1.0.77") == DATA
    assert get("10.1.0.2") == DATA  # its own address, by the kernel's TCP
    serving.terminate()
    _, errors = serving.communicate(timeout=20)
    assert f"{SERVER} - - [" in errors
    until(lambda: not client.helpers(), "supervisor and guardian have ended")


@pytest.mark.usefixtures("server")
def test_a_killed_supervisor_leaves_new_connections_to_the_kernel(
    world: Machines, client: Commands, built: Path
) -> None:
    world.up()
    words = f"read line; {built}/static {SERVER} {PORT}"
    running = client.start(*STACK, "sh", "-c", f"echo ready; {words}", stdin=-1)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    (supervisor,) = (pid for name, pid in client.helpers().items() if "supervise" in name)
    os.kill(supervisor, signal.SIGKILL)
    out, _ = running.communicate("go\n", timeout=20)
    assert out.split()[0] == "TCP"


def test_a_loopback_that_does_not_answer_is_not_waited_for(
    world: Machines, client: Commands
) -> None:
    for words in ("table t", "chain t c { type filter hook input priority 0 ; }"):
        world.sh(world.client, f"nft add {words}")
    world.sh(world.client, "nft add rule t c iif lo drop")
    with client.namespace.run(socket.socket) as sock:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            client.namespace.run(lambda: join(sock))
        assert time.monotonic() - began < 3


TUN = ["--tun", "t9,local=10.9.1.1,peer=10.9.1.2/24"]

NOWHERE = {
    "nothing to attach to": ([], "plait's own stack needs a network"),
    "no such option of it": ([*TUN, "--scheduler", "nonsense"], "unknown scheduler 'nonsense'"),
    "no such interface": (["--packet", "e7"], "e7"),
}


@pytest.mark.parametrize(("options", "said"), NOWHERE.values(), ids=NOWHERE)
def test_what_cannot_be_is_said_in_one_line(
    client: Commands, options: list[str], said: str
) -> None:
    done = client.run(*STACK, *options, "echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("plait run: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1

"""How programs use their sockets, all of it over plait's stack."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from interop.uplinks import SERVER, Machines
from programs.judge import RUN, Commands, until

from plait.linux.mptcp_sockets import listen
from plait.linux.socket_options import SocketOptions

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables"),
]

STACK = [*RUN, "--via", "stack"]
PORT = 7000
_TCP_IS_MPTCP = 43

SHARED = f"""
import asyncio, errno, os, select, socket, threading
TO = ("{SERVER}", {PORT})
def echoed(sock, data):
    writer = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
    writer.start()
    got = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    writer.join()
    return got == data
def once(number):
    with socket.create_connection(TO) as sock:
        return echoed(sock, b"%d" % number)
def at_once(number, work):
    said = []
    threads = [threading.Thread(target=lambda: said.append(work())) for _ in range(number)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    return said == [True] * number
"""

USES = {
    "20 MB both ways, half closed": """
        with socket.create_connection(TO) as sock: ok = echoed(sock, os.urandom(20 << 20))
        """,
    "200 threads": "ok = at_once(200, lambda: once(7))",
    "asyncio": """
        async def one(number):
            reader, writer = await asyncio.open_connection(*TO)
            writer.write(b"%d" % number)
            writer.write_eof()
            got = await reader.read()
            writer.close()
            return got == b"%d" % number and writer.get_extra_info("peername") == TO
        async def several():
            return all(await asyncio.gather(*map(one, range(50))))
        ok = asyncio.run(several())
        """,
    "closed before it is connected": """
        for number in range(50):
            with socket.socket() as sock:
                sock.setblocking(False)
                assert sock.connect_ex(TO) == errno.EINPROGRESS
        ok = once(7)
        """,
    "in epoll before it connects": """
        sock, epoll = socket.socket(), select.epoll()
        sock.setblocking(False)
        epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        epoll.poll(0)
        sock.connect_ex(TO)
        assert epoll.poll(10) == [(sock.fileno(), select.EPOLLOUT)]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        sock.sendall(b"x")
        ok = bool(epoll.poll(10)[0][1] & select.EPOLLIN) and sock.recv(2) == b"x"
        """,
    "forks while it connects": """
        working = threading.Thread(target=lambda: told.append(at_once(5, lambda: once(7))))
        told = []
        working.start()
        for number in range(20):
            if os.fork() == 0: os._exit(0)
            os.wait()
        working.join()
        ok = told == [True]
        """,
    "refused, and again": """
        sock, nobody = socket.socket(), (TO[0], 1)
        ok = {sock.connect_ex(nobody) for _ in range(2)} == {errno.ECONNREFUSED}
        """,
    "IPv4 written as IPv6": """
        with socket.socket(socket.AF_INET6) as sock:
            sock.connect(("::ffff:" + TO[0], TO[1]))
            ok = sock.getpeername()[0] == "::ffff:" + TO[0] and echoed(sock, b"x")
        """,
    "odd descriptors": """
        def refused(fd):
            try: socket.socket(2, 1, 6, fileno=fd).getpeername()
            except OSError as error: return error.errno
        ok = [refused(fd) for fd in (99, os.pipe()[0])] == [errno.EBADF, errno.ENOTSOCK]
        """,
}


@pytest.fixture(autouse=True)
def echo(world: Machines) -> Iterator[None]:
    """A server that sends back what it gets."""
    listener = world.server.run(lambda: listen(None, PORT, SocketOptions(mptcp=True)))
    listener.listen(1000)

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_echo, args=(peer,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _echo(peer: socket.socket) -> None:
    try:
        with peer:
            while data := peer.recv(1 << 16):
                peer.sendall(data)
    except OSError:  # it was reset
        return


def _program(code: str) -> str:
    """Return a program that prints whether all was well."""
    return f"{SHARED}\nif True:\n        {code.strip()}\nprint(ok)"


def test_every_use_of_a_socket_works(world: Machines, client: Commands, tmp_path: Path) -> None:
    world.up()
    words = [f"echo '{name}'; {sys.executable} use{number}.py" for number, name in enumerate(USES)]
    for number, code in enumerate(USES.values()):
        (tmp_path / f"use{number}.py").write_text(_program(code))
    done = client.run(*STACK, "--explain", "sh", "-c", ";".join(words), cwd=tmp_path)
    said = done.stdout.splitlines()
    assert dict(zip(said[::2], said[1::2], strict=True)) == dict.fromkeys(USES, "True"), done.stderr
    assert "plait failed" not in done.stderr
    assert ": TCP" not in done.stderr


def test_the_supervisor_keeps_nothing_of_what_has_ended(world: Machines, client: Commands) -> None:
    world.up()
    code = (
        f"{SHARED}\nimport sys\nfor _ in sys.stdin: print(all(map(once, range(100))), flush=True)"
    )
    running = client.start(*STACK, sys.executable, "-c", code, stdin=subprocess.PIPE)
    assert running.stdin is not None
    assert running.stdout is not None
    held = []
    for _ in range(3):
        running.stdin.write("\n")
        running.stdin.flush()
        assert running.stdout.readline() == "True\n"
        supervisor = Path("/proc") / str(client.helpers()["plait-supervise"])
        held.append(
            (len(list((supervisor / "fd").iterdir())), len(list((supervisor / "task").iterdir())))
        )
    assert max(held)[0] <= held[0][0] + 2  # those of the last connection
    assert {threads for _, threads in held} == {held[0][1]}
    running.communicate("")
    until(lambda: not client.helpers(), "nothing is left")


SERVERS = {
    "asyncio": """
import asyncio
async def serve(reader, writer):
    writer.write(repr(writer.get_extra_info("peername")[1]).encode() + b" " + await reader.read())
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 8000)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
""",
    "a process for each connection, IPv6": """
import socket, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(repr(self.client_address[1]).encode() + b" " + self.rfile.read())
class Server(socketserver.ForkingTCPServer):
    address_family = socket.AF_INET6
    request_queue_size = 100
server = Server(("::", 8000), Handler)
print("ready", flush=True)
server.serve_forever()
""",
    "processes that share a listener": """
import os, socket
listener = socket.create_server(("", 8000), backlog=100)
for _ in range(4):
    if os.fork() == 0:
        while True:
            peer, name = listener.accept()
            asked = b"".join(iter(lambda: peer.recv(999), b""))
            peer.sendall(repr(name[1]).encode() + b" " + asked)
            peer.close()
print("ready", flush=True)
os.wait()
""",
}


@pytest.mark.parametrize("code", SERVERS.values(), ids=SERVERS)
def test_every_kind_of_server_works(world: Machines, client: Commands, code: str) -> None:
    serving = client.start(
        *STACK, "--packet", "e0,local=10.1.0.77/24,gateway=10.1.0.1", "--",
        sys.executable, "-c", code, start_new_session=True,
    )  # fmt: skip
    assert serving.stdout is not None
    assert serving.stdout.readline() == "ready\n"

    def ask(number: int) -> bool:
        kinds = socket.AF_INET, socket.SOCK_STREAM, 262
        with world.server.run(lambda: socket.socket(*kinds)) as sock:
            sock.settimeout(20)
            sock.connect(("10.1.0.77", 8000))
            sock.sendall(b"%d" % number)
            sock.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: sock.recv(999), b""))
            is_mptcp = sock.getsockopt(socket.IPPROTO_TCP, _TCP_IS_MPTCP)
            return said == b"%d %d" % (sock.getsockname()[1], number) and bool(is_mptcp)

    try:
        with ThreadPoolExecutor(30) as pool:
            assert all(pool.map(ask, range(60)))
    finally:
        os.killpg(serving.pid, signal.SIGKILL)
    until(lambda: not client.helpers(), "nothing is left")

"""Programs of the standard library over blocking sockets: http.client, ssl, socketserver."""

from __future__ import annotations

import http.client
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from support.api_world import RESET, client_context, server_context
from support.socket_world import ROWS, Scenario, World, beside, exactly, play, until_true

from plait.linux.netns import Namespace, can_make_namespaces, veth_pair
from plait.linux.path_manager import SUBFLOW
from plait.sockets import Socket, create_connection, create_server
from plait.sockets import socket as make_socket

Run = Callable[[Scenario[Any]], Any]

PAGE = bytes(range(256)) * (4 << 12)  # 4 MiB


@pytest.fixture(params=ROWS)
def run(request: pytest.FixtureRequest) -> Run:
    row: str = request.param
    return lambda scenario: play(row, scenario)


class Handler(BaseHTTPRequestHandler):
    """Serves the page, or what `/length` asks for of it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.path[1:] or len(PAGE))
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(PAGE[:length])

    def log_message(self, *_: Any) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    """The standard library's, over our socket."""

    daemon_threads = True

    def __init__(self, sock: Socket) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        self.server_bind()
        self.server_activate()


@contextmanager
def serving(sock: Socket) -> Iterator[int]:
    """Serve pages, and give the port."""
    server = Server(sock)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(sock: socket.socket, length: int = len(PAGE)) -> None:
    """Ask for a page over an open connection, which stays open."""
    client = http.client.HTTPConnection("plait.test")
    client.sock = sock
    client.request("GET", f"/{length}")
    with client.getresponse() as response:
        assert response.status == 200
        assert response.read() == PAGE[:length]


def test_http_client_fetches_over_two_subflows(run: Run) -> None:
    def scenario(world: World) -> None:
        with serving(make_socket(**world.server)) as world.port:
            sock = world.connect()
            fetch(sock, 10)
            if world.multipath:
                until_true(lambda: len(sock.connection.paths) >= 2)
            fetch(sock)
            if world.multipath:
                assert len({path.local for path in sock.connection.paths}) == 2
            if world.row == "stack":
                assert all(one.tcp.bytes_received for one in sock.info.subflows)
            sock.close()

    run(scenario)


@pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root")
def test_http_client_fetches_over_two_cables() -> None:
    with Namespace() as near, Namespace() as far:
        for at in (1, 2):
            veth_pair(near, f"va{at}", far, f"vb{at}")
            near.add_address(f"va{at}", ip_interface(f"10.9.{at}.1/24"))
            far.add_address(f"vb{at}", ip_interface(f"10.9.{at}.2/24"))
        for namespace in (near, far):
            namespace.set_mptcp_limits(subflows=4, add_addr_accepted=4)
        near.add_mptcp_endpoint(ip_address("10.9.2.1"), 1, SUBFLOW)
        sock = far.run(lambda: make_socket(backend="kernel"))
        with serving(sock) as port:

            def work() -> set[str]:
                with create_connection(("10.9.1.2", port), 5, backend="kernel") as sock:
                    fetch(sock, 10)
                    until_true(lambda: len(sock.connection.paths) == 2)
                    fetch(sock)
                    return {str(path.local) for path in sock.connection.paths}

            assert near.run(work) == {"10.9.1.1", "10.9.2.1"}


@pytest.mark.rfc("6897", "6.1", "M6897-6.1-01")
def test_tls_both_ways(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.connect()
        connection = here.connection

        def serve() -> None:
            accepted = world.accept(server)
            with server_context().wrap_socket(accepted, server_side=True) as secured:
                assert exactly(secured, len(PAGE)) == PAGE
                secured.sendall(PAGE)

        with beside(serve):
            secured = client_context().wrap_socket(here, server_hostname="localhost")
            with secured:
                secured.sendall(PAGE)
                assert exactly(secured, len(PAGE)) == PAGE
        assert connection.info.backend == world.row

    run(scenario)


def test_tls_hears_of_a_reset(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.connect()

        def serve() -> None:
            there = world.accept(server)
            exactly(there, 10)
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            there.close()

        with beside(serve), pytest.raises((ConnectionResetError, BrokenPipeError)):
            client_context().wrap_socket(here, server_hostname="localhost")

    run(scenario)


def test_the_wrong_name_is_found_out(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.connect()

        def serve() -> None:
            accepted = world.accept(server)
            with pytest.raises((ssl.SSLError, ConnectionResetError)):  # the alert, or what follows
                server_context().wrap_socket(accepted, server_side=True)

        with beside(serve), pytest.raises(ssl.SSLCertVerificationError):
            client_context().wrap_socket(here, server_hostname="other.test")

    run(scenario)


EXITING = """
from ipaddress import ip_address
import threading
import plait
from plait.drivers.memory import pair
from plait.sockets import create_connection, create_server

near, far = pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")])
here, there = plait.Stack([near]), plait.Stack([far])
server = create_server(("", 0), stack=there)
sock = create_connection(("10.0.0.2", server.getsockname()[1]), stack=here)
accepted = server.accept()[0]

def read():
    octets = 0
    while data := accepted.recv(1 << 20):
        octets += len(data)
    print(octets, flush=True)

reader = threading.Thread(target=read)
reader.start()
sock.sendall(bytes(3 << 20))
sock.close()
"""


def test_a_process_may_end_at_any_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXITING], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{3 << 20}\n", "")


def test_create_connection_tries_every_address_and_tells_of_each(run: Run) -> None:
    def scenario(world: World) -> None:
        world.listen().close()
        where = (world.address, world.port)
        with pytest.raises(ConnectionRefusedError):
            create_connection(where, 5, **world.client)
        with pytest.raises(ExceptionGroup) as raised:
            create_connection(where, 5, all_errors=True, **world.client)
        assert [type(error) for error in raised.value.exceptions] == [ConnectionRefusedError]
        server = world.listen()
        with closing(world.connect(source_address=(world.local, 0))) as here:
            assert here.getsockname()[0] == world.local
            assert here.info.is_mptcp is world.multipath
            world.accept(server)

    run(scenario)


def test_servers_of_ipv6_and_shared_ports() -> None:
    def scenario(_: World) -> None:
        options: dict[str, Any] = {"family": socket.AF_INET6, "backend": "kernel"}
        with create_server(("::1", 0), **options) as server:
            port = server.getsockname()[1]
            with create_connection(("::1", port), 5, backend="kernel") as here:
                assert here.family == socket.AF_INET6
                server.accept()[0].close()
        with create_server(("", 0), dualstack_ipv6=True, reuse_port=True, **options) as server:
            port = server.getsockname()[1]
            create_server(("", port), reuse_port=True, **options).close()

    play("kernel", scenario)

"""Connecting a socket of a program that waits for another connection, on this kernel."""

from __future__ import annotations

import errno
import select
import socket
import time

import pytest

from plait.linux.rendezvous import Rendezvous, join

SOCKETS = {
    "IPv4": (socket.AF_INET, None),
    "IPv6": (socket.AF_INET6, None),
    "IPv6 only": (socket.AF_INET6, "only"),
    "bound": (socket.AF_INET, "127.0.0.5"),
    "bound to IPv6": (socket.AF_INET6, "::1"),
}

pytestmark = pytest.mark.parametrize("kind", SOCKETS)


def program(kind: str) -> socket.socket:
    family, how = SOCKETS[kind]
    sock = socket.socket(family)
    if how == "only":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    elif how is not None:
        sock.bind((how, 0))
    return sock


def happened(sock: socket.socket, milliseconds: int) -> int:
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    return next((events for _, events in poll.poll(milliseconds)), 0)


def test_a_socket_that_does_not_block_connects_when_it_is_met(kind: str) -> None:
    with program(kind) as sock, sock.dup() as ours:
        sock.settimeout(0)
        rendezvous = Rendezvous(ours)
        assert happened(sock, 100) == 0
        assert sock.connect_ex(("127.0.0.1", 9) if sock.family == 2 else ("::1", 9)) in {
            errno.EALREADY,
            errno.EINPROGRESS,
        }
        with rendezvous.meet() as end:
            assert happened(sock, 1000) == select.POLLOUT
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            for here, there in ((sock, end), (end, sock)):
                here.sendall(b"hello")
                assert happened(there, 1000) & select.POLLIN
                assert there.recv(10) == b"hello"


def test_one_that_is_not_met_is_refused(kind: str) -> None:
    with program(kind) as sock, sock.dup() as ours:
        sock.settimeout(0)
        began = time.monotonic()
        Rendezvous(ours).close()
        assert happened(sock, 3000) & select.POLLERR
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        assert time.monotonic() - began < 2.5


def test_a_blocking_one_is_joined_at_once(kind: str) -> None:
    with program(kind) as sock, sock.dup() as ours, join(ours) as end:
        sock.sendall(b"hello")
        assert happened(end, 1000) & select.POLLIN
        assert end.recv(10) == b"hello"
        assert not end.getblocking()

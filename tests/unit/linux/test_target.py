from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
from ipaddress import ip_address
from pathlib import Path

import pytest

from plait.errors import PrivilegeError
from plait.linux.target import Target, check_sight


@pytest.fixture
def us() -> Target:
    return Target(threading.get_native_id())


def test_what_can_be_learned_of_a_thread(us: Target) -> None:
    assert us.process() == os.getpid()
    assert us.file_owner() == (os.geteuid(), os.getegid())
    inside = Path("/proc/self/ns/net").stat()
    assert us.network_namespace() == (inside.st_dev, inside.st_ino)
    assert us.program() == Path("/proc/thread-self/comm").read_text().strip()


def test_what_has_ended_is_said_so() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    target = Target(gone.pid)
    assert target.program() == "?"
    for look in (target.process, target.network_namespace, target.file_owner):
        with pytest.raises(OSError, match="No such"):
            look()
    with pytest.raises(OSError, match="No such"):
        target.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    with pytest.raises(OSError, match="No such"):
        target.duplicate(0)


def test_memory_is_read_and_written(us: Target) -> None:
    memory = ctypes.create_string_buffer(b"\2\0\0\x50\x0a\0\0\1" + bytes(8))
    address = ctypes.addressof(memory)
    assert us.destination(address, 16) == (ip_address("10.0.0.1"), 80)
    us.write(address + 4, b"\x0b\0\0\2")
    assert us.destination(address, 1 << 20) == (ip_address("11.0.0.2"), 80)
    with pytest.raises(OSError, match="Bad address"):
        us.read(8, 16)
    with pytest.raises(OSError, match="Bad address"):
        us.write(8, b"x")


def test_a_copied_socket_is_the_same_one(us: Target) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with us.copy_socket(sock.fileno()) as copy:
            assert copy.getsockname() == sock.getsockname()
            assert not copy.get_inheritable()


def test_what_is_no_socket_is_not_copied(us: Target) -> None:
    reader, writer = os.pipe()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="non-socket"):
        us.copy_socket(reader)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("inheritable", [True, False])
def test_whether_a_descriptor_is_closed_on_exec(us: Target, inheritable: bool) -> None:
    with socket.socket() as sock:
        sock.set_inheritable(inheritable)
        assert us.closes_on_exec(sock.fileno()) is not inheritable


def test_a_socket_is_made_with_its_flags(us: Target) -> None:
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
    with us.make_socket(socket.AF_INET6, kind, 0) as sock:
        assert (sock.family, sock.type) == (socket.AF_INET6, socket.SOCK_STREAM)
        assert not os.get_blocking(sock.fileno())


def test_sight_is_checked_by_looking(us: Target) -> None:
    with socket.socket() as sock:
        check_sight(us, sock.fileno())
    with pytest.raises(PrivilegeError, match="ptrace_scope"):
        check_sight(Target(1 << 22), 0)

"""A program whose calls a steering answers, without a filter: it asks the steering itself."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from plait.linux.sockaddr import Destination, pack_sockaddr, parse_sockaddr
from plait.linux.steering import Answer, Call, Steering

SECONDS: Final = 5.0
_NAME_OCTETS: Final = 28


class Outcome:
    """What came of a call: it takes the place of the kernel's listener."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Answer | None = None
        self.told: Answer | None = None
        self.value = 0
        self.error = 0
        self.proceeds = False
        self.killed = False
        """The thread is gone: nothing can be sent to it."""

    def _settle(self, value: int, error: int = 0) -> None:
        if self.killed:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.value, self.error = value, error
        self.done.set()

    def proceed(self, call_id: int) -> None:
        self._settle(0)
        self.proceeds = True

    def result(self, call_id: int, value: int, error: int = 0) -> None:
        self._settle(value, error)

    def hand_over(self, call_id: int, fd: int, *, close_on_exec: bool) -> None:
        copy = os.dup(fd)
        os.set_inheritable(copy, not close_on_exec)
        try:
            self._settle(copy)
        except OSError:
            os.close(copy)
            raise


class Program:
    """Makes calls by way of a steering, which it starts."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering
        self._ids = count(1)
        self._outcomes: dict[int, Outcome] = {}
        steering.start(self)

    # ---- Answering

    def answer(self, call: Call, answer: Answer) -> None:
        outcome = self._outcomes[call.id]
        outcome.answer = answer
        try:
            answer.send(outcome, call)  # type: ignore[arg-type]  # what it needs of a listener
        except FileNotFoundError:
            assert outcome.killed
        finally:
            answer.release()

    def tell(self, call: Call, answer: Answer) -> None:
        self._outcomes[call.id].told = answer

    def waits(self, call: Call) -> bool:
        return not self._outcomes[call.id].killed

    # ---- calls

    def begin(self, name: str, *arguments: int) -> Outcome:
        """Make a call and return what may come of it."""
        outcome = Outcome()
        call = Call(name, next(self._ids), threading.get_native_id(), (*arguments, 0, 0, 0, 0))
        self._outcomes[call.id] = outcome
        answer = getattr(self._steering, f"on_{name}")(call)
        if not answer.deferred:
            self.answer(call, answer)
        return outcome

    def call(self, name: str, *arguments: int) -> Outcome:
        """Make a call and wait for what comes of it."""
        outcome = self.begin(name, *arguments)
        assert outcome.done.wait(SECONDS), name
        return outcome

    def connect(self, sock: socket.socket, to: Destination) -> Outcome:
        with _memory(pack_sockaddr(sock.family, to)) as (address, length):
            return self.call("connect", sock.fileno(), address, length)

    def bind(self, sock: socket.socket, here: Destination) -> Outcome:
        with _memory(pack_sockaddr(sock.family, here)) as (address, length):
            return self.call("bind", sock.fileno(), address, length)

    def listen(self, sock: socket.socket, backlog: int = 16) -> Outcome:
        return self.call("listen", sock.fileno(), backlog)

    def name(self, call: str, sock: socket.socket) -> Destination | None:
        """Return what `getpeername` or `getsockname` says; None if the kernel answers."""
        with _room() as (address, length):
            outcome = self.call(call, sock.fileno(), address, length)
            return None if outcome.proceeds else _read(address, length)

    def accept(self, sock: socket.socket, flags: int | None = None) -> tuple[socket.socket, Any]:
        """Accept and return connection and peer.  Raises OSError."""
        with _room() as (address, length):
            arguments = (sock.fileno(), address, length)
            if flags is None:
                outcome = self.call("accept", *arguments)
            else:
                outcome = self.call("accept4", *arguments, flags)
            if outcome.error:
                raise OSError(outcome.error, os.strerror(outcome.error))
            return socket.socket(fileno=outcome.value), _read(address, length)


@contextmanager
def _memory(octets: bytes) -> Iterator[tuple[int, int]]:
    """Yield address and length of some octets."""
    buffer = ctypes.create_string_buffer(octets, len(octets))
    yield ctypes.addressof(buffer), len(octets)


@contextmanager
def _room() -> Iterator[tuple[int, int]]:
    """Yield pointers to where a name goes, and to its length."""
    buffer = ctypes.create_string_buffer(_NAME_OCTETS + 4)
    length = ctypes.addressof(buffer) + _NAME_OCTETS
    ctypes.memmove(length, struct.pack("=I", _NAME_OCTETS), 4)
    yield ctypes.addressof(buffer), length


def _read(address: int, length: int) -> Destination | None:
    (octets,) = struct.unpack("=I", ctypes.string_at(length, 4))
    return parse_sockaddr(ctypes.string_at(address, octets))

"""What a supervisor answers: the seam between stopped calls and who decides about them.

The supervisor (`plait.linux.supervisor`) is a process of its own that receives stopped calls and
sends answers; a `Steering` decides.  To write one, subclass it:

    class OverStack(Steering):
        calls = ("socket", "connect", "getpeername")

        def start(self, answering):            # in the supervisor's process, before the command
            self._answering = answering        # keep it for answers that take time
            self._loop = start_a_thread()

        def on_socket(self, call):             # one method a call: on_ and its name
            return Proceed()                   # quick answers are returned ...

        def on_connect(self, call):
            destination = call.destination()   # reads the program's memory
            if destination is None:
                return Proceed()               # not of IP
            self._loop.submit(self._connect, call, destination)
            return LATER                       # ... slow ones come later, from any thread:

        def _connect(self, call, destination):
            ours, theirs = socket.socketpair()
            self._answering.answer(call, Replace(theirs, call.fd, result=0, got="MPTCP"))

Answers are `Proceed` (the program's own call happens), `Socket` (a new descriptor is the call's
result), `Replace` (another socket under the same descriptor; then the call happens, or has a
result) and `Result` (a value or an errno, nothing happens).  An answer with `got` is told by
`--explain`.  Whatever a method raises means Proceed, and a program that was killed while its call
was stopped swallows its answer.  `call.target` reads and writes the program's memory, copies its
descriptors and makes sockets in its network namespace.

One method runs at a time, and until it returns nobody's next call is received: never wait in it.
If the supervisor is killed, its guardian answers what is open, and all that follows, by Proceed.
"""

from __future__ import annotations

import ctypes
import socket
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from plait.linux.seccomp import Listener
from plait.linux.seccomp_filter import SOCK_TYPE_MASK
from plait.linux.sockaddr import Destination
from plait.linux.target import Target


class Call:
    """A system call that waits for its answer."""

    __slots__ = ("arguments", "id", "name", "slot", "target")

    def __init__(
        self, name: str, call_id: int, tid: int, arguments: tuple[int, ...], slot: int = -1
    ) -> None:
        self.name = name
        self.id = call_id
        self.target = Target(tid)
        self.arguments = arguments
        """The six words that were passed, unsigned; `fd` and others below read them."""

        self.slot = slot
        """The supervisor's: where the guardian will find it."""

    @property
    def fd(self) -> int:
        """The descriptor that a call other than `socket` is about."""
        return ctypes.c_int(self.arguments[0] & 0xFFFFFFFF).value

    @property
    def family(self) -> int:
        """`socket`: AF_INET or AF_INET6."""
        return self.arguments[0] & 0xFFFFFFFF

    @property
    def kind(self) -> int:
        """`socket`: SOCK_STREAM with the flags SOCK_CLOEXEC and SOCK_NONBLOCK."""
        return self.arguments[1] & 0xFFFFFFFF

    @property
    def flags(self) -> int:
        """`socket`: the flags alone."""
        return self.kind & ~SOCK_TYPE_MASK

    @property
    def protocol(self) -> int:
        """`socket`: 0 or IPPROTO_TCP."""
        return self.arguments[2] & 0xFFFFFFFF

    @property
    def backlog(self) -> int:
        """`listen`: how many connections may wait."""
        return ctypes.c_int(self.arguments[1] & 0xFFFFFFFF).value

    def destination(self) -> Destination | None:
        """`connect` and `bind`: address and port, None if not of IP.  Raises OSError."""
        return self.target.destination(self.arguments[1], self.arguments[2] & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a stopped call gets."""

    got: str | None = None
    """What `--explain` says that the program got, MPTCP or TCP; None: not worth telling."""

    why: str = ""

    to: Destination | None = None
    """Where the program wants to connect, if that is known."""

    deferred: ClassVar[bool] = False
    """The answer is yet to come."""

    def send(self, listener: Listener, call: Call) -> None:
        """Answer the call.  Raises OSError."""
        raise NotImplementedError

    def release(self) -> None:
        """Close what the answer holds: it was sent, or never will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proceed(Answer):
    """The call happens as the program made it."""

    def send(self, listener: Listener, call: Call) -> None:
        """Answer the call.  Raises OSError."""
        listener.proceed(call.id)


@dataclass(frozen=True, slots=True)
class Socket(Answer):
    """A copy of `sock` is put into the program, its number the result; `sock` is closed."""

    sock: socket.socket

    def send(self, listener: Listener, call: Call) -> None:
        """Answer the call.  Raises OSError, EMFILE among them; the call waits on then."""
        close_on_exec = bool(call.flags & socket.SOCK_CLOEXEC)
        listener.hand_over(call.id, self.sock.fileno(), close_on_exec=close_on_exec)

    def release(self) -> None:
        """Close our copy."""
        self.sock.close()


@dataclass(frozen=True, slots=True)
class Replace(Answer):
    """A copy of `sock` takes the place of the program's descriptor `fd`; `sock` is closed.

    Copies that the program made of the descriptor, and its registration with epoll, stay with
    the old one.
    """

    sock: socket.socket
    fd: int
    result: int | None = None
    """The call's result; None lets it happen, on the new socket."""

    def send(self, listener: Listener, call: Call) -> None:
        """Answer the call.  Raises OSError."""
        close_on_exec = call.target.closes_on_exec(self.fd)
        listener.replace(call.id, self.sock.fileno(), self.fd, close_on_exec=close_on_exec)
        if self.result is None:
            listener.proceed(call.id)
        else:
            listener.result(call.id, self.result)

    def release(self) -> None:
        """Close our copy."""
        self.sock.close()


@dataclass(frozen=True, slots=True)
class Result(Answer):
    """The call does not happen; the program sees a value, or an errno if `error` is not 0."""

    value: int = 0
    error: int = 0

    def send(self, listener: Listener, call: Call) -> None:
        """Answer the call.  Raises OSError."""
        listener.result(call.id, self.value, self.error)


@dataclass(frozen=True, slots=True)
class Later(Answer):
    """The answer comes by `Answering.answer`."""

    deferred: ClassVar[bool] = True


LATER: Final = Later()


class Answering(Protocol):
    """Where answers go that take time."""

    def answer(self, call: Call, answer: Answer) -> None:
        """Send the answer, once for each call, from any thread.  Never raises OSError."""

    def tell(self, call: Call, answer: Answer) -> None:
        """Say what the program got, where that is known only after the call was answered."""

    def waits(self, call: Call) -> bool:
        """Return whether the call still waits for its answer: its thread may be gone."""


class Steering:
    """Decides what stopped calls get; this one lets all of them happen."""

    calls: tuple[str, ...] = ("socket",)
    """Which calls to stop, names of `seccomp_filter.CALLS`."""

    killable: bool = True
    """Signals with a handler wait for the answer; False if answers may take long."""

    def start(self, answering: Answering) -> None:
        """Prepare, in the supervisor's process, before the command starts.

        Threads, sockets and devices belong here: the process that called the constructor
        becomes the command.  Raises UsageError, which ends `plait run` in one line.
        """

    def close(self) -> None:
        """The last program is gone: take everything away."""

    def on_socket(self, call: Call) -> Answer:
        """Answer a stream socket of IPv4 or IPv6 that is being made."""
        return Proceed()

    def on_connect(self, call: Call) -> Answer:
        """Answer a socket of any kind, even of AF_UNIX, that is being connected."""
        return Proceed()

    def on_call(self, call: Call) -> Answer:
        """Answer any call that has no method of its own."""
        return Proceed()

"""Sockets over a stack of plait's own."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Self

from plait.addresses import IpAddress
from plait.aio.connection import Connection, LocalAddress, endpoint_of
from plait.aio.stack import Stack
from plait.aio.subflow_options import no_such_option
from plait.host.settings import Settings
from plait.sockets import stack_options
from plait.sockets.base import Socket
from plait.sockets.errors import as_os_errors, invalid, not_connected, os_error
from plait.sockets.listener import Listener, probe_port
from plait.sockets.loop import call, check_outside, loop_of
from plait.sockets.relay import Relay
from plait.sockets.threaded import ThreadedConnection

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_ANY: Final = {"", "0.0.0.0", "::"}  # noqa: S104  compared, not bound
_FILLING: Final = (65536, 4096, 256, 1)


class StackSocket(Socket):
    """A socket over a stack: one end of a pair, with a relay to the connection at the other.

    Data passes through the pair by the descriptor; what concerns names, options and opening is
    done here.  `dup`, `detach` and TLS keep the data flowing, and leave the rest behind.

    Args:
        application: The application's end, taken over.
        pipe: The other end, until the socket connects or listens; None afterwards.
        family: AF_INET or AF_INET6.
        stack: What it runs on.
        reason: Why, if something else was preferred.
        relay: Of the connection, if there is one.

    Attributes:
        settings: What the connection is to be like, or is.
        listener: What takes connections for it, if it listens.
    """

    def __init__(
        self,
        application: socket.socket,
        pipe: socket.socket | None,
        family: int,
        stack: Stack,
        reason: str | None = None,
        relay: Relay | None = None,
    ) -> None:
        timeout = application.gettimeout()
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, application.detach())
        self.settimeout(timeout)
        self._pipe = pipe
        self._stack = stack
        self._loop = loop_of(stack)
        self._reason = reason
        self._relay = relay
        self.listener: Listener | None = None
        self.settings = stack.settings
        self._enabled: bool | None = None
        self._bound: tuple[str, int] | None = None
        self._resetting = False
        self._flags: dict[tuple[int, int], int | bytes] = {}
        self._connection: ThreadedConnection | None = None

    # ---- Multipath TCP

    @property
    def connection(self) -> Connection:
        """What can be asked of the open connection and done to it, by calls into its loop."""
        if not self.is_connected:
            raise not_connected()
        if self._connection is None:
            assert self._relay is not None
            assert self._relay.connection is not None
            self._connection = ThreadedConnection(self._loop, self._relay.connection)
        return self._connection

    @property
    def is_connected(self) -> bool:
        """Whether the socket has been connected, or came from `accept`."""
        return self._relay is not None and self._relay.connection is not None

    @property
    def wants_multipath(self) -> bool:
        """Whether Multipath TCP will be tried: not from one address, unless that was asked for."""
        if self._enabled is None and self._bound is not None and self._bound[0] not in _ANY:
            return False  # RFC 6897, 4.2.1
        return self.settings.mptcp if self._enabled is None else self._enabled

    def wish(self, *, multipath: bool) -> None:
        """Choose whether to try Multipath TCP."""
        self._enabled = multipath

    def add_local(self, addresses: Sequence[LocalAddress]) -> None:
        """Let a connection that is yet to be opened use these addresses and no others."""
        pairs = [endpoint_of(one) for one in addresses]
        for address, _ in pairs:
            self._check_local(address)
        self._choose([*self.settings.chosen, *pairs])

    def remove_local(self, addresses: Sequence[LocalAddress]) -> None:
        """Take some of them away again."""
        gone = {endpoint_of(one)[0] for one in addresses}
        chosen = self.settings.chosen or [(address, 0) for address in self._stack.addresses]
        left = [one for one in chosen if one[0] not in gone]
        if not left:
            raise invalid("no address would be left")
        self._choose(left)

    # ---- opening

    def bind(self, address: Any, /) -> None:
        """Choose local address and port; 0 takes a free port."""
        host, port = self._resolved(address)[:2]
        if self._relay is not None or self.listener is not None or self._bound is not None:
            raise invalid("the socket is bound or connected already")
        if host not in _ANY:
            self._check_local(ip_address(host))
        wanted = None if host in _ANY else host
        self._bound = (host, call(self._loop, lambda: probe_port(self._stack, wanted, port)))

    def listen(self, backlog: int = 128, /) -> None:
        """Accept connections, as many as `backlog` before they are taken."""
        if self._relay is not None:
            raise invalid("the socket is connected")
        if self._pipe is None:
            return
        host, port = self._bound or ("", 0)
        listener = Listener(self._loop, self._pipe, backlog)
        settings = replace(self.settings, mptcp=self.wants_multipath)
        wanted = None if host in _ANY else host

        def work() -> int:
            return listener.open(self._stack, wanted, port, settings, self._reason)

        self._bound = (host, call(self._loop, work))
        self.listener, self._pipe = listener, None

    def accept(self) -> tuple[StackSocket, Any]:
        """Return a socket for the next connection and the peer's address."""
        if self.listener is None:
            raise invalid("the socket does not listen")
        if not super().recv(1):
            raise invalid("the socket listens no more")
        application, relay = self.listener.waiting.popleft()
        made = StackSocket(application, None, self.family, self._stack, self._reason, relay)
        made.settings = self.settings
        if socket.getdefaulttimeout() is None and self.gettimeout():
            made.settimeout(None)
        return made, relay.peername

    def connect(self, address: Any, /) -> None:
        """Connect; a non-blocking socket is writable once it is decided how that went."""
        number = self._begin(address)
        if number:
            raise os_error(number)
        assert self._relay is not None
        if self.gettimeout() == 0:
            raise BlockingIOError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS))
        if not self._relay.decided.wait(self.gettimeout()):
            self._call(self._relay.give_up)
            raise TimeoutError("timed out")
        error = self._relay.take_error()
        if error is not None:
            raise error

    def connect_ex(self, address: Any, /) -> int:
        """Connect and return an errno, 0 if it went well."""
        try:
            self.connect(address)
        except TimeoutError as error:
            return error.errno or errno.EAGAIN
        except OSError as error:
            if error.errno is None or isinstance(error, socket.gaierror):
                raise
            return error.errno
        return 0

    # ---- names and options

    def getpeername(self) -> Any:
        """Return the remote address of the first subflow, even when that is gone."""
        if not self.is_connected:
            raise not_connected()
        assert self._relay is not None
        return self._relay.peername

    def getsockname(self) -> Any:
        """Return the local address of the first subflow, even when that is gone."""
        if self._relay is not None and self._relay.sockname is not None:
            return self._relay.sockname
        host, port = self._bound or ("", 0)
        if self.family == socket.AF_INET6:
            return (host or "::", port, 0, 0)
        return (host or "0.0.0.0", port)  # noqa: S104  what sockets tell

    def _set(self, level: int, optname: int, value: Any, optlen: int | None) -> None:
        if value is None or optlen is not None:
            raise no_such_option()
        if (level, optname) == (socket.SOL_SOCKET, socket.SO_LINGER):
            super(socket.socket, self).setsockopt(level, optname, value)
            self._resetting = stack_options.is_reset(value)
            if self._relay is not None:
                self._relay.resetting = self._resetting
        elif (level, optname) in stack_options.RECORDED:
            self._flags[level, optname] = value
        elif self._relay is None and self.listener is None:
            changed = stack_options.setting(level, optname, value)
            with as_os_errors():
                self.settings = replace(self.settings, **changed)
        else:
            changed = stack_options.live_setting(level, optname, value)
            with as_os_errors():
                self.connection.change(**changed)
            self.settings = replace(self.settings, **changed)

    def _get(self, level: int, optname: int, buflen: int) -> Any:
        if (level, optname) == (socket.SOL_SOCKET, socket.SO_ERROR):
            error = self._relay.take_error() if self._relay is not None else None
            found: int | bytes = 0 if error is None else error.errno or errno.EIO
        elif (level, optname) == (socket.SOL_SOCKET, socket.SO_LINGER):
            return super(socket.socket, self).getsockopt(level, optname, buflen)
        elif (level, optname) == (socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found = int(self.listener is not None)
        elif (level, optname) == (socket.SOL_SOCKET, socket.SO_DOMAIN):
            found = int(self.family)
        elif (level, optname) in stack_options.RECORDED:
            found = self._flags.get((level, optname), 0)
        else:
            info = self.info if self.is_connected else None
            found = stack_options.read(level, optname, self.settings, info)
        return stack_options.answer(found, buflen)

    # ---- data

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive as sockets do."""
        data: bytes = self._checked(lambda: super(StackSocket, self).recv(bufsize, flags))
        if not data and bufsize:
            self._raise_error()
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive as sockets do."""
        count: int = self._checked(
            lambda: super(StackSocket, self).recv_into(buffer, nbytes, flags)
        )
        if not count and memoryview(buffer).nbytes:
            self._raise_error()
        return count

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send as sockets do."""
        self._check_flags(flags)
        sent: int = self._checked(lambda: super(StackSocket, self).send(data, flags))
        return sent

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Send all as sockets do."""
        self._check_flags(flags)
        self._checked(lambda: super(StackSocket, self).sendall(data, flags))

    def dup(self) -> Self:
        """Return another socket for the same connection."""
        application = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, os.dup(self.fileno()))
        application.settimeout(self.gettimeout())
        made = type(self)(application, None, self.family, self._stack, self._reason, self._relay)
        made.settings = self.settings
        made.listener = self.listener
        return made

    def _real_close(self, *arguments: Any) -> None:
        """Close the descriptor; the relay finds out by itself, but not while it connects."""
        super()._real_close(*arguments)  # type: ignore[misc]  # not in typeshed
        if self._pipe is not None:
            self._pipe.close()
        relay = self._relay
        if relay is not None and (relay.resetting or not relay.decided.is_set()):
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(relay.give_up)
                self._loop.call_soon_threadsafe(relay.look)

    # ----

    def _begin(self, address: Any) -> int:
        """Begin to connect; return 0 or why not, as an errno."""
        if self._relay is not None:
            return errno.EISCONN if self._relay.connection else errno.EALREADY
        if self._pipe is None:
            return errno.EINVAL
        remote = self._resolved(address)
        blocking = self.gettimeout() != 0
        if blocking:
            check_outside(self._loop)
        relay = Relay(self._loop, self, self._pipe)
        relay.resetting = self._resetting
        if not blocking:
            relay.junk = self._fill()
        self._pipe, self._relay = None, relay
        settings = replace(self.settings, mptcp=self.wants_multipath)
        local = self._bound
        if local is not None and local[0] in _ANY:
            local, settings = self._anywhere(remote, local[1], settings)
        self._call(lambda: relay.open(self._stack, remote, local, settings, self._reason))
        return 0

    def _anywhere(
        self, remote: tuple[Any, ...], port: int, settings: Settings
    ) -> tuple[tuple[str, int] | None, Settings]:
        """Return an address to connect from at a port, and settings that allow all the others."""
        version = ip_address(remote[0]).version
        ours = [address for address in self._stack.addresses if address.version == version]
        if not ours:
            return None, settings
        if not settings.local_addresses:
            every = ", ".join(str(address) for address in self._stack.addresses)
            settings = replace(settings, local_addresses=every)
        return (str(ours[0]), port), settings

    def _fill(self) -> int:
        """Fill the pair, so that the socket is not writable; return with how many octets."""
        count = 0
        for size in _FILLING:
            with contextlib.suppress(BlockingIOError):
                while True:
                    count += super().send(bytes(size))
        return count

    def _resolved(self, address: Any) -> tuple[Any, ...]:
        """Return the first address of a name, of this socket's family."""
        if not isinstance(address, tuple) or len(address) < 2:
            raise TypeError("an address is a tuple of host and port")
        host, port = address[:2]
        if host == "":
            return address
        flags = socket.AI_PASSIVE
        found = socket.getaddrinfo(host, port, self.family, socket.SOCK_STREAM, 0, flags)
        return found[0][4]

    def _check_local(self, address: IpAddress) -> None:
        if address not in self._stack.addresses:
            raise os_error(errno.EADDRNOTAVAIL, f"{address} is no address of this stack")

    def _choose(self, endpoints: Sequence[tuple[IpAddress, int]]) -> None:
        texts = [f"[{address}]:{port}" if port else str(address) for address, port in endpoints]
        self.settings = replace(self.settings, local_addresses=", ".join(texts))

    def _checked(self, work: Callable[[], Any]) -> Any:
        """Do `work` on the descriptor, with the errors that TCP would have."""
        relay = self._relay
        if relay is None:
            raise not_connected()
        if relay.connection is None and not relay.failed and self.gettimeout() == 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            return work()
        except (ConnectionResetError, BrokenPipeError):
            self._raise_error()
            raise

    def _raise_error(self) -> None:
        """Raise what ended the connection, if nobody was told."""
        error = self._relay.take_error() if self._relay is not None else None
        if error is not None:
            raise error

    @staticmethod
    def _check_flags(flags: int) -> None:
        if flags & socket.MSG_OOB:
            raise os_error(errno.EOPNOTSUPP, "urgent data is not for new programs (RFC 6093, 5)")

    def _call(self, work: Callable[[], Any]) -> None:
        call(self._loop, work)

"""Sockets over plait's own stack, as scripts call them.

A call that has to wait raises `Blocked`; the back end lets virtual time pass and calls again.
"""

from __future__ import annotations

import errno
import os
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from plait.addresses import IpAddress, unmapped
from plait.errors import UsageError
from plait.host.events import (
    Accepted,
    Closed,
    Established,
    Event,
    LossReason,
    Lost,
    Readable,
    Writable,
)
from plait.host.host import Host
from plait.host.settings import Settings
from plait.script.errors import UnsupportedError
from plait.script.sockets import Sockets
from plait.script.stack_info import has_cookie, tcp_info
from plait.script.stack_options import OPTIONS
from plait.script.symbols import constant
from plait.units import MILLISECOND, Nanos

_NONBLOCK: Final = 0x800
_DONTWAIT: Final = 0x40
_NOSIGNAL: Final = 0x4000
_URGENT: Final = constant("MSG_OOB")
_MPTCP: Final = 262
_FAST_OPEN: Final = constant("MSG_FASTOPEN")
_SOL_SOCKET: Final = constant("SOL_SOCKET")
_SO_ERROR: Final = constant("SO_ERROR")
_SO_LINGER: Final = constant("SO_LINGER")
_TCP_IS_MPTCP: Final = constant("TCP_IS_MPTCP")
_TCP_INFO: Final = constant("TCP_INFO")
_POLLIN: Final = 0x001
_POLLOUT: Final = 0x004
_POLLERR: Final = 0x008
_POLLHUP: Final = 0x010
_POLLRDHUP: Final = 0x2000
_FIRST: Final = 1000
"""The first handle; scripts' own descriptors are small, so that a mix-up shows."""

_INT: Final = struct.Struct("i")

_ERRORS: Final = {
    LossReason.REFUSED: errno.ECONNREFUSED,
    LossReason.RESET: errno.ECONNRESET,
    LossReason.TIMED_OUT: errno.ETIMEDOUT,
    LossReason.UNREACHABLE: errno.EHOSTUNREACH,
    LossReason.ABORTED: errno.ECONNABORTED,
}


class Blocked(Exception):
    """The call has to wait, at most `timeout`; None is for ever."""

    def __init__(self, timeout: Nanos | None = None) -> None:
        super().__init__(timeout)
        self.timeout = timeout


class _Socket:
    """One socket of the script."""

    def __init__(self, settings: Settings, *, blocking: bool) -> None:
        self.settings = settings
        self.blocking = blocking
        self.address: IpAddress | None = None
        self.port = 0
        self.listener_id: int | None = None
        self.queue: deque[int] = deque()
        """Connections that wait for accept."""

        self.connection_id: int | None = None
        self.opened = False
        self.connecting = False
        """No connect has returned 0 yet."""

        self.error = 0
        """What SO_ERROR, or the next call, returns."""

        self.gone = False
        """The connection ended; its id says nothing any more."""

        self.stirred = False
        """Something arrived: data, or the end of the stream if there are none."""

        self.shut = False
        """Our direction is closed."""

        self.written = 0
        """What a write that waits could send."""

        self.starved = False
        self.consumed = 0
        self.linger: tuple[int, int] = (0, 0)


class StackSockets(Sockets):
    """Sockets of one host."""

    def __init__(self, host: Host, settings: Settings, now: Callable[[], Nanos]) -> None:
        self._host = host
        self.settings = settings
        """Of new sockets; sysctls change it."""

        self.expired = False
        """The time of a call that waits is over."""

        self.now = now
        self._sockets: dict[int, _Socket] = {}
        self._of_connection: dict[int, _Socket] = {}
        self._early: dict[int, list[Event]] = {}
        """Events of connections that nobody accepted yet."""

    def _get(self, handle: int) -> _Socket:
        sock = self._sockets.get(handle)
        if sock is None:
            raise _error(errno.EBADF)
        return sock

    def _add(self, sock: _Socket) -> int:
        handle = _FIRST + len(self._sockets)
        while handle in self._sockets:
            handle += 1
        self._sockets[handle] = sock
        return handle

    # ---- events

    def deliver(self, events: list[Event]) -> None:
        """Take what the host tells."""
        for event in events:
            if isinstance(event, Accepted):
                for sock in self._sockets.values():
                    if sock.listener_id == event.listener_id:
                        sock.queue.append(event.connection_id)
                continue
            found = self._of_connection.get(event.connection_id)
            if found is None:
                self._early.setdefault(event.connection_id, []).append(event)
            else:
                _apply(found, event)

    # ---- opening

    def socket(self, family: int, kind: int, protocol: int) -> int:
        """Make one: Multipath TCP for protocol 262."""
        del family
        settings = replace(self.settings, mptcp=protocol == _MPTCP)
        return self._add(_Socket(settings, blocking=not kind & _NONBLOCK))

    def bind(self, handle: int, address: IpAddress, port: int) -> None:
        """Remember the address."""
        sock = self._get(handle)
        sock.address, sock.port = unmapped(address), port
        if int(sock.address) == 0:
            sock.address = None

    def listen(self, handle: int, backlog: int) -> None:
        """Accept connections from now on."""
        sock = self._get(handle)
        sock.settings = replace(sock.settings, backlog=max(1, backlog))
        try:
            sock.listener_id = self._host.listen(
                self.now(), sock.port, address=sock.address, settings=sock.settings
            )
        except UsageError:
            raise _error(errno.EADDRINUSE) from None

    def accept(self, handle: int, flags: int) -> int:
        """Return the handle of a connection that is open."""
        listener = self._get(handle)
        if listener.listener_id is None:
            raise _error(errno.EINVAL)
        if not listener.queue:
            raise self._must_wait(listener, 0)
        connection_id = listener.queue.popleft()
        sock = _Socket(listener.settings, blocking=not flags & _NONBLOCK)
        sock.connection_id = connection_id
        sock.opened = True
        self._of_connection[connection_id] = sock
        for event in self._early.pop(connection_id, []):
            _apply(sock, event)
        return self._add(sock)

    def connect(self, handle: int, address: IpAddress, port: int) -> None:
        """Open a connection."""
        sock = self._get(handle)
        if sock.error:
            raise _error(_take_error(sock))
        if sock.opened:
            if sock.connecting:
                sock.connecting = False
                return
            raise _error(errno.EISCONN)
        if sock.connection_id is None:
            sock.connection_id = self._connect(sock, address, port, b"")
            sock.connecting = True
            if not sock.blocking:
                raise _error(errno.EINPROGRESS)
        elif not sock.blocking:
            raise _error(errno.EALREADY)
        raise self._must_wait(sock, 0)

    @staticmethod
    def _must_wait(sock: _Socket, flags: int) -> Exception:
        """Return EAGAIN, or what makes the call block."""
        if not sock.blocking or flags & _DONTWAIT:
            return _error(errno.EAGAIN)
        return Blocked()

    # ---- data

    def read(self, handle: int, limit: int, flags: int) -> bytes:
        """Return what arrived."""
        sock = self._get(handle)
        _check_flags(flags)
        if sock.error:
            raise _error(_take_error(sock))
        if sock.connection_id is None:
            raise _error(errno.ENOTCONN)
        if sock.gone:
            return b""
        if not sock.opened:
            raise self._must_wait(sock, flags)
        data = self._host.read(self.now(), sock.connection_id, limit)
        if data is None:
            sock.stirred = False
            raise self._must_wait(sock, flags)
        sock.consumed += len(data)
        sock.stirred = self._host.at_end(sock.connection_id) or self._unread(sock) > 0
        return data

    def write(self, handle: int, data: bytes, flags: int) -> int:
        """Send, and return how much was taken."""
        sock = self._get(handle)
        _check_flags(flags & ~_URGENT)
        if sock.error:
            raise _error(_take_error(sock))
        if sock.connection_id is None or sock.shut or sock.gone:
            raise _error(errno.EPIPE)
        if not sock.opened:
            raise self._must_wait(sock, flags)
        sock.written += self._host.write(
            self.now(), sock.connection_id, data[sock.written :], urgent=bool(flags & _URGENT)
        )
        sock.starved = sock.written < len(data)
        if sock.starved and (not sock.written or (sock.blocking and not flags & _DONTWAIT)):
            raise self._must_wait(sock, flags)
        taken, sock.written = sock.written, 0
        return taken

    def send_to(
        self, handle: int, data: bytes, flags: int, target: tuple[IpAddress, int] | None
    ) -> int:
        """Send; with MSG_FASTOPEN the SYN may carry the data (RFC 7413)."""
        sock = self._get(handle)
        if not flags & _FAST_OPEN or target is None or sock.connection_id is not None:
            return self.write(handle, data, flags & ~_FAST_OPEN)
        address, port = target
        sock.settings = replace(sock.settings, fast_open="client")
        sock.connection_id = self._connect(sock, address, port, data)
        if sock.blocking or has_cookie(self._host, sock.connection_id):
            return len(data)
        # As on Linux the data is not taken: the application writes it once the connection is open.
        del self._of_connection[sock.connection_id]
        self._host.abort(self.now(), sock.connection_id)
        sock.connection_id = self._connect(sock, address, port, b"")
        sock.connecting = True
        raise _error(errno.EINPROGRESS)

    def _connect(self, sock: _Socket, address: IpAddress, port: int, data: bytes) -> int:
        """Begin a connection and return its id."""
        connection_id = self._host.connect(
            self.now(),
            unmapped(address),
            port,
            local=sock.address,
            local_port=sock.port,
            settings=sock.settings,
            data=data,
        )
        self._of_connection[connection_id] = sock
        return connection_id

    # ---- closing

    def close(self, handle: int) -> None:
        """Close it; with unread data, or with a linger time of zero, reset the connection."""
        sock = self._get(handle)
        del self._sockets[handle]
        now = self.now()
        if sock.listener_id is not None:
            self._host.close_listener(now, sock.listener_id)
            for connection_id in sock.queue:
                self._host.abort(now, connection_id)
        if sock.connection_id is None or sock.gone:
            return
        if sock.linger == (1, 0) or self._unread(sock) or not sock.opened:
            self._host.abort(now, sock.connection_id)
        else:
            self._host.release(now, sock.connection_id)

    def shutdown(self, handle: int, how: int) -> None:
        """Close our direction; what closing the other would do shows nowhere on the wire."""
        sock = self._get(handle)
        if sock.connection_id is None or sock.gone or not sock.opened:
            raise _error(errno.ENOTCONN)
        if how >= 1 and not sock.shut:
            sock.shut = True
            self._host.close(self.now(), sock.connection_id)

    def _unread(self, sock: _Socket) -> int:
        if sock.connection_id is None or sock.gone:
            return 0
        return self._host.info(sock.connection_id).bytes_received - sock.consumed

    # ---- the rest

    def blocking(self, handle: int) -> bool:
        """Return whether calls wait."""
        return self._get(handle).blocking

    def set_blocking(self, handle: int, blocking: bool) -> None:
        """Choose whether calls wait."""
        self._get(handle).blocking = blocking

    def poll(self, wanted: list[tuple[int, int]], timeout_ms: int) -> list[int]:
        """Return what is ready of each handle."""
        always = _POLLERR | _POLLHUP
        ready = [self._ready(self._get(handle)) & (events | always) for handle, events in wanted]
        if any(ready) or self.expired or timeout_ms == 0:
            return ready
        raise Blocked(None if timeout_ms < 0 else timeout_ms * MILLISECOND)

    def _ready(self, sock: _Socket) -> int:
        if sock.listener_id is not None:
            return _POLLIN if sock.queue else 0
        if sock.connection_id is None:
            return _POLLOUT | _POLLHUP
        if sock.gone:
            error = _POLLERR if sock.error else 0
            return _POLLIN | _POLLOUT | _POLLHUP | _POLLRDHUP | error
        if not sock.opened:
            return 0
        ready = 0 if sock.starved else _POLLOUT
        if self._unread(sock):
            ready |= _POLLIN
        elif sock.stirred:
            ready |= _POLLIN | _POLLRDHUP | (_POLLHUP if sock.shut else 0)
        return ready

    def pending(self, handle: int, request: int) -> int:
        """Return the octets that are unread."""
        if request != constant("FIONREAD"):
            raise UnsupportedError("ioctl SIOCOUTQ on plait's stack")
        return self._unread(self._get(handle))

    def get_option(self, handle: int, level: int, option: int, length: int) -> bytes:
        """Return a socket option."""
        sock = self._get(handle)
        if (level, option) == (_SOL_SOCKET, _SO_ERROR):
            return _INT.pack(_take_error(sock))
        if (level, option) == (_SOL_SOCKET, _SO_LINGER):
            return struct.pack("ii", *sock.linger)
        if option == _TCP_IS_MPTCP:
            speaks = sock.settings.mptcp
            if sock.connection_id is not None and not sock.gone:
                speaks = self._host.info(sock.connection_id).is_mptcp
            return _INT.pack(int(speaks))
        if option == _TCP_INFO:
            return b""
        row = OPTIONS.get((level, option))
        if row is None:
            raise UnsupportedError(f"socket option {option} of level {level} on plait's stack")
        if row.field == "congestion":
            return sock.settings.congestion.encode()[:length]
        return _INT.pack(row.value(sock.settings))

    def set_option(self, handle: int, level: int, option: int, value: bytes) -> None:
        """Set a socket option; most only count before the connection opens."""
        sock = self._get(handle)
        if (level, option) == (_SOL_SOCKET, _SO_LINGER):
            sock.linger = struct.unpack("ii", value)
            return
        row = OPTIONS.get((level, option))
        if row is None:
            raise UnsupportedError(f"socket option {option} of level {level} on plait's stack")
        number: Any = int.from_bytes(value[:4], "little", signed=True)
        if row.field == "congestion":
            number = value.rstrip(b"\0").decode()
        try:
            changed = replace(sock.settings, **row.setting(number))
        except UsageError:
            raise _error(errno.ENOENT) from None
        if changed != sock.settings and sock.connection_id is not None:
            self._change(sock, row.name, changed)
        sock.settings = changed

    def _change(self, sock: _Socket, name: str, settings: Settings) -> None:
        """Change the settings of a connection that exists."""
        assert sock.connection_id is not None
        if sock.gone:
            return
        try:
            self._host.change(self.now(), sock.connection_id, settings)
        except UsageError:
            raise UnsupportedError(f"{name} of an open connection on plait's stack") from None

    def tcp_info(self, handle: int) -> dict[str, int]:
        """Return what the stack knows of struct tcp_info."""
        sock = self._get(handle)
        if sock.connection_id is None or sock.gone:
            return {"tcpi_state": 7}
        return tcp_info(self._host, self.now(), sock.connection_id)


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _take_error(sock: _Socket) -> int:
    code, sock.error = sock.error, 0
    return code


def _check_flags(flags: int) -> None:
    unknown = flags & ~(_DONTWAIT | _NOSIGNAL)
    if unknown:
        raise UnsupportedError(f"MSG flags {unknown:#x} on plait's stack")


def _apply(sock: _Socket, event: Event) -> None:
    """Take an event of one connection."""
    match event:
        case Established():
            sock.opened = True
        case Lost(reason=reason):
            sock.gone = True
            sock.error = _ERRORS[reason]
        case Closed():
            sock.gone = True
        case Writable():
            sock.starved = False
        case Readable():
            sock.stirred = True

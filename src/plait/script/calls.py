"""System calls of a script: what is passed, what comes back, and whether that is right."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

from plait.addresses import IpAddress
from plait.script.backend import Outcome, Task
from plait.script.conversation import Conversation
from plait.script.errors import Difference, Mismatch, UnsupportedError
from plait.script.sockets import Sockets
from plait.script.symbols import constant, errno_name, number, text
from plait.script.syntax import (
    Anything,
    Array,
    CallSpec,
    Expression,
    Function,
    Struct,
    Text,
    Word,
)

_NONBLOCK: Final = 0x800
_READ_WRITE: Final = 0x2
_GETFL: Final = 3
_SETFL: Final = 4
_INT: Final = struct.Struct("i")
_LINGER: Final = struct.Struct("ii")

Work: TypeAlias = Callable[[], Outcome]


class Caller:
    """Makes the calls of one run; scripts' descriptors are names for the back end's handles."""

    def __init__(self, sockets: Sockets, conversation: Conversation) -> None:
        self._sockets = sockets
        self._conversation = conversation
        self._handles: dict[int, int] = {}
        self.under_test: int | None = None
        """Handle of the connection that TCP_INFO is about."""

    def prepare(self, call: CallSpec) -> Work:
        """Return the work of a call.  Raises UnsupportedError."""
        maker = _CALLS.get(call.name)
        if maker is None:
            raise UnsupportedError(f"syscall {call.name}")
        try:
            return maker(self, list(call.arguments))
        except IndexError:
            raise UnsupportedError(f"syscall {call.name} with so few arguments") from None

    def check(self, call: CallSpec, task: Task) -> None:
        """Raise Mismatch if a call that returned did not do what the script says."""
        if task.error is not None:
            actual = f"-1 {errno_name(task.error.errno or 0)}"
        else:
            actual = str(task.outcome[0])
        if isinstance(call.result, Anything):
            expected = actual
        elif call.errno is not None:
            expected = f"-1 {call.errno}"
        else:
            expected = str(number(call.result))
        if call.name in _MAKERS and task.error is None and call.errno is None:
            if not isinstance(call.result, Anything):
                self._handles[number(call.result)] = task.outcome[0]
            expected = actual
        if expected != actual:
            found = (Difference("result", expected, actual),)
            raise Mismatch(f"{call.name} returned something else", found, call.text)
        if task.error is None:
            self._check_outputs(call, task.outcome[1])
        if call.name in {"accept", "accept4"} and task.error is None:
            self.under_test = task.outcome[0]
        elif call.name == "connect":
            self.under_test = self.handle(call.arguments[0])

    def _check_outputs(self, call: CallSpec, output: object) -> None:
        """Compare what a call wrote to memory with what the script shows there."""
        wanted: Expression = Anything()
        found: tuple[str, str] | None = None
        if call.name == "getsockopt" and isinstance(output, bytes):
            found = _differs(call.arguments[3], output)
        elif call.name == "ioctl" and isinstance(output, int):
            found = _differs(call.arguments[2], _INT.pack(output))
        elif call.name in {"read", "recv", "recvfrom"} and isinstance(output, bytes):
            wanted = call.arguments[1]
            if isinstance(wanted, Text):
                seen = output[: len(wanted.value)] if wanted.prefix else output
                found = None if seen == wanted.value else (repr(wanted.value), repr(seen))
        elif call.name == "poll" and isinstance(output, list):
            found = self._differs_poll(call, output)
        if found is not None:
            difference = Difference("output", *found)
            raise Mismatch(f"{call.name} gave something else", (difference,), call.text)

    @staticmethod
    def _differs_poll(call: CallSpec, output: list[int]) -> tuple[str, str] | None:
        for entry, actual in zip(_items(call.arguments[0]), output, strict=True):
            wanted = entry.get("revents") if isinstance(entry, Struct) else None
            if wanted is not None and not isinstance(wanted, Anything):
                expected = number(wanted)
                if expected != actual:
                    return f"revents {expected:#x}", f"{actual:#x}"
        return None

    # ---- arguments

    def handle(self, value: Expression) -> int:
        """Return the handle that a descriptor of the script names."""
        descriptor = number(value)
        if descriptor not in self._handles:
            return -1
        return self._handles[descriptor]

    def _target(self, value: Expression, port: int, host: IpAddress) -> tuple[IpAddress, int]:
        """Return the address and port of a socket address; `...` is the given one."""
        config = self._conversation.config
        if isinstance(value, Struct):
            host, port = _socket_address(value)
        elif not isinstance(value, Anything):
            raise UnsupportedError("a socket address of this form")
        if config.mapped and host.version == 4:
            host = ip_address(f"::ffff:{host}")
        return host, port

    def _data(self, value: Expression, count: int) -> bytes:
        """Return what a write sends: text of the script, or zeros."""
        if isinstance(value, Anything):
            return bytes(count)
        data = text(value)[:count].ljust(count, b"\0")
        self._conversation.free_payload = self._conversation.free_payload or any(data)
        return data

    # ---- the calls

    def socket(self, arguments: list[Expression]) -> Work:
        """Make a socket of the run's address family."""
        family = constant(self._conversation.config.family)
        if not isinstance(arguments[0], Anything):
            family = number(arguments[0])
        kind, protocol = number(arguments[1]), number(arguments[2])
        return lambda: (self._sockets.socket(family, kind, protocol), None)

    def bind(self, arguments: list[Expression]) -> Work:
        """Bind to the address of the host under test, or to one that is given."""
        config = self._conversation.config
        handle = self.handle(arguments[0])
        host, port = self._target(arguments[1], config.port, config.local.ip)
        self._conversation.port = port or self._conversation.port
        return _plain(self._sockets.bind, handle, host, port)

    def listen(self, arguments: list[Expression]) -> Work:
        """Listen."""
        handle, backlog = self.handle(arguments[0]), number(arguments[1])
        return _plain(self._sockets.listen, handle, backlog)

    def accept(self, arguments: list[Expression]) -> Work:
        """Accept; the fourth argument of accept4 are flags."""
        handle = self.handle(arguments[0])
        flags = number(arguments[3]) if len(arguments) > 3 else 0
        return lambda: (self._sockets.accept(handle, flags), None)

    def connect(self, arguments: list[Expression]) -> Work:
        """Connect to the address that the injected packets come from, or to one that is given."""
        config = self._conversation.config
        handle = self.handle(arguments[0])
        host, port = self._target(arguments[1], config.connect_port, config.remote)
        return _plain(self._sockets.connect, handle, host, port)

    def read(self, arguments: list[Expression]) -> Work:
        """Read, with flags if there are any."""
        handle, limit = self.handle(arguments[0]), number(arguments[2])
        flags = number(arguments[3]) if len(arguments) > 3 else 0
        return lambda: _sized(self._sockets.read(handle, limit, flags))

    def read_message(self, arguments: list[Expression]) -> Work:
        """Read into the buffers of a message or a vector; control data is not looked at."""
        handle = self.handle(arguments[0])
        limit = sum(length for _, length in _vector(arguments[1]))
        flags = number(arguments[2]) if isinstance(arguments[1], Struct) else 0
        return lambda: _sized(self._sockets.read(handle, limit, flags))

    def write(self, arguments: list[Expression]) -> Work:
        """Write, with flags if there are any."""
        handle = self.handle(arguments[0])
        data = self._data(arguments[1], number(arguments[2]))
        flags = number(arguments[3]) if len(arguments) > 3 else 0
        return lambda: (self._sockets.write(handle, data, flags), None)

    def write_message(self, arguments: list[Expression]) -> Work:
        """Write the buffers of a message or a vector."""
        handle = self.handle(arguments[0])
        data = b"".join(self._data(value, length) for value, length in _vector(arguments[1]))
        flags = number(arguments[2]) if isinstance(arguments[1], Struct) else 0
        return lambda: (self._sockets.write(handle, data, flags), None)

    def send_to(self, arguments: list[Expression]) -> Work:
        """Send to the run's remote address, or to one that is given."""
        config = self._conversation.config
        handle = self.handle(arguments[0])
        data = self._data(arguments[1], number(arguments[2]))
        flags = number(arguments[3])
        target = None
        if arguments[4] != Word("NULL"):
            target = self._target(arguments[4], config.connect_port, config.remote)
        self.under_test = handle
        return lambda: (self._sockets.send_to(handle, data, flags, target), None)

    def close(self, arguments: list[Expression]) -> Work:
        """Close."""
        handle = self.handle(arguments[0])
        return _plain(self._sockets.close, handle)

    def shutdown(self, arguments: list[Expression]) -> Work:
        """Close a direction."""
        handle, how = self.handle(arguments[0]), number(arguments[1])
        return _plain(self._sockets.shutdown, handle, how)

    def fcntl(self, arguments: list[Expression]) -> Work:
        """Read or choose whether calls wait."""
        handle, command = self.handle(arguments[0]), number(arguments[1])
        if command == _GETFL:
            return lambda: (
                _READ_WRITE | (0 if self._sockets.blocking(handle) else _NONBLOCK),
                None,
            )
        if command != _SETFL:
            raise UnsupportedError(f"fcntl command {command}")
        blocking = not number(arguments[2]) & _NONBLOCK
        return _plain(self._sockets.set_blocking, handle, blocking)

    def ioctl(self, arguments: list[Expression]) -> Work:
        """Count what is unread or not acknowledged."""
        handle, request = self.handle(arguments[0]), number(arguments[1])
        return lambda: (0, self._sockets.pending(handle, request))

    def poll(self, arguments: list[Expression]) -> Work:
        """Wait until something is ready."""
        wanted = []
        for entry in _items(arguments[0]):
            if not isinstance(entry, Struct):
                raise UnsupportedError("poll of something else than {fd=..., events=...}")
            descriptor, events = entry.get("fd"), entry.get("events")
            assert descriptor is not None
            assert events is not None
            wanted.append((self.handle(descriptor), number(events)))
        timeout_ms = number(arguments[2])

        def work() -> Outcome:
            ready = self._sockets.poll(wanted, timeout_ms)
            return sum(map(bool, ready)), ready

        return work

    def get_option(self, arguments: list[Expression]) -> Work:
        """Read a socket option."""
        handle, level, option = self.handle(arguments[0]), *map(number, arguments[1:3])
        size = _items(arguments[4])[0] if len(arguments) > 4 else Anything()
        length = number(size, default=256)
        return lambda: (0, self._sockets.get_option(handle, level, option, length))

    def set_option(self, arguments: list[Expression]) -> Work:
        """Set a socket option."""
        handle, level, option = self.handle(arguments[0]), *map(number, arguments[1:3])
        value = _octets(arguments[3])
        return _plain(self._sockets.set_option, handle, level, option, value)


def _plain(action: Callable[..., None], *arguments: Any) -> Work:
    """Return the work of a call that returns zero."""

    def work() -> Outcome:
        action(*arguments)
        return 0, None

    return work


def _sized(data: bytes) -> Outcome:
    return len(data), data


def _items(value: Expression) -> tuple[Expression, ...]:
    return value.items if isinstance(value, Array) else (value,)


def _vector(value: Expression) -> list[tuple[Expression, int]]:
    """Return the buffers of a message or vector, each with its length."""
    if isinstance(value, Struct):
        inner = value.get("msg_iov")
        if inner is None:
            raise UnsupportedError("a message without msg_iov")
        value = inner
    found = []
    for entry in _items(value):
        if not isinstance(entry, Struct) or len(entry.fields) != 2:
            raise UnsupportedError("a buffer other than {..., length}")
        found.append((entry.fields[0][1], number(entry.fields[1][1])))
    return found


def _socket_address(value: Struct) -> tuple[IpAddress, int]:
    fields: dict[str, Any] = dict(value.fields)
    port = fields.get("sin_port") or fields.get("sin6_port")
    address = fields.get("sin_addr") or fields.get("sin6_addr")
    if port is None or address is None:
        raise UnsupportedError("a socket address of this form")
    match address:
        case Function(arguments=(Text(value=name),)):
            return ip_address(name.decode()), number(port)
        case Word(name="INADDR_ANY"):
            return ip_address("0.0.0.0"), number(port)  # noqa: S104 - what the script says
    raise UnsupportedError("a socket address of this form")


def _octets(value: Expression) -> bytes:
    """Return what a call reads from memory: integers in the machine's order, or text."""
    match value:
        case Array(items=items):
            return b"".join(_octets(item) for item in items)
        case Text():
            return value.value
        case Struct(fields=fields):
            return b"".join(_INT.pack(number(field)) for _, field in fields)
    return _INT.pack(number(value))


def _differs(wanted: Expression, actual: bytes) -> tuple[str, str] | None:
    """Return what was expected of an output and what came, None if they agree."""
    if isinstance(wanted, Anything) or (isinstance(wanted, Array) and Anything() in wanted.items):
        return None
    expected = _octets(wanted)
    if isinstance(wanted, Text):
        return None if actual.rstrip(b"\0") == expected else (repr(expected), repr(actual))
    if actual[: len(expected)] == expected:
        return None
    size = max(_INT.size, len(expected) // _INT.size * _INT.size)
    shown = actual[:size].ljust(size, b"\0")
    return _ints(expected), _ints(shown)


def _ints(octets: bytes) -> str:
    return ", ".join(str(value) for (value,) in _INT.iter_unpack(octets))


_MAKERS: Final = frozenset({"socket", "accept", "accept4"})
"""Calls whose result is a descriptor, named by the script."""

_CALLS: Final[dict[str, Callable[[Caller, list[Expression]], Work]]] = {
    "socket": Caller.socket,
    "bind": Caller.bind,
    "listen": Caller.listen,
    "accept": Caller.accept,
    "accept4": Caller.accept,
    "connect": Caller.connect,
    "read": Caller.read,
    "recv": Caller.read,
    "recvfrom": Caller.read,
    "recvmsg": Caller.read_message,
    "readv": Caller.read_message,
    "write": Caller.write,
    "send": Caller.write,
    "sendto": Caller.send_to,
    "sendmsg": Caller.write_message,
    "writev": Caller.write_message,
    "close": Caller.close,
    "shutdown": Caller.shutdown,
    "fcntl": Caller.fcntl,
    "ioctl": Caller.ioctl,
    "poll": Caller.poll,
    "getsockopt": Caller.get_option,
    "setsockopt": Caller.set_option,
}
"""By name: how the work of a call is prepared."""

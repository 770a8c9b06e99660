"""One connection of a stack as an asyncio transport.

The transport behaves as asyncio's own do: `connection_lost` follows `close` as soon as everything
written has been handed over, and the host goes on to deliver it.  Written data waits in the host's
send buffer; what does not fit there waits in a backlog here, which is what the write buffer limits
are about.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, Final

from plait.addresses import IpAddress, Path
from plait.aio.happenings import KEPT, Happening, Happenings
from plait.aio.pump import Pump
from plait.errors import UsageError
from plait.host.events import Event, LossReason
from plait.host.intents import intent_settings
from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo
from plait.units import Octets
from plait.wire.segment import Buffer

HIGH_WATER: Final[Octets] = 256 * 1024
"""Backlog at which a protocol is asked to pause writing, unless it sets another limit."""

_READ_OCTETS: Final[Octets] = 256 * 1024
"""Most octets one `data_received` is given."""

_READS: Final = 4
"""Times in a row that one connection is read before others have their turn."""

_ERRORS: Final[dict[LossReason, tuple[type[OSError], int]]] = {
    LossReason.REFUSED: (ConnectionRefusedError, errno.ECONNREFUSED),
    LossReason.RESET: (ConnectionResetError, errno.ECONNRESET),
    LossReason.TIMED_OUT: (TimeoutError, errno.ETIMEDOUT),
    LossReason.UNREACHABLE: (OSError, errno.EHOSTUNREACH),
    LossReason.ABORTED: (ConnectionAbortedError, errno.ECONNABORTED),
}


def loss_error(reason: LossReason) -> OSError:
    """Return the OSError that asyncio programs expect for the way a connection was lost."""
    kind, number = _ERRORS[reason]
    return kind(number, reason.value)


class StackTransport(asyncio.Transport):
    """The transport of one open connection.

    Extra information: `peername` and `sockname` of the first subflow, as sockets give them, and
    `plait`, a fresh `ConnectionInfo`.

    Args:
        loop: The loop of the stack.
        pump: The pump of the stack.
        connection_id: The host's name for the connection.
        protocol: Whom to tell; `connection_made` is the stack's to call.
        on_done: Called once with the transport, after `connection_lost`.
        settings: What the connection was opened with.

    Attributes:
        live: Whether the host still knows the connection.
        settings: What it is like now; `change` changes it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pump: Pump,
        connection_id: int,
        protocol: asyncio.BaseProtocol,
        on_done: Callable[[StackTransport], None],
        settings: Settings,
    ) -> None:
        self._info = pump.host.info(connection_id, pump.now())
        super().__init__(_names(self._info))
        self.connection_id = connection_id
        self._loop = loop
        self._pump = pump
        self._host = pump.host
        self._on_done = on_done
        self.live = True
        self.settings = settings
        self._past: deque[Happening] = deque(maxlen=KEPT)
        self._followers: list[Happenings] = []
        self._closing = False
        self._done = False  # connection_lost is on its way
        self._reading = True
        self._ended = False  # the peer's end of stream was passed on
        self._eof = False
        self._backlog: deque[Buffer] = deque()
        self._backlog_octets: Octets = 0
        self._high: Octets = HIGH_WATER
        self._low: Octets = HIGH_WATER // 4
        self._writing_paused = False
        self.set_protocol(protocol)

    def info(self) -> ConnectionInfo:
        """Return what the connection is like now, or was when the host last knew it."""
        if self.live:
            self._info = self._host.info(self.connection_id, self._pump.now())
        return self._info

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return `peername`, `sockname` or `plait`; there is no `socket`."""
        if name == "plait":
            return self.info()
        return super().get_extra_info(name, default)

    def happenings(self) -> Happenings:
        """Return what happens to subflows, addresses and policies until the connection has ended.

        The last 64 events so far come first.  `Readable` and `Writable` are not among them;
        `Closed` or `Lost` comes last.
        """
        made = Happenings(self._past, ended=not self.live)
        if self.live:
            self._followers.append(made)
        return made

    def change(self, *, intent: str | None = None, **settings: Any) -> None:
        """Change settings of the open connection, such as `scheduler="blest"`.

        Args:
            intent: Path manager, scheduler and congestion control that go together; `settings`
                given beside it prevail.
            settings: Fields of `Settings` that are in `plait.host.settings.LIVE`.

        Raises:
            UsageError: A setting cannot change any more, a value is impossible or its name
                unknown, or the connection has ended.  Nothing has changed then.
        """
        unknown = settings.keys() - {field.name for field in fields(Settings) if field.init}
        if unknown:
            raise UsageError(f"no such setting: {', '.join(sorted(unknown))}")
        base = self.settings if intent is None else intent_settings(intent, self.settings)
        chosen = replace(base, **settings)
        self._host.change(self._pump.now(), self._living(), chosen)
        self.settings = chosen
        self._pump.owe()

    def set_backup(self, path: Path, *, backup: bool) -> None:
        """Ask the peer to send on a subflow only if no other works, or again as on any (MP_PRIO).

        Raises UsageError if no subflow on this path carries data.
        """
        self._host.set_backup(self._pump.now(), self._living(), path, backup=backup)
        self._pump.owe()

    def withdraw(self, address: IpAddress) -> None:
        """Give up a local address, for this connection and without loss (REMOVE_ADDR).

        Its subflows are drained and closed first.  Raises UsageError if no other would be left.
        """
        self._host.withdraw(self._pump.now(), self._living(), address)
        self._pump.owe()

    def _living(self) -> int:
        """Return the connection's name.  Raises UsageError if it has ended."""
        if not self.live:
            raise UsageError("the connection has ended")
        return self.connection_id

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Change whom to tell."""
        self._protocol: Any = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whom the transport tells."""
        return self._protocol  # type: ignore[no-any-return]  # Any, to call what its kind has

    def is_closing(self) -> bool:
        """Return whether the transport is closed or about to be."""
        return self._closing

    def is_reading(self) -> bool:
        """Return whether data is passed on as it arrives."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Leave data in the host, whose window then closes."""
        self._reading = False

    def resume_reading(self) -> None:
        """Pass data on again."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self.on_readable)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`; it is copied only if it could change."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data is bytes-like, not {type(data).__name__}")
        if self._eof:
            raise RuntimeError("write after write_eof")
        if not data or self._closing or not self.live:
            return
        stable = _stable(data)
        if not self._backlog:
            taken = self._hand_over(stable)
            if taken == len(stable):
                return
            stable = memoryview(stable)[taken:]
        self._backlog.append(stable)
        self._backlog_octets += len(stable)
        if self._backlog_octets > self._high and not self._writing_paused:
            self._writing_paused = True
            self._call_protocol("pause_writing")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send each item, without joining them."""
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        """Return True: every connection can be half closed."""
        return True

    def write_eof(self) -> None:
        """End the stream after what was written; reading goes on."""
        if self._eof or self._closing:
            return
        self._eof = True
        if not self._backlog:
            self._finish_writing()

    def get_write_buffer_size(self) -> Octets:
        """Return the octets that wait outside the host's send buffer."""
        return self._backlog_octets

    def get_write_buffer_limits(self) -> tuple[Octets, Octets]:
        """Return the low and the high limit."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is paused and resumed, in octets of backlog."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and low at least 0")
        self._high = high
        self._low = low

    def close(self) -> None:
        """Send what was written, end the stream, and pass on nothing more."""
        if self._closing:
            return
        self._closing = True
        if not self._backlog:
            self._release()

    def abort(self) -> None:
        """Drop the connection and what was written, at both ends."""
        self._force_close(None)

    def on_readable(self) -> None:
        """Pass on what has arrived, up to a bound; then the end of the stream."""
        for _ in range(_READS):
            if not self._reading or self._closing or not self.live:
                return
            try:
                if not self._read_once():
                    break
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001  whatever a protocol raises ends it
                self._fail(error, "the protocol failed to take data")
                return
        else:
            self._loop.call_soon(self.on_readable)
            return
        if not self._ended and self._at_end():
            self._end_reading()

    def on_writable(self) -> None:
        """Hand the host as much of the backlog as it takes."""
        if self._done:
            return
        backlog = self._backlog
        while backlog and self.live:
            data = backlog[0]
            taken = self._hand_over(data)
            self._backlog_octets -= taken
            if taken < len(data):
                backlog[0] = memoryview(data)[taken:]
                break
            backlog.popleft()
        if self._writing_paused and self._backlog_octets <= self._low:
            self._writing_paused = False
            self._call_protocol("resume_writing")
        if self._backlog:
            return
        if self._closing:
            self._release()
        elif self._eof:
            self._finish_writing()

    def on_happening(self, event: Event) -> None:
        """Tell those who follow the connection."""
        happening = Happening(self._pump.now(), event)
        self._past.append(happening)
        for follower in self._followers:
            follower.add(happening)

    def on_lost(self, info: ConnectionInfo, error: OSError | None) -> None:
        """Tell the protocol that the connection has ended as `info` says, None meaning cleanly."""
        self.live = False
        self._info = info
        self._end_happenings()
        if error is None and not self._ended and not self._closing:
            self._end_reading()
        self._closing = True
        self._backlog.clear()
        self._backlog_octets = 0
        self._schedule_lost(error)

    def _end_happenings(self) -> None:
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.end()

    def _read_once(self) -> bool:
        """Pass on one helping of data; return whether there was any."""
        protocol = self._protocol
        if not self._buffered:
            chunks = self._take(_READ_OCTETS)
            if not chunks:
                return False
            first = chunks[0]
            alone = len(chunks) == 1 and isinstance(first, bytes)
            protocol.data_received(first if alone else b"".join(chunks))
            return True
        target = memoryview(protocol.get_buffer(-1)).cast("B")
        if not target:
            raise RuntimeError("get_buffer() returned an empty buffer")
        at = 0
        for chunk in self._take(len(target)):
            target[at : at + len(chunk)] = chunk
            at += len(chunk)
        if at:
            protocol.buffer_updated(at)
        return at > 0

    def _take(self, limit: Octets) -> list[Buffer]:
        """Return what has arrived."""
        chunks = self._host.read_chunks(self._pump.now(), self.connection_id, limit)
        self._pump.owe()
        return chunks

    def _hand_over(self, data: Buffer) -> Octets:
        """Return how much the host took."""
        taken = self._host.write(self._pump.now(), self.connection_id, data)
        self._pump.owe()
        return taken

    def _at_end(self) -> bool:
        """Return whether the stream was read to its end; `on_lost` knows what else ended it."""
        return self.live and self._host.at_end(self.connection_id)

    def _end_reading(self) -> None:
        self._ended = True
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  whatever a protocol raises ends it
            self._fail(error, "the protocol failed to take the end of the stream")
            return
        if not keep_open:
            self.close()

    def _finish_writing(self) -> None:
        if self.live:
            self._host.close(self._pump.now(), self.connection_id)
            self._pump.owe()

    def _release(self) -> None:
        """Leave the rest to the host; it no longer keeps what arrives."""
        if self.live:
            self._host.release(self._pump.now(), self.connection_id)
            self._pump.owe()
        self._schedule_lost(None)

    def _fail(self, error: BaseException, message: str) -> None:
        self._report(error, message)
        self._force_close(error)

    def _force_close(self, error: BaseException | None) -> None:
        self._closing = True
        self._backlog.clear()
        self._backlog_octets = 0
        if self.live:
            self.info()
            self.live = False
            self._host.abort(self._pump.now(), self.connection_id)
            self._pump.owe()
        self._schedule_lost(error)

    def _schedule_lost(self, error: BaseException | None) -> None:
        if not self._done:
            self._done = True
            self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: BaseException | None) -> None:
        if not self.live:
            self._end_happenings()
        try:
            self._protocol.connection_lost(error)
        finally:
            self._on_done(self)

    def _call_protocol(self, method: str) -> None:
        """Call a flow control method; its failure is reported and otherwise ignored."""
        try:
            getattr(self._protocol, method)()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  asyncio's transports report it likewise
            self._report(error, f"protocol.{method}() failed")

    def _report(self, error: BaseException, message: str) -> None:
        self._loop.call_exception_handler(
            {
                "message": message,
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )


def _stable(data: bytes | bytearray | memoryview) -> Buffer:
    """Return `data` itself if it cannot change, else a copy."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, memoryview) and type(data.obj) is bytes and data.contiguous:
        return data.cast("B")
    return bytes(data)


def _names(info: ConnectionInfo) -> dict[str, Any]:
    """Return the extra information that does not change."""
    if not info.subflows:
        return {}
    path = info.subflows[0].path
    return {
        "peername": _socket_name(path.remote, path.remote_port),
        "sockname": _socket_name(path.local, path.local_port),
    }


def _socket_name(address: IpAddress, port: int) -> tuple[Any, ...]:
    """Return the pair or quadruple that sockets use."""
    return (str(address), port) if address.version == 4 else (str(address), port, 0, 0)
